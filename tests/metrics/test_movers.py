"""
The rooms that rise and fall fastest are known without a look at every room.
"""

from __future__ import annotations

from typing import Any

from exporter.metrics.movers import Mover, Movers
from exporter.metrics.room import Arrival
from exporter.metrics.table import SourceTable
from exporter.model import Reading, Room


def test_the_fastest_first() -> None:
    """
    In users per minute, whatever the time between two readings.
    """
    movers = Movers()
    movers.note("slow", 10, 60.0, 100.0)
    movers.note("falls", -50, 60.0, 100.0)
    movers.note("fast", 20, 10.0, 100.0)
    movers.note("still", 0, 10.0, 100.0)

    assert [("fast", 120.0), ("falls", -50.0), ("slow", 10.0)] == [
        (each.room, each.per_minute) for each in movers.fastest(100.0)
    ]


def test_one_odd_reading_makes_no_trend() -> None:
    """
    The rate is a mean over about a minute, and a room that changes no more is dropped.
    """
    movers = Movers()
    movers.note("a", 60, 60.0, 0.0)
    movers.note("a", 5, 10.0, 10.0)
    (after,) = movers.fastest(10.0)
    assert 55.7 == round(after.per_minute, 1)
    for second in range(20, 600, 10):
        movers.note("a", 0, 10.0, float(second))

    assert [] == movers.fastest(600.0)


def test_two_readings_that_are_close_together_make_no_trend() -> None:
    """
    A callback brings a poll forward: 16 users within 0.3 s are not 3,200 a minute.
    """
    movers = Movers()
    movers.note("opened", 16, 0.3, 0.0)
    (opened,) = movers.fastest(0.0)
    assert 192.0 == opened.per_minute
    movers.note("opened", 0, 9.7, 9.7)

    (after,) = movers.fastest(9.7)
    assert 165.3 == round(after.per_minute, 1)


def test_only_the_fastest_are_kept() -> None:
    """
    Of a thousand rooms that rise, 32: those that rise fastest.
    """
    movers = Movers()
    for number in range(1000):
        movers.note(str(number), 1 + number * 37 % 1000, 60.0, 1.0)

    assert [*range(1000, 968, -1)] == [each.per_minute for each in movers.fastest(1.0)]


def test_what_is_read_no_more_makes_room() -> None:
    """
    A rate that is older than ten minutes is not shown, and gives its place away.
    """
    movers = Movers()
    for number in range(32):
        movers.note(f"old-{number}", 1000, 60.0, 0.0)
    movers.note("new", 5, 60.0, 601.0)

    assert ["new"] == [each.room for each in movers.fastest(601.0)]


def test_a_table_notes_its_readings() -> None:
    """
    From the second reading of a room on, as long as it is watched.
    """
    table = SourceTable({"source": "live"}, max_staleness=30.0)
    table.watch([Room("a"), Room("b")])
    for at, users in ((0.0, 10), (10.0, 20)):
        table.record({"a": Reading(users), "b": Reading(5)}, Arrival(at, 1000.0 + at))

    assert [("a", 60.0)] == [(each.room, each.per_minute) for each in table.movers.fastest(10.0)]
    table.forget(["a"])
    assert [] == table.movers.fastest(10.0)


class LookedAt(dict[str, Mover]):
    """
    The rooms that are kept, and how often all of them were looked at.
    """

    looks = 0

    def values(self) -> Any:
        """All of them."""
        self.looks += 1
        return super().values()


def test_slower_rooms_cost_no_look() -> None:
    """
    Once 32 rooms are known to be faster, a thousand slower ones are told without a look at those. One that is faster
    than a room that has become slower takes its place.
    """
    movers = Movers()
    kept = movers._kept = LookedAt()
    for number in range(32):
        movers.note(f"fast-{number}", 100 + number, 60.0, 0.0)
    for number in range(1_000):
        movers.note(f"slow-{number}", 50, 60.0, 1.0)
    assert kept.looks <= 2
    assert "slow-999" not in kept

    movers.note("fast-9", -20, 60.0, 60.0)
    movers.note("faster", 50, 60.0, 60.0)
    assert "faster" in kept
    assert "fast-9" not in kept
    assert 32 == len(kept)

    movers.note("after a long time", 2, 60.0, 601.0)
    assert "after a long time" in kept
