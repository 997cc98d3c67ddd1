"""
The exporter's own metrics: those of every source and budget, and of the process itself.

Pollers write plain numbers into ``SourceStats``; the collector turns them into families when a scrape asks. The
numbers are *frozen* on the event loop together with the table's snapshot, so that ``rtc_source_users`` is the sum of
the very ``rtc_room_users`` beside it, whatever the pollers do while the scrape is being rendered.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from typing import Final, Protocol, TypeAlias

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from exporter import __version__
from exporter.metrics import catalogue
from exporter.metrics.catalogue import Metric
from exporter.metrics.durations import DurationFigures, Durations
from exporter.metrics.source_stats import SourceFigures, SourceStats
from exporter.states import SourceState
from exporter.text import encodable


class BudgetFigures(Protocol):
    """What a budget shows of itself, in calls per second and calls."""

    @property
    def limit(self) -> float: ...
    @property
    def pace(self) -> float: ...
    @property
    def calls(self) -> int: ...


class Telemetry:
    """
    The registry of everything but the room lines.

    All numbers here are plain ones: prometheus_client's counters and histograms would have a ``_created`` series beside
    them, unless that is switched off for the whole process.

    Attributes:
        sources: What is polled now, by name.
        budgets: Those of the sources, by name.
        rooms_files: Whether each file's last reading succeeded.
        missed_runs: Runs of recurring jobs that the scheduler missed or skipped.
        unexpected_errors: Exceptions that only a bug can explain.
        web_config_ok: Whether the last reading of the web config succeeded; ``None`` if there is none.
        dropped_log_lines: Gives how many lines of the log were lost.
        scrape_size: Bytes of the last whole scrape before compression; ``None`` before there was one.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sources: dict[str, SourceStats] = {}
        self.budgets: dict[str, BudgetFigures] = {}
        self.rooms_files: dict[str, bool] = {}
        self.missed_runs = 0
        self.unexpected_errors = 0
        self.web_config_ok: bool | None = None
        self.dropped_log_lines: Callable[[], int] = lambda: 0
        self.scrape_size: int | None = None
        self.scrape_durations = Durations(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
        self._config_loaded: bool | None = None
        self._config_loaded_at: float | None = None
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._collector = _Figures()
        self.registry.register(self._collector)

    def config_loaded(self, unix: float) -> None:
        """Note that the config file was read successfully at this Unix time."""
        self._config_loaded = True
        self._config_loaded_at = unix

    def config_refused(self) -> None:
        """Note that the config file could not be used, so that the old config is kept."""
        self._config_loaded = False

    @property
    def config_kept(self) -> bool:
        """Whether the last reload failed, so that an older config is in use."""
        return self._config_loaded_at is not None and self._config_loaded is False

    def freeze(self, now: float) -> None:
        """Fix the numbers that the next collection gives, at this monotonic time. Runs on the event loop."""
        self._collector.sources = [source.figures(now) for source in self.sources.values()]
        self._collector.budgets = [
            (name, budget.limit, budget.pace, budget.calls) for name, budget in self.budgets.items()
        ]
        self._collector.rooms_files = dict(self.rooms_files)
        self._collector.scrapes = self.scrape_durations.figures()
        self._collector.exporter = {
            catalogue.CONFIG_RELOAD: self._config_loaded,
            catalogue.CONFIG_RELOAD_TIMESTAMP: self._config_loaded_at,
            catalogue.WEB_CONFIG_RELOAD: self.web_config_ok,
            catalogue.MISSED_RUNS: self.missed_runs,
            catalogue.UNEXPECTED_ERRORS: self.unexpected_errors,
            catalogue.DROPPED_LOG_LINES: self.dropped_log_lines(),
            catalogue.SCRAPE_SIZE: self.scrape_size,
        }


Family: TypeAlias = GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily

_OWN: Final = (*catalogue.SOURCE_METRICS, *catalogue.BUDGET_METRICS, *catalogue.EXPORTER_METRICS)


class _Figures(Collector):
    """Turns frozen numbers into families; runs on the rendering thread."""

    def __init__(self) -> None:
        self.sources: list[SourceFigures] = []
        self.budgets: list[tuple[str, float, float, int]] = []
        self.rooms_files: dict[str, bool] = {}
        self.exporter: dict[Metric, float | None] = {}
        self.scrapes: DurationFigures | None = None

    def describe(self) -> Iterable[Family]:
        return _Families().all()

    def collect(self) -> Iterable[Family]:
        families = _Families()
        for figures in self.sources:
            _add_source(families, figures)
        for name, limit, pace, calls in self.budgets:
            families.add(catalogue.BUDGET_LIMIT, (name,), limit)
            families.add(catalogue.BUDGET_PACE, (name,), pace)
            families.add(catalogue.BUDGET_CALLS, (name,), calls)
        for file, successful in self.rooms_files.items():
            families.add(catalogue.ROOMS_FILE_RELOAD, (file,), successful)
        families.add(catalogue.BUILD_INFO, (__version__, platform.python_version()), 1)
        for metric, value in self.exporter.items():
            families.add(metric, (), value)
        if self.scrapes is not None:
            families.add_durations(catalogue.SCRAPE_DURATION, (), self.scrapes)
        return families.all()


def _add_source(families: _Families, figures: SourceFigures) -> None:
    labels = figures.labels
    families.add(catalogue.SOURCE_UP, labels, figures.up)
    for state in SourceState:
        families.add(catalogue.SOURCE_STATE, (*labels, state), state is figures.state)
    for room_state, rooms in figures.rooms.items():
        families.add(catalogue.SOURCE_ROOMS, (*labels, room_state), rooms)
    families.add(catalogue.SOURCE_USERS, labels, figures.published_users)
    families.add(catalogue.SOURCE_INTERVAL, labels, figures.interval)
    families.add(catalogue.SOURCE_ACHIEVED_INTERVAL, labels, figures.achieved_interval)
    families.add(catalogue.SOURCE_OLDEST_READING, labels, figures.oldest_reading)
    families.add(catalogue.SOURCE_LAST_SUCCESS, labels, figures.last_success)
    families.add(catalogue.SOURCE_CLOCK_SKEW, labels, figures.clock_skew)
    families.add(catalogue.SOURCE_CALLS, labels, figures.calls)
    for kind, calls in figures.failed_calls.items():
        families.add(catalogue.SOURCE_FAILED_CALLS, (*labels, kind), calls)
    if (failure := figures.last_failure) is not None:
        families.add(catalogue.SOURCE_LAST_FAILURE, (*labels, failure.kind, failure.code, failure.words), 1)
    families.add(catalogue.SOURCE_UNREQUESTED_ROOMS, labels, figures.unrequested)
    families.add_durations(catalogue.SOURCE_CALL_DURATION, labels, figures.call_durations)


class _Families:
    """Every family of ours but those of the rooms, empty at first."""

    def __init__(self) -> None:
        self._values: dict[Metric, GaugeMetricFamily | CounterMetricFamily] = {}
        self._durations: dict[Metric, HistogramMetricFamily] = {}
        for metric in _OWN:
            if metric.type == "histogram":
                self._durations[metric] = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
            elif metric.type == "counter":
                name = metric.name.removesuffix("_total")
                self._values[metric] = CounterMetricFamily(name, metric.help, labels=metric.labels)
            else:
                self._values[metric] = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)

    def add(self, metric: Metric, labels: tuple[str, ...], value: float | None) -> None:
        """Add a number, unless it is unknown."""
        if value is not None:
            self._values[metric].add_metric(_encodable(labels), value)

    def add_durations(self, metric: Metric, labels: tuple[str, ...], durations: DurationFigures) -> None:
        self._durations[metric].add_metric(_encodable(labels), durations.buckets, durations.seconds)

    def all(self) -> list[Family]:
        return [*self._values.values(), *self._durations.values()]


def _encodable(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Labels that cannot spoil a scrape, whatever stands in a file's name."""
    return tuple([encodable(label) for label in labels])
