"""
Which rooms a page or a JSON client wants to see, out of 100,000, without holding up the loop.

Rooms are looked through in slices. A page of them begins after a *key* and not at a number, so rooms that come and go
meanwhile neither shift the page nor repeat on the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exporter.metrics.table import RoomState, RoomView, SourceTable, Table

Key = tuple[int, str, str]
"""Where a room stands in its order: minus its users (0 in the order by name), source, room id."""

_SLICE: Final = 2_000
_UNKNOWN: Final = 1


class Order(StrEnum):
    """How rooms are sorted: the fullest first, or by source and id."""

    USERS = "users"
    ROOM = "room"


@dataclass(frozen=True, slots=True)
class Query:
    """
    What is asked for.

    Args:
        source: ``None``: every source.
        states: Empty: every state.
        text: Part of the room id; case does not matter.
        after: Key of the last room of the page before.
        limit: Rooms on a page.
    """

    source: str | None = None
    states: frozenset[RoomState] = frozenset()
    text: str = ""
    order: Order = Order.ROOM
    after: Key | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Found:
    """
    One page.

    Args:
        rooms: Each with the name of its source.
        matching: How many rooms match on all pages together.
        skipped: How many of them come before this page.
        next: What ``after`` of the next page is; ``None`` on the last page.
    """

    rooms: list[tuple[str, RoomView]]
    matching: int
    skipped: int
    next: Key | None


async def find(table: Table, query: Query, now: float) -> Found:
    """The page as it stands at this monotonic time."""
    best: list[Key] = []
    matching = skipped = 0
    for name, source, room_ids in _slices(table, query):
        keys = _matching(name, source, room_ids, query)
        matching += len(keys)
        if query.after is not None:
            rest = [key for key in keys if key > query.after]
            skipped += len(keys) - len(rest)
            keys = rest
        if len(best) > query.limit:
            keys = [key for key in keys if key < best[-1]]
        best = sorted(best + keys)[: query.limit + 1]
        await asyncio.sleep(0)
    page = best[: query.limit]
    more = len(best) > query.limit
    return Found(list(_views(table, page, now)), matching, skipped, page[-1] if more else None)


def _slices(table: Table, query: Query) -> Iterator[tuple[str, SourceTable, Sequence[str]]]:
    for name, source in list(table):
        if query.source in (None, name):
            room_ids = list(source.rooms)
            for start in range(0, len(room_ids), _SLICE):
                yield name, source, room_ids[start : start + _SLICE]


def _matching(name: str, source: SourceTable, room_ids: Sequence[str], query: Query) -> list[Key]:
    text = query.text.casefold()
    if text:
        room_ids = [room_id for room_id in room_ids if text in room_id.casefold()]
    states = query.states or frozenset(RoomState)
    standings = source.standings(room_ids)
    if query.order is Order.ROOM:
        return [(0, name, room_id) for room_id, state, _ in standings if state in states]
    return [
        (_UNKNOWN if users is None else -users, name, room_id) for room_id, state, users in standings if state in states
    ]


def _views(table: Table, page: Sequence[Key], now: float) -> Iterator[tuple[str, RoomView]]:
    sources = dict(table)
    for _, name, room_id in page:
        source = sources.get(name)
        if source is not None and room_id in source:
            yield name, source.view(room_id, now)
