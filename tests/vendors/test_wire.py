"""
Codecs and simulated vendors, which share no line, agree over real HTTP.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from yarl import URL

from exporter.model import Failure, FailureKind, Reading, Reply, Stamp
from exporter.simulator import Settings, Simulator
from exporter.vendors import APIS
from exporter.vendors.source import Secret
from tests.vendors.examples import ODD_ROOM_IDS, source

LONGEST = {"zego_zim": 32, "tencent_im": 48, "tencent_live": 48}


@pytest.fixture
async def vendors() -> AsyncIterator[Simulator]:
    """All vendors, with room for every test's calls."""
    limits = {"zego_rtc": 1000, "zego_zim": 1000, "volcengine_rtc": 1000, "janus_videoroom": 1000}
    simulator = Simulator(
        Settings(rooms={}, limits=limits, refresh={"tencent_im": 0, "tencent_live": 0}, strict_ids=False)
    )
    await simulator.start()
    yield simulator
    await simulator.stop()


async def ask(vendors: Simulator, api: str, *rooms: str, skew: float = 0.0, **changes: object) -> Reply | Failure:
    """One call, stamped by a clock that is ``skew`` seconds ahead."""
    codec, asked = APIS[api], source(api, base_url=vendors.url, **changes)
    now = time.time() + skew
    sent = codec.request(asked, codec.authorize(asked, now), rooms, Stamp(now, secrets.token_hex(8)))
    async with (
        aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as session,
        session.request(
            sent.method, URL(sent.url, encoded=True), headers=sent.headers, data=sent.body or None
        ) as response,
    ):
        return codec.reply(rooms, response.status, response.headers, await response.read())


@pytest.mark.parametrize("api", APIS)
async def test_counts_of_oddly_named_rooms(vendors: Simulator, api: str) -> None:
    """
    Whatever a room is called, its count is the vendor's.
    """
    rooms = [room for room in ODD_ROOM_IDS if len(room.encode()) <= LONGEST.get(api, 128)]
    for users, room in enumerate(rooms, start=1):
        vendors.world.set(api, room, users)

    for users, room in enumerate(rooms, start=1):
        answer = await ask(vendors, api, room)

        assert isinstance(answer, Reply), answer
        reading = answer.rooms[room]
        assert isinstance(reading, Reading), reading
        assert (users, False) == (reading.users, reading.missing)


async def test_zego_batch_of_ten(vendors: Simulator) -> None:
    """
    Ten rooms are read in one call, admin users and all.
    """
    rooms = [f"room {n}" for n in range(10)]
    for users, room in enumerate(rooms):
        vendors.world.set("zego_rtc", room, users, admin=users // 2)

    answer = await ask(vendors, "zego_rtc", *rooms)

    assert Reply({room: Reading(users, users // 2) for users, room in enumerate(rooms)}) == answer


@pytest.mark.parametrize("api", ["zego_zim", "tencent_im", "tencent_live", "volcengine_rtc"])
async def test_missing_room(vendors: Simulator, api: str) -> None:
    """
    A room that never was is missing, not merely empty.
    """
    answer = await ask(vendors, api, "nowhere")

    assert Reply({"nowhere": Reading(users=0, exists=False, missing=True)}) == answer


@pytest.mark.parametrize(
    ("api", "changes"),
    [
        ("zego_rtc", {"server_secret": Secret("f" * 32)}),
        ("zego_zim", {"server_secret": Secret("f" * 32)}),
        ("tencent_im", {"secret_key": Secret("f" * 64)}),
        ("tencent_live", {"secret_key": Secret("f" * 64)}),
        ("volcengine_rtc", {"secret_access_key": Secret("wrong")}),
        ("volcengine_rtc", {"access_key_id": "AKLTunknown"}),
    ],
)
async def test_wrong_credentials(vendors: Simulator, api: str, changes: dict[str, Any]) -> None:
    """
    A wrong secret is unauthorized with every vendor.
    """
    answer = await ask(vendors, api, "lobby", **changes)

    assert isinstance(answer, Failure)
    assert FailureKind.UNAUTHORIZED is answer.kind


@pytest.mark.parametrize("api", ["zego_rtc", "zego_zim", "volcengine_rtc"])
async def test_clock_that_is_far_off(vendors: Simulator, api: str) -> None:
    """
    A stamp half an hour off is unauthorized.
    """
    answer = await ask(vendors, api, "lobby", skew=-1800)

    assert isinstance(answer, Failure)
    assert FailureKind.UNAUTHORIZED is answer.kind


@pytest.mark.parametrize(
    ("api", "changes"),
    [
        ("zego_rtc", {"app_id": "1"}),
        ("zego_zim", {"app_id": "1"}),
        ("tencent_im", {"sdk_app_id": "1"}),
        ("tencent_live", {"sdk_app_id": "1"}),
    ],
)
async def test_unknown_app(vendors: Simulator, api: str, changes: dict[str, Any]) -> None:
    """
    An app that the vendor does not know is a mistake in the config.
    """
    answer = await ask(vendors, api, "lobby", **changes)

    assert isinstance(answer, Failure)
    assert FailureKind.MISCONFIGURED is answer.kind
