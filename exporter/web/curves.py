"""
The last readings of some rooms: those that somebody looks at, and those above a threshold.

To keep them for all rooms would take gigabytes where there are 100,000. So a room's curve begins when the room is first
looked at or goes above a threshold, and is dropped half an hour after neither holds any more. Readings are collected
every few seconds: of a source with a shorter interval, some are passed over.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from exporter.metrics.room import RoomView
from exporter.metrics.table import SourceTable, Table
from exporter.model import Severity
from exporter.web.rooms import Order, Query, Rooms

READINGS: Final = 360
"""Readings that a curve keeps; at one every 10 s, an hour."""

MOST_ABOVE: Final = 400
MOST: Final = 500
"""Curves that are kept, 4.5 MB at most, and how many of them are begun for rooms above a threshold."""

_KEPT_FOR: Final = 1_800.0
_TREND_OVER: Final = 150.0
_TREND_LEAST: Final = 4.0
_STEADY: Final = 0.01

RoomKey = tuple[str, str]
"""Source, room id."""


@dataclass(frozen=True, slots=True)
class Point:
    """One reading: when it arrived, as monotonic and as Unix seconds, and the users."""

    monotonic: float
    unix: float
    users: int


@dataclass(frozen=True, slots=True)
class Trend:
    """
    Where a room's users are heading.

    Args:
        change: Users more, or less, than so many seconds before.
        direction: ``rising``, ``falling`` or ``steady``: less than one in a hundred.
    """

    change: int
    seconds: float
    direction: str


class Curve:
    """
    The last readings of one room, oldest first.

    Args:
        table: Where they come from: a source that starts anew under its old name has another one.
    """

    __slots__ = ("_monotonic", "_unix", "_users", "table", "wanted_at")

    def __init__(self, table: SourceTable) -> None:
        self.table = table
        self.wanted_at = 0.0
        self._monotonic = array("d")
        self._unix = array("d")
        self._users = array("q")

    def __len__(self) -> int:
        return len(self._users)

    def __iter__(self) -> Iterator[Point]:
        return map(Point, self._monotonic, self._unix, self._users)

    def add(self, point: Point) -> None:
        """Note a reading, unless it is the last one again."""
        if self._monotonic and point.monotonic <= self._monotonic[-1]:
            return
        self._monotonic.append(point.monotonic)
        self._unix.append(point.unix)
        self._users.append(point.users)
        for values in (self._monotonic, self._unix, self._users):
            del values[:-READINGS]

    def last(self) -> Point | None:
        return Point(self._monotonic[-1], self._unix[-1], self._users[-1]) if self._users else None

    def trend(self) -> Trend | None:
        """What the readings of the last two minutes or so say; ``None`` while they are too few."""
        last = self.last()
        if last is None:
            return None
        earlier = next(point for point in self if last.monotonic - point.monotonic <= _TREND_OVER)
        seconds = last.monotonic - earlier.monotonic
        if seconds < _TREND_LEAST:
            return None
        change = last.users - earlier.users
        steady = abs(change) <= _STEADY * max(last.users, earlier.users)
        return Trend(change, seconds, "steady" if steady else "rising" if change > 0 else "falling")


class Curves:
    """The curves of a table's rooms."""

    def __init__(self, table: Table, rooms: Rooms) -> None:
        self._table = table
        self._rooms = rooms
        self._curves: dict[RoomKey, Curve] = {}

    def __len__(self) -> int:
        return len(self._curves)

    def get(self, source: str, room: str) -> Curve | None:
        """What is kept of a room."""
        curve = self._curves.get((source, room))
        return curve if curve and source in self._table and curve.table is self._table[source] else None

    def look_at(self, source: str, view: RoomView, now: float) -> Curve:
        """The curve of a watched room that somebody looks at now."""
        curve = self.get(source, view.room.id)
        if curve is None:
            curve = self._begin(source, view.room.id)
        curve.wanted_at = now
        _collect(curve, view)
        return curve

    async def sample(self, now: float) -> None:
        """Collect what is new; to be called every few seconds."""
        above = await self._rooms.find(Query(above=Severity.WARNING, order=Order.SHARE, limit=MOST_ABOVE), now)
        for name, view in above.rooms:
            if name in self._table:
                self.look_at(name, view, now)
        for (name, room), curve in list(self._curves.items()):
            if self.get(name, room) is None or room not in curve.table or now - curve.wanted_at > _KEPT_FOR:
                del self._curves[name, room]
            else:
                _collect(curve, curve.table.view(room, now))

    def _begin(self, source: str, room: str) -> Curve:
        key = source, room
        if key not in self._curves and len(self._curves) >= MOST:
            del self._curves[min(self._curves, key=lambda key: self._curves[key].wanted_at)]
        curve = self._curves[key] = Curve(self._table[source])
        return curve


def _collect(curve: Curve, view: RoomView) -> None:
    if view.arrival is not None and view.users is not None:
        curve.add(Point(view.arrival.monotonic, view.arrival.unix, view.users))
