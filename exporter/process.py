"""
Settings of the whole process: garbage collector, thread switch interval, limit of open files, standard streams,
signals.

No other module changes these settings. Commands call this module; a test that does not call it is not affected.
"""

from __future__ import annotations

import gc
import io
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

from exporter import alarm
from exporter.errors import UserError
from exporter.limits import LEAST_DESCRIPTORS, MOST_DESCRIPTORS, descriptors

_THRESHOLDS: Final = 3_000, 2, 1_000_000
"""
New objects that are still alive before the garbage collector looks for cycles among them; how many such looks until it
also looks at what survived the last one; and how many of these until it looks at everything, here never.

Reference counting frees nearly everything here, also a source that a reload has removed and the objects of calls in
flight. A look takes up to a microsecond for each object, and nothing else runs meanwhile.
"""

_MOST_COLLECTED: Final = 10_000

_ENDS_WITHIN: Final = 4.8
"""Seconds from a signal to the end of the process at the latest."""

_ends_within: float | None = None

_SWITCH: Final = 0.0005
"""Seconds after which a thread that renders a scrape must release the interpreter lock to the event loop."""


def prepare() -> None:
    """
    Set up a process that polls and serves scrapes. Call this once, before anything else runs.

    Raises:
        UserError: It may open too few files.
    """
    global _ends_within  # noqa: PLW0603 one per process, as the other settings are
    gc.set_threshold(*_THRESHOLDS)
    sys.setswitchinterval(_SWITCH)
    raise_open_files()
    if descriptors() < LEAST_DESCRIPTORS:
        raise UserError(
            f"limit of open files: found {descriptors()}; accepted: at least {LEAST_DESCRIPTORS} "
            "(ulimit -n, LimitNOFILE of systemd, --ulimit nofile of Docker)"
        )
    _ends_within = _ENDS_WITHIN


def raise_open_files() -> None:
    """
    Raise the soft limit of open files to the hard limit, at most to 65,536.

    The usual soft limit is 1,024 for the sake of programs that call ``select``, which the exporter does not. Each
    connection to a vendor and each client of the port is an open file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # a sandbox may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def collect_garbage() -> None:
    """
    Free garbage among the objects that survived two looks of the collector. Call this every second.

    If there are more than 10,000 of them, rooms or sources have come. Then they are excluded from collection for good
    (``gc.freeze``) instead: to look at a thousand sources takes 0.2 s.
    """
    if not gc.get_count()[2]:
        return  # none has survived since the last call
    if len(gc.get_objects(generation=2)) > _MOST_COLLECTED:
        gc.freeze()
    else:
        gc.collect()


def reserve_standard_streams() -> None:
    """
    Open closed standard streams, so that no socket gets the number 0, 1 or 2: libuv aborts if such a number is closed.

    A character that the terminal's encoding does not have is written as an escape sequence, so that no command fails.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def ignore_signals() -> None:
    """Ignore further signals while the process ends."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def until_signal(reload: Callable[[], None] | None = None) -> Iterator[asyncio.Event]:
    """
    An event that SIGTERM and SIGINT set. SIGHUP calls ``reload``. The signal handlers are removed at the end.

    After ``prepare``, the process ends at the latest 4.8 s after SIGTERM or SIGINT.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def stop() -> None:
        if _ends_within is not None:
            alarm.end_within("signal", _ends_within)
        stopping.set()

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop}
    if reload is not None:
        handlers[signal.SIGHUP] = reload
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield stopping
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
