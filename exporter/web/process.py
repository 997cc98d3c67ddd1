"""The running process as the web server sees it. ``app`` passes it in, so that ``web`` need not import ``app``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from exporter.cluster.status import ClusterStatus
from exporter.model import Shard
from exporter.states import Why


class Turn(StrEnum):
    """The reason for the next call of a room."""

    REGULAR = "regular"
    RETRY = "retry"
    """The last call failed."""
    ALONE = "alone"
    """The vendor refused the room: it is polled seldom, and in a call of its own."""
    TRIAL = "trial"
    """The source has a problem: it makes one trial call at a time, for this room or another one."""


@dataclass(frozen=True, slots=True)
class NextCall:
    """
    The next call of a room.

    Args:
        due: Monotonic seconds; in the past while the room waits for a slot. ``None`` while a call is under way.
    """

    due: float | None
    turn: Turn


@dataclass(frozen=True, slots=True)
class NamedBy:
    """A provider that names a room, and since when: Unix seconds."""

    provider: str
    since: float


@dataclass(frozen=True, slots=True)
class Origin:
    """
    The place that makes the exporter watch a room.

    Args:
        file: The config file or a rooms file; of a room that was found, what found it.
        line: Line number; ``None`` if unknown.
        named: Who names the room, where rooms find themselves.
    """

    file: str
    line: int | None = None
    named: tuple[NamedBy, ...] = ()

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class OwnInterval:
    """
    How often a room is wanted to be read.

    Args:
        seconds: Between two readings.
        why: ``None``: all rooms of its source are read so often.
    """

    seconds: float
    why: Why | None = None


def _nothing(_source: str, _room: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Process:
    """
    The running process.

    Args:
        healthy: Returns why the process is not healthy; ``None`` if it is.
        ready: Returns what the process still waits for; ``None`` if it is ready.
        reload: Reloads the config. Returns ``None``, or why the previous config is kept, in one or more lines.
        monotonic: Returns monotonic seconds.
        unix: Returns Unix seconds.
        started: Start of the process in Unix seconds.
        next_call: Returns the next call of a room, given source and room id; ``None`` if unknown.
        origin: Returns the origin of a room, given source and room id; ``None`` if unknown.
        incomplete: Returns why rooms of a source may be missing although they are there, as after a start; ``None`` if
            all that can be known of are watched.
        own_interval: Returns how often a room is wanted to be read; ``None`` if unknown.
        shard: Which shard it is; ``None`` if the config is not divided.
        cluster: Returns what this replica knows of its cluster; ``None`` without a cluster.
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
    incomplete: Callable[[str], str | None] = lambda _source: None
    own_interval: Callable[[str, str], OwnInterval | None] = _nothing
    shard: Shard | None = None
    cluster: Callable[[], ClusterStatus | None] = lambda: None
