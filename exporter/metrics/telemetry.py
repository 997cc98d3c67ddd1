"""
The exporter's own metrics: those of every source and budget, and of the process itself.

Pollers write plain numbers into ``SourceStats``; the collector turns them into families when a scrape asks. The
numbers are *frozen* on the event loop together with the table's snapshot, so that ``rtc_source_users`` is the sum of
the very ``rtc_room_users`` beside it, whatever the pollers do while the scrape is being rendered.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, Protocol, TypeAlias

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from exporter import __version__
from exporter.metrics import catalogue
from exporter.metrics.catalogue import Metric
from exporter.metrics.source_stats import CALL_BUCKETS, SourceFigures, SourceStats
from exporter.states import SourceState

_RENDER_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it without annotations


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

    ``sources`` and ``budgets`` hold what is polled now, by name; ``rooms_files`` whether each file's last reading
    succeeded.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sources: dict[str, SourceStats] = {}
        self.budgets: dict[str, BudgetFigures] = {}
        self.rooms_files: dict[str, bool] = {}
        self.scrape_durations = _histogram(catalogue.SCRAPE_DURATION, _RENDER_BUCKETS, self.registry)
        self.missed_runs = _counter(catalogue.MISSED_RUNS, self.registry)
        self.unexpected_errors = _counter(catalogue.UNEXPECTED_ERRORS, self.registry)
        self.config_reload = _gauge(catalogue.CONFIG_RELOAD, self.registry)
        self.config_reload_timestamp = _gauge(catalogue.CONFIG_RELOAD_TIMESTAMP, self.registry)
        _gauge(catalogue.BUILD_INFO, self.registry).labels(__version__, platform.python_version()).set(1)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._collector = _SourcesAndBudgets()
        self.registry.register(self._collector)

    @property
    def config_kept(self) -> bool:
        """Whether the last reload failed, so that an older config is in use."""
        (reload,), (timestamp,) = self.config_reload.collect(), self.config_reload_timestamp.collect()
        return timestamp.samples[0].value > 0 and not reload.samples[0].value

    def add_source(self, stats: SourceStats) -> None:
        """Publish a source from now on."""
        self.sources[stats.source] = stats

    def remove_source(self, name: str) -> None:
        """Publish nothing of a source any more."""
        del self.sources[name]

    def freeze(self, now: float) -> None:
        """Fix the numbers that the next collection gives, at this monotonic time. Runs on the event loop."""
        self._collector.sources = [source.figures(now) for source in self.sources.values()]
        self._collector.budgets = [
            (name, budget.limit, budget.pace, budget.calls) for name, budget in self.budgets.items()
        ]
        self._collector.rooms_files = dict(self.rooms_files)


Family: TypeAlias = GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily


class _SourcesAndBudgets(Collector):
    """Turns frozen numbers into families; runs on the rendering thread."""

    def __init__(self) -> None:
        self.sources: list[SourceFigures] = []
        self.budgets: list[tuple[str, float, float, int]] = []
        self.rooms_files: dict[str, bool] = {}

    def describe(self) -> Iterable[Family]:
        return [*self._values().values(), _call_durations()]

    def collect(self) -> Iterable[Family]:
        families, durations = self._values(), _call_durations()

        def add(metric: Metric, labels: tuple[str, ...], value: float | None) -> None:
            if value is not None:
                families[metric].add_metric(labels, value)

        for figures in self.sources:
            labels = figures.labels
            add(catalogue.SOURCE_UP, labels, figures.up)
            for state in SourceState:
                add(catalogue.SOURCE_STATE, (*labels, state), state is figures.state)
            for room_state, rooms in figures.rooms.items():
                add(catalogue.SOURCE_ROOMS, (*labels, room_state), rooms)
            add(catalogue.SOURCE_USERS, labels, figures.published_users)
            add(catalogue.SOURCE_INTERVAL, labels, figures.interval)
            add(catalogue.SOURCE_ACHIEVED_INTERVAL, labels, figures.achieved_interval)
            add(catalogue.SOURCE_OLDEST_READING, labels, figures.oldest_reading)
            add(catalogue.SOURCE_LAST_SUCCESS, labels, figures.last_success)
            add(catalogue.SOURCE_CLOCK_SKEW, labels, figures.clock_skew)
            add(catalogue.SOURCE_CALLS, labels, figures.calls)
            for kind, calls in figures.failed_calls.items():
                add(catalogue.SOURCE_FAILED_CALLS, (*labels, kind), calls)
            add(catalogue.SOURCE_UNREQUESTED_ROOMS, labels, figures.unrequested)
            durations.add_metric(labels, _cumulated(figures.call_durations), figures.call_seconds)
        for name, limit, pace, calls in self.budgets:
            add(catalogue.BUDGET_LIMIT, (name,), limit)
            add(catalogue.BUDGET_PACE, (name,), pace)
            add(catalogue.BUDGET_CALLS, (name,), calls)
        for file, successful in self.rooms_files.items():
            add(catalogue.ROOMS_FILE_RELOAD, (file,), successful)
        return [*families.values(), durations]

    @staticmethod
    def _values() -> dict[Metric, GaugeMetricFamily | CounterMetricFamily]:
        """The families of all that are one number each, empty."""
        metrics = (*catalogue.SOURCE_METRICS, *catalogue.BUDGET_METRICS, catalogue.ROOMS_FILE_RELOAD)
        return {metric: _family(metric) for metric in metrics if metric is not catalogue.SOURCE_CALL_DURATION}


def _family(metric: Metric) -> GaugeMetricFamily | CounterMetricFamily:
    if metric.type == "counter":
        return CounterMetricFamily(metric.name.removesuffix("_total"), metric.help, labels=metric.labels)
    return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)


def _call_durations() -> HistogramMetricFamily:
    metric = catalogue.SOURCE_CALL_DURATION
    return HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)


def _cumulated(calls: Sequence[int]) -> list[tuple[str, float]]:
    """Calls up to each bound, the last of which is infinity."""
    return list(zip((*map(str, CALL_BUCKETS), "+Inf"), accumulate(calls), strict=True))


def _histogram(metric: Metric, buckets: tuple[float, ...], registry: CollectorRegistry) -> Histogram:
    return Histogram(metric.name, metric.help, metric.labels, buckets=buckets, registry=registry)


def _counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    return Counter(metric.name, metric.help, metric.labels, registry=registry)


def _gauge(metric: Metric, registry: CollectorRegistry) -> Gauge:
    return Gauge(metric.name, metric.help, metric.labels, registry=registry)
