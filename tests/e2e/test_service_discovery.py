"""
A real Prometheus that finds the rooms at ``/sd/rooms``.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from exporter.model import Room
from tests.benchmarks.exporter import free_port
from tests.docs.pages import HTTP
from tests.e2e.monitoring import Daemon, settled
from tests.programs import find_program
from tests.web.site import Site

pytestmark = [pytest.mark.needs_program("prometheus"), pytest.mark.timeout(120)]

PATIENCE = 30
FAILURES = re.compile(r"^prometheus_sd_http_failures_total (\d+)", re.MULTILINE)


class Reader:
    """
    Prometheus with the job of the handbook, on this exporter.
    """

    def __init__(self, folder: Path, site: Site) -> None:
        (block,) = [block for block in HTTP.blocks("yaml") if "http_sd_configs" in block.text]
        text = block.text.replace("http://127.0.0.1:9877", site.server.url).replace(
            "recorder:8080", site.server.url[7:]
        )
        file = folder / "prometheus.yml"
        settings = yaml.safe_load(text.replace("?source=live", "").replace("10s", "1s"))
        file.write_text(yaml.safe_dump(settings))
        address = f"127.0.0.1:{free_port()}"
        program = find_program("prometheus")
        assert program
        self.daemon = Daemon(
            f"http://{address}",
            folder / "prometheus.log",
            program,
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        )

    async def targets(self) -> set[tuple[str, str, str, str]]:
        """
        Source, API, room and the room's label of each target.
        """
        found = (await self.daemon.get("/api/v1/targets"))["data"]
        assert [] == found["droppedTargets"]
        return {
            (
                target["labels"]["source"],
                target["discoveredLabels"]["__meta_rtc_api"],
                target["labels"]["room"],
                target["labels"].get("event", ""),
            )
            for target in found["activeTargets"]
        }

    async def failures(self) -> int:
        """
        How many refreshes have failed.
        """
        assert self.daemon._client
        async with self.daemon._client.get("/metrics") as response:
            (count,) = FAILURES.findall(await response.text())
        return int(count)


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Site]:
    """
    An exporter's web server.
    """
    async with Site() as site:
        yield site


async def test_prometheus_takes_the_rooms_for_targets(site: Site, tmp_path: Path) -> None:
    """
    With the job that the handbook prints: rooms come and go with the list, and stay when there is none.
    """
    site.watch("live", [Room("a", (("event", "launch"),)), "b/c"])
    site.watch("im", ["房间"], api="tencent_im")
    reader = Reader(tmp_path, site)
    await reader.daemon.start()
    try:
        stage, slash, im = (
            ("live", "zego_rtc", "a", "launch"),
            ("live", "zego_rtc", "b/c", ""),
            ("im", "tencent_im", "房间", ""),
        )
        assert {stage, slash, im} == await settled({stage, slash, im}, reader.targets, PATIENCE)
        site.table["live"].forget(["b/c"])
        assert {stage, im} == await settled({stage, im}, reader.targets, PATIENCE)
        assert 0 == await reader.failures()

        site.why_unready = "it starts"

        async def failed() -> bool:
            return await reader.failures() > 0

        assert await settled(True, failed, PATIENCE)
        assert {stage, im} == await reader.targets()
    finally:
        await reader.daemon.stop()
