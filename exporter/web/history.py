"""
What the status page shows over time: users and achieved intervals of the last minutes, calls of the last seconds.

A sample is taken every few seconds; each series keeps a bounded number of them, ``nan`` where a figure was unknown.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

KEPT: Final = 240
"""Samples kept of each series; at one every 5 s, 20 minutes."""

_LATELY: Final = 30.0
_LEAST: Final = 2.0


@dataclass(frozen=True, slots=True)
class SourceSample:
    """
    One source at one moment; ``None`` is unknown.

    Args:
        users: Sum over its ``known`` rooms, out of all its ``rooms``.
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
        """The samples, oldest first; where there are more than asked for, evenly chosen with the last among them."""
        step = max(1, math.ceil(len(self._values) / at_most))
        chosen = self._values[(len(self._values) - 1) % step :: step]
        return [None if math.isnan(value) else value for value in chosen]


class History:
    """
    Samples of all sources and budgets; those that are gone leave nothing behind.

    Attributes:
        users: Sum over the known rooms of all sources.
        known: The share of all rooms that were known then; unknown where there were no rooms.
    """

    def __init__(self) -> None:
        self.users = Series()
        self.known = Series()
        self._moments: deque[float] = deque(maxlen=KEPT)
        self._intervals: dict[str, Series] = {}
        self._calls: deque[tuple[float, Mapping[str, int]]] = deque()

    def add(self, now: float, sources: Mapping[str, SourceSample], calls: Mapping[str, int]) -> None:
        """
        Note one sample.

        Args:
            now: Monotonic time.
            calls: Calls made so far, by budget.
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
        while len(self._calls) > 1 and now - self._calls[1][0] >= _LATELY:
            self._calls.popleft()

    def span(self) -> float:
        """Seconds from the first sample kept to the last."""
        return self._moments[-1] - self._moments[0] if self._moments else 0.0

    def achieved_intervals(self, source: str, at_most: int) -> Sequence[float | None]:
        """A source's achieved intervals in seconds, oldest first."""
        series = self._intervals.get(source)
        return series.points(at_most) if series else []

    def calls_per_second(self, budget: str, calls: int, now: float) -> float | None:
        """
        How many calls a budget made per second over the last half minute; ``None`` until 2 s after its first sample.

        Args:
            calls: Made so far.
            now: Monotonic time.
        """
        for moment, before in self._calls:
            if budget in before and before[budget] <= calls and now - moment >= _LEAST:
                return (calls - before[budget]) / (now - moment)
        return None


def _total(users: Iterable[int | None]) -> int | None:
    known = [of for of in users if of is not None]
    return sum(known) if known else None
