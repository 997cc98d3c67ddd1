"""
The last readings of some rooms, for their charts: of rooms that somebody looks at, and of rooms above a threshold.

For 100,000 rooms the readings of an hour would take gigabytes. So a curve begins when somebody first opens the room's
page or when the room goes above a threshold. It is dropped half an hour after the last such moment.

When this is wrong: readings are collected every 5 s, so of a source with a shorter interval some readings are missing.
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
"""Number of readings that a curve keeps; with one every 10 s, an hour."""

COLLECTED_EVERY: Final = 5.0
"""Seconds from one call of ``Curves.sample`` to the next."""

MOST_ABOVE: Final = 400
MOST: Final = 500
"""Number of curves kept (4.5 MB at most), and how many of them may be begun for rooms above a threshold."""

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
    The trend of a room's users.

    Args:
        change: Difference of users over the last ``seconds``.
        direction: ``rising``, ``falling``, or ``steady`` if the change is 1 % or less.
    """

    change: int
    seconds: float
    direction: str


class Curve:
    """
    The last readings of one room, oldest first.

    Args:
        table: The source's table. A source that a reload made anew has another table, even under the same name.
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
        """Add a reading, unless it is the last one again."""
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
        """The trend over the last two and a half minutes; ``None`` while there are too few readings."""
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
        """The curve of a room; ``None`` if there is none."""
        curve = self._curves.get((source, room))
        return curve if curve and source in self._table and curve.table is self._table[source] else None

    def look_at(self, source: str, view: RoomView, now: float) -> Curve:
        """The curve of a watched room that somebody looks at now; begins it if necessary."""
        curve = self.get(source, view.room.id)
        if curve is None:
            curve = self._begin(source, view.room.id)
        curve.wanted_at = now
        _collect(curve, view)
        return curve

    async def sample(self, now: float) -> None:
        """Collect new readings, and drop old curves. Call it every few seconds."""
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
