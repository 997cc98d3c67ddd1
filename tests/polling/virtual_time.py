"""
An event loop whose clock jumps to the next timer, so that hours pass in seconds and always in the same way.
"""

from __future__ import annotations

import asyncio
import functools
import math
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec

START: Final = 1_000.0
"""Monotonic seconds at which a loop begins; not 0, so that a forgotten clock shows."""

_TURN: Final = 1e-6
_DEADLOCK: Final = 10.0

P = ParamSpec("P")


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits for a timer: what would be waited for has passed at once."""

    now = START

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            # No timer is set: only another thread can have something to say.
            ready = super().select(_DEADLOCK)
            assert ready, "nothing will ever happen on this loop again"
            return ready
        ready = super().select(0)
        if not ready:
            # A turn of the loop takes time as well, or a timer a rounding error ahead would never come.
            self.now = max(self.now + max(timeout, _TURN), math.nextafter(self.now, math.inf))
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time. Blocking work runs in place and takes none."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds."""
        return self._jumping.now

    def stall(self, seconds: float) -> None:
        """Let time pass without a turn of the loop, as blocking work would."""
        self._jumping.now += seconds

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]  # plain types say enough
        """Run it here and now."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 handed on to whoever awaits the future
            future.set_exception(error)
        return future


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on a loop of its own in virtual time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


async def until(condition: Callable[[], bool], within: float, step: float = 0.05) -> float:
    """
    Wait until a condition holds.

    Args:
        within: Seconds after which it is an error that it does not.

    Returns:
        Seconds that it took, give or take a step.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    while not condition():
        assert loop.time() - started < within, f"not within {within} s"
        await asyncio.sleep(step)
    return loop.time() - started
