"""
The one way to open a file that somebody else has chosen: a config, a secret, a certificate, a rooms file.

Such a file may be anything: a FIFO that nobody writes to, a device, a file on a mount that has died, one without an
end. Whoever reads it here gets an answer within seconds and no more bytes than wanted:

* A device is not opened at all, since to open it may do something, such as rewinding a tape.
* A FIFO is opened without waiting for a writer, and read until its writer closes it. So ``--config.file=<(...)`` works.
* All of it happens in a daemon thread. A thread that a dead mount holds is left behind. Until it comes back its file is
  asked for again after half a minute, a minute, two, and so on up to an hour, since another one may stand there by now:
  so there are few such threads, however often the file is wanted.
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
"""Seconds in which a file must have been read."""

_PIECE: Final = 64 * 1024
_FIRST_GAP: Final = 30.0
_LONGEST_GAP: Final = 3_600.0
_LATER: Final = 0.5
"""Seconds that a thread gets to tell by itself that its time is up."""


def read_file(path: Path | str, most: int) -> bytes:
    """
    The first bytes of a file, ``most`` at the most. Blocks for some seconds at the most.

    Raises:
        OSError: Why it cannot be read, in ``strerror``.
        ValueError: The path holds a NUL character.
    """
    name = os.fspath(path)
    with _lock:
        if name in _hanging and time.monotonic() < _hanging[name].again_at:
            raise OSError(errno.ETIMEDOUT, "a file that has not answered for a while", name)
    deadline = time.monotonic() + WITHIN
    reading = THREADS.submit(_read, name, most, deadline)
    try:
        return reading.result(WITHIN + _LATER)
    except TimeoutError:
        if reading.done():
            raise
        _leave_behind(name, reading)
        raise OSError(errno.ETIMEDOUT, f"a file that does not answer within {WITHIN:g} s", name) from None


def within(seconds: float, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """
    What blocking work returns; for a caller that has no loop.

    Raises:
        TimeoutError: It takes longer. It goes on in a thread that keeps nobody from ending the process.
    """
    return THREADS.submit(work, *args, **kwargs).result(seconds)


@dataclass(frozen=True, slots=True)
class _Hanging:
    """Args: when a file is asked for again, in monotonic seconds, and how long that is after the time before."""

    again_at: float
    gap: float


_lock: Final = threading.Lock()
_hanging: Final[dict[str, _Hanging]] = {}


def _leave_behind(name: str, reading: Future[bytes]) -> None:
    with _lock:
        gap = min(2 * _hanging[name].gap, _LONGEST_GAP) if name in _hanging else _FIRST_GAP
        _hanging[name] = _Hanging(time.monotonic() + gap, gap)
    reading.add_done_callback(lambda _: _come_back(name))


def _come_back(name: str) -> None:
    with _lock:
        _hanging.pop(name, None)


def _read(name: str, most: int, deadline: float) -> bytes:
    _check(os.stat(name).st_mode, name)  # noqa: PTH116  # a name that is no valid text must not pass through Path
    descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode  # another file may have taken its place meanwhile
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
        # Once there were bytes, an empty read is the end. Before, it may be that there is no writer yet.
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
    """Milliseconds until then."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise OSError(errno.ETIMEDOUT, f"a FIFO whose writer is not done within {WITHIN:g} s", name)
    return 1000 * left
