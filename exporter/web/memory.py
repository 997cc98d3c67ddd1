"""What the web side remembers between two requests, since pollers only tell what is true now."""

from __future__ import annotations

from collections import Counter
from typing import Final

from exporter.blocking import Turn
from exporter.metrics.table import Table
from exporter.metrics.telemetry import Telemetry
from exporter.web.chronicle import Chronicle
from exporter.web.curves import Curves
from exporter.web.history import History, SourceSample
from exporter.web.rooms import Rooms
from exporter.web.source_view import Scene
from exporter.web.standing import standing


class Memory:
    """
    History of sources and budgets, since when troubles last, and the last readings of some rooms.

    Args:
        rooms: The table's rooms.
    """

    def __init__(self, table: Table, telemetry: Telemetry, rooms: Rooms) -> None:
        self.history: Final = History()
        self.curves: Final = Curves(table, rooms)
        self._chronicle = Chronicle()
        self._telemetry = telemetry

    async def sample(self, now: float) -> None:
        """Remember how everything stands at this monotonic time; to be called every few seconds."""
        turn, sources, budgets = Turn(), dict[str, SourceSample](), self._telemetry.budgets
        for name, source in list(self._telemetry.sources.items()):
            figures, table = source.figures(now), source.table
            standing(source, figures, budgets.get(source.budget), self._chronicle, now)
            sources[name] = SourceSample(figures.published_users, figures.achieved_interval, table.known, len(table))
            await turn.let_others_run()
        self.history.add(now, sources, {name: budget.calls for name, budget in budgets.items()})
        await self.curves.sample(now)

    def scene(self, monotonic: float, unix: float) -> Scene:
        """What sources are seen against at this moment."""
        sharing = Counter(source.budget for source in self._telemetry.sources.values())
        return Scene(self._telemetry.budgets, sharing, self.history, self._chronicle, monotonic, unix)
