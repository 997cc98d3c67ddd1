"""
Who gets the next slot, and when.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from exporter.clock import Clock
from exporter.polling import budget as budget_module
from exporter.polling.budget import Budget, Timer
from exporter.polling.pace import Sent
from exporter.polling.planner import Lane
from tests.polling.house import worst_window
from tests.polling.virtual_time import VirtualLoop, in_virtual_time

TICK = 0.0212
"""Seconds between two moments at which slots are used, and a timer that rings a millisecond late."""


def now() -> float:
    """Virtual seconds."""
    return asyncio.get_running_loop().time()


class Wanting:
    """
    A bidder that wants slots in some lanes from some moments on, so many at most, and keeps what it was granted.

    It stands for each of its calls, too: ``until`` then they may arrive.
    """

    until = -math.inf

    def __init__(self, most: float = math.inf, **lanes: float) -> None:
        self.budget: Budget | None = None
        self.most = most
        self.wanted = {Lane[name.upper()]: due for name, due in lanes.items()}
        self.granted: list[tuple[float, Lane]] = []
        self.sent: list[Sent] = []
        self.waited_since: list[float] = []
        self.asked = self.asked_for_dues = 0
        self.asked_for_calls: list[float] = []

    def at(self, budget: Budget) -> Wanting:
        """Bid there."""
        self.budget = budget
        budget.bid(self)
        return self

    def dues(self) -> tuple[float, ...]:
        """When it wants one."""
        self.asked_for_dues += 1
        return tuple(self.wanted.get(lane, math.inf) if len(self.granted) < self.most else math.inf for lane in Lane)

    def dispatch(self, lane: Lane, due: float) -> bool:
        """Use a slot."""
        assert self.budget
        assert due <= self.wanted[lane]
        self.waited_since.append(due)
        self.asked += 1
        self.granted.append((now(), lane))
        self.sent.append(self.budget.sent(due, self))
        return True

    def arrives_by(self) -> float:
        """The same for all calls."""
        self.asked_for_calls.append(now())
        return self.until

    def round_trip(self) -> float:
        """A short way."""
        return 0.05

    @property
    def moments(self) -> list[float]:
        """When it was granted slots."""
        return [at for at, _ in self.granted]

    def lanes(self) -> Counter[Lane]:
        """How many slots it was granted in each lane."""
        return Counter(lane for _, lane in self.granted)


def timer_of(clock: Clock | None = None) -> Timer:
    """A timer whose callbacks may not fail."""
    return Timer(clock or Clock(now), raised=lambda error: pytest.fail(repr(error)))


def budget_of(limit: float, timer: Timer | None = None) -> Budget:
    """A budget whose silent second is long over."""
    return Budget("budget", limit, Clock(now), timer or timer_of(), since=now() - 60)


@in_virtual_time
async def test_slot_is_granted_when_a_room_is_due() -> None:
    """
    Not before, and to nobody who does not bid.
    """
    begin = now()
    bidder, silent = Wanting(most=1, regular=begin + 3).at(budget_of(10)), Wanting(regular=begin)
    await asyncio.sleep(5)

    ((at, lane),) = bidder.granted
    assert begin + 3 <= at <= begin + 3 + TICK
    assert Lane.REGULAR is lane
    assert not silent.granted


@in_virtual_time
async def test_new_budget_is_silent_for_a_second() -> None:
    """
    Another process may have used the whole limit just before.
    """
    begin = now()
    bidder = Wanting(regular=begin).at(Budget("budget", 10, Clock(now), timer_of()))
    await asyncio.sleep(2)

    assert begin + 1.026 <= bidder.moments[0] <= begin + 1.026 + TICK


@in_virtual_time
async def test_room_that_becomes_due_sooner_wakes_the_budget() -> None:
    """
    A budget that waits for a room in an hour hears of one that is due now.
    """
    budget = budget_of(10)
    bidder = Wanting(most=1, regular=now() + 3600).at(budget)
    await asyncio.sleep(1)
    bidder.wanted[Lane.REGULAR] = due = now()
    budget.arm()
    await asyncio.sleep(1)

    ((at, _),) = bidder.granted
    assert due <= at <= due + TICK


@pytest.mark.parametrize("limit", [0.1, 0.3, 1.0, 1.5, 2.5, 7.5, 10.0, 33.3, 200.0, 1_000.0, 10_000.0])
@in_virtual_time
async def test_every_slot_is_used(limit: float) -> None:
    """
    Where calls are always due, at least 97 % of any limit are made, and never more than the limit allows.
    """
    timer = timer_of()
    timer.expect(limit)
    bidder = Wanting(regular=now() - 1).at(budget_of(limit, timer))
    await asyncio.sleep(max(4.0, min(60.0, 2_000 / limit), 12 / limit))

    first, *_, last = bidder.moments
    assert 0.97 * limit <= (len(bidder.moments) - 1 - 0.1 * limit) / (last - first) <= limit
    assert math.ceil(limit) >= worst_window(bidder.moments, math.ceil(limit) / limit + 0.02)


@in_virtual_time
async def test_slots_of_all_budgets_are_used_at_the_same_moments() -> None:
    """
    Whatever their limits are and whenever they began: the processor wakes up fifty times a second, not once per call.
    """
    timer, bidders = timer_of(), []
    for limit in (10, 40, 200, 200):
        bidders.append(Wanting(regular=now()).at(budget_of(limit, timer)))
        await asyncio.sleep(0.0137)
    await asyncio.sleep(10)

    assert [98, 391, 1957, 1957] == pytest.approx([len(bidder.granted) for bidder in bidders], rel=0.02)
    moments = sorted(at for bidder in bidders for at in bidder.moments)
    assert 510 >= sum(later - earlier > 0.002 for earlier, later in pairwise(moments))


@pytest.mark.parametrize(("rate", "milliseconds"), [(0.2, 20), (500, 20), (600, 10), (2_000, 5), (50_000, 5)])
@in_virtual_time
async def test_more_calls_leave_more_often(rate: float, milliseconds: int) -> None:
    """
    About ten at a time, though never more than 200 times a second; and less often again when budgets go.
    """
    timer = timer_of()
    timer.expect(50_000)
    timer.expect(rate)
    bidder = Wanting(regular=now()).at(budget_of(400, timer))
    await asyncio.sleep(1)

    gaps = [later - earlier for earlier, later in pairwise(bidder.moments) if later - earlier > 0.002]
    assert milliseconds / 1000 == pytest.approx(sum(gaps) / len(gaps), rel=0.1)


@in_virtual_time
async def test_call_that_is_held_up_does_not_wait_for_a_tick() -> None:
    """
    It leaves within a millisecond of when log and pauses allow it.
    """
    budget = budget_of(1)
    budget.pacer.pause(paused_until := now() + 0.51234)
    bidder = Wanting(regular=now()).at(budget)
    await asyncio.sleep(1)
    bidder.sent[0].at += 0.1
    counts_from = bidder.sent[0].at
    await asyncio.sleep(1)

    first, second = bidder.moments
    assert paused_until <= first <= paused_until + 0.0011
    assert counts_from + 1.024 <= second <= counts_from + 1.0251


@in_virtual_time
async def test_budget_is_armed_once() -> None:
    """
    However often it is told that due times may have come closer, it waits for one moment, grants each slot once, and
    does not ask around again for what leaves within a tick anyway.
    """
    budget = budget_of(10)
    bidder = Wanting(most=3, regular=now() + 3600).at(budget)
    for due in (now() + 2, now() + 1):
        bidder.wanted[Lane.REGULAR] = due
        for _ in range(10):
            budget.bid(bidder)
            budget.arm()
    assert 1 == sum(budget._timer._waiting[moment] != {} for moment in budget._timer._waiting)
    await asyncio.sleep(0.9999)
    asked = bidder.asked_for_dues
    budget.arm()
    assert asked == bidder.asked_for_dues
    await asyncio.sleep(2)

    assert 3 == len(bidder.granted)


@in_virtual_time
async def test_limit_that_is_raised() -> None:
    """
    Nobody waits for a slot of the old limit.
    """
    budget = budget_of(0.1)
    bidder = Wanting(regular=now()).at(budget)
    await asyncio.sleep(1)
    budget.change_limit(10)
    await asyncio.sleep(1)

    assert 11 == pytest.approx(len(bidder.granted), abs=1)


@in_virtual_time
async def test_longest_overdue_bidder_is_first() -> None:
    """
    Sources of one budget take turns by need, not by name or age.
    """
    budget, begin = budget_of(10), now()
    late = {"a": 1, "b": 3, "c": 2, "d": 0}
    bidders = {name: Wanting(most=1, regular=begin - seconds).at(budget) for name, seconds in late.items()}
    await asyncio.sleep(1)

    assert ["b", "c", "a", "d"] == sorted(bidders, key=lambda name: bidders[name].granted)


@in_virtual_time
async def test_shares_of_the_lanes() -> None:
    """
    While regular polls are due retries get a fifth of the slots and suspects less than a tenth; whatever they leave is
    the regular ones'. It makes no difference which sources they are of.
    """
    past = now() - 1
    everything = Wanting(most=1000, regular=past, retry=past - 1, suspect=past - 2).at(budget_of(100))
    retries = Wanting(most=1000, regular=past, retry=past).at(budget_of(100))
    shared = budget_of(100)
    healthy, ill = Wanting(regular=past).at(shared), Wanting(retry=past, suspect=past).at(shared)
    await asyncio.sleep(15)

    assert 70 <= everything.lanes()[Lane.SUSPECT] <= 100
    assert 180 <= everything.lanes()[Lane.RETRY] <= 200
    assert 180 <= retries.lanes()[Lane.RETRY] <= 200
    assert 800 <= retries.lanes()[Lane.REGULAR]
    assert 0.28 == pytest.approx(len(ill.granted) / (len(ill.granted) + len(healthy.granted)), abs=0.02)


@in_virtual_time
async def test_idle_slots_are_for_whoever_wants_them() -> None:
    """
    Where no regular poll is due the other lanes are not held back, and owe nothing later.
    """
    begin = now()
    bidder = Wanting(most=700, retry=begin - 1, suspect=begin - 2).at(budget_of(100))
    await asyncio.sleep(5)
    assert 490 == pytest.approx(bidder.lanes()[Lane.SUSPECT], abs=12)
    bidder.wanted[Lane.REGULAR] = now()
    bidder.granted.clear()
    await asyncio.sleep(1)

    assert 0.2 == pytest.approx(bidder.lanes()[Lane.RETRY] / len(bidder.granted), abs=0.03)
    assert 0.08 == pytest.approx(bidder.lanes()[Lane.SUSPECT] / len(bidder.granted), abs=0.02)


@in_virtual_time
async def test_spare_slots_are_for_rooms_that_are_not_due() -> None:
    """
    Whoever has rooms that are worth an early poll gets all slots that no due call of any source needs, and no others.
    """
    begin, shared = now(), budget_of(100)
    early = Wanting(spare=begin - 100).at(shared)
    due = [Wanting(most=50, suspect=begin - 1).at(shared), Wanting(most=50, retry=begin - 1, regular=begin).at(shared)]
    await asyncio.sleep(5)

    assert 100 == sum(len(each.granted) for each in due)
    assert early.granted[0] >= max(max(each.granted) for each in due)
    assert 100 + len(early.granted) >= 487


class Trickling(Wanting):
    """A bidder whose next regular poll is due some milliseconds after the last one."""

    def dispatch(self, lane: Lane, due: float) -> bool:
        """Use a slot, and want the next one."""
        super().dispatch(lane, due)
        self.wanted[lane] = now() + 0.025
        return True


@pytest.mark.parametrize("waiting", ["retry", "suspect", "spare"])
@in_virtual_time
async def test_no_slot_is_lost_since_a_call_that_became_due_later_leaves_first(waiting: str) -> None:
    """
    Four slots pass from one tick to the next. Though the first of them is for a regular poll that has just become due,
    the calls that have waited longer use the others.
    """
    shared = budget_of(200)
    trickling, backlog = Trickling(regular=now()).at(shared), Wanting(**{waiting: now() - 10}).at(shared)
    await asyncio.sleep(10)

    assert len(trickling.granted) >= 200
    assert len(trickling.granted) + len(backlog.granted) >= 1950


@in_virtual_time
async def test_a_call_is_told_since_when_any_call_has_waited_for_its_slot() -> None:
    """
    Which is its own due time, if no other call has waited longer.
    """
    begin, shared = now(), budget_of(10)
    regular = Wanting(most=2, regular=begin - 2).at(shared)
    retry = Wanting(most=1, retry=begin - 5).at(shared)
    await asyncio.sleep(2)

    assert [begin - 5, begin - 5] == regular.waited_since
    assert [begin - 5] == retry.waited_since


@in_virtual_time
async def test_lanes_save_nothing_up() -> None:
    """
    However long there was nothing to ask again, retries that come at last get a fifth of the slots.
    """
    begin = now()
    bidder = Wanting(regular=begin - 1, retry=begin + 10).at(budget_of(100))
    await asyncio.sleep(11)

    assert 20 == pytest.approx(bidder.lanes()[Lane.RETRY], abs=2)


@in_virtual_time
async def test_bidder_that_withdraws() -> None:
    """
    A source that ends is granted no slot any more, and its slots are the others'.
    """
    begin, budget = now(), budget_of(10)
    gone, kept = Wanting(regular=begin - 2).at(budget), Wanting(regular=begin - 1).at(budget)
    await asyncio.sleep(1)
    assert (11, 0) == pytest.approx((len(gone.granted), len(kept.granted)), abs=1)
    slots = len(gone.granted)
    budget.withdraw(gone)
    budget.withdraw(gone)
    await asyncio.sleep(1)

    assert slots == len(gone.granted)
    assert 10 == pytest.approx(len(kept.granted), abs=1)


class Lacking(Wanting):
    """A bidder that has no connection for half a second whenever it is asked for a call the first time."""

    def dispatch(self, lane: Lane, due: float) -> bool:
        """Use a slot, or begin to connect."""
        if self.asked:
            return super().dispatch(lane, due)
        self.asked += 1
        self.most = 0
        asyncio.get_running_loop().call_later(0.5, self.connected)
        return False

    def connected(self) -> None:
        """Now it can call."""
        assert self.budget
        self.most = 1
        self.budget.arm()


@in_virtual_time
async def test_bidder_that_lacks_something_is_passed_over() -> None:
    """
    Its slot is the next bidder's, at the same moment, and it is asked again when it has what it lacked.
    """
    begin, budget = now(), budget_of(10)
    lacking, other = Lacking(regular=begin - 2), Wanting(regular=begin - 1)
    lacking.at(budget)
    other.at(budget)
    await asyncio.sleep(2)

    assert 2 == lacking.asked
    assert begin + 0.5 <= lacking.moments[0] <= begin + 0.6 + TICK
    assert other.moments[0] <= begin + TICK
    assert 20 == pytest.approx(budget.calls, abs=1)


class Stubborn(Wanting):
    """A bidder that lacks something, and goes on bidding all the same."""

    def dispatch(self, lane: Lane, due: float) -> bool:
        """Call nobody."""
        self.asked += 1
        return False


class Raising(Stubborn):
    """A bidder with a bug."""

    def dispatch(self, lane: Lane, due: float) -> bool:
        """Fail."""
        super().dispatch(lane, due)
        raise ZeroDivisionError


@in_virtual_time
async def test_a_thousand_bidders_without_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The sources of a new config have no connections yet. At most 20 of them are asked in one iteration of the loop, so
    that other tasks run, and each is asked for its due times a few times, not once for every other one.
    """
    in_a_turn: Counter[int] = Counter()
    turn = 0

    def count_turns() -> None:
        nonlocal turn
        turn += 1
        asyncio.get_running_loop().call_soon(count_turns)

    class Watched(Stubborn):
        def dispatch(self, lane: Lane, due: float) -> bool:
            in_a_turn[turn] += 1
            self.wanted.clear()
            return super().dispatch(lane, due)

    budget = budget_of(10)
    others = [Watched(regular=now() - 2) for _ in range(1_000)]
    for other in others:
        other.at(budget)
    monkeypatch.setattr(budget, "arm", lambda *_: None)
    last = Wanting(most=1, regular=now() - 1).at(budget)
    count_turns()
    budget._use_slots()
    for _ in range(200):
        await asyncio.sleep(0)

    assert [1] * 1_000 == [other.asked for other in others]
    assert max(in_a_turn.values()) <= 20
    assert max(other.asked_for_dues for other in others) <= 5
    assert 1 == len(last.granted)


@in_virtual_time
async def test_error_after_the_first_twenty_bidders_is_counted() -> None:
    """
    The 25th of the bidders without a connection raises when it is asked: that is counted as any error in a slot is, and
    the others are granted theirs the next time.
    """

    class Broken(Wanting):
        def dues(self) -> tuple[float, ...]:
            if budget._armed_for == math.inf and self.asked_for_dues == 1:
                self.asked_for_dues += 1
                raise ZeroDivisionError
            return super().dues()

    raised: list[Exception] = []
    budget = budget_of(10, Timer(Clock(now), raised.append))
    for _ in range(24):
        Stubborn(regular=now() - 2).at(budget)
    broken = Broken(most=1, regular=now() - 1)
    broken.budget = budget
    budget._bidders[broken] = None
    budget._use_slots()
    await asyncio.sleep(3)

    assert [ZeroDivisionError] == [type(error) for error in raised]
    assert 1 == len(broken.granted)


@in_virtual_time
async def test_many_callbacks_of_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    When a hundred budgets wait for the same tick, each is called back once, and other tasks run in between.
    """
    monkeypatch.setattr(budget_module, "perf_counter", itertools.count().__next__)
    turns = set[int]()
    called: list[int] = []
    turn = 0

    def count_turns() -> None:
        nonlocal turn
        turn += 1
        if len(called) < 100:
            asyncio.get_running_loop().call_soon(count_turns)

    def called_back(number: int) -> None:
        called.append(number)
        turns.add(turn)

    timer = timer_of()
    for number in range(100):
        timer.call_at(now() + 1, functools.partial(called_back, number))
    await asyncio.sleep(0.99)
    count_turns()
    await asyncio.sleep(0.1)

    assert [*range(100)] == called
    assert 50 < len(turns)


@in_virtual_time
async def test_moments_share_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    When the next ticks come while the budgets of the first one still wait, each iteration of the loop serves as many
    budgets as before, in the order of their ticks, and not as many for each tick.
    """
    monkeypatch.setattr(budget_module, "perf_counter", itertools.count(step=0.003).__next__)
    called: list[int] = []
    turns: list[int] = []
    timer = timer_of()
    for number in range(90):
        timer.call_at(now() + 0.1 + number // 30 * 0.002, functools.partial(called.append, number))
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    await asyncio.sleep(0.09)
    loop.stall(0.03)  # all three ticks are in the past
    while len(called) < 90:
        before = len(called)
        await asyncio.sleep(0)
        turns.append(len(called) - before)

    assert [*range(90)] == called
    assert 2 == max(turns)


@pytest.mark.parametrize("make", [Stubborn, Raising])
@in_virtual_time
async def test_bidder_that_never_calls(make: Callable[..., Wanting]) -> None:
    """
    It uses no slot, keeps nobody from using them, and is asked once a tick at most.
    """
    reported: list[Exception] = []
    budget = budget_of(10, Timer(Clock(now), reported.append))
    never, other = make(regular=now() - 2), Wanting(regular=now() - 1)
    never.at(budget)
    await asyncio.sleep(1)
    assert never.asked <= 1 / 0.02
    other.at(budget)
    await asyncio.sleep(1)

    assert 11 == pytest.approx(len(other.granted), abs=1)
    assert len(other.granted) == budget.calls
    assert (never.asked if make is Raising else 0) == len(reported)
    assert {ZeroDivisionError} >= {type(error) for error in reported}


@in_virtual_time
async def test_timer_calls_everybody_back() -> None:
    """
    Once each, though asked for twice, from one timer of the loop; who cancelled is not called, and an error in one
    keeps nobody else from being called.
    """
    loop = asyncio.get_running_loop()
    reported: list[Exception] = []
    timer = Timer(Clock(now), reported.append)
    called: list[tuple[str, float]] = []
    moment = now() + 1

    def caller(name: str) -> Callable[[], None]:
        return lambda: called.append((name, round(now() - moment, 2)))

    def failing() -> None:
        raise ZeroDivisionError

    early, gone, late = caller("early"), caller("gone"), caller("late")
    before = len(loop._scheduled)  # type: ignore[attr-defined]  # it is CPython's
    for callback in (early, early, failing, gone, late):
        timer.call_at(moment, callback)
    timer.cancel(moment, gone)
    timer.cancel(moment + 1, early)
    timers = len(loop._scheduled) - before  # type: ignore[attr-defined]  # as above
    await asyncio.sleep(2)

    assert 1 == timers
    assert [("early", 0.0), ("late", 0.0)] == called
    assert [ZeroDivisionError] == [type(error) for error in reported]


@pytest.mark.parametrize(("late", "stalled"), [(0.2, False), (0.3, True)])
@in_virtual_time
async def test_timer_notices_a_stall(late: float, *, stalled: bool) -> None:
    """
    A moment that comes a little late is nothing; a process that slept for 0.3 s was stalled until now.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    timer = timer_of()
    timer.call_at(moment := now() + 1, lambda: None)
    loop.stall(1 + late)
    await asyncio.sleep(0.001)

    assert stalled is (timer.resumed_at > moment)


@in_virtual_time
async def test_process_that_was_stalled_waits_for_what_was_under_way() -> None:
    """
    0.7 s in which nothing ran, with ten calls that nobody has answered: the vendor may get all of them now, and gets no
    other one in the second after. Nor does the vendor of another budget, which had nothing to do in the meantime.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    timer = timer_of()
    idle_budget = budget_of(10, timer)
    busy, idle = Wanting(regular=now()).at(budget_of(10, timer)), Wanting(most=10, regular=now()).at(idle_budget)
    await asyncio.sleep(1.0)
    calls = len(busy.granted)
    loop.stall(0.7)
    resumed = now()
    await asyncio.sleep(0.001)
    idle.most = math.inf
    idle_budget.arm()
    await asyncio.sleep(3)

    assert resumed + 1.024 <= busy.moments[calls] <= resumed + 1.03
    assert resumed + 1.024 <= idle.moments[10]


@in_virtual_time
async def test_calls_that_were_answered_before_a_stall_do_not_count_again() -> None:
    """
    Only calls under way may have been held up with the process.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    budget = budget_of(10)
    bidder = Wanting(regular=now()).at(budget)
    await asyncio.sleep(1.0)
    for call in bidder.sent:
        budget.pacer.answered(call, call.at + 0.05)
    calls = len(bidder.granted)
    loop.stall(0.7)
    resumed = now()
    await asyncio.sleep(1)

    assert bidder.moments[calls] <= resumed + TICK


@in_virtual_time
async def test_calls_that_may_still_arrive_keep_the_others_back() -> None:
    """
    Nobody acknowledges ten calls: no other one leaves for as long as that lasts, but for a second after they were.
    """
    bidder = Wanting(regular=now()).at(budget_of(10))
    bidder.until = math.inf
    await asyncio.sleep(10)
    assert 10 == len(bidder.granted)
    bidder.until, back = -math.inf, now()
    await asyncio.sleep(5)

    assert back + 1.024 <= bidder.moments[10] <= back + 1.024 + 0.25 + TICK
    assert 10 + 38 == pytest.approx(len(bidder.granted), abs=2)
    assert 10 >= worst_window(bidder.moments[10:])


@in_virtual_time
async def test_calls_that_have_arrived_are_asked_for_once() -> None:
    """
    After 250 ms, when slots are used; from then on a slow reply costs nothing.
    """
    bidder = Wanting(regular=now()).at(budget_of(10))
    await asyncio.sleep(5)

    waited = [asked - sent for asked, sent in zip(bidder.asked_for_calls, bidder.moments, strict=False)]
    assert len(bidder.moments) - 3 <= len(waited) <= len(bidder.moments)
    assert 0.25 <= min(waited) <= max(waited) <= 0.25 + 0.11
    assert 48 == pytest.approx(len(bidder.granted), abs=1)


@in_virtual_time
async def test_source_whose_calls_do_not_arrive_holds_no_more_places_than_it_used() -> None:
    """
    Two sources share ten calls a second, and one is sent nothing more after a second in the dark: its half stays taken
    until it has ended, and three seconds longer; the other one goes on with its half, and then has all.
    """
    begin, budget = now(), budget_of(10)
    dead, alive = Wanting(most=5, regular=begin - 2).at(budget), Wanting(regular=begin - 2).at(budget)
    dead.until = math.inf
    await asyncio.sleep(2)
    calls = len(alive.granted)
    await asyncio.sleep(5)
    assert 25 == pytest.approx(len(alive.granted) - calls, abs=2)
    dead.until = now() + 3
    await asyncio.sleep(3)
    calls = len(alive.granted)
    await asyncio.sleep(4)

    assert 34 == pytest.approx(len(alive.granted) - calls, abs=2)


@in_virtual_time
async def test_room_that_became_due_during_a_suspend_is_asked_at_once() -> None:
    """
    The loop's clock stood still for the hour that ours went on.
    """
    asleep = 0.0
    clock = Clock(lambda: now() + asleep)
    budget = budget_of(10.0, timer_of(clock))
    budget._clock = clock
    bidder = Wanting(1, regular=now() + 3_600.0).at(budget)
    await asyncio.sleep(5)
    asleep = 3_600.0
    await asyncio.sleep(1.1)

    assert 1 == len(bidder.granted)
