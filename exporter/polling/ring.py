"""
The requests last written, which hold a vendor's limit of N calls per second however late the slots before them came to
be used: one more may go out only 1.02 s after the N-th last one did. The 20 ms are for the jitter with which requests
reach the vendor. Pure: the caller brings the time.

The vendor counts a call when it arrives, not when it was written. A reply that comes unusually late says that its call
may have arrived late, too: the call then counts as written so much later as the 20 ms do not cover, by at most half a
second, and keeps its one place among the N for so long. What is usual is told by the smoothed mean and deviation of
RFC 6298, so that a vendor whose replies take now 50 and now 150 ms loses no slot. The deviation follows more slowly
than there, and no lesson counts for more than half of what is unusual: after one hold-up the next one must still be.
Where this process itself stood still, calls under way may have stood still with it: those without a reply count as
written when it went on.
"""

from __future__ import annotations

import math
from bisect import insort
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

JITTER: Final = 0.02
_LATEST: Final = 0.5
_ALLOWED_FOR: Final = JITTER / 2
_MEAN_GAIN: Final = 1 / 8
_DEVIATION_GAIN: Final = 1 / 4
_CALM_GAIN: Final = 1 / 16
_DEVIATIONS: Final = 4
_FIRST_LESSONS: Final = 4
_FIRST_DEVIATION: Final = 1 / 8
_GIVEN_UP: Final = 5.0


class Usual:
    """
    How long something usually takes, in seconds: the smoothed mean and deviation of RFC 6298.

    Args:
        deviation_gain: How much of each new deviation is taken over; RFC 6298's, if left out.
    """

    __slots__ = ("_deviation_gain", "deviation", "mean")

    def __init__(self, deviation_gain: float = _DEVIATION_GAIN) -> None:
        self.mean = 0.0
        self.deviation = 0.0
        self._deviation_gain = deviation_gain

    @property
    def spread(self) -> float:
        """How far from the mean is still usual."""
        return _DEVIATIONS * self.deviation

    def learn(self, error: float) -> None:
        """Something took so much longer than the mean."""
        self.mean += _MEAN_GAIN * error
        self.deviation += self._deviation_gain * (abs(error) - self.deviation)


@dataclass(slots=True, eq=False)
class Write:
    """
    One request on its way to the wire.

    Args:
        at: Monotonic time from which it counts.
        settled: Whether nothing can be learned of that any more.
    """

    at: float
    settled: bool = False


class ReplyTimes:
    """
    How long the vendor's replies usually take.

    One call is timed at a time, chosen when it is written: of all that are held up together, one is a lesson. Until
    there were four, a call may have come as late as its reply; the quickest of them is the first to be called usual,
    since a vendor's first replies may be slow for once.
    """

    __slots__ = ("_lessons", "_timed", "_usual")

    def __init__(self) -> None:
        self._usual = Usual(_CALM_GAIN)
        self._usual.mean = math.inf
        self._lessons = 0
        self._timed: Write | None = None

    def written(self, write: Write) -> None:
        """A request is on its way."""
        if self._timed is None or write.at > self._timed.at + _GIVEN_UP:
            self._timed = write

    def lateness(self, write: Write, now: float, looked: float) -> float:
        """
        By how many seconds the call may have been held up on its way, beyond what the ring allows for anyway.

        Args:
            now: The reply was there at this moment.
            looked: It was not yet there at this one. What lies between the two is neither the vendor's usual time nor
                above suspicion.
        """
        at_least, at_most = max(0.0, looked - write.at), now - write.at
        usual, timed = self._usual, write is self._timed
        if timed:
            self._timed = None
            self._lessons += 1
        if self._lessons <= _FIRST_LESSONS:
            if timed and at_least < usual.mean:
                usual.mean, usual.deviation = at_least, _FIRST_DEVIATION * at_most
            return at_most
        spread, error = max(_ALLOWED_FOR, usual.spread), at_most - usual.mean
        if timed:
            usual.learn(min(at_least - usual.mean, spread / 2))
        return error - _ALLOWED_FOR if error > spread else 0.0


class Ring:
    """
    The last writes under one limit.

    Args:
        limit: Calls per second; below 1, one call in 1 / limit seconds.
    """

    def __init__(self, limit: float) -> None:
        self.change_limit(limit)
        self._writes: list[Write] = []
        self._replies = ReplyTimes()

    def change_limit(self, limit: float) -> None:
        """Keep to another limit; what was written under the old one still counts."""
        self.burst, self.window = burst_of(limit)

    def free_at(self, waiting: int = 0) -> float:
        """When one more request may be written, after so many others that wait for the same."""
        rounds, place = divmod(waiting, self.burst)
        if len(self._writes) < self.burst - place:
            return -math.inf
        return self._writes[place - self.burst].at + (1 + rounds) * self.window

    def write(self, now: float) -> Write:
        """Count a request that is written now."""
        write = Write(now)
        self._replies.written(write)
        self._writes.append(write)
        del self._writes[: -self.burst]
        return write

    def answered(self, write: Write, now: float, looked: float | None = None) -> None:
        """
        The head of the reply to a request is there.

        Args:
            looked: When it was last looked for in vain; now, if left out.
        """
        if write.settled:
            return
        write.settled = True
        late = self._replies.lateness(write, now, now if looked is None else looked)
        if late:
            with suppress(ValueError):  # it may have left the ring already, and comes back
                self._writes.remove(write)
            write.at += min(late, _LATEST)
            insort(self._writes, write, key=attrgetter("at"))
            del self._writes[: -self.burst]

    def held_up(self, now: float) -> None:
        """This process stood still until this moment, which may be a little past."""
        for write in self._writes:
            if write.at < now and not write.settled:
                write.settled = True
                write.at = now
        self._writes.sort(key=attrgetter("at"))


def burst_of(limit: float) -> tuple[int, float]:
    """Calls that may be written within so many seconds; below one call per second that is one call in longer."""
    return max(1, math.floor(limit)), max(1.0, 1 / limit) + JITTER
