"""
A table with rooms, and what a scrape of it says.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.metrics.exposition import Exposition, Wanted
from exporter.metrics.room import Arrival
from exporter.metrics.source_stats import SourceStats
from exporter.metrics.table import SourceTable, Table
from exporter.metrics.telemetry import Telemetry
from exporter.model import Reading, Room
from tests.metrics.watching import add_source

EPOCH = 1_700_000_000.0
Sample = tuple[str, frozenset[tuple[str, str]], float]
Rooms = dict[str, list[tuple[Room, Reading | None]]]


class Scraped:
    """Sources with rooms, and their exposition."""

    def __init__(self, rooms: Rooms) -> None:
        self.now = 100.0
        self.table = Table()
        self.telemetry = Telemetry()
        self.exposition = Exposition(self.table, self.telemetry, lambda: self.now)
        for name, watched in rooms.items():
            table = SourceTable({"vendor": "zego", "api": "zego_rtc", "source": name}, 30.0)
            add_source(self.table, name, table)
            self.telemetry.sources[name] = SourceStats("zego", "zego_rtc", name, "budget", 10.0, table)
            table.watch([room for room, _ in watched])
            for room, reading in watched:
                if reading is not None:
                    table.record({room.id: reading}, Arrival(self.now, EPOCH))

    async def scrape(self, **wanted: Any) -> bytes:
        """The body, unpacked."""
        body = await self.exposition.body(Wanted(**wanted))
        data = b"".join(body.parts)
        assert len(data) == body.length
        if wanted.get("gzip"):
            unpacker = zlib.decompressobj(31)
            unpacked = unpacker.decompress(data)
            assert unpacker.eof
            assert not unpacker.unused_data, "curl stops at a second member"
            return unpacked
        return data


@asynccontextmanager
async def scraped(rooms: Rooms) -> AsyncIterator[Scraped]:
    """The same, closed in the end."""
    sources = Scraped(rooms)
    yield sources
    await sources.exposition.aclose()


def some_rooms(count: int, users: int = 3) -> Rooms:
    """One source with so many rooms, all of them read."""
    return {"live": [(Room(f"room-{number}"), Reading(users, 1, None, exists=True)) for number in range(count)]}


def parsed(text: bytes, parse: Callable[[str], Iterable[Any]] = parse_text) -> set[Sample]:
    """The samples; a series that is there twice is an error."""
    found = [
        (sample.name, frozenset(sample.labels.items()), sample.value)
        for family in parse(text.decode())
        for sample in family.samples
    ]
    assert len(found) == len({sample[:2] for sample in found})
    return set(found)
