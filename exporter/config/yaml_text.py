"""
Reads YAML text into a tree in which every scalar is text: also ``0123``, ``12:30`` and ``yes``. Scalars that YAML 1.2
reads as another type are ``NotText``, for the few callers that need to know.

The tree is built from the parser's events, one at a time. So an alias shares the value that it names instead of copying
it, and other threads can run between two events. While libyaml parses a whole file in C, they cannot.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml

from exporter.config.errors import KEYS, Problems
from exporter.config.files import decode
from exporter.config.values import List, ManyLines, Map, NotText, Value, describe, plain
from exporter.config.yaml_errors import Explanation, explain

DEEPEST: Final = 50
"""Most levels of nesting. A config has seven."""
MOST_VALUES: Final = 5_000_000
"""Most keys and values of a file. Each alias counts the values that it repeats."""
MOST_KEYS: Final = 5_000
"""Most keys of a mapping. Pydantic validates all keys, and reports all unknown ones, in one step without a pause."""

# Not every PyYAML is built with libyaml. The parser in Python is ten times slower.
LOADER: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

_TOO_DEEP: Final = f"values nested more than {DEEPEST} deep", "fewer levels"
_TAGS_OF_PLAIN_VALUES: Final = (None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")


def read_document(
    data: str | bytes, path: Path, secret_names: Iterable[str] = (), keys: re.Pattern[str] = KEYS
) -> Problems:
    """
    Parse a file. The result's ``root`` is the file's document, ``None`` if the file is empty.

    Args:
        secret_names: Keys whose values are secrets.
        keys: Matches keys that problems may show.

    Raises:
        ConfigError: The bytes are not YAML, or are nested too deep, or have too many values.
    """
    if isinstance(data, bytes):
        plain = Problems(path)
        decoded = decode(data, plain)
        plain.raise_any()
        data = decoded or ""
    problems = Problems(path, data, secret_names, keys)
    compose(data, problems)
    return problems


def compose(text: str, problems: Problems, loader: Any = LOADER) -> Value | None:
    """
    Parse a text. The result, also in ``problems.root``, is its document, ``None`` if the text is empty.

    Duplicate keys and similar mistakes are added as problems, and left out of the document.

    Raises:
        ConfigError: The text is not YAML, or is nested too deep, or has too many values.
    """
    composer = _Composer(problems)
    try:
        problems.root = composer.read(iter(loader(_Pieces(text)).get_event, None))
        return problems.root
    except yaml.MarkedYAMLError as error:
        problems.add_line(*_syntax_problem(error, text))
    except yaml.reader.ReaderError as error:
        code = error.character if isinstance(error.character, int) else ord(error.character)
        # One parser counts the position in bytes and the other in characters.
        line = text.count("\n", 0, text.find(chr(code))) + 1
        problems.add_line(line, f"the character U+{code:04X}", "printable text")
    except (ValueError, OverflowError):
        # The parser in Python raises these for "\UFFFFFFFF".
        problems.add_line(composer.line, "an escape sequence of no character", "characters up to U+10FFFF")
    except _HopelessError:
        pass
    problems.left_out += composer.unfinished
    problems.drop_values()
    problems.raise_any()
    return None


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> Explanation:
    if "nesting depth" in str(error.problem or error.context):
        # Since PyYAML 6.0.4, libyaml has its own limit. It reads up to 1,024 characters ahead of its events, so it may
        # reach its limit before the composer has seen the first bracket.
        mark = error.problem_mark or error.context_mark
        return mark.line + 1 if mark else 1, *_TOO_DEEP
    return explain(error, text)


class _Pieces:
    """
    A text as a stream. The parser asks for a few kilobytes at a time, and other threads can run between two pieces.

    With the whole text, they could not run while the parser reads a comment or a value of megabytes.
    """

    name = "<text>"

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def read(self, size: int) -> str:
        """The next piece."""
        piece = self._text[self._at : self._at + size]
        self._at += size
        return piece


class _HopelessError(Exception):
    """The rest of the text cannot be read. The problem is already added."""


class _Composer:
    """Builds the tree from the parser's events."""

    def __init__(self, problems: Problems) -> None:
        self.line = 1
        self._problems = problems
        self._events: Iterator[Any] = iter(())
        self._path: list[str | int] = []
        self._count = 0
        self._anchors: dict[str, tuple[Value, int] | None] = {}
        self._keys: dict[str, str] = {}
        self.unfinished: list[Value] = []

    def read(self, events: Iterator[Any]) -> Value | None:
        """
        The document; ``None`` if there is none.

        Raises:
            _HopelessError: The rest of the text cannot be read. The problem is already added.
        """
        self._events = events
        root: Value | None = None
        for event in events:
            self.line = event.start_mark.line + 1
            if isinstance(event, yaml.NodeEvent):
                root = self._value(event)
            elif isinstance(event, yaml.DocumentStartEvent) and root is not None:
                self._give_up("a second document", "one document a file")
        return root

    def _value(self, event: Any, *around: str | int) -> Value:
        """
        The value that begins with this event.

        Args:
            around: The key or index of the value.
        """
        if type(event) is yaml.ScalarEvent and _is_plain(event):
            return _text(event)
        self._path += around
        self.line = event.start_mark.line + 1
        value = self._named(event) if isinstance(event, yaml.AliasEvent) else self._whole(event)
        if around:
            self._path.pop()
        return value

    def _whole(self, event: Any) -> Value:
        if event.tag not in _TAGS_OF_PLAIN_VALUES:
            found, accepted = "a YAML tag", "values without tags; text that begins with ! in quotes"
            self._problems.add_line(self.line, found, accepted, self._path)
        before = self._count
        many_lines = event.end_mark.line > event.start_mark.line
        if isinstance(event, yaml.ScalarEvent):
            value: Value = ManyLines(event.value) if event.value and many_lines else _text(event)
        else:
            if len(self._path) >= DEEPEST:
                self._give_up(*_TOO_DEEP)
            if event.anchor is not None:
                self._anchors[event.anchor] = None
            value = (self._list if isinstance(event, yaml.SequenceStartEvent) else self._map)(self.line)
        if event.anchor is not None:
            self._anchors[event.anchor] = value, self._count - before
        return value

    def _list(self, line: int) -> List:
        node = List(line)
        self.unfinished.append(node)
        for event in self._events:
            if type(event) is yaml.SequenceEndEvent:
                break
            node.lines.append(event.start_mark.line + 1)
            node.append(self._value(event, len(node)))
        self._add(len(node))
        self.unfinished.pop()
        return node

    def _map(self, line: int) -> Map:
        node = Map(line)
        self.unfinished.append(node)
        merged: list[Map] = []
        for event in self._events:
            if type(event) is yaml.MappingEndEvent:
                break
            at = event.start_mark.line + 1
            if len(node) >= MOST_KEYS:
                self.line = line
                self._give_up(f"a mapping of over {MOST_KEYS:,} keys", "fewer keys")
            key = self._value(event, "?")
            merges = key == "<<" and event.implicit[0]
            value = self._value(next(self._events), key if isinstance(key, str) else "?")
            if merges:
                self._problems.left_out.append(value)
                merged += self._merged(value, at)
            elif not isinstance(key, str):
                self._problems.left_out += key, value
                self._problems.add_line(at, f"{describe(key)} as a key", "text", self._path)
            elif key in node:
                self._problems.left_out.append(value)
                name = self._problems.showable_key(key, value) or "a key"
                first = node.line_of(key)
                self._problems.add_line(at, f"{name} again, first in line {first}", "each key once", self._path)
            else:
                # Share one string for each key: mappings repeat a few keys.
                node.put(self._keys.setdefault(key, str(key) if isinstance(key, NotText) else key), value, at)
        for source in merged:
            # A mapping's own keys win, and so do those of the mapping that is merged first.
            for key in [key for key in source if key not in node]:
                node.put(key, source[key], source.line_of(key))
        self._add(len(node))
        self.unfinished.pop()
        return node

    def _merged(self, value: Value, line: int) -> Iterator[Map]:
        """The mappings that ``<<: *source`` names: one, or a list of them."""
        for source in value if isinstance(value, List) else (value,):
            if isinstance(source, Map):
                yield source
            else:
                accepted = "<< with an alias of a mapping"
                self._problems.add_line(line, f"<< with {describe(source)}", accepted, self._path)

    def _named(self, event: Any) -> Value:
        """The value of an alias. It is shared, but counts again, since every walk over the tree visits it again."""
        named = self._anchors.get(event.anchor)
        if named is None:
            # Do not show the name: in `server_secret: *abc`, it may be a secret without quotes.
            found = "an alias inside what it names" if event.anchor in self._anchors else "an alias of nothing above"
            self._give_up(found, "aliases of finished values; text that begins with * in quotes")
        self._add(named[1])
        return named[0]

    def _add(self, count: int) -> None:
        self._count += count
        if self._count > MOST_VALUES:
            self._give_up(f"over {MOST_VALUES:,} values, with those that aliases repeat", "fewer values")

    def _give_up(self, found: str, accepted: str) -> NoReturn:
        self._problems.add_line(self.line, found, accepted)
        raise _HopelessError


def _is_plain(event: Any) -> bool:
    """Whether a scalar has no tag and no anchor, and is on one line."""
    return event.tag is None and event.anchor is None and event.start_mark.line == event.end_mark.line


def _text(event: Any) -> str:
    text: str = event.value
    return plain(text) if event.implicit[0] else text
