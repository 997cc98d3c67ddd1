"""The telemetry path: what a scraper asks for, and a body that is sent without being copied."""

from __future__ import annotations

import asyncio
import math
from time import perf_counter
from typing import Final

from aiohttp import web

from exporter.blocking import Turn
from exporter.metrics.exposition import Body, Exposition, Wanted
from exporter.web.connections import EXTRA
from exporter.web.negotiation import accepts_gzip, content_type

MAX_SCRAPES: Final = 40
"""Scrapes answered at once; the next one is told to come back, unless it comes from a client that comes seldom."""

_VIEW: Final = 256 * 1024
_RETRY_AFTER: Final = "5"
_LONGEST_HEADER: Final = 1_024
_STANDS_STILL: Final = 1.0
_WAITS_FOR_A_PLACE: Final = 1.5
_LOOK: Final = 0.1


class _Answer:
    """
    One that is being sent.

    Args:
        transport: To the scraper.

    Attributes:
        moved: Seconds of ``perf_counter`` when the scraper last took a part of it; infinity before the first one.
    """

    def __init__(self, transport: asyncio.Transport | None) -> None:
        self.transport = transport
        self.moved = math.inf


class Scrape:
    """
    Answers scrapes of one exposition.

    Forty at once; when there are so many, those that have not taken a byte for a second make place for another one.
    """

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition
        self._answers: set[_Answer] = set()

    async def get(self, request: web.Request) -> web.StreamResponse:
        if not await self._place(MAX_SCRAPES + request[EXTRA]):
            text = f"{MAX_SCRAPES} scrapes are being answered already; come back in {_RETRY_AFTER} seconds.\n"
            return web.Response(status=503, text=text, headers={"Retry-After": _RETRY_AFTER})
        answer = _Answer(request.transport)
        self._answers.add(answer)
        try:
            return await self._answer(request, answer)
        finally:
            self._answers.discard(answer)

    async def _place(self, most: int) -> bool:
        """Whether there is a place, if need be that of a scraper that does not read."""
        until = perf_counter() + _WAITS_FOR_A_PLACE
        while len(self._answers) >= most:
            slowest = min(self._answers, key=lambda answer: answer.moved)
            now = perf_counter()
            if now - slowest.moved >= _STANDS_STILL:
                self._answers.discard(slowest)
                if slowest.transport is not None:
                    slowest.transport.abort()
            elif now >= until:
                return False
            else:
                await asyncio.sleep(_LOOK)
        return True

    async def _answer(self, request: web.Request, answer: _Answer) -> web.StreamResponse:
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
            await _send(body, response, answer)
        return response


async def _send(body: Body, response: web.StreamResponse, answer: _Answer) -> None:
    """Write the shared bytes in views, waiting for the client after each: what it has not read is not copied."""
    answer.moved = perf_counter()
    turn = Turn()
    for part in body.parts:
        view = memoryview(part)
        for start in range(0, len(view), _VIEW):
            await response.write(view[start : start + _VIEW])
            answer.moved = perf_counter()
            # A client that keeps up never makes write wait, and the loop has other work too.
            await turn.let_others_run()


def _header(request: web.Request, name: str) -> str:
    """The first kilobyte of a header, which no scraper needs, and which takes no time to look through."""
    return ",".join(request.headers.getall(name, []))[:_LONGEST_HEADER]
