"""
The state of a source as a whole, and when it may call: a circuit breaker. Pure: the caller brings the time.

Theory of operation
===================

**Problem.** A vendor that is down should not receive calls at the full rate, and Tencent stops checking signatures
after too many wrong ones (70050). But one failed call must not stop a source, and a source must go on by itself as soon
as the cause is gone.

**Idea.** A source is ``ok`` or in one of three other states. In these it makes only *trial* calls, one at a time. A
trial that reads a room ends the state::

    ok ── 5 failures in a row and no success for 5 s ──▶ circuit_open ──┐
    ok ── signature refused ──▶ unauthorized: one trial at once, then ──┼─ trials, one at a time ── success ──▶ ok
    ok ── app or service wrong, or every room refused ▶ misconfigured ──┘

The gap between two trials depends on how the last one ended:

* It ended in a failure that lasts until a person acts (unauthorized, misconfigured, refused): 60 s.
* It ended in a transient failure, which proves nothing: 5 s, then 10, 20, 40, and 60 s from then on.

Worked example, 10 calls per second and a timeout of 5 s. The vendor stops replying right after a success at 0 s. The
calls written at 0.1, 0.2, … 0.5 s fail at 5.1, 5.2, … 5.5 s. The fifth failure opens the circuit at 5.5 s. Trials leave
at 10.5, 20.5, 40.5, 80.5 and 140.5 s, then every 60 s. Without the circuit, the vendor would have received about 1,400
calls by then.

A call that was sent before a state began neither prolongs nor ends that state, since it tells of the time before. One
exception: any reading closes an open circuit, since the vendor replies.

A source that succeeded within the last two intervals and now seems misconfigured makes a trial at once, for another
room. If that succeeds, the room was wrong and not the source (see ``refusals``).

The sources of one vendor app share an ``App``: if the vendor wants silence from the app, all of them are silent.

**Why simpler is not enough.** A backoff for each room would still send one call for each room: 10,000 rooms make 10,000
failing calls. A count of failures alone would open the circuit 50 ms after a vendor's server begins to restart, at 100
calls per second; hence the 5 s without a success.

**When this is wrong.** If one call in a hundred succeeds, the circuit stays closed and the other 99 fail at the full
rate. A source with one call every 10 s needs 50 s to open its circuit. After a long outage, a vendor that is back may
wait up to 60 s for the trial that notices it.
"""

from __future__ import annotations

import math
from typing import Final, Protocol

from exporter.model import Failure
from exporter.polling.reaction import COUNTED, PERSISTENT, STATE_AFTER
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
        now: When the source was made. This counts as its last success until there is one.
    """

    def __init__(self, interval: float, now: float) -> None:
        self.interval = interval
        self.state = SourceState.OK
        self.since = now
        self._last_success = now
        self._succeeded = False
        self._in_a_row = 0
        self._trial_at = self._try_now_at = -math.inf
        self._trial_gap = _FIRST_TRIAL
        self._on_trial = False
        self._silent_until = -math.inf

    def may_call(self) -> float:
        """
        Monotonic time from which the next call may leave.

        Minus infinity while the source is ok and need not be silent, infinity while a trial is in flight.
        """
        if self.state is SourceState.OK:
            return self._silent_until
        return math.inf if self._on_trial else max(self._trial_at, self._silent_until)

    def silence(self, until: float) -> None:
        """Make no call before this time, in any state."""
        self._silent_until = max(self._silent_until, until)

    def try_now(self, now: float) -> None:
        """
        Make the next trial at once: the config or a file was just changed, which may have removed the cause.

        A trial in flight was made before the change. If it fails, the next trial follows at once.
        """
        self._try_now_at = now
        self._trial_at = min(self._trial_at, now)

    def resume(self, now: float) -> None:
        """The source is polled again, after a time without calls: that time says nothing of the vendor."""
        self._last_success, self._in_a_row = now, 0
        self.try_now(now)

    def call_started(self) -> None:
        """A call leaves now. If the source is not ok, this call is the trial."""
        self._on_trial = self.state is not SourceState.OK

    def succeeded(self, sent: float, now: float) -> bool:
        """
        A call read at least one room.

        Args:
            sent: When the call left.

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
        A call read no room at all.

        Args:
            sent: When the call left.

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
            self._trial_at = now if sent < self._try_now_at else max(now, sent + self._next_gap(failure))
        elif failure.kind in COUNTED:
            self._in_a_row += 1
            if self._in_a_row >= _FAILURES_IN_A_ROW and self.since_success(now) >= _WITHOUT_SUCCESS:
                return self._enter(SourceState.CIRCUIT_OPEN, now, trial_in=_FIRST_TRIAL)
        return False

    def calls_ended(self, now: float) -> None:
        """A trial has ended. If neither ``succeeded`` nor ``failed`` heard of it, the next one is due in 60 s."""
        if self._on_trial:
            self._on_trial = False
            self._trial_at = now + _TRIAL

    def all_rooms_refused(self, now: float) -> None:
        """The vendor refused every room: not the rooms but the source is misconfigured."""
        self._enter(SourceState.MISCONFIGURED, now, trial_in=_TRIAL)

    def since_success(self, now: float) -> float:
        """Seconds since the last success; since the source was made if there was none."""
        return now - self._last_success

    def worked_lately(self, now: float) -> bool:
        """Whether a call succeeded within the last two intervals."""
        return self._succeeded and now - self._last_success < 2 * self.interval

    def _next_gap(self, failure: Failure) -> float:
        """Seconds until the next trial: doubled each time after transient failures, which prove nothing."""
        if failure.kind in PERSISTENT:
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


class Member(Protocol):
    """Whatever calls with an app's credentials."""

    def silence(self, until: float) -> None:
        """Make no call before this monotonic time."""


class App:
    """The sources of one vendor app. If the vendor wants silence from the app, all of them are silent."""

    def __init__(self) -> None:
        self.healths: set[Member] = set()
        self._silent_until = -math.inf

    def join(self, health: Member) -> None:
        """Add a source. If the app must be silent now, so must this source."""
        self.healths.add(health)
        health.silence(self._silent_until)

    def leave(self, health: Member) -> None:
        """Remove a source."""
        self.healths.discard(health)

    def silence(self, until: float) -> None:
        """Let no source of this app call before this monotonic time."""
        self._silent_until = max(self._silent_until, until)
        for health in self.healths:
            health.silence(until)
