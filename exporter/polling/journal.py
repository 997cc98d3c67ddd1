"""
What a source's failures look like in the log: the first of a kind is a warning, its repeats are silent and counted,
and its end is one line with the duration. Ten thousand failing calls make a handful of lines, also where every tenth
call fails and the nine between succeed.
"""

from __future__ import annotations

import math
import traceback
from dataclasses import dataclass
from typing import Final, Protocol

from exporter.model import Failure, FailureKind

_OF_THE_SOURCE: Final = frozenset(
    {FailureKind.TRANSIENT, FailureKind.MALFORMED, FailureKind.UNAUTHORIZED, FailureKind.MISCONFIGURED}
)


class Log(Protocol):
    """The part of a structlog logger that we use."""

    def bind(self, **values: object) -> Log: ...
    def debug(self, event: str, **values: object) -> object: ...
    def info(self, event: str, **values: object) -> object: ...
    def warning(self, event: str, **values: object) -> object: ...
    def error(self, event: str, **values: object) -> object: ...
    def exception(self, event: str, **values: object) -> object: ...


@dataclass(slots=True)
class _Trouble:
    """``relapse``: it began soon after the last one of its kind was over, so it is over when all has been quiet."""

    since: float
    last: float
    relapse: bool
    failures: int = 1


class Journal:
    """
    The failures of one source, by kind. Times are monotonic seconds.

    Args:
        log: Bound to the source.
        quiet: Seconds without a failure of a kind after which it is over, unless the source recovers as a whole first.
    """

    def __init__(self, log: Log, quiet: float) -> None:
        self.log = log
        self.quiet = quiet
        self._troubles: dict[str, _Trouble] = {}
        self._ended: dict[str, float] = {}
        self._entered: dict[str, float] = {}
        self._succeeded = -math.inf

    def failed(self, failure: Failure, rooms: tuple[str, ...], now: float) -> None:
        """Note a failure."""
        if not self._begins(failure.kind, now):
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

    def raised(self, error: Exception, now: float) -> None:
        """Note an exception that only a bug explains; each place in the code is logged once, with its traceback."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        if self._begins(f"{type(error).__name__} in {place.name}, line {place.lineno}", now):
            self.log.error("unexpected error in a poll", exc_info=error)

    def entered(self, state: str, code: str, meaning: str, now: float) -> None:
        """Note that the source as a whole is in trouble."""
        if now - self._entered.get(state, -math.inf) >= self.quiet:
            self.log.warning("source is in trouble", state=state, code=code, meaning=meaning)
        self._entered[state] = now

    def succeeded(self, now: float) -> None:
        """Note a reading: what failed before may be over."""
        self._succeeded = now

    def recovered(self, now: float) -> None:
        """The source as a whole is ok again."""
        for kind in _OF_THE_SOURCE & self._troubles.keys():
            if not self._troubles[kind].relapse:
                self._end(kind, now)

    def sweep(self, now: float, *, refusing: bool) -> None:
        """
        End the troubles of which nothing was heard for a while although calls succeed.

        Args:
            refusing: Whether a room is still refused; such a room is seldom asked, and silence means nothing.
        """
        for kind, trouble in list(self._troubles.items()):
            over = now - trouble.last >= self.quiet and self._succeeded > trouble.last
            if over and not (refusing and kind == FailureKind.REFUSED):
                self._end(kind, trouble.last)

    def _begins(self, kind: str, now: float) -> bool:
        trouble = self._troubles.get(kind)
        if trouble is None:
            relapse = now - self._ended.get(kind, -math.inf) < self.quiet
            self._troubles[kind] = _Trouble(now, now, relapse)
            return True
        trouble.last = now
        trouble.failures += 1
        return False

    def _end(self, kind: str, now: float) -> None:
        trouble = self._troubles.pop(kind)
        self._ended[kind] = now
        self.log.info(
            "calls recovered",
            reason=str(kind),
            duration=f"{now - trouble.since:.1f}s",
            failures=trouble.failures,
        )
