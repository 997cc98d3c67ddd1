"""
The Occupancy dashboard: how many people are in which rooms.
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import barchart, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from exporter.metrics.catalogue import ROOM_USERS, ROOM_USERS_THRESHOLD, SOURCE_ROOMS, SOURCE_USERS
from exporter.states import RoomState
from grafana import frame, recorded
from grafana.panels import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    YELLOW,
    Query,
    Subject,
    bars,
    color,
    links,
    listing,
    number,
    over_time,
)
from grafana.variables import OF_SOURCE, select

SHOWN: Final = 20
"""Rows of every table; the recording rules keep no more than this of each source."""

STATE_COLORS: Final = {
    RoomState.FRESH: GREEN,
    RoomState.HELD: YELLOW,
    RoomState.MISSING: BLUE,
    RoomState.UNKNOWN: RED,
    RoomState.REFUSED: GREY,
}
_ROOM_COLUMNS: Final = ("room", "source", "api", "vendor", "instance")
_KNOWN: Final = f'state=~"{RoomState.FRESH}|{RoomState.HELD}|{RoomState.MISSING}"'


def dashboard() -> Dashboard:
    """How many people are in which rooms."""
    built = frame.frame(
        "Live rooms / Occupancy",
        frame.OCCUPANCY,
        "How many people are in which rooms, over every chosen source. What concerns single rooms comes from the"
        " recording rules of deploy/prometheus/rules.",
    )
    return frame.fill(
        built,
        {
            "Now": (_users(), _users_by_vendor(), _rooms(), _known_share(), _above_threshold()),
            "Over time": (_users_over_time(), _users_of_sources(), _rooms_by_state(), _fullest_over_time()),
            "Rooms": (_fullest(), _nearest_threshold(), _lost(), _sizes(), _sizes_over_time()),
        },
    )


def _users() -> stat.Panel:
    subject = Subject("Users", "Users in all rooms whose count is published.", (SOURCE_USERS,), "short")
    return number(subject, Query(f"sum({select(SOURCE_USERS, OF_SOURCE)})", "users"))


def _users_by_vendor() -> stat.Panel:
    subject = Subject("Users by vendor", "The same, by vendor.", (SOURCE_USERS,), "short")
    return number(subject, Query(f"sum by (vendor) ({select(SOURCE_USERS, OF_SOURCE)})", "{{vendor}}")).span(8)


def _rooms() -> stat.Panel:
    subject = Subject("Rooms watched", "Rooms of the chosen sources, in any state.", (SOURCE_ROOMS,), "short")
    return number(subject, Query(f"sum({select(SOURCE_ROOMS, OF_SOURCE)})", "rooms"))


def _known_share() -> stat.Panel:
    subject = Subject(
        "Rooms known",
        "Share of the watched rooms whose count is published: read at the last poll, held from the one before, or"
        " said not to exist. The totals on this page are only of these.",
        (SOURCE_ROOMS,),
        "percentunit",
        ((RED, None), (YELLOW, 0.95), (GREEN, 0.999)),
    )
    known, all_states = select(SOURCE_ROOMS, OF_SOURCE, _KNOWN), select(SOURCE_ROOMS, OF_SOURCE)
    return number(subject, Query(f"sum({known}) / sum({all_states})", "known")).min(0).max(1)


def _above_threshold() -> stat.Panel:
    subject = Subject(
        "Rooms above a threshold",
        f"Rooms with more users than configured for them, by severity; at most {SHOWN} of each source are counted.",
        (ROOM_USERS, ROOM_USERS_THRESHOLD),
        "short",
        ((GREEN, None), (RED, 1)),
    )
    query = Query(f"sum by (severity) ({select(recorded.NEAREST_THRESHOLD, OF_SOURCE)} > bool 1)", "{{severity}}")
    return number(subject, query).no_value("none configured")


def _users_over_time() -> timeseries.Panel:
    subject = Subject("Users by vendor over time", "Users in all published rooms, stacked.", (SOURCE_USERS,), "short")
    query = Query(f"sum by (vendor) ({select(SOURCE_USERS, OF_SOURCE)})", "{{vendor}}")
    return over_time(subject, query, stacked=True).min(0)


def _users_of_sources() -> timeseries.Panel:
    subject = Subject(
        "Users by source over time", "Users in the published rooms of each source.", (SOURCE_USERS,), "short"
    )
    query = Query(f"sum by (api, source) ({select(SOURCE_USERS, OF_SOURCE)})", "{{source}} ({{api}})")
    return over_time(subject, query).min(0)


def _rooms_by_state() -> timeseries.Panel:
    subject = Subject(
        "Rooms by state over time",
        "fresh: the last poll gave a reading; held: it failed, but the one before is young enough; missing: the vendor"
        " says that there is no such room; unknown: nothing is published; refused: the vendor does not take its id.",
        (SOURCE_ROOMS,),
        "short",
    )
    query = Query(f"sum by (state) ({select(SOURCE_ROOMS, OF_SOURCE)})", "{{state}}")
    panel = over_time(subject, query, stacked=True).min(0)
    for state, its_color in STATE_COLORS.items():
        panel = panel.override_by_name(state, [color(its_color)])
    return panel


def _fullest_over_time() -> timeseries.Panel:
    subject = Subject(
        "Fullest rooms over time",
        "Users in whichever ten rooms were the fullest at each moment.",
        (ROOM_USERS,),
        "short",
    )
    rooms = f"max by (source, room) ({select(recorded.FULLEST_ROOMS, OF_SOURCE)})"
    return over_time(subject, Query(f"topk(10, {rooms})", "{{room}} ({{source}})")).min(0)


def _fullest() -> table.Panel:
    subject = Subject("Fullest rooms", f"The {SHOWN} rooms that hold most users now.", (ROOM_USERS,), "short")
    return _rooms_table(subject, recorded.FULLEST_ROOMS, _ROOM_COLUMNS, "Users")


def _nearest_threshold() -> table.Panel:
    subject = Subject(
        "Rooms nearest their threshold",
        f"Users as a share of the configured threshold, for the {SHOWN} rooms that are nearest to it or far above.",
        (ROOM_USERS, ROOM_USERS_THRESHOLD),
        "percentunit",
        ((GREEN, None), (YELLOW, 0.8), (RED, 1)),
    )
    columns = ("room", "severity", *_ROOM_COLUMNS[1:])
    panel = _rooms_table(subject, recorded.NEAREST_THRESHOLD, columns, "Of threshold").min(0).max(1)
    bar = DynamicConfigValue("custom.cellOptions", {"type": "gauge", "mode": "basic"})
    return panel.override_by_name("Value", [bar])


def _lost() -> table.Panel:
    subject = Subject(
        "Sudden drops",
        f"Users that left within the last two minutes (three for tencent_live, whose data comes in steps of 40 s),"
        f" for the {SHOWN} rooms that lost most.",
        (ROOM_USERS,),
        "short",
        ((GREEN, None), (ORANGE, 50), (RED, 500)),
    )
    return _rooms_table(subject, recorded.USERS_LOST, _ROOM_COLUMNS, "Users lost").no_value("none")


def _sizes() -> barchart.Panel:
    subject = Subject(
        "Rooms by size",
        "How many rooms hold how many users now. A bar counts the rooms up to its number of users that are too large"
        " for the bar before it.",
        (ROOM_USERS,),
        "short",
    )
    return bars(subject, Query(f"sum by (up_to) ({select(recorded.ROOMS_BY_SIZE, OF_SOURCE)})"), by="up_to")


def _sizes_over_time() -> timeseries.Panel:
    subject = Subject(
        "Rooms by size over time",
        "How many rooms held how many users. Each band holds the rooms too large for the next smaller one.",
        (ROOM_USERS,),
        "short",
    )
    query = Query(f"sum by (up_to) ({select(recorded.ROOMS_BY_SIZE, OF_SOURCE)})", "up to {{up_to}} users")
    return over_time(subject, query, stacked=True).min(0).span(24)


def _rooms_table(subject: Subject, series: str, columns: tuple[str, ...], value: str) -> table.Panel:
    rooms = f"max by ({', '.join(columns)}) ({select(series, OF_SOURCE)})"
    panel = listing(subject, Query(f"topk({SHOWN}, {rooms})"), columns, value)
    return panel.override_by_name("room", [links(frame.room_link())]).override_by_name(
        "source", [links(frame.health_link())]
    )
