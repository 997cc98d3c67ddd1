"""
A backend that names rooms over HTTP, byte for byte as a test wants it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Seen:
    """
    A request; names of headers are in lower case.
    """

    target: str
    headers: dict[str, str]
    peer_certificate: Any = None


@dataclass(frozen=True)
class Answer:
    """
    What is written; `hangs`: and then nothing more, though the connection stays.
    """

    body: bytes = b"[]"
    status: str = "200 OK"
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    hangs: bool = False

    def __bytes__(self) -> bytes:
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        return f"HTTP/1.1 {self.status}\r\n{lines}Connection: close\r\n\r\n".encode() + self.body


class Backend:
    """
    Gives the answers one after the other, and the last one from then on; or what a function of the request returns.
    """

    def __init__(
        self, *answers: Answer, by: Callable[[Seen], Answer] | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.answers: Sequence[Answer] = answers
        self.seen: list[Seen] = []
        self.asked = asyncio.Event()
        self._by = by
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http{'s' if self._tls else ''}://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
            pairs = [line.split(": ", 1) for line in lines]
            seen = Seen(
                first.split()[1], {name.lower(): value for name, value in pairs}, writer.get_extra_info("peercert")
            )
            self.seen.append(seen)
            self.asked.set()
            answer = self._by(seen) if self._by else self.answers[min(len(self.seen), len(self.answers)) - 1]
            writer.write(bytes(answer))
            await writer.drain()
            if not answer.hangs:
                writer.close()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
