"""
Garbage: counted apart, asked again, never published.
"""

from __future__ import annotations

from typing import Any

import pytest

from exporter.model import FailureKind
from exporter.states import SourceState
from tests.polling.answers import (
    Answer,
    always,
)
from tests.polling.house import House, named, source
from tests.polling.virtual_time import in_virtual_time, until


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html></html>",
        b'{"Code":0,"Data":{"UserCountList":[',
        {"Code": 0, "Data": {"UserCountList": []}},
        {"Code": 0, "Data": {"UserCountList": [{"RoomId": "room-00000", "UserCount": -1}]}},
        {"Code": 0, "Data": {"UserCountList": [{"RoomId": "room-00000", "UserCount": True}]}},
        {"Code": 0, "Data": {"UserCountList": [{"RoomId": "room-00000", "UserCount": 1.5}]}},
        {"Code": 0, "Data": {"UserCountList": [{"RoomId": "room-00000", "UserCount": n} for n in (1, 2)]}},
    ],
)
@in_virtual_time
async def test_malformed_is_counted_apart_and_never_published(document: Any) -> None:
    """
    Garbage is asked again like a transient failure; what was published stays until it is too old, and no garbage is.
    """
    async with House(source("zego_rtc", 1, max_staleness="30s")) as house:
        await house.passes(15)
        readings = len(house.arrivals["zego_rtc", "room-00000"])
        house.vendor.answer = always(Answer(document))
        await house.passes(12)
        assert {"held": 1} == house.states("zego_rtc")
        await house.passes(40)
        assert {"unknown": 1} == house.states("zego_rtc")
        assert {FailureKind.MALFORMED} == house.failed("zego_rtc").keys()
        assert readings == len(house.arrivals["zego_rtc", "room-00000"])

        house.vendor.answer = lambda call: None
        await until(lambda: house.states("zego_rtc") == {"fresh": 1}, within=62)


@in_virtual_time
async def test_malformed_for_one_room_leaves_its_batch_alone() -> None:
    """
    A room that the reply omits is asked again; the nine others were read.
    """
    async with House(source("zego_rtc", 10)) as house:
        counts = [{"RoomId": room, "UserCount": 5} for room in named(10)[1:]]
        stranger = {"RoomId": "nobody asked", "UserCount": 5}
        house.vendor.answer = always(Answer({"Code": 0, "Data": {"UserCountList": [*counts, stranger]}}))
        await house.passes(5)

        assert {"fresh": 9, "unknown": 1} == house.states("zego_rtc")
        assert SourceState.OK == house.state("zego_rtc")
        assert 2 <= house.failed("zego_rtc")[FailureKind.MALFORMED] == house.telemetry.sources["zego_rtc"].unrequested
