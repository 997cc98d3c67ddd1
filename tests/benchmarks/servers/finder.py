"""
Takes over a list of rooms from http_sd again and again, and prints seconds and longest gap of each time as JSON.

Arguments: ``ours`` or ``json``, the URL, and how often.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping

import aiohttp
import uvloop

from exporter import process
from exporter.config.discovery import HttpSdConfig
from exporter.config.rooms import NO_DEFAULTS
from exporter.model import Room
from exporter.rooms.http_sd import HttpSd
from exporter.vendors import APIS
from tests.benchmarks.servers.ticker import Ticker

Refresh = Callable[[], Awaitable[Mapping[str, Room]]]


async def ours(url: str, measure: Callable[[Refresh], Awaitable[None]]) -> None:
    """The exporter's own client."""
    client = HttpSd(HttpSdConfig("http_sd", url), APIS["zego_rtc"].room_ids, NO_DEFAULTS)

    async def refresh() -> Mapping[str, Room]:
        return (await client.refresh()).rooms

    await measure(refresh)
    await client.aclose()


async def plain(url: str, measure: Callable[[Refresh], Awaitable[None]]) -> None:
    """What a script does: decode on the loop, put what comes out into a dict, check nothing."""
    async with aiohttp.ClientSession() as session:

        async def refresh() -> Mapping[str, Room]:
            async with session.get(url) as response:
                groups = json.loads(await response.read())
            rooms = {}
            for group in groups:
                labels = tuple(sorted(group["labels"].items()))
                for target in group["targets"]:
                    rooms[target] = Room(target, labels)
            return rooms

        await measure(refresh)


async def main(way: str, url: str, times: int) -> None:
    """Measure, print, and wait until nobody listens any more."""
    process.prepare()
    ticker, samples = Ticker(), list[tuple[int, float, float]]()

    async def measure(refresh: Refresh) -> None:
        await refresh()
        for _ in range(times):
            await asyncio.sleep(0.05)
            ticker.longest()
            began = time.perf_counter()
            rooms = await refresh()
            samples.append((len(rooms), time.perf_counter() - began, ticker.longest()))
            del rooms

    await (ours if way == "ours" else plain)(url, measure)
    print(json.dumps(samples), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
