"""
Our web server with the rooms of a large operator: ten sources, two thresholds and an own label for every room, most of
them empty and one in two hundred above a threshold. Rooms are read when the runner says so.
"""

from __future__ import annotations

import sys
import time
from typing import Final

import uvloop

from exporter import process
from exporter.metrics.room import Arrival
from exporter.metrics.source_stats import SourceStats
from exporter.metrics.table import SourceTable, Table
from exporter.metrics.telemetry import Telemetry
from exporter.model import Reading, Room, Thresholds
from tests.benchmarks.servers.orders import obey
from tests.benchmarks.servers.site import serving

SOURCES: Final = 10
THRESHOLDS: Final = Thresholds(warning=100, critical=400)
_EMPTY: Final = 7
_LARGEST: Final = 5_000


def users(number: int, turn: int) -> int:
    """Users of one room: seven rooms of ten are empty, one of two hundred holds over a hundred, some thousands."""
    if number % 10 < _EMPTY:
        return 0
    rank = (number * 2_654_435_761) % 1_000 + 1
    return min(_LARGEST, 2_000 // rank + turn % 2)


class Fleet:
    """All sources and their rooms."""

    def __init__(self, rooms: int, table: Table, telemetry: Telemetry) -> None:
        self._each = rooms // SOURCES
        self._next = 0
        self._sources: list[tuple[SourceTable, SourceStats]] = []
        for number in range(SOURCES):
            labels = "tencent", "tencent_im", f"source-{number}"
            source = SourceTable(dict(zip(("vendor", "api", "source"), labels, strict=True)), max_staleness=1e9)
            source.watch(
                Room(f"room-{room:06d}", (("event", f"show-{room % 100}"),), THRESHOLDS) for room in range(self._each)
            )
            stats = SourceStats(*labels, "im", 10.0, source)
            telemetry.sources[labels[2]] = stats
            self._sources.append((source, stats))
        table.replace({stats.source: source for source, stats in self._sources})
        self.read(rooms)

    def read(self, count: float) -> str:
        """Publish new readings of so many rooms, the next ones of each source."""
        arrival = Arrival(time.monotonic(), time.time())
        for source, stats in self._sources:
            readings = {}
            for number in range(self._next, self._next + int(count) // SOURCES):
                turn, room = divmod(number, self._each)
                readings[f"room-{room:06d}"] = Reading(users(room, turn), exists=True)
            source.record(readings, arrival)
            stats.succeeded(arrival.monotonic, arrival.unix)
        self._next += int(count) // SOURCES
        return "read"


async def main(rooms: int) -> None:
    """Serve until stdin ends."""
    process.prepare()
    table, telemetry = Table(), Telemetry()
    fleet = Fleet(rooms, table, telemetry)
    async with serving(table, telemetry) as web:
        await obey(web.port, {"read": fleet.read})


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
