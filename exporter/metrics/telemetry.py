"""
The exporter's own metrics: of sources, of budgets and of the process.

Pollers write plain numbers into ``SourceStats``. The collector turns them into metric families when a scrape asks.

A scrape must be consistent: where all rooms are published, ``rtc_source_users`` must be the sum of the
``rtc_room_users`` in the same body. But the body is rendered in a thread, while pollers go on. So the event loop calls
``freeze``, which copies all numbers, in the same step in which it takes the table's snapshot. The thread reads the
copies alone.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
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
from exporter.metrics.cluster_stats import ClusterFigures
from exporter.metrics.discovery_stats import CallbackFigures, DiscoveryFigures
from exporter.metrics.durations import DurationFigures, Durations
from exporter.metrics.source_stats import INTERVAL_BOUNDS, SourceFigures, SourceStats
from exporter.metrics.table import SIZES
from exporter.model import Shard
from exporter.states import SourceState
from exporter.text import encodable


class BudgetFigures(Protocol):
    """The numbers of a budget: calls per second, and calls."""

    @property
    def limit(self) -> float: ...
    @property
    def pace(self) -> float: ...
    @property
    def calls(self) -> int: ...


class Telemetry:
    """
    The registry of all metrics except those of rooms.

    The numbers are plain: prometheus_client's own counters and histograms add a ``_created`` series each, which can be
    switched off for the whole process only.

    Attributes:
        sources: The sources that are polled now, by name.
        discoveries: Figures of the sources whose rooms find themselves, by name.
        callbacks: Figures of callbacks, by source.
        budgets: Their budgets, by name.
        cluster: Returns the figures of the cluster that this process is a replica of; ``None`` without a cluster.
        holds: Whether this exporter may make the calls of the budget of this name. Without a cluster it may.
        shard: Which of how many shards this exporter is; ``None`` if the config is not divided.
        rooms_files: By file: whether the last attempt to read it succeeded.
        missed_runs: Runs of recurring jobs that the scheduler missed or skipped.
        unexpected_errors: Exceptions that only a bug can explain.
        web_config_ok: Whether the last attempt to read the web config succeeded; ``None`` without a web config.
        dropped_log_lines: Returns the number of lost log lines.
        scrape_size: Size in bytes of the last complete scrape, before compression; ``None`` before the first.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sources: dict[str, SourceStats] = {}
        self.discoveries: dict[str, Callable[[], DiscoveryFigures]] = {}
        self.callbacks: Callable[[], Mapping[str, CallbackFigures]] = dict
        self.budgets: dict[str, BudgetFigures] = {}
        self.cluster: Callable[[], ClusterFigures | None] = lambda: None
        self.holds: Callable[[str], bool] = lambda _budget: True
        self.shard: Shard | None = None
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
        """The config file was read successfully at this Unix time."""
        self._config_loaded = True
        self._config_loaded_at = unix

    def config_refused(self) -> None:
        """The config file could not be used. The previous config stays in use."""
        self._config_loaded = False

    @property
    def config_kept(self) -> bool:
        """Whether the last reload failed, so that the previous config is in use."""
        return self._config_loaded_at is not None and self._config_loaded is False

    def discovery(self, source: str) -> DiscoveryFigures | None:
        """How the rooms of a source find themselves; ``None`` if they do not."""
        figures = self.discoveries.get(source)
        return replace(figures(), callbacks=self.callbacks().get(source)) if figures else None

    def freeze(self, now: float) -> None:
        """Copy all numbers, as of this monotonic time, for the next collection. Runs on the event loop."""
        self._collector.sources = [source.figures(now) for source in self.sources.values()]
        callbacks = self.callbacks()
        self._collector.discoveries = [
            replace(figures(), callbacks=callbacks.get(name)) for name, figures in self.discoveries.items()
        ]
        self._collector.budgets = [
            (name, budget.limit, budget.pace, budget.calls, self.holds(name)) for name, budget in self.budgets.items()
        ]
        self._collector.cluster = self.cluster()
        self._collector.shard = self.shard
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


_SIZES: Final = (*map(str, SIZES), "+Inf")

Family: TypeAlias = GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily

_OWN: Final = (
    *catalogue.SOURCE_METRICS,
    *catalogue.DISCOVERY_METRICS,
    *catalogue.BUDGET_METRICS,
    *catalogue.CLUSTER_METRICS,
    *catalogue.EXPORTER_METRICS,
)


class _Figures(Collector):
    """Turns the frozen numbers into metric families. Runs in the rendering thread."""

    def __init__(self) -> None:
        self.sources: list[SourceFigures] = []
        self.discoveries: list[DiscoveryFigures] = []
        self.cluster: ClusterFigures | None = None
        self.budgets: list[tuple[str, float, float, int, bool]] = []
        self.shard: Shard | None = None
        self.rooms_files: dict[str, bool] = {}
        self.exporter: dict[Metric, float | None] = {}
        self.scrapes: DurationFigures | None = None

    def describe(self) -> Iterable[Family]:
        return _Families().all()

    def collect(self) -> Iterable[Family]:
        families = _Families()
        for figures in self.sources:
            _add_source(families, figures)
        for discovery in self.discoveries:
            _add_discovery(families, discovery)
        for name, limit, pace, calls, held in self.budgets:
            families.add(catalogue.BUDGET_LIMIT, (name,), limit)
            families.add(catalogue.BUDGET_PACE, (name,), pace if held else None)
            families.add(catalogue.BUDGET_CALLS, (name,), calls)
            families.add(catalogue.BUDGET_HELD, (name,), held)
        if self.cluster is not None:
            _add_cluster(families, self.cluster)
            for figures in self.sources:
                families.add(catalogue.SOURCE_INHERITED_READINGS, figures.labels, figures.inherited)
        for file, successful in self.rooms_files.items():
            families.add(catalogue.ROOMS_FILE_RELOAD, (file,), successful)
        families.add(catalogue.BUILD_INFO, (__version__, platform.python_version()), 1)
        if self.shard is not None:
            families.add(catalogue.TOTAL_SHARDS, (str(self.shard.ordinal),), self.shard.total)
        for metric, value in self.exporter.items():
            families.add(metric, (), value)
        if self.scrapes is not None:
            families.add_durations(catalogue.SCRAPE_DURATION, (), self.scrapes)
        return families.all()


def _add_source(families: _Families, figures: SourceFigures) -> None:
    labels = figures.labels
    if figures.polled:
        _add_state(families, figures)
    if not figures.hidden:
        _add_rooms(families, figures)
    families.add(catalogue.SOURCE_INTERVAL, labels, figures.interval)
    families.add(catalogue.SOURCE_LONGEST_INTERVAL, labels, figures.longest_interval)
    for bound, count in zip(INTERVAL_BOUNDS, figures.rooms_by_interval, strict=False):
        le = "+Inf" if bound == math.inf else f"{bound:g}"
        families.add(catalogue.SOURCE_ROOMS_BY_INTERVAL, (*labels, le), count)
    families.add(catalogue.SOURCE_CALLS, labels, figures.calls)
    for kind, calls in figures.failed_calls.items():
        families.add(catalogue.SOURCE_FAILED_CALLS, (*labels, kind), calls)
    families.add(catalogue.SOURCE_UNREQUESTED_ROOMS, labels, figures.unrequested)
    families.add_durations(catalogue.SOURCE_CALL_DURATION, labels, figures.call_durations)


def _add_rooms(families: _Families, figures: SourceFigures) -> None:
    """What a replica that publishes the rooms of a source tells of them."""
    labels = figures.labels
    for room_state, rooms in figures.rooms.items():
        families.add(catalogue.SOURCE_ROOMS, (*labels, room_state), rooms)
    families.add(catalogue.SOURCE_USERS, labels, figures.published_users)
    families.add(catalogue.SOURCE_USER_SECONDS, labels, figures.user_seconds)
    for bound, rooms in zip(_SIZES, figures.sizes, strict=True):
        families.add(catalogue.SOURCE_ROOM_SIZES, (*labels, bound), rooms)
    for severity, rooms in figures.with_threshold.items():
        families.add(catalogue.SOURCE_ROOMS_WITH_THRESHOLD, (*labels, severity), rooms)
    families.add(catalogue.SOURCE_PUBLISHED_ROOMS, labels, figures.published_rooms)
    for change, rooms in figures.published_changes.items():
        families.add(catalogue.SOURCE_PUBLISHED_CHANGES, (*labels, change), rooms)
    families.add(catalogue.SOURCE_OLDEST_READING, labels, figures.oldest_reading)


def _add_state(families: _Families, figures: SourceFigures) -> None:
    """What only the process knows that polls the source."""
    labels = figures.labels
    families.add(catalogue.SOURCE_UP, labels, figures.up)
    for state in SourceState:
        families.add(catalogue.SOURCE_STATE, (*labels, state), state is figures.state)
    families.add(catalogue.SOURCE_ACHIEVED_INTERVAL, labels, figures.achieved_interval)
    families.add(catalogue.SOURCE_LAST_SUCCESS, labels, figures.last_success)
    families.add(catalogue.SOURCE_CLOCK_SKEW, labels, figures.clock_skew)
    if (failure := figures.last_failure) is not None:
        families.add(catalogue.SOURCE_LAST_FAILURE, (*labels, failure.kind, failure.code, failure.words), 1)


def _add_discovery(families: _Families, figures: DiscoveryFigures) -> None:
    labels = figures.labels
    state: tuple[tuple[Metric, Mapping[str, float]], ...] = (
        (catalogue.DISCOVERY_ROOMS, figures.rooms),
        (catalogue.DISCOVERY_STATE_ROOMS, figures.lives),
        (catalogue.DISCOVERY_LAST_SUCCESS, figures.last_success),
        (catalogue.DISCOVERY_INTERVAL, figures.intervals),
    )
    by_label: tuple[tuple[Metric, Mapping[str, float]], ...] = (
        *(state if figures.polled else ()),
        (catalogue.DISCOVERY_ADDED, figures.added),
        (catalogue.DISCOVERY_DROPPED, figures.dropped),
        (catalogue.DISCOVERY_REJECTED, figures.rejected),
    )
    for metric, values in by_label:
        for label, value in values.items():
            families.add(metric, (*labels, label), value)
    if figures.polled:
        families.add(catalogue.DISCOVERY_LAST_COMPLETE, labels, figures.last_complete)
        families.add(catalogue.DISCOVERY_LIMIT, labels, figures.limit)
    for (origin, result), count in figures.refreshes.items():
        families.add(catalogue.DISCOVERY_REFRESHES, (*labels, origin, result), count)
    for origin, durations in figures.durations.items():
        families.add_durations(catalogue.DISCOVERY_REFRESH_DURATION, (*labels, origin), durations)
    families.add_durations(catalogue.ROOM_LIFETIME, labels, figures.lifetimes)
    if figures.callbacks is not None:
        for result, count in figures.callbacks.results.items():
            families.add(catalogue.CALLBACK_REQUESTS, (*labels, result), count)
        families.add(catalogue.CALLBACK_LAST_EVENT, labels, figures.callbacks.last_event)
        families.add_durations(catalogue.CALLBACK_DELAY, labels, figures.callbacks.delays)


def _add_cluster(families: _Families, figures: ClusterFigures) -> None:
    families.add(catalogue.CLUSTER_INFO, (figures.replica, figures.engine, figures.config), 1)
    families.add(catalogue.CLUSTER_CONNECTED, (), figures.connected)
    families.add(catalogue.CLUSTER_REPLICAS, (), figures.replicas)
    families.add(catalogue.CLUSTER_LEASE_VALID_UNTIL, (), figures.lease_valid_until)
    for result, exchanges in figures.exchanges.items():
        families.add(catalogue.CLUSTER_EXCHANGES, (result,), exchanges)
    families.add_durations(catalogue.CLUSTER_EXCHANGE_DURATION, (), figures.exchange_durations)
    for gained, budgets in figures.gained.items():
        families.add(catalogue.CLUSTER_BUDGETS_GAINED, (gained,), budgets)
    for lost, budgets in figures.lost.items():
        families.add(catalogue.CLUSTER_BUDGETS_LOST, (lost,), budgets)
    families.add(catalogue.CLUSTER_FENCED_CALLS, (), figures.fenced_calls)


class _Families:
    """All metric families except those of rooms, empty at first."""

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
        """Add a number; ``None`` (unknown) adds nothing."""
        if value is not None:
            self._values[metric].add_metric(_encodable(labels), value)

    def add_durations(self, metric: Metric, labels: tuple[str, ...], durations: DurationFigures) -> None:
        self._durations[metric].add_metric(_encodable(labels), durations.buckets, durations.seconds)

    def all(self) -> list[Family]:
        return [*self._values.values(), *self._durations.values()]


def _encodable(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels, safe to encode: a file name may hold bytes that are no UTF-8, which would make the scrape fail."""
    return tuple([encodable(label) for label in labels])
