"""
Turns of the event loop: when it last looked for what is new.
"""

from __future__ import annotations

import asyncio

import pytest

from exporter.polling.clock import Clock
from exporter.polling.turn import Turn
from tests.polling.virtual_time import VirtualLoop, in_virtual_time


@in_virtual_time
async def test_turns_that_follow_each_other() -> None:
    """
    What a turn handles was not there at the look before it, however long the two turns take.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    turn = Turn(Clock(loop.time))
    await asyncio.sleep(1)
    began = loop.time()

    turn.follow()
    loop.stall(0.3)
    assert (began, began) == turn.looked()
    await asyncio.sleep(0)
    loop.stall(0.2)

    assert (began, began + 0.3) == pytest.approx(turn.looked(), abs=1e-4)
    await asyncio.sleep(0)
    assert (began + 0.3, began + 0.5) == pytest.approx(turn.looked(), abs=1e-4)


@in_virtual_time
async def test_turn_that_nobody_asked_about() -> None:
    """
    Nothing is left behind, and the loop sleeps; the next one to ask hears of now.
    """
    loop = asyncio.get_running_loop()
    turn = Turn(Clock(loop.time))
    turn.follow()
    await asyncio.sleep(1)
    assert not loop._ready  # type: ignore[attr-defined]  # it is CPython's
    await asyncio.sleep(1)

    assert (loop.time(), loop.time()) == turn.looked()
