"""
The row of the dashboard "Polling health" about the cluster, if the exporter has several replicas.
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import table, timeseries

from exporter.metrics import catalogue as metrics
from grafana.generator.aggregation import summed
from grafana.generator.panels import (
    COUNT,
    GREEN,
    NONE_WANTED,
    RED,
    YELLOW,
    Panel,
    Query,
    Subject,
    coloured,
    listing,
    over_time,
    quantiles,
    value_map,
)
from grafana.generator.variables import OF_JOB, OF_SOURCE, select

_NO_CLUSTER: Final = "no cluster"
_INFO: Final = select(metrics.CLUSTER_INFO, OF_JOB)


def panels() -> tuple[Panel, ...]:
    """Who is there and connected, how long leases last, which budgets changed hands, and how Redis answers."""
    return (_replicas(), _numbers(), _lease(), _hands(), _exchanges(), _durations(), _fenced(), _inherited())


def _replicas() -> table.Panel:
    subject = Subject(
        "Replicas",
        "Each replica that Prometheus can scrape, and whether the engine answered it lately. Replicas with another"
        " config take no budgets from each other.",
        (metrics.CLUSTER_INFO, metrics.CLUSTER_CONNECTED),
        COUNT,
        ((RED, None), (GREEN, 1)),
    )
    connected = f"{_INFO} * on (job, instance) group_left () {select(metrics.CLUSTER_CONNECTED, OF_JOB)}"
    columns = ("replica", "engine", "config")
    values = {"Connected": Query(f"max by ({', '.join(columns)}) ({connected})")}
    return (
        listing(subject, columns, values)
        .height(9)
        .no_value(_NO_CLUSTER)
        .override_by_name("Value", [coloured()])
        .mappings([value_map({0: ("no", RED), 1: ("yes", GREEN)})])
    )


def _numbers() -> timeseries.Panel:
    subject = Subject(
        "Replicas, scraped and seen",
        "How many replicas Prometheus scrapes, and how many of them the replica sees that sees fewest. They differ for"
        " a few seconds when one starts or ends, and for longer where one is cut off from the engine.",
        (metrics.CLUSTER_INFO, metrics.CLUSTER_REPLICAS),
        COUNT,
    )
    return (
        over_time(
            subject,
            Query(f"count by (job) ({_INFO})", "scraped"),
            Query(f"min by (job) ({select(metrics.CLUSTER_REPLICAS, OF_JOB)})", "seen"),
        )
        .no_value(_NO_CLUSTER)
        .min(0)
    )


def _lease() -> timeseries.Panel:
    subject = Subject(
        "Time left of the lease",
        "For how long each replica could go on calling if the engine did not answer any more, as of the scrape. It"
        " falls while the engine is away; at 0 the replica makes no calls.",
        (metrics.CLUSTER_LEASE_VALID_UNTIL,),
        "s",
        ((RED, None), (GREEN, 0)),
    )
    until = select(metrics.CLUSTER_LEASE_VALID_UNTIL, OF_JOB)
    left = f"{_INFO} * on (job, instance) group_left () ({until} - timestamp({until}))"
    return over_time(subject, Query(f"min by (job, replica) ({left})", "{{replica}}"), lines=True).no_value(_NO_CLUSTER)


def _hands() -> timeseries.Panel:
    subject = Subject(
        "Budgets that changed hands",
        "Budgets gained and lost per minute, over all replicas. released: handed over on purpose, when a replica starts"
        " or ends; expired, taken: a replica died, was cut off, or stood still.",
        (metrics.CLUSTER_BUDGETS_GAINED, metrics.CLUSTER_BUDGETS_LOST),
        COUNT,
    )
    gained, lost = (
        f"60 * sum by (job, how) (rate({select(metric, OF_JOB)}[$__rate_interval])) > 0"
        for metric in (metrics.CLUSTER_BUDGETS_GAINED, metrics.CLUSTER_BUDGETS_LOST)
    )
    return (
        over_time(subject, Query(gained, "gained, {{how}}"), Query(lost, "lost, {{how}}")).no_value("none known").min(0)
    )


def _exchanges() -> timeseries.Panel:
    subject = Subject(
        "Exchanges with the engine",
        "Per second, over all replicas. Each replica makes ten in the time of one lease.",
        (metrics.CLUSTER_EXCHANGES,),
        "reqps",
    )
    rate = f"sum by (job, result) (rate({select(metrics.CLUSTER_EXCHANGES, OF_JOB)}[$__rate_interval])) > 0"
    return over_time(subject, Query(rate, "{{result}}"), stacked=True).no_value(_NO_CLUSTER).min(0)


def _durations() -> timeseries.Panel:
    subject = Subject(
        "Duration of an exchange",
        "The median, and what one exchange in ten and one in a hundred exceeds.",
        (metrics.CLUSTER_EXCHANGE_DURATION,),
        "s",
        ((GREEN, None), (YELLOW, 0.1), (RED, 0.5)),
    )
    return over_time(subject, *quantiles(metrics.CLUSTER_EXCHANGE_DURATION, OF_JOB)).no_value(_NO_CLUSTER).min(0)


def _fenced() -> timeseries.Panel:
    subject = Subject(
        "Calls stopped at the end of a lease",
        "Per minute, over all replicas. More than none means that a replica stood still or lost the engine while it had"
        " calls to make; the vendor got none of them.",
        (metrics.CLUSTER_FENCED_CALLS,),
        COUNT,
        NONE_WANTED,
    )
    fenced = f"60 * sum by (job) (rate({select(metrics.CLUSTER_FENCED_CALLS, OF_JOB)}[$__rate_interval])) > 0"
    return over_time(subject, Query(fenced, "stopped")).no_value("none known").min(0)


def _inherited() -> timeseries.Panel:
    subject = Subject(
        "Readings taken over from another replica",
        "Per second. With serve: own a budget brings those of all its rooms once, when it is gained; with serve: all"
        " each replica goes on taking over what the others read.",
        (metrics.SOURCE_INHERITED_READINGS,),
        COUNT,
    )
    inherited = f"rate({select(metrics.SOURCE_INHERITED_READINGS, OF_SOURCE)}[$__rate_interval])"
    return over_time(subject, Query(f"{summed(inherited)} > 0", "{{source}}")).no_value("none known").min(0)
