"""
Strangers with 2 MB/s each: vendor calls and scrapes go on, and nothing holds the loop.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.e2e.counting_vendor import CountingVendor
from tests.hostile.flood import KINDS
from tests.hostile.stage import Scrapes, WatchedExporter, config_of, flood, scrape, scraper
from tests.measuring import best

pytestmark = pytest.mark.timed
QUICK = {"mixed", "bomb"}
SECONDS = 9
PATIENCE = {"crowd", "scrapes"}
"""Floods of so many whole scrapes that they delay one that comes as often: this one comes every 3 s."""
STALL = 0.05
"""Seconds that no single input may hold the loop."""


@dataclass
class Span:
    """What happened in some seconds."""

    calls: float
    scrapes: Scrapes
    stall: float


async def watched(exporter: WatchedExporter, vendor: CountingVendor, session: ClientSession, every: float) -> Span:
    """Look at an exporter for a while."""
    await vendor.report()
    await exporter.worst_stall()
    began = time.monotonic()
    scrapes = await scrape(session, exporter.url, SECONDS, every)
    calls = len(await vendor.report()) / (time.monotonic() - began)
    return Span(calls, scrapes, await exporter.worst_stall())


@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.soak) for kind in KINDS]
)
@pytest.mark.parametrize("rooms", [2_000, pytest.param(100_000, marks=pytest.mark.soak)])
async def test_flood(tmp_path: Path, kind: str, rooms: int) -> None:
    """
    Not a tenth fewer calls or scrapes than without, and no stall.

    The scraper has the strangers' own address, which is the worst case: it is told from them by its patience alone.
    """
    every = 3.0 if kind in PATIENCE or rooms > 2_000 else 0.5
    (tmp_path / "rooms.txt").write_text("\n".join(f"room-{number}" for number in range(rooms)))
    most = STALL if kind not in PATIENCE else 2 * STALL

    async def stall() -> float:
        calm, flooded = await spans(tmp_path, kind, every)
        assert 0 == flooded.scrapes.failed
        assert len(flooded.scrapes.took) >= 0.9 * len(calm.scrapes.took)
        assert flooded.calls >= 0.9 * calm.calls
        return flooded.stall

    assert most > await best(stall, most)


async def spans(folder: Path, kind: str, every: float) -> tuple[Span, Span]:
    """A calm one, and one with a stranger."""
    async with CountingVendor("127.0.0.1") as vendor, scraper() as session:
        keys = {"rooms_files": ["rooms.txt"], "rate_limit": 50, "interval": "1s", "max_staleness": "1h"}
        config = config_of(folder, vendor.port, **keys)
        async with WatchedExporter(config, "--log.level=error") as exporter:
            await asyncio.sleep(3)
            calm = await watched(exporter, vendor, session, every)
            flooding = asyncio.create_task(flood(exporter.port, kind, 2, SECONDS + 3))
            await asyncio.sleep(1.5)
            flooded = await watched(exporter, vendor, session, every)
            sent = await flooding

    assert sent > 0
    return calm, flooded
