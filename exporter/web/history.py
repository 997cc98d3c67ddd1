"""
Time series for the status page: users and achieved intervals of 20 minutes, calls per second of half a minute.

Problem: the page draws trends, also where no Prometheus or Grafana is at hand. The exporter must keep them in bounded
memory, and a gap must look like a gap.

Idea: a job takes a sample every 5 s. A ``Series`` is an array of the last 240 values, with ``nan`` for unknown. For a
chart, ``points`` chooses evenly spaced samples counted from the newest, so that the newest is always among them.
Calls are counters, so calls per second are a difference: the total now minus the total of the sample half a minute ago,
divided by the seconds between them.

Example: a budget made 100 calls up to 0 s and 400 up to 30 s: at 30 s it makes 300 / 30 = 10 calls per second. A series
of 240 samples drawn with 120 points takes every second one: 1, 3, 5, … 239, counted from 0.

Why not the rate between the last two samples: at one call every 6 s it would jump between 0 and 0.2.

When this is wrong: samples are assumed to be evenly spaced. After a stall or a suspend of the machine the charts show
the missing time as one step. A counter that starts again at 0 (a reload made the budget anew) is compared only with
samples that have no larger total, so it has no rate for the first seconds.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

KEPT: Final = 240
"""Number of samples that a series keeps; with one every 5 s, 20 minutes."""

_RATE_OVER: Final = 30.0
"""Seconds that a rate is computed over."""
_RATE_AT_LEAST: Final = 2.0
"""Seconds below which a rate is not computed: it would jump."""


@dataclass(frozen=True, slots=True)
class SourceSample:
    """
    One source at one moment; ``None`` is unknown.

    Args:
        users: Sum over the known rooms.
        known: Number of rooms with a published reading.
        rooms: Number of all its rooms.
    """

    users: int | None
    achieved_interval: float | None
    known: int = 0
    rooms: int = 0


class Series:
    """The last samples of one figure."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values = array("d")

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value: float | None) -> None:
        self._values.append(math.nan if value is None else value)
        del self._values[:-KEPT]

    def points(self, at_most: int) -> list[float | None]:
        """At most so many samples, oldest first: evenly spaced, counted from the newest."""
        step = max(1, math.ceil(len(self._values) / at_most))
        chosen = self._values[(len(self._values) - 1) % step :: step]
        return [None if math.isnan(value) else value for value in chosen]


class History:
    """
    The series of all sources and budgets. Those of removed sources are dropped.

    Attributes:
        users: Users in the known rooms of all sources.
        known: Known rooms as a share of all rooms; unknown while there are no rooms.
    """

    def __init__(self) -> None:
        self.users = Series()
        self.known = Series()
        self._moments: deque[float] = deque(maxlen=KEPT)
        self._intervals: dict[str, Series] = {}
        self._calls: deque[tuple[float, Mapping[str, int]]] = deque()

    def add(self, now: float, sources: Mapping[str, SourceSample], calls: Mapping[str, int]) -> None:
        """
        Add one sample.

        Args:
            now: Monotonic time.
            calls: Total of calls so far, by budget.
        """
        self._moments.append(now)
        self.users.add(_total(sample.users for sample in sources.values()))
        rooms = sum(sample.rooms for sample in sources.values())
        self.known.add(sum(sample.known for sample in sources.values()) / rooms if rooms else None)
        for gone in self._intervals.keys() - sources.keys():
            del self._intervals[gone]
        for name, sample in sources.items():
            self._intervals.setdefault(name, Series()).add(sample.achieved_interval)
        self._calls.append((now, dict(calls)))
        while len(self._calls) > 1 and now - self._calls[1][0] >= _RATE_OVER:
            self._calls.popleft()

    def span(self) -> float:
        """Seconds from the oldest kept sample to the newest."""
        return self._moments[-1] - self._moments[0] if self._moments else 0.0

    def achieved_intervals(self, source: str, at_most: int) -> Sequence[float | None]:
        """A source's achieved intervals in seconds, oldest first."""
        series = self._intervals.get(source)
        return series.points(at_most) if series else []

    def calls_per_second(self, budget: str, calls: int, now: float) -> float | None:
        """
        Calls per second of a budget over the last half minute; ``None`` until 2 s after its first sample.

        Args:
            calls: Total of its calls so far.
            now: Monotonic time.
        """
        for moment, before in self._calls:
            if budget in before and before[budget] <= calls and now - moment >= _RATE_AT_LEAST:
                return (calls - before[budget]) / (now - moment)
        return None


def _total(users: Iterable[int | None]) -> int | None:
    known = [number for number in users if number is not None]
    return sum(known) if known else None
