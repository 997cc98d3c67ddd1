"""
The same calls at the same limits, with aiolimiter in the place of our budgets.

Arguments: 0 for ``AsyncLimiter(rate, 1)``, 1 for ``AsyncLimiter(1, 1 / rate)``; the vendors' address; rooms that are
served and scraped meanwhile.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from typing import Any

import aiohttp
import uvloop
from yarl import URL

from exporter.model import Stamp
from exporter.vendors import APIS
from exporter.vendors.codec import Codec
from exporter.vendors.source import Secret
from tests.benchmarks.servers.orders import obey
from tests.benchmarks.servers.ours import serving
from tests.benchmarks.vendor import CREDENTIALS

# A peer that only the runner installs.
AsyncLimiter: Any = import_module("aiolimiter").AsyncLimiter

_RATES = {"zego_rtc": 10, "zego_zim": 20, "volcengine_rtc": 40, "tencent_im": 200}
_SECRETS = {"server_secret", "secret_key", "secret_access_key"}


async def poll(session: aiohttp.ClientSession, url: str, codec: Codec, limiter: Any) -> None:
    """Make a call of one room whenever the limiter lets us."""
    credentials = {
        name: Secret(str(value)) if name in _SECRETS else value for name, value in CREDENTIALS[codec.api].items()
    }
    source = codec.source_model.model_validate({"name": codec.api, "api": codec.api, "base_url": url, **credentials})
    auth = codec.authorize(source, time.time())

    async def call() -> None:
        request = codec.request(source, auth, ("room",), Stamp(time.time(), secrets.token_hex(8)))
        target = URL(request.url, encoded=True)
        async with session.request(request.method, target, headers=request.headers, data=request.body) as response:
            await response.read()

    async with asyncio.TaskGroup() as calls:
        while True:
            async with limiter:
                calls.create_task(call())


def limiters(kind: int) -> Iterable[tuple[Codec, Any]]:
    """A limiter for each API's documented limit."""
    for api, rate in _RATES.items():
        yield APIS[api], AsyncLimiter(rate, 1) if kind == 0 else AsyncLimiter(1, 1 / rate)


async def main(kind: int, url: str, rooms: int) -> None:
    """Call and serve until stdin ends."""
    async with serving(rooms) as (web, _), aiohttp.ClientSession() as session:
        polling = [asyncio.create_task(poll(session, url, codec, limiter)) for codec, limiter in limiters(kind)]
        await obey(web.port, {})
        for task in polling:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*polling)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
