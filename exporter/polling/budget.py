"""
One vendor limit, shared by the sources that draw on it: which call may leave next, and when.

Theory of operation
===================

**Problem.** Several sources may share one limit. ``pace`` says when one more call may leave, but not whose call that
is. Retries and refused rooms must not displace regular polls, nor starve. And calls that leave one by one cost more
processor time than calls that leave together.

**Idea.** Each source is a *bidder*. It tells the budget when its next call is due, in each of four lanes: regular
polls, retries, suspect rooms, and polls that only a spare slot is for. When the pace has a free slot, the budget picks
a bidder and lets it *dispatch* one call.

1. *Earliest due time first*. The call that is longest overdue leaves next, whichever source it belongs to.
2. *Shares*. While regular polls are due, retries get at most 20 % of the slots and suspect rooms at most 8 %. Each
   granted slot adds 0.2 and 0.08 to the credit of these two lanes. A lane spends a credit of 1 for a slot.
3. *Spare slots*. A slot that no due call needs goes to a source with a cadence, whose rooms are worth more readings
   than the limit allows.
4. *Ticks*. Calls leave at ticks that all budgets share, about 20 ms apart. A slot that falls between two ticks is used
   at the next one, and the pace lets the budget catch up. Where more than ten calls would leave at each tick, ticks are
   10 ms or 5 ms apart.

Worked example, a limit of 100 calls per second: slots are 10.26 ms apart, and ticks 1.026 s / 51 = 20.1 ms. About two
calls leave at each tick. Of 25 slots, 5 go to retries and 2 to suspect rooms while there are enough of them. The other
18 serve regular polls. Without regular polls, retries and suspect rooms may use every slot.

A tick divides the period into a whole number of parts. So two calls that are N slots apart are also a whole number of
ticks apart, and the sliding window log in ``pace`` does not hold up the second one. If the log or a pause does hold up
a call, the call leaves when they allow it, without waiting for another tick.

**Calls in flight.** 250 ms after a call was written without a reply, the budget asks whether the network has delivered
it, and asks again every 250 ms while the network has not. ``pace`` explains what follows. The budget asks before it
uses slots, so no extra timer is needed.

**Leases.** In a cluster a budget is shared with other processes, and only the one that *holds* it may call, until a
moment that is moved on as long as the cluster agrees. An unheld budget grants no slot and sets no timer. Between the
grant and the write the process may stand still, so whoever writes asks again in the same step (``may_write``).

**Why simpler is not enough.** Ten calls that leave together cost a third less processor time than ten that leave one by
one, since each finds the processor's caches warm. Round robin over the sources would put all the lateness of an
overloaded budget on the source with the most rooms. A fixed priority for regular polls would starve retries in an
overloaded budget.

**When this is wrong.** Shares hold for a budget and not for each source: one source with many failed calls may use all
slots for retries. In an overloaded budget every room is late by the same number of seconds, which is a larger part of a
short interval than of a long one. A bidder that has no connection is skipped until the next tick.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from heapq import heappop, heappush
from time import perf_counter
from typing import Final, Protocol

from exporter.clock import Clock
from exporter.polling.pace import Pace, Sent
from exporter.polling.pace_state import PaceState
from exporter.polling.planner import LANES, Lane

_SHARES: Final = {Lane.SUSPECT: 0.08, Lane.RETRY: 0.2}
_TICKS: Final = (0.02, 0.01, 0.005)
_CALLS_PER_TICK: Final = 10
_STALL: Final = 0.25
_LONGEST_WAIT: Final = 1.0
_CHECKED_AFTER: Final = 0.25
_ROUNDING: Final = 0.001
_LONGEST_TURN: Final = 0.005
_DECLINED_PER_TURN: Final = 20
"""Bidders without a connection that may open one in one iteration of the loop. A thousand would block it."""
_NEVER: Final = (math.inf,) * len(LANES)


class Bidder(Protocol):
    """A source that may want a slot."""

    def dues(self) -> tuple[float, ...]:
        """Monotonic time at which a call of each lane may leave, in the order of ``LANES``; infinity: no call waits."""

    def dispatch(self, lane: Lane, due: float) -> bool:
        """
        Write one call of this lane now, and count it with ``Budget.sent``.

        Args:
            due: Monotonic time since which a call of some source has waited for this slot.

        Returns:
            Whether a call was written. If not, the bidder lacks a connection, and its ``dues`` change accordingly.
        """


class InFlight(Protocol):
    """A call that was written and has no reply yet."""

    def arrives_by(self) -> float:
        """
        Monotonic time until which the network may still deliver the call.

        Minus infinity if the vendor has it, infinity while the network still tries.
        """

    def round_trip(self) -> float:
        """Smoothed round-trip time of the connection in seconds; 0 if unknown."""


class Timer:
    """
    Callbacks at moments: one timer of the event loop for each moment, however many budgets wait for it.

    The loop's clock stops while the machine is suspended, and ours does not. So a long wait is cut into waits of at
    most one second.

    Args:
        raised: Called with an exception that a callback raised. The other callbacks run all the same.

    Attributes:
        tick: Wanted seconds between two ticks. Each budget uses the nearest value that divides its period.
        resumed_at: Monotonic end of the last stall. A stall is a timer that fires more than 250 ms late.
        fenced_calls: Calls that were not written since the lease of their budget had run out meanwhile.
    """

    def __init__(self, clock: Clock, raised: Callable[[Exception], None]) -> None:
        self.tick = _TICKS[0]
        self.resumed_at = -math.inf
        self.fenced_calls = 0
        self._clock = clock
        self.raised = raised
        self._waiting: dict[float, dict[Callable[[], None], None]] = {}
        self._rung: deque[Callable[[], None]] = deque()
        self._goes_on = False

    def expect(self, rate: float) -> None:
        """Choose the tick for this many calls per second, all budgets together."""
        self.tick = next((tick for tick in _TICKS if rate * tick <= _CALLS_PER_TICK), _TICKS[-1])

    def call_at(self, moment: float, callback: Callable[[], None]) -> None:
        """Call back at this monotonic time."""
        waiting = self._waiting.get(moment)
        if waiting is None:
            waiting = self._waiting[moment] = {}
            self._wait(moment, moment - self._clock.monotonic())
        waiting[callback] = None

    def cancel(self, moment: float, callback: Callable[[], None]) -> None:
        """Undo ``call_at``."""
        if moment in self._waiting:
            self._waiting[moment].pop(callback, None)

    def _wait(self, moment: float, seconds: float) -> None:
        # uvloop rounds timers down to milliseconds, and would fire too early.
        delay = math.ceil(min(seconds, _LONGEST_WAIT) * 1000) / 1000
        asyncio.get_running_loop().call_later(max(0.0, delay), self._ring, moment)

    def _ring(self, moment: float) -> None:
        now = self._clock.monotonic()
        if self._waiting[moment] and moment > now + _ROUNDING:
            self._wait(moment, moment - now)
            return
        if now > moment + _STALL:
            self.resumed_at = now
        self._rung += self._waiting.pop(moment)
        if not self._goes_on:
            self._call_back()

    def call_later_on(self, callback: Callable[[], None]) -> None:
        """Call back in another iteration of the loop, after the callbacks whose moment has come."""
        self._rung.append(callback)
        self._go_on()

    def _go_on(self) -> None:
        if not self._goes_on:
            self._goes_on = True
            asyncio.get_running_loop().call_soon(self._call_back)

    def _call_back(self) -> None:
        """
        Run the callbacks whose moment has come.

        There may be a thousand, so after every 5 ms other tasks run. If the next moment comes meanwhile, its callbacks
        wait in the same queue: with 5 ms for each moment, moments would add up.
        """
        self._goes_on = False
        began = perf_counter()
        for _ in range(len(self._rung)):
            try:
                self._rung.popleft()()
            except Exception as error:  # noqa: BLE001 the other callbacks must run
                self.raised(error)
            if perf_counter() - began > _LONGEST_TURN:
                break
        if self._rung:
            self._go_on()


class Budget:
    """
    One vendor limit, shared by the sources that draw on it.

    Args:
        name: The label ``budget``.
        limit: Calls per second, above 0.
        timer: Shared by all budgets.
        since: Monotonic time since which no other process has used this limit; default: now.
        shared: Whether it is shared with other processes. Then it is not held at first.
    """

    def __init__(
        self, name: str, limit: float, clock: Clock, timer: Timer, since: float | None = None, *, shared: bool = False
    ) -> None:
        self.name = name
        self._held_until = -math.inf if shared else None
        self.pacer = Pace(limit, clock.monotonic() if since is None else since)
        self._clock = clock
        self._timer = timer
        self._resumed_at = timer.resumed_at
        self._bidders: dict[Bidder, None] = {}
        self._credit = dict.fromkeys(_SHARES, 0.0)
        self._armed_for = math.inf
        self._granting = False
        self._in_flight: deque[tuple[float, Sent, InFlight]] = (
            deque()
        )  # with the time of the next check, earliest first

    @property
    def limit(self) -> float:
        return self.pacer.limit

    @property
    def pace(self) -> float:
        return self.pacer.pace

    @property
    def calls(self) -> int:
        return self.pacer.calls

    @property
    def held_until(self) -> float:
        """Monotonic time until which this process may call."""
        return math.inf if self._held_until is None else self._held_until

    @property
    def held(self) -> bool:
        """Whether this process may call now. Without other processes it always may."""
        return self._held_until is None or self._clock.monotonic() < self._held_until

    def may_write(self) -> bool:
        """Whether a call may be written in this step. Ask at the last moment; a refusal is counted."""
        if self.held:
            return True
        self._timer.fenced_calls += 1
        return False

    def hold(self, until: float) -> None:
        """This process may call until this monotonic time; minus infinity: not any more."""
        held, self._held_until = self.held, until
        if not held:
            self.arm()

    def go_on(self, state: PaceState | None, elapsed: float, silence: float) -> None:
        """
        Go on after another process. Call this before ``hold``.

        Args:
            state: What ``state`` returned there; ``None`` if it is lost.
            elapsed: Seconds since then, or fewer.
            silence: For so many seconds at least nobody has called; 0 if ``state`` has all calls.
        """
        now = self._clock.monotonic()
        if state is not None:
            self.pacer.restore(state, now, max(elapsed, silence))
        if state is None or silence:
            self.pacer.silent_since(now - silence)

    def state(self, *, last: bool) -> PaceState:
        """
        What another process needs to go on.

        Args:
            last: Whether this process calls no more: then the calls are part of it.
        """
        now = self._clock.monotonic()
        for _, call, in_flight in self._in_flight if last else ():
            self.pacer.arrives_by(call, in_flight.arrives_by(), now, 0.0)
        return self.pacer.state(now, writes=last)

    def bid(self, bidder: Bidder) -> None:
        """Grant slots to this bidder from now on."""
        self._bidders[bidder] = None
        self.arm(bidder)

    def withdraw(self, bidder: Bidder) -> None:
        """Grant this bidder no more slots."""
        self._bidders.pop(bidder, None)

    def change_limit(self, limit: float) -> None:
        """Keep to another limit from now on. Calls made under the old limit still count."""
        self.pacer.change_limit(limit)
        self.arm()

    def sent(self, due: float, in_flight: InFlight) -> Sent:
        """
        Count a call that was just written.

        Args:
            due: Monotonic time since which a call of some source had waited for its slot.
        """
        now = self._clock.monotonic()
        call = self.pacer.sent(now, due)
        self._in_flight.append((now + _CHECKED_AFTER, call, in_flight))
        return call

    def arm(self, bidder: Bidder | None = None) -> None:
        """
        Set the timer for the next moment at which a call may leave. Call this whenever a due time moves closer.

        Args:
            bidder: The bidder whose due time has changed; default: look at all of them. That takes long, since a
                thousand may share a budget.
        """
        now = self._clock.monotonic()
        if self._armed_for <= now + self._timer.tick or not self.held:
            return
        bidders = self._bidders if bidder is None else [each for each in (bidder,) if each in self._bidders]
        due = min([min(each.dues()) for each in bidders], default=math.inf)
        if due == math.inf:
            return
        moment = self._moment(now, due)
        if moment < self._armed_for:
            self._timer.cancel(self._armed_for, self._use_slots)
            self._timer.call_at(moment, self._use_slots)
            self._armed_for = moment

    def _moment(self, now: float, due: float) -> float:
        """When a call with this due time may leave: at a tick, or later if the log or a pause holds it up."""
        period = self.pacer.period
        tick = period / max(1, round(period / self._timer.tick))
        at_tick = math.ceil(max(now, due, self.pacer.slot_at(now)) / tick) * tick
        open_at = self.pacer.open_at()
        if self.pacer.holds and self._in_flight:
            open_at = min(open_at, self._in_flight[0][0])
        return max(at_tick, math.ceil(open_at * 1000) / 1000)

    def _use_slots(self) -> None:
        """Dispatch calls while there are free slots and calls that are due."""
        self._armed_for = math.inf
        now = self._clock.monotonic()
        if self._timer.resumed_at > self._resumed_at:
            self._resumed_at = self._timer.resumed_at
            self.pacer.stalled(self._resumed_at)
        self._check_in_flight(now)
        if not self._granting:  # otherwise the rest of an earlier moment's bidders is still to be asked
            self._grant(_Overdue(self._bidders, now))

    def _grant(self, dues: _Overdue) -> None:
        """
        Grant free slots to these bidders. After every 20 that decline, other tasks run.

        Args:
            dues: The due times of each bidder, to ask it for them only a few times. They may be out of date.
        """
        now = self._clock.monotonic()
        declined = 0
        while self.held and max(self.pacer.slot_at(now), self.pacer.open_at()) <= now and (first := dues.first()):
            lane = self._lane(first)
            bidder = first[lane][1]
            present = bidder.dues() if bidder in self._bidders else _NEVER
            if present != dues[bidder]:
                dues[bidder] = present
            elif self._dispatched(bidder, lane, min([each for each, _ in first.values()])):
                dues[bidder] = bidder.dues()
                if Lane.REGULAR in first:
                    self._account_for(lane)
            else:
                del dues[bidder]
                declined += 1
                if declined == _DECLINED_PER_TURN:
                    self._granting = True
                    self._timer.call_later_on(partial(self._grant_rest, dues))
                    return
        self.arm()

    def _grant_rest(self, dues: _Overdue) -> None:
        self._granting = False
        self._grant(dues)

    def _check_in_flight(self, now: float) -> None:
        while self._in_flight and self._in_flight[0][0] <= now:
            _, call, in_flight = self._in_flight.popleft()
            until = in_flight.arrives_by()
            unacknowledged = until == math.inf
            self.pacer.arrives_by(call, until, now, in_flight.round_trip() if unacknowledged else 0.0)
            if unacknowledged:
                self._in_flight.append((now + _CHECKED_AFTER, call, in_flight))

    def _dispatched(self, bidder: Bidder, lane: Lane, due: float) -> bool:
        try:
            return bidder.dispatch(lane, due)
        except Exception as error:  # noqa: BLE001 the other bidders must go on
            self._timer.raised(error)
            return False

    def _lane(self, first: dict[Lane, tuple[float, Bidder]]) -> Lane:
        """The lane that gets the slot: by shares while regular polls are due, otherwise the longest overdue one."""
        if Lane.REGULAR not in first:
            return min(first, key=lambda lane: (lane is Lane.SPARE, first[lane][0]))
        earned = (lane for lane, share in _SHARES.items() if lane in first and self._credit[lane] + share >= 1.0)
        return next(earned, Lane.REGULAR)

    def _account_for(self, granted: Lane) -> None:
        for lane, share in _SHARES.items():
            self._credit[lane] = min(1.0, self._credit[lane] + share)
        if granted in self._credit:
            self._credit[granted] -= 1.0


class _Overdue:
    """
    The calls that are due at one moment, the longest overdue first in each lane.

    A thousand bidders may be due at once. So each lane is a heap: to look at all bidders for each slot, and for each
    bidder that declines, would take a second.

    Args:
        bidders: Of two calls with the same due time, that of the earlier bidder is first.
    """

    def __init__(self, bidders: Iterable[Bidder], now: float) -> None:
        self._now = now
        self._dues: dict[Bidder, tuple[float, ...]] = {bidder: bidder.dues() for bidder in bidders}
        self._ranks = {bidder: rank for rank, bidder in enumerate(self._dues)}
        self._heaps: dict[Lane, list[tuple[float, int, Bidder]]] = {lane: [] for lane in LANES}
        for bidder, dues in self._dues.items():
            self._push(bidder, dues)

    def __getitem__(self, bidder: Bidder) -> tuple[float, ...]:
        return self._dues[bidder]

    def __setitem__(self, bidder: Bidder, dues: tuple[float, ...]) -> None:
        """This bidder's calls have other due times now."""
        self._dues[bidder] = dues
        self._push(bidder, dues)

    def __delitem__(self, bidder: Bidder) -> None:
        del self._dues[bidder]

    def first(self) -> dict[Lane, tuple[float, Bidder]]:
        """The longest overdue call of each lane, and its bidder."""
        first: dict[Lane, tuple[float, Bidder]] = {}
        for index, (lane, heap) in enumerate(self._heaps.items()):
            while heap and self._dues.get(heap[0][2], _NEVER)[index] != heap[0][0]:
                heappop(heap)  # out of date
            if heap:
                first[lane] = heap[0][0], heap[0][2]
        return first

    def _push(self, bidder: Bidder, dues: tuple[float, ...]) -> None:
        for heap, due in zip(self._heaps.values(), dues, strict=True):
            if due <= self._now:
                heappush(heap, (due, self._ranks[bidder], bidder))
