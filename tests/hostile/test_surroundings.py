"""
Odd surroundings of a process: environment variables, clients that reset connections, a deleted folder.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.project import ROOT
from tests.e2e.counting_vendor import CountingVendor
from tests.e2e.process import ExporterProcess
from tests.hostile.stage import config_of

pytestmark = pytest.mark.timed


@pytest.mark.parametrize(
    "env",
    [
        {"TZ": "Asia/Kolkata"},
        {"TZ": "Not/AZone"},
        {"TZ": ":/nonexistent"},
        {"TZ": "XYZ-5:30ABC,M3.5.0,M10.5.0"},
        {"PYTHONOPTIMIZE": "2", "PYTHONWARNINGS": "error"},
        {"AIOHTTP_NO_EXTENSIONS": "1"},
    ],
    ids=lambda env: " ".join(f"{name}={value}" for name, value in env.items()),
)
async def test_environment(tmp_path: Path, env: dict[str, str]) -> None:
    """
    In any of these environments rooms are read, and the log is in UTC and has no warnings.
    """
    async with CountingVendor("127.0.0.1") as vendor:
        async with ExporterProcess(config_of(tmp_path, vendor.port, interval="1s"), env=env) as exporter:
            rooms = await exporter.rooms()
            for _ in range(200):
                if rooms:
                    break
                await asyncio.sleep(0.1)
                rooms = await exporter.rooms()
        lines = [line for line in exporter.log.splitlines() if "listening" not in line]

    assert [("live", "lobby")] == [*rooms]
    assert all("level=info" in line and "Z level" in line for line in lines), exporter.log


async def test_scrapes_that_are_broken_off(tmp_path: Path) -> None:
    """
    A scraper that resets its connection in the middle of a response is neither counted nor logged as an error.
    """
    async with CountingVendor("127.0.0.1") as vendor:
        (tmp_path / "rooms.txt").write_text("\n".join(f"room-{number}" for number in range(5_000)))
        config = config_of(tmp_path, vendor.port, rooms_files=["rooms.txt"])
        async with ExporterProcess(config) as exporter:
            for _ in range(30):
                with socket.create_connection(("127.0.0.1", exporter.port)) as scraper:
                    scraper.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    scraper.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
                    await asyncio.to_thread(scraper.recv, 10)
            status, text = await exporter.text("/metrics")

    assert 200 == status
    assert "rtc_exporter_unexpected_errors_total 0.0" in text
    assert ["listening", "started", "stopped"] == re.findall(r"event=(\w+)", exporter.log)


def test_folder_that_is_gone(tmp_path: Path) -> None:
    """
    In a deleted folder, a command reports a missing file in one line, and finds a file with an absolute path.
    """
    config = config_of(tmp_path, 1)
    gone = tmp_path / "gone"
    gone.mkdir()
    command = (
        f"rmdir {gone}; export PYTHONPATH={ROOT}; {sys.executable} -m exporter check --config.file=x.yml; "
        f"echo $?; {sys.executable} -m exporter check --config.file={config}; echo $?"
    )
    told = subprocess.run(["sh", "-c", command], cwd=gone, capture_output=True, text=True, timeout=60, check=False)

    assert "x.yml: found no such file or directory; accepted: a readable file" == told.stderr.strip()
    assert ["1", "0"] == [line for line in told.stdout.splitlines() if line.isdigit()]
