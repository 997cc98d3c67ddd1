"""
The simulator in a process of its own, as far away from the exporter as a vendor is, and the levers to it.

Run as a program, it is that process: `python -m tests.e2e.vendors '{"seed": 1, "rooms": {"zego_rtc": 10}}' 0 stall`,
where the number is the port to listen on (0 takes a free one) and the last word the file for its stalls.

A busy machine may hold this process up. Calls that arrive meanwhile are counted late, with those of the second after,
which says nothing of the moments at which they were written. So the process watches its own loop, and `broken_limits`
allows for the stalls of a second. Where a refused call would change what is looked at, the simulator refuses calls only
far beyond the documented limit (`LENIENT`).
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp
import uvloop
import yaml
from yarl import URL

from exporter.app import until_signal
from exporter.simulator import DEFAULT_APPS, Settings, Simulator, World
from exporter.simulator.clock import Clock
from exporter.simulator.settings import DOCUMENTED_LIMITS

ZEGO, TENCENT, VOLCENGINE = DEFAULT_APPS.zego[0], DEFAULT_APPS.tencent[0], DEFAULT_APPS.volcengine[0]

CREDENTIALS: Mapping[str, Mapping[str, object]] = {
    "zego_rtc": {"app_id": ZEGO.app_id, "server_secret": ZEGO.server_secret},
    "zego_zim": {"app_id": ZEGO.app_id, "server_secret": ZEGO.server_secret},
    "tencent_im": {
        "sdk_app_id": TENCENT.sdk_app_id,
        "identifier": TENCENT.identifier,
        "secret_key": TENCENT.secret_key,
    },
    "tencent_live": {
        "sdk_app_id": TENCENT.sdk_app_id,
        "identifier": TENCENT.identifier,
        "secret_key": TENCENT.secret_key,
    },
    "volcengine_rtc": {
        "app_id": VOLCENGINE.app_id,
        "access_key_id": VOLCENGINE.access_key_id,
        "secret_access_key": VOLCENGINE.secret_access_key,
    },
}


LENIENT = {name: DOCUMENTED_LIMITS[name] * 3 // 2 for name in CREDENTIALS}
"""Limits for the simulator to enforce; what is checked afterwards is the documented one."""

_NOTABLE = 0.005

JITTER = 0.02
"""Seconds of delivery jitter that the pacing itself allows for."""


class Vendors:
    """
    A running simulator.

    Attributes:
        world: A copy of its world; what a test scripts is known to the running one alone.
    """

    def __init__(self, **settings: Any) -> None:
        self._given = settings
        self.settings = Settings(**settings)
        self.world = World(seed=self.settings.seed, rooms=self.settings.rooms, clock=Clock(), churn=self.settings.churn)
        self.url = ""
        self._process: asyncio.subprocess.Process | None = None
        self._client: aiohttp.ClientSession | None = None
        self._stall_file = tempfile.NamedTemporaryFile(mode="r", prefix="stall-")  # noqa: SIM115 lives as long as we do

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        self._stall_file.close()

    async def start(self) -> None:
        """Start it and wait until it listens: where it did before, if it was stopped; scripts are forgotten then."""
        port = str(URL(self.url).port or 0) if self.url else "0"
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.e2e.vendors",
            json.dumps(self._given),
            port,
            self._stall_file.name,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout
        self.url = (await self._process.stdout.readline()).decode().strip()
        self._client = aiohttp.ClientSession(self.url)

    async def stop(self) -> None:
        """End its process; its port is closed from then on."""
        assert self._process
        assert self._client
        await self._client.close()
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()

    def config(self, **sources: Mapping[str, object]) -> str:
        """
        A config's text: a source per keyword, named after its API unless it names another; rooms default to all.
        """
        return str(
            yaml.safe_dump(
                {
                    "sources": [
                        {
                            "name": name,
                            "api": (api := str(more.get("api", name))),
                            **CREDENTIALS[api],
                            "base_url": self.url,
                            "rooms": self.world.room_ids(api),
                            **more,
                        }
                        for name, more in sources.items()
                    ]
                },
                allow_unicode=True,
                sort_keys=False,
            )
        )

    async def get(self, path: str, **query: Any) -> Any:
        """The JSON of one page below `/_sim`."""
        assert self._client
        async with self._client.get(f"/_sim/{path}", params=query) as response:
            response.raise_for_status()
            return await response.json()

    async def post(self, path: str, order: object) -> Any:
        """Give an order below `/_sim`."""
        assert self._client
        async with self._client.post(f"/_sim/{path}", json=order) as response:
            body = await response.json()
            assert response.status == 200, body
            return body

    async def delete(self, path: str) -> None:
        """Clear what was ordered or recorded below `/_sim`."""
        assert self._client
        async with self._client.delete(f"/_sim/{path}") as response:
            response.raise_for_status()

    async def limits(self) -> dict[str, dict[str, Any]]:
        """What each budget saw, by its name; the tests use one app per API."""
        return {budget["name"]: budget for budget in (await self.get("limits"))["limits"]}

    async def broken_limits(self) -> dict[str, tuple[int, int]]:
        """Budgets whose worst sliding second held more calls than it may: that second, and what was allowed."""
        stall = float(self._stall_file.seek(0) or self._stall_file.read() or 0)
        broken = {}
        for name, seen in (await self.limits()).items():
            limit = DOCUMENTED_LIMITS[name]
            allowed = max(limit, math.ceil(limit * (1 + stall) / (1 + JITTER)))
            if seen["worst"] > allowed:
                broken[name] = (seen["worst"], allowed)
        return broken


async def _serve(settings: Settings, port: int, stall_file: Path) -> None:
    simulator = Simulator(settings)
    await simulator.start(port=port)
    sys.stdout.write(f"{simulator.url}\n")
    sys.stdout.flush()
    watching = asyncio.create_task(_watch_stalls(stall_file))
    with until_signal() as stopping:
        await stopping.wait()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await simulator.stop()


async def _watch_stalls(stall_file: Path) -> None:
    """Note the most that the loop was held up within one second, in all."""
    worst = 0.0
    lately: deque[tuple[float, float]] = deque()
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.005)
        now = time.monotonic()
        lately.append((now, now - began - 0.005))
        while lately[0][0] < now - 1.0:
            lately.popleft()
        held_up = sum(late for _, late in lately if late > _NOTABLE)
        if held_up > worst:
            worst = held_up
            stall_file.write_text(f"{worst:.3f}")  # noqa: ASYNC240  # a few bytes, and only when it grows


if __name__ == "__main__":
    uvloop.run(_serve(Settings(**json.loads(sys.argv[1])), int(sys.argv[2]), Path(sys.argv[3])))
