"""
Blocking work that hangs holds up nobody: not who waits for it, not the loop, not the end of the process.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest
import uvloop

from exporter import blocking
from exporter.blocking import in_thread

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


class Work:
    """
    Blocking work that hangs until it is let go.
    """

    def __init__(self) -> None:
        self.began = threading.Event()
        self.let_go = threading.Event()
        self.ended = threading.Event()

    def hang(self, outcome: object = None) -> object:
        """
        Return an outcome, or raise it if it is an exception.
        """
        self.began.set()
        try:
            assert self.let_go.wait(10)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        finally:
            self.ended.set()

    def end(self) -> None:
        """
        Let it go, and wait until its thread has ended.
        """
        self.let_go.set()
        for thread in threads():
            thread.join(10)


@pytest.fixture
def work() -> Iterator[Work]:
    """
    It has ended when the test has.
    """
    work = Work()
    yield work
    work.end()


@pytest.fixture(params=LOOPS.values(), ids=list(LOOPS))
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """
    The event loops that there are.
    """
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner


def threads() -> list[threading.Thread]:
    """
    Those that work for somebody.
    """
    return [thread for thread in threading.enumerate() if thread.name == "blocking"]


def test_result_comes_back(runner):
    """
    Of a function with arguments, from another thread.
    """

    def add(one: int, other: int) -> tuple[int, bool]:
        return one + other, threading.current_thread() is threading.main_thread()

    assert (5, False) == runner.run(in_thread(add, 2, 3))


def test_exception_comes_back(runner):
    """
    As it was raised.
    """
    error = OSError(5, "Input/output error")

    def fail() -> NoReturn:
        raise error

    with pytest.raises(OSError, match="Input/output error") as raised:
        runner.run(in_thread(fail))
    assert error is raised.value


def test_loop_goes_on_meanwhile(runner, work):
    """
    Whatever hangs, others work; each has a thread of its own.
    """

    async def main() -> list[Any]:
        hanging = [asyncio.create_task(in_thread(work.hang, number)) for number in range(50)]
        assert "done" == await in_thread(lambda: "done")
        work.let_go.set()
        return await asyncio.gather(*hanging)

    assert list(range(50)) == runner.run(main())


@pytest.mark.parametrize("outcome", [7, OSError("too late")], ids=["result", "exception"])
def test_who_stops_waiting_is_free_at_once(runner, work, caplog, outcome):
    """
    After a time-out or a cancellation nobody hears of the late outcome, and no log has a line about it.
    """

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await in_thread(work.hang, outcome)
        task = asyncio.create_task(in_thread(work.hang, outcome))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        work.end()
        await asyncio.sleep(0)
        gc.collect()

    with caplog.at_level(logging.WARNING):
        runner.run(main())
    assert [] == caplog.records


@pytest.mark.parametrize("make_loop", LOOPS.values(), ids=list(LOOPS))
@pytest.mark.parametrize("outcome", [7, OSError("too late")], ids=["result", "exception"])
def test_ended_loop_is_not_disturbed(work, caplog, capfd, make_loop, outcome):
    """
    The loop ends while a thread hangs; what the thread brings later is thrown away without a word.
    """
    held = []

    async def main() -> None:
        held.append(asyncio.create_task(in_thread(work.hang, outcome)))
        await in_thread(work.began.wait)

    with caplog.at_level(logging.DEBUG), asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())
    work.end()
    gc.collect()

    assert work.ended.is_set()
    assert ([], "") == ([record for record in caplog.records if record.levelno > logging.DEBUG], capfd.readouterr().err)


def test_thread_that_cannot_be_started_is_told(runner, monkeypatch):
    """
    At the limit of processes nobody waits for work that never began; when there is room again, all is well.
    """

    def refuse(_: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(OSError, match="new thread") as raised:
            runner.run(in_thread(time.time))
        assert errno.EAGAIN == raised.value.errno

    assert runner.run(in_thread(time.time))


async def test_long_work_lets_others_run(monkeypatch):
    """
    Once in a millisecond, however many steps there are, so that short steps cost no turn of the loop each.
    """
    now = iter([0.0, 0.0004, 0.0008, 0.0012, 0.0012, 0.0016, 0.0025, 0.0025])
    monkeypatch.setattr(blocking, "perf_counter", now.__next__)
    done: list[str] = []
    turn = blocking.Turn()

    for step in range(5):
        asyncio.get_running_loop().call_soon(done.append, f"another's {step}")
        done.append(f"step {step}")
        await turn.let_others_run()

    first = ["step 0", "step 1", "step 2", "another's 0", "another's 1", "another's 2"]
    assert [*first, "step 3", "step 4", "another's 3", "another's 4"] == done


PROCESS = """
import asyncio, threading, {loop}
from exporter.blocking import in_thread

async def main():
    try:
        async with asyncio.timeout(0.1):
            await in_thread(threading.Event().wait)
    except TimeoutError:
        print("given up", flush=True)

{loop}.run(main())
print("ended", flush=True)
"""


@pytest.mark.parametrize("loop", LOOPS)
def test_process_ends_while_a_thread_hangs(loop):
    """
    Its end waits for no mount and no name server.
    """
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", PROCESS.format(loop=loop)], capture_output=True, text=True, timeout=30, check=False
    )

    assert (0, "given up\nended\n", "") == (ended.returncode, ended.stdout, ended.stderr)
    assert time.monotonic() - began < 15
