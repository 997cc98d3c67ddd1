"""What the web side knows of the running process; ``app`` hands it in, so that nothing here reaches up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol


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
    """

    healthy: Callable[[], str | None]
    ready: Callable[[], str | None]
    reload: Callable[[], Awaitable[str | None]]
    monotonic: Callable[[], float]
    unix: Callable[[], float]
    started: float
    config_path: str


class Log(Protocol):
    """The part of a structlog logger that the web side uses."""

    def debug(self, event: str, **values: object) -> object: ...
    def warning(self, event: str, **values: object) -> object: ...
    def exception(self, event: str, **values: object) -> object: ...
