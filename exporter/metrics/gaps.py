"""
How far apart the readings of a source's rooms are: a sliding window over the gaps between them.

Problem: ``rtc_source_achieved_interval_seconds`` says how often rooms are really read: the median of the gaps between
two readings of one room. It must follow a change of pace soon, be silent about a source that reads nothing any more,
and cost the same whether a source has one room or a hundred thousand.

Idea: a sliding window of time, cut into twelve *buckets*. A gap counts from the moment at which it ended, so it goes
into the newest bucket. When that one is a twelfth of the window old, a new bucket begins, and the oldest of more than
twelve is dropped. A bucket keeps 32 gaps at most, by reservoir sampling: each of the n gaps that it was told is kept
with the same probability 32 / n. That makes at most 384 gaps for a source.

Example: 6,000 rooms, ten in a call, ten calls a second: each room is read every 60 s, so a hundred gaps of some 60 s
end in every second. With ``interval: 10s`` the window is 120 s and a bucket spans 10 s: it is told of 1,000 gaps and
keeps 32. If 3,000 rooms go, gaps shrink to 30 s in the course of a minute. When six of the twelve buckets hold short
gaps, the median has changed over.

Why not simply the last 256 gaps: at a hundred gaps a second they are two and a half seconds. For a source with one room
they are most of an hour, and once the source has stopped, they stay for ever. Why not every 32nd gap of a bucket: rooms
are read in the same order again and again, so one in so many may always be of the same few rooms.

When it is wrong: a source with very few rooms that are read less often than the window is long has moments without any
gap. No median is shown then, which is all that is known of the window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Final

BUCKETS: Final = 12
GAPS_OF_A_BUCKET: Final = 32
_SHORTEST_WINDOW: Final = 120.0
_INTERVALS: Final = 3.0


class RecentGaps:
    """
    The gaps of one source that ended lately.

    Args:
        interval: Seconds wanted between two readings of a room; may be changed.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._buckets: deque[_Bucket] = deque(maxlen=BUCKETS)
        self._random = Random(0).random  # noqa: S311 it only chooses which gaps are kept

    @property
    def window(self) -> float:
        """Seconds that a gap counts for."""
        return max(_SHORTEST_WINDOW, _INTERVALS * self.interval)

    def add(self, gaps: Iterable[float], now: float) -> None:
        """Take in gaps, in seconds, that end at this monotonic time."""
        if not self._buckets or now >= self._buckets[-1].began + self.window / BUCKETS:
            self._buckets.append(_Bucket(now))
        self._buckets[-1].add(gaps, self._random)

    def within(self, now: float) -> tuple[float, ...]:
        """The kept gaps of the window that ends at this monotonic time."""
        return tuple([gap for bucket in self._buckets if bucket.began > now - self.window for gap in bucket.gaps])


class _Bucket:
    """A fair sample of the gaps that ended at ``began`` or a little later."""

    __slots__ = ("_count", "began", "gaps")

    def __init__(self, began: float) -> None:
        self.began = began
        self.gaps: list[float] = []
        self._count = 0

    def add(self, gaps: Iterable[float], random: Callable[[], float]) -> None:
        kept, count = self.gaps, self._count
        for gap in gaps:
            count += 1
            if count <= GAPS_OF_A_BUCKET:
                kept.append(gap)
            elif (place := int(random() * count)) < GAPS_OF_A_BUCKET:
                kept[place] = gap
        self._count = count
