"""
Calls that may have reached the vendor late count late, and hold up nobody else.
"""

from __future__ import annotations

import heapq
import math
import random
from bisect import bisect_right
from collections.abc import Callable

import pytest

from exporter.polling.ring import Ring, Write
from tests.polling.pacing import NOW, WINDOW, settled


def worst_second(arrivals: list[float]) -> int:
    """Most calls that any second (t - 1, t] held, for arrivals in order."""
    return max(number - bisect_right(arrivals, at - 1.0) for number, at in enumerate(arrivals, start=1))


def arrivals_in_a_minute(
    limit: float, every: float, stall: float, reply_takes: tuple[float, float], turn: float = 1e-6
) -> list[float]:
    """When calls arrive at a vendor that takes nothing in for a while, every so often, if we look once a turn."""
    pacer, now, chance = settled(limit), NOW, random.Random(1)
    under_way: list[tuple[float, int, Write]] = []
    arrivals: list[float] = []
    while now < NOW + 60:
        now = max(now, pacer.next_slot(now))
        pacer.take_slot(now)
        while under_way and under_way[0][0] <= max(now, pacer.next_write()):
            answered, _, write = heapq.heappop(under_way)
            pacer.answered(write, answered - turn, answered)
        now = max(now, pacer.next_write())
        held_up = now % every < stall
        arrivals.append(now - now % every + stall if held_up else now)
        # Replies to what came in together overtake each other.
        seen = math.ceil((arrivals[-1] + chance.uniform(*reply_takes)) / turn) * turn
        heapq.heappush(under_way, (seen, len(arrivals), pacer.write(now)))
    return arrivals


def answer(ring: Ring, write: Write, at: float) -> None:
    """The head of a reply comes while nothing else happens."""
    ring.answered(write, at, at)


def teach(ring: Ring) -> None:
    """Let it know that replies take 5 ms."""
    for second in range(-20, -10):
        write = ring.write(NOW + second)
        answer(ring, write, write.at + 0.005)


@pytest.mark.parametrize("limit", [10.0, 20.0, 40.0, 200.0])
@pytest.mark.parametrize(
    ("stall", "share"), [(0.03, 0.94), (0.06, 0.94), (0.09, 0.94), (0.2, 0.88), (0.4, 0.8), (0.7, 0.7)]
)
def test_calls_that_are_held_up_on_the_way_count_later(limit: float, stall: float, share: float) -> None:
    """
    The vendor takes nothing in for a while every few seconds: no second as it counts them holds a call too many.
    """
    arrivals = arrivals_in_a_minute(limit, every=3.1, stall=stall, reply_takes=(0.001, 0.004))

    assert limit >= worst_second(arrivals)
    assert len(arrivals) >= share * limit * 60


@pytest.mark.parametrize("stall", [0.04, 0.06, 0.1, 0.2])
def test_hold_ups_that_follow_each_other_stay_unusual(stall: float) -> None:
    """
    Where the vendor takes nothing in several times in every few seconds, no hold-up hides in the shadow of the last.
    """
    arrivals = arrivals_in_a_minute(10.0, every=0.7, stall=stall, reply_takes=(0.001, 0.010))

    assert worst_second(arrivals) <= 10
    assert len(arrivals) >= 0.92 * 10 * 60


def test_first_replies_of_a_vendor_may_be_slow_for_once() -> None:
    """
    Those calls count from their replies, but for the jitter that is allowed for; a hold-up in the first second shows
    all the same.
    """
    ring = Ring(20.0)
    for number in range(10):
        write = ring.write(NOW + number / 20)
        answer(ring, write, write.at + (0.06 if number < 3 else 0.002))
        assert NOW + number / 20 + (0.05 if number < 3 else 0.0) == pytest.approx(write.at, abs=0.005)
    held_up = ring.write(NOW + 0.6)
    answer(ring, held_up, NOW + 0.65)

    assert NOW + 0.64 == pytest.approx(held_up.at, abs=0.003)


@pytest.mark.parametrize("limit", [10.0, 200.0])
def test_hold_ups_do_not_hide_in_our_own_slowness(limit: float) -> None:
    """
    A loop that is so busy that it looks for replies every 40 ms only learns nothing of the vendor from that.
    """
    arrivals = arrivals_in_a_minute(limit, every=3.1, stall=0.1, reply_takes=(0.001, 0.004), turn=0.04)

    assert limit >= worst_second(arrivals)
    assert len(arrivals) >= 0.9 * limit * 60


def calls_in_a_minute(limit: float, reply_takes: Callable[[int], float]) -> int:
    """How many calls are written if the replies take so many seconds, by the number of the call."""
    pacer = settled(limit)
    under_way: list[tuple[float, int, Write]] = []
    writes, now = 0, NOW
    while now < NOW + 60:
        now = max(now, pacer.next_slot(now))
        pacer.take_slot(now)
        while under_way and under_way[0][0] <= now:
            answered, _, write = heapq.heappop(under_way)
            pacer.answered(write, answered, answered)
        now = max(now, pacer.next_write())
        heapq.heappush(under_way, (now + reply_takes(writes), writes, pacer.write(now)))
        writes += 1
    return writes


@pytest.mark.parametrize("limit", [10.0, 200.0])
def test_replies_that_take_now_long_and_now_short_cost_no_slot(limit: float) -> None:
    """
    What is usual with this vendor is no sign of calls that were held up on the way.
    """
    chance = random.Random(1)

    assert calls_in_a_minute(limit, lambda _: chance.uniform(0.02, 0.15)) >= 0.97 * limit * 60
    assert calls_in_a_minute(limit, lambda _: chance.choice([0.05, 0.15])) >= 0.97 * limit * 60


def test_vendor_slower_than_a_call_is_waited_for_teaches_all_the_same() -> None:
    """
    After 5 s without a reply another call is timed; the first one tells what is usual when its reply does come.
    """
    assert calls_in_a_minute(10.0, lambda _: 6.0) >= 0.85 * 10 * 60


@pytest.mark.parametrize("limit", [10.0, 200.0])
def test_vendor_that_becomes_slow_is_soon_no_surprise(limit: float) -> None:
    """
    From one moment on all replies take 0.3 s instead of 20 ms: that costs a few slots.
    """
    slow_from = int(limit * 5)

    assert calls_in_a_minute(limit, lambda call: 0.3 if call > slow_from else 0.02) >= 0.97 * limit * 60
    assert calls_in_a_minute(limit, lambda call: 3.0 if call > slow_from else 0.05) >= 0.9 * limit * 60


@pytest.mark.parametrize("limit", [10.0, 200.0])
def test_call_that_may_have_come_late_costs_its_own_place_alone(limit: float) -> None:
    """
    Where one reply in twenty takes half a second longer, a fortieth of the places is taken for so much longer; nobody
    waits behind them.
    """
    assert calls_in_a_minute(limit, lambda call: 0.02 if call % 20 else 0.52) >= 0.94 * limit * 60


def test_call_whose_reply_comes_after_it_left_the_ring_comes_back() -> None:
    """
    A reply 1.3 s late may mean that the call arrived a second late, when N others had been written since.
    """
    ring = Ring(1.0)
    teach(ring)
    late = ring.write(NOW)
    ring.write(NOW + WINDOW)
    answer(ring, late, NOW + 1.3)
    assert NOW + 2 * WINDOW == pytest.approx(ring.free_at())

    ring = Ring(2.0)
    teach(ring)
    late = ring.write(NOW)
    ring.write(NOW + 0.1)
    ring.write(NOW + WINDOW)
    answer(ring, late, NOW + 1.3)
    assert NOW + 1.0 + WINDOW == pytest.approx(ring.free_at())


def test_late_reply_keeps_its_call_in_the_ring_once() -> None:
    """
    However often replies come late, N writes are N places.
    """
    ring = Ring(3.0)
    writes = [ring.write(NOW + number / 10) for number in range(3)]
    for write in writes:
        answer(ring, write, NOW + 0.3)

    assert [NOW + 0.29] * 3 == pytest.approx([write.at for write in writes], abs=0.005)
    assert 3 == len(ring._writes) == len(set(map(id, ring._writes)))
    assert [write.at for write in ring._writes] == sorted(write.at for write in ring._writes)


@pytest.mark.parametrize("limit", [10.0, 40.0, 200.0])
@pytest.mark.parametrize("still", [0.3, 0.58, 1.5])
def test_process_that_stood_still_does_not_make_up_for_calls_that_stood_still_with_it(
    limit: float, still: float
) -> None:
    """
    Where exporter, network and vendor are paused together every few seconds, what was under way arrives afterwards: no
    second holds a call too many.
    """
    pacer, now, pauses = settled(limit), NOW, 0.0
    under_way: list[tuple[float, float, Write]] = []
    arrivals: list[float] = []
    while now < NOW + 60:
        now = max(now, pacer.next_slot(now))
        if now > NOW + 3.1 * (pauses + 1):
            pauses += 1
            stopped, now = NOW + 3.1 * pauses, max(now, NOW + 3.1 * pauses + still)
            under_way = [(max(at, now + 0.03) if at > stopped else at, sent, write) for at, sent, write in under_way]
            arrivals = [now if at > stopped - 0.03 else at for at in arrivals]
            pacer.held_up(now)
        pacer.take_slot(now)
        while under_way and under_way[0][0] <= max(now, pacer.next_write()):
            answered, _, write = under_way.pop(0)
            pacer.answered(write, answered, answered)
        now = max(now, pacer.next_write())
        arrivals.append(now)
        under_way.append((now + 0.06, now, pacer.write(now)))

    assert limit >= worst_second(arrivals)
    assert len(arrivals) >= 0.94 * limit * (60 - pauses * (still + 0.1))


def test_what_was_answered_before_is_not_held_up() -> None:
    """
    Only calls under way may have stood still with the process.
    """
    ring = Ring(2.0)
    answer(ring, ring.write(NOW), NOW + 0.005)
    under_way = ring.write(NOW + 0.5)
    ring.held_up(NOW + 0.9)
    answer(ring, under_way, NOW + 0.95)
    ring.held_up(NOW + 0.4)

    assert NOW + WINDOW == pytest.approx(ring.free_at())
    assert NOW + 0.9 + WINDOW == pytest.approx(ring.free_at(waiting=1))


def test_what_was_written_after_it_went_on_counts_from_then() -> None:
    """
    A budget may hear of it at its next slot only, when it has written again.
    """
    ring = Ring(1.0)
    ring.write(NOW + 1)
    ring.held_up(NOW + 0.5)

    assert NOW + 1 + WINDOW == pytest.approx(ring.free_at())
