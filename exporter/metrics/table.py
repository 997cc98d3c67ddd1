r"""
The last reading of every room, kept as ready-to-send lines.

A table holds one ``SourceTable`` per source. Each has a column of sample lines per family, and a room is one row in
all of them::

    row   rtc_room_users                     rtc_room_exists  ...
    0     b'rtc_room_users{...} 12\n'       b'rtc_room_exists{...} 1\n'
    1     b''                                b''               (nothing known of this room)

A new reading replaces the value at the end of its lines and nothing else, so a scrape is a copy of the columns, which
``pages`` shares with its snapshots. Rows of rooms that went away are reused. Ages are monotonic: a source's readings
are kept in order of arrival, so that the expired ones stand in front, and every snapshot drops these first.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec

from exporter.metrics import catalogue
from exporter.metrics.catalogue import Metric
from exporter.metrics.pages import ABSENT, ROWS, Page, Pages
from exporter.model import ROOMS_AT_A_TIME, Reading, Room


class RoomState(StrEnum):
    """What is known of a room; the first that fits, in this order."""

    REFUSED = "refused"
    MISSING = "missing"
    FRESH = "fresh"
    HELD = "held"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RoomView:
    """
    One room as pages and JSON show it.

    Args:
        age: Seconds since the reading arrived; ``None`` when nothing is published.
    """

    room: Room
    state: RoomState
    users: int | None
    age: float | None


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """When a reply arrived: ``monotonic`` decides its age, ``unix`` is what is published."""

    monotonic: float
    unix: float


_LIVE, _MISSING, _FAILED, _REFUSED = 1, 2, 4, 8


def _state(flags: int) -> RoomState:
    if flags & _REFUSED:
        return RoomState.REFUSED
    if not flags & _LIVE:
        return RoomState.UNKNOWN
    if flags & _MISSING:
        return RoomState.MISSING
    return RoomState.HELD if flags & _FAILED else RoomState.FRESH


_STATES: Final = tuple(_state(flags) for flags in range(16))
_VALUES: Final = (
    catalogue.ROOM_USERS,
    catalogue.ROOM_ADMIN_USERS,
    catalogue.ROOM_INVISIBLE_USERS,
    catalogue.ROOM_EXISTS,
    catalogue.ROOM_READING_TIMESTAMP,
)
_LENGTHS: Final = tuple(len(metric.name) for metric in _VALUES)
_DISORDER: Final = 1.0
"""Seconds by which readings may be recorded in another order than they arrived in."""

_INFO: Final = catalogue.ROOM_METRICS.index(catalogue.ROOM_INFO)
_THRESHOLD: Final = catalogue.ROOM_METRICS.index(catalogue.ROOM_USERS_THRESHOLD)


class SourceTable:
    """
    The rooms of one source: their lines, states and ages.

    Args:
        labels: ``vendor``, ``api`` and ``source`` of every series.
        max_staleness: Seconds after which a reading is no longer published; may change while it runs.
    """

    def __init__(self, labels: Mapping[str, str], max_staleness: float) -> None:
        self.max_staleness = max_staleness
        self.version = 0
        self.users = 0
        self.states: dict[RoomState, int] = dict.fromkeys(RoomState, 0)
        self._labels = ",".join(f'{name}="{escape_label(value)}"' for name, value in labels.items())
        self._rooms: dict[str, Room] = {}
        self._rows: dict[str, int] = {}
        self._free: list[int] = []
        self._pages = Pages(len(catalogue.ROOM_METRICS))
        self._flags = bytearray()
        self._users = array("q")
        self._unix = array("d")
        self._label_lengths = array("I")
        self._arrived: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._rooms)

    def __contains__(self, room: str) -> bool:
        return room in self._rooms

    @property
    def rooms(self) -> Mapping[str, Room]:
        return self._rooms

    def watch(self, rooms: Iterable[Room]) -> None:
        """Watch exactly these rooms: new ones are unknown, others keep their reading, the rest leave nothing behind."""
        deque(self.watching(rooms), maxlen=0)

    def watching(self, rooms: Iterable[Room]) -> Iterator[None]:
        """The same step by step: whoever has many rooms lets others run in between. One change at a time."""
        wanted: dict[str, Room] = {}
        for number, room in enumerate(rooms, start=1):
            wanted[room.id] = room
            if self._rooms.get(room.id) != room:
                self._put(room)
                self.version += 1
            if number % ROOMS_AT_A_TIME == 0:
                yield
        before, self._rooms = self._rooms, wanted
        for number, room_id in enumerate(before, start=1):
            if room_id not in wanted:
                self._remove(room_id)
                self.version += 1
            if number % ROOMS_AT_A_TIME == 0:
                yield

    def record(self, room_id: str, reading: Reading, arrival: Arrival) -> float | None:
        """
        Publish a reading.

        Returns:
            Seconds since the room's previous reading, or ``None`` for the first, or for a room no longer watched.
        """
        row = self._rows.get(room_id)
        if row is None:
            return None
        previous = self._arrived.pop(room_id, None)
        self._arrived[room_id] = arrival.monotonic
        values = (
            _count(reading.users),
            _count(reading.admin_users),
            _count(reading.invisible_users),
            _count(reading.exists),
            _timestamp(arrival.unix),
        )
        columns, place, labels = self._pages.page(row).columns, row % ROWS, self._label_lengths[row]
        # The columns behind these, of what the config says, are no business of a reading.
        for lines, metric, length, value in zip(columns, _VALUES, _LENGTHS, values):  # noqa: B905
            line = lines[place]
            if value is None:
                if line:
                    lines[place] = ABSENT
            elif not line:
                lines[place] = self._line(metric, room_id, value)
            elif not line.endswith(value):
                lines[place] = line[: length + labels] + value
        self.users += reading.users - self._users[row]
        self._users[row] = reading.users
        self._unix[row] = arrival.unix
        self._set_flags(row, _LIVE | (_MISSING if reading.missing else 0))
        self.version += 1
        return None if previous is None else arrival.monotonic - previous

    def fail(self, room_id: str) -> None:
        """Note that the last poll of a room gave no reading; what is published stays until it is too old."""
        self._mark(room_id, _FAILED)

    def refuse(self, room_id: str) -> None:
        """Note that the vendor refuses to speak of this room."""
        self._mark(room_id, _FAILED | _REFUSED)

    def forgive(self) -> None:
        """Let refused rooms be judged anew, since it was the source that was at fault and not its rooms."""
        for row in self._rows.values():
            self._set_flags(row, self._flags[row] & ~_REFUSED)

    def expire(self, now: float) -> None:
        """Withdraw the readings that are older than ``max_staleness`` at this monotonic time."""
        oldest_allowed = now - self.max_staleness
        expired = []
        for room_id, arrived in self._arrived.items():
            if arrived >= oldest_allowed + _DISORDER:
                break
            if arrived < oldest_allowed:
                expired.append(room_id)
        for room_id in expired:
            self._withdraw(room_id)
        self.version += bool(expired)

    def state(self, room_id: str) -> RoomState:
        return _STATES[self._flags[self._rows[room_id]]]

    def view(self, room_id: str, now: float) -> RoomView:
        """One watched room as it stands at this monotonic time."""
        row = self._rows[room_id]
        arrived = self._arrived.get(room_id)
        if arrived is None:
            return RoomView(self._rooms[room_id], _STATES[self._flags[row]], None, None)
        return RoomView(self._rooms[room_id], _STATES[self._flags[row]], self._users[row], now - arrived)

    def states_of(self, room_ids: Iterable[str]) -> list[RoomState]:
        """The states of watched rooms, many at once."""
        return [_STATES[self._flags[row]] for row in map(self._rows.__getitem__, room_ids)]

    def users_of(self, room_ids: Iterable[str]) -> list[int | None]:
        """The published users of watched rooms, many at once; ``None`` where nothing is published."""
        flags, users = self._flags, self._users
        return [users[row] if flags[row] & _LIVE else None for row in map(self._rows.__getitem__, room_ids)]

    def values(self, room_id: str) -> dict[Metric, float]:
        """What a scrape says of one watched room now."""
        row = self._rows[room_id]
        lines = [(metric, self._pages.line(row, column)) for column, metric in enumerate(_VALUES)]
        return {metric: float(line[line.rindex(b" ") :]) for metric, line in lines if line}

    def oldest_reading(self) -> float | None:
        """Unix time of the oldest reading now published."""
        for room_id in self._arrived:
            return self._unix[self._rows[room_id]]
        return None

    def snapshot(self) -> list[Page]:
        """Every line as it is now, a column per family of ``ROOM_METRICS``; later readings do not change it."""
        return self._pages.snapshot()

    def _put(self, room: Room) -> None:
        row = self._rows.get(room.id)
        if row is None:
            row = self._rows[room.id] = self._free.pop() if self._free else self._grow()
            self._label_lengths[row] = len(self._line_labels(room.id).encode())
            self.states[RoomState.UNKNOWN] += 1
        own = "".join(f',{name}="{escape_label(value)}"' for name, value in room.labels)
        self._pages.put(row, _INFO, self._line(catalogue.ROOM_INFO, room.id, b" 1\n", own))
        thresholds = {"warning": room.thresholds.warning, "critical": room.thresholds.critical}
        lines = [
            self._line(catalogue.ROOM_USERS_THRESHOLD, room.id, b" %d\n" % value, f',severity="{severity}"')
            for severity, value in thresholds.items()
            if value is not None
        ]
        self._pages.put(row, _THRESHOLD, b"".join(lines))

    def _grow(self) -> int:
        row = len(self._flags)
        self._pages.grow(row)
        self._flags.append(0)
        self._users.append(0)
        self._unix.append(0.0)
        self._label_lengths.append(0)
        return row

    def _remove(self, room_id: str) -> None:
        self._withdraw(room_id)
        row = self._rows.pop(room_id)
        self.states[_STATES[self._flags[row]]] -= 1
        self._flags[row] = 0
        for column in (_INFO, _THRESHOLD):
            self._pages.put(row, column, ABSENT)
        self._free.append(row)

    def _withdraw(self, room_id: str) -> None:
        row = self._rows[room_id]
        self._arrived.pop(room_id, None)
        for column in range(len(_VALUES)):
            self._pages.put(row, column, ABSENT)
        self.users -= self._users[row]
        self._users[row] = 0
        self._set_flags(row, self._flags[row] & (_FAILED | _REFUSED))

    def _mark(self, room_id: str, flags: int) -> None:
        row = self._rows.get(room_id)
        if row is not None:
            self._set_flags(row, self._flags[row] | flags)

    def _set_flags(self, row: int, flags: int) -> None:
        before = self._flags[row]
        if before != flags:
            self.states[_STATES[before]] -= 1
            self.states[_STATES[flags]] += 1
            self._flags[row] = flags

    def _line(self, metric: Metric, room_id: str, value: bytes, more: str = "") -> bytes:
        return f"{metric.name}{self._line_labels(room_id, more)}".encode() + value

    def _line_labels(self, room_id: str, more: str = "") -> str:
        return f'{{{self._labels},room="{escape_label(room_id)}"{more}}}'


class Table:
    """All sources' rooms, by source name, in the order in which the sources came."""

    def __init__(self) -> None:
        self._sources: dict[str, SourceTable] = {}
        self._generation = 0

    def __getitem__(self, source: str) -> SourceTable:
        return self._sources[source]

    def __contains__(self, source: str) -> bool:
        return source in self._sources

    def __iter__(self) -> Iterator[tuple[str, SourceTable]]:
        return iter(self._sources.items())

    def add(self, name: str, source: SourceTable) -> None:
        self._sources[name] = source
        self._generation += 1

    def remove(self, name: str) -> None:
        del self._sources[name]
        self._generation += 1

    def expire(self, now: float) -> None:
        """Withdraw every reading that is too old at this monotonic time."""
        for source in self._sources.values():
            source.expire(now)

    def version(self) -> tuple[int, ...]:
        """Differs from the one before whenever a line may have changed."""
        return (self._generation, *(source.version for source in self._sources.values()))

    def snapshot(self) -> list[Page]:
        """Every source's lines as they are now; later readings do not change it."""
        return [page for source in self._sources.values() for page in source.snapshot()]


def escape_label(value: str) -> str:
    """A label value as both exposition formats write it between double quotes."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


@lru_cache(maxsize=4096)
def _count(value: int | None) -> bytes | None:
    """What stands behind the labels: a space, the number and the end of the line."""
    return None if value is None else b" %d\n" % value


@lru_cache(maxsize=1)
def _timestamp(unix: float) -> bytes:
    """The same for the rooms of one reply, which arrived together."""
    return b" %.3f\n" % unix
