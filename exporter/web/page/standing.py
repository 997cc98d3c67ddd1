"""Judges a source: whether it works, and if not, what is wrong and since when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exporter.cluster.status import ClusterStatus
from exporter.metrics.source_stats import SourceFigures, SourceStats
from exporter.metrics.telemetry import BudgetFigures
from exporter.states import RoomState, SourceState
from exporter.web.page import wording
from exporter.web.page.chronicle import Chronicle

_LATE: Final = 1.1
_SLOWED: Final = 0.85
_PATIENCE: Final = 60.0
_SEEN: Final = "seen"


class Level(StrEnum):
    """Urgency."""

    OK = "ok"
    WAITING = "waiting"
    WARNING = "warning"
    BAD = "bad"


class Holding(StrEnum):
    """Which replica of a cluster may poll a source."""

    HERE = "here"
    """This one, as always without a cluster."""
    ELSEWHERE = "elsewhere"
    NOBODY = "nobody"


class Trouble(StrEnum):
    """A problem of a source, the worst first. The first five mean that the source is down."""

    UNAUTHORIZED = "unauthorized"
    MISCONFIGURED = "misconfigured"
    CIRCUIT_OPEN = "circuit_open"
    SILENT = "silent"
    ORPHANED = "orphaned"
    EMPTY = "empty"
    NOTHING_FOUND = "nothing_found"
    UNKNOWN = "unknown"
    LIST_OLD = "list_old"
    FULL = "full"
    SLOWED = "slowed"
    LATE = "late"
    REFUSED = "refused"
    CLOCK = "clock"


_PASSING: Final = frozenset({Trouble.SLOWED, Trouble.LATE, Trouble.NOTHING_FOUND, Trouble.LIST_OLD})
"""Most of these pass by themselves within a minute. They are shown only after a minute."""

_OF_STATE: Final = {
    SourceState.UNAUTHORIZED: Trouble.UNAUTHORIZED,
    SourceState.MISCONFIGURED: Trouble.MISCONFIGURED,
    SourceState.CIRCUIT_OPEN: Trouble.CIRCUIT_OPEN,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """
    The judgement of a source at one moment.

    Args:
        trouble: The worst problem; ``None`` for none.
        sentences: All problems in words.
        seconds: Duration of the problems; for a source that is down, seconds since its last success.
        lost: Number of unknown rooms, without new rooms that still wait for their first reading.
    """

    level: Level
    trouble: Trouble | None
    sentences: tuple[str, ...]
    seconds: float | None
    lost: int


def holding(status: ClusterStatus | None, budget: str, *, polled: bool) -> Holding:
    """
    Who may call on this budget.

    Args:
        status: ``None``: without a cluster.
        polled: Whether this process may. Its lease may have ended although the engine still has its name.
    """
    owner = None if status is None else status.owner(budget)
    if status is not None and owner not in (None, status.replica):
        return Holding.ELSEWHERE
    if polled:
        return Holding.HERE
    return Holding.ELSEWHERE if status is None else Holding.NOBODY


def standing(
    source: SourceStats,
    figures: SourceFigures,
    budget: BudgetFigures | None,
    chronicle: Chronicle,
    now: float,
    of_discovery: Mapping[Trouble, str] | None = None,
    held: Holding = Holding.HERE,
) -> Standing:
    """
    Judge a source at this monotonic time. Call it every few seconds: that dates the start of each problem.

    Args:
        of_discovery: Problems of its discovery, each with a sentence; ``None`` for a source without discovery.
        held: Who may poll it. Another replica knows better what is wrong with a source that it polls.
    """
    if held is Holding.ELSEWHERE:
        chronicle.note(source, [_SEEN], now)
        lost = figures.rooms[RoomState.UNKNOWN] - (0 if figures.hidden else source.table.unread)
        return Standing(Level.OK, None, (), None, max(0, lost))
    if held is Holding.NOBODY:
        return _orphaned(source, figures, chronicle, now)
    found = {**dict(_found(figures, budget, source.table.unread)), **(of_discovery or {})}
    if of_discovery is not None:
        found.pop(Trouble.EMPTY, None)
    had, first_unread = chronicle.rooms_before(source), f"never read: {source.table.first_unread()}"
    since = dict(chronicle.note(source, [_SEEN, first_unread, *found], now))
    lost = figures.rooms[RoomState.UNKNOWN] - source.table.unread
    if source.table.unread and now - since[first_unread] > source.table.max_staleness:
        lost += source.table.unread
        since.setdefault(Trouble.UNKNOWN, since[first_unread])
    if lost:
        found[Trouble.UNKNOWN] = _sentence_of_lost(lost, len(source.table))
    if had and not len(source.table) and of_discovery is None:
        found[Trouble.EMPTY] = f"It watches no rooms any more; there were {wording.count(had)}."
    silence = now - (since[_SEEN] if source.last_success is None else source.last_success)
    if (down := _down(source, figures, silence)) is not None:
        unknown = figures.rooms[RoomState.UNKNOWN]
        return Standing(Level.BAD, down, (_sentence_of_down(down, source, silence),), silence, unknown)
    troubles = [
        trouble
        for trouble in Trouble
        if trouble in found and (trouble not in _PASSING or now - since[trouble] >= _PATIENCE)
    ]
    if troubles:
        began = min(since[trouble] for trouble in troubles)
        sentences = tuple(found[trouble] for trouble in troubles)
        return Standing(Level.WARNING, troubles[0], sentences, now - began, lost)
    return Standing(Level.OK if figures.up else Level.WAITING, None, (), None, lost)


def _orphaned(source: SourceStats, figures: SourceFigures, chronicle: Chronicle, now: float) -> Standing:
    seconds = now - chronicle.note(source, [_SEEN, Trouble.ORPHANED], now)[Trouble.ORPHANED]
    if seconds < _PATIENCE:
        return Standing(Level.WAITING, None, (), None, 0)
    sentence = "No replica may poll it, as far as this one knows."
    return Standing(Level.BAD, Trouble.ORPHANED, (sentence,), seconds, figures.rooms[RoomState.UNKNOWN])


def is_late(figures: SourceFigures) -> bool:
    """Whether the achieved interval is over 10 % longer than the wanted one, or with a cadence the longest one."""
    return figures.achieved_interval is not None and figures.achieved_interval > _LATE * figures.wanted_interval


def is_slowed(budget: BudgetFigures) -> bool:
    """Whether the pace of a budget is below 85 % of its limit. A smaller gap closes by itself."""
    return budget.pace < _SLOWED * budget.limit


def _down(source: SourceStats, figures: SourceFigures, silence: float) -> Trouble | None:
    if figures.state is not SourceState.OK:
        return _OF_STATE[figures.state]
    if figures.up or not len(source.table):
        return None
    expected = source.last_success is None and not source.failures and silence <= source.table.max_staleness
    return None if expected else Trouble.SILENT


def _sentence_of_down(trouble: Trouble, source: SourceStats, silence: float) -> str:
    if trouble is not Trouble.SILENT:
        return wording.EXPLANATIONS[source.state]
    if source.last_success is None:
        return "No call has succeeded yet."
    return f"No call has succeeded for {wording.duration(silence)}."


def _found(figures: SourceFigures, budget: BudgetFigures | None, unread: int) -> Iterator[tuple[Trouble, str]]:
    """The problems of a source whose calls succeed, each with a sentence."""
    rooms = sum(figures.rooms.values())
    if not rooms:
        yield Trouble.EMPTY, "It watches no rooms: neither the config nor a rooms file lists any."
    if lost := figures.rooms[RoomState.UNKNOWN] - unread:
        yield Trouble.UNKNOWN, _sentence_of_lost(lost, rooms)
    if budget is not None and is_slowed(budget):
        pace = wording.decimal(budget.pace)
        yield Trouble.SLOWED, f"Slowed down to {pace} calls per second, since the vendor rejected calls as too many."
    if figures.achieved_interval is not None and is_late(figures):
        achieved, wanted = wording.duration(figures.achieved_interval), wording.duration(figures.wanted_interval)
        yield Trouble.LATE, f"Its rooms are read every {achieved} instead of every {wanted}."
    if refused := figures.rooms[RoomState.REFUSED]:
        yield Trouble.REFUSED, f"The vendor refuses {wording.counted(refused, 'room')}."
    if (clock := wording.clock(figures.clock_skew, figures.clock_shift)) is not None:
        yield Trouble.CLOCK, clock


def _sentence_of_lost(lost: int, rooms: int) -> str:
    return f"{wording.count(lost)} of its {wording.counted(rooms, 'room')} {'is' if lost == 1 else 'are'} unknown."
