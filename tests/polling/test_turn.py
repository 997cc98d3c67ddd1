"""
Turns of the event loop, and the moments between them.
"""

from __future__ import annotations

import asyncio

import pytest

from exporter.polling.clock import Clock
from exporter.polling.turn import Turn
from tests.polling.virtual_time import VirtualLoop, in_virtual_time


@in_virtual_time
async def test_a_turn_has_one_beginning_and_one_end() -> None:
    """
    Whatever took its time in between: what it wrote, it wrote at its end.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    turn, ends = Turn(Clock(loop.time)), list[float]()
    await asyncio.sleep(1)

    began = turn.began()
    assert loop.time() == began
    turn.at_end(ends.append)
    loop.stall(0.3)
    assert began == turn.began()
    turn.at_end(ends.append)
    loop.stall(0.2)
    ended = loop.time()
    await asyncio.sleep(0)

    assert [ended, ended] == pytest.approx(ends, abs=1e-4)
    loop.stall(0.1)
    assert ends[0] == turn.began()
    assert began == turn.previous


@in_virtual_time
async def test_turn_that_nobody_asked_about_leaves_nothing_behind() -> None:
    """
    The next one to ask hears of now, and the loop sleeps until then.
    """
    loop = asyncio.get_running_loop()
    turn, ends = Turn(Clock(loop.time)), list[float]()
    turn.at_end(ends.append)
    await asyncio.sleep(1)
    assert not loop._ready  # type: ignore[attr-defined]  # it is CPython's
    await asyncio.sleep(1)

    assert loop.time() == turn.began() == turn.previous
    assert 1 == len(ends)
