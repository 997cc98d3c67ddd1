"""
Accepts TLS connections, each with the certificate of the moment.

A server of asyncio gives all connections the context that it was started with. Here each connection is accepted by
itself, the files are looked at, and the context that holds now does its handshake.

Theory of operation: a handshake runs on the event loop and takes 0.2 ms with a key on the curve P-256, 0.4 ms with RSA
of 2,048 bits, 3.3 ms with 4,096. A stranger who sends 2,500 hellos a second, which takes 1 MB/s, would keep the loop
busy with nothing else. So handshakes get a quarter of the loop's time: after one that took 1 ms, the next connection is
accepted 4 ms later. 125 ms of handshakes may come at once. The kernel holds those who wait, and connections that stand
are not held up. This is of no use where each scrape makes a new connection in the middle of such a flood: it waits with
all the others.
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
"""Under way at once; one more ends the one that has taken longest."""

_GOODBYE: Final = 2.0
"""Seconds for the client to say goodbye, too, when a connection is closed."""
_SHARE: Final = 0.25
_AT_ONCE: Final = 0.5
"""Seconds of which handshakes may have saved up their share."""
_EVERY_DESCRIPTOR_TAKEN: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_RETRY: Final = 1.0


class Acceptor:
    """
    Takes connections from a listening socket, and gives them to protocols once their handshake is done.

    Args:
        factory: Makes the protocol of one connection.
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
        """Accept from now on."""
        self._guard.handshake_worked = self._budget.spend
        self._listening.settimeout(0)
        self._accepting = asyncio.create_task(self._accept())

    async def stop(self) -> None:
        """Accept no more, and end the handshakes under way."""
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
                # A connection that its client gave up is none; without descriptors, those of others must end first.
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
        """Whether a protocol has the connection now."""
        connection.settimeout(0)
        config = await self._guard.current()
        # What fails here is the client's affair; the guard has heard of it.
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
        """Close what no protocol has got. A task that is cancelled before its first step could not do this itself."""
        self._handshakes.pop(task, None)
        taken = False
        try:
            taken = not task.cancelled() and task.result()
        finally:
            if not taken:
                connection.close()


class Budget:
    """
    The share of the loop's time that handshakes may have.

    Args:
        monotonic: Seconds that only ever go forward.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._paid_until = monotonic() - _AT_ONCE

    def spend(self, seconds: float) -> None:
        """Note that a handshake took these seconds."""
        earliest = self._monotonic() - _AT_ONCE
        self._paid_until = max(self._paid_until, earliest) + seconds / _SHARE

    def delay(self) -> float:
        """Seconds until another connection may be accepted."""
        return max(0.0, self._paid_until - self._monotonic())
