"""
The state of a source as a whole, and when it may call. Pure: the caller brings the time.

::

    ok ── 5 failures in a row and no success for 5 s ──▶ circuit_open ──┐
    ok ── signature refused ──▶ unauthorized: once afresh, then ────────┼─ trial calls, one at a time ─ success ─▶ ok
    ok ── app or service wrong, or every room refused ▶ misconfigured ──┘

Trials leave 5 s apart at first and 60 s at last while a circuit is open, a minute apart otherwise, unless one ends
in a time-out or the like and tells nothing. Calls that were under way when a state began neither prolong nor end it,
except that any reading closes a circuit. A source that worked a moment ago and now seems misconfigured is tried once
more at once, with another room: where that succeeds it was the room.

The sources of one vendor app are told together when the app must be silent.
"""

from __future__ import annotations

import math
from typing import Final

from exporter.model import Failure
from exporter.polling.reaction import COUNTED, STATE_AFTER, TELLING
from exporter.states import SourceState

_FAILURES_IN_A_ROW: Final = 5
_WITHOUT_SUCCESS: Final = 5.0
_FIRST_TRIAL: Final = 5.0
_TRIAL: Final = 60.0


class Health:
    """
    One source's state machine, in monotonic seconds.

    Args:
        interval: Wanted seconds between two readings of a room.
        now: When the source was made; counts as its last success until there is one.
    """

    def __init__(self, interval: float, now: float) -> None:
        self.interval = interval
        self.state = SourceState.OK
        self.since = now
        self._last_success = now
        self._succeeded = False
        self._in_a_row = 0
        self._trial_at = self._mended_at = -math.inf
        self._trial_gap = _FIRST_TRIAL
        self._on_trial = False
        self._silent_until = -math.inf

    def may_call(self) -> float:
        """When the next call may be made: long ago while the source is ok, infinity while a trial is under way."""
        if self.state is SourceState.OK:
            return self._silent_until
        return math.inf if self._on_trial else max(self._trial_at, self._silent_until)

    def silence(self, until: float) -> None:
        """Make no call before this time, whatever the state."""
        self._silent_until = max(self._silent_until, until)

    def try_now(self, now: float) -> None:
        """
        Make the next trial at once: somebody may just have mended what was wrong.

        A trial that is under way was made before, and tells nothing of it.
        """
        self._mended_at = now
        self._trial_at = min(self._trial_at, now)

    def calling(self) -> None:
        """A call leaves now; if the source is not ok it is the trial."""
        self._on_trial = self.state is not SourceState.OK

    def succeeded(self, sent: float, now: float) -> bool:
        """
        A call that left at ``sent`` gave a reading.

        Returns:
            Whether this ended a state other than ok.
        """
        self._last_success = now
        self._succeeded = True
        self._in_a_row = 0
        if self.state is SourceState.OK or (sent < self.since and self.state is not SourceState.CIRCUIT_OPEN):
            return False
        self._enter(SourceState.OK, now)
        return True

    def failed(self, failure: Failure, sent: float, now: float) -> bool:
        """
        A call that left at ``sent`` gave no reading at all.

        Returns:
            Whether the source is in another state than before.
        """
        if sent < self.since:
            return False
        state = STATE_AFTER.get(failure.kind)
        if state is not None and self.state is not state:
            wait = state is SourceState.MISCONFIGURED and not self.worked_lately(now)
            return self._enter(state, now, trial_in=_TRIAL if wait else 0.0)
        if self.state is not SourceState.OK:
            self._on_trial = False
            self._trial_at = now if sent < self._mended_at else max(now, sent + self._next_gap(failure))
        elif failure.kind in COUNTED:
            self._in_a_row += 1
            if self._in_a_row >= _FAILURES_IN_A_ROW and self.quiet_for(now) >= _WITHOUT_SUCCESS:
                return self._enter(SourceState.CIRCUIT_OPEN, now, trial_in=_FIRST_TRIAL)
        return False

    def over(self, now: float) -> None:
        """Every call has ended: if one was a trial of which nothing was told, the next trial is due all the same."""
        if self._on_trial:
            self._on_trial = False
            self._trial_at = now + _TRIAL

    def doubted(self, now: float) -> None:
        """Nothing but refusals came: it is the source that is misconfigured."""
        self._enter(SourceState.MISCONFIGURED, now, trial_in=_TRIAL)

    def quiet_for(self, now: float) -> float:
        """Seconds since the last success, or since the source was made if there was none."""
        return now - self._last_success

    def worked_lately(self, now: float) -> bool:
        """Whether a call succeeded within the last two intervals."""
        return self._succeeded and now - self._last_success < 2 * self.interval

    def _next_gap(self, failure: Failure) -> float:
        """Seconds until the next trial; one that ended by chance told nothing, and is soon repeated."""
        if failure.kind in TELLING:
            return _TRIAL
        gap, self._trial_gap = self._trial_gap, min(2 * self._trial_gap, _TRIAL)
        return gap

    def _enter(self, state: SourceState, now: float, trial_in: float = 0.0) -> bool:
        self.state = state
        self.since = now
        self._in_a_row = 0
        self._on_trial = False
        self._trial_at = now + trial_in
        self._trial_gap = 2 * _FIRST_TRIAL if state is SourceState.CIRCUIT_OPEN else _FIRST_TRIAL
        return True


class App:
    """The sources of one vendor app, which are told together to be silent."""

    def __init__(self) -> None:
        self.healths: set[Health] = set()
        self._silent_until = -math.inf

    def join(self, health: Health) -> None:
        """Make a source one of this app's; what the others were told holds for it too."""
        self.healths.add(health)
        health.silence(self._silent_until)

    def leave(self, health: Health) -> None:
        """Make a source none of this app's."""
        self.healths.discard(health)

    def silence(self, until: float) -> None:
        """No source of this app calls before this monotonic time."""
        self._silent_until = max(self._silent_until, until)
        for health in self.healths:
            health.silence(until)
