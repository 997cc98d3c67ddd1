"""
A thousand sources that connect, or hear from their vendors, at the same moment: a few at a time.

The event loop runs everything that is ready before it looks at its timers again. One source's reply takes a tenth of a
millisecond, and a TLS handshake four times as long. So a thousand at once would hold up scrapes and slots.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Final

_REPLIES: Final = 20
_WITHIN: Final = 0.005
_OPENINGS: Final = 5
_PLACE_KEPT: Final = 0.02
"""
Seconds. A vendor that is slow to answer must not keep others from connecting, so 250 connections a second can always be
opened. More would add up: when this process has not run for a while, all handshakes under way go on at once.
"""


class Crowd:
    """Shared by the clients of all sources."""

    def __init__(self) -> None:
        self._began = 0.0
        self._entered = 0
        self._replies: deque[asyncio.Future[None]] = deque()
        self._places: set[object] = set()
        self._openings: deque[asyncio.Future[object]] = deque()

    async def reply(self) -> None:
        """Wait for one's turn to process a reply: of more than 20 within 5 ms, 20 in each iteration of the loop."""
        now = perf_counter()
        if now - self._began > _WITHIN:
            self._began, self._entered = now, 0
        if self._entered < _REPLIES and not self._replies:
            self._entered += 1
            return
        loop = asyncio.get_running_loop()
        if not self._replies:
            loop.call_soon(self._let_in)
        turn = loop.create_future()
        self._replies.append(turn)
        await turn

    def _let_in(self) -> None:
        for _ in range(min(_REPLIES, len(self._replies))):
            turn = self._replies.popleft()
            if not turn.done():  # its call may have been cancelled
                turn.set_result(None)
        if self._replies:
            asyncio.get_running_loop().call_soon(self._let_in)

    @asynccontextmanager
    async def opening(self) -> AsyncIterator[None]:
        """Open a connection: five at a time, of which each counts until it is open, at most for 20 ms."""
        if len(self._places) < _OPENINGS:
            place = self._take()
        else:
            turn = asyncio.get_running_loop().create_future()
            self._openings.append(turn)
            place = await turn
        try:
            yield
        finally:
            self._leave(place)

    def _take(self) -> object:
        place = object()
        self._places.add(place)
        asyncio.get_running_loop().call_later(_PLACE_KEPT, self._leave, place)
        return place

    def _leave(self, place: object) -> None:
        if place not in self._places:
            return
        self._places.remove(place)
        while self._openings:
            turn = self._openings.popleft()
            if not turn.done():  # its source may have been stopped
                turn.set_result(self._take())
                break
