"""How a measured process is ordered about: a line in, a line out, until stdin ends."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping

Order = Callable[[float], object]


async def obey(first_line: object, orders: Mapping[str, Order]) -> None:
    """Tell that all is ready, then carry out orders such as ``change 10000`` until there are no more."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(first_line, flush=True)
    while line := await reader.readline():
        name, _, argument = line.decode().partition(" ")
        print(orders[name](float(argument)), flush=True)
