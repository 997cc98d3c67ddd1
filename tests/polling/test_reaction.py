"""
The table of what follows from a failed call.
"""

from __future__ import annotations

import pytest

from exporter.model import Failure, FailureKind
from exporter.polling.reaction import Reaction, Rooms, reaction
from exporter.states import SourceState

OK, OPEN = SourceState.OK, SourceState.CIRCUIT_OPEN
UNAUTHORIZED, MISCONFIGURED = SourceState.UNAUTHORIZED, SourceState.MISCONFIGURED


def failure(kind: FailureKind, **more: object) -> Failure:
    """A failure of this kind."""
    return Failure(kind, "code", "words", **more)  # type: ignore[arg-type]  # each test gives what it is about


@pytest.mark.parametrize(
    ("kind", "after", "rooms", "expected"),
    [
        (FailureKind.RATE_LIMITED, OK, 10, Reaction(Rooms.WAIT, slow_down=True)),
        (FailureKind.TRANSIENT, OK, 10, Reaction(Rooms.RETRY)),
        (FailureKind.TRANSIENT, OPEN, 10, Reaction(Rooms.AS_BEFORE)),
        (FailureKind.MALFORMED, OK, 10, Reaction(Rooms.RETRY)),
        (FailureKind.UNAUTHORIZED, UNAUTHORIZED, 10, Reaction(Rooms.AS_BEFORE)),
        (FailureKind.MISCONFIGURED, MISCONFIGURED, 10, Reaction(Rooms.AS_BEFORE)),
        (FailureKind.REFUSED, OK, 10, Reaction(Rooms.ONE_BY_ONE)),
        (FailureKind.REFUSED, OK, 1, Reaction(Rooms.RARELY)),
    ],
)
def test_source_was_ok(kind: FailureKind, after: SourceState, rooms: int, expected: Reaction) -> None:
    """
    Each kind has one reaction.
    """
    assert expected == reaction(failure(kind), OK, after, rooms=rooms, worked_lately=False)


@pytest.mark.parametrize("kind", FailureKind)
@pytest.mark.parametrize("state", [OPEN, UNAUTHORIZED, MISCONFIGURED])
@pytest.mark.parametrize("rooms", [1, 10])
def test_trial_is_not_its_rooms_fault(kind: FailureKind, state: SourceState, rooms: int) -> None:
    """
    Whatever a trial ends in, its rooms are due as before; a budget that was used too fast slows down all the same.
    """
    follows = reaction(failure(kind), state, state, rooms=rooms, worked_lately=True)

    assert Reaction(Rooms.AS_BEFORE, slow_down=kind is FailureKind.RATE_LIMITED) == follows


def test_source_that_worked_a_moment_ago_is_tried_with_other_rooms() -> None:
    """
    It seems misconfigured now; the rooms of that call may be the reason.
    """
    kind = failure(FailureKind.MISCONFIGURED)

    assert Reaction(Rooms.LATER) == reaction(kind, OK, MISCONFIGURED, rooms=1, worked_lately=True)


def test_limit_of_one_room_slows_nobody_down() -> None:
    """
    ZEGO's 207 concerns a room, not the app.
    """
    one_room = failure(FailureKind.RATE_LIMITED, one_room=True)

    assert Reaction(Rooms.RETRY) == reaction(one_room, OK, OK, rooms=10, worked_lately=True)


@pytest.mark.parametrize(("asked", "kept"), [(None, 0.0), (30.0, 30.0), (7_200.0, 300.0)])
def test_retry_after_of_a_transient_failure_silences_the_source(asked: float | None, kept: float) -> None:
    """
    For as long as the vendor asks, five minutes at most; one that was rate limited is the budget's matter.
    """
    transient = failure(FailureKind.TRANSIENT, retry_after=asked)
    limited = failure(FailureKind.RATE_LIMITED, retry_after=asked)

    assert kept == reaction(transient, OK, OK, rooms=1, worked_lately=True).silence
    assert 0.0 == reaction(limited, OK, OK, rooms=1, worked_lately=True).silence


def test_cool_down_is_the_whole_apps() -> None:
    """
    Tencent stopped checking the signature: every source of the app is silent for as long as that takes.
    """
    cool_down = failure(FailureKind.UNAUTHORIZED, cool_down=60.0)

    assert 60.0 == reaction(cool_down, OK, UNAUTHORIZED, rooms=1, worked_lately=True).app_silence
