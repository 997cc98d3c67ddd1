"""
A rooms file: Prometheus' file_sd form in YAML or JSON, or one room id a line in ``*.txt``.

```yaml
- targets: [lobby, stage]
  labels: {event: launch}
```

In ``*.txt`` blank lines and lines that begin with ``#`` mean nothing, and spaces around an id are not part of it. A
file without a single value is refused, as it is most likely about to be written; ``[]``, or a comment in ``*.txt``,
says that there are no rooms.
"""

from __future__ import annotations

import io
import re
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.config import ConfigError, SourceConfig
from exporter.config.errors import Problems, describe
from exporter.config.files import decode, read_file
from exporter.config.garbage import collection_paused
from exporter.config.room_list import RoomIds, read_labels
from exporter.config.tree import List, Map, Place, dismantle
from exporter.config.yaml_text import compose
from exporter.model import Room

_GROUP_KEYS: Final = frozenset({"targets", "labels"})
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
class Listing:
    """
    What a rooms file lists.

    Args:
        lines: Of each room, in the same order.
        warning: About ids with characters that the vendor does not document.
    """

    rooms: tuple[Room, ...]
    lines: array[int]
    warning: str | None = None


def read_rooms_file(path: Path | str, config: SourceConfig) -> tuple[Room, ...]:
    """
    The file's rooms, with the thresholds of the source. Blocks.

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
    rooms: tuple[Room, ...] = ()
    unread = True
    try:
        data = read_file(Path(path), problems)
        unread = data is None
        text = decode(data, problems) if data is not None else None
        if text is not None:
            rooms = _read(text, Path(path).suffix, config, ids, problems)
        problems.raise_any()
    except ConfigError as error:
        more = f" (and {error.count - 1} more)" if error.count > 1 else ""
        raise RoomsFileError(error.problems[0] + more, passing=unread) from None
    return Listing(rooms, array("I", ids.lines()), ids.warning())


def _read(text: str, suffix: str, config: SourceConfig, ids: RoomIds, problems: Problems) -> tuple[Room, ...]:
    with collection_paused():
        if suffix == ".txt":
            return _read_lines(text, config, ids, problems)
        root = compose(_as_yaml(text) if suffix == ".json" else text, problems)
        rooms = _read_groups(Place(root), config, ids, problems)
        dismantle(root)
    return rooms


def _read_lines(text: str, config: SourceConfig, ids: RoomIds, problems: Problems) -> tuple[Room, ...]:
    if not text:
        problems.add_line(1, "nothing", "room ids, one a line")
    rooms = []
    for number, line in enumerate(io.StringIO(text), start=1):
        room_id = line.strip(" \t\r\n")
        if not room_id or room_id.startswith("#"):
            continue
        if fault := ids.fault(room_id, number):
            problems.add_line(number, *fault)
        else:
            rooms.append(Room(room_id, (), config.thresholds))
    return tuple(rooms)


def _as_yaml(json: str) -> str:
    """JSON is YAML but for two things: tabs, and characters written as two halves."""
    return _SURROGATES.sub(_character, json.replace("\t", " "))


def _character(match: re.Match[str]) -> str:
    high, low = match.groups()
    if high is None:
        return match[0]
    return bytes.fromhex(high + low).decode("utf-16-be")


def _read_groups(place: Place, config: SourceConfig, ids: RoomIds, problems: Problems) -> tuple[Room, ...]:
    if not isinstance(place.value, List):
        problems.add(place, describe(place.value), _GROUPS_ACCEPTED)
        return ()
    return tuple(room for group in place.items() for room in _read_group(group, config, ids, problems))


def _read_group(place: Place, config: SourceConfig, ids: RoomIds, problems: Problems) -> list[Room]:
    group = place.value
    if not isinstance(group, Map):
        problems.add(place, describe(group), "a mapping with targets, labels")
        return []
    problems.add_unknown_keys(place, _GROUP_KEYS)
    labels = read_labels(place.key("labels"), problems) if "labels" in group else ()
    targets = place.key("targets")
    if not isinstance(targets.value, List):
        problems.add(targets, describe(targets.value), "a list of room ids")
        return []
    rooms = []
    for target in targets.items():
        room_id = target.value
        if not isinstance(room_id, str):
            problems.add(target, describe(room_id), "a room id")
        elif fault := ids.fault(room_id, target.line):
            problems.add(target, *fault)
        else:
            rooms.append(Room(str(room_id), labels, config.thresholds))
    return rooms
