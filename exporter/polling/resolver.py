"""
Name look-ups that cannot get in each other's way.

The system's resolver blocks a thread, and a hanging name server blocks it for long. Each source therefore has its own
resolver with one look-up per name under way at most, in a daemon thread: a source whose vendor's name hangs delays
neither another source nor the end of the process. Addresses are kept, and while a name server fails stale ones are
better than none, unless they cannot be connected to.
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
        monotonic: Monotonic seconds; addresses older than a minute are looked up again.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._known: dict[_Key, tuple[float, list[ResolveResult]]] = {}
        self._running: dict[_Key, asyncio.Task[list[ResolveResult] | OSError]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """
        Addresses of a host.

        Raises:
            OSError: The look-up failed and no address is known from before.
        """
        key = (host, port, family)
        fresh_until, known = self._known.get(key, (-math.inf, []))
        if self._monotonic() >= fresh_until and key not in self._running:
            self._running[key] = asyncio.create_task(self._look_up(key))
        if known:
            return known
        looking = self._running[key]
        await asyncio.wait({looking})  # whoever stops waiting leaves it to the others
        found = looking.result()
        if isinstance(found, OSError):
            raise found
        return found

    def forget(self) -> None:
        """An address could not be connected to: look every name up again, and wait for the answer."""
        self._known.clear()

    async def close(self) -> None:
        """Give up running look-ups; their threads end by themselves."""
        for looking in self._running.values():
            looking.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        self._running.clear()

    async def _look_up(self, key: _Key) -> list[ResolveResult] | OSError:
        """An error is returned, since perhaps nobody waits for it."""
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
