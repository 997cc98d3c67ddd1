"""
Which rooms of a source are due, in full batches, longest overdue first. Pure: the caller brings the time.

A room waits in a *lane*: ``REGULAR``, for its reading one interval after the last; ``RETRY``, to be asked again early
after a failed call; ``SUSPECT``, to be asked alone because it was refused. A room may stand in two lanes at once (the
retry that comes early and the regular poll that comes anyhow); its *ticket* tells which of the heaps' entries still
count.

A batch takes the rooms longest overdue. Free places go to rooms that are due soonest, so batches are full and n rooms
never cost more than ⌈n / batch size⌉ calls per interval. Due times are counted from a batch's *phase*: its slot, pushed
by up to 3 % of an interval away from the batch before, until calls leave at a steady rate.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final

from exporter.model import ROOMS_AT_A_TIME

_PUSH: Final = 0.03
_SLACK: Final = 0.02
_STALE_KEPT: Final = 1_000
_BOUND: Final = 0
"""The ticket of a room whose call is under way."""


class Lane(IntEnum):
    """Why a room is asked, and which share of the slots that may take."""

    REGULAR = 0
    RETRY = 1
    SUSPECT = 2


Entry = tuple[float, int, str]


class Planner:
    """
    The due times of one source's rooms, in monotonic seconds.

    Args:
        batch_size: Rooms that one call may ask for.
        interval: Wanted seconds between two readings of a room.
    """

    def __init__(self, batch_size: int, interval: float) -> None:
        self.batch_size = batch_size
        self.interval = interval
        self._lanes: tuple[list[Entry], ...] = tuple([] for _ in Lane)
        self._tickets: dict[str, int] = {}
        self._suspects: set[str] = set()
        self._issued = 0
        self._last_phase = -math.inf

    def __len__(self) -> int:
        return len(self._tickets)

    def watch(self, rooms: Iterable[str], now: float) -> None:
        """Plan exactly these rooms: new ones are due now, the rest keep their due times."""
        deque(self.watching(rooms, now), maxlen=0)

    def watching(self, rooms: Iterable[str], now: float) -> Iterator[None]:
        """The same step by step: whoever has many rooms lets others run in between. One change at a time."""
        wanted: set[str] = set()
        for number, room in enumerate(rooms, start=1):
            wanted.add(room)
            if room not in self._tickets:
                self._put(Lane.REGULAR, room, now, self._ticket(room))
            if number % ROOMS_AT_A_TIME == 0:
                yield
        for number, room in enumerate(tuple(self._tickets), start=1):
            if room not in wanted:
                del self._tickets[room]
                self._suspects.discard(room)
            if number % ROOMS_AT_A_TIME == 0:
                yield
        self._compact()

    def due(self, lane: Lane) -> float:
        """When the first room of a lane is due; infinity for an empty lane."""
        heap = self._lanes[lane]
        while heap and not self._counts(heap[0]):
            heapq.heappop(heap)
        return heap[0][0] if heap else math.inf

    def take(self, lane: Lane, now: float) -> tuple[str, ...]:
        """
        Bind a batch that leaves in this lane, none if nothing there is due.

        A suspect room goes alone. Otherwise free places are filled with retries that are due, then with rooms that
        ride early.
        """
        if self.due(lane) > now:
            return ()
        if lane is Lane.SUSPECT:
            return (self._pop(lane),)
        batch: list[str] = []
        for source, until in ((lane, now), (Lane.REGULAR, now), (Lane.RETRY, now), (Lane.REGULAR, math.inf)):
            while len(batch) < self.batch_size and (due := self.due(source)) <= until and due < math.inf:
                batch.append(self._pop(source))
        return tuple(batch)

    def phase(self, lane: Lane, slot: float) -> float:
        """The phase of the batch that was just taken in this lane, for this slot."""
        if lane is not Lane.REGULAR:
            return slot
        batches = math.ceil(max(1, len(self._tickets) - len(self._suspects)) / self.batch_size)
        pushed = self._last_phase + self.interval / batches * (1 - _SLACK)
        self._last_phase = max(slot, min(pushed, slot + _PUSH * self.interval))
        return self._last_phase

    def read(self, rooms: Iterable[str], phase: float) -> None:
        """These rooms were read by the call of this phase: they are due together, one interval later."""
        for room in rooms:
            if room in self._tickets:
                self._suspects.discard(room)
                self._put(Lane.REGULAR, room, phase + self.interval, self._ticket(room))

    def again(self, rooms: Iterable[str], due: float) -> None:
        """These rooms' call never counted: they are due as before."""
        for room in rooms:
            if room in self._tickets:
                lane = Lane.SUSPECT if room in self._suspects else Lane.REGULAR
                self._put(lane, room, due, self._ticket(room))

    def retry(self, rooms: Iterable[str], phase: float, delay: float, now: float) -> None:
        """These rooms' call failed: they are asked again after a delay, and in any case when their poll is due."""
        for room in rooms:
            if room in self._suspects:
                self._put(Lane.SUSPECT, room, now + delay, self._ticket(room))
            elif room in self._tickets:
                ticket = self._ticket(room)
                self._put(Lane.REGULAR, room, phase + self.interval, ticket)
                if now + delay < phase + self.interval:
                    self._put(Lane.RETRY, room, now + delay, ticket)

    def suspect(self, rooms: Iterable[str], due: float) -> None:
        """These rooms were refused: they are asked alone from then on, until a reading."""
        for room in rooms:
            if room in self._tickets:
                self._suspects.add(room)
                self._put(Lane.SUSPECT, room, due, self._ticket(room))

    def trust(self, now: float) -> None:
        """No room is suspect any more, since it was the source that was refused: all of them are due now."""
        suspects, self._suspects = self._suspects, set()
        self.again((room for room in suspects if self._tickets[room] != _BOUND), now)

    def change_interval(self, interval: float, now: float) -> None:
        """Keep to another interval: rooms that were read are due one new interval after their last phase."""
        shift = interval - self.interval
        self.interval = interval
        regular = self._lanes[Lane.REGULAR]
        # What is due already stays due: it may never have been read.
        regular[:] = [(due + shift if due > now else due, ticket, room) for due, ticket, room in regular]
        heapq.heapify(regular)

    def _compact(self) -> None:
        tickets = self._tickets
        for heap in self._lanes:
            if len(heap) > 2 * len(tickets) + _STALE_KEPT:
                heap[:] = [entry for entry in heap if tickets.get(entry[2]) == entry[1]]
                heapq.heapify(heap)

    def _counts(self, entry: Entry) -> bool:
        return self._tickets.get(entry[2]) == entry[1]

    def _ticket(self, room: str) -> int:
        self._issued += 1
        self._tickets[room] = self._issued
        return self._issued

    def _put(self, lane: Lane, room: str, due: float, ticket: int) -> None:
        heapq.heappush(self._lanes[lane], (due, ticket, room))

    def _pop(self, lane: Lane) -> str:
        room = heapq.heappop(self._lanes[lane])[2]
        self._tickets[room] = _BOUND
        return room
