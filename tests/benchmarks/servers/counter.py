"""
A vendor that only counts: it answers every call of `DescribeUserNum` at once and alike, and checks nothing.

For thousands of calls a second, which would keep the simulator's own core busy. Seconds are counted by the simulator's
budgets all the same.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import asdict
from typing import Final, cast
from urllib.parse import unquote

import uvloop

from exporter.simulator.limits import Limits
from exporter.simulator.settings import Settings
from tests.benchmarks.servers.orders import obey

_APP = re.compile(rb"AppId=(\d+)")
_ROOM = re.compile(rb"RoomId%5B%5D=([^& ]+)")
_END: Final = b"\r\n\r\n"


class Answering(asyncio.Protocol):
    """One connection; requests have no body and come one at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._came = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go to."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Count a request when it is complete, and answer it."""
        self._came += data
        if not self._came.endswith(_END):
            return
        request, self._came = self._came, b""
        app = _APP.search(request)
        assert app is not None
        self._limits.budget("zego_rtc", app[1].decode()).receive(time.monotonic())
        body = b",".join(
            b'{"RoomId":%b,"UserCount":%d,"AdminUserCount":0}' % (_quoted(room), len(room) + int(time.time()) % 7)
            for room in _ROOM.findall(request)
        )
        body = b'{"Code":0,"Message":"success","RequestId":"1","Data":{"UserCountList":[%b]}}' % body
        assert self._transport is not None
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(body) + body)


def _quoted(room: bytes) -> bytes:
    return json.dumps(unquote(room.decode())).encode()


async def main() -> None:
    """Serve until stdin ends."""
    limits = Limits(Settings(rooms={}))
    server = await asyncio.get_running_loop().create_server(lambda: Answering(limits), "127.0.0.1", 0, backlog=1024)

    def report(_: float) -> str:
        return json.dumps([asdict(budget) for budget in limits.report()])

    def forget(_: float) -> str:
        limits.reset_counters()
        return "forgotten"

    await obey(server.sockets[0].getsockname()[1], {"report": report, "forget": forget})
    server.close()


if __name__ == "__main__":
    uvloop.run(main())
