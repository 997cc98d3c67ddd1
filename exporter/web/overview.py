"""
The figures of all sources and of the process as the status page shows them: what an engineer wants to see first.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from exporter.metrics.telemetry import Telemetry
from exporter.states import RoomState
from exporter.web.drawing import Part, Sparkline, sparkline, stacked
from exporter.web.history import History
from exporter.web.source_view import SHOWN_STATES, Level, Scene, SourceView, view_source

_SOURCES_AT_ONCE: Final = 10
_POINTS: Final = 120
_FILES_NAMED: Final = 10


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
    sharing = Counter(source.budget for source in telemetry.sources.values())
    scene = Scene(telemetry.budgets, sharing, history, monotonic, unix)
    sources = []
    for index, source in enumerate(list(telemetry.sources.values()), start=1):
        sources.append(view_source(source, scene))
        if index % _SOURCES_AT_ONCE == 0:
            await asyncio.sleep(0)
    states = {state: sum(source.figures.rooms[state] for source in sources) for state in SHOWN_STATES}
    known = [source.figures.published_users for source in sources if source.figures.published_users is not None]
    samples = history.users.points(_POINTS)
    seen = [sample for sample in samples if sample is not None]
    low, high = min(seen, default=0.0), max(seen, default=0.0)
    margin = max(0.15 * (high - low), 0.02 * high, 1.0)
    return Overview(
        sources=tuple(sources),
        users=sum(known) if known else None,
        rooms=sum(states.values()),
        states=states,
        parts=stacked((state, states[state]) for state in SHOWN_STATES),
        trend=sparkline(samples, low - margin, high + margin),
        low=low,
        high=high,
        span=history.span(),
        alarms=tuple(_alarms(telemetry)),
    )


def _alarms(telemetry: Telemetry) -> Iterator[str]:
    if telemetry.config_kept:
        yield "The config file could not be read again; the config of before is in use. The log says what is wrong."
    failed = [file for file, successful in telemetry.rooms_files.items() if not successful]
    for file in failed[:_FILES_NAMED]:
        yield f"The rooms file {file} could not be read; its list of before is in use. The log says what is wrong."
    if len(failed) > _FILES_NAMED:
        yield f"Neither could {len(failed) - _FILES_NAMED} more rooms files."
