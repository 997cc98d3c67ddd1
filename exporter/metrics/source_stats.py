"""
What pollers write down of their sources while they work, for the metrics and the pages to show.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final, Protocol

from exporter.metrics.durations import DurationFigures, Durations
from exporter.metrics.gaps import RecentGaps
from exporter.metrics.table import SourceTable
from exporter.model import Failure, FailureKind
from exporter.states import RoomState, SourceState

_FAILURES_KEPT: Final = 20
_SHORTEST_QUIET: Final = 10.0


class ClockFigures(Protocol):
    """What is known of the vendor's clock, in seconds."""

    @property
    def skew(self) -> float | None:
        """Our clock minus the vendor's."""

    @property
    def shift(self) -> float:
        """What is taken off the stamps of calls; 0 unless a signature was refused while the clocks differed."""


@dataclass(frozen=True, slots=True)
class _UnknownClock:
    skew: float | None = None
    shift: float = 0.0


UNKNOWN_CLOCK: Final[ClockFigures] = _UnknownClock()


@dataclass(frozen=True, slots=True)
class FailureNote:
    """One failed call as the status page tells it. ``unix`` is when its failure was noted."""

    unix: float
    failure: Failure
    rooms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """One source's numbers at one moment. Times are Unix seconds, durations seconds, ``None`` is unknown."""

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
    clock_shift: float
    calls: int
    failed_calls: Mapping[FailureKind, int]
    last_failure: Failure | None
    unrequested: int
    call_durations: DurationFigures

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
    What a poller notes of its source while it works. All of it is for show: nobody decides by it.

    Args:
        clock: Asked whenever the numbers are wanted.

    Attributes:
        state: As the poller last wrote it.
        calls: Attempts, those included that could not connect.
        unrequested: Rooms in replies that the call had not asked for.
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
        self.state = SourceState.OK
        self.calls = 0
        self.failed_calls: dict[FailureKind, int] = dict.fromkeys(FailureKind, 0)
        self.unrequested = 0
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
        if self._succeeding_since is None:
            self._succeeding_since = monotonic

    def failed(self, note: FailureNote) -> None:
        """Note a failed call, or a call that failed for some of its rooms."""
        self.failed_calls[note.failure.kind] += 1
        self.failures.append(note)
        self._succeeding_since = None

    def ended(self, seconds: float) -> None:
        """Note the seconds from a call's slot to its end, however it ended; for calls that were written to the wire."""
        self._call_durations.observe(seconds)

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
            clock_skew=self.clock.skew,
            clock_shift=self.clock.shift,
            calls=self.calls,
            failed_calls=self.failed_calls.copy(),
            last_failure=self._last_failure(now),
            unrequested=self.unrequested,
            call_durations=self._call_durations.figures(),
        )

    def _last_failure(self, now: float) -> Failure | None:
        """
        The last failure, unless it is over.

        One failure in a hundred calls must not come and go with every scrape, so calls have to succeed for a while. A
        refused room is seldom asked again: its failure is over when no room is refused any more.
        """
        if not self.failures:
            return None
        failure = self.failures[-1].failure
        since = self._succeeding_since
        quiet = since is not None and now - since >= max(_SHORTEST_QUIET, 2 * self.interval)
        refusing = failure.kind is FailureKind.REFUSED and self.table.states[RoomState.REFUSED] > 0
        return None if quiet and not refusing and self.state is SourceState.OK else failure
