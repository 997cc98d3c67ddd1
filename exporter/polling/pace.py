"""
When one more call may leave under one vendor limit. Pure: the caller brings the time.

Theory of operation
===================

**Problem.** A vendor allows N calls in any second and counts a call when it *arrives*. We want at least 97 % of them,
and never N + 1. Between our write and the vendor's count lie delays that we do not see: a busy host, a lost packet.

**Idea.** Two rules. A call may leave when both allow it.

1. *Even slots*. One call every ``period / N`` seconds, where the period is 1.026 s at full pace. If a call was due at
   its slot but left late (the loop was busy), the next calls catch up, for at most 100 ms.
2. *A sliding window log* of the write times of the last N calls. One more call may leave 1.024 s after the N-th last.
   The 24 ms are for delays on the way. This rule alone would keep the limit, but would send all N calls at once.

Worked example, N = 10: slots are 102.6 ms apart, so the N-th last call is always 1.026 s old, and the log allows one
more call 2 ms before each slot. If the loop is busy for 60 ms, one call leaves 60 ms late and the next one 42.6 ms
later, at its own slot. The pace uses 1 / 1.026 = 97.5 % of the limit.

**Limits that are not a whole number.** The number of calls is rounded up, and the second is stretched in proportion:
2.5 calls per second are 3 calls in 1.2 s, and 0.1 calls per second are 1 call in 10 s.

**Late arrivals.** The kernel sends a lost packet again, 200 ms later or more. Then the vendor counts the call in a
later second, and the calls after it must leave later too. The reply shows this, since it is late by the same time. To
know how long replies usually take, the pace keeps an exponentially weighted mean and mean deviation of reply times (as
in RFC 6298) over about eight seconds' worth of replies, so that ten replies that are delayed together do not change the
mean much. A reply is late if it takes longer than the mean by four deviations, and by at least 12 ms (half of the 24 ms
above). Its call then counts as written later by the excess over the mean, less these 12 ms. Example, N = 10, a mean of
50 ms: a reply arrives after 270 ms, so its call may have arrived 220 ms late. The call counts as written 208 ms later,
and the call that could leave 1.024 s after its write must wait 208 ms more. At first there is no mean, and first
replies are slow. So the calls of the first 0.3 s count as if they had arrived 12 ms before their replies. That costs
the time of one reply, once.

**Unacknowledged calls.** If the network is cut, calls wait in the kernel and arrive together when it is back. The
kernel knows which calls the other side has not acknowledged, and ``budget`` asks it about calls without a reply
(``arrives_by``). A call that is unacknowledged for more than two round trips may arrive at any moment. It holds a place
of the log until it is acknowledged, as if it were always written just now, and then counts from the moment at which we
learned of that. If its connection ends first, packets may still lie in a queue on the way. Then the call counts from
the moment at which no queue can hold them any longer. Example, N = 10: the network is cut while three calls are in
flight. Until they are acknowledged, seven calls may leave in 1.024 s, so at most ten arrive together. A vendor that
acknowledges at once and replies after 3 s costs no slot.

**Stalls.** While the process is stalled (suspended, stopped, without processor time), unanswered calls may be delayed
with it. They count from the end of the stall (``stalled``).

**Rejections.** The vendor says that we were too fast: somebody else uses the same limit, or the vendor counts in
another way than it documents. A single rejection lowers the pace by a tenth. If a tenth of the last N calls were
rejected (at least two, and of the last ten if N is smaller), the pace is halved, once: rejections of calls that were
sent until one window after that belong to the same episode. The pace never falls below a tenth of the limit. It climbs
back in steps::

    limit ─┐                       ┌─ each 5 min the step that one rejection takes
           │           ┌───────────┘
           │       ┌───┘ up to 0.9 × the rejected pace
           └───────┘ each 10 s a tenth of the limit

After single rejections, the rejected pace is the pace before the last one. After a halving, it is the pace before the
fall began. A vendor that rejects every call for a minute says nothing about the paces in between: if it also rejects
the first call after each step up, all of this is one fall.

**Hand-over.** Another process may go on with the limit (``state`` and ``restore``). It gets the ages of the last calls,
and its log holds them as if they were its own. So the calls of both, taken together, keep the limit. If they are not
known, it knows at least since when nobody has called (``silent_since``).

**Why simpler is not enough.** Measured at 200 calls per second: a leaky bucket of "200 per 1 s" let 399 calls into one
second; one of "1 per 5 ms" used 84 to 96 % of the limit. Slots with a log use 97.5 % and exceed nothing.

**When this is wrong.**

* A late call is not noticed if replies usually vary by as much, or if the vendor made up for it by a quicker reply.
* If the vendor becomes slow for good, its replies are taken for late for about ten seconds. That costs slots.
* The nearest end of the connection acknowledges a call. If a proxy or load balancer holds *all* calls for a second or
  longer and then passes them on together, the vendor counts more than N. The same happens if the vendor counts calls
  long after its kernel has received them.
* The kernel is asked 250 ms after the write at the earliest. A call that it has delivered by then may be up to 250 ms
  late, and a slow reply shows this too late.
* Systems other than Linux do not say which bytes are acknowledged.
* If the round trip takes longer than 0.7 s, the network is always taken for cut. That costs slots.
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from exporter.polling.pace_state import FallState, PaceState, age

ALLOWED_DELAY: Final = 0.024
"""Seconds by which a call may be delayed on the way without exceeding the limit."""

_SPARE: Final = 0.002
"""Seconds by which a period of slots is longer than the window of the log, so that punctual calls never wait for it."""

MOST_LATENESS: Final = 2.0
"""
The most seconds by which a reply can move its call. If a reply takes longer, the call was either acknowledged (a slow
reply) or already holds a place of the log. After about as long, the kernel gives up unacknowledged bytes, but it sends
them again at least once.
"""

_CATCH_UP: Final = 0.1
_UNNOTICED: Final = ALLOWED_DELAY / 2
_DEVIATIONS: Final = 4
_SECONDS_LEARNED_FROM: Final = 8
_COLD: Final = 0.3
_HOLDS_AFTER: Final = 0.7
"""Seconds after which an unacknowledged call holds its place, however long the round trip: before it leaves the log."""

_REMEMBERED: Final = 2.1
"""
Seconds for which the log keeps calls beyond the last N, in case the limit is raised. The longest window of several
calls is 2.024 s, at a limit just above 1 call per second.
"""

_MAY_ARRIVE_FOR: Final = 5.0
"""
Seconds for which an unacknowledged call may still arrive: as long as the kernel sends it again, and then as long as it
may lie in a queue.
"""

_STEP: Final = 0.1
_FLOOR: Final = 0.1
_FAST_CLIMB: Final = 10.0
_SLOW_CLIMB: Final = 300.0
_CEILING: Final = 0.9
_LONGEST_PAUSE: Final = 300.0
_ROUNDING: Final = 1e-9
_AT: Final = attrgetter("at")


@dataclass(slots=True, eq=False)
class Sent:
    """
    One call that was written.

    Args:
        at: Monotonic time from which it counts: of its write, or later if the call may have arrived late. Infinity
            while it may arrive at any moment.
        written: Monotonic time of its write.
        number: Number of calls written before it.
        answered: Whether its arrival time is settled: by its reply, or by a stall.
    """

    at: float
    written: float
    number: int
    answered: bool = False


class Pace:
    """
    One vendor limit.

    Args:
        limit: Calls per second, above 0, not necessarily a whole number.
        now: Monotonic time since which nobody else has called under this limit. No call may leave in the first period
            after it, since the vendor may still count the calls of an earlier process.

    Attributes:
        pace: Calls per second allowed now, from a tenth of the limit up to the limit.
        calls: Number of calls written so far.
    """

    def __init__(self, limit: float, now: float) -> None:
        self.calls = 0
        self.pace = self.limit = limit
        self._since = now
        self._paused_until = self._last_slot = -math.inf
        self._replies = _ReplyTimes()
        self._cold_until = math.inf
        self._rejected: list[int] = []
        self._fall: _Fall | None = None
        self._log: list[Sent] = []
        self.change_limit(limit)

    def change_limit(self, limit: float) -> None:
        """
        Keep to another limit from now on. Calls written under the old limit still count.

        If rejections have lowered the pace, it rises in proportion to the limit, since no rejected pace was above the
        old limit.
        """
        raised = max(1.0, limit / self.limit)
        self.pace = limit if self._fall is None else max(_FLOOR * limit, min(self.pace * raised, limit))
        if self._fall is not None:
            self._fall.previous = min(self._fall.previous * raised, limit)
            self._fall.initial = min(self._fall.initial * raised, limit)
        self.limit = limit
        self._burst = math.ceil(limit)
        self._window = self._burst / limit + ALLOWED_DELAY

    @property
    def period(self) -> float:
        """Seconds for N slots at full pace."""
        return self._window + _SPARE

    def slot_at(self, now: float) -> float:
        """Monotonic time of the next even slot; may be in the past."""
        self._climb(now)
        return self._last_slot + self.period / self._burst * self.limit / self.pace

    def open_at(self) -> float:
        """Monotonic time from which the log and pauses allow one more call; may be in the past."""
        open_at = max(self._paused_until, self._since + self.period)
        if len(self._log) < self._burst:
            return open_at
        return max(open_at, self._log[-self._burst].at + self._window)

    @property
    def holds(self) -> bool:
        """Whether an unacknowledged call holds a place of the log. Once it is delivered, ``open_at`` may be sooner."""
        return bool(self._log) and self._log[-1].at == math.inf

    def sent(self, now: float, due: float) -> Sent:
        """
        Count a call that was written now.

        Args:
            due: Since when there has been a call to make. Slots before that were not needed, and are not caught up.
        """
        self._last_slot = max(self.slot_at(now), min(due, now), now - _CATCH_UP)
        call = Sent(now, now, self.calls)
        if not self.calls:
            self._cold_until = now + _COLD
        self.calls += 1
        insort(self._log, call, key=_AT)
        while len(self._log) > self._burst and self._log[0].at < now - _REMEMBERED:
            del self._log[0]
        return call

    def answered(self, call: Sent, now: float) -> None:
        """The head of the reply to this call arrived now."""
        if call.answered:
            return
        call.answered = True
        took = now - call.written
        late = self._replies.lateness(took, self._burst)
        if call.written < self._cold_until:
            late = took - _UNNOTICED
        self._count_from(call, max(min(call.at, now), call.written + min(late, MOST_LATENESS)))

    def arrives_by(self, call: Sent, until: float, now: float, round_trip: float) -> None:
        """
        Count a call without a reply by what the network knows of it.

        Args:
            until: Monotonic time until which the network may deliver it: minus infinity if it has, infinity while it
                is unacknowledged. Call again until it is finite or minus infinity.
            round_trip: Usual seconds until a call is acknowledged; 0 if unknown.
        """
        if until < math.inf or now - call.written > min(2 * round_trip, _HOLDS_AFTER):
            self._count_from(call, max(until, min(call.at, now)))

    def _count_from(self, call: Sent, at: float) -> None:
        if at == call.at:
            return
        if call in self._log:
            self._log.remove(call)
        call.at = at
        insort(self._log, call, key=_AT)

    def stalled(self, now: float) -> None:
        """The process was stalled until now. Unanswered calls may have been delayed with it: count them from now."""
        for call in self._log:
            if call.at < now and not call.answered:
                call.answered = True
                call.at = now
        self._log.sort(key=_AT)

    def pause(self, until: float) -> None:
        """Allow no call before this monotonic time."""
        self._paused_until = max(self._paused_until, until)

    def rejected(self, call: Sent, now: float, retry_after: float | None = None) -> bool:
        """
        The vendor said that this call was too fast.

        Args:
            retry_after: Seconds of silence that the vendor asked for; at most 300 are kept.

        Returns:
            Whether this lowered the pace. If not, the call belongs to an episode that has lowered it already.
        """
        if retry_after:
            self.pause(now + min(retry_after, _LONGEST_PAUSE))
        self._climb(now)
        fall = self._fall or _Fall(self.pace, self.pace)
        same_episode = call.at < fall.lowered_at + self._window
        halve = not (same_episode and fall.halved_at == fall.lowered_at) and self._many_rejected(call)
        if same_episode and not halve:
            return False
        if not same_episode:
            fall.previous = self.pace
            if call.number > fall.first_since_climb:
                fall = _Fall(self.pace, self.pace)
        fall.lowered_at, fall.climbed_at, fall.first_since_climb = now, now, math.inf
        fall.halved_at = now if halve else fall.halved_at
        self._fall = fall
        self.pace = max(fall.previous * (0.5 if halve else 1 - _STEP), _FLOOR * self.limit)
        return True

    def state(self, now: float, *, writes: bool = True) -> PaceState:
        """
        What the next process needs to go on with this limit.

        Args:
            writes: Whether it needs the last calls. Not if it stays silent for a window anyway.
        """
        fall = self._fall
        return PaceState(
            limit=self.limit,
            pace=self.pace,
            since=age(now, self._since),
            writes=[age(now, min(call.at, now + _MAY_ARRIVE_FOR)) for call in self._log] if writes else [],
            slot=None if self._last_slot == -math.inf else age(now, self._last_slot),
            pause=max(0.0, -age(now, self._paused_until)) if self._paused_until > now else 0.0,
            rejected=[self.calls - number for number in self._rejected],
            fall=None if fall is None else fall.state(now, self.calls),
        )

    def restore(self, state: PaceState, now: float, elapsed: float) -> None:
        """
        Go on from where another process was.

        Args:
            elapsed: Seconds since it made this state, or fewer.
        """
        then = now - elapsed
        self._since = then - state.since
        for since_write in state.writes:
            at = then - since_write
            insort(self._log, Sent(at, at, -1, answered=True), key=_AT)
        if state.slot is not None:
            self._last_slot = max(self._last_slot, then - state.slot)
        if state.pause:
            self.pause(then + min(state.pause, _LONGEST_PAUSE))
        self._rejected = [self.calls - ago for ago in state.rejected]
        limit, self.limit = self.limit, state.limit
        self.pace = max(_FLOOR * state.limit, min(state.pace, state.limit))
        self._fall = None if state.fall is None else _Fall.restored(state.fall, then, self.calls)
        self.change_limit(limit)

    def silent_since(self, since: float) -> None:
        """Nobody has called since this monotonic time, but for the calls that the log holds."""
        self._since = since

    def _many_rejected(self, call: Sent) -> bool:
        """Whether a tenth of the last N calls were rejected, this one included, and at least two."""
        counted = max(self._burst, 10)
        self._rejected = [number for number in self._rejected if number > call.number - counted] + [call.number]
        if len(self._rejected) < max(2, counted / 10):
            return False
        self._rejected.clear()
        return True

    def _climb(self, now: float) -> None:
        while (fall := self._fall) is not None:
            ceiling = min(_CEILING * fall.rejected_pace, self.limit)
            fast = self.pace < ceiling - _ROUNDING
            climbed_at = fall.climbed_at + (_FAST_CLIMB if fast else _SLOW_CLIMB)
            if now < climbed_at:
                return
            fall.climbed_at, fall.first_since_climb = climbed_at, self.calls
            higher = self.pace + _STEP * self.limit if fast else self.pace / (1 - _STEP)
            self.pace = min(higher, ceiling if fast else self.limit)
            if self.pace > self.limit - _ROUNDING:
                self.pace, self._fall = self.limit, None


@dataclass(slots=True)
class _Fall:
    """
    The time from the first rejection until the pace is back at the limit.

    Args:
        initial: The pace before the first rejection.
        previous: The pace before the last episode.
        halved_at: Monotonic time at which the pace was last halved.
        lowered_at: Monotonic time at which the pace was last lowered.
        climbed_at: Monotonic time at which the pace last climbed or fell.
        first_since_climb: Number of the first call since the pace last climbed; infinity if it has not since it fell.
    """

    initial: float
    previous: float
    halved_at: float = -math.inf
    lowered_at: float = -math.inf
    climbed_at: float = -math.inf
    first_since_climb: float = math.inf

    @property
    def rejected_pace(self) -> float:
        return self.previous if self.halved_at == -math.inf else self.initial

    def state(self, now: float, calls: int) -> FallState:
        first = self.first_since_climb
        return FallState(
            initial=self.initial,
            previous=self.previous,
            lowered=age(now, self.lowered_at),
            climbed=age(now, self.climbed_at),
            halved=None if self.halved_at == -math.inf else age(now, self.halved_at),
            called=None if first == math.inf else calls > first,
        )

    @classmethod
    def restored(cls, state: FallState, then: float, calls: int) -> _Fall:
        lowered_at = then - state.lowered
        halved_at = -math.inf if state.halved is None else then - state.halved
        first = math.inf if state.called is None else calls - state.called
        return cls(state.initial, state.previous, halved_at, lowered_at, then - state.climbed, first)


@dataclass(slots=True)
class _ReplyTimes:
    """Exponentially weighted mean and mean deviation of reply times, in seconds."""

    _mean: float = 0.0
    _deviation: float = 0.0
    _replies: int = 0

    def lateness(self, took: float, burst: int) -> float:
        """
        Seconds by which a call must count later because of its reply time; 0 if the reply was not late.

        Args:
            took: Seconds from the write to the head of the reply.
            burst: Calls per second, rounded up: about a second's worth of replies.
        """
        self._replies += 1
        if self._replies == 1:
            self._mean, self._deviation = took, took / 2
        error = took - self._mean
        usual = max(_UNNOTICED, _DEVIATIONS * self._deviation)
        gain = max(1 / self._replies, 1 / (_SECONDS_LEARNED_FROM * burst))
        learned = max(-usual, min(error, usual))  # one outlier must not move the mean far
        self._mean += gain * learned
        self._deviation += gain * (abs(learned) - self._deviation)
        return error - _UNNOTICED if error > usual else 0.0


def pace_kept(limit: float) -> float:
    """Calls per second that leave if every slot is used: a little fewer than the limit."""
    burst = math.ceil(limit)
    return burst / (burst / limit + ALLOWED_DELAY + _SPARE)
