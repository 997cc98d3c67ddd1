"""
YAML text read into a tree. Every scalar is text: ``0123``, ``12:30`` and ``yes`` too.

Built from the parser's events, one at a time: nothing recurses, aliases share what they name instead of copying it, and
other threads can run between any two events, which they cannot while a whole file is parsed in C.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, Final

import yaml

from exporter.config.errors import Problems, describe
from exporter.config.tree import List, ManyLines, Map, Value, speakable

DEEPEST: Final = 50
"""Levels of nesting; a config has seven."""
MOST_VALUES: Final = 5_000_000
"""Keys and values of a file, counted again by each alias that repeats them."""

# Not every PyYAML is built with libyaml. The parser in Python reads the same language at a tenth of the speed.
LOADER: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

_TAGS_OF_PLAIN_VALUES: Final = (None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")
_QUOTE: Final = re.compile(r"'[^']*'|\"[^\"]*\"")


def compose(text: str, problems: Problems, loader: Any = LOADER) -> Value | None:
    """
    The text's one document; ``None`` if there is nothing in it.

    Duplicate keys and the like become problems, and what they spoil is left out of the document.

    Raises:
        ConfigError: The text is no YAML, or too deep or too large to look at.
    """
    composer = _Composer(problems)
    try:
        return composer.read(iter(loader(text).get_event, None))
    except yaml.MarkedYAMLError as error:
        problems.add_line(*_syntax_problem(error, text))
    except yaml.reader.ReaderError as error:
        code = error.character if isinstance(error.character, int) else ord(error.character)
        # One parser counts the position in bytes and the other in characters.
        line = text.count("\n", 0, text.find(chr(code))) + 1
        problems.add_line(line, f"the character U+{code:04X}", "printable text")
    except (ValueError, OverflowError):
        # What the parser in Python makes of "\UFFFFFFFF".
        problems.add_line(composer.line, "an escape sequence of no character", "characters up to U+10FFFF")
    except _HopelessError:
        pass
    problems.raise_any()
    return None


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str, str]:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    words = str(error.problem or error.context)
    if mark and "cannot start any token" in words:
        culprit = text[mark.index : mark.index + 1]
        if culprit == "\t":
            return line, "a tab", "spaces for indentation"
        return line, f"a value that begins with {culprit}", "such a value in quotes"
    words = _unquoted(words.removeprefix("found "))
    opening = error.context_mark
    if error.context and opening and opening.line + 1 < line:
        words += f", {_unquoted(error.context)} that begins in line {opening.line + 1}"
    return line, f"a syntax error ({words})", "YAML"


def _unquoted(words: str) -> str:
    """The parser's words; what it quotes from the file in more than one character may be part of a secret."""
    return _QUOTE.sub(lambda quote: quote[0] if len(quote[0]) <= len("'x'") else "…", words)


class _HopelessError(Exception):
    """Reading on makes no sense; the problem is noted."""


class _Key(Enum):
    """In place of a key whose value is not to be put under it."""

    DROPPED = 0
    MERGE = 1


class _OpenList:
    """
    A list that has begun and not ended.

    Args:
        anchor: Its name for aliases.

    Attributes:
        weight: Values inside its items, at any depth.
    """

    __slots__ = ("anchor", "node", "weight")

    def __init__(self, line: int, anchor: str | None) -> None:
        self.anchor = anchor
        self.node = List(line)
        self.weight = 0

    def close(self) -> List:
        """The list; from here on its weight is whole."""
        self.weight += len(self.node)
        return self.node


class _OpenMap:
    """
    A mapping that has begun and not ended.

    Args:
        anchor: Its name for aliases.
        shapes: Keys of the mappings before; thousands of rooms have the same few and share them.

    Attributes:
        key: The one that waits for its value.
        merges: What its ``<<`` keys name.
        weight: Values inside its values, at any depth.
    """

    __slots__ = ("_shapes", "anchor", "key", "key_line", "line", "lines", "merges", "values", "weight")

    def __init__(self, line: int, anchor: str | None, shapes: dict[tuple[str, ...], tuple[str, ...]]) -> None:
        self.anchor = anchor
        self._shapes = shapes
        self.line = line
        self.values: dict[str, Value] = {}
        self.lines: list[int] = []
        self.key: str | _Key | None = None
        self.key_line = line
        self.merges: list[Map] = []
        self.weight = 0

    def line_of(self, key: str) -> int:
        return self.lines[list(self.values).index(key)]

    def close(self) -> Map:
        """The mapping; from here on its weight is whole."""
        self.weight += len(self.values)
        one_line = not self.merges and self.key_line == self.line
        for source in self.merges:
            self._merge(source)
        keys = tuple(self.values)
        keys = self._shapes.setdefault(keys, keys)
        return Map(keys, tuple(self.values.values()), self.line, None if one_line else self.lines)

    def _merge(self, source: Map) -> None:
        """What ``<<: *source`` means: the source's keys, except those that the mapping has itself."""
        for key, value in source.items():
            if key not in self.values:
                self.values[key] = value
                self.lines.append(source.line_of(key))


class _Composer:
    """Puts the parser's events together."""

    def __init__(self, problems: Problems) -> None:
        self.line = 1
        self._problems = problems
        self._documents = _OpenList(1, None)
        self._open: list[_OpenMap | _OpenList] = [self._documents]
        self._anchors: dict[str, tuple[Value, int] | None] = {}
        self._shapes: dict[tuple[str, ...], tuple[str, ...]] = {}

    def read(self, events: Iterator[Any]) -> Value | None:
        """
        Raises:
            _HopelessError: What follows is not worth a look; the problem is noted.
        """
        steps = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._begin_map,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceStartEvent: self._begin_list,
            yaml.SequenceEndEvent: self._end,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._begin_document,
        }
        for event in events:
            if step := steps.get(type(event)):
                step(event)
        return self._documents.node[0] if self._documents.node else None

    def _begin_document(self, event: Any) -> None:
        self.line = event.start_mark.line + 1
        if self._documents.node:
            self._give_up("a second document", "one document a file")

    def _scalar(self, event: Any) -> None:
        text = event.value
        line = event.start_mark.line + 1
        if event.end_mark.line >= line or event.tag is not None or event.anchor is not None or text == "<<":
            self._rare_scalar(event, line)
        else:
            self._put(text, line)

    def _rare_scalar(self, event: Any, line: int) -> None:
        self.line = line
        text = ManyLines(event.value) if event.value and event.end_mark.line >= line else event.value
        if event.tag is not None:
            self._check_tag(event.tag)
        if event.anchor is not None:
            self._anchors[event.anchor] = text, 0
        top = self._open[-1]
        if text == "<<" and event.implicit[0] and isinstance(top, _OpenMap) and top.key is None:
            top.key = _Key.MERGE
            top.key_line = line
        else:
            self._put(text, line)

    def _put(self, value: Value, line: int) -> None:
        top = self._open[-1]
        if isinstance(top, _OpenList):
            top.node.append(value)
            top.node.lines.append(line)
        elif top.key is None:
            top.key = value if isinstance(value, str) else self._no_key(value, line)
            top.key_line = line
        else:
            self._pair(top, top.key, value)
            top.key = None

    def _pair(self, top: _OpenMap, key: str | _Key, value: Value) -> None:
        if key is _Key.MERGE:
            self._note_merge(top, value)
        elif key in top.values:
            name = speakable(str(key), value) or "a key"
            line = top.key_line if self._problems.full else top.line_of(str(key))
            self._problems.add_line(top.key_line, f"{name} again, first in line {line}", "each key once", self._path())
        elif isinstance(key, str):
            top.values[key] = value
            top.lines.append(top.key_line)

    def _begin_map(self, event: Any) -> None:
        self._begin(event)
        self._open.append(_OpenMap(self.line, event.anchor, self._shapes))

    def _begin_list(self, event: Any) -> None:
        self._begin(event)
        self._open.append(_OpenList(self.line, event.anchor))

    def _begin(self, event: Any) -> None:
        self.line = event.start_mark.line + 1
        if len(self._open) > DEEPEST:
            self._give_up(f"values nested more than {DEEPEST} deep", "fewer levels")
        if event.tag is not None:
            self._check_tag(event.tag)
        if event.anchor is not None:
            self._anchors[event.anchor] = None

    def _end(self, _event: Any) -> None:
        done = self._open.pop()
        node = done.close()
        if done.anchor is not None:
            self._anchors[done.anchor] = node, done.weight
        self._put(node, node.line)
        self._weigh(done.weight)

    def _alias(self, event: Any) -> None:
        self.line = event.start_mark.line + 1
        if named := self._anchors.get(event.anchor):
            value, weight = named
            self._put(value, self.line)
            self._weigh(weight)
        else:
            # Unnamed: `server_secret: *abc` may well be a secret that lacks its quotes.
            found = "an alias inside what it names" if event.anchor in self._anchors else "an alias of nothing above"
            self._give_up(found, "aliases of finished values; text that begins with * in quotes")

    def _weigh(self, weight: int) -> None:
        """Aliases share what they name, but whoever walks the tree meets it anew each time."""
        around = self._open[-1]
        around.weight += weight
        if around.weight > MOST_VALUES:
            self._give_up(f"over {MOST_VALUES:,} values, with those that aliases repeat", "fewer values")

    def _no_key(self, value: Value, line: int) -> _Key:
        self._problems.add_line(line, f"{describe(value)} as a key", "text", self._path())
        return _Key.DROPPED

    def _note_merge(self, top: _OpenMap, value: Value) -> None:
        for source in value if isinstance(value, List) else [value]:
            if isinstance(source, Map):
                top.merges.append(source)
            else:
                found, accepted = f"<< with {describe(source)}", "<< with an alias of a mapping"
                self._problems.add_line(top.key_line, found, accepted, self._path())

    def _check_tag(self, tag: str) -> None:
        if tag not in _TAGS_OF_PLAIN_VALUES:
            found, accepted = "a YAML tag", "values without tags; text that begins with ! in quotes"
            self._problems.add_line(self.line, found, accepted, self._path(self._open[1:]))

    def _path(self, steps: Iterable[_OpenMap | _OpenList] | None = None) -> str:
        """The key path through these; or else that of the mapping or list which is being read."""
        path = ""
        for around in self._open[1:-1] if steps is None else steps:
            if isinstance(around, _OpenList):
                path += f"[{len(around.node)}]"
            else:
                name = speakable(around.key) if isinstance(around.key, str) else None
                path += ("." if path else "") + (name or "?")
        return path

    def _give_up(self, found: str, accepted: str) -> None:
        self._problems.add_line(self.line, found, accepted)
        raise _HopelessError
