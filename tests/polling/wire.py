"""
A server on loopback that does what a test wants, and a caller in front of it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from exporter.model import Request
from exporter.polling.budget import Passage
from exporter.polling.caller import Caller
from exporter.polling.clock import Clock

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n\r\n{}"
Answering = Callable[[int, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """
    A server on loopback that keeps what it was sent.

    Args:
        answer: Given the request's number, from 0, answers it or does something worse.
    """

    def __init__(self, answer: Answering) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.connected = asyncio.Semaphore(0)
        self._answer = answer
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        self.connected.release()
        self._writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next((int(line[15:]) for line in head.split(b"\r\n") if line[:15] == b"Content-Length:"), 0)
                self.requests.append(head + await reader.readexactly(length))
                await self._answer(len(self.requests) - 1, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def close(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def serving(answer: Answering, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Server, str]]:
    """A server that runs, and its base URL."""
    server = Server(answer)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield server, f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        listening.close()
        await server.close()
        await listening.wait_closed()


class Gate:
    """Notes what becomes of the requests that were let through."""

    def __init__(self) -> None:
        self.passed = 0
        self.told: list[str] = []

    async def __call__(self, slot: float) -> Passage:
        """Let one more through."""
        self.passed += 1
        return Passage(lambda: self.told.append("sent"), lambda: self.told.append("answered"))


@asynccontextmanager
async def calling(gate: Gate | None = None, timeout: float = 2.0) -> AsyncIterator[Caller]:
    """A caller over real sockets."""
    caller = Caller(gate or Gate(), Clock(), rate=10, timeout=timeout)
    try:
        yield caller
    finally:
        await caller.aclose()


def get(base_url: str, target: str = "/?Action=x") -> Request:
    """A GET."""
    return Request("GET", base_url, target)


async def write(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send bytes."""
    writer.write(data)
    await writer.drain()
