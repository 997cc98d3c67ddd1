"""
YAML text read into a tree. Every scalar is text: ``0123``, ``12:30`` and ``yes`` too.

Built from the parser's events, one at a time: nothing recurses, aliases share what they name instead of copying it, and
other threads can run between any two events, which they cannot while a whole file is parsed in C.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence, Sequence
from typing import Any, Final

import yaml

from exporter.config.errors import Problems, describe
from exporter.config.tree import List, ManyLines, Map, Value, speakable
from exporter.config.yaml_errors import Explanation, explain

DEEPEST: Final = 50
"""Levels of nesting; a config has seven."""
MOST_VALUES: Final = 5_000_000
"""Keys and values of a file, counted again by each alias that repeats them."""

# Not every PyYAML is built with libyaml. The parser in Python reads the same language at a tenth of the speed.
LOADER: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

_TOO_DEEP: Final = f"values nested more than {DEEPEST} deep", "fewer levels"
_TAGS_OF_PLAIN_VALUES: Final = (None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")


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


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> Explanation:
    if "nesting depth" in str(error.problem or error.context):
        # libyaml has a limit of its own since PyYAML 6.0.4. It reads up to 1,024 characters ahead of its events, so it
        # may reach its limit before the composer has seen the first bracket.
        mark = error.problem_mark or error.context_mark
        return mark.line + 1 if mark else 1, *_TOO_DEEP
    return explain(error, text)


class _HopelessError(Exception):
    """Reading on makes no sense; the problem is noted."""


class _MergeKey(str):
    """``<<`` without quotes, which as a key means: merge."""

    __slots__ = ()


class _Open:
    """
    A mapping or list that has begun and not ended.

    Args:
        items: Those of a list; of a mapping its keys and values in turn.
        lines: Of the items.
        anchor: Its name for aliases.

    Attributes:
        weight: Values inside its values, at any depth.
    """

    __slots__ = ("anchor", "items", "line", "lines", "weight")

    def __init__(self, items: list[Value], lines: MutableSequence[int], line: int, anchor: str | None) -> None:
        self.items = items
        self.lines = lines
        self.line = line
        self.anchor = anchor
        self.weight = 0

    @property
    def step(self) -> str:
        """How the value that comes next continues the key path; nothing where a key comes next."""
        if isinstance(self.items, List):
            return f"[{len(self.items)}]"
        key = self.items[-1] if len(self.items) % 2 else ""
        return f".{(isinstance(key, str) and speakable(key)) or '?'}" if key else ""


class _Composer:
    """Puts the parser's events together."""

    def __init__(self, problems: Problems) -> None:
        self.line = 1
        self._problems = problems
        self._documents: list[Value] = []
        self._top = _Open(self._documents, [], 1, None)
        self._around: list[_Open] = []
        self._anchors: dict[str, tuple[Value, int] | None] = {}
        self._shapes: dict[tuple[Value, ...], tuple[str, ...]] = {}

    def read(self, events: Iterator[Any]) -> Value | None:
        """
        Raises:
            _HopelessError: What follows is not worth a look; the problem is noted.
        """
        scalar = yaml.ScalarEvent
        steps = {
            yaml.MappingStartEvent: self._begin_map,
            yaml.MappingEndEvent: self._end_map,
            yaml.SequenceStartEvent: self._begin_list,
            yaml.SequenceEndEvent: self._end_list,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._begin_document,
        }
        for event in events:
            kind = type(event)
            if kind is scalar:
                line = event.start_mark.line + 1
                text = event.value
                if event.end_mark.line >= line or event.tag is not None or event.anchor is not None or text == "<<":
                    text = self._rare_scalar(event, line)
                top = self._top
                top.items.append(text)
                top.lines.append(line)
            elif step := steps.get(kind):
                self.line = event.start_mark.line + 1
                step(event)
        return self._documents[0] if self._documents else None

    def _rare_scalar(self, event: Any, line: int) -> str:
        self.line = line
        text: str = event.value
        if text and event.end_mark.line >= line:
            text = ManyLines(text)
        elif text == "<<" and event.implicit[0]:
            text = _MergeKey(text)
        self._check_tag(event.tag)
        if event.anchor is not None:
            self._anchors[event.anchor] = text, 0
        return text

    def _begin_document(self, _event: Any) -> None:
        if self._documents:
            self._give_up("a second document", "one document a file")

    def _begin_map(self, event: Any) -> None:
        self._begin(_Open([], [], self.line, event.anchor), event.tag)

    def _begin_list(self, event: Any) -> None:
        node = List(self.line)
        self._begin(_Open(node, node.lines, self.line, event.anchor), event.tag)

    def _begin(self, node: _Open, tag: str | None) -> None:
        self._check_tag(tag)
        if len(self._around) >= DEEPEST:
            self._give_up(*_TOO_DEEP)
        if node.anchor is not None:
            self._anchors[node.anchor] = None
        self._around.append(self._top)
        self._top = node

    def _end_list(self, _event: Any) -> None:
        done = self._top
        if isinstance(done.items, List):
            self._end(done, done.items)

    def _end_map(self, _event: Any) -> None:
        done = self._top
        keys, values, lines = tuple(done.items[::2]), done.items[1::2], list(done.lines[::2])
        shape = self._shape(keys)
        if shape is None:
            shape, values, lines = self._sort_out(keys, values, lines)
        one_line = lines.count(done.line) == len(lines)
        self._end(done, Map(shape, tuple(values), done.line, None if one_line else lines))

    def _shape(self, keys: tuple[Value, ...]) -> tuple[str, ...] | None:
        """The same keys as a mapping before had, which hundreds of thousands share; ``None`` if they need a look."""
        try:
            return self._shapes.get(keys)
        except TypeError:
            # A list as a key.
            return None

    def _sort_out(
        self, keys: tuple[Value, ...], values: list[Value], lines: Sequence[int]
    ) -> tuple[tuple[str, ...], list[Value], list[int]]:
        """Keys without those that are twice or no text, and with those that are merged."""
        found: dict[str, tuple[Value, int]] = {}
        merged: list[Map] = []
        path = _path(self._around)
        for key, value, line in zip(keys, values, lines, strict=True):
            if isinstance(key, _MergeKey):
                merged += self._merged(value, line, path)
            elif not isinstance(key, str):
                self._problems.add_line(line, f"{describe(key)} as a key", "text", path)
            elif key in found:
                name = speakable(key, value) or "a key"
                self._problems.add_line(line, f"{name} again, first in line {found[key][1]}", "each key once", path)
            else:
                found[key] = value, line
        shape = tuple(found)
        if shape == keys and "<<" not in found:
            self._shapes[keys] = shape
        for source in merged:
            for key, value in source.items():
                # A mapping's own keys win, and so do those of the mapping that is merged first.
                found.setdefault(key, (value, source.line_of(key)))
        return tuple(found), [value for value, _ in found.values()], [line for _, line in found.values()]

    def _merged(self, value: Value, line: int, path: str) -> Iterator[Map]:
        """What ``<<: *source`` names: a mapping, or a list of them."""
        for source in value if isinstance(value, List) else (value,):
            if isinstance(source, Map):
                yield source
            else:
                accepted = "<< with an alias of a mapping"
                self._problems.add_line(line, f"<< with {describe(source)}", accepted, path)

    def _end(self, done: _Open, node: Map | List) -> None:
        weight = done.weight + len(done.lines)
        if done.anchor is not None:
            self._anchors[done.anchor] = node, weight
        self._top = self._around.pop()
        self._put(node, done.line, weight)

    def _alias(self, event: Any) -> None:
        if named := self._anchors.get(event.anchor):
            value, weight = named
            self._put(value, self.line, weight)
        else:
            # Unnamed: `server_secret: *abc` may well be a secret that lacks its quotes.
            found = "an alias inside what it names" if event.anchor in self._anchors else "an alias of nothing above"
            self._give_up(found, "aliases of finished values; text that begins with * in quotes")

    def _put(self, value: Value, line: int, weight: int) -> None:
        """Aliases share what they name, but whoever walks the tree meets it anew each time: so it weighs each time."""
        top = self._top
        top.items.append(value)
        top.lines.append(line)
        top.weight += weight
        if top.weight > MOST_VALUES:
            self._give_up(f"over {MOST_VALUES:,} values, with those that aliases repeat", "fewer values")

    def _check_tag(self, tag: str | None) -> None:
        if tag not in _TAGS_OF_PLAIN_VALUES:
            path = _path([*self._around, self._top])
            found, accepted = "a YAML tag", "values without tags; text that begins with ! in quotes"
            self._problems.add_line(self.line, found, accepted, path)

    def _give_up(self, found: str, accepted: str) -> None:
        self._problems.add_line(self.line, found, accepted)
        raise _HopelessError


def _path(nodes: Sequence[_Open]) -> str:
    """The key path through these, of which the first stands for the file."""
    return "".join(node.step for node in nodes[1:]).removeprefix(".")
