"""The telemetry path: what a scraper asks for, and a body that is sent without being copied."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Final

from aiohttp import web

from exporter.metrics.exposition import Body, Exposition, Wanted
from exporter.web.negotiation import accepts_gzip, content_type

MAX_SCRAPES: Final = 40
"""Scrapes answered at once; the next one is told to come back."""

_VIEW: Final = 256 * 1024
_LONGEST_HOLD: Final = 0.001
_RETRY_AFTER: Final = "5"


class Scrape:
    """Answers scrapes of one exposition."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition
        self._running = 0

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
            await _send(body, response)
        return response


async def _send(body: Body, response: web.StreamResponse) -> None:
    """Write the shared bytes in views, waiting for the client after each: what it has not read is not copied."""
    resumed = perf_counter()
    for part in body.parts:
        view = memoryview(part)
        for start in range(0, len(view), _VIEW):
            await response.write(view[start : start + _VIEW])
            # A client that keeps up never makes write wait, and the loop has other work too.
            if perf_counter() - resumed > _LONGEST_HOLD:
                await asyncio.sleep(0)
                resumed = perf_counter()


def _header(request: web.Request, name: str) -> str:
    return ",".join(request.headers.getall(name, []))
