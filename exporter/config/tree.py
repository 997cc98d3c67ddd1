"""
What a YAML file holds: text, lists and mappings of it, each with the line it stands on.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

_FEW_KEYS: Final = 32
_SPEAKABLE_KEY: Final = re.compile(r"[A-Za-z_][a-z_]{0,30}", re.ASCII)
_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class ManyLines(str):
    """Text that spans lines of its file. One stray quote swallows the next key and its secret, so it is never shown."""

    __slots__ = ()


class Map:
    """
    A mapping with text keys. Not a dict: a file may hold 300,000 of them, and dicts would take five times the memory.

    Args:
        line: Where it begins.
        lines: Of its keys; ``None`` if that is its own line for all of them.
    """

    __slots__ = ("_keys", "_lines", "_values", "line")

    def __init__(
        self, keys: tuple[str, ...], values: tuple[Value, ...], line: int, lines: Sequence[int] | None
    ) -> None:
        # A few keys are found fastest by looking at each one, but to find each of 100,000 would take minutes that way.
        self._keys = keys if len(keys) <= _FEW_KEYS else {key: place for place, key in enumerate(keys)}
        self._values = values
        self._lines = lines
        self.line = line

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def get(self, key: str) -> Value | None:
        return self._values[self._place(key)] if key in self._keys else None

    def items(self) -> Iterable[tuple[str, Value]]:
        return zip(self._keys, self._values, strict=True)

    def keys(self) -> tuple[str, ...]:
        return tuple(self._keys)

    def values(self) -> tuple[Value, ...]:
        return self._values

    def line_of(self, key: str) -> int:
        """The key's line, or the mapping's own if there is no such key."""
        return self._lines[self._place(key)] if self._lines and key in self._keys else self.line

    def _place(self, key: str) -> int:
        return self._keys[key] if isinstance(self._keys, dict) else self._keys.index(key)


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


class Place:
    """
    A value and where it stands. Path and line are worked out if an error asks for them; of most values none ever does.

    Args:
        value: ``None`` where a key is missing.
        around: The mapping or list that holds the value; ``None`` for a whole document.
        step: The value's key or index there.
    """

    __slots__ = ("_around", "_step", "value")

    def __init__(self, value: Value | None, around: Place | None = None, step: str | int = "") -> None:
        self.value = value
        self._around = around
        self._step = step

    def key(self, key: str) -> Place:
        """The place of this key, be it there or missing."""
        return Place(self.value.get(key) if isinstance(self.value, Map) else None, self, key)

    def items(self) -> Iterator[Place]:
        """The places of a list's items."""
        for index, value in enumerate(self.value if isinstance(self.value, List) else ()):
            yield Place(value, self, index)

    @property
    def path(self) -> str:
        """Such as ``sources[0].interval``."""
        if self._around is None:
            return ""
        around = self._around.path
        if isinstance(self._step, int):
            return f"{around}[{self._step}]"
        name = speakable(self._step) or "?"
        return f"{around}.{name}" if around else name

    @property
    def line(self) -> int:
        """The line of the key or item; where a key is missing, of the mapping that lacks it."""
        node = self._around.value if self._around else None
        if isinstance(node, List) and isinstance(self._step, int):
            return node.lines[self._step]
        return node.line_of(str(self._step)) if isinstance(node, Map) else 1


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
        if isinstance(node, List):
            rest.extend(value for value in node if not isinstance(value, str))
            node.clear()
        elif isinstance(node, Map):
            rest.extend(value for value in node.values() if isinstance(value, List))
