"""
The Room dashboard: one room, and how far its numbers may be trusted.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard

from exporter.metrics.catalogue import (
    ROOM_ADMIN_USERS,
    ROOM_EXISTS,
    ROOM_INFO,
    ROOM_INVISIBLE_USERS,
    ROOM_READING_TIMESTAMP,
    ROOM_USERS,
    ROOM_USERS_THRESHOLD,
    Metric,
)
from grafana import frame, variables
from grafana.panels import (
    GREEN,
    GREY,
    RED,
    YELLOW,
    Query,
    Steps,
    Subject,
    color,
    dashed,
    links,
    listing,
    number,
    over_time,
    states,
    value_map,
)
from grafana.variables import OF_ROOM, select

_EXISTENCE = {0: ("does not exist", GREY), 1: ("exists", GREEN)}
_KNOWLEDGE = {0: ("unknown", RED), 1: ("known", GREEN)}
_AGES: Steps = ((GREEN, None), (YELLOW, 60), (RED, 120))
"""Seconds. The slowest API is read every 40 s by default, and readings are held up to three times as long."""


def dashboard() -> Dashboard:
    """One room, and how far its numbers may be trusted."""
    built = (
        frame.frame("Live rooms / Room", frame.ROOM, "One room, and how far its numbers may be trusted.")
        .with_variable(variables.room_filter())
        .with_variable(variables.room())
    )
    return frame.fill(
        built,
        {
            "Now": (_users(), _admin_users(), _invisible_users(), _threshold_share(), _exists(), _age()),
            "Over time": (_users_over_time(), _existence_over_time(), _age_over_time()),
            "Where it comes from": (_labels(),),
        },
    )


def _of(metric: Metric) -> str:
    """The metric's series of the chosen room; where two instances watch it, the higher value."""
    return f"max by (source) ({select(metric, OF_ROOM)})"


def _users() -> stat.Panel:
    subject = Subject("Users", "Users in the room now.", (ROOM_USERS,), "short")
    return number(subject, Query(_of(ROOM_USERS), "{{source}}")).no_value("unknown")


def _admin_users() -> stat.Panel:
    subject = Subject("Admin users", "How many of the users are admins.", (ROOM_ADMIN_USERS,), "short")
    return number(subject, Query(_of(ROOM_ADMIN_USERS), "{{source}}")).no_value("not told")


def _invisible_users() -> stat.Panel:
    subject = Subject("Invisible users", "How many of the users are invisible.", (ROOM_INVISIBLE_USERS,), "short")
    return number(subject, Query(_of(ROOM_INVISIBLE_USERS), "{{source}}")).no_value("not told")


def _threshold_share() -> stat.Panel:
    subject = Subject(
        "Of threshold",
        "Users as a share of each configured threshold.",
        (ROOM_USERS, ROOM_USERS_THRESHOLD),
        "percentunit",
        ((GREEN, None), (YELLOW, 0.8), (RED, 1)),
    )
    users, threshold = select(ROOM_USERS, OF_ROOM), select(ROOM_USERS_THRESHOLD, OF_ROOM)
    share = f"max by (source, severity) ({users} / ignoring (severity) group_right () {threshold})"
    return number(subject, Query(share, "{{severity}}")).no_value("no threshold").min(0)


def _exists() -> stat.Panel:
    subject = Subject("Existence", "Whether the vendor says that there is such a room.", (ROOM_EXISTS,), "short")
    panel = number(subject, Query(_of(ROOM_EXISTS), "{{source}}"))
    return panel.mappings([value_map(_EXISTENCE)]).no_value("not told")


def _age() -> stat.Panel:
    subject = Subject(
        "Age of the reading", "Time since the vendor's last reply.", (ROOM_READING_TIMESTAMP,), "s", _AGES
    )
    return number(subject, Query(f"time() - {_of(ROOM_READING_TIMESTAMP)}", "{{source}}")).no_value("unknown")


def _users_over_time() -> timeseries.Panel:
    subject = Subject(
        "Users over time",
        "Users in the room, and its thresholds as dashed lines. A gap means that nothing was known.",
        (ROOM_USERS, ROOM_ADMIN_USERS, ROOM_INVISIBLE_USERS, ROOM_USERS_THRESHOLD),
        "short",
    )
    threshold = f"max by (source, severity) ({select(ROOM_USERS_THRESHOLD, OF_ROOM)})"
    return (
        over_time(
            subject,
            Query(_of(ROOM_USERS), "users ({{source}})"),
            Query(_of(ROOM_ADMIN_USERS), "admins ({{source}})"),
            Query(_of(ROOM_INVISIBLE_USERS), "invisible ({{source}})"),
            Query(threshold, "{{severity}} threshold ({{source}})"),
        )
        .override_by_regexp("^(warning|critical) threshold", dashed())
        .override_by_regexp("^warning threshold", [color(YELLOW)])
        .override_by_regexp("^critical threshold", [color(RED)])
        .min(0)
        .span(24)
        .height(11)
    )


def _existence_over_time() -> statetimeline.Panel:
    subject = Subject(
        "Existence and knowledge",
        "Whether the vendor says that the room exists, and whether anything was known of it at all.",
        (ROOM_EXISTS, ROOM_INFO),
        "short",
    )
    known, watched = select(ROOM_USERS, OF_ROOM), select(ROOM_INFO, OF_ROOM)
    unknown = f"0 * ({watched} unless on (job, instance, source, room) {known})"
    knowledge = f"max by (source) (0 * {known} + 3 or {unknown} + 2)"
    mapping = _EXISTENCE | {value + 2: shown for value, shown in _KNOWLEDGE.items()}
    return states(
        subject,
        Query(_of(ROOM_EXISTS), "existence ({{source}})"),
        Query(knowledge, "knowledge ({{source}})"),
        mapping=mapping,
    )


def _age_over_time() -> timeseries.Panel:
    subject = Subject(
        "Age of the reading over time",
        "Time since the vendor's last reply. It saws between nothing and the interval while all is well.",
        (ROOM_READING_TIMESTAMP,),
        "s",
        _AGES,
    )
    query = Query(f"time() - {_of(ROOM_READING_TIMESTAMP)}", "{{source}}")
    return over_time(subject, query, lines=True).min(0)


def _labels() -> table.Panel:
    subject = Subject("Watched as", "The sources that watch this room, and its own labels.", (ROOM_INFO,), "short")
    panel = listing(subject, Query(select(ROOM_INFO, OF_ROOM)), ("room", "source", "api", "vendor"), "Watched")
    return panel.span(24).height(5).override_by_name("source", [links(frame.health_link())])
