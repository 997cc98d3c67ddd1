"""
Rooms as a file lists them: ids, labels, thresholds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from exporter.config.errors import Problems, describe
from exporter.config.tree import Map, Place, has_control_character
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
_ROOM_KEYS: Final = frozenset({"id", "labels", "thresholds"})
_THRESHOLD_KEYS: Final = frozenset({"warning", "critical"})
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
        self._lines: dict[str, int] = {}

    def fault(self, room_id: str, line: int) -> Fault | None:
        """Why this id will not do, or ``None``, and then it counts as listed."""
        if not room_id:
            return "''", "a room id"
        if has_control_character(room_id):
            return self._problems.show_name(room_id), "a room id without control characters"
        if room_id in self._lines:
            return f"{self._problems.show_name(room_id)} again, first in line {self._lines[room_id]}", "each room once"
        if self._rule:
            # No character takes more than four bytes, so most ids need no counting.
            size = len(room_id.encode()) if len(room_id) * 4 > self._rule.max_bytes else 0
            if size > self._rule.max_bytes:
                return f"{self._problems.show_name(room_id)} of {size} bytes", f"at most {self._rule.max_bytes} bytes"
            if not self._rule.alphabet.fullmatch(room_id):
                self._odd.append(room_id)
        self._lines[room_id] = line
        return None

    def lines(self) -> Iterable[int]:
        """Of each id that was found good, in their order."""
        return self._lines.values()

    def warning(self) -> str | None:
        """How many ids hold characters that the vendor does not document, and the first few of them."""
        if not self._odd or not self._rule:
            return None
        named = ", ".join(self._problems.show_name(room_id) for room_id in self._odd[:_NAMED_ODD_IDS])
        more = ", …" if len(self._odd) > _NAMED_ODD_IDS else ""
        count = f"{len(self._odd)} of {len(self._lines)} room ids hold undocumented characters"
        return f"{count} ({named}{more}); documented are {self._rule.described}"


def read_rooms(place: Place, ids: RoomIds, default: Thresholds, problems: Problems) -> tuple[Room, ...]:
    """
    Rooms of a list of ids and of mappings with id, labels and thresholds.

    Args:
        default: The source's thresholds; a room's own take precedence, each for itself.
    """
    rooms = []
    # Most labels and thresholds repeat; one object serves all rooms that have them.
    shared: dict[Any, Any] = {}
    for item in place.items():
        value = item.value
        if isinstance(value, str):
            if fault := ids.fault(value, item.line):
                problems.add(item, *fault)
            else:
                rooms.append(Room(str(value), (), default))
        elif isinstance(value, Map):
            if room := _read_room(item, value, ids, default, problems, shared):
                rooms.append(room)
        else:
            problems.add(item, describe(value), _ROOM_ACCEPTED)
    return tuple(rooms)


def _read_room(
    place: Place, mapping: Map, ids: RoomIds, default: Thresholds, problems: Problems, shared: dict[Any, Any]
) -> Room | None:
    problems.add_unknown_keys(place, _ROOM_KEYS)
    labels: Labels = ()
    thresholds = default
    if "labels" in mapping:
        labels = read_labels(place.key("labels"), problems)
    if "thresholds" in mapping:
        thresholds = read_thresholds(place.key("thresholds"), default, problems)
    room_id = mapping.get("id")
    if not isinstance(room_id, str):
        problems.add(place.key("id"), describe(room_id), "a room id")
        return None
    if fault := ids.fault(room_id, place.line):
        problems.add(place.key("id"), *fault)
        return None
    return Room(str(room_id), shared.setdefault(labels, labels), shared.setdefault(thresholds, thresholds))


def read_labels(place: Place, problems: Problems) -> Labels:
    """Labels sorted by name; what is wrong with them is noted and left out."""
    mapping = place.value
    if not isinstance(mapping, Map):
        problems.add(place, describe(mapping), "a mapping of label names to text")
        return ()
    labels = []
    for name, text in mapping.items():
        if not _LABEL_NAME.fullmatch(name) or name in RESERVED_LABELS:
            problems.add(place.key(name), f"the label name {problems.show(name)}", _LABEL_ACCEPTED)
        elif not isinstance(text, str):
            problems.add(place.key(name), describe(text), "text")
        else:
            labels.append((name, str(text)))
    return tuple(sorted(labels))


def read_thresholds(place: Place, default: Thresholds, problems: Problems) -> Thresholds:
    """The thresholds, completed by the default ones; what is wrong with them is noted, and the default stands in."""
    mapping = place.value
    if not isinstance(mapping, Map):
        problems.add(place, describe(mapping), "a mapping with warning, critical")
        return default
    problems.add_unknown_keys(place, _THRESHOLD_KEYS)
    before = len(problems)
    warning = _read_threshold(place.key("warning"), default.warning, problems)
    critical = _read_threshold(place.key("critical"), default.critical, problems)
    if warning is not None and critical is not None and warning >= critical and len(problems) == before:
        problems.add(place, f"warning {warning} and critical {critical}", "warning below critical")
    return Thresholds(warning, critical)


def _read_threshold(place: Place, default: int | None, problems: Problems) -> int | None:
    text = place.value
    if text is None:
        return default
    if isinstance(text, str) and _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    problems.add(place, problems.show(text) if isinstance(text, str) else describe(text), _THRESHOLD_ACCEPTED)
    return default
