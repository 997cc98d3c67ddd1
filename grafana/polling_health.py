"""
The Polling health dashboard: whether the vendors are asked as often as wanted, and how they answer.
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import stat, statetimeline, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard

from exporter.metrics import catalogue as metrics
from exporter.states import RoomState, SourceState
from grafana import exporter_health, frame
from grafana.panels import (
    GREEN,
    NONE_WANTED,
    ORANGE,
    PURPLE,
    RED,
    YELLOW,
    Query,
    Subject,
    dashed,
    number,
    over_time,
    quantiles,
    states,
)
from grafana.variables import OF_INSTANCE, OF_SOURCE, select

SOURCE_STATES: Final = {
    SourceState.OK: ("ok", GREEN),
    SourceState.CIRCUIT_OPEN: ("circuit open", ORANGE),
    SourceState.UNAUTHORIZED: ("unauthorized", RED),
    SourceState.MISCONFIGURED: ("misconfigured", PURPLE),
}


def dashboard() -> Dashboard:
    """Whether the vendors are asked as often as wanted, and how they answer."""
    built = frame.frame(
        "Live rooms / Polling health",
        frame.POLLING_HEALTH,
        "Whether the vendors are asked as often as wanted, and how they answer.",
    )
    rows = {
        "Sources": (_up(), _failed_share(), _reload(), _states(), _rooms_unread()),
        "Pace": (_intervals(), _stretch(), _budget_use(), _budget_calls()),
        "Calls": (_calls(), _failures(), _durations(), _unrequested_rooms()),
        "Freshness": (_reading_ages(), _success_ages(), _skew()),
        "The exporter itself": exporter_health.panels(),
    }
    return frame.fill(built, rows)


def _by_source(selector: str) -> str:
    return f"max by (instance, source) ({selector})"


def _up() -> stat.Panel:
    subject = Subject(
        "Sources up",
        "Share of the chosen sources whose calls succeed.",
        (metrics.SOURCE_UP,),
        "percentunit",
        ((RED, None), (YELLOW, 0.5), (GREEN, 1)),
    )
    return number(subject, Query(f"avg({select(metrics.SOURCE_UP, OF_SOURCE)})", "up")).min(0).max(1).span(8)


def _failed_share() -> stat.Panel:
    subject = Subject(
        "Failed calls",
        "Share of the calls that gave no reading of one or more of their rooms.",
        (metrics.SOURCE_FAILED_CALLS, metrics.SOURCE_CALLS),
        "percentunit",
        ((GREEN, None), (YELLOW, 0.01), (RED, 0.1)),
    )
    failed = f"sum(rate({select(metrics.SOURCE_FAILED_CALLS, OF_SOURCE)}[$__rate_interval]))"
    calls = f"sum(rate({select(metrics.SOURCE_CALLS, OF_SOURCE)}[$__rate_interval]))"
    return number(subject, Query(f"{failed} / {calls}", "failed")).min(0).span(8)


def _reload() -> stat.Panel:
    subject = Subject(
        "Config age",
        "Time since the config file was last read successfully; red if the last attempt failed.",
        (metrics.CONFIG_RELOAD_TIMESTAMP, metrics.CONFIG_RELOAD),
        "s",
        ((RED, None), (GREEN, 0)),
    )
    succeeded = select(metrics.CONFIG_RELOAD, OF_INSTANCE)
    age = f"time() - {select(metrics.CONFIG_RELOAD_TIMESTAMP, OF_INSTANCE)}"
    # A failed reload turns the age negative, and so red.
    query = Query(f"min by (instance) (({age}) * (2 * {succeeded} - 1))", "{{instance}}")
    return number(subject, query).span(8)


def _states() -> statetimeline.Panel:
    subject = Subject(
        "State of each source",
        "circuit open: the vendor does not answer, and one trial call at a time is made; unauthorized and"
        " misconfigured: it answers that the calls cannot work, and is asked once a minute.",
        (metrics.SOURCE_STATE,),
        "short",
    )
    numbered = [
        f"{index} * " + select(metrics.SOURCE_STATE, OF_SOURCE, f'state="{state}"')
        for index, state in enumerate(SOURCE_STATES)
    ]
    query = Query(_by_source(" + ignoring (state) ".join(numbered)), "{{source}} ({{instance}})")
    return states(subject, query, mapping=dict(enumerate(SOURCE_STATES.values())))


def _rooms_unread() -> timeseries.Panel:
    subject = Subject(
        "Rooms that the last poll did not read",
        "held: the reading before is still shown; unknown: nothing is; refused: the vendor does not take the id.",
        (metrics.SOURCE_ROOMS,),
        "short",
        NONE_WANTED,
    )
    unread = f"{RoomState.HELD}|{RoomState.UNKNOWN}|{RoomState.REFUSED}"
    rooms = select(metrics.SOURCE_ROOMS, OF_SOURCE, f'state=~"{unread}"')
    return over_time(subject, Query(f"sum by (source, state) ({rooms})", "{{source}} {{state}}")).min(0)


def _intervals() -> timeseries.Panel:
    subject = Subject(
        "Interval, wanted and achieved",
        "Time between two readings of a room: what is configured, dashed, and what the budget really allows.",
        (metrics.SOURCE_INTERVAL, metrics.SOURCE_ACHIEVED_INTERVAL),
        "s",
    )
    return (
        over_time(
            subject,
            Query(
                _by_source(select(metrics.SOURCE_ACHIEVED_INTERVAL, OF_SOURCE)), "{{source}} achieved ({{instance}})"
            ),
            Query(_by_source(select(metrics.SOURCE_INTERVAL, OF_SOURCE)), "{{source}} wanted ({{instance}})"),
        )
        .override_by_query("B", dashed())
        .min(0)
    )


def _stretch() -> timeseries.Panel:
    subject = Subject(
        "Achieved interval as a share of the wanted one",
        "Above 110 % the source has more rooms than its limit can serve, or the vendor slows it down.",
        (metrics.SOURCE_ACHIEVED_INTERVAL, metrics.SOURCE_INTERVAL),
        "percentunit",
        ((GREEN, None), (YELLOW, 1.05), (RED, 1.1)),
    )
    achieved, wanted = (
        select(metric, OF_SOURCE) for metric in (metrics.SOURCE_ACHIEVED_INTERVAL, metrics.SOURCE_INTERVAL)
    )
    return over_time(subject, Query(_by_source(f"{achieved} / {wanted}"), "{{source}} ({{instance}})"), lines=True).min(
        0
    )


def _budget_use() -> timeseries.Panel:
    subject = Subject(
        "Slots used of the limit",
        "Calls made as a share of the calls the budget allows, and, dashed, the pace allowed now: it is lower than the"
        " limit after the vendor said that it was too fast. A budget may serve sources other than those chosen above.",
        (metrics.BUDGET_CALLS, metrics.BUDGET_PACE, metrics.BUDGET_LIMIT),
        "percentunit",
        ((GREEN, None), (YELLOW, 0.9), (RED, 1)),
    )
    limit = select(metrics.BUDGET_LIMIT, OF_INSTANCE)
    used = f"rate({select(metrics.BUDGET_CALLS, OF_INSTANCE)}[$__rate_interval]) / {limit}"
    pace = f"{select(metrics.BUDGET_PACE, OF_INSTANCE)} / {limit}"
    return (
        over_time(
            subject,
            Query(f"max by (instance, budget) ({used})", "{{budget}} used ({{instance}})"),
            Query(f"max by (instance, budget) ({pace})", "{{budget}} pace ({{instance}})"),
            lines=True,
        )
        .override_by_query("B", dashed())
        .min(0)
    )


def _budget_calls() -> timeseries.Panel:
    subject = Subject(
        "Calls per second and budget",
        "Calls written to the wire, retries included, and the configured limit, dashed.",
        (metrics.BUDGET_CALLS, metrics.BUDGET_LIMIT),
        "reqps",
    )
    calls = f"rate({select(metrics.BUDGET_CALLS, OF_INSTANCE)}[$__rate_interval])"
    return (
        over_time(
            subject,
            Query(f"max by (instance, budget) ({calls})", "{{budget}} ({{instance}})"),
            Query(
                f"max by (instance, budget) ({select(metrics.BUDGET_LIMIT, OF_INSTANCE)})",
                "{{budget}} limit ({{instance}})",
            ),
        )
        .override_by_query("B", dashed())
        .min(0)
    )


def _calls() -> timeseries.Panel:
    subject = Subject("Calls per second", "Calls of each source, retries included.", (metrics.SOURCE_CALLS,), "reqps")
    calls = f"rate({select(metrics.SOURCE_CALLS, OF_SOURCE)}[$__rate_interval])"
    return over_time(subject, Query(f"sum by (source) ({calls})", "{{source}}"), stacked=True).min(0)


def _failures() -> timeseries.Panel:
    subject = Subject(
        "Failed calls by reason",
        "Failed calls per second. The log has the vendor's own code of the first of each kind.",
        (metrics.SOURCE_FAILED_CALLS,),
        "reqps",
        ((GREEN, None), (RED, 0.1)),
    )
    failed = f"rate({select(metrics.SOURCE_FAILED_CALLS, OF_SOURCE)}[$__rate_interval])"
    return over_time(subject, Query(f"sum by (source, reason) ({failed})", "{{source}} {{reason}}"), stacked=True).min(
        0
    )


def _durations() -> timeseries.Panel:
    subject = Subject(
        "Duration of a call",
        "The median, and what one call in ten and one in a hundred exceeds.",
        (metrics.SOURCE_CALL_DURATION,),
        "s",
        ((GREEN, None), (YELLOW, 1), (RED, 5)),
    )
    return over_time(subject, *quantiles(metrics.SOURCE_CALL_DURATION, OF_SOURCE, "source")).min(0)


def _unrequested_rooms() -> timeseries.Panel:
    subject = Subject(
        "Rooms in replies that nobody asked for",
        "More than none means that the vendor's API does not do what its documents say; the log has an example.",
        (metrics.SOURCE_UNREQUESTED_ROOMS,),
        "short",
        NONE_WANTED,
    )
    unrequested = f"increase({select(metrics.SOURCE_UNREQUESTED_ROOMS, OF_SOURCE)}[$__rate_interval])"
    return over_time(subject, Query(f"sum by (source) ({unrequested})", "{{source}}")).min(0)


def _reading_ages() -> timeseries.Panel:
    subject = Subject(
        "Oldest reading published",
        "Age of the oldest reading that /metrics still shows; readings older than max_staleness are gone.",
        (metrics.SOURCE_OLDEST_READING,),
        "s",
        ((GREEN, None), (YELLOW, 60), (RED, 120)),
    )
    age = f"time() - {select(metrics.SOURCE_OLDEST_READING, OF_SOURCE)}"
    return over_time(subject, Query(_by_source(age), "{{source}} ({{instance}})")).min(0)


def _success_ages() -> timeseries.Panel:
    subject = Subject(
        "Time since the last success",
        "How long ago a call of the source last gave a reading.",
        (metrics.SOURCE_LAST_SUCCESS,),
        "s",
        ((GREEN, None), (YELLOW, 60), (RED, 120)),
    )
    age = f"time() - {select(metrics.SOURCE_LAST_SUCCESS, OF_SOURCE)}"
    return over_time(subject, Query(_by_source(age), "{{source}} ({{instance}})")).min(0)


def _skew() -> timeseries.Panel:
    subject = Subject(
        "Clock skew",
        "Vendors refuse signatures whose time is too far from their own: ZEGO at ten minutes.",
        (metrics.SOURCE_CLOCK_SKEW,),
        "s",
        ((RED, None), (GREEN, -30), (RED, 30)),
    )
    skew = _by_source(select(metrics.SOURCE_CLOCK_SKEW, OF_SOURCE))
    return over_time(subject, Query(skew, "{{source}} ({{instance}})"), lines=True).span(24)
