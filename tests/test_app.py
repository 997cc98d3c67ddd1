"""
The exporter in one piece, without its process.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import structlog

from exporter.app import Exporter, WebOptions
from exporter.config import load
from exporter.metrics.catalogue import UNEXPECTED_ERRORS
from exporter.rooms import RoomsFiles
from tests.polling.virtual_time import until


async def test_rooms_files_of_one_source_do_not_keep_the_others_from_being_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    An error that nobody foresaw is counted, and stays the matter of its source.
    """
    for name in ("first", "second"):
        (tmp_path / f"{name}.yml").write_text('[{"targets": ["a"]}]')
    sources = [
        {
            "name": name,
            "api": "zego_rtc",
            "base_url": "http://127.0.0.1:1",
            "app_id": 1234567890,
            "server_secret": "0123456789abcdef0123456789abcdef",
            "rooms_files": [f"{name}.yml"],
        }
        for name in ("first", "second")
    ]
    config = tmp_path / "exporter.yml"
    config.write_text(json.dumps({"sources": sources}))
    exporter = Exporter(lambda: load(config, {}), str(config), WebOptions("127.0.0.1:0"), structlog.get_logger())
    await exporter.start()
    try:
        broken, scan = exporter.sources["first"].files, RoomsFiles.scan

        def scan_or_fail(files: RoomsFiles) -> bool:
            if files is broken:
                raise ZeroDivisionError
            return scan(files)

        monkeypatch.setattr(RoomsFiles, "scan", scan_or_fail)
        (tmp_path / "second.yml").write_text('[{"targets": ["a", "b"]}]')

        await until(lambda: len(exporter.table["second"]) == 2, within=20)
        await until(lambda: bool(exporter.telemetry.registry.get_sample_value(UNEXPECTED_ERRORS.name)), within=20)
        assert 1 == len(exporter.table["first"])
    finally:
        await exporter.stop()
