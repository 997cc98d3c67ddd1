"""
The verdict of the page: is everything all right? Headline, title and icon all use it, so they always agree.

Its level is the level of the worst finding. The findings of that level form the headline; the others are shown below.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.model import Severity
from exporter.states import RoomState
from exporter.web.page.links import list_of_rooms
from exporter.web.page.source_view import SourceView
from exporter.web.page.standing import Level
from exporter.web.page.wording import count, counted

_WORST_FIRST: Final = (Level.BAD, Level.WARNING, Level.WAITING, Level.OK)
_SOURCES: Final = "#sources"
_ROOMS: Final = "#rooms"
_CLUSTER: Final = "#cluster"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One statement of the verdict.

    Args:
        words: Text for the headline.
        link: To the list of what is counted.
        short: Shorter text for the title; ``None`` to use ``words``.
    """

    level: Level
    words: str
    link: str | None = None
    short: str | None = None


@dataclass(frozen=True, slots=True)
class Alarm:
    """
    A problem of the exporter itself.

    Args:
        words: Text for the headline.
        sentences: Details.
        runbook: Name of the alert whose runbook helps.
    """

    level: Level
    words: str
    sentences: tuple[str, ...]
    runbook: str | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """
    All counts of the page. Every part of the page shows these numbers, so they always agree.

    Args:
        known: Rooms with a published reading.
        unknown: Rooms in the state ``unknown``.
        lost: Of the unknown rooms, those that do not wait for their first reading.
        limited: Rooms with a threshold.
        above: Rooms whose last reading was above a threshold.
        critical: Of these, the rooms above their critical threshold.
        down: Sources that are down.
        sources: Sources that this process polls.
        elsewhere: Sources that other replicas of the cluster poll.
        ailing: Sources that answer, but have a problem.
        waiting: Sources that have just started.
    """

    rooms: int
    known: int
    unknown: int
    lost: int
    limited: int
    above: int
    critical: int
    sources: int
    elsewhere: int
    down: int
    ailing: int
    waiting: int

    @property
    def answering(self) -> int:
        return self.sources - self.down - self.waiting


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    The verdict.

    Args:
        headline: Findings of the worst level.
        more: All other findings.
    """

    level: Level
    headline: tuple[Finding, ...]
    more: tuple[Finding, ...]

    @property
    def title(self) -> str:
        """The headline in a few words."""
        return ", ".join(finding.short or finding.words for finding in self.headline)


def tally(sources: Sequence[SourceView]) -> Tally:
    """Count rooms and sources."""
    levels = [source.level for source in sources if not source.elsewhere]
    critical = sum(source.exceeding[Severity.CRITICAL] for source in sources)
    return Tally(
        rooms=sum(source.rooms for source in sources),
        known=sum(source.known for source in sources),
        unknown=sum(source.figures.rooms[RoomState.UNKNOWN] for source in sources),
        lost=sum(source.standing.lost for source in sources),
        limited=sum(source.limited for source in sources),
        above=critical + sum(source.exceeding[Severity.WARNING] for source in sources),
        critical=critical,
        sources=len(levels),
        elsewhere=len(sources) - len(levels),
        down=levels.count(Level.BAD),
        ailing=levels.count(Level.WARNING),
        waiting=levels.count(Level.WAITING),
    )


def judge(counts: Tally, alarms: Sequence[Alarm]) -> Verdict:
    """Judge these counts."""
    findings = [*_of_rooms(counts), *_of_sources(counts), *(Finding(alarm.level, alarm.words) for alarm in alarms)]
    if not findings:
        findings = [Finding(Level.OK, "All is well", short="All well")]
        return Verdict(Level.OK, tuple(findings), tuple(_notes(counts)))
    level = next(level for level in _WORST_FIRST if any(finding.level is level for finding in findings))
    headline = tuple(finding for finding in findings if finding.level is level)
    return Verdict(level, headline, tuple(finding for finding in findings if finding.level is not level))


def _of_rooms(counts: Tally) -> Iterator[Finding]:
    if counts.critical:
        link = list_of_rooms(above=Severity.CRITICAL)
        words = f"{counted(counts.critical, 'room')} above critical"
        yield Finding(Level.BAD, words, link, f"{count(counts.critical)} critical")
    if counts.above > counts.critical:
        link = list_of_rooms(above=Severity.WARNING)
        rooms = counted(counts.above, "room")
        words = f"{rooms} above a threshold in all" if counts.critical else f"{rooms} above warning"
        yield Finding(Level.WARNING, words, link, f"{count(counts.above)} above warning")
    if counts.unknown:
        link = list_of_rooms(state=RoomState.UNKNOWN)
        of = f"{count(counts.unknown)} of {counted(counts.rooms, 'room')}"
        if counts.lost:
            yield Finding(Level.WARNING, f"{of} unknown", link, f"{count(counts.unknown)} unknown")
        else:
            yield Finding(Level.WAITING, f"{of} not read yet", link, "reading rooms")
    if counts.sources and not counts.rooms:
        yield Finding(Level.WARNING, "no room is watched", _SOURCES)


def _of_sources(counts: Tally) -> Iterator[Finding]:
    of = f"of {counted(counts.sources, 'source')}"
    if counts.down:
        words = f"{count(counts.down)} {of} down"
        yield Finding(Level.BAD, words, _SOURCES, f"{counted(counts.down, 'source')} down")
    if counts.ailing:
        words = f"{count(counts.ailing)} {of} with a problem"
        yield Finding(Level.WARNING, words, _SOURCES, f"{counted(counts.ailing, 'source')} with a problem")
    if counts.waiting:
        yield Finding(Level.WAITING, f"{count(counts.waiting)} {of} not heard of yet", _SOURCES, "waiting")
    if not counts.sources and not counts.elsewhere:
        yield Finding(Level.WARNING, "no sources are configured", short="no sources")


def _notes(counts: Tally) -> Iterator[Finding]:
    yield Finding(Level.OK, f"{counted(counts.rooms, 'room')} known", _ROOMS)
    if counts.limited == counts.rooms:
        yield Finding(Level.OK, "none above its threshold")
    elif counts.limited:
        yield Finding(Level.OK, f"none above its threshold, {count(counts.limited)} have one")
    else:
        yield Finding(Level.OK, "no room has a threshold")
    if counts.sources or not counts.elsewhere:
        yield Finding(Level.OK, f"{counted(counts.sources, 'source')} answering", _SOURCES)
    if counts.elsewhere:
        yield Finding(Level.OK, f"{counted(counts.elsewhere, 'source')} polled by other replicas", _CLUSTER)
