"""
Callbacks from a real port to a published room.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from typing import Any

import aiohttp

from exporter.config import Config, parse
from tests.polling.house import House, source

TOKEN = "a" * 22
SECRET = "the secret of callbacks"
DISCOVERY = {"callbacks": {"secret": SECRET, "path_token": TOKEN}}


class OpenHouse(House):
    """An exporter that takes callbacks."""

    def __init__(self, *sources: dict[str, Any], address: str = "127.0.0.1:0") -> None:
        self.address = address
        super().__init__(*sources)

    def _load(self) -> Config:
        text = json.dumps({"sources": list(self._sources), "callbacks": {"listen_address": self.address}})
        return parse(text, self._folder / "exporter.yml", {})

    async def call_back(self, room: str, *, secret: str = SECRET, token: str = TOKEN) -> int:
        """Send what Tencent sends when a group was created; the status of the answer."""
        stamp = str(int(self.clock.unix()))
        sign = hashlib.sha256((secret + stamp).encode()).hexdigest()
        command = "Group.CallbackAfterCreateGroup"
        query = f"SdkAppid=1400000000&CallbackCommand={command}&contenttype=json&Sign={sign}&RequestTime={stamp}"
        url = f"http://127.0.0.1:{self.exporter.callbacks.port}/callback/tencent_im/{token}?{query}"
        body = {"CallbackCommand": command, "GroupId": room, "Type": "AVChatRoom", "Name": "", "MemberList": []}
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
            return response.status


async def published(house: House, room: str) -> bool:
    """Whether a room has a reading within three seconds."""
    for _ in range(300):
        table = house.tables["tencent_im"]
        if room in table and table.users_of([room]) == [3]:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_a_room_that_a_callback_tells_of_is_published() -> None:
    """
    As soon as a poll confirms it; whoever knows neither token nor secret brings nothing about.
    """
    found = source("tencent_im", [], discovery=DISCOVERY)
    async with OpenHouse(found) as house:
        assert [404, 403] == [await house.call_back("x", token="b" * 22), await house.call_back("y", secret="other")]
        assert 200 == await house.call_back("lobby")
        assert await published(house, "lobby")
        assert {"lobby"} == set(house.tables["tencent_im"])


async def test_a_port_that_is_taken_changes_nothing() -> None:
    """
    A reload that cannot listen keeps the old config, and the old port takes callbacks still.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with OpenHouse(source("tencent_im", ["own"], discovery=DISCOVERY)) as house:
            house.address = f"127.0.0.1:{taken.getsockname()[1]}"

            refused = await house.exporter.reloads.ask()

            assert refused is not None
            assert 404 == await house.call_back("lobby", token="b" * 22)
            assert {"own"} == set(house.tables["tencent_im"])
