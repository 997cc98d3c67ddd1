"""
The row of the Polling health dashboard on the exporter's own process.
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
    UNEXPECTED_ERRORS,
    WEB_CONFIG_RELOAD,
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
"""Prometheus' own: 1 for a target that could be scraped."""
_RELOAD_FAILED: Final = -1


def panels() -> tuple[Panel, ...]:
    """What only a bug, a lack of CPU or a bad file explains."""
    return (
        _exporters(),
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
    return panel.span(6).override_by_name("down", [steps(NONE_WANTED)]).override_by_name("up", [steps(SOME_WANTED)])


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
    return panel.span(6).mappings([value_map({_RELOAD_FAILED: ("last reload failed", RED)})])


def _unexpected_errors() -> stat.Panel:
    subject = Subject(
        "Unexpected errors",
        "Bugs that showed within the shown time. Please report them with their lines of the log.",
        (UNEXPECTED_ERRORS,),
        COUNT,
        NONE_WANTED,
    )
    errors = f"increase({select(UNEXPECTED_ERRORS, OF_JOB)}[$__range])"
    return number(subject, Query(f"sum({errors})", "errors")).span(4).decimals(0)


def _missed_runs() -> stat.Panel:
    subject = Subject(
        "Missed runs",
        "Runs of recurring jobs missed or skipped within the shown time: the loop was too busy, or the clock stepped.",
        (MISSED_RUNS,),
        COUNT,
        NONE_WANTED,
    )
    missed = f"increase({select(MISSED_RUNS, OF_JOB)}[$__range])"
    return number(subject, Query(f"sum({missed})", "runs")).span(4).decimals(0)


def _lost_lines() -> stat.Panel:
    subject = Subject(
        "Lost log lines",
        "Lines of the log that nobody took within the shown time: standard error is blocked, full or closed.",
        (DROPPED_LOG_LINES,),
        COUNT,
        NONE_WANTED,
    )
    lost = f"increase({select(DROPPED_LOG_LINES, OF_JOB)}[$__range])"
    return number(subject, Query(f"sum({lost})", "lines")).span(4).decimals(0)


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
