"""
The figures of the process and its sources as the status page shows them: what an engineer wants to see first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exporter.metrics.table import RoomState
from exporter.metrics.telemetry import FailureNote, SourceFigures, SourceState, SourceTelemetry, Telemetry
from exporter.web import wording
from exporter.web.drawing import Part, Sparkline, percent, sparkline, stacked
from exporter.web.history import History

_SOURCES_AT_ONCE: Final = 10
_POINTS: Final = 60
_FAILURES_SHOWN: Final = 8
_LATE: Final = 1.1
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
    """

    name: str
    limit: float
    lately: float | None
    used: float
    pace: float
    pace_at: float | None


@dataclass(frozen=True, slots=True)
class FailureView:
    """One recent failure in words. ``age`` is seconds."""

    kind: str
    code: str
    words: str
    rooms: str
    unix: float
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
    rooms: int
    published: int
    parts: tuple[Part, ...]
    intervals: Sparkline | None
    budget: BudgetView | None
    failures: tuple[FailureView, ...]

    @property
    def users(self) -> int | None:
        return self.figures.users if self.figures.oldest_reading is not None else None

    @property
    def states(self) -> list[tuple[RoomState, int]]:
        return [(state, self.figures.rooms[state]) for state in SHOWN_STATES]


@dataclass(frozen=True, slots=True)
class Overview:
    """
    All of it.

    Args:
        users: Sum over the published rooms; ``None`` while there is none.
        span: Seconds that ``trend`` covers.
        alarms: What the process itself has to complain about.
    """

    sources: tuple[SourceView, ...]
    users: int | None
    rooms: int
    published: int
    states: dict[RoomState, int]
    parts: tuple[Part, ...]
    trend: Sparkline | None
    low: float
    high: float
    span: float
    alarms: tuple[str, ...]

    @property
    def troubled(self) -> list[SourceView]:
        """Sources with something to say of them, the worst first."""
        return sorted(
            (source for source in self.sources if source.remarks), key=lambda source: source.level != Level.BAD
        )

    @property
    def waiting(self) -> bool:
        return any(source.level is Level.WAITING for source in self.sources)

    @property
    def up(self) -> int:
        return sum(source.level in (Level.OK, Level.WARNING) for source in self.sources)


async def survey(telemetry: Telemetry, history: History, monotonic: float, unix: float) -> Overview:
    """Everything as it stands at this moment, a few sources at a time."""
    sources = []
    for index, source in enumerate(list(telemetry.sources.values()), start=1):
        sources.append(_source(source, telemetry, history, monotonic, unix))
        if index % _SOURCES_AT_ONCE == 0:
            await asyncio.sleep(0)
    states = {state: sum(source.figures.rooms[state] for source in sources) for state in SHOWN_STATES}
    known = [source.users for source in sources if source.users is not None]
    users = history.users.points(_POINTS * 2)
    seen = [of for of in users if of is not None]
    low, high = min(seen, default=0.0), max(seen, default=0.0)
    margin = max(0.15 * (high - low), 0.02 * high, 1.0)
    return Overview(
        sources=tuple(sources),
        users=sum(known) if known else None,
        rooms=sum(states.values()),
        published=sum(source.published for source in sources),
        states=states,
        parts=stacked((state, states[state]) for state in SHOWN_STATES),
        trend=sparkline(users, low - margin, high + margin),
        low=low,
        high=high,
        span=history.span(),
        alarms=tuple(_alarms(telemetry)),
    )


def _source(
    source: SourceTelemetry, telemetry: Telemetry, history: History, monotonic: float, unix: float
) -> SourceView:
    figures = source.figures(monotonic)
    budget = _budget(source, telemetry, history, monotonic)
    level, status, remark = _standing(source, figures, monotonic)
    troubles = list(_troubles(source, figures, budget))
    if level is Level.OK and troubles:
        level, status = Level.WARNING, troubles[0][0]
    return SourceView(
        figures=figures,
        level=level,
        status=status,
        remarks=(*([remark] if remark else []), *(sentence for _, sentence in troubles)),
        late=_late(figures),
        rooms=len(source.table),
        published=source.table.published,
        parts=stacked((state, figures.rooms[state]) for state in SHOWN_STATES),
        intervals=_intervals(source, history),
        budget=budget,
        failures=tuple(_failure(note, unix) for note in list(source.failures)[: -_FAILURES_SHOWN - 1 : -1]),
    )


def _standing(source: SourceTelemetry, figures: SourceFigures, now: float) -> tuple[Level, str, str | None]:
    if figures.state is not SourceState.OK:
        return Level.BAD, wording.STATES[figures.state], wording.EXPLANATIONS[figures.state]
    if figures.up:
        return Level.OK, wording.STATES[figures.state], None
    if not source.table.rooms:
        return Level.WAITING, "no rooms", None
    if source.last_success is not None:
        return Level.BAD, "no answer", f"No call succeeded for {wording.duration(now - source.last_success)}."
    if source.failures:
        return Level.BAD, "no answer", "No call has succeeded yet."
    return Level.WAITING, "waiting", None


def _troubles(source: SourceTelemetry, figures: SourceFigures, budget: BudgetView | None) -> Iterator[tuple[str, str]]:
    """What is less than well while calls succeed: in a word or two, and in a sentence."""
    if budget is not None and budget.pace_at is not None:
        pace = wording.decimal(budget.pace)
        yield "slowed down", f"Slowed down to {pace} calls per second, since the vendor said that it was too fast."
    if figures.achieved_interval is not None and _late(figures):
        achieved, wanted = wording.duration(figures.achieved_interval), wording.duration(figures.interval)
        yield "late", f"Its rooms are read every {achieved} instead of every {wanted}."
    if (clock := wording.clock(figures.clock_skew, source.clock_shift)) is not None:
        yield "clock differs", clock


def _late(figures: SourceFigures) -> bool:
    return figures.achieved_interval is not None and figures.achieved_interval > _LATE * figures.interval


def _budget(source: SourceTelemetry, telemetry: Telemetry, history: History, now: float) -> BudgetView | None:
    budget = telemetry.budgets.get(source.budget)
    if budget is None:
        return None
    lately = history.calls_per_second(source.budget, budget.calls, now)
    return BudgetView(
        name=source.budget,
        limit=budget.limit,
        lately=lately,
        used=percent(lately or 0.0, budget.limit),
        pace=budget.pace,
        pace_at=percent(budget.pace, budget.limit) if budget.pace < budget.limit else None,
    )


def _intervals(source: SourceTelemetry, history: History) -> Sparkline | None:
    intervals = history.achieved_intervals(source.source, _POINTS)
    known = [seconds for seconds in intervals if seconds is not None]
    return sparkline(intervals, 0.0, max([1.6 * source.interval, *known]), source.interval)


def _failure(note: FailureNote, unix: float) -> FailureView:
    return FailureView(
        kind=wording.KINDS[note.failure.kind],
        code=note.failure.code,
        words=note.failure.words,
        rooms=wording.rooms(note.rooms),
        unix=note.unix,
        age=max(0.0, unix - note.unix),
    )


def _alarms(telemetry: Telemetry) -> Iterator[str]:
    if telemetry.config_kept:
        yield "The config file could not be read again; the config of before is in use. The log says what is wrong."
    for file, successful in telemetry.rooms_files.items():
        if not successful:
            yield f"The rooms file {file} could not be read; its list of before is in use. The log says what is wrong."
