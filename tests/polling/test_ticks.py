"""
The moments at which slots are used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.polling.clock import Clock
from exporter.polling.pacer import PERIOD
from exporter.polling.ticks import Ticks
from tests.polling.virtual_time import VirtualLoop, in_virtual_time


def ticks_for(rate: float) -> Ticks:
    """Ticks for so many calls per second."""
    ticks = Ticks(Clock(), raised=lambda error: pytest.fail(repr(error)))
    ticks.expect(rate)
    return ticks


@pytest.mark.parametrize(("rate", "milliseconds"), [(0.2, 20), (265, 20), (600, 10), (2_000, 5), (50_000, 5)])
def test_more_calls_leave_more_often(rate: float, milliseconds: int) -> None:
    """
    About ten at a time, though never more than 200 times a second.
    """
    assert milliseconds == round(1000 * ticks_for(rate).length)


def test_length_follows_the_rate_down_again() -> None:
    """
    A reload that takes most budgets away leaves long ticks behind.
    """
    ticks = ticks_for(2_000)
    short = ticks.length
    ticks.expect(20)

    assert short < ticks.length == ticks_for(0).length


@given(st.floats(0, 1e7), st.sampled_from([10.0, 700.0, 3_000.0]))
def test_tick_comes_soon_and_falls_on_every_longer_grid(time: float, rate: float) -> None:
    """
    Nobody waits longer than one tick; a slot that comes round after a period finds a tick just there.
    """
    ticks = ticks_for(rate)
    tick = ticks.after(time)

    assert time <= tick <= time + ticks.length + 1e-6
    assert tick + PERIOD == pytest.approx(ticks.after(tick + PERIOD - ticks.length / 2), abs=1e-6)


@in_virtual_time
async def test_everybody_is_called_at_the_tick_asked_for() -> None:
    """
    Once each, though asked for twice; who cancelled is not, and an error in one keeps nobody else from being called.
    """
    loop = asyncio.get_running_loop()
    reported: list[Exception] = []
    ticks = Ticks(Clock(loop.time), reported.append)
    called: list[tuple[str, float]] = []

    def caller(name: str) -> Callable[[], None]:
        def call() -> None:
            called.append((name, round(loop.time() - tick, 2)))

        return call

    def failing() -> None:
        raise ZeroDivisionError

    tick, early, late = ticks.after(loop.time() + 1), caller("early"), caller("late")
    ticks.call_at(tick, early)
    ticks.call_at(tick, early)
    ticks.call_at(tick, failing)
    gone = caller("gone")
    ticks.call_at(tick, gone)
    ticks.call_at(tick, late)
    ticks.cancel(tick, gone)
    ticks.cancel(tick + 1, early)
    await asyncio.sleep(2)

    assert [("early", 0.0), ("late", 0.0)] == called
    assert [ZeroDivisionError] == [type(error) for error in reported]


@in_virtual_time
async def test_process_that_stood_still() -> None:
    """
    A tick that comes a little late is nothing; a process that slept for 0.3 s stood still until now.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    ticks = Ticks(Clock(loop.time), raised=lambda error: pytest.fail(repr(error)))
    for late, stood_still in [(0.2, False), (0.3, True)]:
        tick = ticks.after(loop.time() + 1)
        ticks.call_at(tick, lambda: None)
        loop.stall(tick - loop.time() + late)
        await asyncio.sleep(0.001)

        assert stood_still is (ticks.went_on > tick)
