"""
The common part of all dashboards: data source, uids, and links between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink, Row
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DashboardLinkType

from grafana.generator import variables
from grafana.generator.panels import Panel

OCCUPANCY: Final = "rtc-occupancy"
ROOM: Final = "rtc-room"
POLLING_HEALTH: Final = "rtc-polling-health"

TAG: Final = "rtc-room-exporter"


def frame(title: str, uid: str, description: str) -> Dashboard:
    """A dashboard without panels. Its links to the other dashboards keep the chosen variables and the time range."""
    dashboard = (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .time("now-1h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            DashboardLink("Live rooms")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(include_vars=True)
            .keep_time(keep_time=True)
        )
        .annotations([])
        .with_variable(variables.datasource())
    )
    for variable in variables.of_sources():
        dashboard = dashboard.with_variable(variable)
    return dashboard


def fill(dashboard: Dashboard, rows: Mapping[str, Iterable[Panel]]) -> Dashboard:
    """Add the panels, by title of their row. Ids are numbered from 1."""
    numbers = count(1)
    for title, panels in rows.items():
        dashboard = dashboard.with_row(Row(title).id(next(numbers)))
        for panel in panels:
            dashboard = dashboard.with_panel(panel.id(next(numbers)))
    return dashboard


def room_link() -> tuple[str, str]:
    """Title and URL of the link from a table row to the dashboard of its room."""
    url = (
        f"/d/{ROOM}?${{datasource:queryparam}}&${{__url_time_range}}"
        "&var-source=${__data.fields.source:percentencode}&var-room=${__data.fields.room:percentencode}"
    )
    return "Show this room", url


def health_link() -> tuple[str, str]:
    """Title and URL of the link from a table row to the health of its source."""
    url = (
        f"/d/{POLLING_HEALTH}?${{datasource:queryparam}}&${{__url_time_range}}"
        "&var-source=${__data.fields.source:percentencode}"
    )
    return "Show how this source is polled", url
