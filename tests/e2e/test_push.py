"""
Where nobody may scrape, an agent beside the exporter pushes: vmagent or Prometheus, each with its file of `deploy/push`
and started as the document says, into a real VictoriaMetrics.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.project import ROOT
from tests.e2e.monitoring import Daemon, settled
from tests.e2e.process import ExporterProcess, free_port
from tests.e2e.vendors import LENIENT, Vendors
from tests.programs import find_program

pytestmark = [
    pytest.mark.needs_program("vmagent", "victoria-metrics", "prometheus"),
    pytest.mark.timed,
]

INSTALL = (ROOT / "docs/install.md").read_text(encoding="utf-8")
ROOM = "lobby"


class Database(Daemon):
    """
    VictoriaMetrics, on a free port.
    """

    def __init__(self, folder: Path) -> None:
        program, port = find_program("victoria-metrics"), free_port()
        assert program
        super().__init__(
            f"http://127.0.0.1:{port}",
            folder / "database.log",
            program,
            f"-storageDataPath={folder / 'database'}",
            f"-httpListenAddr=127.0.0.1:{port}",
            "-search.latencyOffset=0s",
            "-search.disableCache",
            "-http.maxGracefulShutdownDuration=1s",
        )

    async def users(self) -> int | None:
        """What it holds of the room now; `None` if that is nothing."""
        data = (await self.get("/api/v1/query", query=f'rtc_room_users{{room="{ROOM}"}}'))["data"]
        values = [int(series["value"][1]) for series in data["result"]]
        return values[0] if values else None

    async def read_at(self) -> set[float]:
        """Times of the readings that it has had within the last minute."""
        selector = f'rtc_room_reading_timestamp_seconds{{room="{ROOM}"}}[1m]'
        data = (await self.get("/api/v1/query", query=selector))["data"]
        return {float(value) for series in data["result"] for _, value in series["values"]}


def agent(name: str, folder: Path, exporter: str, database: str) -> Daemon:
    """
    An agent with its committed file and the documented command; addresses and folders are the test's.
    """
    (line,) = re.findall(rf"^{name} (?:.*\\\n)*.*$", INSTALL, re.MULTILINE)
    (path,) = re.findall(r"deploy/push/\S+\.yml", line)
    given: dict[str, Any] = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    given["global"]["scrape_interval"] = "1s"
    given["scrape_configs"][0]["static_configs"][0]["targets"] = [exporter.removeprefix("http://")]
    for write in given.get("remote_write", []):
        write["url"] = f"{database}/api/v1/write"
    file, port = folder / f"{name}.yml", free_port()
    file.write_text(yaml.safe_dump(given), encoding="utf-8")
    line = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", line.replace(path, str(file)))
    line = line.replace("https://metrics.example", database).replace("/var/lib", str(folder))
    # Prometheus 2 has the agent behind a feature flag.
    program, *flags = shlex.split(line.replace("\\\n", "").replace("--agent ", "--enable-feature=agent "))
    found = find_program(program)
    assert found
    return Daemon(f"http://127.0.0.1:{port}", folder / f"{name}.log", found, *flags)


@asynccontextmanager
async def running(*daemons: Daemon) -> AsyncIterator[None]:
    """
    Start these, and stop them at the end.
    """
    started = []
    try:
        for daemon in daemons:
            await daemon.start()
            started.append(daemon)
        yield
    finally:
        for daemon in reversed(started):
            await daemon.stop()


@pytest.mark.parametrize("name", ["vmagent", "prometheus"])
async def test_what_is_pushed_is_what_was_read(name, tmp_path):
    """
    A count arrives; readings of a time in which the database was away arrive when it is back; and a room that turns
    unknown has no value there either.
    """
    config_file = tmp_path / "exporter.yml"
    async with Vendors(rooms={"zego_rtc": 1}, churn=0, limits=LENIENT) as vendors:
        pace = {"interval": "1s", "timeout": "1s", "max_staleness": "3s"}
        config_file.write_text(vendors.config(zego_rtc={**pace, "rooms": [ROOM]}), encoding="utf-8")
        await vendors.post("rooms", [{"api": "zego_rtc", "room": ROOM, "do": "set", "users": 640}])
        database = Database(tmp_path)
        async with ExporterProcess(config_file) as exporter:
            pushing = agent(name, tmp_path, exporter.url, database.url)
            async with running(database, pushing):
                assert 640 == await settled(640, database.users, within=30)

                away = time.time()
                await database.stop()
                await asyncio.sleep(4)
                back = time.time()
                await database.start()

                async def readings_of_then() -> bool:
                    return sum(away < at < back for at in await database.read_at()) >= 3

                assert await settled(True, readings_of_then, within=60)

                await vendors.stop()
                assert await settled(None, database.users, within=30) is None
