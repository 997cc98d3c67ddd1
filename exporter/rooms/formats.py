"""
The formats of a rooms file: Prometheus' file_sd format in YAML or JSON, or one room id per line in ``*.txt``.

```yaml
- targets: [lobby, stage]
  labels: {event: launch}
  thresholds: {critical: 5000}    # our addition, as in the config
```

In ``*.txt``, blank lines and lines that begin with ``#`` are ignored, and spaces around an id are not part of it. An
empty file is refused, since a program has probably just begun to write it. ``[]``, or a comment in ``*.txt``, says that
there are no rooms.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Final, NamedTuple

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from exporter.config import ConfigError, SourceConfig
from exporter.config.errors import Problems
from exporter.config.files import decode, read_file
from exporter.config.garbage import collection_paused
from exporter.config.rooms import (
    NO_DEFAULTS,
    Context,
    Defaults,
    Info,
    LabelsField,
    RoomId,
    ThresholdsField,
    begin_list,
    capped,
)
from exporter.config.validation import Keys, fault, faults, kind, validate, words
from exporter.config.values import List, Map, NotText, describe
from exporter.config.yaml_text import compose
from exporter.model import NO_THRESHOLDS, Room

_GROUPS_ACCEPTED: Final = "a list such as [{targets: [lobby, stage], labels: {event: launch}}]"
_PIECE: Final = 64 * 1024
_LONGEST_LINE: Final = 10_000
"""Characters of a line that are read. Every room id is far shorter."""

_SURROGATES: Final = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|\\.", re.IGNORECASE | re.DOTALL)


class RoomsFileError(Exception):
    """
    A rooms file cannot be used: its first problem, and the number of further ones, in one line.

    Args:
        passing: Whether another attempt may succeed with the same file, for instance if this process had no free file
            descriptor.
    """

    def __init__(self, words: str, *, passing: bool = False) -> None:
        super().__init__(words)
        self.passing = passing


class Group(NamedTuple):
    """Rooms that a file lists together, with their common labels and thresholds."""

    room_ids: Sequence[str]
    own: Defaults


def _target(value: object, info: Info) -> str:
    info.context.step()
    if not isinstance(value, str):
        raise fault("a room id; labels and thresholds stand beside targets", describe(value))
    if isinstance(value, NotText):
        raise fault("a room id as text, in quotes if need be", value.kind)
    return info.context.check(value)


def _targets(value: object, info: Info) -> List:
    return begin_list(value, info, "a list of room ids, such as [lobby, stage]")


def _without_nulls(labels: object) -> object:
    """Refuses unquoted ``null`` as a label's value: the program that wrote the file meant "no value"."""
    if isinstance(labels, Map):
        nulls = [name for name, text in labels.items() if text and isinstance(text, NotText) and text.kind == "null"]
        if nulls:
            raise faults([((name,), fault("text, or no such label", "null")) for name in nulls])
    return labels


class GroupKeys(Keys):
    """The keys of a group in the file."""

    targets: Annotated[tuple[Annotated[str, capped(_target, RoomId)], ...], BeforeValidator(_targets)] = Field(
        (), validate_default=True
    )
    labels: Annotated[LabelsField, BeforeValidator(_without_nulls)] = ()
    thresholds: ThresholdsField = NO_THRESHOLDS


def _group(value: object, info: Info) -> Group:
    if not isinstance(value, Map):
        raise fault("a mapping with targets, labels, thresholds", describe(value))
    keys = GroupKeys.model_validate(value, context=info.context)
    return Group(keys.targets, info.context.shared(Defaults(keys.labels, keys.thresholds)))


_Groups = Annotated[list[Annotated[Group, capped(_group, GroupKeys)]], kind(List, _GROUPS_ACCEPTED)]


@dataclass(frozen=True, slots=True)
class Listing:
    """
    What a rooms file lists.

    Args:
        rooms: Rooms; those without labels or thresholds of their own have the source's.
        lines: Line of each room, in the same order.
        own: The group's own labels and thresholds, group by group.
        sizes: Number of rooms of each group. A file may have 100,000 groups, so nothing else is kept of them.
        warning: What is accepted but looks like a mistake.
    """

    rooms: tuple[Room, ...] = ()
    lines: Sequence[int] = ()
    own: tuple[Defaults, ...] = ()
    sizes: Sequence[int] = ()
    warning: str | None = None

    def under(self, defaults: Defaults) -> Listing:
        """The same file in a source with these labels and thresholds."""
        room_ids = iter([room.id for room in self.rooms])
        groups = zip(self.sizes, self.own, strict=True)
        return replace(self, rooms=_rooms((Group([*islice(room_ids, size)], own) for size, own in groups), defaults))

    @property
    def has_thresholds(self) -> bool:
        """Whether the file has thresholds of its own."""
        return any(own.thresholds != NO_THRESHOLDS for own in self.own)


NOTHING: Final = Listing()


def read_rooms_file(path: Path | str, config: SourceConfig) -> tuple[Room, ...]:
    """
    The file's rooms, with the labels and thresholds of the source. Blocks.

    Raises:
        RoomsFileError: The file cannot be read, or a part of it is not valid.
    """
    return read_listing(path, config).rooms


def read_listing(path: Path | str, config: SourceConfig) -> Listing:
    """
    The file's rooms and their lines. Blocks.

    Raises:
        RoomsFileError: The file cannot be read, or a part of it is not valid.
    """
    context = Context(Problems(path), rule=config.codec.room_ids, defaults=config.defaults)
    problems = context.problems
    unread = True
    try:
        data = read_file(Path(path), problems)
        unread = data is None
        text = decode(data, problems) if data is not None else None
        # The temporary objects are gone before the garbage collector runs again.
        with collection_paused():
            listing = _listing(_read(text, Path(path).suffix, context) if text is not None else [], context)
        problems.raise_any()
        return listing
    except ConfigError as error:
        more = f" (and {error.count - 1} more)" if error.count > 1 else ""
        raise RoomsFileError(error.problems[0] + more, passing=unread) from None


def _listing(groups: list[Group], context: Context) -> Listing:
    own, sizes = list[Defaults](), array("I")

    def one_by_one() -> Iterator[Group]:
        # To free 100,000 groups in one step would block other threads.
        groups.reverse()
        while groups:
            group = groups.pop()
            own.append(group.own)
            sizes.append(len(group.room_ids))
            yield group

    rooms = _rooms(one_by_one(), context.defaults)
    warning = "; ".join(context.warnings(each.labels for each in own)) or None
    return Listing(rooms, array("I", context.lines.values()), tuple(own), sizes, warning)


def _rooms(groups: Iterable[Group], defaults: Defaults) -> tuple[Room, ...]:
    rooms: list[Room] = []
    with collection_paused():
        for group in groups:
            both = group.own.over(defaults)
            rooms += [Room(room_id, both.labels, both.thresholds) for room_id in group.room_ids]
    return tuple(rooms)


def _read(text: str, suffix: str, context: Context) -> list[Group]:
    if suffix == ".txt":
        return [Group(_read_lines(text, context), NO_DEFAULTS)]
    compose(_as_yaml(text) if suffix == ".json" else text, context.problems)
    groups: list[Group] = validate(_Groups, context.problems, context) or []
    context.problems.drop_values()
    return groups


def _read_lines(text: str, context: Context) -> list[str]:
    problems = context.problems
    if not text:
        problems.add_line(1, "nothing", "room ids, one a line")
    room_ids = []
    for number, line in enumerate(_lines(text), start=1):
        room_id = line.strip(" \t\r")[:_LONGEST_LINE]
        if not room_id or room_id.startswith("#"):
            continue
        try:
            room_ids.append(context.check(room_id, number))
        except PydanticCustomError as error:
            accepted, found = words(error)
            problems.add_line(number, found.replace("{}", problems.show_name(room_id)), accepted)
    return room_ids


def _lines(text: str) -> Iterator[str]:
    """Lines of a text, split piece by piece, so that other threads can run between two pieces."""
    at = 0
    while at < len(text):
        end = text.find("\n", at + _PIECE)
        end = len(text) if end < 0 else end
        yield from text[at:end].split("\n")
        at = end + 1


def _as_yaml(json: str) -> str:
    """JSON as YAML. Two things differ: tabs, and characters written as surrogate pairs."""
    return _SURROGATES.sub(_character, json.replace("\t", " "))


def _character(match: re.Match[str]) -> str:
    high, low = match.groups()
    if high is None:
        return match[0]
    return bytes.fromhex(high + low).decode("utf-16-be")
