"""
The row of the Polling health dashboard on sources whose rooms find themselves.
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import timeseries

from exporter.metrics import catalogue as metrics
from grafana.generator.aggregation import merged, summed
from grafana.generator.panels import (
    COUNT,
    GREEN,
    RED,
    TIMES,
    YELLOW,
    Panel,
    Query,
    Steps,
    Subject,
    dashed,
    over_time,
    quantiles,
)
from grafana.generator.variables import OF_SOURCE, select

_NO_DISCOVERY: Final = "no source finds its rooms by itself"
_AGES: Final[Steps] = ((GREEN, None), (YELLOW, 2), (RED, 5))
"""In intervals. The alert RtcDiscoveryOutdated fires from five on."""


def panels() -> tuple[Panel, ...]:
    """Where rooms come from, how old the lists are, and what becomes of the rooms."""
    return (
        _named(),
        _states(),
        _ages(),
        _last_evidence(),
        _refreshes(),
        _durations(),
        _added(),
        _dropped(),
        _rejected(),
        _lifetimes(),
        _callbacks(),
        _delays(),
    )


def _named() -> timeseries.Panel:
    subject = Subject(
        "Rooms by who names them",
        "A room that two name counts for each, so the lines have no sum.",
        (metrics.DISCOVERY_ROOMS,),
        COUNT,
    )
    rooms = merged(select(metrics.DISCOVERY_ROOMS, OF_SOURCE))
    return over_time(subject, Query(rooms, "{{source}} {{origin}}")).no_value(_NO_DISCOVERY).min(0)


def _states() -> timeseries.Panel:
    subject = Subject(
        "Rooms by state, and the limit",
        "candidate: polled and not published, as no poll has confirmed it yet; leaving: there are signs of its end."
        " Dashed: max_rooms; at this line new rooms are rejected.",
        (metrics.DISCOVERY_STATE_ROOMS, metrics.DISCOVERY_LIMIT),
        COUNT,
    )
    rooms = merged(select(metrics.DISCOVERY_STATE_ROOMS, OF_SOURCE))
    limit = merged(select(metrics.DISCOVERY_LIMIT, OF_SOURCE))
    return (
        over_time(subject, Query(rooms, "{{source}} {{state}}"), Query(limit, "{{source}} max_rooms"))
        .override_by_query("B", dashed())
        .no_value(_NO_DISCOVERY)
        .min(0)
    )


def _ages() -> timeseries.Panel:
    subject = Subject(
        "Age of the lists, in intervals",
        "Time since a list of rooms was last read, as a multiple of the time between two refreshes. Rooms that opened"
        " since are not found by it. Above 5 the alert RtcDiscoveryOutdated fires.",
        (metrics.DISCOVERY_LAST_SUCCESS, metrics.DISCOVERY_INTERVAL),
        TIMES,
        _AGES,
    )
    read = merged(select(metrics.DISCOVERY_LAST_SUCCESS, OF_SOURCE))
    interval = merged(select(metrics.DISCOVERY_INTERVAL, OF_SOURCE))
    query = Query(f"(time() - {read}) / {interval}", "{{source}} {{origin}}")
    return over_time(subject, query, lines=True).no_value("no list has been read").min(0)


def _last_evidence() -> timeseries.Panel:
    subject = Subject(
        "Time since the last complete vendor's list, and since the last callback",
        "Only a complete list says that a room is missing in it; Volcengine's is read whole once an hour by default."
        " Callbacks may be rare while few rooms open.",
        (metrics.DISCOVERY_LAST_COMPLETE, metrics.CALLBACK_LAST_EVENT),
        "s",
    )
    complete = merged(select(metrics.DISCOVERY_LAST_COMPLETE, OF_SOURCE))
    heard = merged(select(metrics.CALLBACK_LAST_EVENT, OF_SOURCE))
    return (
        over_time(
            subject,
            Query(f"time() - {complete}", "{{source}} complete list"),
            Query(f"time() - {heard}", "{{source}} callback"),
        )
        .no_value("none known")
        .min(0)
    )


def _durations() -> timeseries.Panel:
    subject = Subject(
        "Duration of a refresh",
        "Of one request to an http_sd endpoint, or of a whole pass over the vendor's list: the median, and what one in"
        " ten and one in a hundred exceeds.",
        (metrics.DISCOVERY_REFRESH_DURATION,),
        "s",
    )
    found = quantiles(metrics.DISCOVERY_REFRESH_DURATION, OF_SOURCE, "source")
    return over_time(subject, *found).no_value("none known").min(0)


def _refreshes() -> timeseries.Panel:
    subject = Subject(
        "Refreshes by result",
        "Per second. complete: the whole list was read; partial: some of it, which takes nothing away; failed: the last"
        " list counts on; unsupported: the vendor has not activated its list.",
        (metrics.DISCOVERY_REFRESHES,),
        "reqps",
    )
    refreshes = f"rate({select(metrics.DISCOVERY_REFRESHES, OF_SOURCE)}[$__rate_interval])"
    query = Query(f"{summed(refreshes)} > 0", "{{source}} {{origin}} {{result}}")
    return over_time(subject, query).no_value("none known").min(0)


def _added() -> timeseries.Panel:
    subject = Subject(
        "Rooms found a minute",
        "By who named them first, candidates included. Each published room is some five new series in Prometheus.",
        (metrics.DISCOVERY_ADDED,),
        COUNT,
    )
    return _a_minute(subject, metrics.DISCOVERY_ADDED, "{{source}} {{origin}}")


def _dropped() -> timeseries.Panel:
    subject = Subject(
        "Rooms gone a minute",
        "By why they are no longer watched.",
        (metrics.DISCOVERY_DROPPED,),
        COUNT,
    )
    return _a_minute(subject, metrics.DISCOVERY_DROPPED, "{{source}} {{reason}}")


def _rejected() -> timeseries.Panel:
    subject = Subject(
        "Ids rejected a minute",
        "An id counts again with each refresh that names it. max_rooms: the source is full; rate: too many new ones at"
        " once, they come with the next refresh; filter: include or exclude; invalid_id: the API does not take it.",
        (metrics.DISCOVERY_REJECTED,),
        COUNT,
    )
    return _a_minute(subject, metrics.DISCOVERY_REJECTED, "{{source}} {{reason}}")


def _lifetimes() -> timeseries.Panel:
    subject = Subject(
        "How long rooms live",
        "Of the rooms that went: the median, and what one in ten and one in a hundred exceeds.",
        (metrics.ROOM_LIFETIME,),
        "s",
    )
    return over_time(subject, *quantiles(metrics.ROOM_LIFETIME, OF_SOURCE, "source")).no_value("no room went").min(0)


def _callbacks() -> timeseries.Panel:
    subject = Subject(
        "Callbacks a minute, by result",
        "accepted: it added a candidate or brought a poll forward; duplicate and ignored: it is genuine and changes"
        " nothing. All others were refused and have no effect.",
        (metrics.CALLBACK_REQUESTS,),
        COUNT,
    )
    return _a_minute(subject, metrics.CALLBACK_REQUESTS, "{{source}} {{result}}")


def _delays() -> timeseries.Panel:
    subject = Subject(
        "Delay of callbacks",
        "From the vendor's time in a callback to its arrival: the median, and what one in ten and one in a hundred"
        " exceeds. Retries of lost ones are late; clocks that differ add to it.",
        (metrics.CALLBACK_DELAY,),
        "s",
    )
    return over_time(subject, *quantiles(metrics.CALLBACK_DELAY, OF_SOURCE, "source")).no_value("none known").min(0)


def _a_minute(subject: Subject, metric: metrics.Metric, legend: str) -> timeseries.Panel:
    """What a counter counts in a minute; nothing is drawn where it counts nothing."""
    counted = f"60 * rate({select(metric, OF_SOURCE)}[$__rate_interval])"
    return over_time(subject, Query(f"{summed(counted)} > 0", legend)).no_value("none known").min(0)
