"""
How to react to a failed call, for the source, its rooms and the budget. Pure.

::

    failure        source               rooms                                  budget
    rate_limited   –                    due again after a backoff              slows down
      of one room  –                    retried                                –
    transient      counts to a circuit  retried; silent for Retry-After        –
    malformed      counts to a circuit  retried                                –
    unauthorized   unauthorized         due again at once                      –
    misconfigured  misconfigured        due again at once, or later            –
    refused        –                    a batch: one by one; alone: rarely     –

The table holds while the source is ok. In any other state, a failed trial says nothing about its rooms: they are due
again at once, behind the others. ``health`` decides when the next trial leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exporter.model import Failure, FailureKind
from exporter.states import SourceState

STATE_AFTER: Final = {
    FailureKind.UNAUTHORIZED: SourceState.UNAUTHORIZED,
    FailureKind.MISCONFIGURED: SourceState.MISCONFIGURED,
}
"""The state into which one such failure puts the source as a whole."""

COUNTED: Final = frozenset({FailureKind.TRANSIENT, FailureKind.MALFORMED})
"""Failures that open the circuit if there are many in a row."""

PERSISTENT: Final = frozenset({FailureKind.UNAUTHORIZED, FailureKind.MISCONFIGURED, FailureKind.REFUSED})
"""Failures that last until a person acts. After a trial that ends in one, the next trial waits for a minute."""

_LONGEST_SILENCE: Final = 300.0


class Rooms(StrEnum):
    """When the rooms of a failed call are due again."""

    RETRY = "after a backoff, in the lane of retries, and in any case when their next poll is due"
    WAIT = "after a backoff, as a regular poll: the budget's slower pace takes care of the vendor"
    AS_BEFORE = "now, behind the others, so that no trial hangs on one of them: it was not their fault"
    LATER = "after an interval: they may be to blame, so the next trial asks for others"
    ONE_BY_ONE = "now, each alone: one of them is refused"
    RARELY = "after 10 intervals, then 20, up to 360: this room is refused"


_WHILE_OK: Final = {
    FailureKind.RATE_LIMITED: Rooms.WAIT,
    FailureKind.TRANSIENT: Rooms.RETRY,
    FailureKind.MALFORMED: Rooms.RETRY,
    FailureKind.REFUSED: Rooms.ONE_BY_ONE,
}


@dataclass(frozen=True, slots=True)
class Reaction:
    """
    The reaction to a failed call.

    Args:
        slow_down: Whether the budget's pace must fall.
        silence: Seconds for which the source makes no call, 0 to 300.
        app_silence: Seconds for which no source of the same app makes a call.
    """

    rooms: Rooms
    slow_down: bool = False
    silence: float = 0.0
    app_silence: float = 0.0


def reaction(failure: Failure, before: SourceState, after: SourceState, *, rooms: int, worked_lately: bool) -> Reaction:
    """
    The reaction to this failure.

    Args:
        before: The source's state before the call ended.
        after: Its state after that, as ``Health.failed`` has set it.
        rooms: Number of rooms in the call.
        worked_lately: Whether a call of this source succeeded within the last two intervals.
    """
    step = _WHILE_OK.get(failure.kind, Rooms.AS_BEFORE)
    if before is SourceState.OK and after is SourceState.MISCONFIGURED and worked_lately:
        step = Rooms.LATER
    elif before is not SourceState.OK or after is not SourceState.OK:
        step = Rooms.AS_BEFORE
    elif failure.one_room:
        step = Rooms.RETRY
    elif step is Rooms.ONE_BY_ONE and rooms == 1:
        step = Rooms.RARELY
    transient = failure.kind is FailureKind.TRANSIENT
    return Reaction(
        step,
        slow_down=failure.kind is FailureKind.RATE_LIMITED and not failure.one_room,
        silence=min(failure.retry_after or 0.0, _LONGEST_SILENCE) if transient else 0.0,
        app_silence=failure.cool_down or 0.0,
    )
