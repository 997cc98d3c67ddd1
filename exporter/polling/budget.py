"""
A budget at work: its slots go to whichever room of whichever source is due first.

Sources *bid* for slots. A budget waits for the first *tick* at which both a slot is free and a bidder has a room due;
it grants the slots of that tick and waits anew. The granted source binds its rooms only then. Later, with a connection
in hand, the call passes the *gate*, which holds the limit on what is really written to the wire.

Where slots wait for the ring of the last writes, they are granted a tick and as long ahead of it as calls usually take
from the slot to the wire: a slot that the ring holds up must not wait for a tick after that, or it would never be on
time again.

While regular polls are due, retries take at most a fifth of the slots and suspect rooms at most a tenth: each slot
granted then earns the lane that share of one slot.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from exporter.polling.clock import Clock
from exporter.polling.pacer import Pacer
from exporter.polling.planner import LANES, Lane
from exporter.polling.ring import Usual
from exporter.polling.ticks import Ticks, whole_milliseconds

_SHARES: Final = {Lane.SUSPECT: 0.08, Lane.RETRY: 0.2}
_MOST_AHEAD: Final = 0.5


class Bidder(Protocol):
    """A source that may want a slot."""

    def dues(self) -> tuple[float, ...]:
        """Monotonic times at which a call of each lane may leave, in the lanes' order; infinity where none waits."""

    def leave(self, lane: Lane) -> None:
        """Take the slot that was just granted: bind rooms of this lane and let their call leave."""


class Passage(NamedTuple):
    """
    What to tell of a request that was let through the gate.

    Args:
        sent: Its bytes were written.
        answered: The head of its reply is there.
    """

    sent: Callable[[], None]
    answered: Callable[[], None]


class Budget:
    """
    One vendor limit, shared by the sources that draw on it.

    Args:
        name: The label ``budget``.
        limit: Calls per second.
        ticks: Shared by all budgets.
        since: Monotonic seconds since which nobody else has called on this budget; now, if left out.
    """

    def __init__(self, name: str, limit: float, clock: Clock, ticks: Ticks, since: float | None = None) -> None:
        self.name = name
        self.pacer = Pacer(limit, clock.monotonic() if since is None else since)
        self._clock = clock
        self._ticks = ticks
        self._turn = ticks.turn
        self._preparation = Usual()
        self._went_on = ticks.went_on
        self._bidders: set[Bidder] = set()
        self._credit = dict.fromkeys(_SHARES, 0.0)
        self._armed_for = math.inf
        self._gate = asyncio.Lock()
        self._at_gate = 0

    @property
    def limit(self) -> float:
        return self.pacer.limit

    @property
    def pace(self) -> float:
        return self.pacer.pace

    @property
    def calls(self) -> int:
        return self.pacer.calls

    def bid(self, bidder: Bidder) -> None:
        """Grant slots to this bidder from now on."""
        self._bidders.add(bidder)
        self.arm()

    def withdraw(self, bidder: Bidder) -> None:
        """Grant this bidder no more slots."""
        self._bidders.discard(bidder)

    def change_limit(self, limit: float) -> None:
        """Keep to another limit from now on, without forgetting what was called under the old one."""
        self.pacer.change_limit(limit)
        self.arm()

    def arm(self) -> None:
        """Wait for the next tick at which a slot can be granted; call it whenever due times come closer."""
        now = self._clock.monotonic()
        if self._armed_for <= self._ticks.after(now):
            return
        free = max(self._next_slot(now), now)
        if self._armed_for <= self._ticks.after(free):
            return
        if self._armed_for < math.inf:
            self._ticks.cancel(self._armed_for, self._grant)
            self._armed_for = math.inf
        due = min([min(bidder.dues()) for bidder in self._bidders], default=math.inf)
        if due < math.inf:
            self._armed_for = self._ticks.after(max(due, free))
            self._ticks.call_at(self._armed_for, self._grant)

    async def gate(self, slot: float) -> Passage:
        """
        Wait, with a connection in hand, until one more request may be written; then count it as written.

        Args:
            slot: Monotonic time at which the call was granted its slot.
        """
        came = now = self._clock.monotonic()
        if self._at_gate or self.pacer.next_write() > now:
            now = await self._queue()
        write = self.pacer.write(now)

        def sent() -> None:
            self._turn.follow()
            write.at = self._clock.monotonic()
            self._preparation.learn((came - slot) + (write.at - now) - self._preparation.mean)

        def answered() -> None:
            self.pacer.answered(write, *self._turn.looked())

        return Passage(sent, answered)

    async def _queue(self) -> float:
        """Wait behind those who came before; returns the monotonic time at which the gate is open."""
        self._at_gate += 1
        try:
            async with self._gate:
                now = self._clock.monotonic()
                while (wait := self.pacer.next_write() - now) > 0:  # a timer may fire a little early
                    await asyncio.sleep(whole_milliseconds(wait))
                    now = self._clock.monotonic()
                return now
        finally:
            self._at_gate -= 1

    def _grant(self) -> None:
        self._armed_for = math.inf
        now = self._clock.monotonic()
        try:
            if self._ticks.went_on > self._went_on:
                self._went_on = self._ticks.went_on
                self.pacer.held_up(self._went_on)
            while self._next_slot(now) <= now and (choice := self._choose(now)):
                bidder, lane, due = choice
                self.pacer.take_slot(now, due)
                bidder.leave(lane)
        finally:
            self.arm()

    def _next_slot(self, now: float) -> float:
        usually = self._preparation.mean + self._preparation.spread
        return self.pacer.next_slot(now, self._at_gate, self._ticks.length + min(usually, _MOST_AHEAD))

    def _choose(self, now: float) -> tuple[Bidder, Lane, float] | None:
        first: dict[Lane, tuple[float, Bidder]] = {}
        for bidder in self._bidders:
            for lane, due in zip(LANES, bidder.dues(), strict=True):
                if due <= now and (lane not in first or due < first[lane][0]):
                    first[lane] = (due, bidder)
        if not first:
            return None
        lane = self._by_share(first) if Lane.REGULAR in first else min(first, key=lambda lane: first[lane][0])
        due, bidder = first[lane]
        return bidder, lane, due

    def _by_share(self, first: dict[Lane, tuple[float, Bidder]]) -> Lane:
        for lane, share in _SHARES.items():
            self._credit[lane] = min(1.0, self._credit[lane] + share)
        for lane in _SHARES:
            if lane in first and self._credit[lane] >= 1.0:
                self._credit[lane] -= 1.0
                return lane
        return Lane.REGULAR
