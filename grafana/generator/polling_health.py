"""
The dashboard "Polling health": whether rooms are read as often as configured, and how the vendors answer.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard

from exporter.metrics import catalogue as metrics
from exporter.states import RoomState
from grafana.generator import cluster, discovery, exporter_health, frame, sources
from grafana.generator.aggregation import by_source, in_intervals, merged, of_sources, success_age, summed
from grafana.generator.panels import (
    COUNT,
    GREEN,
    NONE_WANTED,
    RED,
    TIMES,
    YELLOW,
    Panel,
    Query,
    Subject,
    dashed,
    over_time,
    quantiles,
)
from grafana.generator.variables import OF_JOB, OF_SOURCE, select


def dashboard() -> Dashboard:
    """The whole dashboard."""
    built = frame.frame(
        "Live rooms / Polling health",
        frame.POLLING_HEALTH,
        "Whether the vendors are asked as often as wanted, and how they answer.",
    )
    rows: dict[str, tuple[Panel, ...]] = {
        "Sources": (
            sources.up().span(10),
            sources.worst_failed_share(),
            sources.slowest(),
            sources.listed(),
            sources.states_over_time(),
            sources.last_failures(),
        ),
        "Pace": (_intervals(), _stretch(), _budget_use(), _budget_calls(), _own_intervals(), _budget_holders()),
        "Calls": (_calls(), _failures(), _durations(), _unrequested_rooms()),
        "Freshness": (_reading_ages(), _success_ages(), _rooms_unread(), _skew()),
        "Discovery": discovery.panels(),
        "Cluster": cluster.panels(),
        "The exporter itself": exporter_health.panels(),
    }
    return frame.fill(built, rows)


def _intervals() -> timeseries.Panel:
    subject = Subject(
        "Interval, wanted and achieved",
        "Time between two readings of a room: what is configured, dashed, and what the budget really allows. Where a"
        " source stopped reading, it is the time since its last success.",
        (metrics.SOURCE_INTERVAL, metrics.SOURCE_ACHIEVED_INTERVAL, metrics.SOURCE_LAST_SUCCESS),
        "s",
    )
    return (
        over_time(
            subject,
            Query(sources.achieved_interval(), "{{source}} achieved"),
            Query(by_source(select(metrics.SOURCE_INTERVAL, OF_SOURCE)), "{{source}} wanted"),
        )
        .override_by_query("B", dashed())
        .min(0)
    )


def _stretch() -> timeseries.Panel:
    subject = Subject(
        "Achieved interval as a multiple of the wanted one",
        "Above 1.1 the source has more rooms than its limit can serve, the vendor slows it down, or nothing is read.",
        (metrics.SOURCE_ACHIEVED_INTERVAL, metrics.SOURCE_LAST_SUCCESS, metrics.SOURCE_INTERVAL),
        TIMES,
        sources.STRETCHES,
    )
    query = Query(in_intervals(sources.achieved_interval()), "{{source}}")
    return over_time(subject, query, lines=True).min(0)


def _own_intervals() -> timeseries.Panel:
    subject = Subject(
        "Rooms by their own interval",
        "Where a source has a cadence, each room has an interval of its own, short where its count changes fast, is"
        " large, or is near a threshold. Each line counts the rooms whose interval is so long at most, those of shorter"
        " ones included. When a line of short intervals falls while rooms are busy, the budget is too small.",
        (metrics.SOURCE_ROOMS_BY_INTERVAL,),
        COUNT,
    )
    rooms = merged(select(metrics.SOURCE_ROOMS_BY_INTERVAL, OF_SOURCE, 'le=~"10|30|60|120|300"'))
    return over_time(subject, Query(rooms, "{{source}} {{le}} s")).no_value("no source has a cadence").min(0)


def _budget_use() -> timeseries.Panel:
    subject = Subject(
        "Slots used of the limit",
        "Calls made as a share of the calls the budget allows, and, dashed, the pace allowed now: it is lower than the"
        " limit after the vendor rejected calls as too many. A budget may serve sources other than those chosen above.",
        (metrics.BUDGET_CALLS, metrics.BUDGET_PACE, metrics.BUDGET_LIMIT, metrics.BUDGET_HELD),
        "percentunit",
        ((GREEN, None), (YELLOW, 0.9), (RED, 1)),
    )
    limit = f"max by (job, budget) ({select(metrics.BUDGET_LIMIT, OF_JOB)})"
    elsewhere = f"{select(metrics.BUDGET_HELD, OF_JOB)} == 0"
    paces = f"{select(metrics.BUDGET_PACE, OF_JOB)} unless on (job, instance, budget) {elsewhere}"
    pace = f"min by (job, budget) ({paces})"
    return (
        over_time(
            subject,
            Query(f"{_budget_rate()} / {limit}", "{{budget}} used"),
            Query(f"{pace} / {limit}", "{{budget}} pace"),
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
    limit = f"max by (job, budget) ({select(metrics.BUDGET_LIMIT, OF_JOB)})"
    return (
        over_time(subject, Query(_budget_rate(), "{{budget}}"), Query(limit, "{{budget}} limit"))
        .override_by_query("B", dashed())
        .min(0)
    )


def _budget_holders() -> timeseries.Panel:
    subject = Subject(
        "Exporters that hold each budget",
        "One is right. With none, the budget's rooms are not read; with two, the vendor counts the calls of both.",
        (metrics.BUDGET_HELD,),
        COUNT,
        ((RED, None), (GREEN, 1), (RED, 2)),
    )
    held = f"sum by (job, budget) ({select(metrics.BUDGET_HELD, OF_JOB)})"
    return over_time(subject, Query(held, "{{budget}}"), lines=True).min(0)


def _budget_rate() -> str:
    return f"sum by (job, budget) (rate({select(metrics.BUDGET_CALLS, OF_JOB)}[$__rate_interval]))"


def _calls() -> timeseries.Panel:
    subject = Subject("Calls per second", "Calls of each source, retries included.", (metrics.SOURCE_CALLS,), "reqps")
    calls = f"rate({select(metrics.SOURCE_CALLS, OF_SOURCE)}[$__rate_interval])"
    return over_time(subject, Query(summed(calls), "{{source}}"), stacked=True).min(0)


def _failures() -> timeseries.Panel:
    subject = Subject(
        "Failed calls by reason",
        "Failed calls per second; nothing is drawn where there are none. The log has the vendor's own code of the first"
        " of each kind.",
        (metrics.SOURCE_FAILED_CALLS,),
        "reqps",
        ((GREEN, None), (RED, 0.1)),
    )
    failed = f"rate({select(metrics.SOURCE_FAILED_CALLS, OF_SOURCE)}[$__rate_interval])"
    return (
        over_time(subject, Query(f"{summed(failed)} > 0", "{{source}} {{reason}}"), stacked=True)
        .no_value("none known")
        .min(0)
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
        COUNT,
        NONE_WANTED,
    )
    unrequested = f"increase({select(metrics.SOURCE_UNREQUESTED_ROOMS, OF_SOURCE)}[$__rate_interval])"
    return over_time(subject, Query(f"{summed(unrequested)} > 0", "{{source}}")).no_value("none known").min(0)


def _reading_ages() -> timeseries.Panel:
    subject = Subject(
        "Oldest reading published, in intervals",
        "Age of the oldest reading that /metrics still shows, as a multiple of the source's interval. Readings older"
        " than max_staleness are gone.",
        (metrics.SOURCE_OLDEST_READING, metrics.SOURCE_INTERVAL),
        TIMES,
        sources.AGES,
    )
    age = in_intervals(f"(time() - {by_source(select(metrics.SOURCE_OLDEST_READING, OF_SOURCE))})")
    return over_time(subject, Query(age, "{{source}}"), lines=True).min(0)


def _success_ages() -> timeseries.Panel:
    subject = Subject(
        "Time since the last success, in intervals",
        "How long ago a call of the source last gave a reading, as a multiple of the source's interval.",
        (metrics.SOURCE_LAST_SUCCESS, metrics.SOURCE_INTERVAL),
        TIMES,
        sources.AGES,
    )
    return over_time(subject, Query(in_intervals(success_age()), "{{source}}"), lines=True).min(0)


def _rooms_unread() -> timeseries.Panel:
    subject = Subject(
        "Rooms that the last poll did not read",
        "held: the reading before is still shown; unknown: nothing is; refused: the vendor does not take the id."
        " Nothing is drawn where there are none.",
        (metrics.SOURCE_ROOMS,),
        COUNT,
        NONE_WANTED,
    )
    unread = f"{RoomState.HELD}|{RoomState.UNKNOWN}|{RoomState.REFUSED}"
    rooms = select(metrics.SOURCE_ROOMS, OF_SOURCE, f'state=~"{unread}"')
    query = Query(f"max by (job, source, state) ({rooms}) > 0", "{{source}} {{state}}")
    return over_time(subject, query, stacked=True).no_value("none known").min(0)


def _skew() -> timeseries.Panel:
    subject = Subject(
        "Clock skew",
        "Vendors refuse signatures whose time is too far from their own: ZEGO at ten minutes.",
        (metrics.SOURCE_CLOCK_SKEW,),
        "s",
        ((RED, None), (GREEN, -30), (RED, 30)),
    )
    return over_time(subject, Query(of_sources(metrics.SOURCE_CLOCK_SKEW), "{{source}}"), lines=True)
