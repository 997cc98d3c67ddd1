"""
What is set once for the whole process: the collector, the interpreter's switch interval, the limit of open files,
standard streams, signals.

Nothing else in the program changes such switches; commands call this module, and a test that does not is not affected.
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

from exporter.limits import MOST_DESCRIPTORS

_GARBAGE: Final = 25_000
"""Objects that come to be, and stay, before the collector looks for cycles among them. Those of calls under way soon go
by themselves; with Python's default of 700, looking through them took an eighth of the time at 2,000 calls a second."""

_ENDS_WITHIN: Final = 4.8
"""Seconds from a signal to the end of the process, whatever happens."""

_ends_within: float | None = None

_SWITCH: Final = 0.0005
"""Seconds after which a thread that renders a scrape gives the interpreter back to the event loop."""


def prepare() -> None:
    """For a process that polls and serves scrapes; call it once, before anything runs."""
    global _ends_within  # noqa: PLW0603 of this process, as the switches below are
    gc.set_threshold(_GARBAGE)
    sys.setswitchinterval(_SWITCH)
    raise_open_files()
    _ends_within = _ENDS_WITHIN


def raise_open_files() -> None:
    """
    Raise the limit of open files as far as the system lets this process, to 65,536 at the most.

    The usual soft limit of 1,024 is low for the sake of programs that call ``select``. Each connection to a vendor and
    each client of the port is an open file, and nothing here calls ``select``.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # a sandbox forbids it
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def keep_what_lives() -> None:
    """
    Take what was just built out of the collector's sight, as it lives long: a look through 100,000 rooms takes 24 ms.

    One such look is taken here. What an earlier call kept, and nobody needs any more, is found by it: a source that a
    reload has replaced, for instance, whose poller and client refer to each other.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def hold_standard_streams() -> None:
    """
    Keep 0, 1 and 2 from becoming sockets where they were closed: libuv ends a process that closes one of these.

    A character that the terminal's encoding lacks is written as an escape sequence: no command fails because of it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _end_within(seconds: float) -> None:
    """
    Let the kernel end this process if it has not ended by itself by then.

    Neither a thread nor the event loop has a say in it, whatever holds them up.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def ignore_signals() -> None:
    """The process ends, and need not be told to a second time."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def until_signal(reload: Callable[[], None] | None = None) -> Iterator[asyncio.Event]:
    """
    An event that SIGTERM and SIGINT set; SIGHUP reloads if that is wanted. Signals are as before afterwards.

    From one that ends it, a process that was prepared has 4.8 seconds to live.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def stop() -> None:
        if _ends_within is not None:
            _end_within(_ends_within)
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
