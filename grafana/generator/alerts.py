"""
Panels about the alerts of ``deploy/prometheus/rules/alerts.yml``.
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import stat, table
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from grafana.generator import frame
from grafana.generator.panels import (
    COUNT,
    GREEN,
    NONE_WANTED,
    ORANGE,
    SEVERITY_COLORS,
    Query,
    Subject,
    coloured,
    links,
    listing,
    number,
    sorted_by,
    steps,
    text_map,
)
from grafana.generator.variables import OF_ALERT, OF_ROOM, select

ALERTS: Final = "ALERTS"
ALERT_STARTS: Final = "ALERTS_FOR_STATE"
"""A series of Prometheus itself: the Unix time at which the condition of an alert became true."""
_NAMES: Final = 'alertname=~"Rtc.+"'
_OURS: Final = f'{_NAMES},severity=~"critical|warning"'
_FIRING: Final = 'alertstate="firing"'
_WATCHDOG: Final = 'ALERTS{alertname="RtcWatchdog",alertstate="firing"}'


def firing() -> stat.Panel:
    """Number of firing alerts by severity."""
    subject = Subject(
        "Alerts",
        "How many alerts fire. Those of rooms go on while nothing is known of the room, so they may be more than the"
        " known rooms above a threshold. RtcWatchdog, which always fires, is not counted; where it does not, Prometheus"
        " has not loaded the alerts.",
        (),
        COUNT,
    )
    matchers = {severity: f'{_NAMES},severity="{severity}",{_FIRING}' for severity in SEVERITY_COLORS}
    queries = [
        Query(f"count({select(ALERTS, OF_ALERT, matching)}) or 0 * count({_WATCHDOG})", severity)
        for severity, matching in matchers.items()
    ]
    return (
        number(subject, *queries)
        .span(5)
        .no_value("not watched")
        .override_by_name("critical", [steps(NONE_WANTED)])
        .override_by_name("warning", [steps(((GREEN, None), (ORANGE, 1)))])
    )


def listed() -> table.Panel:
    """The firing alerts. Alerts of several rooms of a source share one row."""
    subject = Subject(
        "Firing alerts",
        "Each kind of alert that fires, by source: how many of them, and since when the first. Each has a runbook in"
        " the exporter's handbook.",
        (),
        COUNT,
        ((GREEN, None),),
    )
    columns = ("severity", "alertname", "source")
    alerts = select(ALERTS, OF_ALERT, f"{_OURS},{_FIRING}")
    since = f"{select(ALERT_STARTS, OF_ALERT, _OURS)} and ignoring (alertstate) {alerts}"
    values = {
        "Alerts": Query(f"count by ({', '.join(columns)}) ({alerts})"),
        "Since": Query(f"1000 * min by ({', '.join(columns)}) ({since})"),
    }
    return (
        listing(subject, columns, values, sorted_by("severity"), sorted_by("Since"))
        .height(8)
        .no_value("none firing")
        .override_by_name("severity", [coloured(), text_map(SEVERITY_COLORS)])
        .override_by_name("source", [links(frame.health_link())])
        .override_by_name("Value #B", [DynamicConfigValue("unit", "dateTimeFromNow")])
    )


def of_room() -> table.Panel:
    """The alerts of the chosen room, firing or pending."""
    subject = Subject("Alerts of this room", "pending: it fires if it stays so for the alert's `for`.", (), COUNT)
    columns = ("severity", "alertname", "alertstate", "source")
    alerts = select(ALERTS, OF_ROOM, _OURS)
    since = f"{select(ALERT_STARTS, OF_ROOM, _OURS)} * ignoring (alertstate) group_right () {alerts}"
    values = {"Since": Query(f"1000 * min by ({', '.join(columns)}) ({since})")}
    return (
        listing(subject, columns, values, sorted_by("severity"))
        .height(7)
        .no_value("none")
        .override_by_name("severity", [coloured(), text_map(SEVERITY_COLORS)])
        .override_by_name("Value", [DynamicConfigValue("unit", "dateTimeFromNow")])
    )
