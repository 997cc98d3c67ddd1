"""
What a YAML file holds: text, lists and mappings of it, each with the line it stands on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

_SPEAKABLE_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}", re.ASCII)
_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class ManyLines(str):
    """Text that spans lines of its file. One stray quote swallows the next key and its secret, so it is never shown."""

    __slots__ = ()


class Map(dict[str, "Value"]):
    """
    A mapping with text keys.

    Args:
        line: Where it begins.
        lines: Of its keys, in their order.
        weight: Keys and values in it, at any depth.
    """

    __slots__ = ("line", "lines", "weight")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int] = []
        self.weight = 1

    def put(self, key: str, value: Value, line: int) -> None:
        """Add a key that is not there yet."""
        self[key] = value
        self.lines.append(line)

    def line_of(self, key: str) -> int:
        """The key's line, or the mapping's own if there is no such key."""
        return self.lines[list(self).index(key)] if key in self else self.line


class List(list["Value"]):
    """
    A list.

    Args:
        line: Where it begins.
        lines: Of its items.
        weight: Keys and values in it, at any depth.
    """

    __slots__ = ("line", "lines", "weight")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int] = []
        self.weight = 1

    def put(self, value: Value, line: int) -> None:
        self.append(value)
        self.lines.append(line)


Value: TypeAlias = str | Map | List


@dataclass(frozen=True, slots=True)
class Place:
    """A value's key path, such as ``sources[0].interval``, and its line."""

    path: str
    line: int

    def key(self, mapping: Map, key: str) -> Place:
        """Where this key of a mapping stands; the mapping itself where the key is missing."""
        name = speakable(key) or "?"
        return Place(f"{self.path}.{name}" if self.path else name, mapping.line_of(key))

    def item(self, items: List, index: int) -> Place:
        return Place(f"{self.path}[{index}]", items.lines[index])


def speakable(key: str, value: object = None) -> str | None:
    """
    The key, if an error may name it.

    ``{server_secret: abc,def}`` has a key ``def`` without a value: half a secret, so such keys stay unnamed.
    """
    return key if value != "" and not isinstance(key, ManyLines) and _SPEAKABLE_KEY.fullmatch(key) else None


def has_control_character(text: str) -> bool:
    """Whether the text holds a C0 or C1 control character, DEL, or half a surrogate pair."""
    return _CONTROL_CHARACTER.search(text) is not None


def dismantle(root: Value | None) -> None:
    """
    Take a tree apart, container by container; nobody may use it any more.

    Left to itself, a large one is freed in one step that keeps all other threads waiting.
    """
    rest = [root]
    while rest:
        node = rest.pop()
        if isinstance(node, Map):
            rest.extend(value for value in node.values() if not isinstance(value, str))
            node.clear()
        elif isinstance(node, List):
            rest.extend(value for value in node if not isinstance(value, str))
            node.clear()
