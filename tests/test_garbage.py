"""
What the exporter no longer needs is freed at once: nothing of it waits for the garbage collector.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.app import Exporter, WebOptions
from exporter.clock import Clock
from exporter.config import load
from exporter.polling.client import Client
from exporter.reload import Running
from tests.e2e.process import free_port
from tests.polling.house import LogLines
from tests.polling.wire import config_for, ok, serving

SOURCE = "- {{name: {name}, api: {api}, rooms: [a, b], interval: 1s, base_url: '{url}', {keys}}}\n"
ZEGO = f"app_id: 7, server_secret: {'0123456789abcdef' * 2}"
TENCENT = f"sdk_app_id: 7, identifier: administrator, secret_key: {'0123456789abcdef' * 4}"
DISCOVERY = "discovery: {{vendor_list: {{}}, http_sd: [{{url: '{url}/sd'}}]}}"


@pytest.fixture
def uncollected() -> Iterator[None]:
    """
    The collector has nothing left to find, and looks no more.
    """
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def sources(name: str, url: str) -> str:
    """
    The text of a config: a source that polls a list of rooms, and one that finds its rooms.
    """
    found = f"{TENCENT}, {DISCOVERY.format(url=url)}"
    listed = SOURCE.format(name=f"{name}-listed", api="zego_rtc", url=url, keys=ZEGO)
    return "sources:\n" + listed + SOURCE.format(name=f"{name}-found", api="tencent_im", url=url, keys=found)


def parts(running: Running) -> list[weakref.ref[Any]]:
    """
    The objects of a source that are large, or refer to each other.
    """
    poller, discovery = running.poller, running.discovery
    found = [running.watchlist, poller, poller._client, poller.planner, poller.table]
    return [weakref.ref(each) for each in [*found, discovery, discovery and discovery.lister] if each]


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("answers", [True, False])
async def test_sources_that_a_reload_removed(tmp_path: Path, answers: bool) -> None:
    """
    Poller, connections, table and discovery of a source that a reload has removed go when its last call has ended.
    """
    config = tmp_path / "exporter.yml"
    async with serving(ok) as (server, url):
        vendor = url if answers else f"http://127.0.0.1:{free_port()}"
        config.write_text(sources("old", vendor))
        exporter = Exporter(lambda: load(config, {}), "exporter.yml", WebOptions("127.0.0.1:0"), LogLines())
        await exporter.start()
        if answers:
            await server.asked()
        await asyncio.sleep(0.1)
        old: list[weakref.ref[Any]] = []
        for running in exporter.sources.running.values():
            old += parts(running)
        del running
        config.write_text(sources("new", vendor))
        reason = await exporter.reloads.ask()
        for _ in range(100):
            if not any(each() for each in old):
                break
            await asyncio.sleep(0.02)

        assert reason is None
        assert 12 == len(old)
        assert [] == [each() for each in old if each()]
        await exporter.stop()


@pytest.mark.usefixtures("uncollected")
async def test_connections_that_cannot_be_opened() -> None:
    """
    An attempt leaves no exception behind whose traceback leads back to it.
    """
    client = Client(config_for(f"http://127.0.0.1:{free_port()}"), None, Clock())
    for _ in range(50):
        assert await client._connect()

    assert 50 > gc.collect()
    await client.aclose()
