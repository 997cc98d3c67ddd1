"""The same series with prometheus_client, behind its own aiohttp handler."""

from __future__ import annotations

import sys
import time

import uvloop
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, disable_created_metrics
from prometheus_client.aiohttp import make_aiohttp_handler

from tests.benchmarks.servers.orders import obey
from tests.benchmarks.servers.rooms import ADMIN_USERS, INFO, LABELS, SOURCE, TIMESTAMP, USERS, Turn, room_id
from tests.benchmarks.servers.ticker import Ticker


class Rooms:
    """Four gauges with a child per room."""

    def __init__(self, count: int) -> None:
        self.registry = CollectorRegistry()
        labels = (*LABELS, "room")
        self._users = Gauge(USERS, "Users in the room.", labels, registry=self.registry)
        self._admin_users = Gauge(ADMIN_USERS, "Admin users in the room.", labels, registry=self.registry)
        self._timestamp = Gauge(TIMESTAMP, "When the values arrived.", labels, registry=self.registry)
        info = Gauge(INFO, "1 for every watched room.", labels, registry=self.registry)
        for number in range(count):
            info.labels(*SOURCE, room_id(number)).set(1)
        self._turn = Turn(count)
        self.change(count)

    def change(self, count: float) -> str:
        """Publish new readings of so many rooms."""
        now = time.time()
        for number, users, admin_users in self._turn.take(int(count)):
            labels = (*SOURCE, room_id(number))
            self._users.labels(*labels).set(users)
            self._admin_users.labels(*labels).set(admin_users)
            self._timestamp.labels(*labels).set(now)
        return "changed"


async def main(rooms: int, *, ticking: bool) -> None:
    """Serve until stdin ends."""
    disable_created_metrics()
    published = Rooms(rooms)
    app = web.Application()
    app.router.add_get("/metrics", make_aiohttp_handler(published.registry))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ticker = Ticker() if ticking else None
    orders = {"change": published.change} | ({"gap": ticker.longest} if ticker else {})
    await obey(runner.addresses[0][1], orders)
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), ticking="ticking" in sys.argv))
