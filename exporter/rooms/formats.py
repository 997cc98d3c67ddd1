"""
A rooms file: Prometheus' file_sd form in YAML or JSON, or one room id a line in ``*.txt``.

```yaml
- targets: [lobby, stage]
  labels: {event: launch}
  thresholds: {critical: 5000}    # of ours, as in the config
```

In ``*.txt`` blank lines and lines that begin with ``#`` mean nothing, and spaces around an id are not part of it. A
file without a single value is refused, as it is most likely about to be written; ``[]``, or a comment in ``*.txt``,
says that there are no rooms.
"""

from __future__ import annotations

import io
import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

from exporter.config import ConfigError, SourceConfig
from exporter.config.errors import Problems, describe
from exporter.config.files import decode, read_file
from exporter.config.garbage import collection_paused
from exporter.config.room_list import NO_DEFAULTS, Defaults, RoomIds, about_labels, read_own
from exporter.config.tree import List, Map, Place, dismantle
from exporter.config.yaml_text import compose
from exporter.model import NO_THRESHOLDS, Room

_GROUP_KEYS: Final = frozenset({"targets", "labels", "thresholds"})
_GROUPS_ACCEPTED: Final = "a list such as [{targets: [lobby, stage], labels: {event: launch}}]"
_SURROGATES: Final = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|\\.", re.IGNORECASE | re.DOTALL)


class RoomsFileError(Exception):
    """
    A rooms file that cannot be used: its first problem, and how many more there are, in one line.

    Args:
        passing: Whether another try may succeed though the file stays as it is: this process ran out of descriptors.
    """

    def __init__(self, words: str, *, passing: bool = False) -> None:
        super().__init__(words)
        self.passing = passing


@dataclass(frozen=True, slots=True)
class Group:
    """Rooms that a file lists together, with the labels and thresholds that stand beside them."""

    room_ids: Sequence[str]
    own: Defaults


@dataclass(frozen=True, slots=True)
class Listing:
    """
    What a rooms file lists.

    Args:
        rooms: With the labels and thresholds of the source where they have none of their own.
        lines: Of each room, in the same order.
        own: What stood beside the rooms, group by group.
        sizes: Of these groups. A file may have 100,000 of them, so nothing else is kept of each.
        warning: About what looks like a mistake.
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
        RoomsFileError: The file cannot be read, or not all of it.
    """
    return read_listing(path, config).rooms


def read_listing(path: Path | str, config: SourceConfig) -> Listing:
    """
    The file's rooms and where they stand. Blocks.

    Raises:
        RoomsFileError: The file cannot be read, or not all of it.
    """
    problems = Problems(path)
    ids = RoomIds(config.codec.room_ids, problems)
    groups: list[Group] = []
    unread = True
    try:
        data = read_file(Path(path), problems)
        unread = data is None
        text = decode(data, problems) if data is not None else None
        if text is not None:
            groups = _read(text, Path(path).suffix, config, ids, problems)
        problems.raise_any()
    except ConfigError as error:
        more = f" (and {error.count - 1} more)" if error.count > 1 else ""
        raise RoomsFileError(error.problems[0] + more, passing=unread) from None
    own = tuple(group.own for group in groups)
    about = (ids.warning(), about_labels(each.labels for each in own))
    return Listing(
        rooms=_rooms(groups, config.defaults),
        lines=array("I", ids.lines()),
        own=own,
        sizes=array("I", [len(group.room_ids) for group in groups]),
        warning="; ".join(words for words in about if words) or None,
    )


def _rooms(groups: Iterable[Group], defaults: Defaults) -> tuple[Room, ...]:
    rooms: list[Room] = []
    with collection_paused():
        for group in groups:
            both = group.own.over(defaults)
            rooms += [Room(room_id, both.labels, both.thresholds) for room_id in group.room_ids]
    return tuple(rooms)


def _read(text: str, suffix: str, config: SourceConfig, ids: RoomIds, problems: Problems) -> list[Group]:
    with collection_paused():
        if suffix == ".txt":
            return [Group(_read_lines(text, ids, problems), NO_DEFAULTS)]
        root = compose(_as_yaml(text) if suffix == ".json" else text, problems)
        groups = _read_groups(Place(root), config, ids, problems)
        dismantle(root)
    return groups


def _read_lines(text: str, ids: RoomIds, problems: Problems) -> list[str]:
    if not text:
        problems.add_line(1, "nothing", "room ids, one a line")
    room_ids = []
    for number, line in enumerate(io.StringIO(text), start=1):
        room_id = line.strip(" \t\r\n")
        if not room_id or room_id.startswith("#"):
            continue
        if fault := ids.fault(room_id, number):
            problems.add_line(number, *fault)
        else:
            room_ids.append(room_id)
    return room_ids


def _as_yaml(json: str) -> str:
    """JSON is YAML but for two things: tabs, and characters written as two halves."""
    return _SURROGATES.sub(_character, json.replace("\t", " "))


def _character(match: re.Match[str]) -> str:
    high, low = match.groups()
    if high is None:
        return match[0]
    return bytes.fromhex(high + low).decode("utf-16-be")


def _read_groups(place: Place, config: SourceConfig, ids: RoomIds, problems: Problems) -> list[Group]:
    if not isinstance(place.value, List):
        problems.add(place, describe(place.value), _GROUPS_ACCEPTED)
        return []
    return [_read_group(group, config, ids, problems) for group in place.items()]


def _read_group(place: Place, config: SourceConfig, ids: RoomIds, problems: Problems) -> Group:
    group = place.value
    if not isinstance(group, Map):
        problems.add(place, describe(group), "a mapping with targets, labels, thresholds")
        return Group((), NO_DEFAULTS)
    problems.add_unknown_keys(place, _GROUP_KEYS)
    own = read_own(place, config.defaults.thresholds, problems)
    targets = place.key("targets")
    if not isinstance(targets.value, List):
        problems.add(targets, describe(targets.value), "a list of room ids, such as [lobby, stage]")
        return Group((), own)
    room_ids = []
    for target in targets.items():
        room_id = target.value
        if not isinstance(room_id, str):
            problems.add(target, describe(room_id), "a room id; labels and thresholds stand beside targets")
        elif fault := ids.fault(room_id, target.line):
            problems.add(target, *fault)
        else:
            room_ids.append(str(room_id))
    return Group(room_ids, own)
