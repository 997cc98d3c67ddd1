"""
The rooms of a source whose users rise or fall fastest, in users per minute.

Theory of operation
===================

**Problem.** Of 100,000 rooms the page shows the five that rise fastest. To look at all of them for each visit costs
tens of milliseconds, and a rate for each of them costs memory.

**Idea.** Readings arrive one by one, and each tells the rate of its room: users more, over minutes since the reading
before. Only the 32 fastest are kept. A reading of a room that is kept moves its rate toward the new one, with a time
constant of a minute, so one odd reading does not make a trend. A reading of another room is looked at only if it
changed by at least a user a minute: the room takes the place of the slowest one that is kept, if it is faster. Two
readings may be close together, as when a callback brings a poll forward. 16 users who came within 0.3 s are no rise of
3,000 a minute: until the next reading, they count as if they had come within 5 s.

Example: a room was kept with 60 users per minute. 10 s later it has 5 users more: 30 per minute. The weight of the new
rate is 10 / (10 + 60), so its rate is 56 now. After some minutes without a change it is below a user per minute, and is
dropped.

**When this is wrong.** A room that rises slowly all day is never among the fastest. The rate of a room that is read
seldom is the mean of a long time, and a room that is read no more keeps its last rate: ``fastest`` leaves it out after
some minutes.
"""

from __future__ import annotations

from typing import Final

import msgspec

_KEPT: Final = 32
_LEAST: Final = 1.0
_MINUTE: Final = 60.0
_REMEMBERED: Final = 600.0
_SHORTEST: Final = 5.0


class Mover(msgspec.Struct, gc=False):
    """
    A room whose users rise or fall.

    Args:
        per_minute: Users; below 0 while they fall.
        at: Monotonic time of its last reading.
    """

    room: str
    per_minute: float
    at: float


class Movers:
    """The fastest rooms of one source."""

    __slots__ = ("_floor", "_kept", "_looked_until")

    def __init__(self) -> None:
        self._kept: dict[str, Mover] = {}
        # None that is kept is slower than this floor, and none is forgotten before this time. So most rooms that are
        # too slow are told without a look at those that are kept.
        self._floor = self._looked_until = 0.0

    def note(self, room: str, change: int, seconds: float, now: float) -> None:
        """A reading at this monotonic time differs by ``change`` users from the one so many seconds before it."""
        known = self._kept.get(room)
        if (known is None and not change) or seconds <= 0.0:
            return
        if known is not None:
            rate = change * _MINUTE / seconds
            known.per_minute += seconds / (seconds + _MINUTE) * (rate - known.per_minute)
            known.at = now
            self._floor = min(self._floor, abs(known.per_minute))
            if abs(known.per_minute) < _LEAST:
                del self._kept[room]
            return
        rate = change * _MINUTE / max(seconds, _SHORTEST)
        if abs(rate) >= _LEAST:
            self._keep(Mover(room, rate, now))

    def forget(self, room: str) -> None:
        """This room is no longer watched."""
        self._kept.pop(room, None)

    def fastest(self, now: float) -> list[Mover]:
        """At this monotonic time, the fastest first, whether rising or falling."""
        kept = [each for each in self._kept.values() if now - each.at <= _REMEMBERED]
        return sorted(kept, key=lambda each: -abs(each.per_minute))

    def _keep(self, mover: Mover) -> None:
        rate = abs(mover.per_minute)
        if len(self._kept) < _KEPT:
            self._floor = min(self._floor, rate)
        elif rate <= self._floor and mover.at <= self._looked_until:
            return
        else:
            kept = self._kept.values()
            slowest = min(kept, key=lambda each: (mover.at - each.at <= _REMEMBERED, abs(each.per_minute)))
            self._looked_until = min(each.at for each in kept) + _REMEMBERED
            self._floor = abs(slowest.per_minute) if mover.at <= self._looked_until else 0.0
            if rate <= self._floor:
                return
            del self._kept[slowest.room]
        self._kept[mover.room] = mover
