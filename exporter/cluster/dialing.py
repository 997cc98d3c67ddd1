"""
Names of Redis servers and sentinels, looked up by ``exporter.resolver`` instead of by asyncio.

The event loop's own look-ups run in few threads, which are joined when the process ends. A name server that hangs would
hold up the next attempt, and the end of the process, for as long as the system's resolver takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from exporter.resolver import Resolver


def dial_by(resolver: Resolver, pool: Any) -> None:
    """
    Let the connections of a pool look up names by this resolver.

    Args:
        pool: A connection pool of redis-py.
    """
    kind: Any = pool.connection_class

    class Dialing(kind):  # type: ignore[misc]  # what redis-py uses for TCP, TLS, and what sentinels tell
        async def _connect(self) -> None:
            async with asyncio.timeout(self.socket_connect_timeout):
                found = await resolver.resolve(self.host, self.port)
            for last, address in enumerate(found, 1 - len(found)):
                self._address = address["host"]
                try:
                    await super()._connect()
                except OSError:
                    if not last:
                        raise
                else:
                    return

        def _connection_arguments(self) -> Mapping[str, Any]:
            arguments = dict(super()._connection_arguments())
            if "ssl" in arguments:
                arguments["server_hostname"] = self.host
            return arguments | {"host": self._address}

    pool.connection_class = Dialing
