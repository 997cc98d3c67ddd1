"""Sends replies, or breaks the connection as a fault demands."""

import asyncio
import socket
import struct
from email.utils import formatdate

from aiohttp import web

from exporter.simulator.clock import Clock
from exporter.simulator.exchange import Reply

_DRIPS = 20
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def response(reply: Reply, vendor_time: float) -> web.Response:
    """The complete reply, with the time of the vendor's clock in the Date header."""
    headers = {"Content-Type": reply.content_type, "Date": formatdate(vendor_time, usegmt=True), **reply.headers}
    return web.Response(status=reply.status, body=reply.body, headers=headers)


def reset(transport: asyncio.Transport) -> None:
    """Break the connection with a TCP reset."""
    raw: socket.socket | None = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


async def cut(request: web.Request, reply: Reply, vendor_time: float) -> web.StreamResponse:
    """Send half of the reply with its full Content-Length, then reset the connection."""
    stream = await _open(request, reply, vendor_time)
    await stream.write(reply.body[: len(reply.body) // 2])
    # One iteration of the loop: otherwise the reset would overtake the half.
    await asyncio.sleep(0)
    if request.transport is not None:
        reset(request.transport)
    return stream


async def drip(
    request: web.Request, reply: Reply, vendor_time: float, *, seconds: float, clock: Clock
) -> web.StreamResponse:
    """Send the reply in twenty pieces over so many seconds."""
    stream = await _open(request, reply, vendor_time)
    length = len(reply.body)
    for piece in range(_DRIPS):
        await clock.sleep(seconds / _DRIPS)
        await stream.write(reply.body[length * piece // _DRIPS : length * (piece + 1) // _DRIPS])
    await stream.write_eof()
    return stream


async def _open(request: web.Request, reply: Reply, vendor_time: float) -> web.StreamResponse:
    stream = web.StreamResponse(status=reply.status, headers=response(reply, vendor_time).headers)
    stream.content_length = len(reply.body)
    await stream.prepare(request)
    return stream
