"""
The requests last written, which hold a vendor's limit of N calls per second however late the slots before them came to
be used: one more may go out only 1.02 s after the N-th last one did. The 20 ms are for the jitter with which requests
reach the vendor. Pure: the caller brings the time.

The vendor counts a call when it arrives, not when it was written. A reply that comes unusually late says that its call
may have arrived late, too: the call then counts as written that much later, by at most half a second, and keeps its one
place among the N for so long. What is usual is told by the smoothed mean and deviation of RFC 6298, so that a vendor
whose replies take now 50 and now 150 ms loses no slot. Where this process itself stood still, calls under way may have
stood still with it: those without a reply count as written when it went on.
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
_NEVER_LATE: Final = 0.005
_MEAN_GAIN: Final = 1 / 8
_DEVIATION_GAIN: Final = 1 / 4
_DEVIATIONS: Final = 4


class Usual:
    """How long something usually takes, in seconds: the smoothed mean and deviation of RFC 6298."""

    __slots__ = ("deviation", "mean")

    def __init__(self) -> None:
        self.mean = 0.0
        self.deviation = 0.0

    @property
    def spread(self) -> float:
        """How far from the mean is still usual."""
        return _DEVIATIONS * self.deviation

    def learn(self, error: float) -> None:
        """Something took so much longer than the mean."""
        self.mean += _MEAN_GAIN * error
        self.deviation += _DEVIATION_GAIN * (abs(error) - self.deviation)


class ReplyTimes:
    """How long the vendor's replies usually take."""

    __slots__ = ("_surprised_at", "_usual")

    def __init__(self) -> None:
        self._usual = Usual()
        self._surprised_at = -math.inf

    def lateness(self, sent: float, now: float) -> float:
        """By how many seconds a reply that comes now is later than usual; 0 if that is nothing unusual."""
        took, usual = now - sent, self._usual
        if not usual.mean:  # the first of all: nobody knows
            usual.mean, usual.deviation = took, took / 2
            return took
        error, spread = took - usual.mean, max(_NEVER_LATE, usual.spread)
        if sent > self._surprised_at:  # of all calls that were held up together, one is a lesson
            usual.learn(min(error, spread))
            if error > spread:
                self._surprised_at = now
        return error if error > spread else 0.0


@dataclass(slots=True, eq=False)
class Write:
    """
    One request on its way to the wire.

    Args:
        at: Monotonic time from which it counts.
        settled: Whether nothing can be learned of that any more.
    """

    at: float
    ring: Ring
    settled: bool = False

    def answered(self, now: float) -> None:
        """The head of the reply is there."""
        self.ring.answered(self, now)


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
        write = Write(now, self)
        self._writes.append(write)
        del self._writes[: -self.burst]
        return write

    def answered(self, write: Write, now: float) -> None:
        """The head of a reply is there."""
        if write.settled:
            return
        write.settled = True
        late = self._replies.lateness(write.at, now)
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
