"""
The values of a YAML file: text, mappings and lists, with their line numbers.
"""

from __future__ import annotations

import re
from array import array
from typing import Final, TypeAlias

_NULLS: Final = frozenset({"", "~", "null"})
_FREED_AT_ONCE: Final = 10_000
_BOOLEANS: Final = frozenset({"true", "false"})
_NOT_TEXT: Final = re.compile(
    r"~?|null|Null|NULL|true|True|TRUE|false|False|FALSE"
    r"|[-+]?(?:[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    re.ASCII,
)


class ManyLines(str):
    """Text of several lines. A missing quote makes the next key and its secret a part of it, so it is never shown."""

    __slots__ = ()


class NotText(str):
    """
    Unquoted text that YAML 1.2 and JSON read as null, a boolean or a number.

    In a config it is ordinary text. In a rooms file, which a program writes, it is an error: the program writes
    ``null`` for a room without an id, and a vendor would answer 0 users for a room with the id "null".
    """

    __slots__ = ()

    @property
    def kind(self) -> str:
        """The type in words."""
        text = self.lower()
        if text in _NULLS:
            return "null"
        return f"the boolean {text}" if text in _BOOLEANS else "a number"


def plain(text: str) -> str:
    """Unquoted text: ``NotText`` if it looks like another type."""
    return NotText(text) if _NOT_TEXT.fullmatch(text) else text


class Map(dict[str, "Value"]):
    """
    A mapping.

    Args:
        line: Its first line.
    """

    __slots__ = ("_lines", "line")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self._lines: dict[str, int] | None = None

    def put(self, key: str, value: Value, line: int) -> None:
        """Set a key and its line. Only lines that differ from the mapping's are stored, to save memory."""
        self[key] = value
        if line != self.line:
            self._lines = self._lines or {}
            self._lines[key] = line

    def line_of(self, key: str) -> int:
        """The key's line, or the mapping's own if there is no such key."""
        return self._lines.get(key, self.line) if self._lines else self.line


class List(list["Value"]):
    """
    A list.

    Args:
        line: Its first line.

    Attributes:
        lines: The lines of its items.
    """

    __slots__ = ("line", "lines")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines = array("I")


Value: TypeAlias = str | Map | List


def describe(value: object) -> str:
    """The kind of a value in words, without its contents, for an error that wants another kind."""
    if not value:
        return "an empty list" if isinstance(value, List) else "a mapping" if isinstance(value, Map) else "nothing"
    return "text" if isinstance(value, str) else "a list" if isinstance(value, List) else "a mapping"


def dismantle(*roots: Value | None) -> None:
    """
    Free trees, one container at a time. Nothing may use them afterwards.

    Python would free a large tree in one step, which blocks all other threads.
    """
    rest = [*roots]
    while rest:
        node = rest.pop()
        if isinstance(node, Map):
            rest.extend(value for value in node.values() if isinstance(value, Map | List))
            node.clear()
        elif isinstance(node, List):
            rest.extend(value for value in node if isinstance(value, Map | List))
            while node:
                del node[-_FREED_AT_ONCE:]
