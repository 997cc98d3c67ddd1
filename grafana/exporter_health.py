"""
The row of the Polling health dashboard on the exporter's own process.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat, statetimeline, timeseries

from exporter.metrics.catalogue import (
    CONFIG_RELOAD,
    MISSED_RUNS,
    ROOMS_FILE_RELOAD,
    SCRAPE_DURATION,
    UNEXPECTED_ERRORS,
)
from grafana.panels import GREEN, NONE_WANTED, RED, YELLOW, Panel, Query, Subject, number, over_time, quantiles, states
from grafana.variables import OF_INSTANCE, select


def panels() -> tuple[Panel, ...]:
    """What only a bug, a lack of CPU or a bad file explains."""
    return _missed_runs(), _unexpected_errors(), _scrape_durations(), _files()


def _missed_runs() -> stat.Panel:
    subject = Subject(
        "Missed runs",
        "Runs of recurring jobs missed or skipped within the shown time: the loop was too busy, or the clock stepped.",
        (MISSED_RUNS,),
        "short",
        NONE_WANTED,
    )
    missed = f"increase({select(MISSED_RUNS, OF_INSTANCE)}[$__range])"
    return number(subject, Query(f"sum by (instance) ({missed})", "{{instance}}")).span(6).decimals(0)


def _unexpected_errors() -> stat.Panel:
    subject = Subject(
        "Unexpected errors",
        "Bugs that showed within the shown time. Please report them with their lines of the log.",
        (UNEXPECTED_ERRORS,),
        "short",
        NONE_WANTED,
    )
    errors = f"increase({select(UNEXPECTED_ERRORS, OF_INSTANCE)}[$__range])"
    return number(subject, Query(f"sum by (instance) ({errors})", "{{instance}}")).span(6).decimals(0)


def _scrape_durations() -> timeseries.Panel:
    subject = Subject(
        "Time to render a scrape",
        "The median, and what one scrape in ten and one in a hundred exceeds.",
        (SCRAPE_DURATION,),
        "s",
        ((GREEN, None), (YELLOW, 0.5), (RED, 2)),
    )
    return over_time(subject, *quantiles(SCRAPE_DURATION, OF_INSTANCE, "instance")).min(0)


def _files() -> statetimeline.Panel:
    subject = Subject(
        "Config and rooms files",
        "Whether the last reading of each file succeeded; if not, what was read before it is kept.",
        (CONFIG_RELOAD, ROOMS_FILE_RELOAD),
        "short",
    )
    return states(
        subject,
        Query(f"min by (instance) ({select(CONFIG_RELOAD, OF_INSTANCE)})", "config ({{instance}})"),
        Query(f"min by (instance, file) ({select(ROOMS_FILE_RELOAD, OF_INSTANCE)})", "{{file}} ({{instance}})"),
        mapping={0: ("failed, old one kept", RED), 1: ("read", GREEN)},
    )
