"""
The statistics of a source. Its poller writes them; metrics and pages show them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from statistics import median
from typing import Final, Protocol

from exporter.metrics.durations import DurationFigures, Durations
from exporter.metrics.gaps import RecentGaps
from exporter.metrics.room import Arrival
from exporter.metrics.table import SourceTable
from exporter.model import Failure, FailureKind, Severity
from exporter.states import RoomState, SourceState

INTERVAL_BOUNDS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, math.inf)
"""Seconds; the ``le`` of ``rtc_source_rooms_by_interval``."""

_FAILURES_KEPT: Final = 20
_SHORTEST_QUIET: Final = 10.0


class ClockFigures(Protocol):
    """Our clock compared with the vendor's, in seconds."""

    @property
    def skew(self) -> float | None:
        """Our clock minus the vendor's."""

    @property
    def shift(self) -> float:
        """Subtracted from the timestamps of calls. 0 until the vendor refuses a signature while the clocks differ."""


@dataclass(frozen=True, slots=True)
class _UnknownClock:
    skew: float | None = None
    shift: float = 0.0


class OwnIntervals(Protocol):
    """The intervals of a source whose rooms have intervals of their own."""

    @property
    def longest(self) -> float:
        """Seconds."""

    def distribution(self, bounds: Sequence[float]) -> list[int]:
        """How many rooms have an own interval of at most each of these seconds, in ascending order."""


UNKNOWN_CLOCK: Final[ClockFigures] = _UnknownClock()


@dataclass(frozen=True, slots=True)
class FailureNote:
    """One failed call, as the status page shows it. ``unix`` is the time of the failure."""

    unix: float
    failure: Failure
    rooms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """
    The numbers of one source at one moment. Times are Unix seconds, durations are seconds, ``None`` is unknown.

    Args:
        polled: Whether this process may poll it now. If not, another replica knows its state.
        hidden: Whether another replica alone publishes its rooms. Then there are none here.
        sizes: Number of known rooms with at most as many users as each of ``table.SIZES``, and of all known rooms.
        published_rooms: Rooms that have series of their own.
        published_changes: How many began and ceased to; empty where all rooms have.
    """

    vendor: str
    api: str
    source: str
    budget: str
    state: SourceState
    up: bool
    rooms: Mapping[RoomState, int]
    users: int
    user_seconds: float | None
    sizes: Sequence[int]
    with_threshold: Mapping[Severity, int]
    published_rooms: int
    published_changes: Mapping[str, int]
    interval: float
    gaps: tuple[float, ...]
    oldest_reading: float | None
    last_success: float | None
    clock_skew: float | None
    clock_shift: float
    calls: int
    failed_calls: Mapping[FailureKind, int]
    last_failure: Failure | None
    unrequested: int
    inherited: int
    call_durations: DurationFigures
    longest_interval: float | None = None
    rooms_by_interval: tuple[int, ...] = ()
    polled: bool = True
    hidden: bool = False

    @property
    def wanted_interval(self) -> float:
        """The interval that every room should be read in."""
        return self.interval if self.longest_interval is None else self.longest_interval

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


class SourceStats:
    """
    The statistics of one source. They are for display alone: polling never decides by them.

    Args:
        clock: Read each time that ``figures`` is called.

    Attributes:
        own_intervals: ``None`` without a cadence.
        state: Last written by the poller.
        calls: Number of calls, including those that could not connect.
        unrequested: Rooms in replies that the call had not asked for.
        polled: Whether this process may poll the source now.
        hidden: Whether another replica alone publishes its rooms.
        pause: Returns the seconds from call to call while all rooms are idle; 0 otherwise.
        inherited: Readings that another replica of the cluster made and this one took over.
    """

    def __init__(
        self,
        vendor: str,
        api: str,
        source: str,
        budget: str,
        interval: float,
        table: SourceTable,
        clock: ClockFigures = UNKNOWN_CLOCK,
    ) -> None:
        self.vendor = vendor
        self.api = api
        self.source = source
        self.budget = budget
        self.table = table
        self.clock = clock
        self.own_intervals: OwnIntervals | None = None
        self.state = SourceState.OK
        self.calls = 0
        self.failed_calls: dict[FailureKind, int] = dict.fromkeys(FailureKind, 0)
        self.unrequested = 0
        self.polled: Callable[[], bool] = lambda: True
        self.hidden = False
        self.pause: Callable[[], float] = lambda: 0.0
        self.inherited = 0
        self.failures: deque[FailureNote] = deque(maxlen=_FAILURES_KEPT)
        self._call_durations = Durations(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
        self._gaps = RecentGaps(interval)
        self._last_success: tuple[float, float] | None = None
        self._succeeding_since: float | None = None

    @property
    def labels(self) -> tuple[str, str, str]:
        return self.vendor, self.api, self.source

    @property
    def interval(self) -> float:
        """The configured seconds between two readings of a room. A reload may change it."""
        return self._gaps.interval

    @interval.setter
    def interval(self, interval: float) -> None:
        self._gaps.interval = interval

    @property
    def last_success(self) -> float | None:
        """Monotonic time of the last call that gave a reading."""
        return self._last_success[0] if self._last_success else None

    def succeeded(self, monotonic: float, unix: float) -> None:
        """Count a call that gave at least one reading."""
        self._last_success = (monotonic, unix)
        if self._succeeding_since is None:
            self._succeeding_since = monotonic

    def took_over(self, readings: Sized, arrival: Arrival) -> None:
        """Count readings that another process made."""
        self.inherited += len(readings)
        if readings and (self._last_success is None or arrival.monotonic > self._last_success[0]):
            self._last_success = (arrival.monotonic, arrival.unix)

    def failed(self, note: FailureNote) -> None:
        """Count a call that failed for some or all of its rooms."""
        self.failed_calls[note.failure.kind] += 1
        self.failures.append(note)
        self._succeeding_since = None

    def ended(self, seconds: float) -> None:
        """Add the duration of a call that was written to the wire: from its slot to its end, success or failure."""
        self._call_durations.observe(seconds)

    def gaps(self, seconds: Iterable[float], now: float) -> None:
        """Add the seconds between two readings of a room, for several rooms read at this monotonic time."""
        self._gaps.add(seconds, now)

    def figures(self, now: float) -> SourceFigures:
        """The numbers at this monotonic time."""
        recent = self._last_success is not None and now - self._last_success[0] <= 2 * max(self.interval, self.pause())
        return SourceFigures(
            vendor=self.vendor,
            api=self.api,
            source=self.source,
            budget=self.budget,
            state=self.state,
            up=recent and self.state is SourceState.OK,
            rooms=dict.fromkeys(RoomState, 0) if self.hidden else self.table.states.copy(),
            users=0 if self.hidden else self.table.users,
            user_seconds=None
            if self.table.user_seconds is None or not self.table.known
            else self.table.told_user_seconds,
            sizes=self.table.sizes(),
            with_threshold=self.table.with_threshold.copy(),
            published_rooms=self.table.published,
            published_changes=self.table.published_changes(),
            interval=self.interval,
            gaps=self._gaps.within(now),
            oldest_reading=None if self.hidden else self.table.oldest_reading(),
            last_success=self._last_success[1] if self._last_success else None,
            clock_skew=self.clock.skew,
            clock_shift=self.clock.shift,
            calls=self.calls,
            failed_calls=self.failed_calls.copy(),
            last_failure=self._last_failure(now),
            unrequested=self.unrequested,
            inherited=self.inherited,
            call_durations=self._call_durations.figures(),
            longest_interval=self.own_intervals.longest if self.own_intervals else None,
            rooms_by_interval=(*self.own_intervals.distribution(INTERVAL_BOUNDS),) if self.own_intervals else (),
            polled=self.polled(),
            hidden=self.hidden,
        )

    def _last_failure(self, now: float) -> Failure | None:
        """
        The last failure, or ``None`` when it is over.

        With one failure in a hundred calls, the series must not appear and vanish at every scrape. So a failure is over
        only when calls have succeeded for two intervals, ten seconds at least. A refused room is asked again seldom:
        the failure ``refused`` is over only when no room is refused.
        """
        if not self.failures:
            return None
        failure = self.failures[-1].failure
        since = self._succeeding_since
        quiet = since is not None and now - since >= max(_SHORTEST_QUIET, 2 * self.interval)
        refusing = failure.kind is FailureKind.REFUSED and self.table.states[RoomState.REFUSED] > 0
        return None if quiet and not refusing and self.state is SourceState.OK else failure
