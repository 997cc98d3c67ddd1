"""
DNS look-ups that cannot delay each other.

The system's resolver blocks a thread, and a name server that hangs blocks it for long. So each source has its own
resolver, which looks up each name at most once at a time, in a daemon thread. A vendor's name that hangs delays neither
another source nor the end of the process.

An address is used for a minute. Then the resolver looks the name up again, and returns the old address meanwhile. It
keeps the old address while the name server fails, unless nobody can connect to it (``forget``).
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable
from typing import Final, TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult

from exporter.blocking import in_thread

_FRESH_FOR: Final = 60.0
_ASK_AGAIN: Final = 5.0

_Key: TypeAlias = tuple[str, int, socket.AddressFamily]


class Resolver(AbstractResolver):
    """
    Resolves the few names that one source calls.

    Args:
        monotonic: The clock, in monotonic seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._known: dict[_Key, tuple[float, list[ResolveResult]]] = {}
        self._running: dict[_Key, asyncio.Task[list[ResolveResult] | OSError]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """
        Addresses of a host, possibly from an earlier look-up.

        Raises:
            OSError: The look-up failed, and there is no earlier one.
        """
        key = (host, port, family)
        fresh_until, known = self._known.get(key, (-math.inf, []))
        if self._monotonic() >= fresh_until and key not in self._running:
            self._running[key] = asyncio.create_task(self._look_up(key))
        if known:
            return known
        looking = self._running[key]
        await asyncio.wait({looking})  # a cancelled caller must not cancel the look-up of the others
        found = looking.result()
        if isinstance(found, OSError):
            raise found
        return found

    def forget(self) -> None:
        """Nobody could connect to an address: the next ``resolve`` waits for a new look-up."""
        self._known.clear()

    async def close(self) -> None:
        """Stop waiting for look-ups. Their threads end when the system's resolver returns."""
        for looking in self._running.values():
            looking.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        self._running.clear()

    async def _look_up(self, key: _Key) -> list[ResolveResult] | OSError:
        """Returns an error instead of raising it, since nobody may be waiting for this task."""
        try:
            found = await in_thread(_addresses, *key)
        except OSError as error:
            if key in self._known:
                self._known[key] = (self._monotonic() + _ASK_AGAIN, self._known[key][1])
            return error
        finally:
            self._running.pop(key, None)
        self._known[key] = (self._monotonic() + _FRESH_FOR, found)
        return found


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG)
    except UnicodeError:
        raise OSError(f"{host!r} is no host name") from None
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=int(address[1]),
            family=info_family,
            proto=proto,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for info_family, _, proto, _, address in infos
    ]
