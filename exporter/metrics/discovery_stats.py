"""
Numbers about the discovery of a source's rooms, for the metrics and the pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.metrics.durations import DurationFigures


@dataclass(frozen=True, slots=True)
class CallbackFigures:
    """A source's callbacks at one moment; ``last_event`` is Unix seconds."""

    results: Mapping[str, int]
    last_event: float | None
    delays: DurationFigures


@dataclass(frozen=True, slots=True)
class ProviderFigures:
    """
    One provider at one moment.

    Args:
        name: Unique within the source: ``vendor_list``, ``http_sd`` with a number where there are several.
        rooms: How many rooms it names.
        interval: Seconds between two refreshes; ``None`` for a provider that is not asked.
        last_success: When it last named rooms, in Unix seconds.
        result: How its last refresh ended; ``None`` before the first, and for a provider that is not asked.
        error: Why that was not complete, in one line.
        warning: About accepted content that looks like a mistake, in one line.
    """

    name: str
    origin: str
    rooms: int
    interval: float | None = None
    last_success: float | None = None
    result: str | None = None
    error: str | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class DiscoveryFigures:
    """
    One source's discovery at one moment. Times are Unix seconds; what is not known is left out.

    Args:
        labels: ``vendor``, ``api``, ``source``.
        rooms: How many rooms who names, by origin.
        lives: Rooms by state.
        last_success: By origin; where there are several providers, of the one that is oldest.
        intervals: Wanted seconds between two refreshes, by origin; where there are several providers, the longest.
        last_complete: Of the last complete pass over the vendor's list.
        refreshes: By origin and result.
        durations: Of refreshes, by origin.
        added: By the origin that named them first.
        dropped: By reason.
        rejected: By reason.
        rejected_at: When an id was last rejected, by reason.
        limit: As many rooms may be watched.
        lifetimes: Of found rooms that are gone.
        providers: Those that are configured, the operator's first.
        callbacks: ``None`` where none are accepted.
        polled: Whether this process may poll the source now. If not, another replica knows how its discovery stands.
    """

    labels: tuple[str, str, str]
    rooms: Mapping[str, int]
    lives: Mapping[str, int]
    last_success: Mapping[str, float]
    intervals: Mapping[str, float]
    last_complete: float | None
    refreshes: Mapping[tuple[str, str], int]
    durations: Mapping[str, DurationFigures]
    added: Mapping[str, int]
    dropped: Mapping[str, int]
    rejected: Mapping[str, int]
    rejected_at: Mapping[str, float]
    limit: int
    lifetimes: DurationFigures
    providers: tuple[ProviderFigures, ...] = ()
    callbacks: CallbackFigures | None = None
    polled: bool = True
