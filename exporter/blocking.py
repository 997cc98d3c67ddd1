"""
Long work that must not block other work: blocking calls in daemon threads, and long loops in time slices.

A dead network mount, or a FIFO without a writer, blocks a thread for minutes or for ever. Python joins the threads of
asyncio's own executor when the process ends, so one blocked thread would keep the process alive. The threads here are
daemons: a caller may stop waiting (a time-out, a cancellation) and leave the thread behind.
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
            except BaseException as error:  # noqa: BLE001 the caller gets it
                future.set_exception(error)

        try:
            threading.Thread(target=run, name="blocking", daemon=True).start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, str(error)) from None
        return future


THREADS: Final[Executor] = _DaemonThreads()
"""Runs work in daemon threads. A caller may stop waiting for the result."""

_LONGEST_TURN: Final = 0.001


async def in_thread(work: Callable[..., T], *args: Any) -> T:
    """
    Run blocking work in a daemon thread and return its result.

    Raises:
        OSError: EAGAIN: no thread can be started. Exceptions of the work pass through.
    """
    return await asyncio.get_running_loop().run_in_executor(THREADS, work, *args)


class Turn:
    """
    A time slice on the event loop, for work of many steps. Call ``await turn.let_others_run()`` between two steps.

    It returns at once if the slice is younger than a millisecond. Otherwise the loop runs its other tasks first, and a
    new slice begins.
    """

    def __init__(self) -> None:
        self._began = perf_counter()

    async def let_others_run(self) -> None:
        if perf_counter() - self._began > _LONGEST_TURN:
            await asyncio.sleep(0)
            self._began = perf_counter()
