"""
How many users many rooms have over an hour or two: what a bench needs to compare ways of spending calls.

``population`` answers for one room at any moment, and its rooms are always busy. Here a large app is drawn as operators
describe it, once, from a seed:

* **Empty rooms.** Two rooms of three have nobody in them. With the rooms that are closed for a while, about 70 % of all
  rooms are empty at any moment.
* **Live rooms**, a heavy tail: a Pareto distribution with exponent 1 / 1.4, from 1 user up to 20,000. With all that
  follows, half of the rooms with users have up to three, one in a hundred has 1,000, and the fullest half percent have
  six of ten users. The exponent is that of a large platform for live video, Twitch: of its partners' and affiliates'
  channels, 5 % had over 26 viewers in 2022 and 1 % over 250 (SullyGnome and Zach Bussey), and (250 / 26)^-0.71 is 1/5.
  There the tail does not end at 20,000: half a percent of the channels had 76 % of the hours watched in June 2023
  (StreamElements).
* **Coming and going.** A user stays ten minutes on average, so that a room of n users changes by about √(n/300) in a
  second, up or down. Besides, the audience that a room draws rises and falls by 30 % over 30 to 90 minutes.
* **Closings.** A live room closes every two hours on average: all leave within a moment. 5 to 30 minutes later it opens
  again and fills within some minutes.
* **Flash crowds.** In an hour, 15 rooms of 1,000 are found by a crowd: a Pareto distribution with exponent 1.2 from 150
  up to 10,000 users. It gathers within 1 to 8 minutes, faster and faster, stays for 5 to 20 minutes, and then leaves:
  one half at once, the other half within about ten minutes. A crowd chooses any room, so most crowds choose an empty
  one.

**When this is wrong.** Nobody knows when a crowd comes: there is no timetable here, and no relation between rooms. Real
apps have both, and whoever knows the timetable can do better.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

_LIVE = 1 / 3
_STAY = 600.0
_CROWDS_PER_HOUR = 0.015
_CLOSES_EVERY = 7200.0
_LARGEST = 20_000.0
_TAIL = 1 / 1.4


@dataclass(frozen=True, slots=True)
class Trace:
    """
    The true number of users of one room.

    Attributes:
        times: Seconds at which it changes, ascending; the first is 0.
        users: The number from that moment on.
    """

    times: Sequence[float]
    users: Sequence[int]

    def at(self, time: float) -> int:
        """The users at this time, 0 or later."""
        return self.users[bisect_right(self.times, time) - 1]


@dataclass(frozen=True, slots=True)
class _Crowd:
    begins: float
    gathers: float
    stays: float
    peak: float
    leaves_at_once: bool

    def users(self, time: float) -> float:
        since = time - self.begins
        if since <= 0:
            return 0.0
        after = since - self.gathers - self.stays
        if after <= 0:
            return self.peak * min(1.0, since / self.gathers) ** 2
        return 0.0 if self.leaves_at_once else self.peak * math.exp(-after / 200)


def audiences(seed: int, rooms: int, seconds: float) -> list[Trace]:
    """So many rooms over so many seconds; the same arguments always give the same rooms."""
    return [_trace(Random(f"{seed} {number}"), seconds) for number in range(rooms)]


def _trace(random: Random, seconds: float) -> Trace:
    live = random.random() < _LIVE
    size = min(_LARGEST, random.paretovariate(_TAIL)) if live else 0.0
    crowd = _crowd(random, seconds)
    if not live and crowd is None:
        return Trace((0.0,), (0,))
    return _course(random, seconds, size, crowd)


def _crowd(random: Random, seconds: float) -> _Crowd | None:
    if random.random() >= _CROWDS_PER_HOUR * seconds / 3600:
        return None
    peak = min(10_000.0, 150 * random.paretovariate(1.2))
    begins, gathers, stays = random.uniform(0, seconds), random.uniform(60, 480), random.uniform(300, 1200)
    return _Crowd(begins, gathers, stays, peak, random.random() < 0.5)


def _course(random: Random, seconds: float, size: float, crowd: _Crowd | None) -> Trace:
    """Steps of 3 to 20 s as in ``population``; a step in which nothing changes leaves no trace."""
    wave, phase = random.uniform(1800, 5400), random.random()
    closes = random.expovariate(1 / _CLOSES_EVERY)
    opens, opened = math.inf, -math.inf
    drawn = size * (1 + 0.3 * math.sin(2 * math.pi * phase))
    time, present = 0.0, float(round(drawn))
    times, users = [0.0], [int(present + (crowd.users(0.0) if crowd else 0.0))]
    while True:
        step = random.uniform(3, 20)
        time += step
        if time >= seconds:
            return Trace(times, users)
        if time >= closes:
            present, closes, opens = 0.0, math.inf, time + random.uniform(300, 1800)
        elif time >= opens:
            closes, opens, opened = time + random.expovariate(1 / _CLOSES_EVERY), math.inf, time
        if opens == math.inf:
            drawn = size * (1 + 0.3 * math.sin(2 * math.pi * (time / wave + phase)))
            pull = 1 - math.exp(-step / (90 if time < opened + 300 else _STAY))
            noise = random.gauss(0, 1) * math.sqrt(max(present, 0.3 * drawn) * step / 300)
            present = max(0.0, present + (drawn - present) * pull + noise)
        now = round(present + (crowd.users(time) if crowd else 0.0))
        if now != users[-1]:
            times.append(time)
            users.append(now)
