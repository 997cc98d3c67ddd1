"""
An API whose one call answers for all rooms: the poll is the list, and no second call is spent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from exporter import blocking
from exporter.config.discovery import DiscoveryConfig
from exporter.polling import poller
from exporter.states import SourceState
from tests.polling.answers import BAD_GATEWAY, MISCONFIGURED, always, fails
from tests.polling.house import House, parsed, source
from tests.polling.virtual_time import in_virtual_time, until

API = "janus_videoroom"
FOUND: dict[str, Any] = {"discovery": {"linger": "20s", "vendor_list": {}}}


MANY = 2600


@pytest.fixture
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tasks run after each step of long work, however short it was."""
    monkeypatch.setattr(blocking, "_LONGEST_TURN", -1.0)


async def turns_until(house: House, condition: Callable[[], bool]) -> list[tuple[int, int]]:
    """How many rooms are polled, and how many are read, at each turn of the event loop until a condition holds."""
    house.vendor.latency = lambda: 0.01
    await until(lambda: bool(house.writes(API)), 5, step=0.005)
    planner, table = house.pollers[API].planner, house.tables[API]
    turns = [(len(planner), table.known)]
    while not condition():
        await asyncio.sleep(0)
        turns.append((len(planner), table.known))
        assert len(turns) < 100_000
    return turns


def published(house: House) -> dict[str, int | None]:
    """The rooms of a scrape, with their users."""
    table = house.tables[API]
    return dict(zip(table, table.users_of(table), strict=True))


@in_virtual_time
async def test_one_call_reads_every_room() -> None:
    """
    Two thousand rooms cost one call an interval, those that are missing included, and others are not published.
    """
    async with House(source(API, 2000)) as house:
        house.vendor.rooms = ["room-00000", "stranger"]
        await house.passes(52)

        assert 11 == len(house.writes(API))
        assert {"fresh": 1, "missing": 1999} == house.states(API)
        assert 0 == house.exporter.sources.running[API].poller.stats.unrequested


@in_virtual_time
async def test_the_call_that_finds_a_room_confirms_it() -> None:
    """
    With no room in the config calls leave all the same; what a reply names is published with that reply's users, and
    is gone after its end was told and lingered. Through all of that there is one call an interval.
    """
    async with House(source(API, 0, **FOUND)) as house:
        house.vendor.rooms = []
        await house.passes(12)
        assert (3, {}) == (len(house.writes(API)), published(house))

        house.vendor.rooms = ["a", "b"]
        await house.passes(5)
        assert {"a": 3, "b": 3} == published(house)
        house.vendor.rooms = ["b"]
        await house.passes(10)
        assert {"a": 0, "b": 3} == published(house)
        assert {"fresh": 1, "missing": 1} == house.states(API)
        await house.passes(26)
        assert {"b": 3} == published(house)

        assert 11 == len(house.writes(API))


@in_virtual_time
async def test_nothing_is_dropped_while_calls_fail() -> None:
    """
    Found rooms turn unknown, and the first reply after it reads them again.
    """
    async with House(source(API, 0, **FOUND)) as house:
        house.vendor.rooms = ["a", "b"]
        await house.passes(10)
        house.vendor.answer = always(BAD_GATEWAY)
        await house.passes(1200)
        assert {"unknown": 2} == house.states(API)

        house.vendor.answer = lambda _: None
        await house.passes(90)
        assert {"a": 3, "b": 3} == published(house)
        assert SourceState.OK == house.state(API)


@in_virtual_time
async def test_no_room_is_to_blame() -> None:
    """
    After a server that ran without its plugin for a while, its only room is not asked for rarely.
    """
    async with House(source(API, 1)) as house:
        await house.passes(12)
        house.vendor.answer = always(fails(API, MISCONFIGURED[API]))
        await house.passes(70)
        assert SourceState.MISCONFIGURED == house.state(API)

        house.vendor.answer = lambda _: None
        await house.passes(70)
        before = len(house.writes(API))
        await house.passes(50)
        assert {"fresh": 1} == house.states(API)
        assert 10 == len(house.writes(API)) - before


@in_virtual_time
async def test_found_rooms_go_with_the_key() -> None:
    """
    Without discovery nothing is found, and no call is made for nobody.
    """
    async with House(source(API, 0, **FOUND)) as house:
        await house.passes(10)
        assert 20 == len(published(house))

        await house.load(source(API, ["room-00001"]))
        await house.passes(10)
        assert {"room-00001": 3} == published(house)


def test_the_list_is_bounded_as_polls_are() -> None:
    """
    It has neither interval nor limit of its own.
    """
    (config,) = parsed(source(API, 0, interval="2s", rate_limit=3, **FOUND))

    assert isinstance(config.discovery, DiscoveryConfig)
    lists = config.discovery.vendor_list
    assert lists
    assert (2.0, 3.0, config.budget) == (lists.interval, lists.rate_limit, lists.budget)


@pytest.mark.usefixtures("short_turns")
@in_virtual_time
async def test_a_long_reply_is_worked_off_in_steps() -> None:
    """
    However many rooms a reply finds, at most 500 are added, and 500 read, before others run.
    """
    async with House(source(API, 0, **FOUND)) as house:
        house.vendor.rooms = [f"room-{number}" for number in range(MANY)]
        turns = await turns_until(house, lambda: house.tables[API].known == MANY)

        steps = [(polled - before, read - earlier) for (before, earlier), (polled, read) in pairwise(turns)]
        assert (500, 500) == (max(polled for polled, _ in steps), max(read for _, read in steps))
        assert 1 == len(house.writes(API))


@in_virtual_time
async def test_a_batch_takes_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Replies of other APIs, a batch of rooms at most, are recorded at once, without a turn of the loop or a thread.
    """
    for name in ("Turn", "in_thread", "in_parts"):
        monkeypatch.setattr(poller, name, None)
    async with House(source("zego_rtc", 40)) as house:
        await house.passes(5)

        assert {"fresh": 40} == house.states("zego_rtc")


@pytest.mark.usefixtures("short_turns")
@in_virtual_time
async def test_a_stopped_source_records_no_more() -> None:
    """
    Whoever is stopped while a long reply is worked off neither reads its other rooms nor counts a success.
    """
    async with House(source(API, MANY)) as house:
        table, stopped = house.tables[API], house.pollers[API]
        house.vendor.rooms = list(table)
        await turns_until(house, lambda: table.known > 0)
        stopped.stop()
        await house.passes(20)

        assert (500, 0) == (table.known, stopped.stats.last_success or 0)


@pytest.mark.usefixtures("short_turns")
@in_virtual_time
async def test_no_room_is_found_once_discovery_is_gone() -> None:
    """
    A reload that takes discovery away while a long reply is worked off leaves the config's own rooms, and no other.
    """
    async with House(source(API, 0, **FOUND)) as house:
        house.vendor.rooms = [f"room-{number}" for number in range(15_000)]
        planner = house.pollers[API].planner
        await turns_until(house, lambda: len(planner) > 500)
        await house.load(source(API, ["room-1"]))
        assert len(planner) < 15_000
        await house.passes(10)

        assert ({"room-1": 3}, 1) == (published(house), len(planner))


@in_virtual_time
async def test_no_call_overtakes_another() -> None:
    """
    A room that comes while a call is in flight waits for its end: one call at a time answers for all.
    """
    async with House(source(API, 1)) as house:
        house.vendor.latency = lambda: 2.0
        await house.passes(1.5)
        await house.watch(API, ["room-00000", "room-00001", "absent"])
        await house.passes(1.5)
        assert 1 == len(house.writes(API))

        await house.passes(2.5)
        assert 2 == len(house.writes(API))
        assert {"fresh": 2, "missing": 1} == house.states(API)


@pytest.mark.parametrize("threads", [True, False])
@in_virtual_time
async def test_a_large_reply_is_parsed_beside_the_loop(monkeypatch: pytest.MonkeyPatch, threads: bool) -> None:
    """
    In a thread if there is one, and in no other case; it is read all the same.
    """
    parsed: list[object] = []

    async def in_thread(work: Callable[..., object], *args: object) -> object:
        parsed.append(work)
        if not threads:
            raise BlockingIOError
        return work(*args)

    monkeypatch.setattr(poller, "in_thread", in_thread)
    async with House(source(API, 0, **FOUND)) as house:
        await house.passes(3)
        assert not parsed

        house.vendor.rooms = [f"{number:0200}" for number in range(2000)]
        await house.passes(5)
        assert parsed
        assert 600 == house.tables[API].known - 20  # so many a minute


@in_virtual_time
async def test_rooms_without_a_count_are_unknown() -> None:
    """
    Hundreds of them cost the others nothing, and are asked for again together.
    """
    async with House(source(API, 1200)) as house:
        house.vendor.rooms = list(house.tables[API])
        house.vendor.users = lambda room: 3 if room < "room-00600" else -1
        await house.passes(3)
        assert {"fresh": 600, "unknown": 600} == house.states(API)

        house.vendor.users = lambda _: 3
        await house.passes(6)
        assert {"fresh": 1200} == house.states(API)
