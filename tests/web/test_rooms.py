"""
Finding rooms, page by page.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import blocking
from exporter.metrics.room import Arrival
from exporter.metrics.table import SourceTable, Table
from exporter.model import NO_THRESHOLDS, Reading, Room, Severity, Thresholds
from exporter.states import RoomState
from exporter.web.rooms import Order, Query, Rooms
from tests.metrics.watching import add_source, remove_source, watch_exactly

NAMES = st.text(alphabet="abAB1", min_size=1, max_size=3)
USERS = st.none() | st.integers(0, 5)
WATCHED = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.dictionaries(NAMES, USERS, max_size=12))


def room_of(name: str) -> Room:
    """
    A room whose name decides its thresholds and its label.
    """
    limits = {"a": Thresholds(1, 3), "b": Thresholds(critical=1), "A": Thresholds(warning=4)}
    return Room(name, (("zone", f"Z{name[-1]}"),) if name[0] == "1" else (), limits.get(name[0], NO_THRESHOLDS))


def table_of(watched: dict[str, dict[str, int | None]]) -> Table:
    """
    A table in which nothing is known of a room whose users are ``None``.
    """
    table = Table()
    for name, rooms in watched.items():
        source = SourceTable({"source": name}, max_staleness=30)
        watch_exactly(source, map(room_of, rooms))
        for room, users in rooms.items():
            if users is not None:
                source.record({room: Reading(users)}, Arrival(0.0, 0.0))
        add_source(table, name, source)
    return table


def keyed(watched: dict[str, dict[str, int | None]], query: Query) -> list[tuple[str, str]]:
    """
    What a query means, said in another way: source and id of every room that matches, in order.
    """
    rooms = [
        (name, room, users)
        for name, known in watched.items()
        for room, users in known.items()
        if query.source in (None, name)
        and (query.text.casefold() in room.casefold() or query.text.casefold() in label(room))
        and (not query.states or (RoomState.UNKNOWN if users is None else RoomState.FRESH) in query.states)
        and (query.above is None or level(room, users) >= (1 if query.above is Severity.WARNING else 2))
    ]
    rooms.sort(key=lambda room: place(query.order, *room))
    return [room[:2] for room in rooms]


def label(room: str) -> str:
    """
    Its label as a search reads it.
    """
    return "".join(f"{name}={value}" for name, value in room_of(room).labels).casefold()


def level(room: str, users: int | None) -> int:
    """
    0 below its thresholds, 1 above warning, 2 above critical.
    """
    limits = room_of(room).thresholds
    if users is None:
        return 0
    return 2 if users > (limits.critical or 99) else int(users > (limits.warning or 99))


def place(order: Order, name: str, room: str, users: int | None) -> tuple[int, float, str, str]:
    """
    Where a room stands: what is unknown last, and rooms without a threshold behind those that have one.
    """
    limits = room_of(room).thresholds
    limit = limits.critical or limits.warning
    if order is Order.ROOM:
        return 0, 0.0, name, room
    if users is None:
        return 2, 0.0, name, room
    if order is Order.SHARE and limit:
        return 0, -users / limit, name, room
    return 1, -users, name, room


QUERIES = st.builds(
    Query,
    source=st.none() | st.sampled_from(["a", "b"]),
    states=st.sampled_from([(), (RoomState.FRESH,), (RoomState.UNKNOWN,), (RoomState.FRESH, RoomState.HELD)]),
    above=st.sampled_from([None, *Severity]),
    text=st.sampled_from(["", "a", "B", "1a", "zone=zA"]),
    order=st.sampled_from(Order),
    limit=st.integers(1, 7),
)


@given(watched=WATCHED, query=QUERIES)
def test_pages_hold_every_match_once_in_order(watched: dict[str, dict[str, int | None]], query: Query) -> None:
    """
    Going from page to page shows every room that matches exactly once, sorted, and going back shows the same pages.
    """

    async def there_and_back() -> None:
        rooms = Rooms(table_of(watched))
        wanted = keyed(watched, query)
        pages = [found := await rooms.find(query, 0.0)]
        while found.next is not None:
            pages.append(found := await rooms.find(replace(query, after=found.next), 0.0))
        back = [found]
        while found.previous is not None:
            back.append(found := await rooms.find(replace(query, before=found.previous), 0.0))

        assert wanted == [(name, view.room.id) for page in pages for name, view in page.rooms]
        assert {len(wanted)} == {page.matching for page in pages}
        assert list(range(0, max(1, len(wanted)), query.limit)) == [page.skipped for page in pages]
        assert pages[::-1] == back

    asyncio.run(there_and_back())


async def test_a_page_begins_after_a_room_that_is_gone() -> None:
    """
    When the last room of a page goes away, the next page still begins right behind it.
    """
    table = table_of({"a": dict.fromkeys("vwxyz", 1)})
    rooms = Rooms(table)
    first = await rooms.find(Query(limit=2), 0.0)
    watch_exactly(table["a"], map(Room, "vxyz"))

    second = await rooms.find(Query(limit=2, after=first.next), 0.0)

    assert ["x", "y"] == [view.room.id for _, view in second.rooms]


async def test_rooms_may_change_while_a_page_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Sources and rooms that go away between two slices are left out; nothing breaks.
    """
    monkeypatch.setattr(blocking, "_LONGEST_TURN", 0.0)  # others run after each slice, however fast the machine is
    table = table_of({"a": {f"{index:05d}": index for index in range(10_000)}, "b": {"x": 1}})
    finding = asyncio.create_task(Rooms(table).find(Query(order=Order.USERS, limit=3), 0.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    watch_exactly(table["a"], [Room("00007")])
    remove_source(table, "b")

    found = await finding

    assert {"00007"} >= {view.room.id for _, view in found.rooms}


async def test_the_loop_goes_on_meanwhile() -> None:
    """
    Looking through 100,000 rooms holds up the loop for no longer than 10 ms of work at a time.
    """
    table = table_of({name: {f"{index:05d}": index * 7919 % 1_000 for index in range(20_000)} for name in "abcde"})
    rooms = Rooms(table)
    longest = []
    for order in (Order.USERS, Order.ROOM, Order.SHARE):
        finding = asyncio.create_task(rooms.find(Query(order=order, limit=50), 0.0))
        holds = []
        while not finding.done():
            before = time.thread_time()
            await asyncio.sleep(0)
            holds.append(time.thread_time() - before)
        longest.append(max(holds))
        assert 10 <= len(holds)

    assert 0.010 > min(longest)


async def test_a_silent_room_counts_as_above_by_its_last_reading() -> None:
    """
    A room that nothing is heard of any more is not known to be below its threshold: it stays on the list, in its place.
    """
    table = table_of({"x": {"a1": 12, "b1": 2}})
    table["x"].expire(31.0)
    table["x"].record({"b1": Reading(3)}, Arrival(31.0, 31.0))

    found = await Rooms(table).find(Query(above=Severity.CRITICAL, order=Order.SHARE), 31.0)

    assert [("a1", None, 4.0), ("b1", 3, 3.0)] == [(view.room.id, view.users, view.share) for _, view in found.rooms]
