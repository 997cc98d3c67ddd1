"""How long the event loop was held up: the longest gap of a ticker that wants to run every millisecond."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Final

_TICK: Final = 0.001


class Ticker:
    """Runs on the loop for as long as the process does."""

    def __init__(self) -> None:
        self._longest = 0.0
        self._last = perf_counter()
        self._schedule()

    def longest(self, _: float = 0) -> float:
        """Seconds of the longest gap since this was asked last."""
        longest = max(self._longest, perf_counter() - self._last)
        self._longest = 0.0
        self._last = perf_counter()
        return longest

    def _tick(self) -> None:
        now = perf_counter()
        self._longest = max(self._longest, now - self._last)
        self._last = now
        self._schedule()

    def _schedule(self) -> None:
        asyncio.get_running_loop().call_later(_TICK, self._tick)
