"""
SIGTERM ends the process within five seconds, whatever files, threads, reloads or clients do.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.process import ExporterProcess, free_port
from tests.hostile.stage import config_of, ends_within
from tests.polling.wire import serving

pytestmark = pytest.mark.timed
F_SETPIPE_SZ = 1031


@asynccontextmanager
async def vendor_that_never_answers() -> AsyncIterator[int]:
    """Takes every connection and request; its port."""

    async def never(number: int, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serving(never) as (_, url):
        yield int(url.rpartition(":")[2])


async def test_a_thousand_reloads(tmp_path):
    """
    With 20,000 rooms each, asked for by signals; and a vendor that never answers.
    """
    async with vendor_that_never_answers() as port:
        config = config_of(tmp_path, port, rooms=[f"room-{number}" for number in range(20_000)])
        async with ExporterProcess(config) as exporter:
            for _ in range(1_000):
                exporter.signal(signal.SIGHUP)
                await asyncio.sleep(0.001)

            assert 0 == await ends_within(exporter, 5)


async def test_log_that_nobody_reads(tmp_path):
    """
    Standard error is a full pipe: rooms go on being read, and reloads fail as they should.
    """
    reading, writing = os.pipe()
    fcntl.fcntl(writing, F_SETPIPE_SZ, 4096)
    config, port = config_of(tmp_path, free_port()), free_port()
    flags = (f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "exporter", "run", *flags, "--log.level=debug", stderr=writing
    )
    os.close(writing)
    async with ExporterProcess.at(config, port) as exporter:
        config.write_text("sources: 5")
        for _ in range(30):
            status, _ = await exporter.text("/-/reload", method="POST")
            assert 500 == status
        healthy, _ = await exporter.text("/-/healthy")
    began = time.monotonic()
    process.terminate()
    code = await asyncio.wait_for(process.wait(), 10)
    took = time.monotonic() - began
    os.close(reading)

    assert (200, 0) == (healthy, code)
    assert took < 5


async def test_clients_that_hang(tmp_path):
    """
    Some say nothing, some half a head, some ask and do not read, some send a body without end.
    """
    rooms = [f"{'x' * 100}-{number}" for number in range(20_000)]
    (tmp_path / "rooms.txt").write_text("\n".join(rooms))
    config = config_of(tmp_path, free_port(), rooms_files=["rooms.txt"])
    asks = [b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 100]
    asks += [b"POST /-/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n" + bytes(10_000)]
    async with ExporterProcess(config, "--web.enable-lifecycle") as exporter:
        clients = []
        for ask in asks * 20:
            client = socket.create_connection(("127.0.0.1", exporter.port))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(ask)
            clients.append(client)
        await asyncio.sleep(1)
        code = await ends_within(exporter, 5)
        for client in clients:
            client.close()

    assert 0 == code


async def test_rooms_file_that_is_being_read(tmp_path):
    """
    Sixteen megabytes of it, in the middle of a look and of a reload.
    """
    config = config_of(tmp_path, free_port(), rooms_files=["*.yml"])
    async with ExporterProcess(config) as exporter:
        (tmp_path / "rooms.yml").write_text("- targets: [" + "a," * (7 * 2**20) + "]")
        exporter.signal(signal.SIGHUP)
        await asyncio.sleep(2.5)

        assert 0 == await ends_within(exporter, 5)


async def test_second_signal(tmp_path: Path) -> None:
    """
    Whoever asks twice does not make it worse.
    """
    async with vendor_that_never_answers() as port, ExporterProcess(config_of(tmp_path, port)) as exporter:
        await asyncio.sleep(1)
        exporter.signal(signal.SIGTERM)
        await asyncio.sleep(0.2)

        assert 0 == await ends_within(exporter, 5)
