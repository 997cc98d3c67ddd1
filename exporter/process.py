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
from exporter.limits import MOST_DESCRIPTORS

_GARBAGE: Final = 25_000
"""New objects that are still alive before the garbage collector looks for cycles among them. The objects of calls in
flight are soon freed without it. With Python's default of 700, the collector took an eighth of the time at 2,000 calls
per second."""

_ENDS_WITHIN: Final = 4.8
"""Seconds from a signal to the end of the process at the latest."""

_ends_within: float | None = None

_SWITCH: Final = 0.0005
"""Seconds after which a thread that renders a scrape must release the interpreter lock to the event loop."""


def prepare() -> None:
    """Set up a process that polls and serves scrapes. Call this once, before anything else runs."""
    global _ends_within  # noqa: PLW0603 one per process, as the other settings are
    gc.set_threshold(_GARBAGE)
    sys.setswitchinterval(_SWITCH)
    raise_open_files()
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


def freeze_long_lived() -> None:
    """
    Exclude long-lived objects from garbage collection (``gc.freeze``): a collection over 100,000 rooms takes 24 ms.

    This collects once before it freezes. So it also frees objects that an earlier call froze and that are now garbage,
    for instance a source that a reload has replaced, whose poller and client refer to each other.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


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
