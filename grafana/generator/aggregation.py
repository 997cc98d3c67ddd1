"""
Aggregates the series of several exporters: how queries remove ``instance`` and ``pod``.

Several exporters may publish the same room or source: for a while when one takes over from another, always in a
cluster. For a gauge the highest value is used: if one exporter knows a room, it is known. Counters are summed, since
each exporter makes its own calls. ``without`` keeps all other labels of the targets. Where two metrics are compared,
they are matched by job and source.
"""

from __future__ import annotations

from exporter.metrics.catalogue import (
    SOURCE_INTERVAL,
    SOURCE_LAST_SUCCESS,
    SOURCE_LONGEST_INTERVAL,
    SOURCE_ROOMS,
    SOURCE_UP,
    Metric,
)
from exporter.states import RoomState
from grafana.generator.variables import OF_SOURCE, select

KNOWN = f'state=~"{RoomState.FRESH}|{RoomState.HELD}|{RoomState.MISSING}"'
"""Matcher for the states in which a room's users are published."""


def merged(vector: str) -> str:
    """The highest value of several exporters."""
    return f"max without (instance, pod) ({vector})"


def summed(vector: str) -> str:
    """The sum over several exporters."""
    return f"sum without (instance, pod) ({vector})"


def of_sources(metric: Metric) -> str:
    """A gauge of the chosen sources."""
    return merged(select(metric, OF_SOURCE))


def by_source(vector: str) -> str:
    """The highest value of each source, with the labels job and source alone."""
    return f"max by (job, source) ({vector})"


def rooms_of_sources(matching: str = "") -> str:
    """
    Number of rooms of each chosen source.

    Args:
        matching: Matcher for the rooms to count, for instance ``KNOWN``; empty for all watched rooms.
    """
    return merged(f"sum without (state) ({select(SOURCE_ROOMS, OF_SOURCE, matching)})")


def unknown_rooms() -> str:
    """
    Number of unknown rooms of each chosen source, 0 included.

    Two exporters may disagree on a room's state. So this is the number of watched rooms minus the number of known ones.
    """
    return f"{rooms_of_sources()} - {rooms_of_sources(KNOWN)}"


def down_sources() -> str:
    """Chosen sources that are down. Sources without rooms make no calls, and do not count."""
    return f"{of_sources(SOURCE_UP)} == 0 unless {rooms_of_sources()} == 0"


def success_age() -> str:
    """Seconds since the last success of each chosen source."""
    return f"(time() - {by_source(select(SOURCE_LAST_SUCCESS, OF_SOURCE))})"


def average(user_seconds: str) -> str:
    """
    Average users over ten minutes. Absent until there are ten minutes, as after a restart: ``rate`` would be too low.
    """
    return f"({user_seconds} - {user_seconds} offset 10m) / 600 >= 0"


def in_intervals(seconds: str) -> str:
    """A duration of each chosen source, as a multiple of its configured interval; with a cadence, of the longest."""
    longest, interval = (by_source(select(each, OF_SOURCE)) for each in (SOURCE_LONGEST_INTERVAL, SOURCE_INTERVAL))
    return f"{seconds} / ({longest} or {interval})"
