"""
A source's failures in the log: one line at the start of each incident and one at its end.

Theory of operation
===================

**Problem.** A vendor that is down makes 10,000 calls fail. One line for each would fill the disk and hide what matters.

**Idea.** An *incident* is a series of failures of one kind. Its first failure is a warning. The next ones are counted,
and logged at ``debug`` only. The incident is over when calls succeed and its kind of failure has not been seen for a
*quiet period*: two intervals, and at least 10 s. Then one line tells how long it lasted and how many calls failed. If
the source as a whole recovers (see ``health``), its incidents end at once.

If the same kind of failure comes back within ten quiet periods after the end, the new incident needs a quiet period
twice as long, up to one hour.

Worked example, an interval of 10 s: the quiet period is 20 s. Every tenth of 10 calls per second fails for five
minutes. The log has two lines: ``call failed`` at 0 s, and ``calls recovered`` at 320 s with ``duration=299.0s`` and
``failures=300``. Another vendor fails once a minute for nine minutes, at 0, 60, … 540 s. The first incident ends after
20 s, and the second, which begins at 60 s, after 40 s. The third begins at 120 s and needs 80 s without a failure, so
it lasts until the failures stop: five lines in all.

**Why simpler is not enough.** "Warn at a failure that follows a success" logs 300 warnings in the first example, since
the nine calls between two failures succeed. A rate limit on lines does not tell when it was over.

**When this is wrong.** The end of an incident is logged late, by its quiet period. An incident has one kind, and its
first line shows one code and one room: a second code of the same kind appears at ``debug`` only. After many incidents
in a row, a failure up to an hour after the last one still belongs to the same incident.
"""

from __future__ import annotations

import math
import traceback
from dataclasses import dataclass, field, replace
from typing import Final

from exporter.logs import Log
from exporter.model import Failure, FailureKind

_OF_THE_SOURCE: Final = frozenset(
    {FailureKind.TRANSIENT, FailureKind.MALFORMED, FailureKind.UNAUTHORIZED, FailureKind.MISCONFIGURED}
)
_RECURS_WITHIN: Final = 10
_LONGEST_QUIET_PERIOD: Final = 3600.0


@dataclass(slots=True)
class _Incident:
    """
    Failures of one kind that are not over yet. Times are monotonic seconds.

    Args:
        since: The first failure.
        quiet_period: Seconds without such a failure, while calls succeed, after which the incident is over.
        last: The last failure.
        logged_states: States of the source that the log already has because of this incident.
        inherited: It belongs to the source that this one replaced. Only its end is logged.
    """

    since: float
    quiet_period: float
    failures: int = 0
    last: float = 0.0
    logged_states: set[str] = field(default_factory=set)
    inherited: bool = False


class Journal:
    """
    The incidents of one source, at most one for each kind of failure. Times are monotonic seconds.

    Args:
        log: Bound to the source.
        interval: Wanted seconds between two readings of a room.
    """

    def __init__(self, log: Log, interval: float) -> None:
        self.log = log
        self.interval = interval
        self._incidents: dict[FailureKind, _Incident] = {}
        self._ended: dict[FailureKind, tuple[float, float]] = {}
        self._traced: set[tuple[str, str, int | None]] = set()
        self._succeeded = -math.inf

    @property
    def base_quiet_period(self) -> float:
        """Seconds; an incident that soon follows another one needs a longer period."""
        return max(10.0, 2 * self.interval)

    def take_over(self, predecessor: Journal) -> None:
        """Log the end of the incidents of the source that this one replaces. A new failure begins a new incident."""
        for kind in _OF_THE_SOURCE & predecessor._incidents.keys():
            self._incidents[kind] = replace(predecessor._incidents[kind], logged_states=set(), inherited=True)

    def failed(self, failure: Failure, rooms: tuple[str, ...], now: float) -> None:
        """A call, or some rooms of it, gave no reading."""
        incident = self._own(failure.kind) or self._begin(failure.kind, now)
        incident.failures += 1
        incident.last = now
        if incident.failures > 1:
            self.log.debug("call failed", reason=str(failure.kind), code=failure.code)
            return
        more = {"more_rooms": len(rooms) - 1} if len(rooms) > 1 else {}
        self.log.warning(
            "call failed",
            reason=str(failure.kind),
            code=failure.code,
            meaning=failure.words,
            **({"room": rooms[0]} if rooms else {}),
            **more,
        )

    def raised(self, error: Exception) -> None:
        """An exception that only a bug explains. Each place in the code logs one traceback."""
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = (type(error).__name__, where.filename, where.lineno)
        if place not in self._traced:
            self._traced.add(place)
            self.log.error("unexpected error in a poll", exc_info=error)

    def entered(self, state: str, failure: Failure, now: float) -> None:
        """Because of this failure, the source as a whole is no longer ok."""
        incident = self._own(failure.kind) or self._begin(failure.kind, now)
        if state not in incident.logged_states:
            incident.logged_states.add(state)
            self.log.warning("source is in trouble", state=state, code=failure.code, meaning=failure.words)

    def succeeded(self, now: float) -> None:
        """A call read a room, so incidents may be over."""
        self._succeeded = now

    def recovered(self, now: float) -> None:
        """The source as a whole is ok again: end its incidents, except those that have come back before."""
        for kind in _OF_THE_SOURCE & self._incidents.keys():
            if self._incidents[kind].quiet_period <= self.base_quiet_period:
                self._end(kind, now)

    def sweep(self, now: float, *, refusing: bool) -> None:
        """
        End the incidents whose quiet period is over.

        Args:
            refusing: Whether a room is still refused. The vendor is seldom asked for such a room, so that no refusal
                has been seen for a while proves nothing.
        """
        for kind, incident in list(self._incidents.items()):
            over = now - incident.last >= incident.quiet_period and self._succeeded > incident.last
            if over and not (refusing and kind is FailureKind.REFUSED):
                self._end(kind, incident.last)

    def _own(self, kind: FailureKind) -> _Incident | None:
        incident = self._incidents.get(kind)
        return None if incident is None or incident.inherited else incident

    def _begin(self, kind: FailureKind, now: float) -> _Incident:
        ended, quiet_period = self._ended.get(kind, (-math.inf, self.base_quiet_period))
        recurs = now - ended < _RECURS_WITHIN * quiet_period
        longer = min(2 * quiet_period, _LONGEST_QUIET_PERIOD)
        incident = self._incidents[kind] = _Incident(now, longer if recurs else self.base_quiet_period)
        return incident

    def _end(self, kind: FailureKind, now: float) -> None:
        incident = self._incidents.pop(kind)
        self._ended[kind] = (now, incident.quiet_period)
        self.log.info(
            "calls recovered",
            reason=str(kind),
            duration=f"{now - incident.since:.1f}s",
            failures=incident.failures,
        )
