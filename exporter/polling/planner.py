"""
Which rooms of a source are due, in full batches, longest overdue first. Pure: the caller brings the time.

Theory of operation
===================

**Problem.** A source may have 100,000 rooms, and one call asks for up to ten of them. Each room should be read once per
interval, with as few calls as possible, at a steady rate. Rooms come and go, fail, and are refused.

**Idea.** A room waits in a *lane*, which says why it is asked:

* ``REGULAR``: for its next reading, one interval after the last. With a cadence each room has an interval of its own
  (see ``importance``).
* ``RETRY``: early, because its last call failed. It also waits in ``REGULAR``, and whichever comes first counts.
* ``SUSPECT``: alone, because the vendor refused it or a batch with it.
* ``SPARE``: early, because a slot would be unused. It also waits in ``REGULAR``. Only rooms that have longer intervals
  than they should, since there are too few slots, wait in this lane.

Each lane is a heap, ordered by due time. An entry holds rooms that are due together, at most a batch. To plan a room
anew means to issue it a new *ticket* number: entries with an older ticket no longer count for it, and are dropped when
they reach the top (lazy deletion).

A batch takes the rooms that are longest overdue. Free places go to the rooms that are due soonest. So batches are full,
and n rooms never cost more than ⌈n / batch size⌉ calls per interval.

With a cadence the rooms of a batch are due at different times. Rooms of the same importance that are read within a few
seconds share an entry, until it holds a batch: so they travel together from then on, and a batch is one entry again.

The rooms of a batch are due again one interval after its *phase*. The phase is the batch's slot, moved later by up to
3 % of the interval, so that it keeps its distance to the phase before it.

Worked example, 100 rooms in batches of ten, an interval of 10 s and a limit of 10 calls per second: ten calls per
interval. At first all rooms are due, so the ten calls leave within 1 s, 0.1 s apart, and 9 s pass without a call. In
each interval the phases move apart by up to 0.3 s. After 27 intervals the ten calls leave 0.98 s apart. (0.98 s are
98 % of an even distance. The missing 2 % are slack: one late batch does not push all batches after it for ever.)

**Why simpler is not enough.** One timer for each room makes 100,000 timers, and batches of the few rooms whose timers
fire at the same moment. A fixed list that is read from its start once per interval uses every slot of the budget in the
first part of the interval. Then a retry, or another source of the same budget, waits behind that burst.

**When this is wrong.** The interval counts from the slot and not from the due time, so lateness is never made up: if
the budget is 0.5 s late, readings are 10.5 s apart. While phases move apart, an interval is up to 3 % longer. A room in
a free place is read early, so two readings may be much closer than an interval.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Final

from exporter.model import Reading, Room
from exporter.polling.importance import Importance

_PUSH: Final = 0.03
_SLACK: Final = 0.02
_STALE_KEPT: Final = 1_000
_DROPPED: Final = 2_000
"""Entries that no longer count which ``due`` drops at most: it may be asked when 100,000 rooms have gone."""
_BOUND: Final = 0
"""The ticket of a room whose call is in flight."""


class Lane(IntEnum):
    """Why the vendor is asked for a room. ``budget`` says which lane gets a slot."""

    REGULAR = 0
    RETRY = 1
    SUSPECT = 2
    SPARE = 3


LANES: Final = tuple(Lane)

Entry = tuple[float, int, Sequence[str]]
"""Due time, ticket, room ids. A list of room ids may still grow."""


class Planner:
    """
    The due times of one source's rooms, in monotonic seconds.

    Args:
        batch_size: Rooms that one call may ask for.
        interval: Wanted seconds between two readings of a room.
        monotonic: The clock: a new room is due at once.
        cadence: The rooms' own intervals; ``None``: all rooms have the same.
    """

    def __init__(
        self, batch_size: int, interval: float, monotonic: Callable[[], float], cadence: Importance | None = None
    ) -> None:
        self.batch_size = batch_size
        self.interval = interval
        self.cadence = cadence
        self._open: dict[int, tuple[float, int, list[str]]] = {}
        self._monotonic = monotonic
        self._lanes: tuple[list[Entry], ...] = tuple([] for _ in Lane)
        self._tickets: dict[str, int] = {}
        self._suspects: set[str] = set()
        self._slow: dict[str, float] = {}
        self._give_rare()
        self._issued = 0
        self._last_phase = -math.inf

    def __len__(self) -> int:
        return len(self._tickets)

    def __contains__(self, room: object) -> bool:
        return room in self._tickets

    def watch(self, rooms: Iterable[Room]) -> None:
        """Add rooms, which are due now. Rooms that are planned already keep their due times."""
        now = self._monotonic()
        for room in rooms:
            if room.id not in self._tickets:
                self._put(Lane.REGULAR, (room.id,), now, self._ticket((room.id,)))

    def forget(self, room_ids: Collection[str]) -> None:
        """Remove rooms. Unknown ids are ignored."""
        for room_id in room_ids:
            self._tickets.pop(room_id, None)
            self._suspects.discard(room_id)
            self._slow.pop(room_id, None)
            if self.cadence is not None:
                self.cadence.forget((room_id,))
        for heap in self._lanes:
            self._drop(heap, 2 * len(room_ids))
        self._compact()

    def bring_forward(self, room_ids: Iterable[str], now: float) -> None:
        """Ask these rooms next, before any that is overdue; those whose call is under way stay as they are."""
        waiting = (room for room in room_ids if self._tickets.get(room, _BOUND) != _BOUND)
        healthy, suspect = self._split_suspects(waiting)
        if self.cadence is not None:
            self.cadence.disturb(healthy)
        before = math.nextafter(self.due(Lane.REGULAR), -math.inf)
        self._put(Lane.REGULAR, healthy, min(now, before), self._ticket(healthy))
        self._put(Lane.SUSPECT, suspect, now, self._ticket(suspect))

    def slow_down(self, room_ids: Iterable[str], interval: float) -> None:
        """Read these rooms at this longer interval from their next reading on."""
        self._slow.update((room_id, interval) for room_id in self._watched(room_ids))

    def speed_up(self, room_ids: Iterable[str]) -> None:
        """Read these rooms every interval again, from their next reading on."""
        for room_id in room_ids:
            self._slow.pop(room_id, None)

    def dues(self) -> tuple[float, ...]:
        """When the first room of each lane is due, in the order of ``LANES``; infinity for an empty lane."""
        return tuple([self.due(lane) if self._lanes[lane] else math.inf for lane in LANES])

    def due(self, lane: Lane) -> float:
        """
        When the first room of a lane is due; infinity for an empty lane.

        Just after thousands of rooms have gone, it may be too early. Then ``take`` has none, and asking again helps.
        """
        heap = self._lanes[lane]
        if heap and not self._is_valid(heap[0]):
            self._drop(heap, _DROPPED)
        return heap[0][0] if heap else math.inf

    def next_poll(self, room: str) -> tuple[Lane, float] | None:
        """
        The next lane of a planned room, and its due time; ``None`` while its call is in flight.

        It may be asked sooner: in a free place of a batch, or in a spare slot.
        """
        ticket = self._tickets[room]
        turns = []
        for lane in (Lane.REGULAR, Lane.RETRY, Lane.SUSPECT) if ticket != _BOUND else ():
            # All entries of one ticket and lane are due together.
            due = next((due for due, of, _ in self._lanes[lane] if of == ticket), None)
            turns += [] if due is None else [(due, lane)]
        due, lane = min(turns, default=(math.inf, Lane.REGULAR))
        return None if due == math.inf else (lane, due)

    def take(self, lane: Lane, now: float) -> tuple[str, ...]:
        """
        Take the next batch of this lane: 1 to ``batch_size`` rooms, or none if none is due.

        The rooms stay bound, which means not due, until ``read``, ``retry``, ``reschedule``, ``suspect`` or
        ``release``. A suspect room goes alone. In other lanes, free places go to overdue rooms of the regular lane, to
        retries that are due, and then to the regular rooms that are due soonest.
        """
        first_due = self.due(lane)
        if first_due > now:
            return ()
        if lane is Lane.SUSPECT:
            return tuple(self._pop(lane, 1))
        batch: list[str] = []
        for source, until in ((lane, now), (Lane.REGULAR, now), (Lane.RETRY, now), (Lane.REGULAR, math.inf)):
            while (free := self.batch_size - len(batch)) and (due := self.due(source)) <= until and due < math.inf:
                rooms = self._pop(source, free)
                if not rooms:
                    break
                batch += rooms
        if self.cadence is not None and lane is Lane.REGULAR and batch:
            self.cadence.taken(batch[0], now - first_due)
        return tuple(batch)

    def phase(self, lane: Lane, slot: float) -> float:
        """The monotonic time from which the batch that was just taken counts its next due time."""
        if lane is not Lane.REGULAR:
            return slot
        batches = math.ceil(max(1, len(self._tickets) - len(self._suspects)) / self.batch_size)
        pushed = self._last_phase + self.interval / batches * (1 - _SLACK)
        self._last_phase = max(slot, min(pushed, slot + _PUSH * self.interval))
        return self._last_phase

    def read(self, rooms: Iterable[str], phase: float) -> None:
        """A call read these rooms: they are due together, one interval after the call's phase, or each on its own."""
        watched = self._watched(rooms)
        self._suspects.difference_update(watched)
        self._put_read(watched, phase)

    def read_elsewhere(self, rooms: Iterable[str], at: float, most: float = math.inf) -> None:
        """
        These rooms were read at that time, and not by a call of ours for them: their polls are due one interval later,
        and with a cadence after so many seconds at most.

        What a call under way says of a room counts more, and what a list says of a room tells nothing of whether the
        vendor still refuses to be asked for it.
        """
        tickets = self._tickets
        read = tuple([room for room in rooms if tickets.get(room, _BOUND) != _BOUND and room not in self._suspects])
        self._put_read(read, at, most)
        self._compact()

    def reschedule(self, rooms: Iterable[str], due: float) -> None:
        """Make these rooms due at this time, each in its lane: regular or suspect."""
        healthy, suspect = self._split_suspects(rooms)
        self._put(Lane.REGULAR, healthy, due, self._ticket(healthy))
        self._put(Lane.SUSPECT, suspect, due, self._ticket(suspect))

    def retry(self, rooms: Iterable[str], phase: float, delay: float, now: float) -> None:
        """A call failed: retry its rooms after a delay in seconds, and in any case one interval after its phase."""
        healthy, suspect = self._split_suspects(rooms)
        self._put(Lane.SUSPECT, suspect, now + delay, self._ticket(suspect))
        ticket = self._ticket(healthy)
        self._put(Lane.REGULAR, healthy, phase + self.interval, ticket)
        if now + delay < phase + self.interval:
            self._put(Lane.RETRY, healthy, now + delay, ticket)

    def suspect(self, rooms: Iterable[str], due: float) -> None:
        """The vendor refused these rooms: from now on ask for each alone, until it is read."""
        watched = self._watched(rooms)
        self._suspects.update(watched)
        self._put(Lane.SUSPECT, watched, due, self._ticket(watched))

    def suspect_missing(self, rooms: Sequence[str], phase: float) -> None:
        """The vendor knows no such rooms: ask for each alone, after the interval that it would have had."""
        if self.cadence is None:
            self.suspect(rooms, phase + self.interval)
            return
        for room, _, _, due in self.cadence.plan(rooms, phase):
            self.suspect((room,), due)

    def release(self, rooms: Iterable[str], due: float) -> None:
        """A call has ended: those of its rooms that are still bound are due at this time, so that none is lost."""
        bound = [room for room in rooms if self._tickets.get(room) == _BOUND]
        if bound:
            self.reschedule(bound, due)

    def clear_suspects(self, now: float) -> None:
        """Not the rooms but the source was at fault: no room is suspect any more, and all that were are due now."""
        suspects, self._suspects = self._suspects, set()
        self.reschedule((room for room in suspects if self._tickets[room] != _BOUND), now)

    def change_interval(self, interval: float, now: float) -> None:
        """
        Keep to another interval from now on.

        Regular rooms are due one new interval after their last phase, and at the latest one new interval from now. If
        they have intervals of their own, they keep their due times: were all of them due at once, important ones would
        have to wait for the quiet ones. Suspect rooms wait for a number of intervals, so their waiting time changes in
        proportion.
        """
        shift, stretch = interval - self.interval, interval / self.interval
        if not shift:
            return
        self.interval = interval
        self._open.clear()
        regular = self._lanes[Lane.REGULAR]
        if self.cadence is None or self.cadence.even:
            # A room that is due stays due: it may never have been read.
            regular[:] = [
                (min(due + shift, now + interval) if due > now else due, ticket, rooms)
                for due, ticket, rooms in regular
            ]
            heapq.heapify(regular)
        suspects = self._lanes[Lane.SUSPECT]
        suspects[:] = [
            (now + (due - now) * stretch if due > now else due, ticket, rooms) for due, ticket, rooms in suspects
        ]
        heapq.heapify(suspects)

    def change_cadence(self, cadence: Importance | None, now: float) -> None:
        """
        Begin or cease to have own intervals. Regular rooms are due one interval from now at the latest.

        They keep their order, so that the important ones need not wait for the quiet ones.
        """
        closer = 1.0 if self.cadence is None else self.interval / self.cadence.longest
        self.cadence = cadence
        self._give_rare()
        self._open.clear()
        self._lanes[Lane.SPARE].clear()
        regular = self._lanes[Lane.REGULAR]
        regular[:] = [
            (now + min((due - now) * closer, self.interval) if due > now else due, ticket, rooms)
            for due, ticket, rooms in regular
        ]
        heapq.heapify(regular)

    def own_interval(self, room: str) -> float:
        """Wanted seconds between two readings of this room."""
        if self.cadence is None or self.cadence.even:
            return self._slow.get(room, self.interval)
        return self.cadence.own(room) or self.interval

    def pause(self) -> float:
        """Wanted seconds between two calls while all rooms are slowed down; 0 if not all are."""
        return max(self._slow.values(), default=0.0) if len(self._slow) == len(self._tickets) else 0.0

    @property
    def has_own_intervals(self) -> bool:
        """Whether not all rooms have the source's interval."""
        return self.cadence is not None or bool(self._slow)

    def learn(self, rooms: Iterable[Room], readings: Mapping[str, Reading], at: float) -> None:
        """Tell the cadence what was read at this monotonic time of those of the rooms that are planned."""
        if self.cadence is not None:
            planned = [room for room in rooms if room.id in self._tickets]
            self.cadence.learn(planned, [readings[room.id].users for room in planned], at)

    def max_ages(self, rooms: Iterable[str], least: float) -> Sequence[float | None]:
        """
        Seconds for which a reading of each room may be published, at least so many; ``None``: as long as the source's.
        """
        if self.cadence is not None:
            return self.cadence.max_ages(rooms, least)
        slow = self._slow
        return [max(3 * slow[room], least) if room in slow else None for room in rooms]

    def _give_rare(self) -> None:
        if self.cadence is not None:
            self.cadence.rare = self._slow

    def _put_read(self, rooms: tuple[str, ...], at: float, most: float = math.inf) -> None:
        slow, cadence = self._slow, self.cadence
        if cadence is None or cadence.even:
            if slow and not slow.keys().isdisjoint(rooms):
                for room in rooms:
                    if room in slow:
                        self._put(Lane.REGULAR, (room,), at + slow[room], self._ticket((room,)))
                rooms = tuple([room for room in rooms if room not in slow])
            self._put(Lane.REGULAR, rooms, at + self.interval, self._ticket(rooms))
            return
        tickets, open_entries, size = self._tickets, self._open, self.batch_size
        regular, spare = self._lanes[Lane.REGULAR], self._lanes[Lane.SPARE]
        for room, level, earliest, due in cadence.plan(rooms, at, most):
            entry = open_entries.get(level)
            if (
                entry is None
                or not earliest <= entry[0] <= due
                or len(entry[2]) >= size
                or tickets.get(entry[2][0]) != entry[1]
            ):
                self._issued += 1
                entry = open_entries[level] = (due, self._issued, [room])
                heapq.heappush(regular, entry)
                heapq.heappush(spare, (earliest, self._issued, entry[2]))
            elif room not in entry[2]:  # it may be there by an older ticket
                entry[2].append(room)
            tickets[room] = entry[1]
        if len(spare) > 2 * len(regular) + _STALE_KEPT:
            # Without a spare slot its first room stays for long, and so do entries behind it that no longer count.
            self._clean(spare)

    def _drop(self, heap: list[Entry], most: int) -> None:
        """Drop up to so many entries that no longer count from the top of a lane."""
        for _ in range(most):
            if not heap or self._is_valid(heap[0]):
                break
            heapq.heappop(heap)

    def _compact(self) -> None:
        for heap in self._lanes:
            if len(heap) > 2 * len(self._tickets) + _STALE_KEPT:
                self._clean(heap)

    def _clean(self, heap: list[Entry]) -> None:
        heap[:] = filter(self._is_valid, heap)
        heapq.heapify(heap)
        self._open.clear()

    def _watched(self, rooms: Iterable[str]) -> tuple[str, ...]:
        return tuple([room for room in rooms if room in self._tickets])

    def _split_suspects(self, rooms: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Those of the rooms that are watched, as two groups: the healthy ones and the suspects."""
        watched = self._watched(rooms)
        if self._suspects.isdisjoint(watched):
            return watched, ()
        healthy: list[str] = []
        suspect: list[str] = []
        for room in watched:
            (suspect if room in self._suspects else healthy).append(room)
        return tuple(healthy), tuple(suspect)

    def _is_valid(self, entry: Entry) -> bool:
        return self._tickets.get(entry[2][0]) == entry[1] or bool(self._valid_rooms(entry))

    def _valid_rooms(self, entry: Entry) -> list[str]:
        """The rooms of an entry whose ticket is still valid."""
        tickets, ticket = self._tickets, entry[1]
        return [room for room in entry[2] if tickets.get(room) == ticket]

    def _ticket(self, rooms: Iterable[str]) -> int:
        """Issue a new ticket to these rooms, which makes their older entries invalid."""
        self._issued += 1
        for room in rooms:
            self._tickets[room] = self._issued
        return self._issued

    def _put(self, lane: Lane, rooms: tuple[str, ...], due: float, ticket: int) -> None:
        for start in range(0, len(rooms), self.batch_size):
            heapq.heappush(self._lanes[lane], (due, ticket, rooms[start : start + self.batch_size]))

    def _pop(self, lane: Lane, most: int) -> list[str]:
        """Bind up to this many rooms of the lane's first entry; the others of it stay."""
        entry = heapq.heappop(self._lanes[lane])
        rooms = self._valid_rooms(entry)
        if len(rooms) > most:
            heapq.heappush(self._lanes[lane], (entry[0], entry[1], tuple(rooms[most:])))
            del rooms[most:]
        for room in rooms:
            self._tickets[room] = _BOUND
        return rooms
