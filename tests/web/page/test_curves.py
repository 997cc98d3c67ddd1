"""
The last readings of some rooms.
"""

from __future__ import annotations

import pytest

from exporter.metrics.room import Arrival
from exporter.metrics.table import SourceTable, Table
from exporter.model import Reading, Room, Thresholds
from exporter.web.page.curves import MOST, MOST_ABOVE, READINGS, Curve, Curves, Point
from exporter.web.rooms import Rooms
from tests.metrics.watching import add_source

UNIX = 1_700_000_000.0


class Stage:
    """
    A source, its curves, and a clock.
    """

    def __init__(self, *rooms: str, thresholds: Thresholds | None = None) -> None:
        self.now = 100.0
        self.table = Table()
        self.curves = Curves(self.table, Rooms(self.table))
        self.thresholds = thresholds or Thresholds()
        self.begin(*rooms)

    def begin(self, *rooms: str) -> None:
        """
        Let the source start anew under its old name.
        """
        self.source = SourceTable({"source": "live"}, max_staleness=30)
        self.source.watch(Room(room, thresholds=self.thresholds) for room in rooms)
        add_source(self.table, "live", self.source)

    def read(self, **users: int) -> None:
        """
        Read rooms now.
        """
        readings = {room: Reading(count) for room, count in users.items()}
        self.source.record(readings, Arrival(self.now, UNIX + self.now))

    def look(self, room: str) -> Curve:
        """
        Look at a room.
        """
        return self.curves.look_at("live", self.source.view(room, self.now), self.now)

    async def wait(self, seconds: float) -> None:
        """
        Let time pass, and take a sample at its end.
        """
        self.now += seconds
        self.source.expire(self.now)
        await self.curves.sample(self.now)

    def users(self, room: str) -> list[int] | None:
        """
        What is kept of a room.
        """
        curve = self.curves.get("live", room)
        return None if curve is None else [point.users for point in curve]


async def test_a_room_that_somebody_looks_at() -> None:
    """
    From then on each of its readings is kept, once, with the time at which it arrived; and no other room's.
    """
    stage = Stage("a", "b")
    stage.read(a=1, b=1)
    stage.look("a")
    for users in (2, 3):
        await stage.wait(5)
        stage.read(a=users, b=users)
        await stage.wait(5)
        await stage.wait(0)

    assert [1, 2, 3] == stage.users("a")
    assert [100.0, 105.0, 115.0] == [point.monotonic for point in stage.look("a")]
    assert [UNIX + 100.0, UNIX + 105.0, UNIX + 115.0] == [point.unix for point in stage.look("a")]
    assert stage.users("b") is None


async def test_a_room_above_its_threshold() -> None:
    """
    Nobody need look at it: its readings are kept, also those after it fell below again.
    """
    stage = Stage("a", "b", thresholds=Thresholds(critical=10))
    stage.read(a=11, b=10)
    await stage.wait(5)
    stage.read(a=9, b=10)
    await stage.wait(5)

    assert [11, 9] == stage.users("a")
    assert stage.users("b") is None


async def test_nobody_looks_any_more() -> None:
    """
    Half an hour later the curve is dropped; a room that is no longer watched is dropped at once.
    """
    stage = Stage("a", "b")
    stage.read(a=1, b=1)
    stage.look("a")
    stage.look("b")
    stage.source.forget(["b"])
    await stage.wait(1_800)
    kept = stage.users("a"), stage.users("b")
    await stage.wait(1)

    assert ([1], None) == kept
    assert stage.users("a") is None
    assert 0 == len(stage.curves)


async def test_a_source_that_starts_anew() -> None:
    """
    What another app's rooms said is not drawn for the rooms that have their ids now.
    """
    stage = Stage("a")
    stage.read(a=1)
    stage.look("a")
    stage.begin("a")
    stage.read(a=50)

    assert stage.users("a") is None
    assert [50] == [point.users for point in stage.look("a")]


async def test_memory_is_bounded() -> None:
    """
    However many rooms are above their threshold or looked at, and however long: so many curves of so many readings.
    """
    rooms = [f"r{index:04d}" for index in range(2_000)]
    stage = Stage(*rooms, thresholds=Thresholds(critical=10))
    for _ in range(3):
        stage.read(**{room: 11 + index for index, room in enumerate(rooms)})
        await stage.wait(5)
    above = len(stage.curves)
    for room in rooms[:300]:
        stage.look(room)
    curve = Curve(stage.source)
    for moment in range(READINGS + 10):
        curve.add(Point(float(moment), UNIX, moment))

    assert MOST_ABOVE == above
    assert MOST == len(stage.curves)
    assert stage.users(rooms[299]) is not None
    assert READINGS == len(curve)
    assert [10, READINGS + 9] == [point.users for point in curve][:: READINGS - 1]


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ([], None),
        ([(0, 100)], None),
        ([(0, 100), (3, 200)], None),
        ([(0, 100), (10, 101)], (1, 10, "steady")),
        ([(0, 100), (10, 120)], (20, 10, "rising")),
        ([(0, 100), (10, 120), (20, 90)], (-10, 20, "falling")),
        ([(0, 900), (100, 100), (200, 120)], (20, 100, "rising")),
        ([(0, 0), (10, 0)], (0, 10, "steady")),
        ([(0, 0), (10, 1)], (1, 10, "rising")),
    ],
)
def test_where_users_are_heading(readings: list[tuple[int, int]], expected: tuple[int, int, str] | None) -> None:
    """
    The last reading against the first one of the last two minutes or so; one in a hundred is no news.
    """
    curve = Curve(SourceTable({"source": "live"}, max_staleness=30))
    for moment, users in readings:
        curve.add(Point(float(moment), UNIX + moment, users))

    trend = curve.trend()

    assert expected == ((trend.change, trend.seconds, trend.direction) if trend else None)
