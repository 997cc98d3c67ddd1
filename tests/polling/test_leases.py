"""
A budget that is shared with other processes: only while it is held does a call leave.
"""

from __future__ import annotations

import asyncio
import math

import pytest

from exporter.clock import Clock
from exporter.polling.budget import Budget, Timer
from tests.polling.test_budget import TICK, Wanting, budget_of, now, timer_of
from tests.polling.virtual_time import in_virtual_time


def shared(limit: float = 10.0, timer: Timer | None = None) -> Budget:
    """A budget that nobody holds yet."""
    return Budget("budget", limit, Clock(now), timer or timer_of(), since=now() - 60, shared=True)


@in_virtual_time
async def test_an_unheld_budget_grants_nothing_and_sets_no_timer() -> None:
    """
    It costs nothing to wait for a budget.
    """
    timer = timer_of()
    bidder = Wanting(regular=now()).at(shared(timer=timer))
    await asyncio.sleep(10)

    assert not bidder.granted
    assert not timer._waiting
    assert 0 == timer.fenced_calls


@in_virtual_time
async def test_a_lease_is_used_from_its_first_moment_to_its_last() -> None:
    """
    Slots are granted until it ends, and not a moment longer.
    """
    budget = shared()
    bidder = Wanting(regular=now()).at(budget)
    await asyncio.sleep(5)
    gained = now()
    budget.hold(gained + 2.5)
    await asyncio.sleep(10)

    assert gained <= bidder.moments[0] <= gained + TICK
    assert gained + 2.3 < bidder.moments[-1] < gained + 2.5
    assert not budget.held


@in_virtual_time
async def test_a_lease_that_is_renewed_in_time_has_no_gap() -> None:
    """
    Every half second, as long as the cluster agrees.
    """
    budget = shared()
    bidder = Wanting(regular=now()).at(budget)
    began = now()
    for _ in range(20):
        budget.hold(now() + 1.0)
        await asyncio.sleep(0.5)

    assert 96 <= len(bidder.granted) <= 98
    assert began + 9.8 < bidder.moments[-1]


@in_virtual_time
async def test_a_lease_that_is_renewed_late_goes_on() -> None:
    """
    Whoever bids need not bid again.
    """
    budget = shared()
    bidder = Wanting(regular=now()).at(budget)
    budget.hold(now() + 1.0)
    await asyncio.sleep(5)
    renewed, before = now(), len(bidder.granted)
    budget.hold(now() + 1.0)
    await asyncio.sleep(5)

    assert renewed <= bidder.moments[before] <= renewed + TICK


@in_virtual_time
async def test_a_write_is_refused_after_the_end_and_counted() -> None:
    """
    Whoever writes asks in the same step.
    """
    timer = timer_of()
    budget = shared(timer=timer)
    budget.hold(now() + 1.0)
    assert budget.may_write()
    await asyncio.sleep(1.0)

    assert not budget.may_write()
    assert 1 == timer.fenced_calls


@in_virtual_time
async def test_without_other_processes_a_budget_is_always_held() -> None:
    """
    As ever.
    """
    budget = budget_of(10)

    assert budget.held
    assert budget.may_write()
    assert math.inf == budget.held_until


@pytest.mark.parametrize(("acknowledged", "waits"), [(True, 1.024), (False, 6.024)])
@in_virtual_time
async def test_calls_under_way_are_handed_over_as_the_network_knows_them(acknowledged: bool, waits: float) -> None:
    """
    One that the vendor has counts from its write, and one that may still arrive from when it can no longer.
    """
    budget = shared(1.0)
    bidder = Wanting(most=1, regular=now()).at(budget)
    bidder.until = -math.inf if acknowledged else math.inf
    budget.hold(now() + 100)
    await asyncio.sleep(0.1)
    written = bidder.moments[0]
    budget.hold(-math.inf)
    state, handed_over = budget.state(last=True), now()
    other = shared(1.0)
    other.go_on(state, 0.0, 0.0)

    assert pytest.approx((written if acknowledged else handed_over) + waits, abs=0.002) == other.pacer.open_at()


@in_virtual_time
async def test_a_state_that_is_lost_costs_a_silent_second() -> None:
    """
    Unless nobody has called for long enough anyway.
    """
    budget = shared()
    budget.go_on(None, 0.0, 0.0)
    assert pytest.approx(now() + 1.026) == budget.pacer.open_at()

    budget.go_on(None, 0.0, 1.07)
    assert now() >= budget.pacer.open_at()
