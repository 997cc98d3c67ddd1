"""
The least error that a fixed interval for each room size can have, by how a population's counts change.

Rooms of about the same size form a class; empty rooms form two, by whether anybody has been there before. For every
class samples of the population tell by how much a count differs from what it was s seconds ago, on average. The mean of
this over 0 to T is the error of a room that is read every T seconds. Then the intervals with the least sum of errors
are chosen among those whose sum of readings fits the budget: for a price λ of a reading per second each class takes the
T that minimizes error + λ / T, and λ is raised until the budget suffices (the method of Lagrange multipliers).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Final

from exporter.simulator.audiences import Trace

_SAMPLES: Final = 8
_SIZES: Final = (0, 1, 2, 3, 5, 8, 12, 20, 35, 60, 100, 180, 320, 600, 1000, 2000, 5000)
_INTERVALS: Final = (10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 120.0, 150.0, 200.0)
_STEPS: Final = 60


def best_by_size(
    traces: Sequence[Trace], span: tuple[float, float], readings: float, longest: float
) -> tuple[float, float]:
    """
    The error of the best interval for each size.

    Args:
        span: The seconds that count.
        readings: Per second, of all rooms together.

    Returns:
        User-seconds that are wrong, and all user-seconds.
    """
    rooms, errors, users = _classes(traces, span)
    allowed = [index for index, interval in enumerate(_INTERVALS) if interval <= longest]
    low, high, chosen = 0.0, 1e9, dict.fromkeys(rooms, allowed[-1])
    for _ in range(_STEPS):
        price = (low + high) / 2 if low else high / 8
        best = {
            size: min(allowed, key=lambda index: of_size[index] + price / _INTERVALS[index])
            for size, of_size in errors.items()
        }
        if sum(count / _INTERVALS[best[size]] for size, count in rooms.items()) > readings:
            low = price
        else:
            high, chosen = price, best
    seconds = span[1] - span[0]
    return seconds * sum(count * errors[size][chosen[size]] for size, count in rooms.items()), seconds * users


def _classes(
    traces: Sequence[Trace], span: tuple[float, float]
) -> tuple[dict[int, float], dict[int, list[float]], float]:
    """By class: its number of rooms at a moment, and its mean error for each interval; and all users at a moment."""
    random = Random(1)
    rooms: dict[int, float] = defaultdict(float)
    changes: dict[int, list[float]] = defaultdict(lambda: [0.0] * len(_INTERVALS))
    users = 0.0
    for trace in traces:
        samples = _SAMPLES if len(trace.times) > 1 else 1
        most = list(accumulate(trace.users, max))
        for _ in range(samples):
            moment = random.uniform(span[0], span[1] - _INTERVALS[-1])
            index = bisect_right(trace.times, moment) - 1
            present = trace.users[index]
            size = bisect_right(_SIZES, present) if present or not most[index] else 0
            rooms[size] += 1 / samples
            users += present / samples
            if samples > 1:
                of_size = changes[size]
                for place, interval in enumerate(_INTERVALS):
                    of_size[place] += abs(trace.at(moment + interval) - present) / samples
    return rooms, {size: _means([each / count for each in changes[size]]) for size, count in rooms.items()}, users


def _means(changes: Sequence[float]) -> list[float]:
    """The mean change over 0 to T for each T of the intervals; in between the change grows in a straight line."""
    means, area, before, change = [], 0.0, 0.0, 0.0
    for interval, changed in zip(_INTERVALS, changes, strict=True):
        area += (interval - before) * (change + changed) / 2
        before, change = interval, changed
        means.append(area / interval)
    return means
