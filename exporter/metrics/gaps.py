"""
The seconds between two readings of a room, over a sliding window.

Problem: ``rtc_source_achieved_interval_seconds`` tells how often rooms are really read: the median of the gaps between
two readings of one room. It must follow a change of pace soon, be absent for a source that has stopped reading, and
cost the same for one room and for 100,000.

Idea: a sliding window of time, cut into twelve *buckets*. A gap is added when it ends, to the newest bucket. When the
newest bucket is a twelfth of the window old, a new one begins; there are never more than twelve. A bucket keeps at most
32 gaps by reservoir sampling: of n gaps, each is kept with the same probability 32 / n. So a source keeps at most 384.

Example: 6,000 rooms, ten in a call, ten calls a second: each room is read every 60 s, and a hundred gaps of some 60 s
end in every second. With ``interval: 10s`` the window is 120 s and a bucket spans 10 s: it gets 1,000 gaps and keeps
32. Now 3,000 rooms are removed, and gaps shrink to 30 s within a minute. Once seven of the twelve buckets hold short
gaps, the median is 30 s.

Why not the last 256 gaps: at a hundred gaps a second they span 2.5 seconds. For a source with one room they span most
of an hour, and they stay for ever once the source has stopped. Why not every 32nd gap of a bucket: rooms are read in
the same order again and again, so every 32nd gap may always belong to the same few rooms.

When this is wrong: a source with very few rooms, read less often than the window is long, has moments without any gap.
No median is published then.
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
    The recent gaps of one source.

    Args:
        interval: Seconds wanted between two readings of a room; may be changed.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._buckets: deque[_Bucket] = deque(maxlen=BUCKETS)
        self._random = Random(0).random  # noqa: S311 it only chooses which gaps are kept

    @property
    def window(self) -> float:
        """Length of the window in seconds."""
        return max(_SHORTEST_WINDOW, _INTERVALS * self.interval)

    def add(self, gaps: Iterable[float], now: float) -> None:
        """Add gaps, in seconds, that end at this monotonic time."""
        if not self._buckets or now >= self._buckets[-1].began + self.window / BUCKETS:
            self._buckets.append(_Bucket(now))
        self._buckets[-1].add(gaps, self._random)

    def within(self, now: float) -> tuple[float, ...]:
        """The gaps kept of the window that ends at this monotonic time."""
        return tuple([gap for bucket in self._buckets if bucket.began > now - self.window for gap in bucket.gaps])


class _Bucket:
    """A uniform random sample of the gaps that ended since ``began`` (reservoir sampling)."""

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
