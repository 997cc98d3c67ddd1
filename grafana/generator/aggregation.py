"""
One truth of several exporters: how queries aggregate ``instance`` and ``pod`` away.

While one exporter takes over from another, and in a cluster all the time, several of them publish the same room or
source. What one of them knows is known, so the highest value of a gauge counts; each makes calls of its own, so
counters are summed. ``without`` keeps whatever labels the targets have besides. A source and its job name it wherever
two metrics are held against each other.
"""

from __future__ import annotations

from exporter.metrics.catalogue import SOURCE_INTERVAL, SOURCE_LAST_SUCCESS, SOURCE_ROOMS, SOURCE_UP, Metric
from exporter.states import RoomState
from grafana.generator.variables import OF_SOURCE, select

KNOWN = f'state=~"{RoomState.FRESH}|{RoomState.HELD}|{RoomState.MISSING}"'
"""Matches the states of rooms whose count is published."""


def merged(vector: str) -> str:
    """One series of those that several exporters publish: the highest."""
    return f"max without (instance, pod) ({vector})"


def summed(vector: str) -> str:
    """One series of those that several exporters publish: their sum."""
    return f"sum without (instance, pod) ({vector})"


def of_sources(metric: Metric) -> str:
    """A gauge of the chosen sources."""
    return merged(select(metric, OF_SOURCE))


def by_source(vector: str) -> str:
    """The highest value of each source, with nothing but its job and name."""
    return f"max by (job, source) ({vector})"


def rooms_of_sources(matching: str = "") -> str:
    """
    How many rooms each chosen source has.

    Args:
        matching: Which rooms are counted, for instance ``KNOWN``; all that are watched without it.
    """
    return merged(f"sum without (state) ({select(SOURCE_ROOMS, OF_SOURCE, matching)})")


def unknown_rooms() -> str:
    """
    How many rooms of each chosen source nobody knows anything of, 0 included.

    Two exporters may disagree on a room's state, so those of which something is known are taken off those watched.
    """
    return f"{rooms_of_sources()} - {rooms_of_sources(KNOWN)}"


def down_sources() -> str:
    """Chosen sources whose calls do not succeed; those without rooms make none."""
    return f"{of_sources(SOURCE_UP)} == 0 unless {rooms_of_sources()} == 0"


def success_age() -> str:
    """Seconds since a call of each chosen source last gave a reading."""
    return f"(time() - {by_source(select(SOURCE_LAST_SUCCESS, OF_SOURCE))})"


def in_intervals(seconds: str) -> str:
    """A time of each chosen source as a multiple of the interval that is wanted of it."""
    return f"{seconds} / {by_source(select(SOURCE_INTERVAL, OF_SOURCE))}"
