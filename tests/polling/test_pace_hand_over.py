"""
Two processes that call under one limit, one after the other: taken together, they keep it.
"""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.polling.pace import ALLOWED_DELAY, Pace
from exporter.polling.pace_state import PaceState, read_pace_state
from tests.polling.house import worst_window

SILENCE = 1.07
LIMITS = st.one_of(st.integers(1, 40), st.sampled_from([0.1, 0.3, 0.7, 1.01, 1.5, 2.5, 7.3]))


def calls(pace: Pace, since: float, until: float, seed: int, acknowledged: float = 1.0) -> list[float]:
    """
    The times of calls that leave as soon as they may, but for some pauses.

    Args:
        acknowledged: The share of them that the other side acknowledges at once.
    """
    chance = random.Random(seed)
    now, written, step = since, list[float](), min(0.01, 0.2 / pace.limit)
    while now < until:
        if max(pace.slot_at(now), pace.open_at()) <= now:
            call = pace.sent(now, -math.inf)
            written.append(now)
            if chance.random() < acknowledged:
                pace.answered(call, now + 0.001)
        now += step if chance.random() < 0.97 else step * chance.randrange(1, 200)
    return written


def handed_over(state: PaceState) -> PaceState:
    """The state after its way over the wire."""
    read = read_pace_state(json.loads(json.dumps(state.builtins())))
    assert read is not None
    return read


def test_both_together_keep_the_limit_after_a_hand_over():
    """
    Whatever the limit, and whenever the first process hands over: no second has more calls than it may.
    """

    @given(LIMITS, st.integers(0, 10_000), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.2, 3.0))
    @example(0.1, 1, 0.0, 0.0, 1.0)
    @example(1.01, 2, 0.0, 0.0, 1.0)
    def holds(limit: float, seed: int, took: float, known: float, windows: float) -> None:
        period = math.ceil(limit) / limit
        first, ahead = Pace(limit, 100.0), 5_000.0
        until = 100.0 + period * (1 + windows)
        written = calls(first, 100.0, until, seed)
        state = handed_over(first.state(until))
        second = Pace(limit, 0.0)
        began = until + took
        second.restore(state, began + ahead, known * took)
        after = [at - ahead for at in calls(second, began + ahead, began + ahead + 3 * period, seed + 1)]

        assert after
        assert worst_window([*written, *after], period + ALLOWED_DELAY) <= math.ceil(limit)

    holds()


def test_both_together_keep_the_limit_after_an_expired_lease():
    """
    A process that dies leaves no calls behind, but has been silent for 1.07 s: also where a window lasts longer.
    """

    @given(LIMITS, st.integers(0, 10_000), st.floats(0.0, 0.5), st.booleans())
    @example(0.1, 1, 0.0, False)
    @example(0.7, 1, 0.0, True)
    @example(1.01, 1, 0.0, True)
    def holds(limit: float, seed: int, more: float, known: bool) -> None:
        period = math.ceil(limit) / limit
        first = Pace(limit, 100.0)
        middle, until = 100.0 + 2.2 * period, 100.0 + 3 * period
        written = calls(first, 100.0, middle, seed)
        state = handed_over(first.state(middle, writes=False))
        written += calls(first, middle, until, seed + 1)
        now = until + SILENCE + more
        second = Pace(limit, 0.0)
        if known:
            second.restore(state, now, SILENCE)
        second.silent_since(now - SILENCE)
        written += calls(second, now, now + 3 * period, seed + 2)

        assert worst_window(written, period + ALLOWED_DELAY) <= math.ceil(limit)

    holds()


def test_a_hand_over_costs_no_slot():
    """
    The second process goes on with the next slot of the first.
    """
    first = Pace(10.0, 100.0)
    written = calls(first, 100.0, 105.0, seed=1)
    second = Pace(10.0, 0.0)
    second.restore(handed_over(first.state(105.0)), 205.0, 0.0)

    assert first.slot_at(105.0) - 105.0 == pytest.approx(second.slot_at(205.0) - 205.0, abs=0.0011)
    assert first.open_at() - 105.0 == pytest.approx(second.open_at() - 205.0, abs=0.0011)
    assert written


def test_after_an_expired_lease_a_usual_limit_is_used_at_once():
    """
    The second of the vendor lies within the lease, so nobody waits for it again.
    """
    pace = Pace(10.0, 0.0)
    pace.silent_since(50.0 - SILENCE)

    assert pace.open_at() <= 50.0
    assert pace.slot_at(50.0) <= 50.0


def test_a_fall_of_the_pace_goes_on():
    """
    A halved pace, its climb and the vendor's pause go on where the first process left them.
    """
    first = Pace(100.0, 0.0)
    rejected = [first.sent(10.0 + number / 97, -math.inf) for number in range(100)]
    for call in rejected[:12]:
        first.rejected(call, 11.1)
    first.pause(15.0)
    second = Pace(100.0, 0.0)
    second.restore(handed_over(first.state(13.0)), 513.0, 0.0)

    assert 50.0 == first.pace == second.pace
    assert pytest.approx(515.0, abs=0.002) == second.open_at()
    for seconds in (8.0, 9.0, 19.0, 29.0, 39.0, 330.0):
        first.slot_at(13.0 + seconds)
        second.slot_at(513.0 + seconds)
        assert first.pace == second.pace, seconds


def test_rejections_of_the_same_second_are_one_episode_across_a_hand_over():
    """
    What was rejected before the hand-over does not count anew for the first rejection after it.
    """
    first = Pace(100.0, 0.0)
    calls_ = [first.sent(10.0 + number / 97, -math.inf) for number in range(50)]
    first.rejected(calls_[-1], 10.6)
    second = Pace(100.0, 0.0)
    second.restore(handed_over(first.state(10.6)), 510.6, 0.0)
    again = second.sent(510.61, -math.inf)

    assert not second.rejected(again, 510.7)
    assert 90.0 == second.pace


def test_a_call_that_may_still_arrive_holds_its_place():
    """
    The network may deliver an unacknowledged call for some seconds: it counts from then on.
    """
    first = Pace(1.0, 0.0)
    call = first.sent(10.0, -math.inf)
    first.arrives_by(call, math.inf, 11.0, 0.0)
    second = Pace(1.0, 0.0)
    second.restore(handed_over(first.state(11.0)), 511.0, 0.0)

    assert pytest.approx(511.0 + 5.0 + 1.024, abs=0.002) == second.open_at()


def test_another_limit_takes_over_in_proportion():
    """
    Where the next process has another limit, a lowered pace keeps its share of it as after a reload.
    """
    first = Pace(100.0, 0.0)
    first.rejected(first.sent(10.0, -math.inf), 10.1)
    second = Pace(200.0, 0.0)
    second.restore(handed_over(first.state(10.2)), 510.2, 0.0)

    assert 90.0 == first.pace
    assert 180.0 == second.pace
    assert 200.0 == second.limit


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"limit": "ten"},
        {"limit": 10.0, "pace": 10.0, "since": float("nan")},
        {"limit": 10.0, "pace": 0.0, "since": 1.0},
        {"limit": 10.0, "pace": 10.0, "since": 1.0, "writes": [-1e6]},
        {"limit": 10.0, "pace": 10.0, "since": 1.0, "writes": "many"},
        {"limit": 10.0, "pace": 10.0, "since": 1.0, "pause": 1e9},
    ],
)
def test_what_is_no_state_is_none(state):
    """
    A later version, or somebody else, may have written anything: then there is no state.
    """
    assert read_pace_state(state) is None


def test_a_state_is_some_kilobytes_at_most():
    """
    At 200 calls per second the log has some 400 calls.
    """
    pace = Pace(200.0, 100.0)
    calls(pace, 100.0, 110.0, seed=1)

    assert 4_000 > len(json.dumps(pace.state(110.0).builtins()))
    assert 300 > len(json.dumps(pace.state(110.0, writes=False).builtins()))


def test_a_holder_that_never_called_hands_on_its_silence():
    """
    At one call in ten seconds: the first process dies, the second may not call yet and hands over; the third waits.
    """
    second = Pace(0.1, 0.0)
    second.silent_since(100.0 - SILENCE)
    third = Pace(0.1, 0.0)
    third.restore(handed_over(second.state(102.0)), 502.0, 0.0)

    assert pytest.approx(second.open_at() - 102.0, abs=0.002) == third.open_at() - 502.0
    assert 506.0 < third.open_at()
