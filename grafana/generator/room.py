"""
The dashboard "Room": one room, and how reliable its numbers are.
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from exporter.metrics.catalogue import (
    ROOM_ADMIN_USERS,
    ROOM_EXISTS,
    ROOM_INFO,
    ROOM_INVISIBLE_USERS,
    ROOM_READING_TIMESTAMP,
    ROOM_USER_SECONDS,
    ROOM_USERS,
    ROOM_USERS_THRESHOLD,
    SOURCE_INTERVAL,
    Metric,
)
from grafana.generator import alerts, frame, variables
from grafana.generator.aggregation import average, by_source, in_intervals, merged
from grafana.generator.panels import (
    COUNT,
    GREEN,
    GREY,
    KNOWN_NOTHING,
    NAME_AND_VALUE,
    RED,
    SEVERITY_COLORS,
    TIMES,
    YELLOW,
    Query,
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
from grafana.generator.sources import AGES
from grafana.generator.variables import OF_ROOM, select

_UNKNOWN, _NOT_TOLD, _NONE_CONFIGURED = -1, -2, -3
_EXISTENCE: Final = {0: ("does not exist", GREY), 1: ("exists", GREEN)}
_KNOWLEDGE: Final = {0: ("unknown", RED), 1: ("known", GREEN)}
_UNKNOWN_SHOWN: Final = {_UNKNOWN: ("unknown", RED)}
_UNTOLD_SHOWN: Final = {_UNKNOWN: ("unknown", GREY), _NOT_TOLD: ("not told", GREY)}


def dashboard() -> Dashboard:
    """The whole dashboard."""
    built = (
        frame.frame("Live rooms / Room", frame.ROOM, "One room, and how far its numbers may be trusted.")
        .with_variable(variables.room_filter())
        .with_variable(variables.room())
    )
    return frame.fill(
        built,
        {
            "Now": (_users(), _threshold_share(), _age(), _exists(), _admin_users(), _invisible_users()),
            "Over time": (_users_over_time(), _existence_over_time(), _age_over_time()),
            "Alerts and labels": (alerts.of_room(), _labels()),
        },
    )


def _of(metric: Metric) -> str:
    """A metric of the chosen room: one series for each source that watches it."""
    return by_source(select(metric, OF_ROOM))


def _known_or_not(value: str) -> str:
    """The value; ``unknown`` as a number for a source that watches the room but has no reading."""
    return f"{value} or {_UNKNOWN} * {_of(ROOM_INFO)}"


def _told_or_not(metric: Metric) -> str:
    """The metric, with special numbers for "the vendor does not tell" and for unknown."""
    untold, unknown = f"{_NOT_TOLD} + 0 * {_of(ROOM_USERS)}", f"{_UNKNOWN} * {_of(ROOM_INFO)}"
    return f"{_of(metric)} or {untold} or {unknown}"


def _users() -> stat.Panel:
    subject = Subject("Users", "Users in the room now.", (ROOM_USERS, ROOM_INFO), COUNT)
    panel = number(subject, Query(_known_or_not(_of(ROOM_USERS)), "{{source}}"))
    return panel.mappings([value_map(_UNKNOWN_SHOWN)])


def _admin_users() -> stat.Panel:
    subject = Subject("Admin users", "How many of the users are admins.", (ROOM_ADMIN_USERS,), COUNT)
    panel = number(subject, Query(_told_or_not(ROOM_ADMIN_USERS), "{{source}}"))
    return panel.mappings([value_map(_UNTOLD_SHOWN)])


def _invisible_users() -> stat.Panel:
    subject = Subject("Invisible users", "How many of the users are invisible.", (ROOM_INVISIBLE_USERS,), COUNT)
    panel = number(subject, Query(_told_or_not(ROOM_INVISIBLE_USERS), "{{source}}"))
    return panel.mappings([value_map(_UNTOLD_SHOWN)])


def _threshold_share() -> stat.Panel:
    subject = Subject(
        "Of threshold",
        "Users as a share of the critical threshold if they are more than that, else of the lower one.",
        (ROOM_USERS, ROOM_USERS_THRESHOLD),
        "percentunit",
        ((GREEN, None), (YELLOW, 0.8), (RED, 1)),
    )
    shares = {
        severity: f"max by (job, source, severity) ({select(ROOM_USERS, OF_ROOM)} / on (job, instance, source, room)"
        f" group_right () {select(ROOM_USERS_THRESHOLD, OF_ROOM, matcher)})"
        for severity in SEVERITY_COLORS
        for matcher in [f'severity="{severity}"']
    }
    query = " or ignoring (severity) ".join(
        [
            f"{shares['critical']} > 1",
            shares["warning"],
            shares["critical"],
            f"{_UNKNOWN} + 0 * {_of(ROOM_USERS_THRESHOLD)}",
            f"{_NONE_CONFIGURED} * {_of(ROOM_INFO)}",
        ]
    )
    mapping = {**_UNKNOWN_SHOWN, _NONE_CONFIGURED: ("none configured", GREY)}
    panel = number(subject, Query(query, "{{source}} {{severity}}"))
    return panel.mappings([value_map(mapping)]).text_mode(NAME_AND_VALUE)


def _exists() -> stat.Panel:
    subject = Subject("Existence", "Whether the vendor says that there is such a room.", (ROOM_EXISTS,), COUNT)
    panel = number(subject, Query(_told_or_not(ROOM_EXISTS), "{{source}}"))
    return panel.mappings([value_map(_EXISTENCE | _UNTOLD_SHOWN)])


def _age() -> stat.Panel:
    subject = Subject(
        "Age of the reading",
        "Time since the vendor's last reply, as a multiple of the source's interval.",
        (ROOM_READING_TIMESTAMP, SOURCE_INTERVAL),
        TIMES,
        AGES,
    )
    panel = number(subject, Query(_known_or_not(_reading_age()), "{{source}}"))
    return panel.mappings([value_map(_UNKNOWN_SHOWN)]).decimals(1)


def _reading_age() -> str:
    return in_intervals(f"(time() - {_of(ROOM_READING_TIMESTAMP)})")


def _users_over_time() -> timeseries.Panel:
    subject = Subject(
        "Users over time",
        "Users in the room; their average of ten minutes, where user-seconds are summed up; its thresholds as dashed"
        " lines. A gap means that nothing was known.",
        (ROOM_USERS, ROOM_ADMIN_USERS, ROOM_INVISIBLE_USERS, ROOM_USER_SECONDS, ROOM_USERS_THRESHOLD),
        COUNT,
    )
    lately = by_source(average(select(ROOM_USER_SECONDS, OF_ROOM)))
    threshold = f"max by (job, source, severity) ({select(ROOM_USERS_THRESHOLD, OF_ROOM)})"
    panel = over_time(
        subject,
        Query(_of(ROOM_USERS), "users ({{source}})"),
        Query(_of(ROOM_ADMIN_USERS), "admins ({{source}})"),
        Query(_of(ROOM_INVISIBLE_USERS), "invisible ({{source}})"),
        Query(lately, "average of ten minutes ({{source}})"),
        Query(threshold, "{{severity}} threshold ({{source}})"),
    ).override_by_regexp("^(warning|critical) threshold", dashed())
    for severity, its_color in SEVERITY_COLORS.items():
        panel = panel.override_by_regexp(f"^{severity} threshold", [color(its_color)])
    return panel.min(0).span(24).height(11)


def _existence_over_time() -> statetimeline.Panel:
    subject = Subject(
        "Existence and knowledge",
        "Whether the vendor says that the room exists, and whether anything was known of it at all.",
        (ROOM_EXISTS, ROOM_INFO),
        COUNT,
    )
    knowledge = f"3 + 0 * {_of(ROOM_USERS)} or 2 * {_of(ROOM_INFO)}"
    mapping = _EXISTENCE | {value + 2: shown for value, shown in _KNOWLEDGE.items()}
    return states(
        subject,
        Query(_of(ROOM_EXISTS), "existence ({{source}})"),
        Query(knowledge, "knowledge ({{source}})"),
        mapping=mapping,
    )


def _age_over_time() -> timeseries.Panel:
    subject = Subject(
        "Age of the reading over time, in intervals",
        "Time since the vendor's last reply. It saws between 0 and 1 while all is well.",
        (ROOM_READING_TIMESTAMP, SOURCE_INTERVAL),
        TIMES,
        AGES,
    )
    return over_time(subject, Query(_reading_age(), "{{source}}"), lines=True).min(0)


def _labels() -> table.Panel:
    subject = Subject("Watched as", "The sources that watch this room, and its own labels.", (ROOM_INFO,), COUNT)
    info = Query(merged(select(ROOM_INFO, OF_ROOM)))
    panel = listing(subject, ("room", "source", "api", "vendor"), {"Watched": info}).height(7)
    return (
        panel.no_value(KNOWN_NOTHING)
        .override_by_name("job", [DynamicConfigValue("custom.hidden", value=True)])
        .override_by_name("source", [links(frame.health_link())])
        .override_by_name("Value", [DynamicConfigValue("custom.hidden", value=True)])
    )
