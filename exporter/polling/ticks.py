"""
The moments at which slots are used, the same for all budgets of a process.

Calls that leave in company cost a third less than calls that leave alone: each finds the processor's caches warm from
the one before. But the last of a large company leaves late, and its bytes with it. So a tick is 20 ms long where few
calls are made, and a half or a quarter of that where more than ten would leave at each.

At full pace a budget's slots come round in a whole number of ticks, however long they are, so those that the ring of
``pacer`` compares are always as far apart.
"""

from __future__ import annotations

import math
from typing import Final

from exporter.polling.pacer import PERIOD

_COMPANY: Final = 10
_FEWEST: Final = 51
_MOST: Final = 204


class Ticks:
    """Moments on the monotonic clock, in seconds."""

    def __init__(self) -> None:
        self.length = PERIOD / _FEWEST

    def expect(self, rate: float) -> None:
        """Choose their length for so many calls per second, all budgets together."""
        ticks = _FEWEST
        while ticks < _MOST and rate * PERIOD / ticks > _COMPANY:
            ticks *= 2
        self.length = PERIOD / ticks

    def after(self, time: float) -> float:
        """The first one that is not before this time."""
        return math.ceil(time / self.length) * self.length
