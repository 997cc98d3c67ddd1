"""
Files that are none: whoever reads them goes on within seconds, and so do reload, check and the end.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme

from tests.e2e.process import ExporterProcess, free_port
from tests.hostile.stage import config_of, ends_within

pytestmark = pytest.mark.timed
DEVICES = ["/dev/zero", "/dev/tty"]


def put(path: Path, what: str) -> None:
    """A file of this kind in the place of another one."""
    path.unlink(missing_ok=True)
    if what == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(what)


@pytest.mark.parametrize("what", ["fifo", "/dev/zero"])
@pytest.mark.parametrize("key", ["server_secret_file", "ca_file", "config", "rooms_files"])
async def test_reload_with_a_file_that_is_none(tmp_path, key, what):
    """
    The reload ends within ten seconds, the next one with a true file succeeds at once, and so does the end.
    """
    file = tmp_path / ("exporter.yml" if key == "config" else "file.txt")
    keys = {} if key == "config" else {key: [file.name] if key == "rooms_files" else file.name}
    if key == "ca_file":
        file.write_bytes(trustme.CA().cert_pem.bytes())
    else:
        file.write_text("0123456789abcdef" * 2)
    config = config_of(tmp_path, free_port(), **keys)
    good = file.read_bytes()
    async with ExporterProcess(config, "--web.enable-lifecycle") as exporter:
        put(file, what)
        began = time.monotonic()
        status, text = await exporter.text("/-/reload", method="POST")
        took = time.monotonic() - began
        file.unlink()
        file.write_bytes(good)
        again = time.monotonic()
        mended, _ = await exporter.text("/-/reload", method="POST")
        at_once = time.monotonic() - again
        put(file, what)
        waiting = asyncio.create_task(exporter.text("/-/reload", method="POST"))
        await asyncio.sleep(0.5)
        code = await ends_within(exporter, 5)
        await asyncio.gather(waiting, return_exceptions=True)

    assert took < 10
    assert (200 if key == "rooms_files" else 500) == status, text
    assert (200, 0) == (mended, code)
    assert at_once < 3


@pytest.mark.parametrize("what", ["fifo", *DEVICES])
def test_check_of_a_file_that_is_none(tmp_path, what):
    """
    It says what is wrong, soon.
    """
    path = tmp_path / "exporter.yml"
    put(path, what)
    told = subprocess.run(
        [sys.executable, "-m", "exporter", "check", f"--config.file={path}"],
        capture_output=True,
        text=True,
        timeout=60,  # most of it to start, on a busy machine
        check=False,
    )

    assert 1 == told.returncode
    assert "accepted: a readable file" in told.stderr


async def test_config_of_a_process(tmp_path):
    """
    ``--config.file=<(…)`` goes on working.
    """
    config = config_of(tmp_path, free_port())
    port = free_port()
    command = f"{sys.executable} -m exporter run --config.file=<(sleep 1; cat {config})"
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", f"exec {command} --web.listen-address=127.0.0.1:{port}", stderr=asyncio.subprocess.DEVNULL
    )
    async with ExporterProcess.at(config, port) as exporter:
        status, _ = await exporter.text("/-/healthy")
    process.terminate()

    assert 200 == status
    assert 0 == await asyncio.wait_for(process.wait(), 5)


async def test_end_while_the_first_config_is_read(tmp_path):
    """
    A FIFO as config: SIGTERM ends the start.
    """
    path = tmp_path / "exporter.yml"
    put(path, "fifo")
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "exporter", "run", f"--config.file={path}")
    await asyncio.sleep(2)
    process.terminate()

    assert 0 == await asyncio.wait_for(process.wait(), 5)
