"""
What a source's failures look like in the log: the first of a kind is a warning, its repeats are silent and counted,
and its end is one line with the duration. Ten thousand failing calls make a handful of lines, also where every tenth
call fails and the nine between succeed.
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
_RELAPSE: Final = 10
_MOST_PATIENCE: Final = 3600.0


@dataclass(slots=True)
class _Trouble:
    """
    A kind of failure that is not over yet.

    Args:
        patience: Seconds without a failure of the kind, while calls succeed, after which it is over.
        told: States of the source that a line was written of.
        of_another: Of the source whose place this one took: only its end is still to be told.
    """

    since: float
    patience: float
    failures: int = 0
    last: float = 0.0
    told: set[str] = field(default_factory=set)
    of_another: bool = False


class Journal:
    """
    The failures of one source, by kind. Times are monotonic seconds.

    A trouble that comes back soon after it was over is not over so easily the next time: its patience doubles.

    Args:
        log: Bound to the source.
        interval: Wanted seconds between two readings of a room. A kind of failure is over after two intervals without
            one, ten seconds at least, unless the source recovers as a whole first.
    """

    def __init__(self, log: Log, interval: float) -> None:
        self.log = log
        self.interval = interval
        self._troubles: dict[FailureKind, _Trouble] = {}
        self._ended: dict[FailureKind, tuple[float, float]] = {}
        self._traced: set[tuple[str, str, int | None]] = set()
        self._succeeded = -math.inf

    @property
    def quiet(self) -> float:
        return max(10.0, 2 * self.interval)

    def take_over(self, before: Journal) -> None:
        """Tell the end of another source's failures, unless such ones go on: then they are news."""
        for kind in _OF_THE_SOURCE & before._troubles.keys():
            self._troubles[kind] = replace(before._troubles[kind], told=set(), of_another=True)

    def failed(self, failure: Failure, rooms: tuple[str, ...], now: float) -> None:
        """Note a failure."""
        trouble = self._own(failure.kind) or self._begin(failure.kind, now)
        trouble.failures += 1
        trouble.last = now
        if trouble.failures > 1:
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
        """Note an exception that only a bug explains; each place in the code is traced once."""
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = (type(error).__name__, where.filename, where.lineno)
        if place not in self._traced:
            self._traced.add(place)
            self.log.error("unexpected error in a poll", exc_info=error)

    def entered(self, state: str, failure: Failure, now: float) -> None:
        """Note that because of this failure the source as a whole is in trouble."""
        trouble = self._own(failure.kind) or self._begin(failure.kind, now)
        if state not in trouble.told:
            trouble.told.add(state)
            self.log.warning("source is in trouble", state=state, code=failure.code, meaning=failure.words)

    def succeeded(self, now: float) -> None:
        """Note a reading: what failed before may be over."""
        self._succeeded = now

    def recovered(self, now: float) -> None:
        """The source as a whole is ok again."""
        for kind in _OF_THE_SOURCE & self._troubles.keys():
            if self._troubles[kind].patience <= self.quiet:
                self._end(kind, now)

    def sweep(self, now: float, *, refusing: bool) -> None:
        """
        End the troubles of which nothing was heard for a while although calls succeed.

        Args:
            refusing: Whether a room is still refused; such a room is seldom asked, and silence means nothing.
        """
        for kind, trouble in list(self._troubles.items()):
            over = now - trouble.last >= trouble.patience and self._succeeded > trouble.last
            if over and not (refusing and kind is FailureKind.REFUSED):
                self._end(kind, trouble.last)

    def _own(self, kind: FailureKind) -> _Trouble | None:
        trouble = self._troubles.get(kind)
        return None if trouble is None or trouble.of_another else trouble

    def _begin(self, kind: FailureKind, now: float) -> _Trouble:
        ended, patience = self._ended.get(kind, (-math.inf, self.quiet))
        relapse = now - ended < _RELAPSE * patience
        trouble = self._troubles[kind] = _Trouble(now, min(2 * patience, _MOST_PATIENCE) if relapse else self.quiet)
        return trouble

    def _end(self, kind: FailureKind, now: float) -> None:
        trouble = self._troubles.pop(kind)
        self._ended[kind] = (now, trouble.patience)
        self.log.info(
            "calls recovered",
            reason=str(kind),
            duration=f"{now - trouble.since:.1f}s",
            failures=trouble.failures,
        )
