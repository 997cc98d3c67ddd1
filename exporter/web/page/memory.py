"""State that the page keeps between two requests: pollers publish the present only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from exporter.blocking import Turn
from exporter.cluster.status import ClusterStatus
from exporter.metrics.table import Table
from exporter.metrics.telemetry import Telemetry
from exporter.web.history import History, SourceSample
from exporter.web.page.chronicle import Chronicle
from exporter.web.page.curves import Curves
from exporter.web.page.discovery_view import view_discovery
from exporter.web.page.source_view import Scene
from exporter.web.page.standing import holding, standing
from exporter.web.rooms import Rooms


class Memory:
    """
    The history of sources and budgets, the start of each trouble, and the last readings of some rooms.

    Args:
        cluster: Returns what this replica knows of its cluster; ``None`` without a cluster.
    """

    def __init__(
        self, table: Table, telemetry: Telemetry, rooms: Rooms, cluster: Callable[[], ClusterStatus | None]
    ) -> None:
        self.history: Final = History()
        self.curves: Final = Curves(table, rooms)
        self._chronicle = Chronicle()
        self._telemetry = telemetry
        self._cluster = cluster

    async def sample(self, now: float, unix: float) -> None:
        """Take a sample at this time: monotonic and Unix seconds. Call it every few seconds."""
        turn, sources, budgets, cluster = Turn(), dict[str, SourceSample](), self._telemetry.budgets, self._cluster()
        for name, source in list(self._telemetry.sources.items()):
            figures, table = source.figures(now), source.table
            discovery = self._telemetry.discovery(name)
            troubles = view_discovery(discovery, unix).troubles if discovery else None
            held = holding(cluster, source.budget, polled=figures.polled)
            standing(source, figures, budgets.get(source.budget), self._chronicle, now, troubles, held)
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
            self._telemetry.budgets,
            sharing,
            self.history,
            self._chronicle,
            self._telemetry.discovery,
            self._cluster(),
            monotonic,
            unix,
        )
