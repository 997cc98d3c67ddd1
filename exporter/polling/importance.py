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

* one half what its readings tell: a weighted mean of |change| / √(time between), over some two minutes. A jump counts
  at once, by a third. The first four readings of a new room count more, and so do the next four after something
  happened to a room (``disturb``): they are important at first, and known after four readings;
* one half what its size tells. Users who stay ten minutes on average, and come and go on their own, change a count of
  n by about 0.06 √n in a second. Besides, the audience of a room swells and ebbs by about n / 6000 users a second. One
  measured change says little, and this says what to expect;
* in that half, too, what it usually holds, a mean over half an hour. A room that is far from it will return: an event
  that was interrupted fills again, a crowd leaves. It drifts by some 1 / 1250 of the difference a second. (Either drift
  r counts as 1.9 r √T, the noise that would ask for the same interval);
* a multiple of all this near a threshold, because a small change matters there: 7 times at the threshold itself, 1.2
  times at half of it.

No importance is below 0.01: that is the chance that a crowd comes to a room where nothing ever happened.

Importances are kept as *levels*, four to a doubling of the interval. The number of rooms of each level is enough to
find **one factor** for the source, which is the interval of the quietest rooms: all intervals grow or shrink with it,
until the sum of 1 / T is what the budget allows. ``balance`` finds it every two seconds.

**The clamp.** No interval is shorter than ``interval``, which is what the operator wants, and none longer than
``longest``, which is the price of a flash crowd in a quiet room: until it is noticed, up to ``longest`` seconds pass,
half of it on average, and the published count is wrong by all of the crowd. After one reading its importance is high,
and the next reading follows within seconds. A short ``longest`` has a price, too, since seven of ten rooms are quiet:
7,000 rooms at 120 s need 58 readings per second, at 200 s 35.

**Worked example.** 97.5 readings per second; 7,000 empty rooms, 2,900 rooms of about 5 users, 100 of about 1,000.
Importances are 0.01, 0.14 and 2.6. With ``interval`` 10 s and ``longest`` 200 s, empty rooms are clamped to 200 s: 35
readings per second are theirs. The large ones are clamped to 10 s: 10 readings. 52.5 remain for 2,900 rooms: 55 s each.
The factor that fits is 320 s: (0.14 / 0.01)^(-2/3) × 320 s = 55 s, and (2.6 / 0.01)^(-2/3) × 320 s = 8 s, clamped.

**Early and late.** The sum of the intervals fits the budget on average, not in each second: after the start, all rooms
become known within seconds, and thousands of them fall due together. So a room may be read early, from a quarter of its
interval on, if a slot would be unused, and hardly ever before ``interval`` has passed: only with others of its batch.
Then it is due early the next time, too, and crowds disperse: from the first minute on no slot is unused. The due time
is the end of the interval, and 3 % of what it is longer than the shortest later: when rooms are late by some seconds,
this is much for a room that is read every 10 s and little for one that is read every 2 minutes, so the latter gives
way. If rooms are late on average all the same, since retries or a slower pace take slots, ``balance`` allows fewer
readings until they are not: the rooms at ``longest`` must keep it, and the others can wait.

**When this is wrong.** It learns from the past: a crowd that comes every evening at eight surprises it every evening. A
count that jumps and returns between two readings is never seen. Rooms are learnt one by one, although the rooms of one
event rise together. And if the budget cannot even read every room once per ``longest``, all rooms are as late as they
are without it; ``check`` says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, repeat
from operator import mul
from typing import Final

import msgspec

from exporter.model import NO_THRESHOLDS, Room, Thresholds
from exporter.states import Why

_MEMORY: Final = 120.0
_USUAL: Final = 1800.0
_SURPRISE: Final = 0.3
_DOUBT: Final = 4
_IN_DOUBT: Final = 0.7
_OWN: Final = 0.5
_NOISE: Final = 0.06
_TIDE: Final = 0.0003
_RETURN: Final = 0.0015
_NEW: Final = 5.0
_LEAST: Final = 0.01
_NEAR: Final = 0.3
_NEAREST: Final = 0.05
_NEAR_TOLD: Final = 1.5
_FAST: Final = 1.5
_LARGE: Final = 100
_EXPONENT: Final = 2 / 3
_PER_DOUBLING: Final = 4
_LEVELS: Final = 64
_STEP: Final = 2 ** (1 / _PER_DOUBLING)
_PER_FOLD: Final = _PER_DOUBLING * _EXPONENT / math.log(2)
_OF_ONE: Final = _PER_FOLD * -math.log(_LEAST) + 0.5
"""The level of importance 1, from which rounding down is rounding to the nearest."""
_QUIET: Final = 0
"""The level of rooms of the least importance."""
_RARE: Final = _LEVELS
"""The level of rooms that are to be read more seldom still."""

_EARLY: Final = 0.25
"""Share of an interval after which a room may use a slot that would be unused, or travel with rooms that are due."""
_GRACE: Final = 0.03
"""Share of what an interval is longer than the shortest by which its room waits for those with shorter ones."""
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
        usual: Mean users of the last half hour.
        level: Of its importance.
        doubt: So many more readings count more than others, since it is new or was disturbed.
        disturbed: Whether it is in doubt since something happened to it, and not since it is new.
    """

    users: int
    at: float
    change: float
    usual: float
    level: int
    doubt: int = _DOUBT
    disturbed: bool = False


class Importance:
    """
    The own intervals of one source's rooms.

    Args:
        interval: Shortest interval in seconds.
        longest: Longest interval in seconds.

    Attributes:
        late: Mean lateness of the rooms that were read lately, in seconds.
        rare: Rooms that are to be read more seldom than the others, and their interval in seconds.
    """

    def __init__(self, interval: float, longest: float) -> None:
        self.interval = interval
        self.longest = longest
        self.rare: Mapping[str, float] = {}
        self.late = 0.0
        self._trim = 1.0
        self._backlog = 0.0
        self._factor = 0.0
        self._most = math.inf
        self._rooms: dict[str, Known] = {}
        self._counts = [0] * (_LEVELS + 1)
        self._intervals = [longest] * (_LEVELS + 1)
        self._roots = [math.sqrt(longest)] * (_LEVELS + 1)
        self._rooms_below: list[int] = []
        self._calls_below: list[float] = []
        self._ages: dict[int | None, float] = {}

    @property
    def even(self) -> bool:
        """Whether every room is read every ``interval``, since the budget suffices."""
        return self._intervals[_QUIET] <= self.interval

    def limit(self, interval: float, longest: float) -> None:
        """Keep to these bounds from now on; ``balance`` applies them."""
        self.interval, self.longest = interval, longest
        self._intervals[:_LEVELS] = [min(max(each, interval), longest) for each in self._intervals[:_LEVELS]]
        self._roots = [*map(math.sqrt, self._intervals)]

    def learn(self, rooms: Iterable[Room], users: Iterable[int], at: float) -> None:
        """These rooms were read at this monotonic time."""
        known_rooms, counts, roots, rare = self._rooms, self._counts, self._roots, self.rare
        sqrt, log = math.sqrt, math.log
        for room, present in zip(rooms, users, strict=True):
            known = known_rooms.get(room.id)
            if known is None:
                known = known_rooms[room.id] = Known(present, at, _NEW, float(present), _NEW_LEVEL)
                counts[_NEW_LEVEL] += 1
                before = _NEW_LEVEL
            else:
                before = known.level
                if before == _QUIET and not present and not known.users:
                    known.at = at  # like most rooms most of the time: there is nothing to learn
                    if not rare or room.id not in rare:
                        continue
                else:
                    self._update(known, present, at)
            drift = _TIDE * present + _RETURN * abs(known.usual - present)
            importance = _OWN * known.change + (1 - _OWN) * (_NOISE * sqrt(present) + drift * roots[before])
            if present and (thresholds := room.thresholds) is not NO_THRESHOLDS:
                # Far below both, as most rooms are, nearness is 1.
                warning, critical, far = thresholds.warning, thresholds.critical, present / _NEAREST
                if (warning is not None and warning < far) or (critical is not None and critical < far):
                    importance *= _nearness(present, thresholds)
            if rare and room.id in rare:
                level = _RARE
            else:
                level = _QUIET if importance <= _LEAST else int(_PER_FOLD * log(importance) + _OF_ONE)
                level = level if level < _LEVELS else _LEVELS - 1
            if level != before:
                counts[before] -= 1
                counts[level] += 1
                known.level = level

    def _update(self, known: Known, users: int, at: float) -> None:
        seconds = at - known.at
        if seconds <= 0.0:
            return
        known.at = at
        gain = seconds / (seconds + _MEMORY)
        if users != known.users or known.doubt:
            change = abs(users - known.users) / math.sqrt(seconds)
            known.users = users
            if change > known.change and gain < _SURPRISE:
                gain = _SURPRISE
            if known.doubt:
                known.doubt -= 1
                gain = max(gain, _IN_DOUBT)
            known.change = min(known.change + gain * (change - known.change), self._most)
        else:
            known.change -= gain * known.change
        known.usual += seconds / (seconds + _USUAL) * (users - known.usual)

    def disturb(self, rooms: Iterable[str]) -> None:
        """Something happened to these rooms: they are as important as new ones, until readings tell otherwise."""
        for room in rooms:
            if known := self._rooms.get(room):
                known.change, known.doubt, known.disturbed = max(known.change, _NEW), _DOUBT, True
                self._counts[known.level] -= 1
                known.level = max(known.level, _NEW_LEVEL)
                self._counts[known.level] += 1

    def knowledge(self, room: str) -> tuple[float, float, int] | None:
        """``change``, ``usual`` and ``doubt`` of a room; see ``Known``."""
        known = self._rooms.get(room)
        return None if known is None else (round(known.change, 3), round(known.usual, 1), known.doubt)

    def inherit(self, room: str, users: int, at: float, knowledge: tuple[float, float, int]) -> None:
        """Another process read this room then, and knew this of it. ``learn`` of that reading next."""
        known = self._rooms.get(room)
        if known is None:
            known = self._rooms[room] = Known(users, at, 0.0, 0.0, _NEW_LEVEL)
            self._counts[_NEW_LEVEL] += 1
        elif known.at > at:
            return
        known.users, known.at, (known.change, known.usual, known.doubt) = users, at, knowledge

    def forget(self, rooms: Iterable[str]) -> None:
        """These rooms are no longer watched. Unknown ids are ignored."""
        for room in rooms:
            if known := self._rooms.pop(room, None):
                self._counts[known.level] -= 1

    def own(self, room: str) -> float | None:
        """The interval of this room in seconds; ``None`` before its first reading."""
        known = self._rooms.get(room)
        return self._intervals[known.level] if known else None

    def why(self, room: Room) -> Why:
        """Why this room is polled as often as it is."""
        known = self._rooms.get(room.id)
        if self.even:
            return Why.SUFFICES
        if room.id in self.rare:
            return Why.IDLE
        if known is None or known.doubt:
            return Why.DISTURBED if known is not None and known.disturbed else Why.NEW
        if known.users and _nearness(known.users, room.thresholds) >= _NEAR_TOLD:
            return Why.NEAR
        if known.level == _QUIET:
            return Why.QUIET
        noise = _NOISE * math.sqrt(known.users)
        unusual = _RETURN * abs(known.usual - known.users) * math.sqrt(self._intervals[known.level])
        if max(known.change, unusual) > _FAST * noise:
            return Why.FAST if known.change > unusual else Why.UNUSUAL
        return Why.LARGE if known.users >= _LARGE else Why.SIZE

    def max_ages(self, rooms: Iterable[str], least: float) -> list[float]:
        """
        Seconds for which a reading of each room may be published: three own intervals, and at least so many.

        While many rooms are new, as after the start, they are asked first, so the time that this takes is added.
        Rounded up to one of few values, √2 apart, so that the table keeps few orders.
        """
        known_rooms, ages, found = self._rooms, self._ages, []
        for room in rooms:
            known = known_rooms.get(room)
            level = None if known is None else known.level
            age = ages.get(level)
            if age is None:
                own = self.longest if level is None else self._intervals[level]
                age = ages[level] = self._max_age(own, max(least, _LEAST_STALENESS))
            found.append(age)
        return found

    def _max_age(self, own: float, least: float) -> float:
        waits = 3 * (own + self.late) + self._backlog
        return least * math.pow(2, math.ceil(max(0.0, 2 * math.log2(waits / least))) / 2)

    def plan(self, rooms: Iterable[str], at: float, most: float = math.inf) -> Iterator[tuple[str, int, float, float]]:
        """
        When rooms that were read at this monotonic time are due again.

        Args:
            most: Seconds after which they are due at the latest, whatever their intervals are by now.

        Yields:
            Room, its level, the monotonic time from which it may be read if a slot would be unused, and its due time.
        """
        known_rooms, intervals, shortest = self._rooms, self._intervals, self.interval
        for room in rooms:
            known = known_rooms.get(room)
            level = _NEW_LEVEL if known is None else known.level
            wanted = min(intervals[level], most)
            due = min(wanted + _GRACE * max(0.0, wanted - shortest), most)
            yield room, level, at + max(shortest, wanted * _EARLY), at + due

    def taken(self, room: str, late: float) -> None:
        """A room was asked for, so many seconds after it was due."""
        if room in self._rooms:  # a new room was due at once, and nobody is late for it
            self.late += 0.05 * (late - self.late)

    def balance(self, readings: float, rooms: int, batch: int = 1) -> None:
        """
        Find the factor with which all rooms together need so many readings per second. Call this every two seconds.

        Args:
            readings: Per second, that the budget allows.
            rooms: All that are watched; those that were never read are as important as new ones.
            batch: Rooms that one call reads. A room may be late by the time from one call to the next.
        """
        if self.late > max(_TOLERATED, 2 * batch / readings if readings else 0.0):
            self._trim = max(_LEAST_TRIM, self._trim * 0.999)
        else:
            self._trim = min(1.0, self._trim * 1.001)
        if self.late:
            readings *= self._trim
        new = max(0, rooms - len(self._rooms))
        self._backlog = new / readings if new and readings else 0.0
        counts = [*self._counts[:_LEVELS]]
        counts[_NEW_LEVEL] += new
        readings -= self._counts[_RARE] / self._intervals[_RARE]
        self._rooms_below = list(accumulate(counts, initial=0))
        self._calls_below = list(accumulate(map(mul, counts, _SPEEDS), initial=0.0))
        # The factor is the interval that quiet rooms would have without bounds, in seconds.
        shortest, longest = self.interval, self.longest
        low, high = shortest, max(shortest, longest * _SPEEDS[-1])
        if self._demand(shortest) <= readings:
            high = shortest
        elif low < self._factor < high:
            low, high = self._bracket(readings, high)
        while high > low * 1.005:
            middle = math.sqrt(low * high)
            low, high = (middle, high) if self._demand(middle) > readings else (low, middle)
        self._factor = high
        rarely, often = self._bounded(high)
        self._intervals = [
            *repeat(longest, rarely),
            *[high * weight for weight in _WEIGHTS[rarely:often]],
            *repeat(shortest, _LEVELS - often),
        ]
        self._intervals.append(max(self._intervals[_QUIET], next(iter(self.rare.values()), longest)))
        self._roots = [*map(math.sqrt, self._intervals)]
        self._most = max(_NEW, 2 * _LEAST / _OWN * (high / shortest) ** (1 / _EXPONENT))
        self._ages.clear()

    def distribution(self, bounds: Sequence[float]) -> list[int]:
        """How many rooms have an own interval of at most each of these seconds, in ascending order."""
        counts = [0] * (len(bounds) + 1)
        for level, rooms in enumerate(self._counts):
            if rooms:
                own = self._intervals[level]
                counts[next((index for index, bound in enumerate(bounds) if own <= bound), -1)] += rooms
        return [sum(counts[: index + 1]) for index in range(len(bounds))]

    def _bracket(self, readings: float, highest: float) -> tuple[float, float]:
        """Two factors between which the wanted one is. Mostly it is near the last one."""
        low = high = self._factor
        step = 1.05
        if self._demand(high) > readings:
            while high < highest and self._demand(high) > readings:
                low, high, step = high, min(high * step, highest), step * step
        else:
            while low > self.interval and self._demand(low) <= readings:
                low, high, step = max(low / step, self.interval), low, step * step
        return low, high

    def _bounded(self, factor: float) -> tuple[int, int]:
        """With this factor levels below the first have the longest interval, and from the second on the shortest."""
        rarely = math.ceil(_PER_DOUBLING * math.log2(factor / self.longest)) if factor > self.longest else 0
        often = math.ceil(_PER_DOUBLING * math.log2(factor / self.interval)) if factor > self.interval else 0
        return min(rarely, _LEVELS), min(often, _LEVELS)

    def _demand(self, factor: float) -> float:
        """Readings per second with this factor."""
        rarely, often = self._bounded(factor)
        rooms, calls = self._rooms_below, self._calls_below
        return (
            rooms[rarely] / self.longest
            + (calls[often] - calls[rarely]) / factor
            + (rooms[_LEVELS] - rooms[often]) / self.interval
        )


def _nearness(users: int, thresholds: Thresholds) -> float:
    """By how much a small change counts more, since a threshold is near: 1 far from it."""
    nearness = 1.0
    for limit in (thresholds.warning, thresholds.critical):
        if limit is not None:
            near = (limit + 1) / (abs(limit - users) + _NEAREST * (limit + 1))
            if near > 1.0:
                nearness *= 1 + _NEAR * (near - 1)
    return nearness


def _level(importance: float) -> int:
    return min(int(_PER_FOLD * math.log(max(importance, _LEAST)) + _OF_ONE), _LEVELS - 1)


_NEW_LEVEL: Final = _level(_OWN * _NEW)
_WEIGHTS: Final = tuple(_STEP**-level for level in range(_LEVELS))
"""The intervals of rooms of each level, as a share of that of quiet rooms."""
_SPEEDS: Final = tuple(_STEP**level for level in range(_LEVELS))
"""What a room of each level costs, in readings of a quiet room."""
