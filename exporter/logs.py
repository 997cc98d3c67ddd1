"""
Logging: structlog on standard error, in one of three formats, with the libraries' own warnings in the same form.

Polling must go on when nobody can take a line any more (a full disk, a closed pipe), so a line that cannot be written
is dropped. Tracebacks are printed without local variables, since these may hold secrets.

The command line reads the names of levels and formats here; the libraries are loaded when logging is set up.
"""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    import structlog


class Level(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Format(StrEnum):
    LOGFMT = "logfmt"
    JSON = "json"
    CONSOLE = "console"


def configure(level: Level, form: Format, stream: TextIO | None = None) -> structlog.typing.FilteringBoundLogger:
    """
    Set up logging for the process.

    Args:
        stream: Where lines go; standard error if left out.

    Returns:
        The logger that everything else is bound from.
    """
    import structlog

    forgiving = _Forgiving(stream or sys.stderr)
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    ]
    final = _final_processors(form)
    structlog.configure(
        processors=[*shared, *final],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(forgiving),  # type: ignore[arg-type]  # it writes and flushes
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(forgiving)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    quieten_libraries()
    logging.raiseExceptions = False
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


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
            return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
        case Format.CONSOLE:
            plain = structlog.dev.plain_traceback
            colors = sys.stderr is not None and sys.stderr.isatty()
            return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
        case Format.LOGFMT:
            order = ["ts", "level", "event"]
            return [
                structlog.processors.format_exc_info,
                structlog.processors.LogfmtRenderer(key_order=order, drop_missing=True),
            ]


class _Forgiving:
    """A text stream whose lines are lost, rather than the process, when they cannot be written."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream  # None if standard error was closed when Python started

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text) if self._stream else 0
        except (OSError, ValueError):
            return 0

    def flush(self) -> None:
        try:
            if self._stream:
                self._stream.flush()
        except (OSError, ValueError):
            return
