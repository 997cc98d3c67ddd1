"""
Logging: structlog on standard error in one of three formats. Warnings of libraries have the same format.

Polling must go on if nobody reads the log: standard error may be a pipe without a reader, a full disk, or closed. So
the caller of a log method does not write the line. It puts the line into a bounded queue, and a thread writes it. A
line is dropped and counted if the queue is full or the write fails. Tracebacks have no local variables, since these may
be secrets.

The command line imports this module for the names of levels and formats. structlog is loaded when logging is set up.
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
"""Lines in the queue, at most."""

_STANDARD_ERROR: Final = 2
_FLUSHED_WITHIN: Final = 0.5


class Level(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"  # the name in Prometheus exporters written in Go
    WARNING = "warning"
    ERROR = "error"


class Format(StrEnum):
    LOGFMT = "logfmt"
    JSON = "json"
    CONSOLE = "console"


class Log(Protocol):
    """The methods of a structlog logger that we use."""

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
        descriptor: File descriptor to write to.

    Returns:
        The root logger. Other loggers are bound from it.
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
        logger_factory=structlog.WriteLoggerFactory(lines),  # type: ignore[arg-type]  # it has write and flush
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
    """Number of lines lost since the process began."""
    return _writer.dropped if _writer else 0


@atexit.register
def flush() -> None:
    """Wait until all lines are written, at most half a second."""
    if _writer:
        _writer.flush_within(_FLUSHED_WITHIN)


def quieten_libraries() -> None:
    """Suppress log lines of libraries that help nobody."""
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.server").addFilter(_is_no_fault_of_a_client)


def _is_no_fault_of_a_client(record: logging.LogRecord) -> bool:
    """Log filter: drop errors that a client causes: bytes that are not HTTP, and a connection closed mid-answer."""
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
    """Log processor: clean every text with ``showable``."""
    for name, value in values.items():
        if isinstance(value, str):
            values[name] = showable(value)
    return values


class LineWriter:
    """
    A text stream. A thread writes its lines to a descriptor, so ``write`` never waits.

    ``logging.handlers.QueueListener`` does not count lost lines, and its ``stop`` waits for the last line without a
    time-out.

    Attributes:
        dropped: Number of lost lines.
        on_loss: Called with the number of lines lost since the last call, once a line can be written again.
    """

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        self.on_loss: Any = None
        self._descriptor = descriptor
        self._lines: queue.Queue[bytes | threading.Event] = queue.Queue(MOST_LINES)
        self._reported = 0
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def write(self, line: str) -> int:
        """Put a whole line into the queue."""
        try:
            # Text that was not cleaned, such as that of a traceback, must not raise here.
            self._lines.put_nowait(line.encode("utf-8", errors="backslashreplace"))
        except queue.Full:
            self.dropped += 1
        return len(line)

    def flush(self) -> None:
        """Does nothing; a stream must have it. See ``flush_within``."""

    def flush_within(self, seconds: float) -> None:
        """Wait until the lines in the queue are written, at most this many seconds."""
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
            elif self._reported < self.dropped and self.on_loss and not self._lines.full():
                lost, self._reported = self.dropped - self._reported, self.dropped
                self.on_loss(lost)

    def _write(self, line: bytes) -> bool:
        # Not through sys.stderr: a write that hangs there would keep Python from exiting.
        view = memoryview(line)
        try:
            while view:
                try:
                    view = view[os.write(self._descriptor, view) :]
                except BlockingIOError:  # another process has set the shared pipe to non-blocking
                    waiting = select.poll()
                    waiting.register(self._descriptor, select.POLLOUT)
                    waiting.poll()
        except (OSError, ValueError):
            return False
        return True


_writer: LineWriter | None = None
