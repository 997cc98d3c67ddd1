"""
Rooms as a file lists them: ids, labels, thresholds.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from exporter.config.errors import Problems, describe
from exporter.config.tree import List, Map, Place, Value, has_control_character
from exporter.model import Room, Thresholds
from exporter.vendors.codec import RoomIdRule

RESERVED_LABELS: Final = frozenset({"vendor", "api", "source", "room", "severity", "le", "quantile", "job", "instance"})
Labels: TypeAlias = tuple[tuple[str, str], ...]
Fault: TypeAlias = tuple[str, str]
"""What was found, and what is accepted."""

_LABEL_ACCEPTED: Final = "letters, digits and _, not beginning with a digit or __; reserved are " + ", ".join(
    sorted(RESERVED_LABELS)
)
_THRESHOLD_ACCEPTED: Final = "a whole number of users, 0 or more"
_NAMED_ODD_IDS: Final = 3
_LABEL_NAME: Final = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_WHOLE_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_ROOM_KEYS: Final = ("id", "labels", "thresholds")
_ROOM_ACCEPTED: Final = "a room id, or a mapping with id, labels, thresholds"


class RoomIds:
    """
    The room ids of one source or one file, checked one by one.

    Args:
        rule: The API's; ``None`` while it is not known which API that is.
    """

    def __init__(self, rule: RoomIdRule | None, problems: Problems) -> None:
        self._rule = rule
        self._problems = problems
        self._odd: list[str] = []
        self.lines: dict[str, int] = {}

    def fault(self, room_id: str, line: int) -> Fault | None:
        """Why this id will not do, or ``None``, and then it counts as listed."""
        if not room_id:
            return "''", "a room id"
        if has_control_character(room_id):
            return self._problems.show(room_id), "a room id without control characters"
        if room_id in self.lines:
            return f"{self._problems.show(room_id)} again, first in line {self.lines[room_id]}", "each room once"
        if self._rule:
            # No character takes more than four bytes, so most ids need no counting.
            size = len(room_id.encode()) if len(room_id) * 4 > self._rule.max_bytes else 0
            if size > self._rule.max_bytes:
                return f"{self._problems.show(room_id)} of {size} bytes", f"at most {self._rule.max_bytes} bytes"
            if not self._rule.alphabet.fullmatch(room_id):
                self._odd.append(room_id)
        self.lines[room_id] = line
        return None

    def warning(self) -> str | None:
        """How many ids hold characters that the vendor does not document, and the first few of them."""
        if not self._odd or not self._rule:
            return None
        named = ", ".join(self._problems.show(room_id) for room_id in self._odd[:_NAMED_ODD_IDS])
        more = ", …" if len(self._odd) > _NAMED_ODD_IDS else ""
        count = f"{len(self._odd)} of {len(self.lines)} room ids hold undocumented characters"
        return f"{count} ({named}{more}); documented are {self._rule.described}"


def read_rooms(items: List, place: Place, ids: RoomIds, default: Thresholds, problems: Problems) -> tuple[Room, ...]:
    """
    Rooms of a list of ids and of mappings with id, labels and thresholds.

    Args:
        default: The source's thresholds; a room's own take precedence, each for itself.
    """
    rooms = []
    for index, item in enumerate(items):
        if isinstance(item, str):
            if fault := ids.fault(item, items.lines[index]):
                problems.add(place.item(items, index), *fault)
            else:
                rooms.append(Room(item, (), default))
        elif isinstance(item, Map):
            if room := _read_room(item, place.item(items, index), ids, default, problems):
                rooms.append(room)
        else:
            problems.add(place.item(items, index), describe(item), _ROOM_ACCEPTED)
    return tuple(rooms)


def _read_room(item: Map, place: Place, ids: RoomIds, default: Thresholds, problems: Problems) -> Room | None:
    problems.add_unknown_keys(place, item, _ROOM_KEYS)
    labels = read_labels(item["labels"], place.key(item, "labels"), problems) if "labels" in item else ()
    thresholds = default
    if "thresholds" in item:
        thresholds = read_thresholds(item["thresholds"], place.key(item, "thresholds"), default, problems)
    room_id = item.get("id")
    if not isinstance(room_id, str):
        problems.add(place.key(item, "id"), describe(room_id), "a room id")
        return None
    if fault := ids.fault(room_id, item.line_of("id")):
        problems.add(place.key(item, "id"), *fault)
        return None
    return Room(room_id, labels, thresholds)


def read_labels(value: Value, place: Place, problems: Problems) -> Labels:
    """Labels sorted by name; what is wrong with them is noted and left out."""
    if not isinstance(value, Map):
        problems.add(place, describe(value), "a mapping of label names to text")
        return ()
    labels = []
    for name, text in value.items():
        if not _LABEL_NAME.fullmatch(name) or name in RESERVED_LABELS:
            problems.add(place.key(value, name), f"the label name {problems.show(name)}", _LABEL_ACCEPTED)
        elif not isinstance(text, str):
            problems.add(place.key(value, name), describe(text), "text")
        else:
            labels.append((name, text))
    return tuple(sorted(labels))


def read_thresholds(value: Value, place: Place, default: Thresholds, problems: Problems) -> Thresholds:
    """The thresholds, completed by the default ones; what is wrong with them is noted, and the default stands in."""
    if not isinstance(value, Map):
        problems.add(place, describe(value), "a mapping with warning, critical")
        return default
    problems.add_unknown_keys(place, value, ("warning", "critical"))
    before = len(problems)
    merged = Thresholds(
        warning=_read_threshold(value, "warning", place, default.warning, problems),
        critical=_read_threshold(value, "critical", place, default.critical, problems),
    )
    if before == len(problems) and not _ascending(merged):
        problems.add(place, f"warning {merged.warning} and critical {merged.critical}", "warning below critical")
    return merged


def _read_threshold(value: Map, key: str, place: Place, default: int | None, problems: Problems) -> int | None:
    text = value.get(key)
    if text is None:
        return default
    if isinstance(text, str) and _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    found = problems.show(text) if isinstance(text, str) else describe(text)
    problems.add(place.key(value, key), found, _THRESHOLD_ACCEPTED)
    return default


def _ascending(thresholds: Thresholds) -> bool:
    return thresholds.warning is None or thresholds.critical is None or thresholds.warning < thresholds.critical
