"""
A line between two programs that a test can hold up, slow down or break.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self


class Line:
    """
    Forwards connections from a port of its own to another port of 127.0.0.1.

    Attributes:
        port: To connect to.
        to: Where new connections lead.
        delay: Seconds by which each piece comes later.
        open: While it is false, nothing passes and nobody hears of it: a hole, without a reset.
    """

    def __init__(self, to: int) -> None:
        self.port = 0
        self.delay = 0.0
        self.open = asyncio.Event()
        self.open.set()
        self.to = to
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        self.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reset(self) -> None:
        """Break every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        await self.open.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        for source, target in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pass_on(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(2**16):
                await asyncio.sleep(self.delay)
                await self.open.wait()
                writer.write(piece)
        writer.close()
        self._writers.discard(writer)
