"""
Searches, filters, sorts and pages the rooms, for the status page and the JSON API.

With 100,000 rooms a search takes longer than the event loop may be held. So it goes through slices of 2,000 rooms, and
between two slices other tasks run.

Paging is by *key* (keyset pagination), not by number: a page begins behind the last room of the page before. So rooms
that are added or removed meanwhile neither shift a page nor show a room twice.
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
"""The sort key of a room: rank in the chosen order, source, room id."""

_SLICE: Final = 2_000
_UNKNOWN: Final = 3.0
"""Rank of an unknown room in the orders by share and by users: behind all others."""


class Order(StrEnum):
    """
    Sort order of rooms.

    ``SHARE``: by share of the threshold, highest first; then rooms without a threshold, by users, most first.
    ``USERS``: by users, most first. ``ROOM``: by source and room id.
    """

    SHARE = "share"
    USERS = "users"
    ROOM = "room"


@dataclass(frozen=True, slots=True)
class Query:
    """
    A search.

    Args:
        source: Only rooms of this source; ``None`` for all.
        states: Only rooms in one of these states; empty for all.
        above: Only rooms whose last reading was above this threshold or a higher one; ``None`` for all.
        text: Part of the room id, or of a label written ``name=value``; case does not matter.
        after: Key of the last room of the previous page.
        before: Key of the first room of the next page. Only one of ``after`` and ``before`` may be given.
        limit: Number of rooms on a page.
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
    One page of rooms.

    Args:
        rooms: Pairs of source name and room.
        matching: Number of matching rooms on all pages.
        skipped: Number of matching rooms on earlier pages.
        previous: Value of ``before`` that gives the previous page; ``None`` on the first page.
        next: Value of ``after`` that gives the next page; ``None`` on the last page.
    """

    rooms: list[tuple[str, RoomView]]
    matching: int
    skipped: int
    previous: Key | None
    next: Key | None


class Rooms:
    """Searches the rooms of a table. At most two searches run at the same time; others wait."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._turns = asyncio.Semaphore(2)

    async def find(self, query: Query, now: float) -> Found:
        """Find one page; ages are of this monotonic time."""
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
    """Cache: whether a set of labels contains the text. Rooms that share their labels share one entry."""

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
    """The rank of each room in this order; the smallest comes first."""
    match order:
        case Order.ROOM:
            return [0.0] * len(room_ids)
        case Order.USERS:
            return [_UNKNOWN if users is None else -users for users in source.users_of(room_ids)]
        case Order.SHARE:
            return [
                # Without a threshold: from 2 (no users) down to nearly 1 (many users), behind every share.
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
