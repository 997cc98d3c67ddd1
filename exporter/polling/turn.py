"""
Turns of the event loop, and the moments between them.

All bytes that are written in one turn leave together at its end, and all that are read in it came together before it.
A moment taken in the middle of a turn holds as many of our own milliseconds as the turn took until then, which say
nothing of the way to the vendor and back.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from exporter.polling.clock import Clock


class Turn:
    """
    The turn of the event loop that is under way.

    ``previous`` is when the one before it began: monotonic time at which the loop last looked for what is new. If it
    has slept since, it looked until something was.
    """

    def __init__(self, clock: Clock) -> None:
        self.previous = -math.inf
        self._began = -math.inf
        self._asked = self._followed = False
        self._clock = clock
        self._waiting: list[Callable[[float], None]] = []

    def began(self) -> float:
        """Monotonic time at which this turn began; now, if nobody asked in the turn before."""
        if not self._followed:
            self._followed = True
            self.previous = self._began = self._clock.monotonic()
            asyncio.get_running_loop().call_soon(self._next)
        self._asked = True
        return self._began

    def at_end(self, callback: Callable[[float], None]) -> None:
        """Tell the monotonic time at which this turn ended."""
        self.began()
        self._waiting.append(callback)

    def _next(self) -> None:
        self._followed = self._asked
        if not self._followed:
            return
        self._asked = False
        self.previous, self._began = self._began, self._clock.monotonic()
        asyncio.get_running_loop().call_soon(self._next)
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback(self._began)
