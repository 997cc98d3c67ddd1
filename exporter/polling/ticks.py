"""
The moments at which slots are used, the same for all budgets of a process.

Calls that leave in company cost a third less than calls that leave alone: each finds the processor's caches warm from
the one before. But the last of a large company leaves late, and its bytes with it. So a tick is 20 ms long where few
calls are made, and a half or a quarter of that where more than ten would leave at each.

One timer serves all that is to be done at a tick.

At full pace a budget's slots come round in a whole number of ticks, however long they are, so those that ``ring``
compares are always as far apart.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final

from exporter.polling.clock import Clock
from exporter.polling.pacer import PERIOD
from exporter.polling.turn import Turn

_COMPANY: Final = 10
_FEWEST: Final = 51
_MOST: Final = 204
_STILL: Final = 0.25


class Ticks:
    """
    Moments on the monotonic clock, in seconds.

    ``turn`` is the turn of the event loop that is under way. ``went_on`` is when this process last stood still until: a
    tick came more than a quarter of a second late then.

    Args:
        raised: Told of an exception in what was to be done at a tick; the rest is done all the same.
    """

    def __init__(self, clock: Clock, raised: Callable[[Exception], None]) -> None:
        self.length = PERIOD / _FEWEST
        self.turn = Turn(clock)
        self.went_on = -math.inf
        self._clock = clock
        self._raised = raised
        self._waiting: dict[float, dict[Callable[[], None], None]] = {}

    def expect(self, rate: float) -> None:
        """Choose their length for so many calls per second, all budgets together."""
        ticks = _FEWEST
        while ticks < _MOST and rate * PERIOD / ticks > _COMPANY:
            ticks *= 2
        self.length = PERIOD / ticks

    def after(self, time: float) -> float:
        """The first one that is not before this time."""
        return math.ceil(time / self.length) * self.length

    def call_at(self, tick: float, callback: Callable[[], None]) -> None:
        """Call back at this tick."""
        waiting = self._waiting.get(tick)
        if waiting is None:
            waiting = self._waiting[tick] = {}
            delay = whole_milliseconds(tick - self._clock.monotonic())
            asyncio.get_running_loop().call_later(delay, self._ring, tick)
        waiting[callback] = None

    def cancel(self, tick: float, callback: Callable[[], None]) -> None:
        """Do not call back at this tick."""
        if tick in self._waiting:
            self._waiting[tick].pop(callback, None)

    def _ring(self, tick: float) -> None:
        now = self._clock.monotonic()
        if now > tick + _STILL:
            self.went_on = now
        for callback in self._waiting.pop(tick):
            try:
                callback()
            except Exception as error:  # noqa: BLE001 whatever it is, the others hear of their tick
                self._raised(error)


def whole_milliseconds(delay: float) -> float:
    """Seconds, rounded up as uvloop's timers would round them down, only to ring too early and be set again."""
    return max(0.0, math.ceil(delay * 1000) / 1000)
