"""
One source as the status page shows it: its state in words, what is wrong, bars and lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exporter.metrics.source_stats import FailureNote, SourceFigures, SourceStats
from exporter.metrics.telemetry import BudgetFigures
from exporter.states import RoomState, SourceState
from exporter.web import wording
from exporter.web.drawing import Part, Sparkline, percent, sparkline, stacked
from exporter.web.history import History

_POINTS: Final = 60
_FAILURES_SHOWN: Final = 8
_LATE: Final = 1.1
_SLOWED: Final = 0.85
SHOWN_STATES: Final = (
    RoomState.FRESH,
    RoomState.HELD,
    RoomState.MISSING,
    RoomState.UNKNOWN,
    RoomState.REFUSED,
)
"""Room states in the order in which bars and legends show them."""


class Level(StrEnum):
    """How urgent something is."""

    OK = "ok"
    WAITING = "waiting"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class BudgetView:
    """
    A budget at work.

    Args:
        lately: Calls per second of the last half minute; ``None`` before there are two samples.
        used: That as percent of the limit.
        pace_at: The pace as percent of the limit while it is below the limit.
        slowed: It is noticeably below; the last tenth comes back by itself and without haste.
        sources: How many sources draw on it.
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
    """One recent failure in words. ``age`` is seconds."""

    kind: str
    code: str
    words: str
    rooms: str
    age: float


@dataclass(frozen=True, slots=True)
class SourceView:
    """
    One source, ready to be shown.

    Args:
        status: Its state in a word or two.
        remarks: What is wrong, in sentences.
        late: The achieved interval is noticeably longer than the wanted one.
    """

    figures: SourceFigures
    level: Level
    status: str
    remarks: tuple[str, ...]
    late: bool
    parts: tuple[Part, ...]
    intervals: Sparkline | None
    budget: BudgetView | None
    failures: tuple[FailureView, ...]

    @property
    def states(self) -> list[tuple[RoomState, int]]:
        return [(state, self.figures.rooms[state]) for state in SHOWN_STATES]


@dataclass(frozen=True, slots=True)
class Scene:
    """
    What a source is seen against.

    Args:
        monotonic: Now; likewise ``unix``.
        sharing: How many sources draw on each budget.
    """

    budgets: Mapping[str, BudgetFigures]
    sharing: Mapping[str, int]
    history: History
    monotonic: float
    unix: float


def view_source(source: SourceStats, scene: Scene) -> SourceView:
    """One source as it stands now."""
    figures = source.figures(scene.monotonic)
    budget = _budget(source, scene)
    level, status, remark = _standing(source, figures, scene.monotonic)
    troubles = list(_troubles(figures, budget))
    if level is Level.OK and troubles:
        level, status = Level.WARNING, troubles[0][0]
    return SourceView(
        figures=figures,
        level=level,
        status=status,
        remarks=(*([remark] if remark else []), *(sentence for _, sentence in troubles)),
        late=_late(figures),
        parts=stacked((state, figures.rooms[state]) for state in SHOWN_STATES),
        intervals=_intervals(source, scene.history),
        budget=budget,
        failures=tuple(_failure(note, scene.unix) for note in list(source.failures)[: -_FAILURES_SHOWN - 1 : -1]),
    )


def _standing(source: SourceStats, figures: SourceFigures, now: float) -> tuple[Level, str, str | None]:
    if figures.state is not SourceState.OK:
        return Level.BAD, wording.STATES[figures.state], wording.EXPLANATIONS[figures.state]
    if figures.up:
        return Level.OK, wording.STATES[figures.state], None
    if not len(source.table):
        return Level.WAITING, "no rooms", None
    if source.last_success is not None:
        return Level.BAD, "no answer", f"No call succeeded for {wording.duration(now - source.last_success)}."
    if source.failures:
        return Level.BAD, "no answer", "No call has succeeded yet."
    return Level.WAITING, "waiting", None


def _troubles(figures: SourceFigures, budget: BudgetView | None) -> Iterator[tuple[str, str]]:
    """What is less than well while calls succeed: in a word or two, and in a sentence."""
    if budget is not None and budget.slowed:
        pace = wording.decimal(budget.pace)
        yield "slowed down", f"Slowed down to {pace} calls per second, since the vendor said that it was too fast."
    if figures.achieved_interval is not None and _late(figures):
        achieved, wanted = wording.duration(figures.achieved_interval), wording.duration(figures.interval)
        yield "late", f"Its rooms are read every {achieved} instead of every {wanted}."
    if (clock := wording.clock(figures.clock_skew, figures.clock_shift)) is not None:
        yield "clock differs", clock


def _late(figures: SourceFigures) -> bool:
    return figures.achieved_interval is not None and figures.achieved_interval > _LATE * figures.interval


def _budget(source: SourceStats, scene: Scene) -> BudgetView | None:
    budget = scene.budgets.get(source.budget)
    if budget is None:
        return None
    lately = scene.history.calls_per_second(source.budget, budget.calls, scene.monotonic)
    return BudgetView(
        name=source.budget,
        limit=budget.limit,
        lately=lately,
        used=percent(lately or 0.0, budget.limit),
        pace=budget.pace,
        pace_at=percent(budget.pace, budget.limit) if budget.pace < budget.limit else None,
        slowed=budget.pace < _SLOWED * budget.limit,
        sources=scene.sharing[source.budget],
    )


def _intervals(source: SourceStats, history: History) -> Sparkline | None:
    intervals = history.achieved_intervals(source.source, _POINTS)
    known = [seconds for seconds in intervals if seconds is not None]
    return sparkline(intervals, 0.0, max([1.6 * source.interval, *known]), source.interval)


def _failure(note: FailureNote, unix: float) -> FailureView:
    return FailureView(
        kind=wording.KINDS[note.failure.kind],
        code=note.failure.code,
        words=note.failure.words,
        rooms=wording.named(note.rooms),
        age=max(0.0, unix - note.unix),
    )
