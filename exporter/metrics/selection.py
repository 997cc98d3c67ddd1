"""
Which rooms of a source have series of their own, when not all of them have (``publish`` in the config).

Theory of operation
===================

**Problem.** A source watches 100,000 rooms, and most of them are empty. Nobody's Prometheus wants 400,000 series for
them, but everybody wants those of the 500 fullest rooms. If the 500 fullest were chosen anew at every reading, two
rooms at the 500th place would take turns, and every turn starts new series. And if a room of 5,000 users had no series
any more as soon as it is empty, no alert could tell that its users left.

**Idea.** A room is published for one of four reasons, and as long as one of them holds:

``own``
    It has thresholds or labels of its own. Somebody wrote them down for this room.
``threshold``
    It has users, and at least half as many as its lowest threshold, wherever that is from. So a room above a threshold
    always has series, and alerts that follow its rise see half of it. This reason ends when every reading of
    five minutes was below that half.
``trouble``
    It is unknown or refused, and at most 100 rooms of the source are. ``RtcRoomUnknown`` names single rooms up to the
    same number. Of more rooms none begins to be published for this reason; ``rtc_source_rooms`` counts them.
``users``
    It has one of the *places* for the fullest rooms, ``top`` in number.

A place is held with a *rank*: the most users that the room had lately. A fuller room raises its rank at once. If every
reading of five minutes was below the rank, the rank becomes the last of them. A room without a place takes the one of
the lowest rank if it is *clearly fuller*: by more than a tenth and by two users or more; any user is clearly fuller
than none. Free places are taken by the fullest. With ``min_users``, a room needs that many users to take a place, and
gives it back when ``min_users`` is clearly fuller than its rank.

Worked example: ``top: 2``, the rooms A with 50 users and B with 40 have the places. C grows to 43: it stays without,
since 40 and a tenth are 44. C grows to 45: it takes the place of B. Then A becomes empty. Its rank stays 50, and alerts
see its fall. B has 40, too few for the rank of C. Five minutes later A is read again, still empty. Its rank is 0 now,
and in the same step B takes the place.

Rooms of which nothing is known keep places and reasons, because only a reading can prove that they are no longer among
the fullest. In an outage the selection stands still.

**Churn.** A place changes hands only if its rank then rises by more than a tenth, and a rank falls once in five minutes
at most. So at rest nothing changes. When a source starts, the places go to the first rooms that are read, and then to
fuller ones: with rooms in random order some top × ln(rooms / top) changes, 2,600 for 500 of 100,000.

**Cost.** Rooms with the same number of users stand in one bucket, and a heap has each number once. So a reading that
changes a count costs O(log n) in the number of different counts, and one that does not costs nothing.

**Why simpler is not enough.** A threshold alone (``min_users``) gives no bound for the number of series. A sort at
every scrape makes the scrape a computation. A margin without memory lets a room vanish in the moment in which it
matters.

**When this is wrong.** For five minutes after a room has emptied, its place is lost to the room that would be next.
With less than twenty places, lists of "the 20 fullest rooms" are shorter.

This module is pure: it knows neither clock nor lines. The table tells it of readings, and asks which rooms changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from heapq import heapify, heappop, heappush
from typing import Final

import msgspec

from exporter.model import DEFAULT_FAMILIES, NO_THRESHOLDS, Family, Publish, Room, Thresholds

HOLD: Final = 300.0
"""Seconds of lower readings before a rank falls, and before a room is no longer near a threshold."""

NEAR: Final = 0.5
"""Share of its lowest threshold from which a room is near it."""

TROUBLED: Final = 100
"""As many rooms in trouble are named, as by the alert RtcRoomUnknown."""

_STALE_ENTRIES: Final = 64


class Reason(StrEnum):
    """Why a room is published."""

    OWN = "own"
    THRESHOLD = "threshold"
    TROUBLE = "trouble"
    USERS = "users"


@dataclass(frozen=True, slots=True)
class Arrangement:
    """
    Which rooms of a source have series, and which series these are.

    Args:
        publish: ``None``: all rooms have series.
        labels: The labels of every room that has none of its own.
        thresholds: The thresholds of every room that has none of its own.
    """

    publish: Publish | None = None
    families: tuple[Family, ...] = DEFAULT_FAMILIES
    labels: tuple[tuple[str, str], ...] = ()
    thresholds: Thresholds = NO_THRESHOLDS

    def is_own(self, room: Room) -> bool:
        """Whether the room has labels or thresholds of its own."""
        return room.labels != self.labels or room.thresholds != self.thresholds


def clearly_fuller(users: int, rank: int) -> bool:
    """Whether so many users are clearly more than a rank."""
    return users > rank + (max(1, rank // 10) if rank else 0)


class _Place(msgspec.Struct, gc=False):
    """
    A place among the fullest.

    Args:
        users: By the last reading; ``None`` while nothing is known.
        below_since: Monotonic time of the first of the readings since which all were below the rank.
    """

    rank: int
    users: int | None
    below_since: float | None = None


class Selection:
    """The published rooms of one source. See the theory of operation above."""

    def __init__(self, publish: Publish) -> None:
        self._most = publish.top
        self._least = publish.min_users
        self._own: set[str] = set()
        self._near: dict[str, float | None] = {}
        self._troubled: set[str] = set()
        self._unnamed: set[str] = set()
        self._places: dict[str, _Place] = {}
        self._ranks = _Counts(1)
        self._others = _Counts(-1)
        self._touched: dict[str, None] = {}

    def __contains__(self, room: str) -> bool:
        return room in self._places or room in self._own or room in self._near or room in self._troubled

    def reason(self, room: str) -> Reason | None:
        """Why this room is published: the first reason that fits; ``None`` if it is only counted."""
        if room in self._own:
            return Reason.OWN
        if room in self._near:
            return Reason.THRESHOLD
        if room in self._troubled:
            return Reason.TROUBLE
        return Reason.USERS if room in self._places else None

    def take_changes(self) -> list[str]:
        """Rooms that may have begun or ceased to be published since the last call."""
        touched = self._touched
        if not touched:
            return []
        self._touched = {}
        return [*touched]

    def own(self, room: str, *, has: bool) -> None:
        """Whether this room has thresholds or labels of its own."""
        if has != (room in self._own):
            (self._own.add if has else self._own.discard)(room)
            self._touched[room] = None

    def hold(self, room: str) -> None:
        """This room was above a threshold when it was last heard of, before the selection knew it."""
        self._near[room] = None
        self._touched[room] = None

    def trouble(self, room: str, *, begins: bool) -> None:
        """A room is unknown or refused from now on, or no longer."""
        if begins:
            if room in self._troubled or room in self._unnamed:
                return
            if len(self._troubled) + len(self._unnamed) < TROUBLED:
                self._troubled.add(room)
                self._touched[room] = None
            else:
                self._unnamed.add(room)
        elif room in self._troubled:
            self._troubled.remove(room)
            self._touched[room] = None
        elif room in self._unnamed:
            self._unnamed.remove(room)
            self._unnamed = self._unnamed or set()  # of 100,000 that were in it, an empty one keeps the memory
        if self._unnamed and len(self._troubled) + len(self._unnamed) <= TROUBLED:
            self._touched.update(dict.fromkeys(self._unnamed))
            self._troubled |= self._unnamed
            self._unnamed = set()

    def read(self, room: str, before: int | None, users: int, limit: float, now: float) -> None:
        """
        A reading of a room.

        Args:
            before: The users by which the selection knows the room; ``None`` if nothing was known.
            limit: The lowest threshold; infinite without one.
            now: Monotonic time.
        """
        near = users > 0 and users >= NEAR * limit
        if near or room in self._near:
            self._compare(room, near=near, now=now)
        place = self._places.get(room)
        if place is not None:
            self._rank_again(room, place, users, now)
        elif users != before:
            self._leave_others(room, before)
            if users >= self._least:
                self._others.add(users, room)
                self._fill()

    def lose(self, room: str, before: int | None) -> None:
        """Nothing is known of a room any more. ``before`` as in ``read``."""
        place = self._places.get(room)
        if place is not None:
            place.users = None
        else:
            self._leave_others(room, before)

    def forget(self, room: str, before: int | None) -> None:
        """A room is no longer watched. ``before`` as in ``read``."""
        self.own(room, has=False)
        self.trouble(room, begins=False)
        if room in self._near:
            del self._near[room]
        place = self._places.pop(room, None)
        if place is None:
            self._leave_others(room, before)
        else:
            self._ranks.remove(place.rank, room)
            self._fill()
        self._touched[room] = None

    def _compare(self, room: str, *, near: bool, now: float) -> None:
        if near:
            if room not in self._near:
                self._touched[room] = None
            self._near[room] = None
            return
        since = self._near[room]
        if since is None:
            self._near[room] = now
        elif now - since >= HOLD:
            del self._near[room]
            self._touched[room] = None

    def _rank_again(self, room: str, place: _Place, users: int, now: float) -> None:
        place.users = users
        if users >= place.rank:
            place.below_since = None
            if users == place.rank:
                return
        elif place.below_since is None:
            place.below_since = now
            return
        elif now - place.below_since < HOLD:
            return
        self._ranks.remove(place.rank, room)
        place.rank = users
        place.below_since = None
        self._ranks.add(users, room)
        if clearly_fuller(self._least, users):
            self._take_away(room)
        self._fill()

    def _fill(self) -> None:
        """Give free places to the fullest, and those of the lowest ranks to rooms that are clearly fuller."""
        while (fullest := self._others.first()) is not None:
            users, room = fullest
            if self._most is not None and len(self._places) >= self._most:
                lowest = self._ranks.first()
                if lowest is None or not clearly_fuller(users, lowest[0]):
                    return
                self._take_away(lowest[1])
            self._others.remove(users, room)
            self._places[room] = _Place(users, users)
            self._ranks.add(users, room)
            self._touched[room] = None

    def _take_away(self, room: str) -> None:
        place = self._places.pop(room)
        self._ranks.remove(place.rank, room)
        if place.users is not None and place.users >= self._least:
            self._others.add(place.users, room)
        self._touched[room] = None

    def _leave_others(self, room: str, users: int | None) -> None:
        if users is not None and users >= self._least:
            self._others.remove(users, room)


class _Counts:
    """
    Rooms by a count, of which the lowest or the highest count can be asked for.

    Args:
        sign: 1: the lowest count is first; -1: the highest.
    """

    __slots__ = ("_heap", "_in_heap", "_rooms", "_sign")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._rooms: dict[int, dict[str, None]] = {}
        self._heap: list[int] = []
        self._in_heap: set[int] = set()

    def add(self, count: int, room: str) -> None:
        rooms = self._rooms.get(count)
        if rooms is None:
            rooms = self._rooms[count] = {}
            if count not in self._in_heap:
                self._in_heap.add(count)
                heappush(self._heap, self._sign * count)
                if len(self._heap) > 2 * len(self._rooms) + _STALE_ENTRIES:
                    self._rebuild()
        rooms[room] = None

    def remove(self, count: int, room: str) -> None:
        """Remove a room; one that is not there is ignored."""
        rooms = self._rooms.get(count)
        if rooms is not None:
            rooms.pop(room, None)
            if not rooms:
                del self._rooms[count]

    def first(self) -> tuple[int, str] | None:
        """The first count, and a room with it."""
        while self._heap:
            count = self._sign * self._heap[0]
            rooms = self._rooms.get(count)
            if rooms is not None:
                return count, next(reversed(rooms))
            heappop(self._heap)
            self._in_heap.remove(count)
        return None

    def _rebuild(self) -> None:
        """Drop the counts that no room has any more."""
        self._heap = [self._sign * count for count in self._rooms]
        heapify(self._heap)
        self._in_heap = set(self._rooms)
