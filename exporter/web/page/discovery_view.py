"""
Where the rooms of one source come from, as the status page shows it, and what is wrong there. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from exporter.metrics.discovery_stats import DiscoveryFigures, ProviderFigures
from exporter.web.page import wording
from exporter.web.page.standing import Trouble

_OLD: Final = 5
"""In intervals, as in the alert RtcDiscoveryOutdated."""
_LATELY: Final = 300.0
_BAD: Final = ("failed", "unsupported")
_NAMES: Final = {
    "config": "The config",
    "files": "Rooms files",
    "vendor_list": "The vendor's list",
    "callbacks": "Callbacks",
}
_RESULTS: Final = {
    "complete": "read completely",
    "partial": "read in part, so it takes no room away",
    "failed": "not read; the last list counts",
    "unsupported": "not to be had: the vendor asks to activate it first",
}
_REASONS: Final = {
    "max_rooms": "for max_rooms: raise it, or narrow down with include",
    "rate": "as too many came at once; the next refresh takes them",
    "filter": "by include and exclude",
    "invalid_id": "as the API takes no such id",
}
_ENDS: Final = {
    "missing": "the vendor says that they do not exist",
    "idle": "empty for long",
    "list": "the vendor's list lacks them",
    "unconfirmed": "no poll ever confirmed them",
    "refused": "the vendor refuses them",
    "http_sd": "http_sd names them no longer",
    "config": "taken out of the config",
    "files": "taken out of their files",
}


@dataclass(frozen=True, slots=True)
class ProviderView:
    """
    One provider in words.

    Args:
        age: Seconds since it last named rooms; ``None`` for one that is not asked, or that has not answered yet.
        result: How its last refresh ended.
        remark: Why that was not complete, or what looks like a mistake.
        counts: Whether its counts of users are readings.
        bad: Whether something is to be mended.
    """

    name: str
    rooms: int
    asked: bool
    interval: float | None
    age: float | None
    result: str | None
    remark: str | None
    counts: bool
    bad: bool


@dataclass(frozen=True, slots=True)
class DiscoveryView:
    """
    The discovery of one source.

    Args:
        lives: Rooms by state, none left out.
        rejected: Rejected ids since the start by reason, in words.
        dropped: Rooms that went since the start by reason, in words.
        refused_callbacks: How many callbacks were not genuine, since the start; ``None`` where none are accepted.
        heard: Seconds since the last genuine callback.
        troubles: Problems, each with a sentence.
    """

    providers: tuple[ProviderView, ...]
    lives: Mapping[str, int]
    limit: int
    rejected: tuple[tuple[int, str], ...]
    dropped: tuple[tuple[int, str], ...]
    accepted_callbacks: int | None
    refused_callbacks: int | None
    heard: float | None
    troubles: Mapping[Trouble, str]

    @property
    def watched(self) -> int:
        return sum(self.lives.values())


def view_discovery(figures: DiscoveryFigures, unix: float) -> DiscoveryView:
    """How the rooms of a source find themselves, at this Unix time."""
    callbacks = figures.callbacks
    results = callbacks.results if callbacks else {}
    genuine = sum(results.get(result, 0) for result in ("accepted", "duplicate", "ignored"))
    heard = callbacks.last_event if callbacks else None
    return DiscoveryView(
        providers=tuple(_provider(each, unix) for each in figures.providers),
        lives=figures.lives,
        limit=figures.limit,
        rejected=_counted(figures.rejected, _REASONS),
        dropped=_counted(figures.dropped, _ENDS),
        accepted_callbacks=genuine if callbacks else None,
        refused_callbacks=sum(results.values()) - genuine if callbacks else None,
        heard=None if heard is None else max(0.0, unix - heard),
        troubles=dict(_troubles(figures, unix)),
    )


def _provider(figures: ProviderFigures, unix: float) -> ProviderView:
    result = figures.result
    return ProviderView(
        name=_NAMES.get(figures.name, figures.name),
        rooms=figures.rooms,
        asked=figures.interval is not None,
        interval=figures.interval,
        age=_age(figures, unix),
        result=None if result is None else _RESULTS.get(result, result),
        remark=figures.error or figures.warning,
        counts=figures.counts,
        bad=result in _BAD or _is_old(figures, unix),
    )


def _troubles(figures: DiscoveryFigures, unix: float) -> Iterator[tuple[Trouble, str]]:
    found = [each for each in figures.providers if each.origin not in ("config", "files")]
    if not sum(each.rooms for each in figures.providers) and any(each.last_success for each in found):
        yield Trouble.NOTHING_FOUND, "It finds no room: its lists and callbacks name none."
    old = [each for each in found if each.interval is not None and _is_old(each, unix)]
    if old:
        yield Trouble.LIST_OLD, " ".join(_sentence_of_old(each, unix) for each in old)
    at = figures.rejected_at.get("max_rooms")
    if at is not None and unix - at <= _LATELY:
        watched = wording.counted(sum(figures.lives.values()), "room")
        yield Trouble.FULL, f"It watches {watched}, as many as max_rooms allows; rooms that open now are left out."


def _sentence_of_old(figures: ProviderFigures, unix: float) -> str:
    name, age = _NAMES.get(figures.name, figures.name), _age(figures, unix)
    since = "was never read" if age is None else f"was last read {wording.duration(age)} ago"
    why = f": {figures.error}" if figures.error else ""
    return f"{name} {since}{why}."


def _is_old(figures: ProviderFigures, unix: float) -> bool:
    if figures.interval is None:
        return False
    age = _age(figures, unix)
    return figures.result in _BAD if age is None else age > _OLD * figures.interval


def _age(figures: ProviderFigures, unix: float) -> float | None:
    if figures.interval is None or figures.last_success is None:
        return None
    return max(0.0, unix - figures.last_success)


def _counted(counts: Mapping[str, int], words: Mapping[str, str]) -> tuple[tuple[int, str], ...]:
    return tuple((count, words.get(reason, reason)) for reason, count in counts.items() if count)
