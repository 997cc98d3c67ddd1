"""
Slots within a budget: never one too many, none wasted, half of them when the vendor says so, and back again.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.polling.pacer import Pacer, pace_kept
from tests.polling.pacing import NOW, WINDOW, settled


def run(pacer: Pacer, seconds: float, stall: float = 0.0, begin: float = NOW) -> list[float]:
    """
    Use every slot for so long, and tell when requests were written.

    Args:
        stall: Seconds at the end of every second in which nothing can be done.
    """
    writes: list[float] = []
    now = begin
    while True:
        now = max(now, pacer.next_slot(now))
        if now % 1.0 > 1.0 - stall:
            now = math.ceil(now)
        if now >= begin + seconds:
            return writes
        pacer.take_slot(now)
        now = max(now, pacer.next_write())
        writes.append(now)
        pacer.write(now)


limits = st.sampled_from([0.3, 1.0, 2.5, 10.0, 20.0, 200.0])
steps = st.one_of(
    st.tuples(st.just("wait"), st.floats(0, 3)),
    st.tuples(st.just("slots"), st.integers(1, 250)),
    st.tuples(st.just("push"), st.integers(1, 250)),
    st.tuples(st.just("late"), st.floats(0, 0.5)),
    st.tuples(st.just("limit"), limits),
    st.tuples(st.just("rejected"), st.floats(0, 2)),
)


@settings(deadline=None)
@given(limit=limits, schedule=st.lists(steps, max_size=40))
def test_never_more_than_the_limit_in_its_window(limit: float, schedule: list[tuple[str, float]]) -> None:
    """
    However slots are taken, requests pile up, the loop stalls and the limit changes: no request is written while as
    many as the limit allows were written within 1.02 s before.
    """
    pacer = settled(limit)
    now = NOW
    writes: list[float] = []

    def write(late: float = 0.0) -> None:
        nonlocal now
        now = max(now, pacer.next_write())
        written = pacer.write(now)
        now += late
        written.at = now
        writes.append(now)
        burst, window = (max(1, math.floor(pacer.limit)), max(1.0, 1 / pacer.limit) + 0.02)
        assert burst >= len(writes) - bisect_right(writes, now - late - window + 1e-9)

    for what, amount in schedule:
        match what:
            case "wait":
                now += amount
            case "limit":
                pacer.change_limit(amount)
            case "rejected":
                pacer.rejected(now - amount, now)
            case "slots":
                for _ in range(int(amount)):
                    now = max(now, pacer.next_slot(now))
                    pacer.take_slot(now)
                    write()
            case "push":
                for _ in range(int(amount)):
                    write()
            case _:
                write(late=amount)


@pytest.mark.parametrize("limit", [1.0, 10.0, 20.0, 40.0, 200.0])
@pytest.mark.parametrize("stall", [0.0, 0.005, 0.03, 0.09])
def test_every_slot_is_used(limit: float, stall: float) -> None:
    """
    At least 97 % of the limit is reached, even if nothing can be done for a while every second.
    """
    writes = run(settled(limit), 60.0, stall)

    assert limit * 60 * 0.97 <= len(writes) <= limit * 60


@pytest.mark.parametrize("limit", [0.1, 0.5, 1.0, 2.5, 10.0, 200.0])
def test_pace_that_is_kept(limit: float) -> None:
    """
    What a pacer says that it gives is what it gives; below one call a second the calls lie 1 / limit apart.
    """
    seconds = 2_000 / limit + 10
    writes = run(settled(limit), seconds)

    assert pace_kept(limit) * seconds == pytest.approx(len(writes), rel=0.012)
    assert all(later - earlier > 0.99 / limit for earlier, later in pairwise(writes) if limit <= 1)


def test_slots_are_spread_evenly() -> None:
    """
    The calls of a second leave one after the other, not in a burst.
    """
    writes = run(settled(200.0), 10.0)

    assert 0.5 * 200 + 21 >= max(bisect_right(writes, at + 0.5) - place for place, at in enumerate(writes))


def test_stall_is_caught_up_by_100_ms_at_most() -> None:
    """
    After a long pause a handful of calls leave at once, never a whole second's worth.
    """
    pacer = settled(200.0)
    run(pacer, 2.0)
    burst = [at for at in run(pacer, 0.01, begin=NOW + 10) if at < NOW + 10.001]

    assert 20 <= len(burst) <= 21


def test_new_process_is_silent_for_its_first_second() -> None:
    """
    A new pacer may share its first second with the process that it replaces.
    """
    pacer = Pacer(10.0, NOW)

    assert NOW + WINDOW == pytest.approx(pacer.next_slot(NOW))


@pytest.mark.parametrize("idle", [1.1, 5.0])
def test_new_budget_begins_slowly(idle: float) -> None:
    """
    For 0.3 s from the first slot, whenever that is, every other slot is given and none is caught up.
    """
    writes = run(Pacer(200.0, NOW), 1.0, begin=NOW + idle)

    assert 30 == pytest.approx(sum(at < NOW + idle + 0.3 for at in writes), abs=1)
    assert 30 + 137 == pytest.approx(len(writes), abs=2)


def test_requests_that_wait_for_a_connection_cost_no_slot() -> None:
    """
    A call that needs 300 ms to connect is written late, and the slots go on: the vendor's limit is still reached.
    """
    pacer = settled(10.0)
    slots = []
    now = NOW
    for _ in range(100):
        now = max(now, pacer.next_slot(now, ahead=0.3))
        pacer.take_slot(now)
        slots.append(now)
        pacer.write(now + 0.3)

    assert 0.102 * 97 == pytest.approx(slots[-1] - slots[2], rel=0.01)


def test_slots_are_as_far_ahead_of_the_ring_as_wanted() -> None:
    """
    No slot is given that would only lengthen the queue of requests that are ready to be written.
    """
    pacer = settled(10.0)
    for _ in range(10):
        pacer.write(NOW)

    assert NOW + WINDOW == pytest.approx(pacer.next_slot(NOW))
    assert NOW + WINDOW - 0.1 == pytest.approx(pacer.next_slot(NOW, ahead=0.1))
    assert NOW + 4 * WINDOW - 0.1 == pytest.approx(pacer.next_slot(NOW, waiting=30, ahead=0.1))


def test_limit_lowered_and_raised_again() -> None:
    """
    What was written under the old limit counts under the new one.
    """
    pacer = settled(20.0)
    for _ in range(20):
        pacer.write(NOW)

    pacer.change_limit(10.0)
    assert NOW + WINDOW == pytest.approx(pacer.next_write())

    pacer.change_limit(30.0)
    assert pacer.next_write() < NOW
    for _ in range(10):
        pacer.write(NOW + 0.5)
    assert NOW + WINDOW == pytest.approx(pacer.next_write())


def test_pace_is_halved_once_per_episode() -> None:
    """
    Calls that were under way when the pace was halved do not halve it again, nor do those which the vendor still counts
    in one second with them; later ones do.
    """
    pacer = settled(10.0)

    assert pacer.rejected(NOW - 0.1, NOW)
    assert 5.0 == pacer.pace
    assert not pacer.rejected(NOW - 0.05, NOW + 0.1)
    assert not pacer.rejected(NOW + 0.9, NOW + 1.0)
    assert 5.0 == pacer.pace
    assert pacer.rejected(NOW + 1.5, NOW + 1.6)
    assert 2.5 == pacer.pace


def test_pace_never_falls_below_a_tenth_of_the_limit() -> None:
    """
    However often the vendor says that it was too fast, a tenth of the limit is kept.
    """
    pacer = settled(10.0)
    for second in range(0, 40, 2):
        pacer.rejected(NOW + second, NOW + second)

    assert 1.0 == pacer.pace
    assert 1.0 == pytest.approx(len(run(pacer, 5.0, begin=NOW + 39)) / 5, abs=0.21)


def paces(pacer: Pacer, *seconds: float) -> list[float]:
    """The pace so many seconds after ``NOW``, rounded."""
    seen = []
    for second in seconds:
        pacer.next_slot(NOW + second)
        seen.append(round(pacer.pace, 6))
    return seen


def test_pace_climbs_back() -> None:
    """
    A tenth of the limit every 10 s up to 0.9 × the rejected pace; then, step by step, one in five minutes.
    """
    pacer = settled(10.0)
    pacer.rejected(NOW, NOW)

    assert [5, 5, 6, 6, 7, 8, 9, 9, 9, 10, 10] == paces(pacer, 0, 9.9, 10.1, 19.9, 20.1, 30.1, 40.1, 60, 330, 341, 9999)


def test_pace_is_rejected_again_while_it_climbs() -> None:
    """
    The next ceiling is 0.9 × the pace that was rejected last, and the slow climb begins there.
    """
    pacer = settled(10.0)
    pacer.rejected(NOW, NOW)
    assert [6] == paces(pacer, 11)
    pacer.rejected(NOW + 11, NOW + 11)

    assert [3, 4, 5, 5.4, 5.4, 5.4, 6.4] == paces(pacer, 11, 21.1, 31.1, 41.1, 51.1, 340, 342)


def test_one_fall_has_one_beginning() -> None:
    """
    A vendor that turned everything away for five seconds is back at 0.9 × the limit within 95 s: paces rejected
    before the first step up say nothing of what it can take.
    """
    pacer = settled(10.0)
    for second in range(6):
        pacer.rejected(NOW + 1.1 * second, NOW + 1.1 * second)
    assert 1.0 == pacer.pace

    assert [9] == paces(pacer, 95)


def test_retry_after_is_honoured_for_five_minutes_at_most() -> None:
    """
    The vendor may ask for silence, but not for hours of it.
    """
    pacer = settled(10.0)

    pacer.rejected(NOW, NOW, retry_after=30.0)
    assert NOW + 30 == pytest.approx(pacer.next_slot(NOW))
    pacer.rejected(NOW, NOW, retry_after=86_400.0)
    assert NOW + 300 == pytest.approx(pacer.next_slot(NOW))
