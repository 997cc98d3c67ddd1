"""Where the simulator gets its time from."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic as steady_clock
from time import time as wall_clock


@dataclass(frozen=True, slots=True)
class Clock:
    """
    Wall clock, monotonic clock and sleep, all in seconds. Tests hand in their own three.

    The world and the vendors' timestamp checks follow the wall clock; rate limits and fault durations the monotonic
    one.
    """

    time: Callable[[], float] = wall_clock
    monotonic: Callable[[], float] = steady_clock
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
