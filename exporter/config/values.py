"""
What a YAML file holds: text, mappings and lists of it, which know the lines that they stand on.
"""

from __future__ import annotations

import re
from array import array
from typing import Final, TypeAlias

_NULLS: Final = frozenset({"", "~", "null"})
_BOOLEANS: Final = frozenset({"true", "false"})
_NOT_TEXT: Final = re.compile(
    r"~?|null|Null|NULL|true|True|TRUE|false|False|FALSE"
    r"|[-+]?(?:[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    re.ASCII,
)


class ManyLines(str):
    """Text that spans lines of its file. One stray quote swallows the next key and its secret, so it is never shown."""

    __slots__ = ()


class NotText(str):
    """
    Text without quotes that JSON and YAML 1.2 read as null, a boolean or a number.

    To the config it is text all the same. In a rooms file, which a program wrote, it is a program's mistake: a room
    without an id is ``null`` there, and some vendor would answer 0 users for a room of that name.
    """

    __slots__ = ()

    @property
    def kind(self) -> str:
        """What it is, in words."""
        text = self.lower()
        if text in _NULLS:
            return "null"
        return f"the boolean {text}" if text in _BOOLEANS else "a number"


def plain(text: str) -> str:
    """Text that stands without quotes."""
    return NotText(text) if _NOT_TEXT.fullmatch(text) else text


class Map(dict[str, "Value"]):
    """
    A mapping.

    Args:
        line: Where it begins.
    """

    __slots__ = ("_lines", "line")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self._lines: dict[str, int] | None = None

    def put(self, key: str, value: Value, line: int) -> None:
        """Set a key that stands on this line. Lines are kept where they differ: a file may have 300,000 mappings."""
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
        line: Where it begins.

    Attributes:
        lines: Of its items.
    """

    __slots__ = ("line", "lines")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines = array("I")


Value: TypeAlias = str | Map | List


def describe(value: object) -> str:
    """What kind of value stands where another kind is wanted, without its contents."""
    if not value:
        return "an empty list" if isinstance(value, List) else "a mapping" if isinstance(value, Map) else "nothing"
    return "text" if isinstance(value, str) else "a list" if isinstance(value, List) else "a mapping"


def dismantle(root: Value | None) -> None:
    """
    Take a tree apart, container by container; nobody may use it any more.

    Left to itself, a large one is freed in one step that keeps all other threads waiting.
    """
    rest = [root]
    while rest:
        node = rest.pop()
        if isinstance(node, Map | List):
            rest.extend(value for value in (node.values() if isinstance(node, Map) else node) if type(value) is not str)
            node.clear()
