"""The clocks of the simulator."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic as steady_clock
from time import time as wall_clock


@dataclass(frozen=True, slots=True)
class Clock:
    """
    Wall clock, monotonic clock and sleep, all in seconds. Tests pass their own.

    The world and the checks of timestamps use the wall clock; rate limits and durations of faults use the monotonic
    clock.
    """

    time: Callable[[], float] = wall_clock
    monotonic: Callable[[], float] = steady_clock
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
