"""The section of the rooms that rise and fall fastest, of all sources together."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from exporter.blocking import Turn
from exporter.metrics.table import Table

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class MoverItem:
    """A room whose users rise or fall by so many per minute, and how many it has."""

    source: str
    room: str
    users: int
    per_minute: float


@dataclass(frozen=True, slots=True)
class MoversView:
    """The rooms to show, the fastest first."""

    rising: tuple[MoverItem, ...]
    falling: tuple[MoverItem, ...]

    def __bool__(self) -> bool:
        return bool(self.rising or self.falling)


async def view_movers(table: Table, now: float) -> MoversView:
    """The fastest rooms of all sources whose users are known. Other tasks may run between two sources."""
    items: list[MoverItem] = []
    turn = Turn()
    for name, source in list(table):
        for mover in source.movers.fastest(now):
            (users,) = source.users_of([mover.room])
            if users is not None:
                items.append(MoverItem(name, mover.room, users, mover.per_minute))
        await turn.let_others_run()
    return MoversView(
        _fastest(item for item in items if item.per_minute > 0),
        _fastest(item for item in items if item.per_minute < 0),
    )


def _fastest(items: Iterable[MoverItem]) -> tuple[MoverItem, ...]:
    return tuple(heapq.nlargest(_SHOWN, items, key=lambda item: abs(item.per_minute)))
