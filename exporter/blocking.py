"""
Blocking work, such as reading a file or looking up a name, in threads that hold up nobody.

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


async def in_thread(work: Callable[..., T], *args: Any) -> T:
    """
    What the work returns.

    Raises:
        OSError: No thread can be started (EAGAIN), besides what the work raises.
    """
    return await asyncio.get_running_loop().run_in_executor(THREADS, work, *args)
