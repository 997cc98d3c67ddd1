"""
The watchlist: one set of rooms, applied step by step to those that must know it.

The planner and the table of a source both need its rooms. The watchlist calls both with the same change in the same
step, so they never differ. A change of 100,000 rooms is made in steps of 500, and the event loop runs other tasks
between two steps. Changes do not overlap: a change that is requested during another one waits. If several wait, the
rooms that were requested last count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from exporter.blocking import Turn
from exporter.model import Room, in_parts


class Watcher(Protocol):
    """An object that follows the watchlist. If another watcher raised, the watchlist repeats the same call later."""

    def watch(self, rooms: Sequence[Room]) -> None:
        """Add new rooms, or replace rooms whose labels or thresholds have changed."""

    def forget(self, room_ids: Sequence[str]) -> None:
        """Remove rooms."""


@dataclass(slots=True)
class Turnover:
    """
    How many rooms a change added and removed.

    Args:
        room: The id of the last one.
    """

    added: int = 0
    removed: int = 0
    room: str | None = None

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)

    def count_added(self, room_ids: Sequence[str]) -> None:
        """Count added rooms."""
        self.added += len(room_ids)
        self.room = room_ids[-1] if room_ids else self.room

    def count_removed(self, room_ids: Sequence[str]) -> None:
        """Count removed rooms."""
        self.removed += len(room_ids)
        self.room = room_ids[-1] if room_ids else self.room

    def include(self, other: Turnover) -> None:
        """Add another source's turnover."""
        self.added += other.added
        self.removed += other.removed
        self.room = other.room or self.room

    def values(self) -> dict[str, object]:
        """Values for a log line: counts, and the room's id if it is only one."""
        only = {"room": self.room} if self.added + self.removed == 1 else {}
        return {"added": self.added, "removed": self.removed, **only}


class Watchlist:
    """
    One source's watched rooms.

    Args:
        watchers: Called with every change, in this order.

    Attributes:
        rooms: The watched rooms by id.
    """

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers
        self._rooms: dict[str, Room] = {}
        self.rooms: Mapping[str, Room] = MappingProxyType(self._rooms)
        self._wanted: Iterable[Room] = ()
        self._changing = asyncio.Lock()

    def __contains__(self, room_id: object) -> bool:
        return room_id in self._rooms

    def adopt(self, rooms: Iterable[Room]) -> None:
        """The watchers watch exactly these rooms already."""
        self._rooms.clear()
        self._rooms.update((room.id, room) for room in rooms)

    async def change(self, rooms: Iterable[Room]) -> Turnover:
        """Watch exactly these rooms. If another change waits too, the rooms that were requested last count."""
        self._wanted = rooms
        turnover = Turnover()
        async with self._changing:
            turn = Turn()
            for _ in self.steps(self._wanted, turnover):
                await turn.let_others_run()
        return turnover

    def steps(self, rooms: Iterable[Room], turnover: Turnover) -> Iterator[None]:
        """
        Watch exactly these rooms. Other tasks may run between two steps. Run one change at a time.

        Args:
            turnover: Counts the added and removed rooms.
        """
        wanted: dict[str, Room] = {}
        for some in in_parts(rooms):
            wanted.update((room.id, room) for room in some)
            yield
        for some in in_parts(wanted.values()):
            if changed := [room for room in some if self._rooms.get(room.id) != room]:
                for watcher in self._watchers:
                    watcher.watch(changed)
                turnover.count_added([room.id for room in changed if room.id not in self._rooms])
                self._rooms.update((room.id, room) for room in changed)
            yield
        for part in in_parts(tuple(self._rooms)):
            if gone := [room_id for room_id in part if room_id not in wanted]:
                for watcher in self._watchers:
                    watcher.forget(gone)
                turnover.count_removed(gone)
                for room_id in gone:
                    del self._rooms[room_id]
            yield
