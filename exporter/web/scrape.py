"""The telemetry path: what a scraper asks for, and a body that is sent without being copied."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from exporter.metrics.exposition import Body, Exposition, Wanted
from exporter.web.negotiation import accepts_gzip, content_type

MAX_SCRAPES: Final = 40
"""Scrapes answered at once; the next one is told to come back."""
MAX_UNREAD: Final = 256 * 1024 * 1024
"""Bytes of different bodies kept for scrapers that have not read theirs yet; beyond it the oldest are given up."""

_VIEW: Final = 256 * 1024
_RETRY_AFTER: Final = "5"


class Scrape:
    """Answers scrapes of one exposition."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition
        self._running = 0
        self._sending: dict[Body, list[asyncio.Transport | None]] = {}

    async def get(self, request: web.Request) -> web.StreamResponse:
        if self._running >= MAX_SCRAPES:
            text = f"{MAX_SCRAPES} scrapes are being answered already; come back in {_RETRY_AFTER} seconds.\n"
            return web.Response(status=503, text=text, headers={"Retry-After": _RETRY_AFTER})
        self._running += 1
        try:
            return await self._answer(request)
        finally:
            self._running -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        media_type = content_type(_header(request, "Accept"))
        wanted = Wanted(
            openmetrics=media_type.startswith("application/"),
            gzip=accepts_gzip(_header(request, "Accept-Encoding")),
            names=frozenset(request.query.getall("name[]", [])),
        )
        body = await self._exposition.body(wanted)
        response = web.StreamResponse()
        response.headers["Content-Type"] = media_type
        response.headers["Vary"] = "Accept, Accept-Encoding"
        if wanted.gzip:
            response.headers["Content-Encoding"] = "gzip"
        response.content_length = body.length
        await response.prepare(request)
        if request.method != "HEAD":
            with self._kept(body, request.transport):
                await _send(body, response)
        return response

    @contextmanager
    def _kept(self, body: Body, reader: asyncio.Transport | None) -> Iterator[None]:
        """Bound the memory that slow scrapers hold: each may be fetching a body of its own."""
        readers = self._sending.setdefault(body, [])
        readers.append(reader)
        self._give_up_oldest()
        try:
            yield
        finally:
            readers.remove(reader)
            if not readers:
                del self._sending[body]

    def _give_up_oldest(self) -> None:
        unread = sum(body.length for body in self._sending)
        for body, readers in list(self._sending.items())[:-1]:
            if unread <= MAX_UNREAD:
                break
            unread -= body.length
            for reader in readers:
                if reader is not None:
                    reader.abort()


async def _send(body: Body, response: web.StreamResponse) -> None:
    """Write the shared bytes in views, waiting for the client after each: what it has not read is not copied."""
    for part in body.parts:
        view = memoryview(part)
        for start in range(0, len(view), _VIEW):
            await response.write(view[start : start + _VIEW])
            await asyncio.sleep(0)  # a client that keeps up never makes write wait, and the loop has other work too


def _header(request: web.Request, name: str) -> str:
    return ",".join(request.headers.getall(name, []))
