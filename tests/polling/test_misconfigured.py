"""
What only a person can mend: a trial a minute, until a success or a reload.
"""

from __future__ import annotations

import pytest

from exporter.states import RoomState, SourceState
from exporter.vendors import APIS
from tests.polling.answers import (
    MISCONFIGURED,
    always,
    fails,
)
from tests.polling.house import House, named, source, whole_gaps
from tests.polling.virtual_time import in_virtual_time, until


@pytest.mark.parametrize("api", APIS)
@in_virtual_time
async def test_misconfigured_is_tried_once_a_minute(api: str) -> None:
    """
    There is one trial a minute, the log says once what to mend, and the first success ends it.
    """
    async with House(source(api, 500)) as house:
        house.vendor.rooms = named(500)
        house.vendor.answer = always(fails(api, MISCONFIGURED[api]))
        await house.passes(2)
        assert SourceState.MISCONFIGURED == house.state(api)
        since = house.now
        await house.passes(240)
        assert [60, 60, 60] == whole_gaps(house.writes(since=since))
        warnings = [line for line in house.lines("warning") if line.event == "call failed"]
        assert 1 == len(warnings)
        assert any(word in str(warnings[0].values["meaning"]) for word in ("check", "enable", "set", "buy"))

        house.vendor.answer = lambda call: None
        await until(lambda: house.state(api) is SourceState.OK, within=61)
        await house.passes(26)
        assert {"fresh": 500} == house.states(api)


@in_virtual_time
async def test_misconfigured_is_tried_at_once_after_a_reload() -> None:
    """
    Whoever reloads may just have mended it.
    """
    config = source("zego_zim", 5)
    async with House(config) as house:
        house.vendor.answer = always(fails("zego_zim", 100000017))
        await house.passes(10)
        house.vendor.answer = lambda call: None
        await house.load(config)
        await house.passes(1)

        assert SourceState.OK == house.state("zego_zim")


@pytest.mark.parametrize("busy", [9, 150])
@in_virtual_time
async def test_misconfigured_room_is_not_taken_for_its_source(busy: int) -> None:
    """
    What the vendor says of the app when asked for one certain room is that room's fault as long as others are read: it
    is asked ever more seldom, and the source is ok.
    """
    async with House(source("volcengine_rtc", busy)) as house:
        await house.passes(20)
        bad = named(busy)[3]
        house.vendor.answer = lambda call: fails(call.api, "InvalidParameter.Odd") if bad in call.rooms else None
        await house.passes(130)

        assert SourceState.OK == house.state("volcengine_rtc")
        assert {bad} == house.rooms_in("volcengine_rtc", RoomState.REFUSED)
        assert 2 >= len([call for call in house.vendor.calls if bad in call.rooms and call.at - house.began > 21])
        assert 11 >= max(house.gaps("volcengine_rtc"))


@in_virtual_time
async def test_misconfigured_batch_is_asked_one_by_one_while_others_are_read() -> None:
    """
    The same in batches: the batchmates of such a room are read again.
    """
    async with House(source("zego_rtc", 900)) as house:
        await house.passes(20)
        bad = named(900)[3]
        house.vendor.answer = lambda call: fails(call.api, 9) if bad in call.rooms else None
        await house.passes(60)

        assert SourceState.OK == house.state("zego_rtc")
        assert {"fresh": 899, "refused": 1} == house.states("zego_rtc")
