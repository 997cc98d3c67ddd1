"""
A guard on every connection: 64 of them, one request each, and some seconds for it from the first byte to the last.

It stands between the transport and aiohttp's own protocol, which would wait for a request as long as a client likes.
Whoever opens a connection too many makes the oldest one of the address close that has most of them: honest requests
take milliseconds, so the oldest is a slow one.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Final, cast

from aiohttp import web

MOST_CONNECTIONS: Final = 64
READ_TIMEOUT: Final = 5.0
"""Seconds from the connection to the end of the request's body, and of the answer."""
LONGEST_HEAD: Final = 32 * 1024

_END_OF_HEAD: Final = re.compile(rb"\n\r?\n")


class Connections:
    """
    The open connections.

    Args:
        server: Of aiohttp; makes the protocol that each connection is guarded for.
    """

    def __init__(self, server: web.Server, read_timeout: float = READ_TIMEOUT, most: int = MOST_CONNECTIONS) -> None:
        self.server = server
        self.read_timeout = read_timeout
        self._most = most
        self._open: dict[Connection, None] = {}  # the oldest is the first
        self._from_address: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def guard(self) -> asyncio.Protocol:
        """Protocol factory."""
        return Connection(self)

    def opened(self, connection: Connection) -> None:
        self._open[connection] = None
        self._from_address[connection.address] += 1
        if len(self._open) > self._most:
            most = max(self._from_address.values())
            next(each for each in self._open if self._from_address[each.address] == most).cut()

    def closed(self, connection: Connection) -> None:
        if connection in self._open:
            del self._open[connection]
            self._from_address[connection.address] -= 1
            self._from_address += Counter()  # forgets those that have none

    def cut_all(self) -> None:
        for connection in list(self._open):
            connection.cut()


class Connection(asyncio.Protocol):
    """
    One guarded connection.

    Attributes:
        address: Of the peer.
    """

    def __init__(self, connections: Connections) -> None:
        self.address = ""
        self._connections = connections
        self._handler = connections.server()
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._head: bytearray | None = bytearray()

    def cut(self) -> None:
        """Close at once."""
        self._connections.closed(self)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.address = str((transport.get_extra_info("peername") or ("",))[0])
        self._deadline = asyncio.get_running_loop().call_later(self._connections.read_timeout, self.cut)
        self._handler.connection_made(transport)
        self._connections.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._head is not None and not self._take_head(data):
            self.cut()
            return
        self._handler.data_received(data)

    def eof_received(self) -> None:
        self._handler.eof_received()

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._connections.closed(self)
        self._handler.connection_lost(exc)

    def _take_head(self, data: bytes) -> bool:
        """Whether the request's head may go on."""
        head = self._head
        if head is None:
            return True
        searched = max(len(head) - 2, 0)
        head += data
        if _END_OF_HEAD.search(head, searched):
            self._head = None
            return True
        return len(head) <= LONGEST_HEAD
