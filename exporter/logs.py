"""
Logging: structlog on standard error, in one of three formats, with the libraries' own warnings in the same form.

Polling must go on when nobody takes a line: standard error may be a pipe that nobody reads, a full disk, closed. So no
line is written by whoever logs it. Lines wait in a bounded queue for a thread that does nothing but write them; a line
that finds the queue full, or that cannot be written, is dropped and counted. Tracebacks are printed without local
variables, since these may hold secrets.

The command line reads the names of levels and formats here; the libraries are loaded when logging is set up.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import select
import sys
import threading
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    import structlog

from exporter.text import showable

MOST_LINES: Final = 2_000
"""Lines that wait to be written."""

_STANDARD_ERROR: Final = 2
_FLUSHED_WITHIN: Final = 0.5


class Level(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"  # as every Prometheus exporter in Go calls it
    WARNING = "warning"
    ERROR = "error"


class Format(StrEnum):
    LOGFMT = "logfmt"
    JSON = "json"
    CONSOLE = "console"


class Log(Protocol):
    """A structlog logger, as far as we use it."""

    def bind(self, **values: object) -> Log: ...
    def debug(self, event: str, **values: object) -> object: ...
    def info(self, event: str, **values: object) -> object: ...
    def warning(self, event: str, **values: object) -> object: ...
    def error(self, event: str, **values: object) -> object: ...
    def exception(self, event: str, **values: object) -> object: ...


def configure(level: Level, form: Format, descriptor: int = _STANDARD_ERROR) -> Log:
    """
    Set up logging for the process.

    Args:
        descriptor: Where lines go.

    Returns:
        The logger that everything else is bound from.
    """
    import structlog

    global _writer  # noqa: PLW0603 there is one log in a process
    flush()
    lines = _writer = LineWriter(descriptor)
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    ]
    final = _final_processors(form)
    structlog.configure(
        processors=[*shared, *final],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(lines),  # type: ignore[arg-type]  # it writes and flushes
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    quieten_libraries()
    logging.raiseExceptions = False
    log: Log = structlog.get_logger()
    lines.on_loss = lambda lost: log.warning("lines of the log were lost", lines=lost)
    return log


def dropped() -> int:
    """Lines that were lost since the process began."""
    return _writer.dropped if _writer else 0


@atexit.register
def flush() -> None:
    """Wait until all lines are written, but for half a second at the most."""
    if _writer:
        _writer.flush_within(_FLUSHED_WITHIN)


def quieten_libraries() -> None:
    """Keep what is no news out of the libraries' loggers."""
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.server").addFilter(_is_no_fault_of_a_client)


def _is_no_fault_of_a_client(record: logging.LogRecord) -> bool:
    """Log filter: bytes that are not HTTP, and clients that go away in the middle of an answer, are no news."""
    from aiohttp.http_exceptions import HttpProcessingError

    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | ConnectionError)


def _final_processors(form: Format) -> list[structlog.typing.Processor]:
    import structlog

    match form:
        case Format.JSON:
            json = structlog.processors.JSONRenderer(ensure_ascii=False)
            return [structlog.processors.format_exc_info, _show, json]
        case Format.CONSOLE:
            plain = structlog.dev.plain_traceback
            colors = sys.stderr is not None and sys.stderr.isatty()
            return [_show, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
        case Format.LOGFMT:
            order = ["ts", "level", "event"]
            return [
                structlog.processors.format_exc_info,
                _show,
                structlog.processors.LogfmtRenderer(key_order=order, drop_missing=True),
            ]


def _show(_logger: Any, _method: str, values: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Log processor: no text gets into a line but through the door."""
    for name, value in values.items():
        if isinstance(value, str):
            values[name] = showable(value)
    return values


class LineWriter:
    """
    A text stream whose lines a thread writes to a descriptor; ``write`` never waits.

    ``logging.handlers.QueueListener`` would do the same but for its end, which waits for the last line however long
    that takes, and it does not count.

    Attributes:
        dropped: Lines that were lost.
        on_loss: Told how many, once a line can be written again.
    """

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        self.on_loss: Any = None
        self._descriptor = descriptor
        self._lines: queue.Queue[bytes | threading.Event] = queue.Queue(MOST_LINES)
        self._told = 0
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def write(self, line: str) -> int:
        """Take a whole line."""
        try:
            # Whatever did not come through the door, such as the words of a traceback, must not raise here.
            self._lines.put_nowait(line.encode("utf-8", errors="backslashreplace"))
        except queue.Full:
            self.dropped += 1
        return len(line)

    def flush(self) -> None:
        """Part of what a stream is; see ``flush_within``."""

    def flush_within(self, seconds: float) -> None:
        """Wait until the lines that were taken are written."""
        until = time.monotonic() + seconds
        written = threading.Event()
        try:
            self._lines.put(written, timeout=seconds)
        except queue.Full:
            return
        written.wait(until - time.monotonic())

    def _run(self) -> None:
        while True:
            line = self._lines.get()
            if isinstance(line, threading.Event):
                line.set()
            elif not self._write(line):
                self.dropped += 1
            elif self._told < self.dropped and self.on_loss and not self._lines.full():
                lost, self._told = self.dropped - self._told, self.dropped
                self.on_loss(lost)

    def _write(self, line: bytes) -> bool:
        # Not through sys.stderr, which would keep Python from ending while a write to it hangs.
        view = memoryview(line)
        try:
            while view:
                try:
                    view = view[os.write(self._descriptor, view) :]
                except BlockingIOError:  # somebody who shares the pipe has made it so
                    waiting = select.poll()
                    waiting.register(self._descriptor, select.POLLOUT)
                    waiting.poll()
        except (OSError, ValueError):
            return False
        return True


_writer: LineWriter | None = None
