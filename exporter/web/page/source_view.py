"""
One source as the status page shows it: its state in words, what is wrong, bars and lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from exporter.cluster.status import ClusterStatus
from exporter.metrics.discovery_stats import DiscoveryFigures
from exporter.metrics.source_stats import FailureNote, SourceFigures, SourceStats
from exporter.metrics.telemetry import BudgetFigures
from exporter.model import Severity
from exporter.states import RoomState
from exporter.web.history import History
from exporter.web.page import wording
from exporter.web.page.chronicle import Chronicle
from exporter.web.page.discovery_view import DiscoveryView, view_discovery
from exporter.web.page.drawing import Part, Sparkline, percent, sparkline, stacked
from exporter.web.page.standing import Holding, Level, Standing, holding, is_late, is_slowed, standing

_POINTS: Final = 60
_FAILURES_SHOWN: Final = 8
SHOWN_STATES: Final = (
    RoomState.FRESH,
    RoomState.HELD,
    RoomState.MISSING,
    RoomState.UNKNOWN,
    RoomState.REFUSED,
)
"""Room states in the order in which bars and legends show them."""


@dataclass(frozen=True, slots=True)
class BudgetView:
    """
    A budget, as a source's row shows it.

    Args:
        lately: Calls per second over the last half minute; ``None`` until there are two samples.
        used: ``lately`` in percent of the limit.
        pace_at: The pace in percent of the limit; ``None`` while it is the limit.
        slowed: Whether the pace is noticeably below the limit.
        sources: Number of sources that share the budget.
    """

    name: str
    limit: float
    lately: float | None
    used: float
    pace: float
    pace_at: float | None
    slowed: bool
    sources: int


@dataclass(frozen=True, slots=True)
class FailureView:
    """One recent failure in words. ``unix`` is its time, ``age`` the seconds since then."""

    kind: str
    code: str
    words: str
    rooms: str
    unix: float
    age: float


@dataclass(frozen=True, slots=True)
class SourceView:
    """
    Everything that the page shows of one source.

    Args:
        known: Number of rooms with a published reading.
        limited: Number of rooms with a threshold.
        exceeding: Number of rooms above a threshold, each counted for the highest that it exceeds.
        late: Whether the achieved interval is noticeably longer than the wanted one.
        holding: Who may poll it.
        owner: Name of the replica that may; ``None``: nobody, or there is no cluster.
    """

    figures: SourceFigures
    standing: Standing
    known: int
    limited: int
    exceeding: Mapping[Severity, int]
    late: bool
    parts: tuple[Part, ...]
    intervals: Sparkline | None
    budget: BudgetView | None
    failures: tuple[FailureView, ...]
    discovery: DiscoveryView | None
    holding: Holding
    owner: str | None

    @property
    def elsewhere(self) -> bool:
        return self.holding is Holding.ELSEWHERE

    @property
    def name(self) -> str:
        return self.figures.source

    @property
    def level(self) -> Level:
        return self.standing.level

    @property
    def status(self) -> str:
        """The state in one or two words."""
        if self.elsewhere:
            return "elsewhere"
        trouble = self.standing.trouble
        return wording.TROUBLES[trouble] if trouble else wording.LEVELS[self.level]

    @property
    def rooms(self) -> int:
        return sum(self.figures.rooms.values())

    @property
    def states(self) -> list[tuple[RoomState, int]]:
        return [(state, self.figures.rooms[state]) for state in SHOWN_STATES]


@dataclass(frozen=True, slots=True)
class Scene:
    """
    The context that all sources of one page have in common.

    Args:
        discovery: Returns the figures of a source's discovery; ``None`` without one.
        sharing: Number of sources that share each budget, by its name.
        cluster: What this replica knows of its cluster; ``None`` without one.
        monotonic: The time of the page in monotonic seconds; ``unix`` is the same in Unix seconds.
    """

    budgets: Mapping[str, BudgetFigures]
    sharing: Mapping[str, int]
    history: History
    chronicle: Chronicle
    discovery: Callable[[str], DiscoveryFigures | None]
    cluster: ClusterStatus | None
    monotonic: float
    unix: float


def view_source(source: SourceStats, scene: Scene) -> SourceView:
    """Collect everything that the page shows of a source."""
    figures = source.figures(scene.monotonic)
    budget = scene.budgets.get(source.budget)
    found = scene.discovery(source.source)
    discovery = view_discovery(found, scene.unix) if found else None
    troubles = discovery.troubles if discovery and figures.polled else None
    held = holding(scene.cluster, source.budget, polled=figures.polled)
    return SourceView(
        figures=figures,
        standing=standing(source, figures, budget, scene.chronicle, scene.monotonic, troubles, held),
        known=0 if figures.hidden else source.table.known,
        limited=0 if figures.hidden else source.table.limited,
        exceeding=dict.fromkeys(Severity, 0) if figures.hidden else source.table.exceeding(),
        late=figures.polled and is_late(figures),
        parts=stacked((state, figures.rooms[state]) for state in SHOWN_STATES),
        intervals=_intervals(source, scene.history) if held is not Holding.ELSEWHERE else None,
        budget=_budget(source, budget, scene, held) if budget else None,
        failures=tuple(view_failure(note, scene.unix) for note in list(source.failures)[: -_FAILURES_SHOWN - 1 : -1]),
        discovery=discovery,
        holding=held,
        owner=scene.cluster.owner(source.budget) if scene.cluster else None,
    )


def view_failure(note: FailureNote, unix: float) -> FailureView:
    """A failure, with its age at this Unix time."""
    return FailureView(
        kind=wording.KINDS[note.failure.kind],
        code=note.failure.code,
        words=note.failure.words,
        rooms=wording.named(note.rooms),
        unix=note.unix,
        age=max(0.0, unix - note.unix),
    )


def _budget(source: SourceStats, budget: BudgetFigures, scene: Scene, held: Holding) -> BudgetView:
    elsewhere = held is Holding.ELSEWHERE  # whose calls are not counted here
    lately = None if elsewhere else scene.history.calls_per_second(source.budget, budget.calls, scene.monotonic)
    return BudgetView(
        name=source.budget,
        limit=budget.limit,
        lately=lately,
        used=percent(lately or 0.0, budget.limit),
        pace=budget.pace,
        pace_at=percent(budget.pace, budget.limit) if budget.pace < budget.limit else None,
        slowed=source.polled() and is_slowed(budget),
        sources=scene.sharing[source.budget],
    )


def _intervals(source: SourceStats, history: History) -> Sparkline | None:
    intervals = history.achieved_intervals(source.source, _POINTS)
    known = [seconds for seconds in intervals if seconds is not None]
    return sparkline(intervals, 0.0, max([1.6 * source.interval, *known]), source.interval)
