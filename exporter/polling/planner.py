"""
Which rooms of a source are due, in full batches, longest overdue first. Pure: the caller brings the time.

A room waits in a *lane*: ``REGULAR``, for its reading one interval after the last; ``RETRY``, to be asked again early
after a failed call; ``SUSPECT``, to be asked alone because it was refused. A room may stand in two lanes at once (the
retry that comes early and the regular poll that comes anyhow). The heaps' entries hold rooms that are due together, a
batch at most, under one *ticket*; an entry counts for those of its rooms that still have that ticket.

A batch takes the rooms longest overdue. Free places go to rooms that are due soonest, so batches are full and n rooms
never cost more than ⌈n / batch size⌉ calls per interval. Due times are counted from a batch's *phase*: its slot, pushed
by up to 3 % of an interval away from the batch before, until calls leave at a steady rate.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Final

from exporter.model import Room

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


LANES: Final = tuple(Lane)

Entry = tuple[float, int, tuple[str, ...]]


class Planner:
    """
    The due times of one source's rooms, in monotonic seconds.

    Args:
        batch_size: Rooms that one call may ask for.
        interval: Wanted seconds between two readings of a room.
        monotonic: Tells when a room that is new is due.
    """

    def __init__(self, batch_size: int, interval: float, monotonic: Callable[[], float]) -> None:
        self.batch_size = batch_size
        self.interval = interval
        self._monotonic = monotonic
        self._lanes: tuple[list[Entry], ...] = tuple([] for _ in Lane)
        self._tickets: dict[str, int] = {}
        self._suspects: set[str] = set()
        self._issued = 0
        self._last_phase = -math.inf

    def __len__(self) -> int:
        return len(self._tickets)

    def __contains__(self, room: object) -> bool:
        return room in self._tickets

    def watch(self, rooms: Iterable[Room]) -> None:
        """Plan these rooms, too: new ones are due now, the rest keep their due times."""
        now = self._monotonic()
        for room in rooms:
            if room.id not in self._tickets:
                self._put(Lane.REGULAR, (room.id,), now, self._ticket((room.id,)))

    def forget(self, room_ids: Iterable[str]) -> None:
        """Plan these rooms no longer."""
        for room_id in room_ids:
            self._tickets.pop(room_id, None)
            self._suspects.discard(room_id)
        self._compact()

    def dues(self) -> tuple[float, ...]:
        """When the first room of each lane is due, in the lanes' order; infinity for an empty lane."""
        return tuple([self.due(lane) if self._lanes[lane] else math.inf for lane in LANES])

    def due(self, lane: Lane) -> float:
        """When the first room of a lane is due; infinity for an empty lane."""
        heap = self._lanes[lane]
        while heap and not self._counts(heap[0]):
            heapq.heappop(heap)
        return heap[0][0] if heap else math.inf

    def turn(self, room: str) -> tuple[Lane, float] | None:
        """The lane in which a planned room is asked next, and when it is due; ``None`` while its call is under way."""
        ticket = self._tickets[room]
        turns = []
        for lane in LANES if ticket != _BOUND else ():
            # All entries of one ticket and lane are due together.
            due = next((due for due, of, _ in self._lanes[lane] if of == ticket), None)
            turns += [] if due is None else [(due, lane)]
        due, lane = min(turns, default=(math.inf, Lane.REGULAR))
        return None if due == math.inf else (lane, due)

    def take(self, lane: Lane, now: float) -> tuple[str, ...]:
        """
        Bind a batch that leaves in this lane, none if nothing there is due.

        A suspect room goes alone. Otherwise free places are filled with retries that are due, then with rooms that
        ride early.
        """
        if self.due(lane) > now:
            return ()
        if lane is Lane.SUSPECT:
            return tuple(self._pop(lane, 1))
        batch: list[str] = []
        for source, until in ((lane, now), (Lane.REGULAR, now), (Lane.RETRY, now), (Lane.REGULAR, math.inf)):
            while (free := self.batch_size - len(batch)) and (due := self.due(source)) <= until and due < math.inf:
                batch += self._pop(source, free)
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
        watched = self._watched(rooms)
        self._suspects.difference_update(watched)
        self._put(Lane.REGULAR, watched, phase + self.interval, self._ticket(watched))

    def again(self, rooms: Iterable[str], due: float) -> None:
        """These rooms' call never counted: they are due as before."""
        healthy, suspect = self._judged(rooms)
        self._put(Lane.REGULAR, healthy, due, self._ticket(healthy))
        self._put(Lane.SUSPECT, suspect, due, self._ticket(suspect))

    def retry(self, rooms: Iterable[str], phase: float, delay: float, now: float) -> None:
        """These rooms' call failed: they are asked again after a delay, and in any case when their poll is due."""
        healthy, suspect = self._judged(rooms)
        self._put(Lane.SUSPECT, suspect, now + delay, self._ticket(suspect))
        ticket = self._ticket(healthy)
        self._put(Lane.REGULAR, healthy, phase + self.interval, ticket)
        if now + delay < phase + self.interval:
            self._put(Lane.RETRY, healthy, now + delay, ticket)

    def suspect(self, rooms: Iterable[str], due: float) -> None:
        """These rooms were refused: they are asked alone from then on, until a reading."""
        watched = self._watched(rooms)
        self._suspects.update(watched)
        self._put(Lane.SUSPECT, watched, due, self._ticket(watched))

    def release(self, rooms: Iterable[str], due: float) -> None:
        """Plan those of these rooms that are still bound, though their call has ended: none is lost."""
        bound = [room for room in rooms if self._tickets.get(room) == _BOUND]
        if bound:
            self.again(bound, due)

    def trust(self, now: float) -> None:
        """No room is suspect any more, since it was the source that was refused: all of them are due now."""
        suspects, self._suspects = self._suspects, set()
        self.again((room for room in suspects if self._tickets[room] != _BOUND), now)

    def change_interval(self, interval: float, now: float) -> None:
        """
        Keep to another interval: rooms that were read are due one new interval after their last phase, and no later
        than one from now. What suspects have to wait counts in intervals, and stretches or shrinks with them.
        """
        shift, stretch = interval - self.interval, interval / self.interval
        if not shift:
            return
        self.interval = interval
        regular = self._lanes[Lane.REGULAR]
        # What is due already stays due: it may never have been read.
        regular[:] = [
            (min(due + shift, now + interval) if due > now else due, ticket, rooms) for due, ticket, rooms in regular
        ]
        heapq.heapify(regular)
        suspects = self._lanes[Lane.SUSPECT]
        suspects[:] = [
            (now + (due - now) * stretch if due > now else due, ticket, rooms) for due, ticket, rooms in suspects
        ]
        heapq.heapify(suspects)

    def _compact(self) -> None:
        for heap in self._lanes:
            if len(heap) > 2 * len(self._tickets) + _STALE_KEPT:
                heap[:] = filter(self._counts, heap)
                heapq.heapify(heap)

    def _watched(self, rooms: Iterable[str]) -> tuple[str, ...]:
        return tuple([room for room in rooms if room in self._tickets])

    def _judged(self, rooms: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Those that are watched: the healthy ones, and the suspects."""
        watched = self._watched(rooms)
        if self._suspects.isdisjoint(watched):
            return watched, ()
        healthy: list[str] = []
        suspect: list[str] = []
        for room in watched:
            (suspect if room in self._suspects else healthy).append(room)
        return tuple(healthy), tuple(suspect)

    def _counts(self, entry: Entry) -> bool:
        return self._tickets.get(entry[2][0]) == entry[1] or bool(self._counting(entry))

    def _counting(self, entry: Entry) -> list[str]:
        """The rooms that an entry still counts for."""
        tickets, ticket = self._tickets, entry[1]
        return [room for room in entry[2] if tickets.get(room) == ticket]

    def _ticket(self, rooms: Iterable[str]) -> int:
        """A new ticket for these rooms; what was planned for them before does not count any more."""
        self._issued += 1
        for room in rooms:
            self._tickets[room] = self._issued
        return self._issued

    def _put(self, lane: Lane, rooms: tuple[str, ...], due: float, ticket: int) -> None:
        for start in range(0, len(rooms), self.batch_size):
            heapq.heappush(self._lanes[lane], (due, ticket, rooms[start : start + self.batch_size]))

    def _pop(self, lane: Lane, most: int) -> list[str]:
        """Bind so many of the rooms that are due first, and are due together; the rest stay."""
        entry = heapq.heappop(self._lanes[lane])
        rooms = self._counting(entry)
        if len(rooms) > most:
            heapq.heappush(self._lanes[lane], (entry[0], entry[1], tuple(rooms[most:])))
            del rooms[most:]
        for room in rooms:
            self._tickets[room] = _BOUND
        return rooms
