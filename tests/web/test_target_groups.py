"""
``/sd/rooms``: the watched rooms as http_sd.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import time

import pytest

from exporter.config.discovery import HttpSdConfig
from exporter.config.rooms import NO_DEFAULTS
from exporter.model import Room
from exporter.rooms.http_sd import HttpSd
from exporter.rooms.provider import Listing, Result
from exporter.vendors import APIS
from tests.measuring import best
from tests.web.site import Site
from tests.web.test_api import fetch

LAUNCH = (("event", "launch"),)
OF_LIVE = {"__meta_rtc_vendor": "zego", "__meta_rtc_api": "zego_rtc", "__meta_rtc_source": "live"}
OF_IM = {"__meta_rtc_vendor": "tencent", "__meta_rtc_api": "tencent_im", "__meta_rtc_source": "im"}


async def read_by_another(site: Site, path: str) -> Listing:
    """
    What the client of another exporter makes of it.
    """
    client = HttpSd(HttpSdConfig("http_sd", site.server.url + path), APIS["zego_rtc"].room_ids, NO_DEFAULTS)
    try:
        return await client.refresh()
    finally:
        await client.aclose()


async def test_rooms_stand_by_source_and_labels(site: Site) -> None:
    """
    Whatever their state: a room that is unknown or missing is watched, too.
    """
    site.watch("live", [Room("a", LAUNCH), "b", Room("c", LAUNCH)])
    site.watch("im", ["x/y", "房间"], api="tencent_im")
    site.read("live", {"a": 1})

    live = [
        {"targets": ["a", "c"], "labels": {"event": "launch", **OF_LIVE}},
        {"targets": ["b"], "labels": OF_LIVE},
    ]
    im = [{"targets": ["x/y", "房间"], "labels": OF_IM}]
    assert live + im == await fetch(site, "/sd/rooms")
    assert im == await fetch(site, "/sd/rooms?source=im")
    assert live + im == await fetch(site, "/sd/rooms?source=")


async def test_a_source_without_rooms_has_no_group(site: Site) -> None:
    """
    An empty list is what there is to say of it.
    """
    site.watch("live", [])
    assert [] == await fetch(site, "/sd/rooms?source=live")


async def test_what_is_no_list_is_an_error(site: Site) -> None:
    """
    A reader keeps its rooms then: while the exporter starts, and for a source that does not exist.
    """
    site.watch("live", ["a"])
    assert {"error": "source='no'; accepted: live"} == await fetch(site, "/sd/rooms?source=no", 404)
    assert {"error": "unknown parameter 'x'; accepted: source"} == await fetch(site, "/sd/rooms?x=1", 400)
    twice = "parameter 'source' is given more than once; accepted: once"
    assert {"error": twice} == await fetch(site, "/sd/rooms?source=live&source=live", 400)
    site.why_unready = "2 sources have not been called yet"
    said = "not ready, so there is no list yet: 2 sources have not been called yet"
    assert {"error": said} == await fetch(site, "/sd/rooms", 503)
    assert Result.FAILED == (await read_by_another(site, "/sd/rooms")).result


async def test_a_source_whose_rooms_are_still_being_found_has_no_list(site: Site) -> None:
    """
    After a start, a reader would lose the rooms that are not found yet. Lists without that source are given.
    """
    site.watch("live", ["a"])
    site.watch("im", ["b"], api="tencent_im")
    site.incomplete["live"] = "http_sd has not answered yet"
    said = "rooms of live are still being found, so there is no list yet: http_sd has not answered yet"
    assert {"error": said} == await fetch(site, "/sd/rooms", 503)
    assert {"error": said} == await fetch(site, "/sd/rooms?source=live", 503)
    assert [{"targets": ["b"], "labels": OF_IM}] == await fetch(site, "/sd/rooms?source=im")


async def test_another_exporter_reads_it(site: Site) -> None:
    """
    With the labels that the rooms have, and nothing said of it.
    """
    site.watch("live", [Room("a", LAUNCH), "b"])
    listing = await read_by_another(site, "/sd/rooms?source=live")
    assert (Result.COMPLETE, {"a": Room("a", LAUNCH), "b": Room("b")}, None, None) == (
        listing.result,
        listing.rooms,
        listing.error,
        listing.warning,
    )


@pytest.mark.timed
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_hundred_thousand_rooms_hold_up_nobody(site: Site, encoding: str) -> None:
    """
    They are sent in steps, with gzip if it is asked for, and are all there.
    """
    rooms = [Room(f"live_{number:09}", (("number", str(number % 20_000)),)) for number in range(100_000)]
    site.watch("live", rooms)

    async def gap() -> float:
        asking = asyncio.create_task(site.get("/sd/rooms", {"Accept-Encoding": encoding}))
        gaps, before = [], time.perf_counter()
        while not asking.done():
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            gaps.append(now - before)
            before = now
        response, body = asking.result()
        groups = json.loads(gzip.decompress(body) if response.headers.get("Content-Encoding") == "gzip" else body)
        assert encoding == response.headers.get("Content-Encoding", "identity")
        assert {room.id for room in rooms} == {room_id for group in groups for room_id in group["targets"]}
        assert 20_000 == len(groups)
        return sorted(gaps)[-2]

    assert 0.03 > await best(gap, 0.03)


async def test_a_head_has_no_body(site: Site) -> None:
    """
    The same headers, so that a check costs nothing.
    """
    site.watch("live", ["a"])
    response, body = await site.get("/sd/rooms", method="HEAD")
    assert (200, "application/json", b"") == (response.status, response.headers["Content-Type"], body)
