"""
How often each room of a source is worth a reading, when there are more rooms than calls. Pure: the caller brings times.

Theory of operation
===================

**Problem.** 10,000 rooms and 97.5 readings per second: polled evenly, each room is read every 102 s, the empty ones as
often as the concert that is about to overflow. Seven of ten rooms are empty for hours.

**Idea: the square-root rule.** Suppose that the count of room *i* drifts by r users per second and is read every T
seconds. Its published count is wrong by r T / 2 users on average, and it costs 1 / T readings per second. Minimize the
sum of the errors while the sum of the costs is given, and T comes out in proportion to 1 / √r: a room that changes a
hundred times faster is read ten times as often, not a hundred times. (Web crawlers follow the same rule: Cho and
Garcia-Molina, *Effective page refresh policies for web crawlers*, 2003.)

In general: at the optimum, **the change between two readings, times the interval, is the same for all rooms**. Users
come and go independently of each other, so a count is more of a random walk than a straight line: the change grows with
√T. Write c for the change over one reading, divided by √T, then T is in proportion to c^(-2/3). For a straight drift, c
itself is r √T, and the same formula has T ∝ 1 / √r as its fixed point. So one formula serves both.

The *importance* of a room is this c, in users per √s, made of:

* one half what its readings tell: a weighted mean of |change| / √(time between), over some three minutes. A jump counts
  at once, by a third;
* one half what its size tells. Users who stay ten minutes on average, and come and go on their own, change a count of
  n by about 0.06 √n in a second. One measured change says little, and this says what to expect;
* a multiple of both near a threshold, because a small change matters there: 11 times at the threshold itself, 1.9 times
  at half of it, 1.5 times far below;
* for a new room, and for one that was refused or brought forward: at least 5, until readings tell otherwise.

Importances are kept as *levels*, four to a doubling of the interval. The number of rooms of each level is enough to
find **one factor** for the source: all intervals grow or shrink with it, until the sum of 1 / T is what
the budget allows. ``balance`` finds it every two seconds.

**The clamp.** No interval is shorter than ``interval``, which is what the operator wants, and none longer than
``longest``. Without an upper clamp, a room that never changed would never be read again, and nobody would see it fill.
``longest`` is the price of a flash crowd in a quiet room: until it is noticed, up to ``longest`` seconds pass, half of
it on average, and the published count is wrong by all of the crowd. After one reading its importance is high, and the
next reading follows within seconds. A short ``longest`` has a price, too, since seven of ten rooms are quiet: 7,000
rooms at 120 s need 58 readings per second, at 200 s 35.

**Worked example.** 97.5 readings per second; 7,000 empty rooms, 2,900 rooms of about 5 users, 100 of about 1,000.
Importances are 0.0001, 0.13 and 1.9. With ``interval`` 10 s and ``longest`` 200 s, empty rooms are clamped to 200 s:
35 readings per second are theirs, and 62.5 remain. The factor that fits is 12.2: 12.2 × 0.13^(-2/3) = 47 s for a room
of five, and 12.2 × 1.9^(-2/3) = 8 s, clamped to 10 s, for the large ones. 2,900 / 47 + 100 / 10 + 35 = 106: a little
too much, so the factor rises until rooms of five are read every 55 s.

**Appointments.** When many intervals change at once, many rooms could fall due at the same moment and be late. So a
room takes the least crowded of eight moments in the last 20 % of its interval; if its interval has just grown, between
the old and the new one. If rooms are late all the same, since retries or a slower pace take slots, ``balance`` allows
fewer readings until they are not: the rooms at ``longest`` must keep it, and the others can wait.

**When this is wrong.** It learns from the past: a crowd that comes every evening at eight surprises it every evening. A
count that jumps and returns between two readings is never seen. Rooms are learnt one by one, although the rooms of one
event rise together. And if the budget cannot even read every room once per ``longest``, all rooms are as late as they
are without it; ``check`` says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from exporter.model import NO_THRESHOLDS, Thresholds

_MEMORY: Final = 200.0
_SURPRISE: Final = 0.3
_OWN: Final = 0.5
_EXPECTED: Final = 0.06
_NEW: Final = 5.0
_LEAST: Final = 1e-4
_NEAR: Final = 0.5
_NEAREST: Final = 0.05
_EXPONENT: Final = 2 / 3
_PER_DOUBLING: Final = 4
_LEVELS: Final = 128
_LEVEL_OF_ONE: Final = 48
_STEP: Final = 2 ** (1 / _PER_DOUBLING)

_EARLY: Final = 0.8
_CHOICES: Final = 8
_MOMENTS: Final = 1024

_TOLERATED: Final = 1.0
_LEAST_TRIM: Final = 0.7
_LEAST_STALENESS: Final = 30.0


class Known(msgspec.Struct, gc=False):
    """
    What is known of one room.

    Args:
        users: Of the last reading.
        at: Monotonic time of the last reading.
        change: Mean change in users per √s.
        level: Of its importance.
        interval: For which it was last planned; 0 before.
    """

    users: int
    at: float
    change: float
    level: int
    interval: float = 0.0


class Importance:
    """
    The own intervals of one source's rooms.

    Args:
        interval: Shortest interval in seconds.
        longest: Longest interval in seconds.

    Attributes:
        late: Mean lateness of the rooms that were read lately, in seconds.
    """

    def __init__(self, interval: float, longest: float) -> None:
        self.interval = interval
        self.longest = longest
        self.late = 0.0
        self._trim = 0.96
        self._backlog = 0.0
        self._rooms: dict[str, Known] = {}
        self._counts = [0] * _LEVELS
        self._intervals = [interval] * _LEVELS
        self._planned = [0] * _MOMENTS
        self._cleared = 0

    @property
    def even(self) -> bool:
        """Whether every room is read every ``interval``, since the budget suffices."""
        return self._intervals[0] <= self.interval

    def limit(self, interval: float, longest: float) -> None:
        """Keep to these bounds from now on; ``balance`` applies them."""
        self.interval, self.longest = interval, longest
        self._intervals = [min(max(each, interval), longest) for each in self._intervals]

    def learn(self, room: str, users: int, thresholds: Thresholds, at: float) -> None:
        """A room was read at this monotonic time."""
        known = self._rooms.get(room)
        if known is None:
            known = self._rooms[room] = Known(users, at, _NEW, 0)
        else:
            self._counts[known.level] -= 1
            seconds = at - known.at
            if seconds > 0.0:
                change = abs(users - known.users) / math.sqrt(seconds)
                gain = seconds / (seconds + _MEMORY)
                if gain < _SURPRISE and change > known.change:
                    gain = _SURPRISE
                known.change += gain * (change - known.change)
                known.users = users
                known.at = at
        known.level = level = _level(known.change, users, thresholds)
        self._counts[level] += 1

    def disturb(self, rooms: Iterable[str]) -> None:
        """Something happened to these rooms: they are as important as new ones, until readings tell otherwise."""
        for room in rooms:
            if known := self._rooms.get(room):
                known.change = max(known.change, _NEW)
                self._counts[known.level] -= 1
                known.level = _level(known.change, known.users, NO_THRESHOLDS)
                self._counts[known.level] += 1

    def forget(self, rooms: Iterable[str]) -> None:
        """These rooms are no longer watched. Unknown ids are ignored."""
        for room in rooms:
            if known := self._rooms.pop(room, None):
                self._counts[known.level] -= 1

    def own(self, room: str) -> float | None:
        """The interval for which this room was last planned, in seconds; ``None`` before its first reading."""
        known = self._rooms.get(room)
        return (known.interval or None) if known else None

    def max_age(self, room: str, least: float) -> float:
        """
        Seconds for which a reading of this room may be published: three own intervals, and at least so many.

        While many rooms are new, as after the start, they are asked first, so the time that this takes is added.
        Rounded up to one of few values, √2 apart, so that the table keeps few orders.
        """
        known = self._rooms.get(room)
        own = self._intervals[known.level] if known else self.longest
        least = max(least, _LEAST_STALENESS)
        return least * math.pow(
            2, math.ceil(max(0.0, 2 * math.log2((3 * (own + self.late) + self._backlog) / least))) / 2
        )

    def groups(self, rooms: Sequence[str], at: float) -> Iterator[tuple[int, float, float, list[str]]]:
        """
        Group rooms that were read at this monotonic time.

        Yields:
            Level, the earliest and the latest monotonic time of the next reading, and rooms.
        """
        by_level: dict[int, list[str]] = {}
        earliest: dict[int, float] = {}
        known_rooms, intervals = self._rooms, self._intervals
        for room in rooms:
            known = known_rooms.get(room)
            level = known.level if known else _NEW_LEVEL
            wanted = intervals[level]
            soonest = wanted * _EARLY
            if known:
                if 0.0 < known.interval < soonest:
                    soonest = known.interval
                known.interval = wanted
            if level in by_level:
                by_level[level].append(room)
                earliest[level] = max(earliest[level], soonest)
            else:
                by_level[level] = [room]
                earliest[level] = soonest
        for level, group in by_level.items():
            yield level, at + max(self.interval, earliest[level]), at + intervals[level], group

    def appointment(self, earliest: float, latest: float) -> float:
        """The least crowded of some moments between these monotonic times; it is taken for one batch."""
        planned, width = self._planned, self._width
        due, fewest = latest, planned[int(latest / width) % _MOMENTS]
        step = (latest - earliest) / _CHOICES
        if step > 0.0:
            for number in range(1, _CHOICES):
                moment = latest - number * step
                crowd = planned[int(moment / width) % _MOMENTS]
                if crowd < fewest:
                    due, fewest = moment, crowd
        planned[int(due / width) % _MOMENTS] += 1
        return due

    def taken(self, room: str, late: float) -> None:
        """A room was asked for, so many seconds after its appointment."""
        known = self._rooms.get(room)
        if known is not None and known.interval:  # a new room was due at once, and nobody is late for it
            self.late += 0.05 * (late - self.late)

    def balance(self, readings: float, rooms: int, now: float) -> None:
        """
        Find the factor with which all rooms together need so many readings per second. Call this every two seconds.

        Args:
            readings: Per second, that the budget allows.
            rooms: All that are watched; those that were never read are as important as new ones.
            now: Monotonic.
        """
        self._clear_past(now)
        if self.late > _TOLERATED:
            self._trim = max(_LEAST_TRIM, self._trim * 0.999)
        else:
            self._trim = min(1.0, self._trim * 1.001)
        if self.late:
            readings *= self._trim
        new = max(0, rooms - len(self._rooms))
        self._backlog = new / readings if new and readings else 0.0
        levels = [(level, count) for level, count in enumerate(self._counts) if count]
        levels.append((_NEW_LEVEL, new))
        low, high = float(-_LEVELS), 2.0 * _LEVELS
        if self._demand(levels, low) <= readings:
            high = low
        while high - low > 0.01:
            middle = (low + high) / 2
            low, high = (middle, high) if self._demand(levels, middle) > readings else (low, middle)
        self._intervals = [self._interval(high, level) for level in range(_LEVELS)]

    def distribution(self, bounds: Sequence[float]) -> list[int]:
        """How many rooms have an own interval of at most each of these seconds, in ascending order."""
        counts = [0] * (len(bounds) + 1)
        for level, rooms in enumerate(self._counts):
            if rooms:
                own = self._intervals[level]
                counts[next((index for index, bound in enumerate(bounds) if own <= bound), -1)] += rooms
        return [sum(counts[: index + 1]) for index in range(len(bounds))]

    @property
    def _width(self) -> float:
        """Seconds of one moment: all moments together are twice the longest interval, or more."""
        return max(1.0, 2 * self.longest / _MOMENTS)

    def _clear_past(self, now: float) -> None:
        moment = int(now / self._width)
        for past in range(max(self._cleared, moment - _MOMENTS // 2), moment - 1):
            self._planned[past % _MOMENTS] = 0
        self._cleared = max(self._cleared, moment - 1)

    def _interval(self, factor: float, level: int) -> float:
        return min(max(math.pow(_STEP, factor - level), self.interval), self.longest)

    def _demand(self, levels: Sequence[tuple[int, int]], factor: float) -> float:
        """Readings per second with this factor, which counts in levels like an importance."""
        return sum(rooms / self._interval(factor, level) for level, rooms in levels)


def _level(change: float, users: int, thresholds: Thresholds) -> int:
    importance = max(_LEAST, _OWN * change + (1 - _OWN) * _EXPECTED * math.sqrt(users))
    if thresholds is not NO_THRESHOLDS:
        for limit in (thresholds.warning, thresholds.critical):
            if limit is not None:
                importance *= 1 + _NEAR * (limit + 1) / (abs(limit - users) + _NEAREST * (limit + 1))
    level = round(_PER_DOUBLING * _EXPONENT * math.log2(importance)) + _LEVEL_OF_ONE
    return min(max(level, 0), _LEVELS - 1)


_NEW_LEVEL: Final = _level(_NEW, 0, NO_THRESHOLDS)
