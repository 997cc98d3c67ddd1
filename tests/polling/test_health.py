"""
The states of a source: what begins each, how often it is tried, and what ends it.
"""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model import Failure, FailureKind
from exporter.polling.health import Health
from exporter.states import SourceState

NOW = 1_000.0
INTERVAL = 10.0
OK, OPEN, UNAUTHORIZED, MISCONFIGURED = (
    SourceState.OK,
    SourceState.CIRCUIT_OPEN,
    SourceState.UNAUTHORIZED,
    SourceState.MISCONFIGURED,
)


def failure(kind: FailureKind) -> Failure:
    """Some failure of a kind."""
    return Failure(kind, "x", "x")


TRANSIENT = failure(FailureKind.TRANSIENT)


def opened() -> Health:
    """A source whose circuit opened at ``NOW``."""
    health = Health(INTERVAL, NOW - 100)
    for _ in range(5):
        health.failed(TRANSIENT, NOW - 1, NOW)
    assert health.state is OPEN
    return health


@pytest.mark.parametrize("kind", [FailureKind.TRANSIENT, FailureKind.MALFORMED])
def test_circuit_needs_five_failures(kind: FailureKind) -> None:
    """
    Four in a row open nothing, the fifth does.
    """
    health = Health(INTERVAL, NOW - 100)

    assert [False] * 4 + [True] == [health.failed(failure(kind), NOW - 1, NOW) for _ in range(5)]
    assert OPEN is health.state


def test_circuit_needs_five_seconds_without_a_success() -> None:
    """
    A hundred failures at once open nothing while the last success is younger than that.
    """
    health = Health(INTERVAL, NOW - 100)
    health.succeeded(NOW - 5, NOW - 4.9)

    assert not any(health.failed(TRANSIENT, NOW - 1, NOW) for _ in range(100))
    assert health.failed(TRANSIENT, NOW, NOW + 0.1)


def test_success_begins_the_count_anew() -> None:
    """
    Failures with a success between are not in a row.
    """
    health = Health(INTERVAL, NOW)
    for second in range(100):
        health.failed(TRANSIENT, NOW + second, NOW + second)
        if second % 4 == 3:
            health.succeeded(NOW + second, NOW + second)

    assert OK is health.state


@pytest.mark.parametrize("kind", [FailureKind.RATE_LIMITED, FailureKind.REFUSED])
def test_other_failures_open_no_circuit(kind: FailureKind) -> None:
    """
    A vendor that says no is there.
    """
    health = Health(INTERVAL, NOW - 100)

    assert not any(health.failed(failure(kind), NOW - 1, NOW) for _ in range(100))


def test_trials_are_one_at_a_time_and_ever_more_seldom() -> None:
    """
    They leave 5, 10, 20, 40, 60, 60 s apart, and never before the last one has ended.
    """
    health = opened()
    sent = [NOW]
    for _ in range(6):
        sent.append(health.may_call())
        health.call_started()
        assert math.inf == health.may_call()
        assert not health.failed(TRANSIENT, sent[-1], sent[-1] + 1)

    assert [5, 10, 20, 40, 60, 60] == [later - earlier for earlier, later in pairwise(sent)]
    health.call_started()
    health.failed(TRANSIENT, sent[-1], sent[-1] + 70)
    assert sent[-1] + 70 == health.may_call()


@pytest.mark.parametrize("sent", [NOW - 1, NOW + 5])
def test_any_reading_closes_a_circuit(sent: float) -> None:
    """
    That of a trial, and that of a slow call that was under way when it opened.
    """
    health = opened()

    assert health.succeeded(sent, NOW + 6)
    assert OK is health.state
    assert health.may_call() < NOW


def test_stragglers_neither_prolong_nor_end_a_state() -> None:
    """
    Calls that left before the signature was refused tell nothing of it.
    """
    health = Health(INTERVAL, NOW - 100)
    health.failed(failure(FailureKind.UNAUTHORIZED), NOW - 1, NOW)
    health.call_started()

    assert not health.failed(failure(FailureKind.UNAUTHORIZED), NOW - 1, NOW + 1)
    assert not health.succeeded(NOW - 1, NOW + 1)
    assert UNAUTHORIZED is health.state
    assert math.inf == health.may_call()


def test_unauthorized_is_tried_at_once_and_then_once_a_minute() -> None:
    """
    The fresh signature does not wait.
    """
    health = Health(INTERVAL, NOW - 100)
    refused = failure(FailureKind.UNAUTHORIZED)

    assert health.failed(refused, NOW, NOW)
    assert NOW == health.may_call()
    assert not health.failed(refused, NOW, NOW + 1)
    assert NOW + 60 == health.may_call()
    assert not health.failed(refused, NOW + 60, NOW + 61)
    assert NOW + 120 == health.may_call()
    assert health.succeeded(NOW + 120, NOW + 121)


def test_trial_that_ended_by_chance_is_soon_repeated() -> None:
    """
    A time-out says nothing of the signature.
    """
    health = Health(INTERVAL, NOW - 100)
    health.failed(failure(FailureKind.UNAUTHORIZED), NOW, NOW)
    health.failed(TRANSIENT, NOW, NOW + 1)

    assert NOW + 5 == health.may_call()


def test_misconfigured_waits_a_minute() -> None:
    """
    Nobody mends a config in less.
    """
    health = Health(INTERVAL, NOW - 100)

    assert health.failed(failure(FailureKind.MISCONFIGURED), NOW, NOW)
    assert NOW + 60 == health.may_call()
    health.try_now(NOW + 5)
    assert NOW + 5 == health.may_call()


def test_misconfigured_source_that_worked_a_moment_ago_is_tried_at_once() -> None:
    """
    It may be the room.
    """
    health = Health(INTERVAL, NOW - 100)
    health.succeeded(NOW - 2, NOW - 1)

    assert health.failed(failure(FailureKind.MISCONFIGURED), NOW, NOW)
    assert NOW == health.may_call()


def test_silence_holds_in_every_state() -> None:
    """
    An app that is told to be silent makes not even trials.
    """
    health = Health(INTERVAL, NOW - 100)
    health.silence(NOW + 60)
    assert NOW + 60 == health.may_call()

    health.failed(failure(FailureKind.UNAUTHORIZED), NOW, NOW)
    assert NOW + 60 == health.may_call()
    health.try_now(NOW)
    assert NOW + 60 == health.may_call()
    health.silence(NOW + 30)
    assert NOW + 60 == health.may_call()


def test_source_in_doubt_is_tried_in_a_minute() -> None:
    """
    Nothing but refusals came, and a person must mend that.
    """
    health = Health(INTERVAL, NOW)
    health.all_rooms_refused(NOW + 20)

    assert MISCONFIGURED is health.state
    assert NOW + 80 == health.may_call()


def test_trial_of_which_nothing_was_told_is_followed_by_another() -> None:
    """
    An error in the middle of judging it must not leave the source dark.
    """
    health = Health(INTERVAL, NOW)
    health.all_rooms_refused(NOW)
    health.call_started()
    assert math.inf == health.may_call()

    health.calls_ended(NOW + 65)
    assert NOW + 125 == health.may_call()


events = st.tuples(
    st.sampled_from([*FailureKind, "success", "wait", "refused", "silence", "try_now"]),
    st.floats(0, 100),
    st.floats(0, 6),
)


@settings(deadline=None)
@given(st.lists(events, max_size=60))
def test_trials_never_stop(schedule: list[tuple[str, float, float]]) -> None:
    """
    Whatever happens, a source that calls whenever it may is never silent for longer than it was told or a minute, and
    in trouble never has two calls under way.
    """
    health = Health(INTERVAL, NOW)
    now = NOW
    silent_until = NOW
    for what, seconds, late in schedule:
        match what:
            case "wait":
                now += seconds
            case "silence":
                health.silence(now + seconds)
                silent_until = max(silent_until, now + seconds)
            case "try_now":
                health.try_now(now)
            case "refused":
                health.all_rooms_refused(now)
            case _:
                assert health.may_call() <= max(now + 60, silent_until)
                now = max(now, health.may_call())
                sent = now
                health.call_started()
                assert (health.may_call() == math.inf) == (health.state is not OK)
                now += late
                if what == "success":
                    health.succeeded(sent, now)
                    assert OK is health.state
                else:
                    health.failed(failure(FailureKind(what)), sent, now)
        assert health.may_call() < math.inf
