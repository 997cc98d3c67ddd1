"""
May I send now? The pace of one vendor limit, as a pure class: the caller brings the time.

Theory of operation
===================

**Problem.** A vendor allows N calls in any second and counts a call when it *arrives*. We want at least 97 % of them,
and never N + 1. Between our write and the vendor's count lie delays that we do not see: a busy host, a lost packet.

**Idea.** Two rules, and the later of their moments counts.

1. *Even slots*. One call every ``period / N`` seconds, where the period is 1.026 s at full pace. A slot that was wanted
   but used late (the loop was busy) is caught up, for at most 100 ms.
2. *A sliding window log*. The write times of the last N calls; one more may go out 1.024 s after the N-th last. The
   24 ms are for delays on the way. This rule alone would hold the limit, but would send all N calls at once.

Worked example, N = 10: slots are 102.6 ms apart, so the N-th last call is always 1.026 s old and the log is open, with
2 ms to spare. If the loop stands still for 60 ms, the next slot is used 60 ms late and the one after it 42.6 ms after
that. 1 / 1.026 = 97.5 % of the limit are used.

**Limits that are no whole number.** 2.5 calls per second is 3 calls in 1.2 s: the calls are rounded up, and the second
is stretched by as much. 0.1 calls per second is 1 call in 10 s.

**Late arrivals.** A packet that is lost is sent again by the kernel, 200 ms later or more. Then the vendor counts one
call in the wrong second, and the calls after it must make room. We learn of it from the reply: it comes as much later
than usual. Usual is a mean and a mean deviation of reply times (as in RFC 6298) over about eight seconds' worth of
replies, so that ten replies that are held up together are still unusual. Late is a reply that takes 12 ms (half of what
is allowed for) or four deviations longer than the mean. Its call counts as written so much later, less these 12 ms.
Example, N = 10, usual 50 ms: a reply after 270 ms says that its call may have arrived 220 ms late. It counts as written
208 ms later, and the call that would have followed it 1.024 s after its write waits that long. At first nothing is
usual yet, and a process and a vendor that have just met are slow: the calls of the first 0.3 s count as if they had
arrived just before their replies. That costs the time of one reply, once.

**Unacknowledged calls.** A call that waits for a network to come back arrives whenever that is, together with others.
The kernel knows which calls the other side has not acknowledged, and the caller asks it for calls without a reply
(``arrives_by``). A call that is unacknowledged for more than two round trips may arrive at any moment: it holds a place
of the log for as long as that lasts, as if it were always written just now, and counts from the moment at which it
turns out to have been acknowledged. If its connection ends before, packets may still lie in a queue on the way; then it
counts from the moment at which no queue has any left. Example, N = 10: the network is cut when three calls are under
way. Until they are acknowledged, seven calls may go out in 1.024 s, so that there are ten when all arrive together. A
vendor that acknowledges at once and replies after 3 s costs no slot.

**Stalls.** When this process stood still (suspended, stopped, starved), calls that are not answered yet may have been
delayed with it. They count from the end of the stall (``stalled``).

**Rejections.** The vendor says that we were too fast: somebody else uses the same limit, or it counts otherwise than
it documents. A single rejection lowers the pace by a tenth. When a tenth of the last N calls (and two of the last ten,
if N is smaller) were rejected, the pace is halved, once: rejections of calls sent until one window after that belong
to the same episode. The pace never falls below a tenth of the limit, and climbs back::

    limit ─┐                       ┌─ each 5 min the step that one rejection takes
           │           ┌───────────┘
           │       ┌───┘ up to 0.9 × the rejected pace
           └───────┘ each 10 s a tenth of the limit

After single rejections the rejected pace is the last one; after a halving it is the one from which the fall began. A
vendor that turns everything away for a minute says nothing of any pace in between: as long as the first call after each
step up is rejected, too, it is one fall.

**Why simpler is not enough.** Measured at 200 calls per second: a leaky bucket of "200 per 1 s" let 399 calls into one
second; one of "1 per 5 ms" used 84 to 96 % of the limit. Slots with a log use 97.5 % and exceed nothing.

**When this is wrong.** A call that is late by no more than replies usually vary, or whose reply is not late because the
vendor was quicker than usual, is not noticed. A vendor that turns slow for good is taken to be late for about ten
seconds, which costs slots. An acknowledgement is that of the nearest end of a connection: a proxy or load balancer that
holds *all* calls for a second or longer and then lets them through together makes the vendor count more than N, as does
a vendor that counts calls long after its kernel has them. What is acknowledged when it is first asked for, after about
250 ms, may have been late by so much, which a slow reply tells too late. Systems other than Linux do not tell what is
acknowledged. A way whose round trip takes longer than 0.7 s is always taken to be cut, which costs slots.
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

ALLOWED_DELAY: Final = 0.024
"""Seconds on the way to the vendor that make no second overfull."""

_SPARE: Final = 0.002
"""Seconds by which slots are slower than the log allows, so that a call that is used in time never waits for it."""

LATEST: Final = 2.0
"""
Seconds by which a reply can move its call at most: what comes later was acknowledged and is a slow reply, or held its
place. The kernel gives up bytes that nobody acknowledges after about as long, though not before it has sent them again.
"""

_CATCH_UP: Final = 0.1
_UNNOTICED: Final = ALLOWED_DELAY / 2
_DEVIATIONS: Final = 4
_SECONDS_LEARNED_FROM: Final = 8
_COLD: Final = 0.3
_LONGEST_PATIENCE: Final = 0.7
"""Seconds after which an unacknowledged call holds its place, however long the way is: before it leaves the log."""

_REMEMBERED: Final = 2.1
"""Seconds for which a call counts at most, the last one excepted: 1.1 calls per second is 2 calls in 1.8 s."""

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
        at: Monotonic seconds from which it counts; moves when the call turns out to be late. Infinity while it may
            arrive at any moment.
        written: Monotonic seconds of its write.
        number: How many calls were written before it.
        answered: Whether nothing more can be learned of when it arrived.
    """

    at: float
    written: float
    number: int
    answered: bool = False


class Pace:
    """
    One vendor limit.

    Args:
        limit: Calls per second, above 0; need not be whole; ``change_limit`` changes it.
        now: Monotonic seconds since which nobody else has called under this limit. The first period after that is
            silent, since the vendor may still count the calls of a process that was there before.

    Attributes:
        pace: Calls per second that are allowed now, between a tenth of the limit and the limit.
        calls: Calls written so far.
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
        Keep to another limit from now on; what was written under others still counts.

        A pace that rejections have lowered rises with the limit in proportion, as nothing above the old one was tried.
        """
        raised = max(1.0, limit / self.limit)
        self.pace = limit if self._fall is None else max(_FLOOR * limit, min(self.pace * raised, limit))
        if self._fall is not None:
            self._fall.before = min(self._fall.before * raised, limit)
            self._fall.begun_at = min(self._fall.begun_at * raised, limit)
        self.limit = limit
        self._burst = math.ceil(limit)
        self._window = self._burst / limit + ALLOWED_DELAY

    @property
    def period(self) -> float:
        """Seconds in which slots for a whole log come round at full pace."""
        return self._window + _SPARE

    def slot_at(self, now: float) -> float:
        """Monotonic time of the next even slot; may have passed."""
        self._climb(now)
        return self._last_slot + self.period / self._burst * self.limit / self.pace

    def open_at(self) -> float:
        """Monotonic time from which log and pauses allow one more call; may have passed."""
        open_at = max(self._paused_until, self._since + self.period)
        if len(self._log) < self._burst:
            return open_at
        return max(open_at, self._log[-self._burst].at + self._window)

    @property
    def holds(self) -> bool:
        """Whether a call may arrive at any moment, so that ``open_at`` may be sooner than is known now."""
        return bool(self._log) and self._log[-1].at == math.inf

    def sent(self, now: float, due: float) -> Sent:
        """
        Count a call that was written now.

        Args:
            due: Since when somebody has wanted it. Slots that nobody wanted are not caught up.
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
        self._count_from(call, max(min(call.at, now), call.written + min(late, LATEST)))

    def arrives_by(self, call: Sent, until: float, now: float, round_trip: float) -> None:
        """
        The network may deliver this call until then, if it has not.

        Args:
            until: Minus infinity if it has arrived; infinity if nobody knows, to be told again until somebody does.
            round_trip: Seconds in which calls are acknowledged usually.
        """
        if until < math.inf or now - call.written > min(2 * round_trip, _LONGEST_PATIENCE):
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
            retry_after: Seconds of silence that it asked for; at most 300 are kept.

        Returns:
            Whether the pace was lowered for it; if not, it belongs to an episode that has lowered it already.
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
            fall.before = self.pace
            if call.number > fall.first_since_climb:
                fall = _Fall(self.pace, self.pace)
        fall.lowered_at, fall.climbed_at, fall.first_since_climb = now, now, math.inf
        fall.halved_at = now if halve else fall.halved_at
        self._fall = fall
        self.pace = max(fall.before * (0.5 if halve else 1 - _STEP), _FLOOR * self.limit)
        return True

    def _many_rejected(self, call: Sent) -> bool:
        """Whether, with this one, a tenth of the last calls were rejected, and two at least."""
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
    The pace is below the limit since rejections.

    Args:
        begun_at: The pace from which the fall began.
        before: The pace before the last episode.
        halved_at: Monotonic time at which the pace was last halved.
        first_since_climb: Number of the first call since the pace last climbed; infinity if it did not climb.
    """

    begun_at: float
    before: float
    halved_at: float = -math.inf
    lowered_at: float = -math.inf
    climbed_at: float = -math.inf
    first_since_climb: float = math.inf

    @property
    def rejected_pace(self) -> float:
        return self.before if self.halved_at == -math.inf else self.begun_at


@dataclass(slots=True)
class _ReplyTimes:
    """How long replies usually take, in seconds."""

    _mean: float = 0.0
    _deviation: float = 0.0
    _replies: int = 0

    def lateness(self, took: float, burst: int) -> float:
        """
        By how many seconds a call should count later whose reply took so long; 0 if that is usual.

        Args:
            burst: About a second's worth of replies.
        """
        self._replies += 1
        if self._replies == 1:
            self._mean, self._deviation = took, took / 2
        error = took - self._mean
        usual = max(_UNNOTICED, _DEVIATIONS * self._deviation)
        gain = max(1 / self._replies, 1 / (_SECONDS_LEARNED_FROM * burst))
        learned = max(-usual, min(error, usual))  # one outlier must not teach much
        self._mean += gain * learned
        self._deviation += gain * (abs(learned) - self._deviation)
        return error - _UNNOTICED if error > usual else 0.0


def pace_kept(limit: float) -> float:
    """Calls per second that are really made under this limit when every slot is wanted, a little fewer than it."""
    burst = math.ceil(limit)
    return burst / (burst / limit + ALLOWED_DELAY + _SPARE)
