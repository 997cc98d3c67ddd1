"""
A histogram of durations in plain numbers.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import NamedTuple


class DurationFigures(NamedTuple):
    """
    The histogram at one moment.

    Args:
        buckets: Pairs of an upper bound and the number of durations up to it; the last bound is ``+Inf``.
        seconds: Sum of all durations.
    """

    buckets: list[tuple[str, float]]
    seconds: float


class Durations:
    """
    Counts durations by bucket.

    Args:
        bounds: In seconds, ascending; a duration is in the first bucket whose bound it does not exceed.
    """

    __slots__ = ("_bounds", "_counts", "_seconds")

    def __init__(self, *bounds: float) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._seconds = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._seconds += seconds

    def figures(self) -> DurationFigures:
        bounds = (*map(str, self._bounds), "+Inf")
        return DurationFigures(list(zip(bounds, accumulate(self._counts), strict=True)), self._seconds)
