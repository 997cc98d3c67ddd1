"""
What a budget that is too small is spent on: own intervals beside one interval for all rooms, and beside hindsight.

10,000 rooms of the simulator's ``audiences`` share 10 calls per second of ten rooms each. The real planner runs in
virtual time; a call takes no time, and nothing fails. Every policy sees the same rooms.

* **Error**: users by which published counts are wrong, over all users, both summed over rooms and time.
* **Crossing**: the time from the moment at which a room's true count exceeds 300 until the next reading of the room. A
  crossing counts if the room was below for a minute before, and stays above for 30 s at least.
* **Hindsight** knows the whole future. It reads a room again as soon as (wrong users now × time since the reading)
  exceeds their sum over that time by a constant, which is the optimal moment for one room, and at a crossing; the
  constant is the one that spends the budget. Nobody can do this, since it reads a room just after a change that nobody
  foresaw.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from exporter.model import Room, Thresholds
from exporter.polling.importance import Importance
from exporter.polling.pace import pace_kept
from exporter.polling.planner import Lane, Planner
from exporter.simulator.audiences import Trace, audiences
from tests.benchmarks.report import Row, at_most, information, times_less
from tests.benchmarks.scale import Scale

_ROOMS: Final = 10_000
_BATCH: Final = 10
_CALLS: Final = pace_kept(10.0)
_INTERVAL: Final = 10.0
_LONGEST: Final = 150.0
_WARM_UP: Final = 1200.0
_LIMIT: Final = 300
_BELOW: Final = 60.0
_ABOVE: Final = 30.0
_BALANCED: Final = 2.0

Reads = list[list[float]]
"""The times at which each room is read."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    Args:
        error: Share of all users.
        delays: Seconds from each crossing to its publication, ascending.
        oldest: Seconds between two readings of a room, at most.
        cpu: Seconds of processor time per call, spent on planning.
    """

    error: float
    delays: Sequence[float]
    oldest: float
    cpu: float

    def delay(self, quantile: float) -> float:
        """This quantile of the delays."""
        return self.delays[int(quantile * (len(self.delays) - 1))]


def bench(scale: Scale) -> Sequence[Row]:
    """Error, crossings, oldest reading and processor time."""
    seconds = _WARM_UP + 100 * scale.seconds
    traces = audiences(1, _ROOMS, seconds)
    even = _polled(traces, seconds, None)
    ours = _polled(traces, seconds, _LONGEST)
    best = _verdict(traces, _hindsight(traces, seconds), seconds, 0.0)
    name, peer = "cadence", "one interval for all"
    crossings = f"{len(ours.delays)} thresholds crossed: time to publication"
    return [
        times_less(name, "users that are wrong", 100 * ours.error, "%", peer, 100 * even.error, 2.5),
        information(name, "users that are wrong", 100 * ours.error, "%", "hindsight", 100 * best.error),
        times_less(name, f"{crossings}, p95", ours.delay(0.95), "s", peer, even.delay(0.95), 2.0),
        information(name, f"{crossings}, p95", ours.delay(0.95), "s", "hindsight", best.delay(0.95)),
        information(name, f"{crossings}, p50", ours.delay(0.5), "s", peer, even.delay(0.5)),
        at_most(name, f"longest: {_LONGEST:g}s, oldest reading", ours.oldest, "s", 1.1 * _LONGEST, peer, even.oldest),
        at_most(name, "CPU per call for planning", ours.cpu, "s", 150e-6, peer, even.cpu),
    ]


def _polled(traces: Sequence[Trace], seconds: float, longest: float | None) -> Verdict:
    """The real planner, with or without own intervals."""
    now, balanced, spent, calls = 0.0, -math.inf, 0.0, 0
    thresholds = Thresholds(warning=_LIMIT)
    cadence = None if longest is None else Importance(_INTERVAL, longest)
    planner = Planner(_BATCH, _INTERVAL, lambda: 0.0, cadence)
    planner.watch(Room(str(number), thresholds=thresholds) for number in range(len(traces)))
    reads: Reads = [[] for _ in traces]
    while now < seconds:
        users: dict[str, int] = {}
        began = time.process_time()
        if cadence is not None and now >= balanced + _BALANCED:
            balanced = now
            cadence.balance(_CALLS * _BATCH, len(planner), now)
        rooms = planner.take(Lane.REGULAR, now)
        spent += time.process_time() - began
        for room in rooms:
            reads[int(room)].append(now)
            users[room] = traces[int(room)].at(now)
        began = time.process_time()
        if rooms:
            phase = planner.phase(Lane.REGULAR, now)
            if cadence is not None:
                for room in rooms:
                    cadence.learn(room, users[room], thresholds, now)
            planner.read(rooms, phase)
            calls += 1
        spent += time.process_time() - began
        now += 1 / _CALLS
    return _verdict(traces, reads, seconds, spent / calls)


def _hindsight(traces: Sequence[Trace], seconds: float) -> Reads:
    low, high, reads = 0.0, 1e6, _foreseen(traces, seconds, 1e6)
    for _ in range(14):
        middle = math.sqrt(max(low, 1.0) * high)
        tried = _foreseen(traces, seconds, middle)
        spent = sum(len(times) - bisect_right(times, _WARM_UP) for times in tried)
        if spent > _CALLS * _BATCH * (seconds - _WARM_UP):
            low = middle
        else:
            high, reads = middle, tried
    return reads


def _foreseen(traces: Sequence[Trace], seconds: float, cost: float) -> Reads:
    reads: Reads = []
    for number, trace in enumerate(traces):
        times, now = [], _LONGEST * number / len(traces)
        while now < seconds:
            times.append(now)
            now += _best_interval(trace, now, cost)
        reads.append(times)
    return reads


def _best_interval(trace: Trace, now: float, cost: float) -> float:
    index = bisect_right(trace.times, now) - 1
    published, total, since = trace.users[index], 0.0, now
    while True:
        users = trace.users[index]
        worth = abs(users - published) * (since - now) - total >= cost
        if since > now and (worth or users > _LIMIT >= published):
            return min(max(since - now + 0.001, _INTERVAL), _LONGEST)
        until = trace.times[index + 1] if index + 1 < len(trace.times) else math.inf
        if until - now >= _LONGEST:
            return _LONGEST
        total += abs(users - published) * (until - since)
        since, index = until, index + 1


def _verdict(traces: Sequence[Trace], reads: Reads, seconds: float, cpu: float) -> Verdict:
    wrong = users = oldest = 0.0
    delays: list[float] = []
    for trace, times in zip(traces, reads, strict=True):
        late = [after - before for before, after in pairwise(times) if after > _WARM_UP]
        oldest = max([oldest, *late])
        if len(trace.times) > 1 or trace.users[0]:
            of_room = _wrong(trace, times, seconds)
            wrong, users = wrong + of_room[0], users + of_room[1]
            for crossing in _crossings(trace, seconds):
                delays += [times[bisect_right(times, crossing)] - crossing] if times[-1] > crossing else []
    return Verdict(wrong / users, sorted(delays), oldest, cpu)


def _wrong(trace: Trace, reads: Sequence[float], seconds: float) -> tuple[float, float]:
    """User-seconds by which the published count is wrong, and all user-seconds."""
    moments = sorted({_WARM_UP, *(moment for moment in (*trace.times, *reads) if _WARM_UP < moment), seconds})
    wrong = users = 0.0
    for moment, until in pairwise(moments):
        present = trace.at(moment)
        published = trace.at(reads[bisect_right(reads, moment) - 1])
        wrong += abs(present - published) * (until - moment)
        users += present * (until - moment)
    return wrong, users


def _crossings(trace: Trace, seconds: float) -> list[float]:
    found: list[float] = []
    below: float | None = 0.0 if trace.users[0] <= _LIMIT else None
    pending: float | None = None
    for moment, users in zip((*trace.times, seconds), (*trace.users, 0), strict=True):
        if users > _LIMIT:
            if below is not None and moment - below >= _BELOW and moment >= _WARM_UP:
                pending = moment
            below = None
        else:
            if pending is not None and moment - pending >= _ABOVE:
                found.append(pending)
            pending = None
            below = moment if below is None else below
    return found
