"""
The variables at the top of every dashboard, and their use in queries.

Room ids, source names and file names are untrusted text. Grafana's escaping for Prometheus does not escape double
quotes, unless a feature toggle is set. So a query puts each value into a backtick string, as an escaped regular
expression. PromQL interprets nothing in such a string, and only a backtick ends it. Rooms with a backtick in their id
are not offered.
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders.dashboard import DatasourceVariable, QueryVariable, TextBoxVariable
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableOption, VariableRefresh, VariableSort

from exporter.metrics.catalogue import BUILD_INFO, ROOM_INFO, ROOM_USERS, SOURCE_UP, Metric

DATASOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
MOST_ROOMS: Final = 500
"""Most rooms in the list: 100,000 would be too many for a browser."""

_ALL: Final = VariableOption(selected=True, text=["All"], value=["$__all"])


def _chosen(label: str) -> str:
    return f"{label}=~`${{{label}:regex}}`"


OF_JOB: Final = _chosen("job")
OF_SOURCE: Final = ",".join([OF_JOB, *map(_chosen, ("vendor", "api", "source"))])
OF_ROOM: Final = ",".join([OF_SOURCE, _chosen("room")])
OF_ALERT: Final = ",".join(f"{label}=~`|${{{label}:regex}}`" for label in ("job", "vendor", "api", "source"))
"""Alerts of the chosen sources, and alerts without a source: those of the exporter or of a budget."""
_LIKE_FILTER: Final = f"{OF_SOURCE},room=~`(?i).*${{room_filter:regex}}.*`"


def select(metric: Metric | str, matchers: str, more: str = "") -> str:
    """
    The selector of a metric's series.

    Args:
        metric: One of the catalogue, or the name of a recorded series.
        matchers: One of ``OF_JOB``, ``OF_SOURCE``, ``OF_ROOM``, ``OF_ALERT``.
        more: Further matchers, for instance ``state="ok"``.
    """
    name = metric if isinstance(metric, str) else metric.name
    inside = ",".join(part for part in (matchers, more) if part)
    return f"{name}{{{inside}}}" if inside else name


def datasource() -> DatasourceVariable:
    """The Prometheus to query."""
    return (
        DatasourceVariable("datasource")
        .label("Data source")
        .description("The Prometheus that scrapes the exporter.")
        .type("prometheus")
    )


def of_sources() -> list[QueryVariable]:
    """
    Job, vendor, API and source. Each offers only values that match the choices before it.

    It is not possible to choose all jobs: sources of two jobs may have the same name, and would be shown as one.
    """
    return [
        _labels("job", BUILD_INFO, "", "Prometheus' name for the exporters that watch the same sources."),
        _all_of(_labels("vendor", SOURCE_UP, OF_JOB, "Vendors of the chosen jobs.")),
        _all_of(_labels("api", SOURCE_UP, f"{OF_JOB},{_chosen('vendor')}", "APIs of the chosen vendors.")),
        _all_of(_labels("source", SOURCE_UP, OF_SOURCE.rpartition(",")[0], "Sources of the chosen APIs.")),
    ]


def room_filter() -> TextBoxVariable:
    """A text that the ids of the offered rooms must contain."""
    return (
        TextBoxVariable("room_filter")
        .label("Room contains")
        .description("Offers only rooms whose id contains this text, in upper or lower case.")
        .default_value("")
    )


def room() -> QueryVariable:
    """One room of the chosen sources; the list has the fullest rooms first and unknown rooms last."""
    known = f"max by (room) ({select(ROOM_USERS, _LIKE_FILTER)})"
    watched = f"max by (room) (0 * {select(ROOM_INFO, _LIKE_FILTER)})"
    return (
        _query("room", f"query_result(topk({MOST_ROOMS}, {known} or {watched}))")
        .label("Room")
        .description(
            f"The {MOST_ROOMS} fullest rooms of the chosen sources; to find another, say what its id contains."
            " Ids with a backtick are not offered, since no query can quote them: see the exporter's own page."
        )
        .regex(r'/^\{room="([^`]*)"\}/')
        .sort(VariableSort.DISABLED)
    )


def _labels(label: str, metric: Metric, matchers: str, description: str) -> QueryVariable:
    return (
        _query(label, f"label_values({select(metric, matchers)}, {label})")
        .label(label.capitalize() if label != "api" else "API")
        .description(description)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
    )


def _all_of(variable: QueryVariable) -> QueryVariable:
    return variable.include_all(include_all=True).all_value(".*").current(_ALL)


def _query(name: str, query: str) -> QueryVariable:
    return (
        QueryVariable(name)
        .datasource(DATASOURCE)
        .query({"query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"})
        .refresh(VariableRefresh.ON_DASHBOARD_LOAD)
    )
