"""
Rooms that the vendor will not speak of: asked alone, ever more seldom, and at no cost to the others.
"""

from __future__ import annotations

import pytest

from exporter.states import SourceState
from exporter.vendors import APIS
from tests.polling.answers import (
    REFUSED,
    always,
    fails,
    refuses,
)
from tests.polling.house import House, named, source, whole_gaps
from tests.polling.virtual_time import in_virtual_time, until


@pytest.mark.parametrize(
    "api", ["zego_rtc", *(pytest.param(api, marks=pytest.mark.soak) for api in APIS if api != "zego_rtc")]
)
@in_virtual_time
async def test_refused_room_is_asked_ever_more_seldom(api: str) -> None:
    """
    At 10, 20, 40 … and at last 360 times the interval; the first reading ends it.
    """
    interval = 40 if api == "tencent_live" else 10
    async with House(source(api, 5, timeout="5s")) as house:
        bad = named(5)[1]
        house.vendor.answer = refuses({bad})
        await house.passes(1260 * interval)
        moments = [call.at for call in house.vendor.calls if call.rooms == (bad,)]
        assert [10, 20, 40, 80, 160, 320, 360] == [round(gap / interval) for gap in whole_gaps(moments)][:7]
        assert {"fresh": 4, "refused": 1} == house.states(api)
        assert SourceState.OK == house.state(api)
        assert 1 == len([line for line in house.log.lines if line.event == "call failed"])
        assert not [line for line in house.log.lines if line.event == "calls recovered"]

        house.vendor.answer = lambda call: None
        await house.passes(361 * interval)
        assert {"fresh": 5} == house.states(api)


@in_virtual_time
async def test_refused_batch_is_asked_again_one_by_one() -> None:
    """
    One bad room does not darken the nine others of its batch, and never shares a batch again.
    """
    async with House(source("zego_rtc", 900)) as house:
        await house.passes(20)
        bad = named(900)[44]
        house.vendor.answer = refuses({bad})
        await house.passes(30)
        assert {"fresh": 899, "refused": 1} == house.states("zego_rtc")
        asked = [call for call in house.vendor.calls if bad in call.rooms and call.at - house.began > 20]
        assert [10, 1] == [len(call.rooms) for call in asked]

        since = house.now
        await house.passes(300)
        assert 11 >= max(house.gaps("zego_rtc", since=since))
        assert {1} == {
            len(call.rooms) for call in house.vendor.of("zego_rtc", house.began + since) if bad in call.rooms
        }


@in_virtual_time
async def test_refused_batch_for_the_sake_of_a_missing_room() -> None:
    """
    ZEGO may refuse a batch because one of its rooms is missing: that one is asked alone each interval, and the others
    are read together.
    """
    async with House(source("zego_rtc", 50)) as house:
        gone = named(50)[7]
        house.vendor.answer = lambda call: fails("zego_rtc", 104) if gone in call.rooms else None
        await house.passes(60)
        assert {"fresh": 49, "missing": 1} == house.states("zego_rtc")
        since = house.now
        await house.passes(100)
        assert 55 <= len(house.writes(since=since)) <= 62
        assert 11 >= max(house.gaps("zego_rtc", since=since))

        house.vendor.answer = lambda call: None
        await house.passes(21)
        assert {"fresh": 50} == house.states("zego_rtc")


@in_virtual_time
async def test_refused_rooms_leave_the_healthy_ones_nine_tenths_of_the_slots() -> None:
    """
    1,000 refused rooms among 1,000 healthy ones of one app: once each was asked alone, the healthy ones have 90 % of
    the budget and all of them are fresh.
    """
    rooms = named(2000)
    bad = set(rooms[::2])
    async with House(source("zego_rtc", rooms)) as house:
        house.vendor.answer = refuses(bad)
        await house.passes(800)
        assert {"fresh": 1000, "refused": 1000} == house.states("zego_rtc")
        assert SourceState.OK == house.state("zego_rtc")

        since = house.now
        await house.passes(100)
        calls = house.vendor.of("zego_rtc", house.began + since)
        healthy = [call for call in calls if not bad.intersection(call.rooms)]
        assert 0.97 * 10 * 100 <= len(calls)
        assert 0.9 * len(calls) <= len(healthy)
        assert {"fresh": 1000, "refused": 1000} == house.states("zego_rtc")
        assert 12 >= max(house.gaps("zego_rtc", since=since))


@pytest.mark.parametrize(("api", "rooms"), [("zego_rtc", 100), ("zego_rtc", 2000), ("volcengine_rtc", 350)])
@in_virtual_time
async def test_refused_rooms_all_of_them_put_the_source_in_doubt(api: str, rooms: int) -> None:
    """
    Where nothing but refusals came for two intervals, the source is misconfigured and its rooms are forgiven; a trial a
    minute finds out when it is mended, and then every room is read again.
    """
    async with House(source(api, rooms)) as house:
        house.vendor.answer = always(fails(api, REFUSED[api]))
        took = await until(lambda: house.state(api) is SourceState.MISCONFIGURED, within=31)
        assert 20 <= took
        await house.passes(1)
        assert {"unknown": rooms} == house.states(api)
        since = house.now
        await house.passes(240)
        assert 4 == len(house.writes(since=since))

        house.vendor.answer = lambda call: None
        await until(lambda: house.state(api) is SourceState.OK, within=61)
        await house.passes(25)
        assert {"fresh": rooms} == house.states(api)


@pytest.mark.parametrize("api", ["zego_rtc", "volcengine_rtc"])
@in_virtual_time
async def test_refused_rooms_that_are_few_put_no_source_in_doubt(api: str) -> None:
    """
    Two misspelt rooms are all there is: they are refused, however long it goes on, and a right one is then read
    within a second.
    """
    async with House(source(api, ["b@d", "w0rse"])) as house:
        house.vendor.answer = refuses({"b@d", "w0rse"})
        await house.passes(1200)
        assert SourceState.OK == house.state(api)
        assert {"refused": 2} == house.states(api)

        await house.watch(api, [])
        await house.passes(60)
        await house.watch(api, ["right"])
        await house.passes(1)
        assert {"fresh": 1} == house.states(api)


@in_virtual_time
async def test_refused_by_an_app_that_has_a_few_good_rooms() -> None:
    """
    Whatever is thought of the source meanwhile, its good rooms are found in the end.
    """
    rooms = named(300)
    bad = set(rooms[3:])
    async with House(source("zego_rtc", rooms)) as house:
        house.vendor.answer = refuses(bad)
        await house.passes(2 * 3600)

        assert {"fresh": 3, "refused": 297} == house.states("zego_rtc")
