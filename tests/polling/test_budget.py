"""
Who gets the next slot.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter

import pytest

from exporter.polling.budget import Budget
from exporter.polling.clock import Clock
from exporter.polling.planner import Lane
from tests.polling.virtual_time import in_virtual_time


class Wanting:
    """A bidder that wants a slot in some lanes from some moments on."""

    def __init__(self, **lanes: float) -> None:
        self.dues = {Lane[name.upper()]: due for name, due in lanes.items()}

    def due(self, lane: Lane) -> float:
        """When it wants one."""
        return self.dues.get(lane, math.inf)


def budget_of(limit: float) -> Budget:
    """A budget whose silent first second is long over."""
    loop = asyncio.get_running_loop()
    return Budget("budget", limit, Clock(loop.time), since=loop.time() - 60)


async def granted(budget: Budget, bidder: Wanting, slots: int) -> list[Lane]:
    """The lanes of so many slots."""
    until = asyncio.get_running_loop().time() + 10_000
    lanes = [await budget.slot(bidder, until) for _ in range(slots)]
    return [lane for lane in lanes if lane is not None]


@in_virtual_time
async def test_slot_is_granted_when_a_room_is_due() -> None:
    """
    Not before, and not after its time is up.
    """
    loop = asyncio.get_running_loop()
    budget, begin = budget_of(10), loop.time()
    bidder = Wanting(regular=begin + 3)

    assert await budget.slot(bidder, begin + 2) is None
    assert begin + 2 == pytest.approx(loop.time(), abs=0.001)
    assert Lane.REGULAR is await budget.slot(bidder, begin + 99)
    assert begin + 3 == pytest.approx(loop.time(), abs=0.001)


@in_virtual_time
async def test_room_that_becomes_due_sooner_wakes_the_budget() -> None:
    """
    A budget that waits for a room in an hour hears of one that is due now.
    """
    loop = asyncio.get_running_loop()
    budget = budget_of(10)
    bidder = Wanting(regular=loop.time() + 3600)
    waiting = asyncio.create_task(budget.slot(bidder, loop.time() + 9999))
    await asyncio.sleep(1)
    bidder.dues[Lane.REGULAR] = now = loop.time()
    budget.arm()

    assert Lane.REGULAR is await waiting
    assert now == pytest.approx(loop.time(), abs=0.001)


@in_virtual_time
async def test_longest_overdue_bidder_is_first() -> None:
    """
    Sources of one budget take turns by need, not by name or age.
    """
    loop = asyncio.get_running_loop()
    budget, begin = budget_of(10), loop.time()
    order: list[str] = []
    bidders = {name: Wanting(regular=begin - late) for name, late in (("a", 1), ("b", 3), ("c", 2))}

    async def bid(name: str) -> None:
        await budget.slot(bidders[name], begin + 99)
        order.append(name)

    await asyncio.gather(*map(bid, bidders))

    assert ["b", "c", "a"] == order


@in_virtual_time
async def test_shares_of_the_lanes() -> None:
    """
    While regular polls are due retries get a fifth of the slots and suspects a tenth, and whatever they leave is the
    regular ones'.
    """
    past = asyncio.get_running_loop().time() - 1
    all_lanes = Counter(await granted(budget_of(100), Wanting(regular=past, retry=past, suspect=past), 1000))
    retries = Counter(await granted(budget_of(100), Wanting(regular=past, retry=past), 1000))

    assert 80 <= all_lanes[Lane.SUSPECT] <= 100
    assert 180 <= all_lanes[Lane.RETRY] <= 200
    assert 180 <= retries[Lane.RETRY] <= 200
    assert 800 <= retries[Lane.REGULAR]


@in_virtual_time
async def test_idle_slots_are_for_whoever_wants_them() -> None:
    """
    Where no regular poll is due the other lanes are not held back.
    """
    loop = asyncio.get_running_loop()
    past = loop.time() - 1
    budget = budget_of(100)
    begin = loop.time()
    lanes = Counter(await granted(budget, Wanting(retry=past, suspect=past - 1), 500))

    assert {Lane.SUSPECT: 500} == lanes
    assert 5.2 >= loop.time() - begin


@in_virtual_time
async def test_bidder_that_withdraws() -> None:
    """
    A source that ends waits for no slot, and leaves none unused.
    """
    loop = asyncio.get_running_loop()
    budget = budget_of(1)
    gone, kept = Wanting(regular=loop.time() - 2), Wanting(regular=loop.time() - 1)
    await granted(budget, kept, 1)
    waiting = asyncio.create_task(budget.slot(gone, loop.time() + 99))
    after = asyncio.create_task(budget.slot(kept, loop.time() + 99))
    await asyncio.sleep(0)
    begin = loop.time()
    budget.withdraw(gone)
    budget.withdraw(Wanting())

    assert await waiting is None
    assert Lane.REGULAR is await after
    assert 1.1 >= loop.time() - begin


@in_virtual_time
async def test_gate_keeps_the_limit_and_the_order() -> None:
    """
    A hundred requests that are ready at once are written ten a second, first come first served; one that is ended
    meanwhile takes no place.
    """
    loop = asyncio.get_running_loop()
    budget = budget_of(10)
    order: list[tuple[int, float]] = []

    async def write(number: int) -> None:
        await budget.gate()
        order.append((number, loop.time()))

    writing = [asyncio.create_task(write(number)) for number in range(50)]
    await asyncio.sleep(0.5)
    for ended in writing[20:30]:
        ended.cancel()
    begin = loop.time() - 0.5
    await asyncio.gather(*writing, return_exceptions=True)

    assert [*range(20), *range(30, 50)] == [number for number, _ in order]
    assert [0, 1.02, 2.04, 3.06] == pytest.approx([order[place][1] - begin for place in (0, 10, 20, 30)], abs=0.01)
    assert 40 == budget.calls
    assert 0 == budget._at_gate


@in_virtual_time
async def test_time_of_a_write_is_that_of_the_bytes() -> None:
    """
    A request may reach the wire a little after it passed the gate, when the loop is busy: the later moment counts.
    """
    loop = asyncio.get_running_loop()
    budget = budget_of(1)
    await budget.gate()
    loop.stall(0.4)  # type: ignore[attr-defined]  # it is the virtual loop
    written = loop.time()
    await budget.gate()

    assert written + 1.02 <= loop.time()
