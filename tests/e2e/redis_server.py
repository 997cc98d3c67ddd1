"""
Debian's Redis and Sentinel as processes of a test, on free ports of 127.0.0.1, without persistence.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.e2e.process import free_port
from tests.programs import find_program


class RedisServer:
    """
    One server; when it is started again it is empty.

    Args:
        folder: Its own, for its log and its configuration.
        lines: More of its configuration, e.g. ``["maxmemory 1mb"]``.
        environment: More of its environment.
    """

    def __init__(
        self,
        folder: Path,
        program: str = "redis-server",
        port: int | None = None,
        lines: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._program = program
        self._lines = [*lines] if program == "redis-sentinel" else ['save ""', "appendonly no", *lines]
        self._environment = {**os.environ, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start it and wait until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / "server.conf"
        lines = [f"port {self.port}", "bind 127.0.0.1", f"dir {self._folder}", *self._lines]
        file.write_text("\n".join(lines) + "\n")
        program = find_program(self._program)
        assert program
        arguments = [str(program), str(file), *(["--sentinel"] if self._program == "redis-sentinel" else [])]
        with (self._folder / "server.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *arguments, stdout=log, stderr=log, env=self._environment
            )
        for _ in range(100):
            with suppress(OSError):
                if await self.command("PING") == "+PONG":
                    return
            await asyncio.sleep(0.05)
        raise AssertionError((self._folder / "server.log").read_text())

    async def kill(self) -> None:
        """End it at once."""
        assert self._process
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, e.g. SIGSTOP: a server whose connections stay open and that says nothing."""
        assert self._process
        self._process.send_signal(number)

    async def command(self, *words: str) -> str:
        """What it answers to a command whose answer is one line."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"*{len(words)}\r\n".encode() + b"".join(f"${len(w)}\r\n{w}\r\n".encode() for w in words))
            return (await asyncio.wait_for(reader.readline(), 5)).decode().strip()
        finally:
            writer.close()
