"""
A budget at work: whose turn is it?

A budget is a vendor's limit, and the sources that draw on it *bid* for its slots. When a slot is free and a bidder has
a call due, the budget lets the bidder *dispatch* it, and counts it when it was written. The longest overdue call goes
first, whichever source it belongs to. While regular polls are due, retries take at most a fifth of the slots and
suspect rooms at most a tenth: each slot granted then earns the lane that share of one slot.

Calls leave on *ticks*, about 20 ms apart, that budgets share. Ten calls that leave together cost a third less than
ten that leave one by one, since each finds the processor's caches warm. But the last of many leaves late, so ticks are
10 or 5 ms apart where more than ten calls would leave at each. No slot is lost: a slot is caught up, and a budget's
slots come round in a whole number of ticks, so the log in ``pace`` compares calls that are as far apart as their slots.
A call that the log or a pause holds up does not wait for the tick after that.

Before slots are used, calls that are without a reply for 250 ms are asked for their whereabouts, and asked again 250 ms
later for as long as the network has them: ``pace`` tells what follows from that. No timer is needed for it.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from exporter.clock import Clock
from exporter.polling.pace import Pace, Sent
from exporter.polling.planner import LANES, Lane

_SHARES: Final = {Lane.SUSPECT: 0.08, Lane.RETRY: 0.2}
_TICKS: Final = (0.02, 0.01, 0.005)
_COMPANY: Final = 10
_STALL: Final = 0.25
_LONGEST_WAIT: Final = 1.0
_ASKED_AFTER: Final = 0.25
_ROUNDING: Final = 0.001


class Bidder(Protocol):
    """A source that may want a slot."""

    def dues(self) -> tuple[float, ...]:
        """Monotonic times at which a call of each lane may leave, in the lanes' order; infinity where none waits."""

    def dispatch(self, lane: Lane, due: float) -> bool:
        """
        Write one call of this lane now, which has been due since then, and count it with ``Budget.sent``.

        Returns:
            Whether a call was written. If not, the bidder lacks something and has its ``dues`` say so.
        """


class OnItsWay(Protocol):
    """A call that was written."""

    def arrives_by(self) -> float:
        """
        Monotonic time until which the network may deliver it, if it has not.

        Minus infinity if the call has arrived, infinity if the network still tries.
        """

    def round_trip(self) -> float:
        """Seconds in which the network acknowledges calls usually."""


class Timer:
    """
    One timer of the event loop for each moment, however many budgets wait for it.

    The loop's clock stands still while the machine is suspended, and ours does not: a long wait is cut into seconds.

    Args:
        raised: Told of an exception in what was to be done; the rest is done all the same.

    Attributes:
        tick: Seconds from one tick to the next, as nearly as a budget's period allows.
        resumed_at: End of the last stall. A stall is a moment that comes more than 250 ms late.
    """

    def __init__(self, clock: Clock, raised: Callable[[Exception], None]) -> None:
        self.tick = _TICKS[0]
        self.resumed_at = -math.inf
        self._clock = clock
        self.raised = raised
        self._waiting: dict[float, dict[Callable[[], None], None]] = {}

    def expect(self, rate: float) -> None:
        """Choose the ticks for so many calls per second, all budgets together."""
        self.tick = next((tick for tick in _TICKS if rate * tick <= _COMPANY), _TICKS[-1])

    def call_at(self, moment: float, callback: Callable[[], None]) -> None:
        """Call back at this monotonic time."""
        waiting = self._waiting.get(moment)
        if waiting is None:
            waiting = self._waiting[moment] = {}
            self._wait(moment, moment - self._clock.monotonic())
        waiting[callback] = None

    def cancel(self, moment: float, callback: Callable[[], None]) -> None:
        """Do not call back at this time."""
        if moment in self._waiting:
            self._waiting[moment].pop(callback, None)

    def _wait(self, moment: float, seconds: float) -> None:
        # uvloop rounds timers down to milliseconds, and would ring too early.
        delay = math.ceil(min(seconds, _LONGEST_WAIT) * 1000) / 1000
        asyncio.get_running_loop().call_later(max(0.0, delay), self._ring, moment)

    def _ring(self, moment: float) -> None:
        now = self._clock.monotonic()
        if self._waiting[moment] and moment > now + _ROUNDING:
            self._wait(moment, moment - now)
            return
        if now > moment + _STALL:
            self.resumed_at = now
        for callback in self._waiting.pop(moment):
            try:
                callback()
            except Exception as error:  # noqa: BLE001 whatever it is, the others hear of their moment
                self.raised(error)


class Budget:
    """
    One vendor limit, shared by the sources that draw on it.

    Args:
        name: The label ``budget``.
        limit: Calls per second.
        timer: Shared by all budgets.
        since: Monotonic seconds since which nobody else has called on this budget; now, if left out.
    """

    def __init__(self, name: str, limit: float, clock: Clock, timer: Timer, since: float | None = None) -> None:
        self.name = name
        self.paced = Pace(limit, clock.monotonic() if since is None else since)
        self._clock = clock
        self._timer = timer
        self._resumed_at = timer.resumed_at
        self._bidders: dict[Bidder, None] = {}
        self._credit = dict.fromkeys(_SHARES, 0.0)
        self._armed_for = math.inf
        self._under_way: deque[tuple[float, Sent, OnItsWay]] = deque()  # when each is to be asked, the next one first

    @property
    def limit(self) -> float:
        return self.paced.limit

    @property
    def pace(self) -> float:
        return self.paced.pace

    @property
    def calls(self) -> int:
        return self.paced.calls

    def bid(self, bidder: Bidder) -> None:
        """Grant slots to this bidder from now on."""
        self._bidders[bidder] = None
        self.arm()

    def withdraw(self, bidder: Bidder) -> None:
        """Grant this bidder no more slots."""
        self._bidders.pop(bidder, None)

    def change_limit(self, limit: float) -> None:
        """Keep to another limit from now on, without forgetting what was called under the old one."""
        self.paced.change_limit(limit)
        self.arm()

    def sent(self, due: float, on_its_way: OnItsWay) -> Sent:
        """Count a call that was just written, and had been due since then."""
        now = self._clock.monotonic()
        call = self.paced.sent(now, due)
        self._under_way.append((now + _ASKED_AFTER, call, on_its_way))
        return call

    def arm(self) -> None:
        """Wait for the next moment at which a call may leave; call it whenever due times come closer."""
        now = self._clock.monotonic()
        if self._armed_for <= now + self._timer.tick:
            return
        due = min([min(bidder.dues()) for bidder in self._bidders], default=math.inf)
        if due == math.inf:
            return
        moment = self._moment(now, due)
        if moment < self._armed_for:
            self._timer.cancel(self._armed_for, self._use_slots)
            self._timer.call_at(moment, self._use_slots)
            self._armed_for = moment

    def _moment(self, now: float, due: float) -> float:
        """When a call that is due then may leave: at a tick, unless log or pause hold it up until after that."""
        period = self.paced.period
        tick = period / max(1, round(period / self._timer.tick))
        at_tick = math.ceil(max(now, due, self.paced.slot_at(now)) / tick) * tick
        open_at = self.paced.open_at()
        if self.paced.holds and self._under_way:
            open_at = min(open_at, self._under_way[0][0])
        return max(at_tick, math.ceil(open_at * 1000) / 1000)

    def _use_slots(self) -> None:
        """Let calls leave for as long as there are slots and calls that are due."""
        self._armed_for = math.inf
        now = self._clock.monotonic()
        if self._timer.resumed_at > self._resumed_at:
            self._resumed_at = self._timer.resumed_at
            self.paced.stalled(self._resumed_at)
        self._ask_calls(now)
        passed: set[Bidder] = set()
        while max(self.paced.slot_at(now), self.paced.open_at()) <= now and (first := self._first_due(now, passed)):
            lane = self._lane(first)
            due, bidder = first[lane]
            if not self._dispatched(bidder, lane, due):
                passed.add(bidder)
            elif Lane.REGULAR in first:
                self._account_for(lane)
        self.arm()

    def _ask_calls(self, now: float) -> None:
        while self._under_way and self._under_way[0][0] <= now:
            _, call, on_its_way = self._under_way.popleft()
            until = on_its_way.arrives_by()
            unacknowledged = until == math.inf
            self.paced.arrives_by(call, until, now, on_its_way.round_trip() if unacknowledged else 0.0)
            if unacknowledged:
                self._under_way.append((now + _ASKED_AFTER, call, on_its_way))

    def _dispatched(self, bidder: Bidder, lane: Lane, due: float) -> bool:
        try:
            return bidder.dispatch(lane, due)
        except Exception as error:  # noqa: BLE001 whatever it is, the other bidders go on
            self._timer.raised(error)
            return False

    def _first_due(self, now: float, passed: set[Bidder]) -> dict[Lane, tuple[float, Bidder]]:
        """The longest overdue call of each lane, and whose it is."""
        first: dict[Lane, tuple[float, Bidder]] = {}
        for bidder in self._bidders:
            if bidder in passed:
                continue
            for lane, due in zip(LANES, bidder.dues(), strict=True):
                if due <= now and (lane not in first or due < first[lane][0]):
                    first[lane] = (due, bidder)
        return first

    def _lane(self, first: dict[Lane, tuple[float, Bidder]]) -> Lane:
        """The lane whose turn it is: the longest overdue one, or by shares while regular polls are due."""
        if Lane.REGULAR not in first:
            return min(first, key=lambda lane: first[lane][0])
        earned = (lane for lane, share in _SHARES.items() if lane in first and self._credit[lane] + share >= 1.0)
        return next(earned, Lane.REGULAR)

    def _account_for(self, granted: Lane) -> None:
        for lane, share in _SHARES.items():
            self._credit[lane] = min(1.0, self._credit[lane] + share)
        if granted in self._credit:
            self._credit[granted] -= 1.0
