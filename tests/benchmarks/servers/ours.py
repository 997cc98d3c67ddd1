"""Our table, exposition and web server, with rooms that are read when the runner says so."""

from __future__ import annotations

import sys
import time

import structlog
import uvloop

from exporter.metrics.exposition import Exposition
from exporter.metrics.table import Arrival, SourceTable, Table
from exporter.metrics.telemetry import SourceTelemetry, Telemetry
from exporter.model import Reading, Room
from exporter.web import Process, WebServer
from tests.benchmarks.servers.orders import obey
from tests.benchmarks.servers.rooms import LABELS, SOURCE, Turn, room_id
from tests.benchmarks.servers.ticker import Ticker

_NEVER = 1e9


class Rooms:
    """One source's rooms, and the readings that come in."""

    def __init__(self, count: int) -> None:
        self.source = SourceTable(LABELS, max_staleness=_NEVER)
        self.source.watch(Room(room_id(number)) for number in range(count))
        self._turn = Turn(count)
        self.change(count)

    def change(self, count: float) -> str:
        """Publish new readings of so many rooms."""
        arrival = Arrival(time.monotonic(), time.time())
        for number, users, admin_users in self._turn.take(int(count)):
            self.source.record(room_id(number), Reading(users, admin_users), arrival)
        return "changed"


async def main(rooms: int, *, ticking: bool) -> None:
    """Serve until stdin ends."""
    table, telemetry, rows = Table(), Telemetry(), Rooms(rooms)
    table.add(LABELS["source"], rows.source)
    telemetry.add_source(SourceTelemetry(*SOURCE, "zego-main", 10.0, rows.source))
    exposition = Exposition(table, telemetry, time.monotonic)
    web = WebServer(exposition, table, telemetry, _process(), structlog.get_logger())
    await web.start("127.0.0.1:0")
    ticker = Ticker() if ticking else None
    await obey(web.port, {"change": rows.change} | ({"gap": ticker.longest} if ticker else {}))
    await web.stop()
    await exposition.aclose()


def _process() -> Process:
    async def reload() -> str | None:
        return None

    return Process(
        healthy=lambda: None,
        ready=lambda: None,
        reload=reload,
        monotonic=time.monotonic,
        unix=time.time,
        started=time.time(),
        config_path="",
    )


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), ticking="ticking" in sys.argv))
