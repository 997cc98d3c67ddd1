"""The telemetry path: reads the wishes of a scraper, and sends the shared body without copying it."""

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
"""
Number of scrapes answered at the same time. A further one gets 503 with Retry-After; a client that asks seldom has
extra places, see ``Connection.extra``.
"""

_VIEW: Final = 256 * 1024
_RETRY_AFTER: Final = "5"
_LONGEST_HEADER: Final = 1_024
_STALLED_AFTER: Final = 1.0
"""Seconds without progress after which a client may lose its place."""
_WAIT_FOR_PLACE: Final = 1.5
_CHECK_EVERY: Final = 0.1


class _Answer:
    """
    An answer that is being prepared or sent.

    Args:
        transport: The connection to the scraper.

    Attributes:
        progress_at: When the scraper last took a part, in seconds of ``perf_counter``; infinity before the first part.
    """

    def __init__(self, transport: asyncio.Transport | None) -> None:
        self.transport = transport
        self.progress_at = math.inf


class Scrape:
    """
    Answers scrapes, at most 40 at the same time.

    When all places are taken, the answer whose client has read nothing for a second is closed, to make a place.
    """

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition
        self._answers: set[_Answer] = set()

    async def get(self, request: web.Request) -> web.StreamResponse:
        if not await self._place(MAX_SCRAPES + request[EXTRA]):
            text = f"{MAX_SCRAPES} scrapes are being answered already; try again in {_RETRY_AFTER} seconds.\n"
            return web.Response(status=503, text=text, headers={"Retry-After": _RETRY_AFTER})
        answer = _Answer(request.transport)
        self._answers.add(answer)
        try:
            return await self._answer(request, answer)
        finally:
            self._answers.discard(answer)

    async def _place(self, most: int) -> bool:
        """Wait up to 1.5 s for a place, if need be that of a stalled client. Returns whether there is one."""
        deadline = perf_counter() + _WAIT_FOR_PLACE
        while len(self._answers) >= most:
            slowest = min(self._answers, key=lambda answer: answer.progress_at)
            now = perf_counter()
            if now - slowest.progress_at >= _STALLED_AFTER:
                self._answers.discard(slowest)
                if slowest.transport is not None:
                    slowest.transport.abort()
            elif now >= deadline:
                return False
            else:
                await asyncio.sleep(_CHECK_EVERY)
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
    """Write views of the shared bytes, one at a time. Waiting for the client after each keeps unread bytes uncopied."""
    answer.progress_at = perf_counter()
    turn = Turn()
    for part in body.parts:
        view = memoryview(part)
        for start in range(0, len(view), _VIEW):
            await response.write(view[start : start + _VIEW])
            answer.progress_at = perf_counter()
            # For a fast client write() never waits; without this the loop would do nothing else.
            await turn.let_others_run()


def _header(request: web.Request, name: str) -> str:
    """The first kilobyte of a header: enough for every scraper, and quick to parse."""
    return ",".join(request.headers.getall(name, []))[:_LONGEST_HEADER]
