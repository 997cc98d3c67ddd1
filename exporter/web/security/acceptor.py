"""
Accepts TLS connections, each with the present certificate, and bounds the time that handshakes take on the loop.

Two problems. A server of asyncio uses the TLS context with which it was started, so it would never notice a renewed
certificate. And a handshake runs on the event loop: 0.2 ms with a P-256 key, 0.4 ms with RSA 2048, 3.3 ms with
RSA 4096. A client that sends 2,500 ClientHellos a second, 1 MB/s, would keep the loop fully busy.

Idea: accept each connection ourselves. Before its handshake, ``Guard`` checks the files, and the handshake gets the
context in force. Handshakes share a token bucket of loop time: it refills with a quarter of the loop's time and holds
125 ms. While it is empty, no connection is accepted; new ones wait in the kernel's backlog. Connections whose handshake
is done are not affected.

Example: after a handshake of 1 ms the next connection is accepted 4 ms later. A quiet server has saved up 125 ms of
handshakes, 300 of RSA 2048, and accepts these at once.

Why not a limit of connections per second: a handshake with RSA 4096 takes 16 times as long as one with P-256.

When this is wrong: the backlog is first come, first served. A scraper that opens a new connection for each scrape waits
in it behind the flood. Prometheus keeps its connection open.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from exporter.web.security.guard import Guard

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds from a connection to the end of its handshake."""
MAX_HANDSHAKES: Final = 128
"""Handshakes at the same time. A further one ends the oldest."""

_GOODBYE: Final = 2.0
"""Seconds for the client to answer the close of TLS (close_notify)."""
_SHARE: Final = 0.25
_AT_ONCE: Final = 0.5
"""Seconds for which the unused share is saved up."""
_EVERY_DESCRIPTOR_TAKEN: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_RETRY: Final = 1.0


class Acceptor:
    """
    Accepts connections from a listening socket, and hands each to a protocol after its handshake.

    Args:
        factory: Makes the protocol of a connection.
    """

    def __init__(
        self,
        listening: socket.socket,
        guard: Guard,
        factory: Callable[[], asyncio.Protocol],
    ) -> None:
        self._listening = listening
        self._guard = guard
        self._factory = factory
        self._budget = Budget(asyncio.get_running_loop().time)
        self._handshakes: dict[asyncio.Task[bool], None] = {}
        self._accepting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start accepting."""
        self._guard.handshake_worked = self._budget.spend
        self._listening.settimeout(0)
        self._accepting = asyncio.create_task(self._accept())

    async def stop(self) -> None:
        """Stop accepting, and cancel the running handshakes."""
        tasks = [task for task in (self._accepting, *self._handshakes) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listening.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if delay := self._budget.delay():
                await asyncio.sleep(delay)
            try:
                connection, _ = await loop.sock_accept(self._listening)
            except OSError as error:
                # The client gave up: go on. No descriptors are left: wait until other connections end.
                await asyncio.sleep(_RETRY if error.errno in _EVERY_DESCRIPTOR_TAKEN else 0)
                continue
            self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        if len(self._handshakes) >= MAX_HANDSHAKES:
            oldest = next(iter(self._handshakes))
            del self._handshakes[oldest]
            oldest.cancel()
        task = asyncio.create_task(self._shake_hands(connection))
        self._handshakes[task] = None
        task.add_done_callback(lambda done: self._ended(done, connection))

    async def _shake_hands(self, connection: socket.socket) -> bool:
        """Do the handshake. Returns whether a protocol owns the connection now."""
        connection.settimeout(0)
        config = await self._guard.current()
        # A failed handshake is the client's problem; the guard has logged it.
        with suppress(OSError, TimeoutError):
            await asyncio.get_running_loop().connect_accepted_socket(
                self._factory,
                connection,
                ssl=config.context,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT,
                ssl_shutdown_timeout=_GOODBYE,
            )
            return True
        return False

    def _ended(self, task: asyncio.Task[bool], connection: socket.socket) -> None:
        """Close a connection that no protocol owns. A task cancelled before its first step cannot do this itself."""
        self._handshakes.pop(task, None)
        taken = False
        try:
            taken = not task.cancelled() and task.result()
        finally:
            if not taken:
                connection.close()


class Budget:
    """
    A token bucket of loop time for handshakes.

    Args:
        monotonic: Returns monotonic seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._paid_until = monotonic() - _AT_ONCE

    def spend(self, seconds: float) -> None:
        """A handshake took these seconds."""
        earliest = self._monotonic() - _AT_ONCE
        self._paid_until = max(self._paid_until, earliest) + seconds / _SHARE

    def delay(self) -> float:
        """Seconds until another connection may be accepted."""
        return max(0.0, self._paid_until - self._monotonic())
