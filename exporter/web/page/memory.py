"""State that the page keeps between two requests: pollers publish the present only."""

from __future__ import annotations

from collections import Counter
from typing import Final

from exporter.blocking import Turn
from exporter.metrics.table import Table
from exporter.metrics.telemetry import Telemetry
from exporter.web.history import History, SourceSample
from exporter.web.page.chronicle import Chronicle
from exporter.web.page.curves import Curves
from exporter.web.page.discovery_view import view_discovery
from exporter.web.page.source_view import Scene
from exporter.web.page.standing import standing
from exporter.web.rooms import Rooms


class Memory:
    """
    The history of sources and budgets, the start of each trouble, and the last readings of some rooms.
    """

    def __init__(self, table: Table, telemetry: Telemetry, rooms: Rooms) -> None:
        self.history: Final = History()
        self.curves: Final = Curves(table, rooms)
        self._chronicle = Chronicle()
        self._telemetry = telemetry

    async def sample(self, now: float, unix: float) -> None:
        """Take a sample at this time: monotonic and Unix seconds. Call it every few seconds."""
        turn, sources, budgets = Turn(), dict[str, SourceSample](), self._telemetry.budgets
        for name, source in list(self._telemetry.sources.items()):
            figures, table = source.figures(now), source.table
            discovery = self._telemetry.discovery(name)
            troubles = view_discovery(discovery, unix).troubles if discovery else None
            standing(source, figures, budgets.get(source.budget), self._chronicle, now, troubles)
            known, rooms = (0, 0) if figures.hidden else (table.known, len(table))
            achieved = figures.achieved_interval if figures.polled else None
            sources[name] = SourceSample(figures.published_users, achieved, known, rooms)
            await turn.let_others_run()
        self.history.add(now, sources, {name: budget.calls for name, budget in budgets.items()})
        await self.curves.sample(now)

    def scene(self, monotonic: float, unix: float) -> Scene:
        """The context of a page at this time."""
        sharing = Counter(source.budget for source in self._telemetry.sources.values())
        return Scene(
            self._telemetry.budgets, sharing, self.history, self._chronicle, self._telemetry.discovery, monotonic, unix
        )
