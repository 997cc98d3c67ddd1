"""
What a budget that is too small is spent on: own intervals beside one interval for all rooms, and beside hindsight.

10,000 rooms of the simulator's ``audiences`` share 10 calls per second of ten rooms each. The real planner runs in
virtual time; a call takes no time, and nothing fails. Every policy sees the same rooms.

* **Error**: users by which published counts are wrong, over all users, both summed over rooms and time.
* **Crossing**: the time from the moment at which a room's true count exceeds 300 until the next reading of the room. A
  crossing counts if the room was below for a minute before, and stays above for 30 s at least.
* **Best by size** knows how counts of this population change, room size by room size, and chooses the best interval for
  each size. It knows nothing of a single room but its count, and a cadence that learns cannot know much more: users of
  a room come and go independently of each other, and nobody foresees them.
* **Hindsight** knows the whole future. It reads a room again as soon as (wrong users now × time since the reading)
  exceeds their sum over that time by a constant, which is the optimal moment for one room, and at a crossing; the
  constant is the one that spends the budget. Nobody can do this, since it reads a room just after a change that nobody
  foresaw.

A flash crowd of thousands in an empty room makes a tenth of a run's error, seen soon or late as chance will have it. So
several runs, of populations with other seeds, count together.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from exporter.model import Room, Thresholds
from exporter.polling.importance import Importance
from exporter.polling.pace import pace_kept
from exporter.polling.planner import Lane, Planner
from exporter.simulator.audiences import Trace, audiences
from tests.benchmarks.benches.best_by_size import best_by_size
from tests.benchmarks.report import Row, at_most, information, share_of, times_less
from tests.benchmarks.scale import Scale

_ROOMS: Final = 10_000
_BATCH: Final = 10
_CALLS: Final = pace_kept(10.0)
_INTERVAL: Final = 10.0
_LONGEST: Final = 150.0
_SEEDS_PER_ROUND: Final = 4
_WARM_UP: Final = 1200.0
_LIMIT: Final = 300
_BELOW: Final = 60.0
_ABOVE: Final = 30.0
_BALANCED: Final = 2.0

Reads = list[list[float]]
"""The times at which each room is read."""


@dataclass(slots=True)
class Verdict:
    """
    One policy in all runs.

    Args:
        wrong: User-seconds by which published counts were wrong.
        users: User-seconds in all.
        delays: Seconds from each crossing to its publication.
        oldest: Seconds between two readings of a room, at most.
        calls: Of the warm-up, too.
        cpu: Seconds of processor time that their planning took.
    """

    wrong: float = 0.0
    users: float = 0.0
    delays: list[float] = field(default_factory=list)
    oldest: float = 0.0
    calls: int = 0
    cpu: float = 0.0

    @property
    def error(self) -> float:
        """In percent of all users."""
        return 100 * self.wrong / self.users

    def delay(self, quantile: float) -> float:
        """This quantile of the delays."""
        return sorted(self.delays)[int(quantile * (len(self.delays) - 1))]


def bench(scale: Scale) -> Sequence[Row]:
    """Error, crossings, oldest reading and processor time."""
    seconds = _WARM_UP + 100 * scale.seconds
    even, ours, best, by_size = Verdict(), Verdict(), Verdict(), Verdict()
    for seed in range(1, 1 + _SEEDS_PER_ROUND * scale.rounds):
        traces = audiences(seed, _ROOMS, seconds)
        _judge(even, traces, _polled(even, traces, seconds, None), seconds)
        _judge(ours, traces, _polled(ours, traces, seconds, _LONGEST), seconds)
        _judge(best, traces, _hindsight(traces, seconds), seconds)
        wrong, users = best_by_size(traces, (_WARM_UP, seconds), _CALLS * _BATCH, _LONGEST)
        by_size.wrong, by_size.users = by_size.wrong + wrong, by_size.users + users
    name, peer = "cadence", "one interval for all"
    crossings = f"{len(ours.delays)} thresholds crossed: time to publication"
    return [
        times_less(name, "users that are wrong", ours.error, "%", peer, even.error, 3.0),
        share_of(name, "users that are wrong", ours.error, "%", "best by size", by_size.error, 1.15),
        information(name, "users that are wrong", ours.error, "%", "hindsight", best.error),
        times_less(name, f"{crossings}, p95", ours.delay(0.95), "s", peer, even.delay(0.95), 2.0),
        information(name, f"{crossings}, p95", ours.delay(0.95), "s", "hindsight", best.delay(0.95)),
        information(name, f"{crossings}, p50", ours.delay(0.5), "s", peer, even.delay(0.5)),
        at_most(name, f"longest: {_LONGEST:g}s, oldest reading", ours.oldest, "s", 1.1 * _LONGEST, peer, even.oldest),
        at_most(name, "CPU per call for planning", ours.cpu / ours.calls, "s", 50e-6, peer, even.cpu / even.calls),
    ]


def _polled(verdict: Verdict, traces: Sequence[Trace], seconds: float, longest: float | None) -> Reads:
    """The real planner, with or without own intervals."""
    now, balanced = 0.0, -math.inf
    cadence = None if longest is None else Importance(_INTERVAL, longest)
    planner = Planner(_BATCH, _INTERVAL, lambda: 0.0, cadence)
    watched = [Room(str(number), thresholds=Thresholds(warning=_LIMIT)) for number in range(len(traces))]
    planner.watch(watched)
    reads: Reads = [[] for _ in traces]
    while now < seconds:
        began = time.thread_time()
        if cadence is not None and now >= balanced + _BALANCED:
            balanced = now
            cadence.balance(_CALLS * _BATCH, len(planner))
        batch = planner.take(Lane.REGULAR, now) or planner.take(Lane.SPARE, now)
        verdict.cpu += time.thread_time() - began
        numbers = [int(room) for room in batch]
        for number in numbers:
            reads[number].append(now)
        rooms, users = [watched[number] for number in numbers], [traces[number].at(now) for number in numbers]
        began = time.thread_time()
        if batch:
            phase = planner.phase(Lane.REGULAR, now)
            if cadence is not None:
                cadence.learn(rooms, users, now)
            planner.read(batch, phase)
            verdict.calls += 1
        verdict.cpu += time.thread_time() - began
        now += 1 / _CALLS
    return reads


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


def _judge(verdict: Verdict, traces: Sequence[Trace], reads: Reads, seconds: float) -> None:
    """Add one run to a policy's verdict."""
    for trace, times in zip(traces, reads, strict=True):
        late = [after - before for before, after in pairwise(times) if after > _WARM_UP]
        verdict.oldest = max([verdict.oldest, *late])
        if len(trace.times) > 1 or trace.users[0]:
            wrong, users = _wrong(trace, times, seconds)
            verdict.wrong, verdict.users = verdict.wrong + wrong, verdict.users + users
            for crossing in _crossings(trace, seconds):
                verdict.delays += [times[bisect_right(times, crossing)] - crossing] if times[-1] > crossing else []


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
