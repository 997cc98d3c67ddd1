"""
Two other ways to call ZEGO so many times a second: a bare loop, and the script that everyone writes.

Arguments: ``bare`` or ``script``, the vendor's address, calls per second, and a file with room ids in batches.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import uvloop
from prometheus_client import Gauge
from yarl import URL

from exporter.simulator import DEFAULT_APPS
from tests.benchmarks.servers.rooms import ADMIN_USERS, LABELS, SOURCE, TIMESTAMP, USERS

# A peer that only the runner installs.
requests: Any = import_module("requests")

_APP = DEFAULT_APPS.zego[0]
_THREADS = 10


def signed_query(rooms: list[str]) -> str:
    """What `DescribeUserNum` wants to be asked."""
    nonce, timestamp = secrets.token_hex(8), int(time.time())
    text = f"{_APP.app_id}{nonce}{_APP.server_secret}{timestamp}"
    signature = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    wanted = "&".join(f"RoomId[]={quote(room, safe='')}" for room in rooms)
    return (
        f"Action=DescribeUserNum&AppId={_APP.app_id}&SignatureNonce={nonce}&Timestamp={timestamp}"
        f"&SignatureVersion=2.0&Signature={signature}&{wanted}"
    )


def batches(rooms: list[str]) -> Iterator[list[str]]:
    """Ten rooms at a time, for ever."""
    while True:
        for start in range(0, len(rooms), 10):
            yield rooms[start : start + 10]


async def bare(url: str, rate: float, rooms: list[str], orders: asyncio.Queue[str]) -> None:
    """Fetch and decode; what to fetch was signed before, so that nothing else is done."""
    asked = batches(rooms)
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as calls:

        async def call(target: URL) -> None:
            async with session.get(target) as response:
                json.loads(await response.read())

        print("ready", flush=True)
        while count := int(await orders.get()):
            targets = [URL(f"{url}/?{signed_query(next(asked))}", encoded=True) for _ in range(count)]
            before, due = time.process_time(), time.monotonic()
            for target in targets:
                due += 1 / rate
                await asyncio.sleep(due - time.monotonic())
                calls.create_task(call(target))
            print(time.process_time() - before, flush=True)


def script(url: str, rate: float, rooms: list[str]) -> None:
    """A pool of threads, a requests session in each, a gauge per figure."""
    asked = batches(rooms)
    users, admin_users, timestamp = (Gauge(name, name, (*LABELS, "room")) for name in (USERS, ADMIN_USERS, TIMESTAMP))
    here = threading.local()

    def poll(batch: list[str]) -> None:
        if not hasattr(here, "session"):
            here.session = requests.Session()
        answer = here.session.get(f"{url}/?{signed_query(batch)}", timeout=5).json()
        for room in answer["Data"]["UserCountList"]:
            labels = (*SOURCE, room["RoomId"])
            users.labels(*labels).set(room["UserCount"])
            admin_users.labels(*labels).set(room["AdminUserCount"])
            timestamp.labels(*labels).set(time.time())

    with ThreadPoolExecutor(_THREADS) as pool:
        print("ready", flush=True)
        for line in sys.stdin:
            before, due = time.process_time(), time.monotonic()
            for _ in range(int(float(line.split()[1]))):
                due += 1 / rate
                time.sleep(max(0.0, due - time.monotonic()))
                pool.submit(poll, next(asked))
            print(time.process_time() - before, flush=True)


async def _main(url: str, rate: float, rooms: list[str]) -> None:
    orders: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def listen() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(orders.put_nowait, line.split()[1].partition(".")[0])
        loop.call_soon_threadsafe(orders.put_nowait, "0")

    threading.Thread(target=listen, daemon=True).start()
    await bare(url, rate, rooms, orders)


if __name__ == "__main__":
    kind, address, wanted_rate, file = sys.argv[1:]
    ids = json.loads(Path(file).read_text())
    if kind == "bare":
        uvloop.run(_main(address, float(wanted_rate), ids))
    else:
        script(address, float(wanted_rate), ids)
