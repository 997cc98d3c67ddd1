"""
Who gets the next slot.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from itertools import pairwise

import pytest

from exporter.polling.budget import Budget
from exporter.polling.clock import Clock
from exporter.polling.planner import Lane
from exporter.polling.ticks import Ticks
from tests.polling.virtual_time import VirtualLoop, in_virtual_time

TICK = 0.0211
"""Seconds between two moments at which slots are used, and a timer that rings a millisecond late."""


class Wanting:
    """A bidder that wants slots in some lanes from some moments on, so many at most, and keeps what it was granted."""

    def __init__(self, most: float = math.inf, **lanes: float) -> None:
        self.most = most
        self.wanted = {Lane[name.upper()]: due for name, due in lanes.items()}
        self.granted: list[tuple[float, Lane]] = []

    def dues(self) -> tuple[float, ...]:
        """When it wants one."""
        return tuple(self.wanted.get(lane, math.inf) if len(self.granted) < self.most else math.inf for lane in Lane)

    def leave(self, lane: Lane) -> None:
        """Take a slot."""
        self.granted.append((asyncio.get_running_loop().time(), lane))

    def lanes(self) -> Counter[Lane]:
        """How many slots it was granted in each lane."""
        return Counter(lane for _, lane in self.granted)


def ticks_of(loop: asyncio.AbstractEventLoop) -> Ticks:
    """Ticks of this loop's time."""
    return Ticks(Clock(loop.time), raised=lambda error: pytest.fail(repr(error)))


def budget_of(limit: float, ticks: Ticks | None = None) -> Budget:
    """A budget whose silent second and slow beginning are long over."""
    loop = asyncio.get_running_loop()
    budget = Budget("budget", limit, Clock(loop.time), ticks or ticks_of(loop), since=loop.time() - 60)
    budget.pacer.take_slot(loop.time() - 2)
    return budget


@in_virtual_time
async def test_slot_is_granted_when_a_room_is_due() -> None:
    """
    Not before, and to nobody who does not bid.
    """
    budget, begin = budget_of(10), asyncio.get_running_loop().time()
    bidder, silent = Wanting(most=1, regular=begin + 3), Wanting(regular=begin)
    budget.bid(bidder)
    await asyncio.sleep(5)

    ((at, lane),) = bidder.granted
    assert begin + 3 <= at <= begin + 3 + TICK
    assert Lane.REGULAR is lane
    assert not silent.granted


@in_virtual_time
async def test_room_that_becomes_due_sooner_wakes_the_budget() -> None:
    """
    A budget that waits for a room in an hour hears of one that is due now.
    """
    loop = asyncio.get_running_loop()
    budget = budget_of(10)
    bidder = Wanting(most=1, regular=loop.time() + 3600)
    budget.bid(bidder)
    await asyncio.sleep(1)
    bidder.wanted[Lane.REGULAR] = now = loop.time()
    budget.arm()
    await asyncio.sleep(1)

    ((at, _),) = bidder.granted
    assert now <= at <= now + TICK


@in_virtual_time
async def test_slots_of_all_budgets_are_used_at_the_same_moments() -> None:
    """
    Whatever their limits are and whenever they began: the processor wakes up fifty times a second, not once per call.
    """
    loop = asyncio.get_running_loop()
    ticks, bidders = ticks_of(loop), []
    for limit in (10, 40, 200, 200):
        bidders.append(Wanting(regular=loop.time()))
        budget_of(limit, ticks).bid(bidders[-1])
        await asyncio.sleep(0.0137)
    await asyncio.sleep(10)

    granted = [len(bidder.granted) for bidder in bidders]
    assert [98, 391, 1957, 1957] == pytest.approx(granted, rel=0.02)
    moments = sorted(at for bidder in bidders for at, _ in bidder.granted)
    assert 510 >= sum(later - earlier > 0.002 for earlier, later in pairwise(moments))


@in_virtual_time
async def test_calls_that_take_long_to_the_gate_get_their_slots_early() -> None:
    """
    Where every call needs 300 ms to connect, slots come that much ahead of the ring, and the limit is still reached.
    """
    budget = budget_of(10)
    loop = asyncio.get_running_loop()
    calls: set[asyncio.Task[None]] = set()

    class Connecting(Wanting):
        def leave(self, lane: Lane) -> None:
            super().leave(lane)
            calls.add(asyncio.create_task(self.call(loop.time())))

        async def call(self, slot: float) -> None:
            await asyncio.sleep(0.3)
            (await budget.gate(slot)).sent()

    bidder = Connecting(regular=loop.time())
    budget.bid(bidder)
    await asyncio.sleep(3)
    before = budget.calls
    await asyncio.sleep(20)
    budget.withdraw(bidder)
    await asyncio.gather(*calls)

    assert 20 * 9.78 == pytest.approx(budget.calls - before, abs=6)


@in_virtual_time
async def test_process_that_stood_still_waits_for_what_was_under_way() -> None:
    """
    0.7 s in which nothing ran, with ten calls that nobody has answered: the vendor may get all of them now, and
    gets no other one in the second after.
    """
    loop = asyncio.get_running_loop()
    still = 0.0
    clock = Clock(lambda: loop.time() + still)
    budget = Budget("budget", 10, clock, Ticks(clock, raised=lambda error: pytest.fail(repr(error))), since=-60)
    calls: set[asyncio.Task[object]] = set()

    class Calling(Wanting):
        def leave(self, lane: Lane) -> None:
            super().leave(lane)
            calls.add(asyncio.create_task(budget.gate(clock.monotonic())))

    bidder = Calling(regular=loop.time())
    budget.bid(bidder)
    await asyncio.sleep(3)
    still = 0.7
    await asyncio.sleep(0.1)
    before = budget.calls
    await asyncio.sleep(0.9)
    assert before == budget.calls
    await asyncio.sleep(0.5)
    budget.withdraw(bidder)
    await asyncio.gather(*calls)

    assert 10 >= budget.calls - before >= 3


@in_virtual_time
async def test_longest_overdue_bidder_is_first() -> None:
    """
    Sources of one budget take turns by need, not by name or age.
    """
    budget, begin = budget_of(10), asyncio.get_running_loop().time()
    bidders = {name: Wanting(most=1, regular=begin - late) for name, late in (("a", 1), ("b", 3), ("c", 2))}
    for bidder in bidders.values():
        budget.bid(bidder)
    await asyncio.sleep(1)

    assert ["b", "c", "a"] == sorted(bidders, key=lambda name: bidders[name].granted)


@in_virtual_time
async def test_shares_of_the_lanes() -> None:
    """
    While regular polls are due retries get a fifth of the slots and suspects less than a tenth; whatever they leave is
    the regular ones'.
    """
    past = asyncio.get_running_loop().time() - 1
    everything = Wanting(most=1000, regular=past, retry=past, suspect=past)
    retries = Wanting(most=1000, regular=past, retry=past)
    for bidder in (everything, retries):
        budget_of(100).bid(bidder)
    await asyncio.sleep(15)

    assert 70 <= everything.lanes()[Lane.SUSPECT] <= 100
    assert 180 <= everything.lanes()[Lane.RETRY] <= 200
    assert 180 <= retries.lanes()[Lane.RETRY] <= 200
    assert 800 <= retries.lanes()[Lane.REGULAR]


@in_virtual_time
async def test_idle_slots_are_for_whoever_wants_them() -> None:
    """
    Where no regular poll is due the other lanes are not held back.
    """
    loop = asyncio.get_running_loop()
    begin = loop.time()
    bidder = Wanting(most=500, retry=begin - 1, suspect=begin - 2)
    budget_of(100).bid(bidder)
    await asyncio.sleep(10)

    assert {Lane.SUSPECT: 500} == bidder.lanes()
    assert 5.2 >= bidder.granted[-1][0] - begin


@in_virtual_time
async def test_bidder_that_withdraws() -> None:
    """
    A source that ends is granted no slot any more, and its slots are the others'.
    """
    begin = asyncio.get_running_loop().time()
    budget = budget_of(10)
    gone, kept = Wanting(regular=begin - 2), Wanting(regular=begin - 1)
    budget.bid(gone)
    budget.bid(kept)
    await asyncio.sleep(1)
    assert (11, 0) == pytest.approx((len(gone.granted), len(kept.granted)), abs=1)
    slots = len(gone.granted)
    budget.withdraw(gone)
    budget.withdraw(gone)
    await asyncio.sleep(1)

    assert slots == len(gone.granted)
    assert 10 == pytest.approx(len(kept.granted), abs=1)


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
        await budget.gate(asyncio.get_running_loop().time())
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
    passage = await budget.gate(loop.time())
    loop.stall(0.4)  # type: ignore[attr-defined]  # it is the virtual loop
    passage.sent()
    written = loop.time()
    await budget.gate(loop.time())

    assert written + 1.02 <= loop.time()


@in_virtual_time
async def test_late_reply_has_its_call_count_later() -> None:
    """
    It may have reached the vendor as late.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    budget = budget_of(1)
    for _ in range(5):
        passage = await budget.gate(loop.time())
        passage.sent()
        await asyncio.sleep(0.005)
        passage.answered()
    passage = await budget.gate(loop.time())
    passage.sent()
    written = loop.time()
    await asyncio.sleep(0.2)
    passage.answered()
    await budget.gate(loop.time())

    assert written + 0.2 - 0.01 + 1.02 == pytest.approx(loop.time(), abs=0.01)
