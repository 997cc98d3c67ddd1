"""
YAML text read into a tree. Every scalar is text: ``0123``, ``12:30`` and ``yes`` too.

Built from the parser's events, one at a time: nothing recurses, aliases share what they name instead of copying it, and
other threads can run between any two events, which they cannot while a whole file is parsed in C.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final

import yaml

from exporter.config.errors import Problems, describe
from exporter.config.tree import List, ManyLines, Map, Place, Value, speakable

DEEPEST: Final = 50
"""Levels of nesting; a config has seven."""
MOST_VALUES: Final = 5_000_000
"""Keys and values of a file, counted again by each alias that repeats them."""

# Not every PyYAML is built with libyaml. The parser in Python reads the same language at a tenth of the speed.
LOADER: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

_TAGS_OF_PLAIN_VALUES: Final = (None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")
_LONG_QUOTE: Final = re.compile(r"'[^']{2,}'|\"[^\"]{2,}\"")


def compose(text: str, problems: Problems, loader: Any = LOADER) -> Value | None:
    """
    The text's one document; ``None`` if there is nothing in it.

    Duplicate keys and the like become problems, and what they spoil is left out of the document.

    Raises:
        ConfigError: The text is no YAML, or too deep or too large to look at.
    """
    composer = _Composer(problems)
    try:
        for event in iter(loader(text).get_event, None):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        problems.add(*_syntax_problem(error, text))
    except yaml.reader.ReaderError as error:
        code = error.character if isinstance(error.character, int) else ord(error.character)
        place = Place("", text.count("\n", 0, error.position) + 1)
        problems.add(place, f"the character U+{code:04X}", "printable text")
    except (ValueError, OverflowError):
        # What the parser in Python makes of "\UFFFFFFFF".
        problems.add(Place("", composer.line), "an escape sequence of no character", "characters up to U+10FFFF")
    except _HopelessError:
        pass
    else:
        return composer.root
    problems.raise_any()
    return None


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> tuple[Place, str, str]:
    mark = error.problem_mark or error.context_mark
    place = Place("", mark.line + 1 if mark else 1)
    words = str(error.problem or error.context)
    if mark and "cannot start any token" in words:
        culprit = text[mark.index : mark.index + 1]
        if culprit == "\t":
            return place, "a tab", "spaces for indentation"
        return place, f"a value that begins with {culprit}", "such a value in quotes"
    # What the parser quotes in more than one character may be part of a secret.
    words = _LONG_QUOTE.sub("…", words)
    opening = error.context_mark
    if error.context and opening and opening.line + 1 < place.line:
        words += f", {_LONG_QUOTE.sub('…', error.context)} that begins in line {opening.line + 1}"
    return place, f"a syntax error ({words})", "YAML"


class _HopelessError(Exception):
    """Reading on makes no sense; the problem is noted."""


class _Key(Enum):
    """Instead of the key that waits for its value: none does, its value is dropped, or merged."""

    NONE = 0
    DROPPED = 1
    MERGE = 2


class _Open:
    """A mapping or list that has begun and not ended."""

    __slots__ = ("anchor", "key", "key_line", "merges", "node")

    def __init__(self, node: Map | List, anchor: str | None) -> None:
        self.node = node
        self.anchor = anchor
        self.key: str | _Key = _Key.NONE
        self.key_line = 0
        self.merges: list[Map] = []


class _Composer:
    """Puts the parser's events together."""

    def __init__(self, problems: Problems) -> None:
        self.root: Value | None = None
        self.line = 1
        self._problems = problems
        self._open: list[_Open] = []
        self._anchors: dict[str, Value | None] = {}
        self._documents = 0

    def take(self, event: Any) -> None:
        """
        Raises:
            _HopelessError: Nothing after this event is worth a look.
        """
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._scalar(event)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            self._end()
        elif kind is yaml.MappingStartEvent:
            self._begin(Map(event.start_mark.line + 1), event)
        elif kind is yaml.SequenceStartEvent:
            self._begin(List(event.start_mark.line + 1), event)
        elif kind is yaml.AliasEvent:
            self._alias(event)
        elif kind is yaml.DocumentStartEvent:
            self.line = event.start_mark.line + 1
            self._documents += 1
            if self._documents > 1:
                self._give_up("a second document", "one document a file")

    def _scalar(self, event: Any) -> None:
        text = event.value
        start = event.start_mark.line
        self.line = start + 1
        if text and event.end_mark.line != start:
            text = ManyLines(text)
        if event.tag is not None:
            self._check_tag(event.tag)
        if event.anchor is not None:
            self._anchors[event.anchor] = text
        self._put(text, start + 1, 1, merge=text == "<<" and event.implicit[0])

    def _begin(self, node: Map | List, event: Any) -> None:
        self.line = node.line
        if len(self._open) >= DEEPEST:
            self._give_up(f"values nested more than {DEEPEST} deep", "fewer levels")
        if event.tag is not None:
            self._check_tag(event.tag)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._open.append(_Open(node, event.anchor))

    def _end(self) -> None:
        done = self._open.pop()
        node = done.node
        for source in done.merges:
            _merge(source, node)
        if done.anchor is not None:
            self._anchors[done.anchor] = node
        self._put(node, node.line, node.weight)

    def _alias(self, event: Any) -> None:
        self.line = event.start_mark.line + 1
        value = self._anchors.get(event.anchor)
        if value is None:
            # Unnamed: `server_secret: *abc` may well be a secret that lacks its quotes.
            found = "an alias inside what it names" if event.anchor in self._anchors else "an alias of nothing above"
            self._give_up(found, "aliases of finished values; text that begins with * in quotes")
        else:
            self._put(value, self.line, 1 if isinstance(value, str) else value.weight)

    def _check_tag(self, tag: str) -> None:
        if tag not in _TAGS_OF_PLAIN_VALUES:
            self._problems.add(
                Place("", self.line), "a YAML tag", "values without tags; text that begins with ! in quotes"
            )

    def _put(self, value: Value, line: int, weight: int, *, merge: bool = False) -> None:
        if not self._open:
            self.root = value
            return
        top = self._open[-1]
        node = top.node
        node.weight += weight
        if node.weight > MOST_VALUES:
            self._give_up(f"over {MOST_VALUES:,} values, with those that aliases repeat", "fewer values")
        if isinstance(node, List):
            node.put(value, line)
        elif top.key is _Key.NONE:
            top.key_line = line
            top.key = _Key.MERGE if merge else self._key(value, line)
        else:
            self._pair(top, node, value)
            top.key = _Key.NONE

    def _key(self, value: Value, line: int) -> str | _Key:
        if isinstance(value, str):
            return value
        self._problems.add(Place("", line), f"{describe(value)} as a key", "text")
        return _Key.DROPPED

    def _pair(self, top: _Open, node: Map, value: Value) -> None:
        key = top.key
        if key is _Key.MERGE:
            sources = value if isinstance(value, List) else [value]
            top.merges += (source for source in sources if isinstance(source, Map))
            if not all(isinstance(source, Map) for source in sources):
                self._problems.add(Place("", top.key_line), "<< with something else", "<< with an alias of a mapping")
        elif isinstance(key, str):
            if key in node:
                first = f"{speakable(key, value) or 'a key'} again, first in line {node.line_of(key)}"
                self._problems.add(Place("", top.key_line), first, "each key once")
            else:
                node.put(key, value, top.key_line)

    def _give_up(self, found: str, accepted: str) -> None:
        self._problems.add(Place("", self.line), found, accepted)
        raise _HopelessError


def _merge(source: Map, node: Map | List) -> None:
    """What ``<<: *source`` means: its keys, except those that the mapping has itself."""
    if isinstance(node, Map):
        for (key, value), line in zip(source.items(), source.lines, strict=True):
            if key not in node:
                node.put(key, value, line)
