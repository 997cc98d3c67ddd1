"""
Refused rooms: whose fault it is.
"""

from __future__ import annotations

import pytest

from exporter.polling.refusals import Refusals


def refused(*rooms: str) -> Refusals:
    """Refusals of these rooms, each asked for alone."""
    refusals = Refusals()
    for room in rooms:
        refusals.refused(room)
    return refusals


def test_refused_room_is_asked_ever_more_rarely() -> None:
    """
    After 10 intervals, then twice as many each time, 360 at most; a reading forgets it all.
    """
    refusals = Refusals()
    assert [10, 20, 40, 80, 160, 320, 360, 360] == [refusals.refused("a") for _ in range(8)]
    refusals.read(["a"])
    assert not refusals
    assert 10 == refusals.refused("a")


@pytest.mark.parametrize(
    ("rooms", "batch", "since_success", "doubted"),
    [(30, 10, 20.0, True), (29, 10, 20.0, False), (30, 10, 19.0, False), (3, 1, 20.0, True), (2, 1, 999.0, False)],
)
def test_refusals_alone_put_the_source_in_doubt(rooms: int, batch: int, since_success: float, doubted: bool) -> None:
    """
    Three batches' worth in a row of three rooms at least, and no success for two intervals.
    """
    refusals = refused(*[f"room-{number}" for number in range(rooms)])

    assert doubted == refusals.detect_refused_source(batch, since_success, interval=10.0)
    assert doubted != bool(refusals)


def test_one_reading_speaks_for_the_source() -> None:
    """
    After it, refusals are counted anew.
    """
    refusals = refused(*[f"room-{number}" for number in range(100)])
    refusals.read(["another"])
    for number in range(29):
        refusals.refused(f"room-{number}")

    assert not refusals.detect_refused_source(10, 1_000.0, interval=10.0)


def test_accused_rooms_are_convicted_once() -> None:
    """
    Those of the last accusation, and of none that was taken back.
    """
    refusals = Refusals()
    refusals.accuse(("a", "b"))
    assert ("a", "b") == refusals.take_accused()
    assert () == refusals.take_accused()
    refusals.accuse(("c",))
    refusals.accuse(())
    assert () == refusals.take_accused()


def test_rooms_that_went_away_are_forgotten() -> None:
    """
    A room that is created anew under the same id begins anew.
    """
    refusals = refused("a", "a", "b")
    refusals.forget(["a", "never seen"])

    assert 10 == refusals.refused("a")
    assert 20 == refusals.refused("b")
