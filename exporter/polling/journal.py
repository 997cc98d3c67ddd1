"""
What a source's failures look like in the log: the first of a kind is a warning, its repeats are silent and counted,
and its end is one line with the duration. Ten thousand failing calls make a handful of lines.
"""

from __future__ import annotations

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
    since: float
    last: float
    failures: int = 1


class Journal:
    """
    The failures of one source, by kind.

    Args:
        log: Bound to the source.
        quiet: Seconds without a failure of a kind after which it is over, unless the source recovers as a whole first.
    """

    def __init__(self, log: Log, quiet: float) -> None:
        self.log = log
        self.quiet = quiet
        self._troubles: dict[FailureKind, _Trouble] = {}

    def failed(self, failure: Failure, rooms: tuple[str, ...], now: float) -> None:
        """Note a failure at this monotonic time."""
        trouble = self._troubles.get(failure.kind)
        if trouble is not None:
            trouble.last = now
            trouble.failures += 1
            self.log.debug("call failed", reason=str(failure.kind), code=failure.code)
            return
        self._troubles[failure.kind] = _Trouble(now, now)
        more = {"more_rooms": len(rooms) - 1} if len(rooms) > 1 else {}
        self.log.warning(
            "call failed",
            reason=str(failure.kind),
            code=failure.code,
            meaning=failure.words,
            **({"room": rooms[0]} if rooms else {}),
            **more,
        )

    def recovered(self, now: float) -> None:
        """The source as a whole is ok again."""
        for kind in _OF_THE_SOURCE & self._troubles.keys():
            self._end(kind, now)

    def sweep(self, now: float) -> None:
        """End the troubles of which nothing was heard for a while."""
        for kind in [kind for kind, trouble in self._troubles.items() if now - trouble.last >= self.quiet]:
            self._end(kind, self._troubles[kind].last)

    def _end(self, kind: FailureKind, now: float) -> None:
        trouble = self._troubles.pop(kind)
        self.log.info(
            "calls recovered",
            reason=str(kind),
            duration=f"{now - trouble.since:.1f}s",
            failures=trouble.failures,
        )
