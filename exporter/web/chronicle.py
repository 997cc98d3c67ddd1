"""Since when something holds of a source, where nobody else dates it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from weakref import WeakKeyDictionary

from exporter.metrics.source_stats import SourceStats


class Chronicle:
    """
    What was seen of each source, and when it was first seen so. Times are monotonic seconds.

    Somebody looks every few seconds, so a beginning is dated so much too late at most. A source that starts anew under
    its old name is another one.
    """

    def __init__(self) -> None:
        self._since: WeakKeyDictionary[SourceStats, dict[str, float]] = WeakKeyDictionary()
        self._rooms: WeakKeyDictionary[SourceStats, int] = WeakKeyDictionary()

    def note(self, source: SourceStats, holding: Iterable[str], now: float) -> Mapping[str, float]:
        """Note that this holds of a source now, and nothing else; since when each of it has held."""
        before = self._since.get(source, {})
        since = self._since[source] = {what: before.get(what, now) for what in holding}
        return since

    def rooms_before(self, source: SourceStats) -> int:
        """Note how many rooms a source has; how many it had when it last had any."""
        if rooms := len(source.table):
            self._rooms[source] = rooms
        return self._rooms.get(source, 0)
