"""
Long work that holds up nobody: blocking work, such as reading a file, in threads; on the event loop, work in turns.

A dead network mount or a FIFO without a writer blocks a thread for minutes or for ever. The threads of asyncio's own
executor are joined when the process ends, so one such thread keeps it from ending. The threads here are daemons: who
waits for one may stop waiting (a time-out, a cancellation) and leave the thread behind.
"""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from time import perf_counter
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class _DaemonThreads(Executor):
    """A new daemon thread for each piece of work."""

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 whoever waits for the result gets it
                future.set_exception(error)

        try:
            threading.Thread(target=run, name="blocking", daemon=True).start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, str(error)) from None
        return future


THREADS: Final[Executor] = _DaemonThreads()
"""Whoever waits for what is submitted here may stop waiting."""

_LONGEST_TURN: Final = 0.001


async def in_thread(work: Callable[..., T], *args: Any) -> T:
    """
    What the work returns.

    Raises:
        OSError: No thread can be started (EAGAIN), besides what the work raises.
    """
    return await asyncio.get_running_loop().run_in_executor(THREADS, work, *args)


class Turn:
    """
    A task's turn on the event loop, for work of many steps: between any two of them, ``await turn.let_others_run()``.

    That returns at once while the turn is shorter than a millisecond. Otherwise everybody else runs first, and a new
    turn begins.
    """

    def __init__(self) -> None:
        self._began = perf_counter()

    async def let_others_run(self) -> None:
        if perf_counter() - self._began > _LONGEST_TURN:
            await asyncio.sleep(0)
            self._began = perf_counter()
