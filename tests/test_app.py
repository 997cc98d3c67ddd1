"""
The exporter in one piece, without its process.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from exporter.app import Exporter, WebOptions
from exporter.config import load
from exporter.rooms import RoomsFiles
from exporter.web.reach import reach
from exporter.web.server import WebServer
from tests.polling.house import LogLines
from tests.polling.virtual_time import until


def write_config(folder: Path, **limits: float) -> Path:
    """A config of ZEGO apps with these limits, which nobody answers; a rooms file for each."""
    sources = [
        {
            "name": name,
            "api": "zego_rtc",
            "base_url": "http://127.0.0.1:1",
            "app_id": 1_234_567_890 + number,
            "server_secret": "0123456789abcdef0123456789abcdef",
            "rooms_files": [f"{name}.yml"],
            "rate_limit": limit,
        }
        for number, (name, limit) in enumerate(limits.items())
    ]
    for name in limits:
        (folder / f"{name}.yml").write_text('[{"targets": ["a"]}]')
    config = folder / "exporter.yml"
    config.write_text(json.dumps({"sources": sources}))
    return config


@asynccontextmanager
async def running(config: Path, log: LogLines) -> AsyncIterator[Exporter]:
    """The exporter at work with this config."""
    exporter = Exporter(lambda: load(config, {}), str(config), WebOptions("127.0.0.1:0"), log)
    await exporter.start()
    try:
        yield exporter
    finally:
        await exporter.stop()


async def test_rooms_files_of_one_source_do_not_keep_the_others_from_being_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    An error that nobody foresaw is counted and logged, and stays the matter of its source.
    """
    log = LogLines()
    async with running(write_config(tmp_path, first=10, second=10, third=10), log) as exporter:
        running_sources = exporter.sources.running
        errors = {running_sources["first"].files: KeyError, running_sources["second"].files: LookupError}
        scan = RoomsFiles.scan

        def scan_or_fail(files: RoomsFiles) -> bool:
            if files in errors:
                raise errors[files]
            return scan(files)

        monkeypatch.setattr(RoomsFiles, "scan", scan_or_fail)
        (tmp_path / "third.yml").write_text('[{"targets": ["a", "b"]}]')
        await until(lambda: len(exporter.table["third"]) == 2, within=20)
        await until(lambda: bool(exporter.telemetry.unexpected_errors), within=20)

        told = [
            cast(Exception, line.values["exc_info"]) for line in log.lines if line.event == "unexpected error in a job"
        ]
        assert [KeyError, LookupError] == [type(error) for error in told]
        assert [["source: first"], ["source: second"]] == [error.__notes__ for error in told]
        assert [1, 1] == [len(exporter.table[name]) for name in ("first", "second")]


async def test_ticks_suit_the_calls_that_there_can_be(tmp_path: Path) -> None:
    """
    Shorter ones where budgets allow many calls, longer ones again when a reload takes most of these away.
    """
    async with running(write_config(tmp_path, first=10, second=1_500), LogLines()) as exporter:
        short = exporter._timer.tick
        write_config(tmp_path, first=10)
        assert await exporter.reloads.ask() is None

        assert (0.005, 0.02) == (short, exporter._timer.tick)


@pytest.mark.parametrize(("host", "event"), [("127.0.0.1", "listening"), ("10.1.2.3", "the port is open to everybody")])
async def test_the_first_line_tells_who_reaches_the_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, event: str
) -> None:
    """
    Before what is odd about the config, and only once the port is open.
    """
    monkeypatch.setattr(WebServer, "reach", lambda web: reach(host, web.port, (), lifecycle=False))
    config = write_config(tmp_path, first=10)
    config.write_text(config.read_text().replace("first.yml", "nowhere.yml"))
    log = LogLines()

    async with running(config, log) as exporter:
        first, second = log.lines[:2]

    assert (event, f"{host}:{exporter.web.port}") == (first.event, first.values["address"])
    assert ("config", "source first: no file matches") == (second.event, str(second.values["warning"])[:29])
