"""
The demo: the simulator of all five vendors and an exporter that polls it, in one process, with no credentials at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from exporter.app import Exporter, WebOptions, run
from exporter.config import Config, parse
from exporter.polling.journal import Log
from exporter.simulator import APIS, Apps, Simulator

_WARNING, _CRITICAL = 800, 950


def config_for(simulator: Simulator) -> str:
    """A config file's text that watches every room of a running simulator, with its demo credentials."""
    sources = [
        {
            "name": api.replace("_", "-"),
            "api": api,
            **_credentials(api, simulator.settings.apps),
            "base_url": simulator.url,
            "thresholds": {"warning": _WARNING, "critical": _CRITICAL},
            "rooms": simulator.world.room_ids(api),
        }
        for api in APIS
        if simulator.world.room_ids(api)
    ]
    return str(yaml.safe_dump({"sources": sources}, allow_unicode=True, sort_keys=False))


async def run_demo(options: WebOptions, log: Log, started: Callable[[Exporter, Simulator], None]) -> None:
    """
    Run simulator and exporter until a signal comes.

    Args:
        started: Called with both once the exporter listens and polls.
    """
    simulator = Simulator()
    await simulator.start()
    text = config_for(simulator)

    def load() -> Config:
        return parse(text, Path("demo.yml"), os.environ)

    exporter = Exporter(load, "(demo)", options, log)
    try:
        await run(exporter, lambda: started(exporter, simulator))
    finally:
        await simulator.stop()


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
