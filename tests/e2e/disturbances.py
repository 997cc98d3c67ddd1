"""
Moments at which this machine was too busy to be measured on.

A vendor counts a call when it reads it. If the machine holds up the process that plays the vendor for 50 ms, it then
reads the calls of 50 ms at once: a second that held 10 calls may seem to hold 11. The same happens to the exporter when
the host takes the whole virtual machine's processors away.

So a ticker runs where things are counted, and notes each *disturbance*: a tick that came more than 20 ms late, or time
that the host has stolen. What is measured over a disturbance is left out, and the seconds that are left out are
counted: a test that lost more than a third of them has shown too little, and fails and says so. Apart from that there
is no allowance. Ten calls a second are ten, and not eleven on a bad day.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

LATE = 0.02
"""Seconds that a tick may be late. The pacing allows for so much jitter on a call's way to the vendor."""

STOLEN = 0.02
"""Seconds that the host may steal of all processors between two looks."""

BACKLOG = 0.05
"""Seconds after a disturbance within which what was held up is worked off."""

MOST_LEFT_OUT = 1 / 3
"""Share of the seconds of a measurement that may be left out; two seconds always may."""

_TICK = 0.005
_LOOK = 0.1
_STOLEN_FIELD = 8
"""Of the first line in /proc/stat, see proc(5)."""


class Span(NamedTuple):
    """From `start` to `end`, in seconds of the monotonic clock."""

    start: float
    end: float


class Window(Protocol):
    """What was measured from `start` to `end`."""

    @property
    def start(self) -> float:
        """In seconds of the monotonic clock."""

    @property
    def end(self) -> float:
        """Likewise."""


W = TypeVar("W", bound=Window)


class TooBusyError(AssertionError):
    """This machine was too busy: the test has measured too little to say anything."""


class Disturbances:
    """The disturbances of one measurement."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._spans = sorted(spans)
        # Of all disturbances that began so early, the latest end: what began first need not end first.
        self._ends: list[float] = []
        for span in self._spans:
            self._ends.append(max(span.end, self._ends[-1] if self._ends else -math.inf))

    def touch(self, window: Window) -> bool:
        """Whether what was measured in this window may be due to a disturbance."""
        begun = bisect_right(self._spans, window.end, key=lambda span: span.start)
        return begun > 0 and self._ends[begun - 1] + BACKLOG >= window.start

    def left_out(self, measurement: Window) -> tuple[int, int]:
        """How many seconds of a measurement are left out, and of how many."""
        seconds = max(1, math.ceil(measurement.end - measurement.start))
        starts = [measurement.start + second for second in range(seconds)]
        return sum(self.touch(Span(start, start + 1)) for start in starts), seconds

    def judge(self, windows: Iterable[W], measurement: Window) -> list[W]:
        """
        The windows of a measurement that no disturbance touches.

        Raises:
            TooBusyError: Too much of the measurement is left out to say anything.
        """
        lost, seconds = self.left_out(measurement)
        if lost > max(2.0, MOST_LEFT_OUT * seconds):
            raise TooBusyError(
                f"too little was measured: the machine was too busy in {lost} of {seconds} seconds, which are left out"
            )
        return [window for window in windows if not self.touch(window)]


async def note_disturbances(
    note: Callable[[Span], None],
    *,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    stolen: Callable[[], float] | None = None,
) -> None:
    """
    Tick until cancelled, and call `note` with each disturbance.

    Args:
        stolen: Tells the seconds of all processors that the host has taken so far.
    """
    stolen = stolen or stolen_seconds
    looked, before = monotonic(), stolen()
    while True:
        began = monotonic()
        await sleep(_TICK)
        now = monotonic()
        if now - began - _TICK > LATE:
            note(Span(began, now))
        if now - looked >= _LOOK:
            after = stolen()
            if after - before > STOLEN:
                note(Span(looked, now))
            looked, before = now, after


def stolen_seconds(stat: Path = Path("/proc/stat")) -> float:
    """Seconds of all processors that the host of this virtual machine gave to others; 0 where nobody tells."""
    with suppress(OSError, ValueError, IndexError):
        first = stat.read_text(encoding="ascii").split("\n", 1)[0].split()
        return int(first[_STOLEN_FIELD]) / os.sysconf("SC_CLK_TCK")
    return 0.0
