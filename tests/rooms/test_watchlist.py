"""
The one set of watched rooms: whoever must know it knows the same at every step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count as count_up

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import blocking
from exporter.model import ROOMS_AT_A_TIME, Room, Thresholds
from exporter.rooms import Turnover, Watchlist


class Watching:
    """A watcher that only remembers."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        self.longest = 0
        self.told = 0

    def watch(self, rooms: Sequence[Room]) -> None:
        """These come, or are other than before."""
        self.told += len(rooms)
        self.longest = max(self.longest, len(rooms))
        self.rooms.update((room.id, room) for room in rooms)

    def forget(self, room_ids: Sequence[str]) -> None:
        """These go."""
        self.longest = max(self.longest, len(room_ids))
        for room_id in room_ids:
            del self.rooms[room_id]


rooms = st.builds(Room, st.text("abc", min_size=1, max_size=2), thresholds=st.builds(Thresholds, st.integers(1, 2)))


@given(st.lists(st.lists(rooms, max_size=12), max_size=6))
def test_watchers_know_what_is_watched(changes: list[list[Room]]) -> None:
    """
    Whatever comes, changes and goes, each watcher is told of it once, and all agree between any two steps.
    """
    watchers = Watching(), Watching()
    watchlist = Watchlist(*watchers)
    for wanted in changes:
        before = set(watchlist.rooms)
        news = {room.id: room for room in wanted}.items() - watchlist.rooms.items()
        told = watchers[0].told
        turnover = Turnover()
        for _ in watchlist.steps(wanted, turnover):
            assert watchers[0].rooms == watchers[1].rooms == watchlist.rooms
        assert len(news) == watchers[0].told - told
        assert {room.id: room for room in wanted} == watchlist.rooms
        assert all(room.id in watchlist for room in wanted)
        after = set(watchlist.rooms)
        assert (len(after - before), len(before - after)) == (turnover.added, turnover.removed)
        assert bool(turnover) == (turnover.room is not None)


def test_a_single_room_is_named_in_the_log() -> None:
    """
    Of several there are only counts: a line must not hold thousands of ids.
    """
    one, two = Turnover(), Turnover()
    one.count_added(["lobby"])
    two.include(one)
    two.count_removed(["stage"])

    assert {"added": 1, "removed": 0, "room": "lobby"} == one.values()
    assert {"added": 1, "removed": 1} == two.values()


async def test_others_run_while_many_rooms_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    No step takes more than 500 rooms, and where each of them takes long, others run after each.
    """
    monkeypatch.setattr(blocking, "perf_counter", count_up().__next__)
    watcher = Watching()
    watchlist = Watchlist(watcher)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await watchlist.change([Room(f"old-{number}") for number in range(20_000)])
    await watchlist.change([Room(f"new-{number}") for number in range(20_000)])
    counting.cancel()

    assert ROOMS_AT_A_TIME == watcher.longest
    assert 20_000 / ROOMS_AT_A_TIME * 4 <= turns


async def test_newest_set_counts() -> None:
    """
    Three changes are asked for at once: the first may begin, and in the end the last one holds.
    """
    watcher = Watching()
    watchlist = Watchlist(watcher)
    sets = [[Room(f"{name}-{number}") for number in range(2_000)] for name in ("first", "second", "third")]
    await asyncio.gather(*map(watchlist.change, sets))

    assert {room.id for room in sets[-1]} == watchlist.rooms.keys() == watcher.rooms.keys()


async def test_change_after_one_that_failed_makes_all_well() -> None:
    """
    A watcher raises in the middle: the next change brings everybody to the same set.
    """

    class Failing(Watching):
        """A watcher that fails once."""

        failed = False

        def watch(self, rooms: Sequence[Room]) -> None:
            if not self.failed:
                self.failed = True
                raise KeyError("bug")
            super().watch(rooms)

    first, second = Watching(), Failing()
    watchlist = Watchlist(first, second)
    wanted = [Room("a"), Room("b")]
    try:
        await watchlist.change(wanted)
    except KeyError:
        await watchlist.change(wanted)

    assert {"a", "b"} == watchlist.rooms.keys() == first.rooms.keys() == second.rooms.keys()
