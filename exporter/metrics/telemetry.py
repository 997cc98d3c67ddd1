"""
The exporter's own metrics: what polling notes of every source and budget, and of the process itself.

Pollers write plain numbers into ``SourceTelemetry``; the collector turns them into families when a scrape asks. The
numbers are *frozen* on the event loop together with the table's snapshot, so that ``rtc_source_users`` is the sum of
the very ``rtc_room_users`` beside it, whatever the pollers do while the scrape is being rendered.
"""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median
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
from exporter.metrics.gaps import RecentGaps
from exporter.metrics.table import SourceTable
from exporter.model import Failure, FailureKind
from exporter.states import RoomState, SourceState

_CALL_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_RENDER_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_FAILURES_KEPT: Final = 20

disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it without annotations


class BudgetFigures(Protocol):
    """What a budget shows of itself, in calls per second and calls."""

    @property
    def limit(self) -> float: ...
    @property
    def pace(self) -> float: ...
    @property
    def calls(self) -> int: ...


@dataclass(frozen=True, slots=True)
class FailureNote:
    """One failed call as the status page tells it. ``unix`` is when its failure was noted."""

    unix: float
    failure: Failure
    rooms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """
    One source's numbers at one moment. Times are Unix seconds, durations seconds, ``None`` is unknown.

    Args:
        call_durations: Calls per bucket, those of the buckets below not counted in.
        call_seconds: The sum of all durations.
    """

    vendor: str
    api: str
    source: str
    budget: str
    state: SourceState
    up: bool
    rooms: Mapping[RoomState, int]
    users: int
    interval: float
    gaps: tuple[float, ...]
    oldest_reading: float | None
    last_success: float | None
    clock_skew: float | None
    calls: int
    failed_calls: Mapping[FailureKind, int]
    strangers: int
    call_durations: tuple[int, ...]
    call_seconds: float

    @property
    def labels(self) -> tuple[str, str, str]:
        return self.vendor, self.api, self.source

    @property
    def published_users(self) -> int | None:
        """Users of the published rooms; unknown while none is published."""
        return None if self.oldest_reading is None else self.users

    @property
    def achieved_interval(self) -> float | None:
        """Median of the recent gaps between two readings of a room."""
        return median(self.gaps) if self.gaps else None


class SourceTelemetry:
    """
    What a poller notes of its source while it works.

    ``clock_skew`` is our clock minus the vendor's in seconds; ``clock_shift`` the part of it that is taken off the
    stamps of calls, 0 unless a signature was refused while the clocks differed.
    """

    def __init__(self, vendor: str, api: str, source: str, budget: str, interval: float, table: SourceTable) -> None:
        self.vendor = vendor
        self.api = api
        self.source = source
        self.budget = budget
        self.table = table
        self.state = SourceState.OK
        self.calls = 0
        self.failed_calls: dict[FailureKind, int] = dict.fromkeys(FailureKind, 0)
        self.strangers = 0
        self.clock_skew: float | None = None
        self.clock_shift = 0.0
        self.failures: deque[FailureNote] = deque(maxlen=_FAILURES_KEPT)
        self._call_durations = [0] * (len(_CALL_BUCKETS) + 1)
        self._call_seconds = 0.0
        self._gaps = RecentGaps(interval)
        self._last_success: tuple[float, float] | None = None

    @property
    def labels(self) -> tuple[str, str, str]:
        return self.vendor, self.api, self.source

    @property
    def interval(self) -> float:
        """Seconds wanted between two readings of a room; a reload may change it."""
        return self._gaps.interval

    @interval.setter
    def interval(self, interval: float) -> None:
        self._gaps.interval = interval

    @property
    def last_success(self) -> float | None:
        """Monotonic time of the last call that gave a reading."""
        return self._last_success[0] if self._last_success else None

    def succeeded(self, monotonic: float, unix: float) -> None:
        """Note a call that gave at least one reading."""
        self._last_success = (monotonic, unix)

    def failed(self, note: FailureNote) -> None:
        """Note a failed call, or a call that failed for some of its rooms."""
        self.failed_calls[note.failure.kind] += 1
        self.failures.append(note)

    def replied(self, seconds: float) -> None:
        """Note how long a call took from its slot to the end of its reply's decoding."""
        self._call_durations[bisect_left(_CALL_BUCKETS, seconds)] += 1
        self._call_seconds += seconds

    def gaps(self, seconds: Iterable[float], now: float) -> None:
        """Note the seconds between two readings of each of some rooms; the second came at this monotonic time."""
        self._gaps.add(seconds, now)

    def figures(self, now: float) -> SourceFigures:
        """The numbers as they stand at this monotonic time."""
        recent = self._last_success is not None and now - self._last_success[0] <= 2 * self.interval
        return SourceFigures(
            vendor=self.vendor,
            api=self.api,
            source=self.source,
            budget=self.budget,
            state=self.state,
            up=recent and self.state is SourceState.OK,
            rooms=self.table.states.copy(),
            users=self.table.users,
            interval=self.interval,
            gaps=self._gaps.within(now),
            oldest_reading=self.table.oldest_reading(),
            last_success=self._last_success[1] if self._last_success else None,
            clock_skew=self.clock_skew,
            calls=self.calls,
            failed_calls=self.failed_calls.copy(),
            strangers=self.strangers,
            call_durations=tuple(self._call_durations),
            call_seconds=self._call_seconds,
        )


class Telemetry:
    """
    The registry of everything but the room lines.

    ``sources`` and ``budgets`` hold what is polled now, by name; ``rooms_files`` whether each file's last reading
    succeeded.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sources: dict[str, SourceTelemetry] = {}
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

    def add_source(self, telemetry: SourceTelemetry) -> None:
        """Publish a source from now on."""
        self.sources[telemetry.source] = telemetry

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
            add(catalogue.SOURCE_STRANGERS, labels, figures.strangers)
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
    return list(zip((*map(str, _CALL_BUCKETS), "+Inf"), accumulate(calls), strict=True))


def _histogram(metric: Metric, buckets: tuple[float, ...], registry: CollectorRegistry) -> Histogram:
    return Histogram(metric.name, metric.help, metric.labels, buckets=buckets, registry=registry)


def _counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    return Counter(metric.name, metric.help, metric.labels, registry=registry)


def _gauge(metric: Metric, registry: CollectorRegistry) -> Gauge:
    return Gauge(metric.name, metric.help, metric.labels, registry=registry)
