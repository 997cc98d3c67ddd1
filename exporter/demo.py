"""
The demo: a simulator of all six vendor APIs and an exporter that polls it. It needs no credentials.

The simulator runs in its own process, as real vendors do. On one event loop, simulator and exporter would delay each
other.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from exporter.app import Exporter, WebOptions, run
from exporter.config import Config, parse
from exporter.errors import UserError
from exporter.logs import Log
from exporter.process import collect_garbage
from exporter.simulator import APIS, Apps, Simulator
from exporter.vendors import APIS as CODECS

_THRESHOLDS: Final = {"warning": 200, "critical": 400}
_NAMED: Final = 20
"""Rooms of each API that the config names."""
_NEW_ROOMS: Final = 20_000
"""A minute: at the start the lists bring some thousand at once."""
_TRAFFIC: Final = {"rooms": 5, "opens": 6.0, "closes": 6.0, "changes": 12.0}
_CALLBACK_SECRET: Final = "demo-callback-secret"  # noqa: S105 opens nothing but the demo
_PATH_TOKEN: Final = "demo-path-token-0123456789"  # noqa: S105 as above
_URL: Final = re.compile(rb"http://\S+?(?=[\s,])")


def config_for(simulator: Simulator, url: str) -> str:
    """
    A config file's text for a simulator, with its credentials: some rooms are named, the others find themselves.

    Args:
        url: Where a simulator with the same settings listens.
    """
    sources = [
        {
            "name": _name(api),
            "api": api,
            **_credentials(api, simulator.settings.apps),
            "base_url": url,
            "thresholds": _THRESHOLDS,
            "rooms": _named(api, simulator.world.room_ids(api)),
            "discovery": _discovery(api, url),
        }
        for api in APIS
        if simulator.world.room_ids(api)
    ]
    document = {"callbacks": {"listen_address": "127.0.0.1:0"}, "sources": sources}
    return str(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))


async def run_demo(options: WebOptions, log: Log, started: Callable[[Exporter, str], None]) -> None:
    """
    Run simulator and exporter until a signal comes.

    Args:
        started: Called with the exporter and the simulator's address once both listen.

    Raises:
        UserError: The simulator did not start, or the address cannot be listened on.
    """
    async with _simulator_process() as url, AsyncExitStack() as stack:
        text = config_for(Simulator(), url)

        def load() -> Config:
            # The simulated world has odd room ids on purpose: no news to whoever looks at it.
            return replace(parse(text, Path("demo.yml"), os.environ), warnings=())

        def begin() -> None:
            opening = asyncio.create_task(_open_rooms(url, exporter.callbacks.port))
            stack.callback(opening.cancel)
            started(exporter, url)

        exporter = Exporter(load, "(demo)", options, log, every_second=collect_garbage)
        await run(exporter, begin)


async def _open_rooms(url: str, port: int) -> None:
    """Let the simulator open and close rooms by the minute, and tell the exporter of it by callbacks."""
    async with aiohttp.ClientSession() as session:
        for api in APIS:
            orders: dict[str, dict[str, Any]] = {"traffic": {"api": api, **_TRAFFIC}}
            if CODECS[api].callbacks:
                receiver = f"http://127.0.0.1:{port}/callback/{_name(api)}/{_PATH_TOKEN}"
                orders["callbacks"] = {"api": api, "url": receiver, "secret": _CALLBACK_SECRET}
            for path, order in orders.items():
                async with session.post(f"{url}/_sim/{path}", json=order):
                    pass


def _name(api: str) -> str:
    return api.replace("_", "-")


def _named(api: str, rooms: list[str]) -> list[str]:
    """Rooms for the config: the first ones, and Tencent's communities, which its list of live rooms leaves out."""
    return rooms[:_NAMED] + [room for room in rooms[_NAMED:] if api == "tencent_im" and room.startswith("@TGS#_")]


def _discovery(api: str, url: str) -> dict[str, Any]:
    """Where a source's other rooms come from: callbacks, and the vendor's list or, where it has none, a backend."""
    discovery: dict[str, Any] = {"new_rooms_per_minute": _NEW_ROOMS}
    if CODECS[api].callbacks:
        discovery["callbacks"] = {"secret": _CALLBACK_SECRET, "path_token": _PATH_TOKEN}
    if CODECS[api].lists:
        return {**discovery, "vendor_list": {}}
    return {**discovery, "http_sd": [{"url": f"{url}/_sim/http_sd/{api}"}]}


@asynccontextmanager
async def _simulator_process() -> AsyncIterator[str]:
    command = (sys.executable, "-m", "exporter", "simulate", "--web.listen-address=127.0.0.1:0")
    try:
        # In its own session, so that Ctrl+C does not end it before the exporter's last calls.
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, start_new_session=True)
    except OSError as error:
        raise UserError(f"the simulator did not start: {error.strerror}") from error
    try:
        found = _URL.search(await process.stdout.readline()) if process.stdout else None
        if found is None:
            raise UserError("the simulator did not start: it ended by itself")
        yield found[0].decode()
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def _credentials(api: str, apps: Apps) -> dict[str, Any]:
    if api.startswith("zego"):
        return {"app_id": apps.zego[0].app_id, "server_secret": apps.zego[0].server_secret}
    if api.startswith("tencent"):
        app = apps.tencent[0]
        return {"sdk_app_id": app.sdk_app_id, "identifier": app.identifier, "secret_key": app.secret_key}
    if api.startswith("janus"):
        return {"admin_secret": apps.janus[0].admin_secret, "admin_key": apps.janus[0].admin_key}
    volcengine = apps.volcengine[0]
    return {
        "app_id": volcengine.app_id,
        "access_key_id": volcengine.access_key_id,
        "secret_access_key": volcengine.secret_access_key,
    }
