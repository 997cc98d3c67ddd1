"""
Turns of the event loop: when it last looked for what is new.

A reply that a turn handles was not there yet at the look before. A moment taken in the middle of a turn would hold as
many of our own milliseconds as the turn took until then, which say nothing of the way to the vendor and back.
"""

from __future__ import annotations

import asyncio

from exporter.polling.clock import Clock


class Turn:
    """The turn of the event loop that is under way, followed for as long as somebody asks in each."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._before = self._now = 0.0
        self._followed = self._asked = False

    def follow(self) -> None:
        """Have the next turn know of this one."""
        self._asked = True
        if not self._followed:
            self._followed = True
            self._before = self._now = self._clock.monotonic()
            asyncio.get_running_loop().call_soon(self._next)

    def looked(self) -> tuple[float, float]:
        """
        When the loop looked in vain for what this turn handles, and when it had found it, in monotonic seconds.

        If nobody asked in the turn before, the loop is taken to have slept, and both are now.
        """
        self.follow()
        return self._before, self._now

    def _next(self) -> None:
        self._followed = self._asked
        if self._followed:
            self._asked = False
            self._before, self._now = self._now, self._clock.monotonic()
            asyncio.get_running_loop().call_soon(self._next)
