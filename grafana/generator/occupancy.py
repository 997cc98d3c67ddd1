"""
The dashboard "Occupancy": users by vendor, source and room.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from grafana_foundation_sdk.builders import barchart, heatmap, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from exporter.metrics.catalogue import (
    ROOM_USERS,
    ROOM_USERS_THRESHOLD,
    SOURCE_PUBLISHED_CHANGES,
    SOURCE_PUBLISHED_ROOMS,
    SOURCE_ROOM_SIZES,
    SOURCE_ROOMS,
    SOURCE_ROOMS_WITH_THRESHOLD,
    SOURCE_USER_SECONDS,
    SOURCE_USERS,
)
from exporter.states import RoomState
from grafana.generator import alerts, frame, recorded, sources
from grafana.generator.aggregation import KNOWN, average, merged, of_sources, rooms_of_sources, unknown_rooms
from grafana.generator.panels import (
    BLUE,
    COUNT,
    GREEN,
    GREY,
    KNOWN_NOTHING,
    NONE_WANTED,
    ORANGE,
    RED,
    SEVERITY_COLORS,
    SOME_WANTED,
    YELLOW,
    Query,
    Subject,
    bars,
    classes,
    color,
    links,
    listing,
    number,
    over_time,
    sorted_by,
    steps,
    value_map,
)
from grafana.generator.variables import OF_SOURCE, select

SHOWN: Final = 20
"""Rows of each table. The recording rules keep no more rooms of each source."""

STATE_COLORS: Final = {
    RoomState.FRESH: GREEN,
    RoomState.HELD: YELLOW,
    RoomState.MISSING: BLUE,
    RoomState.UNKNOWN: RED,
    RoomState.REFUSED: GREY,
}
_NONE_CONFIGURED, _NOTHING_KNOWN = -1, -2
_SIZES: Final = (10, 100, 1000, 10_000)
"""Bounds of the bars of rooms by size."""

_ROOM_COLUMNS: Final = ("room", "source", "api")


def dashboard() -> Dashboard:
    """The whole dashboard."""
    built = frame.frame(
        "Live rooms / Occupancy",
        frame.OCCUPANCY,
        "How many people are in which rooms, over every chosen source. What concerns single rooms comes from the"
        " recording rules of deploy/prometheus/rules.",
    )
    return frame.fill(
        built,
        {
            "Now": (_users(), _rooms(), _above_threshold(), alerts.firing(), sources.up()),
            "What needs somebody": (alerts.listed(), _nearest_threshold()),
            "Over time": (_users_over_time(), _above_over_time(), _users_of_sources(), _rooms_by_state()),
            "Rooms": (
                _fullest(),
                _drops(),
                _fullest_over_time(),
                _sizes(),
                _sizes_over_time(),
                _average(),
                _published(),
                _changes(),
            ),
        },
    )


def _users() -> stat.Panel:
    subject = Subject("Users in known rooms", "Users in all rooms whose count is published.", (SOURCE_USERS,), COUNT)
    return number(subject, Query(f"sum({of_sources(SOURCE_USERS)})", "users"))


def _rooms() -> stat.Panel:
    subject = Subject(
        "Rooms known and unknown",
        "Watched rooms of which something is known: read at the last poll, held from the one before, or said not to"
        " exist; and those of which nothing is. The numbers on this page are those of the known rooms.",
        (SOURCE_ROOMS,),
        COUNT,
    )
    panel = number(
        subject, Query(f"sum({rooms_of_sources(KNOWN)})", "known"), Query(f"sum({unknown_rooms()})", "unknown")
    )
    return (
        panel.span(5).override_by_name("known", [steps(SOME_WANTED)]).override_by_name("unknown", [steps(NONE_WANTED)])
    )


def _above_threshold() -> stat.Panel:
    subject = Subject(
        "Known rooms above a threshold",
        "Rooms with more users than configured for them. A room above both of its thresholds counts as critical alone."
        " unknown: rooms of which nothing is known, of the sources whose rooms have thresholds.",
        (ROOM_USERS, ROOM_USERS_THRESHOLD, SOURCE_ROOMS_WITH_THRESHOLD),
        COUNT,
    )
    above = f"sum by (severity) ({select(recorded.ABOVE_THRESHOLD, OF_SOURCE)})"
    configured = of_sources(SOURCE_ROOMS_WITH_THRESHOLD)
    unknown = f"{unknown_rooms()} and on (job, source) {configured} > 0"
    configured = f"sum({configured})"
    query = f"{above} or on () {_NOTHING_KNOWN} + ({configured} == bool 0)"
    mapping = {_NONE_CONFIGURED: ("none configured", GREY), _NOTHING_KNOWN: (KNOWN_NOTHING, RED)}
    return (
        number(subject, Query(query, "{{severity}}"), Query(f"sum({unknown}) > 0", "unknown"))
        .span(5)
        .mappings([value_map(mapping)])
        .override_by_name("unknown", [steps(NONE_WANTED)])
        .override_by_name("critical", [steps(NONE_WANTED)])
        .override_by_name("warning", [steps(((GREEN, None), (ORANGE, 1)))])
    )


def _users_over_time() -> timeseries.Panel:
    subject = Subject(
        "Users by vendor",
        "Users in known rooms, stacked. A step down is an exodus only if no room became unknown at that moment.",
        (SOURCE_USERS,),
        COUNT,
    )
    query = Query(f"sum by (vendor) ({of_sources(SOURCE_USERS)})", "{{vendor}}")
    return over_time(subject, query, stacked=True).min(0)


def _above_over_time() -> timeseries.Panel:
    subject = Subject(
        "Known rooms above a threshold over time",
        "Rooms with more users than configured for them. A room above both of its thresholds counts as critical alone.",
        (ROOM_USERS, ROOM_USERS_THRESHOLD),
        COUNT,
    )
    above = f"sum by (severity) ({select(recorded.ABOVE_THRESHOLD, OF_SOURCE)})"
    panel = (
        over_time(subject, Query(above, "{{severity}}"), stacked=True).no_value("no known room has a threshold").min(0)
    )
    for severity, its_color in SEVERITY_COLORS.items():
        panel = panel.override_by_name(severity, [color(its_color)])
    return panel


def _users_of_sources() -> timeseries.Panel:
    subject = Subject(
        "Users by source",
        "Users in the known rooms of each source. A gap means that nothing was known.",
        (SOURCE_USERS,),
        COUNT,
    )
    return over_time(subject, Query(of_sources(SOURCE_USERS), "{{source}}")).min(0)


def _rooms_by_state() -> timeseries.Panel:
    subject = Subject(
        "Rooms by state",
        "fresh: the last poll gave a reading; held: it failed, but the one before is young enough; missing: the vendor"
        " says that there is no such room; unknown: nothing is published; refused: the vendor does not take its id.",
        (SOURCE_ROOMS,),
        COUNT,
    )
    query = Query(f"sum by (state) ({of_sources(SOURCE_ROOMS)}) > 0", "{{state}}")
    panel = over_time(subject, query, stacked=True).min(0)
    for state, its_color in STATE_COLORS.items():
        panel = panel.override_by_name(state, [color(its_color)])
    return panel


def _nearest_threshold() -> table.Panel:
    subject = Subject(
        "Rooms near or above a threshold",
        "Users as a share of the threshold, from 80 % on: rooms above their critical threshold first, then those that"
        f" are furthest above the lower one or nearest to it. Of each source {SHOWN} rooms are here at most; how many"
        " there are is said above.",
        (ROOM_USERS, ROOM_USERS_THRESHOLD),
        "percentunit",
        ((YELLOW, None), (RED, 1)),
    )
    columns = ("severity", *_ROOM_COLUMNS)
    critical = _ranked(recorded.NEAREST_THRESHOLD, columns, 'severity="critical"')
    every = _ranked(recorded.NEAREST_THRESHOLD, columns)
    query = Query(f"topk({SHOWN}, {critical} > 1) or topk({SHOWN}, {every})")
    bar = DynamicConfigValue("custom.cellOptions", {"type": "gauge", "mode": "basic"})
    panel = listing(
        subject,
        columns,
        {"Of threshold": query},
        sorted_by("severity"),
        sorted_by("Of threshold", descending=True),
    )
    return (
        _linked(panel)
        .height(8)
        .min(0)
        .max(1)
        .no_value("no known room is at 80 % of a threshold")
        .override_by_name("Value", [bar])
    )


def _fullest() -> table.Panel:
    subject = Subject(
        "Fullest rooms", f"The {SHOWN} rooms that hold most users now; empty ones are left out.", (ROOM_USERS,), COUNT
    )
    query = Query(f"topk({SHOWN}, {_ranked(recorded.FULLEST_ROOMS, _ROOM_COLUMNS)})")
    return _linked(listing(subject, _ROOM_COLUMNS, {"Users": query})).no_value("no known room has users")


def _drops() -> table.Panel:
    subject = Subject(
        "Sudden drops",
        "Share of their users that rooms lost within the last two minutes (three for tencent_live, whose data comes in"
        " steps of 40 s), of rooms that held 100 or more and lost a fifth or more. Rooms that were closed are left out"
        " where the vendor says so.",
        (ROOM_USERS,),
        "percentunit",
        ((YELLOW, None), (ORANGE, 0.35), (RED, 0.5)),
    )
    lost = f"topk({SHOWN}, {_ranked(recorded.USERS_LOST_SHARE, _ROOM_COLUMNS)})"
    before = f"{_ranked(recorded.USERS_BEFORE_DROP, _ROOM_COLUMNS)} and {lost}"
    panel = listing(subject, _ROOM_COLUMNS, {"Lost": Query(lost), "Users before": Query(before)})
    return (
        _linked(panel)
        .min(0)
        .max(1)
        .no_value("no known room of 100 users or more lost a fifth")
        .override_by_name("Value #A", [DynamicConfigValue("custom.cellOptions", {"type": "gauge", "mode": "basic"})])
        .override_by_name("Value #B", [DynamicConfigValue("unit", COUNT), steps(((GREY, None),))])
    )


def _fullest_over_time() -> timeseries.Panel:
    subject = Subject(
        "Fullest rooms over time",
        "Users in whichever ten rooms were the fullest at each moment.",
        (ROOM_USERS,),
        COUNT,
    )
    rooms = _ranked(recorded.FULLEST_ROOMS, ("job", "source", "room"))
    return over_time(subject, Query(f"topk(10, {rooms})", "{{room}} ({{source}})")).min(0).span(24)


def _sizes() -> barchart.Panel:
    subject = Subject("Rooms by size", "How many known rooms hold how many users now.", (SOURCE_ROOM_SIZES,), COUNT)
    bounds = ("0", *map(str, _SIZES), "+Inf")
    names = ("0", *(f"{low + 1}-{high}" for low, high in pairwise((0, *_SIZES))), f"{_SIZES[-1] + 1}+")
    lower = (None, *bounds)
    query = " or ".join(
        f'label_replace({_up_to(high)}{f" - {_up_to(low)}" if low else ""} > 0, "size", "{name}", "", "")'
        for name, low, high in zip(names, lower, bounds, strict=False)
    )
    return bars(subject, Query(query), by="size")


def _up_to(bound: str) -> str:
    matcher = f'le="{bound}"'
    return f"sum({merged(select(SOURCE_ROOM_SIZES, OF_SOURCE, matcher))})"


def _sizes_over_time() -> heatmap.Panel:
    subject = Subject(
        "Rooms by size over time",
        "How many known rooms held how many users: darker is more. Each row is up to its number, and above that below.",
        (SOURCE_ROOM_SIZES,),
        COUNT,
    )
    return classes(subject, Query(f"sum by (le) ({of_sources(SOURCE_ROOM_SIZES)})", "{{le}}"))


def _average() -> timeseries.Panel:
    subject = Subject(
        "Average users of ten minutes",
        "Users in the known rooms of each source, averaged over the ten minutes before; time in which nothing was known"
        " counts as none. Only of sources whose families have user_seconds.",
        (SOURCE_USER_SECONDS,),
        COUNT,
    )
    query = Query(merged(average(select(SOURCE_USER_SECONDS, OF_SOURCE))), "{{source}}")
    return over_time(subject, query).min(0).span(8).decimals(1).no_value("no user-seconds chosen")


def _published() -> timeseries.Panel:
    subject = Subject(
        "Rooms with series",
        "Rooms with series of their own, and those that are only counted: sums and sizes are of both.",
        (SOURCE_PUBLISHED_ROOMS, SOURCE_ROOMS),
        COUNT,
    )
    published = of_sources(SOURCE_PUBLISHED_ROOMS)
    return (
        over_time(
            subject,
            Query(f"sum({published})", "with series"),
            Query(f"sum({rooms_of_sources()} - {published})", "only counted"),
            stacked=True,
        )
        .min(0)
        .span(8)
    )


def _changes() -> timeseries.Panel:
    subject = Subject(
        "Rooms that began or ceased to have series",
        "A minute, of sources with publish. Each that begins is a new set of series for Prometheus.",
        (SOURCE_PUBLISHED_CHANGES,),
        COUNT,
    )
    changes = merged(f"60 * rate({select(SOURCE_PUBLISHED_CHANGES, OF_SOURCE)}[$__rate_interval])")
    return (
        over_time(subject, Query(f"sum by (change) ({changes})", "{{change}}"))
        .min(0)
        .span(8)
        .decimals(1)
        .no_value("all rooms have series")
    )


def _ranked(series: str, columns: tuple[str, ...], more: str = "") -> str:
    return f"max by ({', '.join(columns)}) ({select(series, OF_SOURCE, more)})"


def _linked(panel: table.Panel) -> table.Panel:
    return panel.override_by_name("room", [links(frame.room_link())]).override_by_name(
        "source", [links(frame.health_link())]
    )
