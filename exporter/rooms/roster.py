"""
The roster: the one set of watched rooms of a source, and the one place that changes it.

Whoever needs to know a source's rooms (the planner, the table of lines) is told by the roster, of the same rooms and in
the same step, so no two of them ever differ. A change of 100,000 rooms is made in steps of 500, between which the event
loop serves others. Changes do not overlap: one that is asked for during another waits, and then the newest set counts,
whoever asked for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Protocol, TypeVar

from exporter.blocking import Turn
from exporter.model import ROOMS_AT_A_TIME, Room

T = TypeVar("T")


class Watcher(Protocol):
    """Whoever must know which rooms are watched; told the same once more if another watcher raised meanwhile."""

    def watch(self, rooms: Sequence[Room]) -> None:
        """Watch these rooms, too: new ones, and such whose labels or thresholds have changed."""

    def forget(self, room_ids: Sequence[str]) -> None:
        """Watch these rooms no longer."""


@dataclass(slots=True)
class Turnover:
    """
    How many rooms came and went.

    Args:
        room: The last of them.
    """

    added: int = 0
    removed: int = 0
    room: str | None = None

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)

    def came(self, room_ids: Sequence[str]) -> None:
        """These are watched from now on."""
        self.added += len(room_ids)
        self.room = room_ids[-1] if room_ids else self.room

    def went(self, room_ids: Sequence[str]) -> None:
        """These are watched no longer."""
        self.removed += len(room_ids)
        self.room = room_ids[-1] if room_ids else self.room

    def include(self, other: Turnover) -> None:
        """Count another source's, too."""
        self.added += other.added
        self.removed += other.removed
        self.room = other.room or self.room

    def values(self) -> dict[str, object]:
        """For a line of the log: counts, since there may be thousands; a single room by its id."""
        only = {"room": self.room} if self.added + self.removed == 1 else {}
        return {"added": self.added, "removed": self.removed, **only}


class Roster:
    """
    One source's watched rooms.

    Args:
        watchers: Told of every change, in this order.

    Attributes:
        rooms: What is watched now, by room id.
    """

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers
        self._rooms: dict[str, Room] = {}
        self.rooms: Mapping[str, Room] = MappingProxyType(self._rooms)
        self._wanted: Iterable[Room] = ()
        self._changing = asyncio.Lock()

    def __contains__(self, room_id: object) -> bool:
        return room_id in self._rooms

    async def change(self, rooms: Iterable[Room]) -> Turnover:
        """Watch exactly these rooms, step by step, unless others are asked for before this begins."""
        self._wanted = rooms
        turnover = Turnover()
        async with self._changing:
            turn = Turn()
            for _ in self.steps(self._wanted, turnover):
                await turn.let_others_run()
        return turnover

    def steps(self, rooms: Iterable[Room], turnover: Turnover) -> Iterator[None]:
        """
        Watch exactly these rooms; between two steps others may run. One change at a time.

        Args:
            turnover: Counts what comes and goes.
        """
        wanted = {room.id: room for room in rooms}
        yield
        for some in _in_parts(wanted.values()):
            if changed := [room for room in some if self._rooms.get(room.id) != room]:
                for watcher in self._watchers:
                    watcher.watch(changed)
                turnover.came([room.id for room in changed if room.id not in self._rooms])
                self._rooms.update((room.id, room) for room in changed)
            yield
        for part in _in_parts(tuple(self._rooms)):
            if gone := [room_id for room_id in part if room_id not in wanted]:
                for watcher in self._watchers:
                    watcher.forget(gone)
                turnover.went(gone)
                for room_id in gone:
                    del self._rooms[room_id]
            yield


def _in_parts(items: Iterable[T]) -> Iterator[list[T]]:
    """Parts of a size that can be worked off before others run."""
    rest = iter(items)
    while part := list(islice(rest, ROOMS_AT_A_TIME)):
        yield part
