"""
Name look-ups that cannot get in each other's way.

The system's resolver blocks a thread, and a hanging name server blocks it for long. Each source therefore has its own
resolver with one look-up per name under way at most, in a daemon thread: a source whose vendor's name hangs delays
neither another source nor the end of the process. Addresses are kept, and stale ones are better than none.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

_FRESH_FOR: Final = 60.0
_ASK_AGAIN: Final = 5.0


class Resolver(AbstractResolver):
    """
    Resolves the few names that one source calls.

    Args:
        monotonic: Monotonic seconds; addresses older than a minute are looked up again.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._known: dict[tuple[str, int, socket.AddressFamily], tuple[float, list[ResolveResult]]] = {}
        self._running: dict[tuple[str, int, socket.AddressFamily], asyncio.Future[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """
        Addresses of a host.

        Raises:
            OSError: The look-up failed and no address is known from before.
        """
        key = (host, port, family)
        known = self._known.get(key)
        if known and self._monotonic() - known[0] < _FRESH_FOR:
            return known[1]
        looking = self._running.get(key) or self._look_up(key)
        if known:
            return known[1]
        return await asyncio.shield(looking)

    async def close(self) -> None:
        """Forget running look-ups; their threads end by themselves."""
        for looking in self._running.values():
            looking.cancel()
        self._running.clear()

    def _look_up(self, key: tuple[str, int, socket.AddressFamily]) -> asyncio.Future[list[ResolveResult]]:
        loop = asyncio.get_running_loop()
        looking: asyncio.Future[list[ResolveResult]] = loop.create_future()
        self._running[key] = looking

        def done(found: list[ResolveResult] | OSError) -> None:
            self._running.pop(key, None)
            if looking.done():
                return
            if isinstance(found, OSError):
                if known := self._known.get(key):
                    self._known[key] = (self._monotonic() - _FRESH_FOR + _ASK_AGAIN, known[1])
                looking.set_exception(found)
                looking.exception()  # a stale address may have been used instead, then nobody else asks for this
            else:
                self._known[key] = (self._monotonic(), found)
                looking.set_result(found)

        def work() -> None:
            found = _addresses(*key)
            try:
                loop.call_soon_threadsafe(done, found)
            except RuntimeError:
                return  # the loop has ended meanwhile

        threading.Thread(target=work, name=f"resolve {key[0]}", daemon=True).start()
        return looking


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult] | OSError:
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG)
    except OSError as error:
        return error
    except UnicodeError:
        return OSError(f"{host!r} is no host name")
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
