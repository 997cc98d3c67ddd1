"""
A server on loopback that does what a test wants, and a client in front of it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from exporter.clock import Clock
from exporter.config import SourceConfig
from exporter.model import Failure, Request
from exporter.polling.client import Client
from tests.polling.house import parsed, source

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
        self._answer = answer
        self._serving: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}
        self._closing = False
        self._asked = asyncio.Event()

    @property
    def open(self) -> list[asyncio.StreamWriter]:
        """Connections that neither side has closed."""
        return [writer for writer in self._serving.values() if not writer.transport.is_closing()]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task
        self.connections += 1
        self._serving[task] = writer
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next((int(line[15:]) for line in head.split(b"\r\n") if line[:15] == b"Content-Length:"), 0)
                self.requests.append(head + await reader.readexactly(length))
                self._asked.set()
                await self._answer(len(self.requests) - 1, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            if not self._closing:
                raise
        finally:
            del self._serving[task]
            writer.close()

    async def asked(self) -> None:
        """Wait for the first request."""
        async with asyncio.timeout(5):
            await self._asked.wait()

    def hang_up(self) -> None:
        """End every connection, and go on."""
        for writer in self._serving.values():
            writer.transport.abort()

    async def close(self) -> None:
        """End every connection, whatever is being answered on it."""
        self._closing = True
        self.hang_up()
        for task in list(self._serving):
            task.cancel()
            await asyncio.wait({task})


class Opener:
    """Keeps what a client tells of its connections."""

    def __init__(self) -> None:
        self.told: list[Failure | None] = []
        self.since: list[float] = []
        self._told = asyncio.Event()

    def connected(self) -> None:
        """One is in hand."""
        self.told.append(None)
        self._told.set()

    def not_connected(self, failure: Failure, since: float) -> None:
        """None could be opened."""
        self.told.append(failure)
        self.since.append(since)
        self._told.set()

    async def next(self) -> None:
        """Wait until something is told."""
        self._told.clear()
        async with asyncio.timeout(5):
            await self._told.wait()


@asynccontextmanager
async def serving(
    answer: Answering, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[tuple[Server, str]]:
    """A server that runs, and its base URL."""
    server = Server(answer)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", port, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield server, f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        listening.close()
        await server.close()
        await listening.wait_closed()


@asynccontextmanager
async def tunnelling(to: str) -> AsyncIterator[tuple[list[bytes], str]]:
    """A proxy whose every tunnel leads to one address: what it was asked, and its URL."""
    asked: list[bytes] = []
    port = int(to.rpartition(":")[2])

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                await write(writer, data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield asked, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


def config_for(base_url: str, api: str = "zego_rtc", **keys: Any) -> SourceConfig:
    """A source whose vendor is there, and whose calls take two seconds at most."""
    (config,) = parsed(source(api, base_url=base_url, allow_http=True, **{"timeout": "2s", **keys}))
    return config


@asynccontextmanager
async def calling(
    config: SourceConfig, opener: Opener | None = None, clock: Clock | None = None
) -> AsyncIterator[Client]:
    """A client over real sockets."""
    client = Client(config, opener, clock or Clock())
    try:
        yield client
    finally:
        await client.aclose()


def get(base_url: str, target: str = "/?Action=x") -> Request:
    """A GET."""
    return Request("GET", base_url, target)


async def ok(number: int, writer: asyncio.StreamWriter) -> None:
    """Answer well, and keep the connection."""
    await write(writer, OK)


async def write(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send bytes."""
    writer.write(data)
    await writer.drain()


def on_each_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test twice: on asyncio's own event loop, and on the one that the exporter runs on."""

    @functools.wraps(test)
    def run(make_loop: Callable[[], asyncio.AbstractEventLoop], **fixtures: Any) -> None:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(test(**fixtures))

    signature = inspect.signature(test)
    make_loop = inspect.Parameter("make_loop", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = signature.replace(parameters=[make_loop, *signature.parameters.values()])  # type: ignore[attr-defined]  # pytest reads it
    loops = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    decorated: Callable[..., None] = pytest.mark.parametrize("make_loop", loops.values(), ids=loops)(run)
    return decorated
