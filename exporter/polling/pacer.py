"""
Slots within a budget, as a pure class: the caller brings the time.

Slots are spread evenly, N in 1.022 s; those that were wanted during a stall are caught up, for at most 100 ms, so none
is wasted. Behind them stands the ``ring`` of the last N writes, which holds the vendor's limit. Slots are 2 ms slower
than it allows: a request that leaves a little sooner after its slot than the N-th last one did finds the ring open, and
need not be woken twice. After a stall it is the ring that slots wait for: what a stall has cost is made good by 2 ms a
second.

A new pacer is silent for 1.02 s, since another process may have called in that second. For 0.3 s from its first slot
on, and from the first one after ten idle seconds, it gives every other slot: connections are being made and caches
filled then, and a request that is held up on the way is counted by the vendor in the second after its own.

When the vendor says that it was too fast, the pace is halved and climbs back::

    limit ─┐                       ┌─ one step per 5 min ─
           │        ┌─ 0.9 × the rejected pace ──┘
           └─┐   ┌──┘  a tenth of the limit every 10 s
             └───┘  half of the rejected pace, at least a tenth of the limit

A pace that is rejected before it has climbed once is part of the same fall, and the rejected pace is the one from which
the fall began. Otherwise a vendor that turns everything away for a few seconds would be polled at a tenth of its limit
for the next three quarters of an hour.
"""

from __future__ import annotations

import math
from typing import Final

from exporter.polling.ring import JITTER, Ring, Write, burst_of

_SPARE: Final = 0.002
_CATCH_UP: Final = 0.1
_COLD: Final = 0.3
_IDLE: Final = 10.0
_STEP: Final = 0.1
_FLOOR: Final = 0.1
_FAST_CLIMB: Final = 10.0
_SLOW_CLIMB: Final = 300.0
_CEILING: Final = 0.9
_LONGEST_WAIT: Final = 300.0


PERIOD: Final = 1.0 + JITTER + _SPARE
"""Seconds in which the slots of a budget go round once at full pace."""


def pace_kept(limit: float) -> float:
    """Calls per second that a pacer of this limit really gives, a little less than the limit."""
    burst, window = burst_of(limit)
    return burst / (window + _SPARE)


class Pacer:
    """
    One vendor limit.

    Args:
        limit: Calls per second; below 1, one call in 1 / limit seconds.
        now: Monotonic seconds.
    """

    def __init__(self, limit: float, now: float) -> None:
        self.calls = 0
        self._silent_until = now + 1 + JITTER
        self._warm_at = -math.inf
        self._ring = Ring(limit)
        self._slot = -math.inf
        self._rejected_pace: float | None = None
        self._halved_at = -math.inf
        self._climbed_at = -math.inf
        self._limit = self.pace = limit

    @property
    def limit(self) -> float:
        return self._limit

    def change_limit(self, limit: float) -> None:
        """Keep to another limit from now on; what was written under the old one still counts."""
        was_full = self._rejected_pace is None
        self._limit = limit
        self._ring.change_limit(limit)
        self.pace = limit if was_full else min(self.pace, limit)

    def next_slot(self, now: float, waiting: int = 0, ahead: float = 0.0) -> float:
        """
        Monotonic time from which the next call may be prepared; not after ``now`` when a slot is free.

        Args:
            waiting: Requests that are prepared and wait to be written. Those that still wait for a connection must not
                cost the others their slots.
            ahead: Seconds before its request may be written at which a call should be prepared.
        """
        self._climb(now)
        return max(self._slot, self._silent_until, self._ring.free_at(waiting) - ahead)

    def take_slot(self, now: float, due: float = -math.inf) -> None:
        """
        Use the slot that ``next_slot`` told.

        Args:
            due: Since when somebody has wanted it. Slots that nobody wanted are not caught up.
        """
        spacing = (self._ring.window + _SPARE) / self._ring.burst * self._limit / self.pace
        if now > self._slot + _IDLE:
            self._warm_at = now + _COLD
        if now < self._warm_at:
            self._slot = now + spacing + min(spacing, _CATCH_UP)
        else:
            self._slot = max(self._slot, min(due, now), now - _CATCH_UP) + spacing

    def next_write(self) -> float:
        """Monotonic time from which one more request may be written to the wire."""
        return self._ring.free_at()

    def write(self, now: float) -> Write:
        """Count a request that is written now; its time may be corrected until it is on the wire."""
        self.calls += 1
        return self._ring.write(now)

    def answered(self, write: Write, looked: float, now: float) -> None:
        """The head of the reply to a request is there now; it was not yet there at the last look."""
        self._ring.answered(write, looked, now)

    def held_up(self, now: float) -> None:
        """This process stood still until this moment, which may be a little past, and its calls under way with it."""
        self._ring.held_up(now)

    def rejected(self, sent: float, now: float, retry_after: float | None = None) -> bool:
        """
        The vendor said that a call sent at ``sent`` was too fast.

        Args:
            retry_after: Seconds of silence that it asked for; at most 300 are kept.

        Returns:
            Whether this began an episode: calls sent before the pace was last halved do not halve it again, and neither
            do calls of the second after, which the vendor still counts together with those.
        """
        if retry_after:
            self._silent_until = max(self._silent_until, now + min(retry_after, _LONGEST_WAIT))
        if sent < self._halved_at + self._ring.window:
            return False
        self._climb(now)
        if self._rejected_pace is None or self._climbed_at > self._halved_at:
            self._rejected_pace = self.pace
        self.pace = max(self.pace / 2, _FLOOR * self._limit)
        self._halved_at = self._climbed_at = now
        self._slot = max(self._slot, now)
        return True

    def silence(self, until: float) -> None:
        """Give no slot before this monotonic time."""
        self._silent_until = max(self._silent_until, until)

    def _climb(self, now: float) -> None:
        while self._rejected_pace is not None:
            ceiling = min(_CEILING * self._rejected_pace, self._limit)
            fast = self.pace < ceiling
            climbed_at = self._climbed_at + (_FAST_CLIMB if fast else _SLOW_CLIMB)
            if now < climbed_at:
                return
            self._climbed_at = climbed_at
            self.pace = min(self.pace + _STEP * self._limit, ceiling if fast else self._limit)
            if self.pace >= self._limit:
                self._rejected_pace = None
