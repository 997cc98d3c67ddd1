"""
A stranger with so many bytes a second: `python -m tests.hostile.flood PORT KIND MEGABYTES SECONDS`.

It prints how many bytes it has sent. Its answers are read and thrown away, unless the kind says otherwise.
"""

from __future__ import annotations

import asyncio
import gzip
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

HEAD: Final = "{} {} HTTP/1.1\r\nHost: a\r\n\r\n"
CONNECTIONS: Final = 64


def _get(*paths: str) -> Iterator[bytes]:
    while True:
        yield HEAD.format("GET", random.choice(paths)).encode()


def _bomb() -> Iterator[bytes]:
    packed = gzip.compress(bytes(1_500_000_000 // 10), 9) * 10
    head = f"POST /x HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
    while True:
        yield head.encode() + packed


def _accept() -> Iterator[bytes]:
    line = "Accept: " + "a/b;q=0.1," * 800 + "\r\n"
    while True:
        yield f"GET /metrics HTTP/1.1\r\nHost: a\r\n{line * 3}\r\n".encode()


def _searches() -> Iterator[bytes]:
    for number in range(10**9):
        yield HEAD.format("GET", f"/api/v1/rooms?q=nothing{number}&limit=1000").encode()


def _parts() -> Iterator[bytes]:
    for number in range(10**9):
        yield HEAD.format("GET", f"/metrics?name%5B%5D=rtc_room_users&name%5B%5D=x{number}").encode()


KINDS: Final[dict[str, Callable[[], Iterator[bytes]]]] = {
    "healthy": lambda: _get("/-/healthy"),
    "nothing": lambda: _get("/nothing"),
    "page": lambda: _get("/"),
    "docs": lambda: _get("/docs"),
    "scrapes": lambda: _get("/metrics"),
    "mixed": lambda: _get("/", "/metrics", "/api/v1/sources", "/api/v1/rooms", "/docs", "/-/ready", "/x"),
    "crowd": lambda: _get("/", "/metrics", "/-/healthy"),
    "searches": _searches,
    "parts": _parts,
    "bomb": _bomb,
    "accept": _accept,
    "slow": lambda: iter(lambda: b"", None),
    "new": lambda: _get("/-/healthy"),
    "connect": lambda: _get(""),
}


class Flood:
    """
    Args:
        rate: Bytes a second of all connections together.
    """

    def __init__(self, port: int, kind: str, rate: float, seconds: float) -> None:
        self.sent = 0
        self._port = port
        self._kind = kind
        self._rate = rate
        self._began = time.monotonic()
        self._until = self._began + seconds

    async def run(self) -> None:
        """Send until the time is up."""
        many = {"slow": 600, "crowd": 600, "bomb": 8}.get(self._kind, CONNECTIONS)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + self._until - time.monotonic()):
                await asyncio.gather(*(self._connection() for _ in range(many)))

    async def _connection(self) -> None:
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    await self._talk(reader, writer)
                finally:
                    writer.transport.abort()
            await self._paced(150)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match self._kind:
            case "connect":
                return
            case "new":
                writer.write(next(KINDS["new"]()))
                await reader.read(10_000)
                await self._paced(300)
            case "slow":
                for byte in HEAD.format("GET", "/" + "a" * 8000).encode():
                    writer.write(bytes([byte]))
                    await self._paced(60)
                    await asyncio.sleep(0.5)
            case _:
                reading = asyncio.create_task(_drain(reader))
                try:
                    await self._send(writer)
                finally:
                    reading.cancel()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        for message in KINDS[self._kind]():
            for start in range(0, len(message), 16_384):
                piece = message[start : start + 16_384]
                writer.write(piece)
                await writer.drain()
                await self._paced(len(piece))
                if writer.is_closing():
                    return

    async def _paced(self, size: int) -> None:
        self.sent += size
        ahead = self.sent / self._rate - (time.monotonic() - self._began)
        if ahead > 0.005:
            await asyncio.sleep(ahead)


async def _drain(reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while await reader.read(1 << 20):
            pass


async def _main() -> None:
    flood = Flood(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]) * 1e6, float(sys.argv[4]))
    await flood.run()
    sys.stdout.write(f"{flood.sent}\n")


if __name__ == "__main__":
    asyncio.run(_main())
