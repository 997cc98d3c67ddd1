"""
The requests last written, which hold a vendor's limit of N calls per second however late the slots before them came to
be used: one more may go out only 1.02 s after the N-th last one did. The 20 ms are for the jitter with which requests
reach the vendor. Pure: the caller brings the time.

The vendor counts a call when it arrives, not when it was written. A reply that comes unusually late says that its call
may have arrived late, too: the call then counts as written that much later, less half of the 20 ms, by at most a
second, and keeps its one place among the N for so long. What is usual is told by the smoothed mean and deviation of
RFC 6298, so that a vendor whose replies take now 50 and now 150 ms loses no slot. The deviation follows more slowly
than there, and what is unusual teaches little: after one hold-up the next one must still be unusual. Where this process
itself stood still, calls under way may have stood still with it: those without a reply count as written when it went
on.
"""

from __future__ import annotations

import math
from bisect import insort
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

JITTER: Final = 0.02
_LATEST: Final = 1.0
_ALLOWED_FOR: Final = JITTER / 2
_MEAN_GAIN: Final = 1 / 8
_DEVIATION_GAIN: Final = 1 / 4
_CALM_GAIN: Final = 1 / 16
_DEVIATIONS: Final = 4
_CONVINCING: Final = 4
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
        timed: Whether its reply tells what is usual.
        settled: Whether nothing can be learned any more of when it arrived.
    """

    at: float
    timed: bool = False
    settled: bool = False


class ReplyTimes:
    """
    How long the vendor's replies usually take.

    One call is timed at a time, chosen when it is written: of all that are held up together, one is a lesson. When four
    lessons in a row were unusual, as with a vendor that is new or has become slow, the quickest of them is usual from
    then on.
    """

    __slots__ = ("_timed", "_unusual", "_usual")

    def __init__(self) -> None:
        self._usual = Usual(_CALM_GAIN)
        self._unusual: list[float] = []
        self._timed: Write | None = None

    def written(self, write: Write) -> None:
        """A request is on its way."""
        if self._timed is None or self._timed.settled or write.at > self._timed.at + _GIVEN_UP:
            self._timed = write
            write.timed = True

    def lateness(self, write: Write, looked: float, now: float) -> float:
        """
        By how many seconds this call should count later, since it may have been held up on its way.

        Args:
            looked: Its reply was not yet there at this moment.
            now: It was there at this one. What lies between the two is neither the vendor's usual time nor above
                suspicion.
        """
        at_least, at_most = max(0.0, looked - write.at), max(0.0, now - write.at)
        error, spread = at_most - self._usual.mean, max(_ALLOWED_FOR, self._usual.spread)
        if write.timed:
            self._learn(at_least, spread, unusual=error > spread)
        return error - _ALLOWED_FOR if error > spread else 0.0

    def _learn(self, took: float, spread: float, *, unusual: bool) -> None:
        if not unusual:
            self._unusual.clear()
        else:
            self._unusual.append(took)
        self._usual.learn(min(took - self._usual.mean, spread / 2))
        if len(self._unusual) == _CONVINCING:
            self._usual.mean = min(self._unusual)
            self._usual.deviation = _FIRST_DEVIATION * self._usual.mean
            self._unusual.clear()


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

    def answered(self, write: Write, looked: float, now: float) -> None:
        """The head of the reply to a request is there now; it was not yet there at the last look."""
        if write.settled:
            return
        write.settled = True
        late = self._replies.lateness(write, looked, now)
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
