"""
The demo: a simulator of all five vendor APIs and an exporter that polls it. It needs no credentials.

The simulator runs in its own process, as real vendors do. On one event loop, simulator and exporter would delay each
other.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.app import Exporter, WebOptions, run
from exporter.config import Config, parse
from exporter.errors import UserError
from exporter.logs import Log
from exporter.process import freeze_long_lived
from exporter.simulator import APIS, Apps, Simulator

_THRESHOLDS: Final = {"warning": 200, "critical": 400}
_URL: Final = re.compile(rb"http://\S+?(?=[\s,])")


def config_for(simulator: Simulator, url: str) -> str:
    """
    The text of a config file that watches every room of a simulator.

    Args:
        url: Address of a simulator with the same settings.
    """
    sources = [
        {
            "name": api.replace("_", "-"),
            "api": api,
            **_credentials(api, simulator.settings.apps),
            "base_url": url,
            "thresholds": _THRESHOLDS,
            "rooms": simulator.world.room_ids(api),
        }
        for api in APIS
        if simulator.world.room_ids(api)
    ]
    return str(yaml.safe_dump({"sources": sources}, allow_unicode=True, sort_keys=False))


async def run_demo(options: WebOptions, log: Log, started: Callable[[Exporter, str], None]) -> None:
    """
    Run simulator and exporter until a signal comes.

    Args:
        started: Called with the exporter and the simulator's URL when both listen.

    Raises:
        UserError: The simulator did not start, or the exporter cannot listen on its address.
    """
    async with _simulator_process() as url:
        text = config_for(Simulator(), url)

        def load() -> Config:
            # The simulated world has odd room ids on purpose: do not warn about them.
            return replace(parse(text, Path("demo.yml"), os.environ), warnings=())

        exporter = Exporter(load, "(demo)", options, log, changed=freeze_long_lived)
        await run(exporter, lambda: started(exporter, url))


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
    volcengine = apps.volcengine[0]
    return {
        "app_id": volcengine.app_id,
        "access_key_id": volcengine.access_key_id,
        "secret_access_key": volcengine.secret_access_key,
    }
