"""
The endpoint of the page on discovery, as a reader would run it.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from exporter.config.discovery import HttpSdConfig
from exporter.config.rooms import NO_DEFAULTS
from exporter.rooms.http_sd import HttpSd
from exporter.rooms.provider import Listing, Result
from exporter.vendors import APIS
from tests.docs.pages import Page
from tests.e2e.process import free_port

pytestmark = pytest.mark.docs


async def test_the_endpoint_of_the_page_works(tmp_path: Path) -> None:
    """
    The program names its rooms with their labels, and is fifteen lines at most.
    """
    (block,) = Page("docs/discovery.md").blocks("python")
    port = free_port()
    program = tmp_path / "rooms.py"
    program.write_text(block.text.replace("8000", str(port)), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(sys.executable, program, stderr=asyncio.subprocess.DEVNULL)
    listing = Listing(Result.FAILED, 0.0)
    asked = HttpSd(HttpSdConfig("http_sd", f"http://127.0.0.1:{port}/"), APIS["zego_rtc"].room_ids, NO_DEFAULTS)
    try:
        for _ in range(200):
            if (listing := await asked.refresh()).result is Result.COMPLETE:
                break
            await asyncio.sleep(0.05)  # until it listens
    finally:
        await asked.aclose()
        process.kill()
        await process.wait()

    assert 15 >= len([line for line in block.text.splitlines() if line.strip()])
    assert (Result.COMPLETE, ["live_1", "live_2"]) == (listing.result, list(listing.rooms))
    assert (("event", "launch"),) == listing.rooms["live_1"].labels
