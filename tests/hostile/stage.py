"""
The exporter between a vendor that counts its calls and strangers who do what they like; all are programs of their own.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from tests.e2e.process import ExporterProcess


class WatchedExporter(ExporterProcess):
    """
    One that measures how long its loop is held up.
    """

    def __init__(self, config_file: Path, *flags: str, env: Mapping[str, str] | None = None) -> None:
        super().__init__(config_file, *flags, env=env)
        self._stalls = config_file.with_suffix(".stalls")
        self.program = [sys.executable, "-m", "tests.hostile.watched", str(self._stalls)]

    async def worst_stall(self) -> float:
        """Seconds of the longest one since the last time that this was asked."""
        self._stalls.unlink(missing_ok=True)
        self.signal(signal.SIGUSR1)
        for _ in range(2_000):
            if self._stalls.exists():
                break
            await asyncio.sleep(0.01)
        told = json.loads(self._stalls.read_text())
        return float(told["stall"])


@dataclass(slots=True)
class Scrapes:
    """
    What became of the scrapes of one scraper.

    Args:
        took: Seconds of those that were answered whole.
    """

    took: list[float]
    failed: int = 0


@asynccontextmanager
async def scraper(*, keep: bool = True) -> AsyncIterator[aiohttp.ClientSession]:
    """One that asks for gzip, and keeps its connection as Prometheus does, unless it is told not to."""
    connector = aiohttp.TCPConnector(force_close=not keep)
    headers = {"Accept-Encoding": "gzip"}
    async with aiohttp.ClientSession(connector=connector, headers=headers, auto_decompress=False) as session:
        yield session


async def scrape(session: aiohttp.ClientSession, url: str, seconds: float, every: float = 0.5) -> Scrapes:
    """Scrape for a while as Prometheus does: at regular times, each with a time-out."""
    told = Scrapes([])
    until = time.monotonic() + seconds
    due = time.monotonic()
    while due < until:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        began = time.monotonic()
        try:
            async with session.get(f"{url}/metrics", timeout=aiohttp.ClientTimeout(total=5)) as response:
                await response.read()
                assert 200 == response.status
            told.took.append(time.monotonic() - began)
        except (aiohttp.ClientError, OSError, AssertionError):
            told.failed += 1
        due = max(due + every, time.monotonic())
    await asyncio.sleep(max(0.0, until - time.monotonic()))
    return told


async def flood(port: int, kind: str, megabytes: float, seconds: float) -> int:
    """Let a stranger send so many megabytes a second; returns how many bytes it has sent."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.hostile.flood",
        str(port),
        kind,
        str(megabytes),
        str(seconds),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        told, _ = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    return int(told)


SOURCE: Final = {"name": "live", "api": "zego_rtc", "app_id": 1234567890, "server_secret": "0123456789abcdef" * 2}


def config_of(folder: Path, port: int, **keys: object) -> Path:
    """A config in this folder with one source, whose vendor listens on this port."""
    file = folder / "exporter.yml"
    source = {**SOURCE, "base_url": f"http://127.0.0.1:{port}", "rooms": ["lobby"], **keys}
    if "server_secret_file" in keys:
        del source["server_secret"]
    file.write_text(json.dumps({"sources": [source]}))
    return file


async def ends_within(exporter: ExporterProcess, seconds: float) -> int:
    """Send it SIGTERM; returns its exit code."""
    async with asyncio.timeout(seconds):
        return await exporter.stop()
