"""
Sliding seconds, and how many calls they held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from tests.e2e.disturbances import Span

LENGTH = 1.0


class OverfullSecond(NamedTuple):
    """More calls than allowed arrived after `start` and not after `end`."""

    start: float
    end: float
    calls: int
    allowed: int


def overfull(arrivals: Iterable[float], allowed: Callable[[Span], int]) -> list[OverfullSecond]:
    """
    The sliding seconds that held too many calls, one for each call that was one too many.

    Args:
        arrivals: In any order.
        allowed: How many calls a second may hold.
    """
    moments = sorted(arrivals)
    found = []
    first = 0
    for last, end in enumerate(moments):
        while moments[first] <= end - LENGTH:
            first += 1
        calls, most = last - first + 1, allowed(Span(end - LENGTH, end))
        if calls > most:
            found.append(OverfullSecond(end - LENGTH, end, calls, most))
    return found


def fullest(arrivals: Iterable[float]) -> int:
    """The most calls that any sliding second held."""
    return max((second.calls for second in overfull(arrivals, lambda _: 0)), default=0)
