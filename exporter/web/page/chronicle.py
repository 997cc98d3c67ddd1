"""Remembers since when a condition of a source holds, for conditions that have no time of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from weakref import WeakKeyDictionary

from exporter.metrics.source_stats import SourceStats


class Chronicle:
    """
    The present conditions of each source, each with the monotonic time at which it was first seen.

    Conditions are looked at every 5 s, so a start is dated at most 5 s too late. A source that a reload made anew
    starts without conditions, even under the same name: the key is its ``SourceStats`` object.
    """

    def __init__(self) -> None:
        self._since: WeakKeyDictionary[SourceStats, dict[str, float]] = WeakKeyDictionary()
        self._rooms: WeakKeyDictionary[SourceStats, int] = WeakKeyDictionary()

    def note(self, source: SourceStats, conditions: Iterable[str], now: float) -> Mapping[str, float]:
        """Replace the conditions of a source. Returns for each since when it holds without a break."""
        before = self._since.get(source, {})
        since = self._since[source] = {condition: before.get(condition, now) for condition in conditions}
        return since

    def rooms_before(self, source: SourceStats) -> int:
        """The number of rooms that a source had when it last had any."""
        if rooms := len(source.table):
            self._rooms[source] = rooms
        return self._rooms.get(source, 0)
