"""What the web side knows of the running process; ``app`` hands it in, so that nothing here reaches up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum


class Turn(StrEnum):
    """Why a room is asked for next."""

    REGULAR = "regular"
    RETRY = "retry"
    """Its last call failed."""
    ALONE = "alone"
    """It was refused, so it is asked seldom, and alone."""
    TRIAL = "trial"
    """Its source is in trouble: one call at a time, for this room or another one."""


@dataclass(frozen=True, slots=True)
class NextCall:
    """
    When a room is asked for next.

    Args:
        due: Monotonic seconds; in the past if it waits for its turn. ``None``: a call is under way.
    """

    due: float | None
    turn: Turn


@dataclass(frozen=True, slots=True)
class Origin:
    """
    How a room came to be watched.

    Args:
        file: The config or a rooms file.
        line: Where in it; ``None`` where that is not known.
    """

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


def _nothing(_source: str, _room: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Process:
    """
    The running process.

    Args:
        healthy: ``None``, or why the process is not healthy.
        ready: ``None``, or what it is still waiting for.
        reload: Reads the config again; ``None``, or why the old one is kept, in one or more lines.
        monotonic: Seconds that only ever go forward.
        unix: Unix seconds.
        started: Unix seconds at which the process started.
        next_call: When a room of a source is asked for next; ``None`` if that is not known.
        origin: How a room of a source came to be watched; ``None`` if that is not known.
    """

    healthy: Callable[[], str | None]
    ready: Callable[[], str | None]
    reload: Callable[[], Awaitable[str | None]]
    monotonic: Callable[[], float]
    unix: Callable[[], float]
    started: float
    config_path: str
    next_call: Callable[[str, str], NextCall | None] = _nothing
    origin: Callable[[str, str], Origin | None] = _nothing
