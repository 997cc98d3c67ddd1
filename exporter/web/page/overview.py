"""
Collects everything that the status page shows above its list of rooms, at one moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.blocking import Turn
from exporter.metrics.telemetry import Telemetry
from exporter.states import RoomState
from exporter.web.history import History
from exporter.web.page.attention import Attention, attend
from exporter.web.page.cluster_view import ClusterView, alarms, view_cluster
from exporter.web.page.curves import Curves
from exporter.web.page.drawing import Part, Sparkline, sparkline, stacked
from exporter.web.page.source_view import SHOWN_STATES, Scene, SourceView, view_source
from exporter.web.page.standing import Level
from exporter.web.page.verdict import Alarm, Tally, Verdict, judge, tally
from exporter.web.page.wording import count
from exporter.web.rooms import Rooms

_POINTS: Final = 120
_FILES_NAMED: Final = 10
_SURE: Final = 0.99
_WORST_FIRST: Final = (Level.BAD, Level.WARNING, Level.WAITING, Level.OK)


@dataclass(frozen=True, slots=True)
class Users:
    """
    Total users, now and over time.

    Args:
        now: Sum over the known rooms; ``None`` while no room is known.
        trend: Drawn as doubtful where more than 1 % of the rooms were unknown.
        span: Seconds that ``trend`` covers.
    """

    now: int | None
    trend: Sparkline | None
    low: float
    high: float
    span: float


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything above the list of rooms. Sources are sorted, the worst first."""

    verdict: Verdict
    counts: Tally
    attention: Attention
    alarms: tuple[Alarm, ...]
    sources: tuple[SourceView, ...]
    users: Users
    states: dict[RoomState, int]
    parts: tuple[Part, ...]
    cluster: ClusterView | None


async def survey(telemetry: Telemetry, scene: Scene, rooms: Rooms, curves: Curves, unhealthy: str | None) -> Overview:
    """
    Collect the overview. Other tasks may run between two sources.

    Args:
        unhealthy: Why the process is not healthy; ``None`` if it is.
    """
    sources = []
    turn = Turn()
    for source in list(telemetry.sources.values()):
        sources.append(view_source(source, scene))
        await turn.let_others_run()
    counts = tally(sources)
    found = (*_alarms(telemetry, unhealthy), *(alarms(scene.cluster, scene.unix) if scene.cluster else ()))
    states = {state: sum(source.figures.rooms[state] for source in sources) for state in SHOWN_STATES}
    return Overview(
        verdict=judge(counts, found),
        counts=counts,
        attention=await attend(sources, counts.above, rooms, curves, scene.monotonic),
        alarms=found,
        sources=tuple(sorted(sources, key=lambda source: _WORST_FIRST.index(source.level))),
        users=_users(sources, scene.history),
        states=states,
        parts=stacked((state, states[state]) for state in SHOWN_STATES),
        cluster=view_cluster(scene.cluster, scene.unix) if scene.cluster else None,
    )


def _users(sources: Sequence[SourceView], history: History) -> Users:
    known = [source.figures.published_users for source in sources if source.figures.published_users is not None]
    samples = history.users.points(_POINTS)
    shares = history.known.points(_POINTS)
    seen = [sample for sample in samples if sample is not None]
    low, high = min(seen, default=0.0), max(seen, default=0.0)
    margin = max(0.15 * (high - low), 0.02 * high, 1.0)
    sure = [share is not None and share >= _SURE for share in shares]
    return Users(
        now=sum(known) if known else None,
        trend=sparkline(samples, low - margin, high + margin, sure=sure),
        low=low,
        high=high,
        span=history.span(),
    )


def _alarms(telemetry: Telemetry, unhealthy: str | None) -> Iterator[Alarm]:
    if unhealthy is not None:
        yield Alarm(Level.BAD, "the exporter is not healthy", (f"{unhealthy}.",))
    if telemetry.config_kept:
        sentence = "The config file could not be reloaded; the previous config is in use. The log says what is wrong."
        yield Alarm(Level.WARNING, "an old config is in use", (sentence,), "RtcConfigReloadFailed")
    if telemetry.web_config_ok is False:
        sentence = (
            "The web config, or a file that it names, could not be read again. The previous one still guards the port. "
            "The log says what is wrong."
        )
        yield Alarm(Level.WARNING, "an old web config is in use", (sentence,), "RtcWebConfigReloadFailed")
    failed = [file for file, successful in telemetry.rooms_files.items() if not successful]
    if failed:
        yield Alarm(
            Level.WARNING,
            f"{count(len(failed))} rooms {'file' if len(failed) == 1 else 'files'} not read",
            tuple(_sentences_of_files(failed)),
            "RtcRoomsFileReloadFailed",
        )


def _sentences_of_files(failed: Sequence[str]) -> Iterator[str]:
    for file in failed[:_FILES_NAMED]:
        yield f"The rooms file {file} is gone, or it cannot be read and its old list is used. The log says which."
    if len(failed) > _FILES_NAMED:
        yield f"The same holds for {count(len(failed) - _FILES_NAMED)} more rooms files."
