"""
Rooms as a file lists them: ids, labels, thresholds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from exporter.config.errors import Problems, describe
from exporter.config.tree import List, ManyLines, Map, Place, Value, has_control_character
from exporter.model import NO_THRESHOLDS, Room, Thresholds
from exporter.vendors.codec import RoomIdRule

RESERVED_LABELS: Final = frozenset({"vendor", "api", "source", "room", "severity", "le", "quantile", "job", "instance"})
Labels: TypeAlias = tuple[tuple[str, str], ...]
Fault: TypeAlias = tuple[str, str]
"""What was found, and what is accepted."""

_SET_BY_OTHERS: Final = frozenset({"alertname", "container", "endpoint", "namespace", "pod", "service"})
_LABEL_ACCEPTED: Final = "letters, digits and _, not beginning with a digit or __; reserved are " + ", ".join(
    sorted(RESERVED_LABELS)
)
_THRESHOLD_ACCEPTED: Final = "a whole number of users, 0 or more"
_NAMED_ODD_IDS: Final = 3
_LABEL_NAME: Final = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_DASH: Final = re.compile(r"\s-\s")
_WHOLE_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_ROOM_KEYS: Final = frozenset({"id", "labels", "thresholds"})
_THRESHOLD_KEYS: Final = frozenset({"warning", "critical"})
_ROOM_ACCEPTED: Final = "a room id, or a mapping with id, labels, thresholds"
_ROOM_WITH_ID_ACCEPTED: Final = "id and the room id as its value, with labels and thresholds beside it"
_ROOMS_AS_ITEMS: Final = (
    "a list: - lobby for each room; - id: lobby for one with labels or thresholds, and those below id"
)


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
        self._joined: list[int] = []
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
        if isinstance(room_id, ManyLines) and _DASH.search(room_id):
            self._joined.append(line)
        self._lines[room_id] = line
        return None

    def lines(self) -> Iterable[int]:
        """Of each id that was found good, in their order."""
        return self._lines.values()

    def warning(self) -> str | None:
        """What looks like a mistake about these ids, in one line."""
        return "; ".join(words for words in (self._about_joined(), self._about_odd()) if words) or None

    def _about_joined(self) -> str | None:
        """Ids of which YAML has made one although they were to be several: nothing refuses those, and they read 0."""
        if not self._joined:
            return None
        return (
            f"the room id in line {self._joined[0]} goes on in the next line, where a dash is a part of it; each room "
            "begins with a dash as far in as the others"
        )

    def _about_odd(self) -> str | None:
        """How many ids hold characters that the vendor does not document, and the first few of them."""
        if not self._odd or not self._rule:
            return None
        named = ", ".join(self._problems.show_name(room_id) for room_id in self._odd[:_NAMED_ODD_IDS])
        more = ", …" if len(self._odd) > _NAMED_ODD_IDS else ""
        count = f"{len(self._odd)} of {len(self._lines)} room ids hold undocumented characters"
        return f"{count} ({named}{more}); documented are {self._rule.described}"


@dataclass(frozen=True, slots=True)
class Defaults:
    """Labels and thresholds for several rooms: those of a source hold, key by key, where a room has none of its own."""

    labels: Labels = ()
    thresholds: Thresholds = NO_THRESHOLDS

    def over(self, default: Defaults) -> Defaults:
        """These, completed by the default ones."""
        if default == NO_DEFAULTS:
            return self
        labels = {**dict(default.labels), **dict(self.labels)} if default.labels and self.labels else None
        return Defaults(
            self.labels or default.labels if labels is None else tuple(sorted(labels.items())),
            self.thresholds.over(default.thresholds),
        )


NO_DEFAULTS: Final = Defaults()


def about_labels(all_labels: Iterable[Labels]) -> str | None:
    """Which of these labels will not be seen as they are written, and why."""
    names = {name for labels in set(all_labels) for name, _ in labels} & _SET_BY_OTHERS
    if not names:
        return None
    return f"Prometheus' operator or an alert sets these labels, too, and its own win: {', '.join(sorted(names))}"


def read_rooms(place: Place, ids: RoomIds, defaults: Defaults, problems: Problems) -> tuple[Room, ...]:
    """
    Rooms of a list of ids and of mappings with id, labels and thresholds; none if it is no list, which is noted.

    Args:
        defaults: The source's labels and thresholds; a room's own take precedence, each for itself.
    """
    if not isinstance(place.value, List):
        problems.add(place, *_no_list(place.value))
        return ()
    rooms = []
    # Most labels and thresholds repeat; one object serves all rooms that have them.
    shared: dict[Any, Any] = {}
    for item in place.items():
        value = item.value
        if isinstance(value, str):
            if fault := ids.fault(value, item.line):
                problems.add(item, *fault)
            else:
                rooms.append(Room(str(value), defaults.labels, defaults.thresholds))
        elif isinstance(value, Map):
            if room := _read_room(item, value, ids, defaults, problems, shared):
                rooms.append(room)
        else:
            problems.add(item, describe(value), _ROOM_ACCEPTED)
    return tuple(rooms)


def _no_list(value: Value | None) -> Fault:
    if isinstance(value, Map):
        return "a mapping", _ROOMS_AS_ITEMS
    if isinstance(value, str) and value.startswith("-"):
        return "text that begins with a dash", "a list: a dash and a space before each room"
    return describe(value), "a list of rooms, such as [lobby, stage]"


def _read_room(
    place: Place, mapping: Map, ids: RoomIds, defaults: Defaults, problems: Problems, shared: dict[Any, Any]
) -> Room | None:
    if "id" not in mapping and not _ROOM_KEYS.issuperset(mapping.keys()):
        problems.add(place, "a mapping without id", _ROOM_WITH_ID_ACCEPTED)
        return None
    problems.add_unknown_keys(place, _ROOM_KEYS)
    own = read_own(place, defaults.thresholds, problems)
    room_id = mapping.get("id")
    if not isinstance(room_id, str):
        problems.add(place.key("id"), describe(room_id), "a room id")
        return None
    if fault := ids.fault(room_id, place.line):
        problems.add(place.key("id"), *fault)
        return None
    both = own.over(defaults)
    return Room(
        str(room_id), shared.setdefault(both.labels, both.labels), shared.setdefault(both.thresholds, both.thresholds)
    )


def read_own(place: Place, default: Thresholds, problems: Problems) -> Defaults:
    """
    The labels and thresholds that stand here, without the source's.

    Args:
        default: The source's thresholds, with which they must go together.
    """
    mapping = place.value
    if not isinstance(mapping, Map):
        return NO_DEFAULTS
    labels = read_labels(place.key("labels"), problems) if "labels" in mapping else ()
    if "thresholds" not in mapping:
        return Defaults(labels)
    return Defaults(labels, read_thresholds(place.key("thresholds"), default, problems))


def read_labels(place: Place, problems: Problems) -> Labels:
    """Labels sorted by name; what is wrong with them is noted and left out."""
    mapping = place.value
    if not isinstance(mapping, Map):
        problems.add(place, describe(mapping), "a mapping such as {event: launch}")
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
    """
    The thresholds that stand here; what is wrong with them is noted and left out.

    Args:
        default: What completes them; a warning must stay below a critical threshold then.
    """
    mapping = place.value
    if not isinstance(mapping, Map):
        problems.add(place, describe(mapping), "a mapping such as {warning: 800, critical: 950}")
        return NO_THRESHOLDS
    problems.add_unknown_keys(place, _THRESHOLD_KEYS)
    before = len(problems)
    own = Thresholds(_read_threshold(place.key("warning"), problems), _read_threshold(place.key("critical"), problems))
    both = own.over(default)
    if not both.in_order and len(problems) == before:
        problems.add(place, f"warning {both.warning} and critical {both.critical}", "warning below critical")
    return own


def _read_threshold(place: Place, problems: Problems) -> int | None:
    text = place.value
    if text is None:
        return None
    if isinstance(text, str) and _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    problems.add(place, problems.show(text) if isinstance(text, str) else describe(text), _THRESHOLD_ACCEPTED)
    return None
