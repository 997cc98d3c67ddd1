"""
The row of the dashboard "Polling health" about the exporter's own process.
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import stat, statetimeline, timeseries

from exporter.metrics.catalogue import (
    CONFIG_RELOAD,
    CONFIG_RELOAD_TIMESTAMP,
    DROPPED_LOG_LINES,
    MISSED_RUNS,
    ROOMS_FILE_RELOAD,
    SCRAPE_DURATION,
    SCRAPE_SIZE,
    TOTAL_SHARDS,
    UNEXPECTED_ERRORS,
    WEB_CONFIG_RELOAD,
    Metric,
)
from grafana.generator.panels import (
    COUNT,
    GREEN,
    NONE_WANTED,
    RED,
    SOME_WANTED,
    YELLOW,
    Panel,
    Query,
    Subject,
    number,
    over_time,
    quantiles,
    states,
    steps,
    value_map,
)
from grafana.generator.variables import OF_JOB, select

_UP: Final = "up"
"""A series of Prometheus itself: 1 for a target that it could scrape."""
_RELOAD_FAILED: Final = -1


def panels() -> tuple[Panel, ...]:
    """The panels of the row. They show bugs, lack of CPU, and files that cannot be read."""
    return (
        _exporters(),
        _shards(),
        _reload(),
        _unexpected_errors(),
        _missed_runs(),
        _lost_lines(),
        _files(),
        _scrape_durations(),
        _scrape_size().span(24),
    )


def _exporters() -> stat.Panel:
    subject = Subject(
        "Exporters", "Targets of the job that Prometheus can scrape, and those that it cannot.", (), COUNT
    )
    up = select(_UP, OF_JOB)
    panel = number(subject, Query(f"sum({up} == bool 0)", "down"), Query(f"sum({up})", "up"))
    return panel.span(5).override_by_name("down", [steps(NONE_WANTED)]).override_by_name("up", [steps(SOME_WANTED)])


def _shards() -> stat.Panel:
    subject = Subject(
        "Shards",
        "Where shards divide the config: how many there are, and how many more there should be. What a missing shard"
        " watches, nobody watches.",
        (TOTAL_SHARDS,),
        COUNT,
    )
    total = select(TOTAL_SHARDS, OF_JOB)
    there = f"count by (job) (count by (job, shard) ({total}))"
    panel = number(subject, Query(f"sum(max by (job) ({total}) - {there})", "missing"), Query(f"sum({there})", "there"))
    return (
        panel.span(5)
        .no_value("not divided")
        .override_by_name("missing", [steps(NONE_WANTED)])
        .override_by_name("there", [steps(SOME_WANTED)])
    )


def _reload() -> stat.Panel:
    subject = Subject(
        "Config age",
        "Time since the config file was last read successfully. Where the last attempt failed, the old config is"
        " in use, and a restart would fail.",
        (CONFIG_RELOAD_TIMESTAMP, CONFIG_RELOAD),
        "s",
        ((RED, None), (GREEN, 0)),
    )
    failed = f"{_RELOAD_FAILED} + min by (job) ({select(CONFIG_RELOAD, OF_JOB)}) == {_RELOAD_FAILED}"
    age = f"time() - min by (job) ({select(CONFIG_RELOAD_TIMESTAMP, OF_JOB)})"
    panel = number(subject, Query(f"{failed} or {age}", "config"))
    return panel.span(5).mappings([value_map({_RELOAD_FAILED: ("last reload failed", RED)})])


def _unexpected_errors() -> stat.Panel:
    about = "Bugs that showed within the shown time. Please report them with their lines of the log."
    return _increase("Unexpected errors", about, UNEXPECTED_ERRORS, "errors")


def _missed_runs() -> stat.Panel:
    about = (
        "Runs of recurring jobs missed or skipped within the shown time: the loop was too busy, or the clock stepped."
    )
    return _increase("Missed runs", about, MISSED_RUNS, "runs")


def _lost_lines() -> stat.Panel:
    about = "Log lines lost within the shown time because standard error is blocked, full or closed."
    return _increase("Lost log lines", about, DROPPED_LOG_LINES, "lines")


def _increase(title: str, about: str, metric: Metric, counted: str) -> stat.Panel:
    """A counter that should not increase: its increase within the shown time."""
    increase = f"increase({select(metric, OF_JOB)}[$__range])"
    panel = number(Subject(title, about, (metric,), COUNT, NONE_WANTED), Query(f"sum({increase})", counted))
    return panel.span(3).decimals(0)


def _files() -> statetimeline.Panel:
    subject = Subject(
        "Config and rooms files",
        "Whether the last reading of each file succeeded; if not, what was read before it is kept.",
        (CONFIG_RELOAD, ROOMS_FILE_RELOAD, WEB_CONFIG_RELOAD),
        COUNT,
    )
    return states(
        subject,
        Query(f"min by (job) ({select(CONFIG_RELOAD, OF_JOB)})", "config"),
        Query(f"min by (job, file) ({select(ROOMS_FILE_RELOAD, OF_JOB)})", "{{file}}"),
        Query(f"min by (job) ({select(WEB_CONFIG_RELOAD, OF_JOB)})", "web config"),
        mapping={0: ("failed, old one kept", RED), 1: ("read", GREEN)},
    )


def _scrape_durations() -> timeseries.Panel:
    subject = Subject(
        "Time to render a scrape",
        "The median, and what one scrape in ten and one in a hundred exceeds.",
        (SCRAPE_DURATION,),
        "s",
        ((GREEN, None), (YELLOW, 0.5), (RED, 2)),
    )
    return over_time(subject, *quantiles(SCRAPE_DURATION, OF_JOB)).min(0)


def _scrape_size() -> timeseries.Panel:
    subject = Subject(
        "Size of a scrape",
        "Of the exporter whose scrape is largest, before compression. vmagent reads 16 MiB at most (the line), unless"
        " it is told otherwise; Prometheus has no limit.",
        (SCRAPE_SIZE,),
        "bytes",
        ((GREEN, None), (RED, 16 * 2**20)),
    )
    return over_time(subject, Query(f"max by (job) ({select(SCRAPE_SIZE, OF_JOB)})", "largest"), lines=True).min(0)
