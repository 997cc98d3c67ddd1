"""
Opens files that the user has chosen: a config, a secret, a certificate, a rooms file. Nothing else opens such files.

Such a path may lead to anything: a FIFO without a writer, a device, a file on a dead mount, a file without an end. A
reader here gets the contents or an error within 4.5 seconds, and at most the number of bytes that it asked for:

* A device is not opened, since opening it may have an effect, such as rewinding a tape.
* A FIFO is opened without waiting for a writer, and read until its writer closes it. So ``--config.file=<(...)`` works.
* All of this runs in a daemon thread. If a dead mount blocks the thread, the reader leaves it behind. Until that thread
  returns, the file is opened again only after 30 s, 60 s, 2 min, … 32 min, since it may have been replaced. With eight
  threads left behind, the file is not opened until one of them returns. So few threads hang, however often and however
  long the file is read.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from exporter.blocking import THREADS

P = ParamSpec("P")
T = TypeVar("T")

WITHIN: Final = 4.0
"""Seconds within which a file must have been read."""

_PIECE: Final = 64 * 1024
_FIRST_GAP: Final = 30.0
_MOST_HANGING: Final = 8
"""Threads that one file may block."""
_GRACE: Final = 0.5
"""Further seconds for the thread to notice the time-out by itself, since its error says more."""


def read_file(path: Path | str, most: int) -> bytes:
    """
    The first bytes of a file, at most ``most``. Blocks for at most 4.5 s.

    Raises:
        OSError: The file cannot be read. ``strerror`` says why.
        ValueError: The path holds a NUL character.
    """
    name = os.fspath(path)
    with _lock:
        hanging = _hanging.get(name)
        if hanging and (time.monotonic() < hanging.again_at or hanging.threads >= _MOST_HANGING):
            raise OSError(errno.ETIMEDOUT, "a file that has not answered for a while", name)
    deadline = time.monotonic() + WITHIN
    reading = THREADS.submit(_read, name, most, deadline)
    try:
        return reading.result(WITHIN + _GRACE)
    except TimeoutError:
        if reading.done():
            raise
        _abandon(name, reading)
        raise OSError(errno.ETIMEDOUT, f"a file that does not answer within {WITHIN:g} s", name) from None


def within(seconds: float, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """
    Run blocking work in a daemon thread and return its result; for a caller without an event loop.

    Raises:
        TimeoutError: It takes longer. The thread goes on, but does not keep the process alive.
    """
    return THREADS.submit(work, *args, **kwargs).result(seconds)


@dataclass(frozen=True, slots=True)
class _Hanging:
    """
    A file whose threads hang.

    Args:
        again_at: Monotonic time from which the file may be opened again.
        gap: Seconds between the last attempt and ``again_at``.
        threads: Number of threads that hang.
    """

    again_at: float
    gap: float
    threads: int


_lock: Final = threading.Lock()
_hanging: Final[dict[str, _Hanging]] = {}


def _abandon(name: str, reading: Future[bytes]) -> None:
    with _lock:
        before = _hanging.get(name, _Hanging(0.0, _FIRST_GAP / 2, 0))
        gap = 2 * before.gap
        _hanging[name] = _Hanging(time.monotonic() + gap, gap, before.threads + 1)
    reading.add_done_callback(lambda _: _returned(name))


def _returned(name: str) -> None:
    with _lock:
        _hanging.pop(name, None)


def _read(name: str, most: int, deadline: float) -> bytes:
    _check(os.stat(name).st_mode, name)  # noqa: PTH116  # a name that is no valid text must not pass through Path
    descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode  # the file may have been replaced since ``stat``
        _check(mode, name)
        if stat.S_ISFIFO(mode):
            return _read_pipe(descriptor, most, deadline, name)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)


def _check(mode: int, name: str) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise OSError(errno.EINVAL, "a device or a socket", name)


def _read_pipe(descriptor: int, most: int, deadline: float, name: str) -> bytes:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    pieces: list[bytes] = []
    size = 0
    while size < most:
        # After the first bytes, an empty read is the end. Before them, it may mean that there is no writer yet.
        if not pieces and not waiting.poll(_left(deadline, name)):
            continue
        try:
            piece = os.read(descriptor, min(_PIECE, most - size))
        except BlockingIOError:
            waiting.poll(_left(deadline, name))
            continue
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _left(deadline: float, name: str) -> float:
    """
    Milliseconds until the deadline.

    Raises:
        OSError: ETIMEDOUT: it has passed.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise OSError(errno.ETIMEDOUT, f"a FIFO whose writer is not done within {WITHIN:g} s", name)
    return 1000 * left
