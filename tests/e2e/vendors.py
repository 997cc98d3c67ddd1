"""
The simulator in a process of its own, as far away from the exporter as a vendor is, and the levers to it.

Run as a program (`python -m tests.e2e.vendors '{…}'`, see `Orders`), it is that process. It prints its addresses, and
SIGHUP makes it read its certificate again.

Where a refused call would change what is looked at, the simulator refuses calls only far beyond the documented limit
(`LENIENT`); whether the documented one was kept, `broken_limits` tells from when each call was received. While a busy
machine holds the simulator's process up, that cannot be told: such moments are left out, see `disturbances`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import aiohttp
import msgspec
import uvloop
import yaml
from yarl import URL

from exporter.simulator import DEFAULT_APPS, Apps, Settings, Simulator, World, Worlds
from exporter.simulator.clock import Clock
from exporter.simulator.settings import APIS, DOCUMENTED_LIMITS
from tests.e2e.call_book import Budget, CallBook
from tests.e2e.certificates import Certificates
from tests.e2e.disturbances import Disturbances, Span, note_disturbances

LENIENT = {api: DOCUMENTED_LIMITS[api] * 3 // 2 for api in APIS}
"""Limits for the simulator to enforce; what is checked afterwards is the documented one."""


class Orders(msgspec.Struct, frozen=True):
    """
    What the process is started with.

    Attributes:
        port: To listen on; 0 takes a free one.
        disturbances: The file to note disturbances in, a JSON list a line.
        certificate: A file with key and certificates: HTTPS is spoken on another port, too.
    """

    settings: Settings
    port: int
    disturbances: str
    certificate: str | None = None


class Vendors:
    """
    A running simulator.

    Attributes:
        url, tls_url: Its addresses; the latter is empty without certificates.
        worlds: A copy of its worlds; what a test scripts is known to the running one alone.
        calls: Every call that it received.
    """

    def __init__(self, *, certificates: Certificates | None = None, **settings: Any) -> None:
        self.settings = Settings(**settings)
        self.worlds = Worlds(self.settings, Clock())
        self.url = self.tls_url = ""
        self.calls = CallBook(self.get)
        self._certificates = certificates
        self._process: asyncio.subprocess.Process | None = None
        self._client: aiohttp.ClientSession | None = None
        self._disturbances = tempfile.NamedTemporaryFile(prefix="disturbances-")  # noqa: SIM115 lives as long as we do

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        self._disturbances.close()

    @property
    def world(self) -> World:
        """The world of every vendor's first app."""
        return self.worlds.first

    async def start(self) -> None:
        """Start it and wait until it listens: where it did before, if it was stopped; scripts are forgotten then."""
        orders = Orders(
            settings=self.settings,
            port=URL(self.url).port or 0 if self.url else 0,
            disturbances=self._disturbances.name,
            certificate=str(self._certificates.server_file) if self._certificates else None,
        )
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.e2e.vendors", msgspec.json.encode(orders), stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout
        self.url, _, self.tls_url = (await self._process.stdout.readline()).decode().strip().partition(" ")
        self._client = aiohttp.ClientSession(self.url)
        self.calls.start_anew()

    async def stop(self) -> None:
        """End its process; its port is closed from then on."""
        assert self._process
        assert self._client
        await self._client.close()
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()

    def renew_certificates(self) -> None:
        """Show the certificate of a new authority to whoever connects from now on."""
        assert self._process
        assert self._certificates
        self._certificates.renew()
        self._process.send_signal(signal.SIGHUP)

    def app(self, api: str, number: int = 0) -> str:
        """The id of that app of the API's vendor."""
        return self.settings.apps.ids()[api.partition("_")[0]][number]

    def config(self, **sources: Mapping[str, object]) -> str:
        """
        A config's text: a source per keyword, named after its API unless it names another.

        Rooms default to all. An `app` is the place of the source's app among its vendor's; the first by default.
        """
        written = []
        for name, given in sources.items():
            keys = dict(given)
            api, app = str(keys.get("api", name)), int(str(keys.pop("app", 0)))
            base = {"base_url": self.url, "rooms": self.world.room_ids(api)}
            written.append({"name": name, "api": api, **credentials(api, app, self.settings.apps), **base, **keys})
        return str(yaml.safe_dump({"sources": written}, allow_unicode=True, sort_keys=False))

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

    async def budgets(self) -> dict[Budget, dict[str, Any]]:
        """What the simulator says of each budget that was drawn on."""
        reports = (await self.get("limits"))["limits"]
        return {Budget(report["name"], report["holder"]): report for report in reports}

    async def budget(self, api: str) -> dict[str, Any]:
        """What the simulator says of the first app's budget for an API."""
        app = self.settings.apps.volcengine[0].access_key_id if api == "volcengine_rtc" else self.app(api)
        return (await self.budgets())[Budget(api, app)]

    async def broken_limits(self) -> dict[Budget, tuple[int, int]]:
        """
        Budgets with an undisturbed sliding second that held too many calls: the most of them, and what was allowed.

        Raises:
            TooBusyError: Too many seconds were disturbed to tell.
        """
        await self.calls.read()
        disturbances = Disturbances(self._noted())
        broken = {}
        for budget, seconds in self.calls.overfull().items():
            judged = disturbances.judge(seconds, self.calls.measured())
            if judged:
                worst = max(judged, key=lambda second: second.calls - second.allowed)
                broken[budget] = (worst.calls, worst.allowed)
        return broken

    def _noted(self) -> list[Span]:
        lines = Path(self._disturbances.name).read_text(encoding="ascii").splitlines()
        return [Span(*json.loads(line)) for line in lines]


def credentials(api: str, app: int = 0, apps: Apps = DEFAULT_APPS) -> dict[str, object]:
    """The keys of a source that polls this app, in clear text."""
    if api.startswith("zego"):
        zego = apps.zego[app]
        return {"app_id": zego.app_id, "server_secret": zego.server_secret}
    if api.startswith("tencent"):
        tencent = apps.tencent[app]
        return {
            "sdk_app_id": tencent.sdk_app_id,
            "identifier": tencent.identifier,
            "secret_key": tencent.secret_key,
        }
    if api.startswith("janus"):
        janus = apps.janus[app]
        return {"admin_path": janus.admin_path, "admin_secret": janus.admin_secret, "admin_key": janus.admin_key}
    volcengine = apps.volcengine[app]
    return {
        "app_id": volcengine.app_id,
        "access_key_id": volcengine.access_key_id,
        "secret_access_key": volcengine.secret_access_key,
    }


async def _serve(orders: Orders) -> None:
    with suppress(PermissionError):
        # Where that is allowed, whoever measures goes before everybody else: fewer moments are disturbed then.
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    simulator = Simulator(orders.settings)
    tls = _certified(orders.certificate) if orders.certificate else None
    await simulator.start(port=orders.port, tls=tls)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    loop.add_signal_handler(signal.SIGINT, stopping.set)
    if tls and orders.certificate:
        loop.add_signal_handler(signal.SIGHUP, tls.load_cert_chain, orders.certificate)
    with open(orders.disturbances, "a", encoding="ascii", buffering=1) as noted:  # noqa: PTH123, ASYNC230  # opened once
        watching = asyncio.create_task(note_disturbances(lambda span: print(json.dumps(span), file=noted)))
        sys.stdout.write(f"{simulator.url} {simulator.tls_url}\n")
        sys.stdout.flush()
        await stopping.wait()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    await simulator.stop()


def _certified(file: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


if __name__ == "__main__":
    uvloop.run(_serve(msgspec.json.decode(sys.argv[1], type=Orders)))
