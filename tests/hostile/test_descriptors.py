"""
A process that may have few descriptors: vendors leave some to scrapes, and what has run out is told.
"""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.e2e.process import ExporterProcess, free_port, sample
from tests.hostile.stage import config_of, scrape, scraper
from tests.hostile.test_end import vendor_that_never_answers

pytestmark = pytest.mark.timed


@pytest.mark.parametrize("limit", [64, 256])
async def test_vendor_that_never_answers(tmp_path, limit):
    """
    Connections pile up until vendors have their part of the descriptors; every scrape is answered all the same.
    """
    async with vendor_that_never_answers() as port:
        rooms = [f"room-{number}" for number in range(5_000)]
        config = config_of(
            tmp_path, port, api="zego_zim", rooms=rooms, rate_limit=200, timeout="5s", max_staleness="5m"
        )
        web = free_port()
        command = f"ulimit -n {limit}; exec {sys.executable} -m exporter run --config.file={config}"
        log = tmp_path / "exporter.log"
        process = await asyncio.create_subprocess_shell(f"{command} --web.listen-address=127.0.0.1:{web} 2>{log}")
        async with ExporterProcess.at(config, web) as exporter:
            await asyncio.sleep(2)
            async with scraper(keep=False) as session:
                scrapes = await scrape(session, exporter.url, 8)
            _, text = await exporter.text("/metrics")
        process.terminate()
        code = await asyncio.wait_for(process.wait(), 5)

    assert 0 == scrapes.failed
    assert len(scrapes.took) >= 10
    assert sample(text, "process_open_fds") < limit - limit // 8
    assert "code=exhausted" in log.read_text()
    assert 0 == code
