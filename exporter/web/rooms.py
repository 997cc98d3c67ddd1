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

from exporter.blocking import Turn
from exporter.metrics.room import RoomView
from exporter.metrics.table import SourceTable, Table
from exporter.model import Severity
from exporter.states import RoomState

Key = tuple[float, str, str]
"""Where a room stands in its order: its rank, source, room id."""

_SLICE: Final = 2_000
_UNKNOWN: Final = 3.0
"""The rank of a room that nothing is known of, in the orders by share and by users: behind all others."""


class Order(StrEnum):
    """
    How rooms are sorted.

    ``SHARE``: those nearest to, or farthest above, their threshold first, then those without one, the fullest first.
    ``USERS``: the fullest first. ``ROOM``: by source and id.
    """

    SHARE = "share"
    USERS = "users"
    ROOM = "room"


@dataclass(frozen=True, slots=True)
class Query:
    """
    What is asked for.

    Args:
        source: ``None``: every source.
        states: Empty: every state.
        above: Only rooms above this threshold, a worse one included, by their last reading; ``None``: every room.
        text: Part of the room id, or of a label as ``name=value``; case does not matter.
        after: Key of the last room of the page before.
        before: Key of the first room of the page after; of the two, only one is given.
        limit: Rooms on a page.
    """

    source: str | None = None
    states: tuple[RoomState, ...] = ()
    above: Severity | None = None
    text: str = ""
    order: Order = Order.ROOM
    after: Key | None = None
    before: Key | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Found:
    """
    One page.

    Args:
        rooms: Each with the name of its source.
        matching: How many rooms match on all pages together.
        skipped: How many of them come before this page.
        previous: What ``before`` of the page before is; ``None`` on the first page.
        next: What ``after`` of the page after is; ``None`` on the last page.
    """

    rooms: list[tuple[str, RoomView]]
    matching: int
    skipped: int
    previous: Key | None
    next: Key | None


class Rooms:
    """The rooms of a table, looked through page by page; two pages at a time, the others wait for their turn."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._turns = asyncio.Semaphore(2)

    async def find(self, query: Query, now: float) -> Found:
        """The page as it stands at this monotonic time."""
        async with self._turns:
            return await _find(self._table, query, now)


async def _find(table: Table, query: Query, now: float) -> Found:
    turn, best = Turn(), list[Key]()
    matching = earlier = later = 0
    for name, source, room_ids in _slices(table, query):
        matching += len(room_ids)
        ranks = _ranks(source, room_ids, query.order)
        if query.after is not None:
            rest = [key for key in _keys(name, room_ids, ranks) if key > query.after]
            earlier += len(room_ids) - len(rest)
            best = _first(best, rest, query.limit)
        elif query.before is not None:
            rest = [key for key in _keys(name, room_ids, ranks) if key < query.before]
            later += len(room_ids) - len(rest)
            best = _last(best, rest, query.limit)
        else:
            at_most = best[-1][0] if len(best) == query.limit else _UNKNOWN
            best = _first(best, _keys(name, room_ids, ranks, at_most), query.limit)
        await turn.let_others_run()
    if query.before is not None:
        earlier = matching - later - len(best)
    return Found(
        rooms=list(_views(table, best, now)),
        matching=matching,
        skipped=earlier,
        previous=best[0] if best and earlier > 0 else None,
        next=best[-1] if best and earlier + len(best) < matching else None,
    )


def _slices(table: Table, query: Query) -> Iterator[tuple[str, SourceTable, list[str]]]:
    labelled = _Labelled(query.text.casefold())
    for name, source in list(table):
        if query.source in (None, name):
            room_ids = list(source) if query.above is None else _above(source, query.above)
            for start in range(0, len(room_ids), _SLICE):
                yield name, source, _matching(source, room_ids[start : start + _SLICE], query, labelled)


def _above(source: SourceTable, least: Severity) -> list[str]:
    return [
        room_id
        for room_id, above in list(source.above.items())
        if least is Severity.WARNING or above.severity is Severity.CRITICAL
    ]


class _Labelled(dict[tuple[tuple[str, str], ...], bool]):
    """Whether labels hold a text, looked at once for all rooms that share them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def __missing__(self, labels: tuple[tuple[str, str], ...]) -> bool:
        held = self[labels] = any(self._text in f"{name}={value}".casefold() for name, value in labels)
        return held


def _matching(source: SourceTable, room_ids: list[str], query: Query, labelled: _Labelled) -> list[str]:
    text, states = query.text.casefold(), query.states
    room_ids = [room_id for room_id in room_ids if room_id in source]
    if text:
        rooms = source.rooms_of(room_ids)
        room_ids = [room.id for room in rooms if text in room.id.casefold() or (room.labels and labelled[room.labels])]
    if states:
        having = zip(room_ids, source.states_of(room_ids), strict=True)
        room_ids = [room_id for room_id, state in having if state in states]
    return room_ids


def _ranks(source: SourceTable, room_ids: list[str], order: Order) -> list[float]:
    """Numbers that sort rooms in this order, the smallest first."""
    match order:
        case Order.ROOM:
            return [0.0] * len(room_ids)
        case Order.USERS:
            return [_UNKNOWN if users is None else -users for users in source.users_of(room_ids)]
        case Order.SHARE:
            return [
                # From 1 to 2 for a room without a threshold, the less the fuller it is.
                _UNKNOWN if users is None else -users * weight if weight else 1.0 + 1.0 / (1 + users)
                for users, weight in source.shares_of(room_ids)
            ]


def _keys(name: str, room_ids: list[str], ranks: list[float], at_most: float = _UNKNOWN) -> list[Key]:
    return [(rank, name, room_id) for rank, room_id in zip(ranks, room_ids, strict=True) if rank <= at_most]


def _first(best: list[Key], keys: Sequence[Key], limit: int) -> list[Key]:
    if len(best) == limit:
        keys = [key for key in keys if key < best[-1]]
    return sorted([*best, *keys])[:limit]


def _last(best: list[Key], keys: Sequence[Key], limit: int) -> list[Key]:
    if len(best) == limit:
        keys = [key for key in keys if key > best[0]]
    return sorted([*best, *keys])[-limit:]


def _views(table: Table, page: Sequence[Key], now: float) -> Iterator[tuple[str, RoomView]]:
    sources = dict(table)
    for _, name, room_id in page:
        source = sources.get(name)
        if source is not None and room_id in source:
            yield name, source.view(room_id, now)
