"""
A guard on every connection, since a server must not wait for its clients.

aiohttp answers requests; the guard stands between it and the transport, and once a second it cuts what took too long:
a request head that does not end, a request whose answer the client does not fetch, bytes that it leaves unread. A full
house cuts the connection that has been idle longest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, cast

from aiohttp import web
from aiohttp.typedefs import Handler

HEAD_TIMEOUT: Final = 10.0
"""Seconds from the connection, or from the first byte of a later request, to the end of the request's head."""
ANSWER_TIMEOUT: Final = 30.0
"""Seconds for an answer, and as many again for the client to fetch what is left of it."""
MAX_CONNECTIONS: Final = 512

_EVERY: Final = 1.0


class Phase(Enum):
    """What a connection is busy with."""

    HEAD = auto()
    ANSWER = auto()
    IDLE = auto()


class Connection(asyncio.Protocol):
    """One guarded connection; passes everything on to aiohttp's own protocol."""

    def __init__(self, handler: web.RequestHandler, connections: Connections) -> None:
        self._handler = handler
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._phase = Phase.HEAD
        self._since = connections.monotonic()

    @property
    def answering(self) -> bool:
        return self._phase is Phase.ANSWER

    @property
    def since(self) -> float:
        """Monotonic time at which its phase began."""
        return self._since

    def enter(self, phase: Phase) -> None:
        self._phase = phase
        self._since = self._connections.monotonic()

    def overdue(self, now: float) -> bool:
        """Whether its client has taken too long."""
        waited = now - self._since
        if self._phase is Phase.HEAD:
            return waited > HEAD_TIMEOUT
        unread = self._transport is not None and self._transport.get_write_buffer_size() > 0
        return waited > ANSWER_TIMEOUT and (self._phase is Phase.ANSWER or unread)

    def cut(self) -> None:
        """Close at once; what the client has not read is dropped."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.opened(self._handler, self)
        self._handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._phase is Phase.IDLE:
            self.enter(Phase.HEAD)
        self._handler.data_received(data)

    def eof_received(self) -> None:
        self._handler.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.closed(self._handler)
        self._handler.connection_lost(exc)

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()


class Connections:
    """All open connections of one server."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.monotonic = monotonic
        self._open: dict[web.RequestHandler, Connection] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    def guard(self, server: web.Server) -> Callable[[], Connection]:
        """A protocol factory that guards what the server makes."""
        return lambda: Connection(server(), self)

    def opened(self, handler: web.RequestHandler, connection: Connection) -> None:
        if len(self._open) >= MAX_CONNECTIONS:
            waiting = [other for other in self._open.values() if not other.answering]
            min(waiting, default=connection, key=lambda other: other.since).cut()
        self._open[handler] = connection

    def closed(self, handler: web.RequestHandler) -> None:
        self._open.pop(handler, None)

    @web.middleware
    async def watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Middleware: the head has come, the answer begins; afterwards the connection is idle."""
        connection = self._open.get(request.protocol)
        if connection is not None:
            connection.enter(Phase.ANSWER)
        try:
            return await handler(request)
        finally:
            if connection is not None:
                connection.enter(Phase.IDLE)

    def cut_overdue(self) -> None:
        """Cut the connections whose clients have taken too long."""
        now = self.monotonic()
        for connection in list(self._open.values()):
            if connection.overdue(now):
                connection.cut()

    def start(self) -> None:
        """Look after the connections once a second from now on."""
        self.cut_overdue()
        self._timer = asyncio.get_running_loop().call_later(_EVERY, self.start)

    def stop(self) -> None:
        """Cut every connection."""
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self._open.values()):
            connection.cut()
