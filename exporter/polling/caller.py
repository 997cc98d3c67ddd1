"""
One call over aiohttp: bytes out, bytes in. The only place that opens a socket to a vendor.

One call is one request on the wire: a connection of the source's own pool, then the budget's gate, then the request, as
separate steps. ``ClientSession.request`` would take them all at once, and would repeat an idempotent request by itself
when a kept-alive connection breaks, outside the budget and with a nonce already used. No redirect is followed. Library
exceptions print URLs, and URLs carry signatures, so each is put into our own words here.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

import aiohttp
import msgspec
from aiohttp.connector import Connection
from yarl import URL

from exporter import __version__
from exporter.metrics.room import Arrival
from exporter.model import Failure, FailureKind, Request
from exporter.polling.budget import Passage
from exporter.polling.clock import Clock
from exporter.polling.resolver import Resolver
from exporter.vendors.source import Certificates

MAX_REPLY: Final = 8 * 1024 * 1024
_CHUNK: Final = 256 * 1024
_HEADERS: Final = {"User-Agent": f"rtc-room-exporter/{__version__}"}
_NO_OTHER_TIMEOUT: Final = aiohttp.ClientTimeout(total=None)

Gate: TypeAlias = Callable[[float], Awaitable[Passage | None]]


class Exchange(msgspec.Struct, frozen=True):
    """
    A reply as it came.

    Args:
        headers: Found by their names in any case.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    arrival: Arrival


class _TooLargeError(Exception):
    """The reply is longer than we read."""


class Caller:
    """
    One source's connections to its vendor.

    Args:
        gate: Awaited with a connection in hand before each request is written, given the call's slot; it may ask to be
            told how it goes on.
        rate: Calls per second that there can be; sizes the connection pool together with ``timeout``.
        timeout: Seconds from the slot to the last byte of the reply.
        ca_file: Certificates to trust instead of the system's.
    """

    def __init__(
        self,
        gate: Gate,
        clock: Clock,
        rate: float,
        timeout: float,
        proxy: str | None = None,
        ca_file: Certificates | None = None,
    ) -> None:
        self._gate = gate
        self._clock = clock
        self._timeout = timeout
        self._proxy = URL(proxy) if proxy else None
        self._connections = aiohttp.TCPConnector(
            limit=math.ceil(rate * timeout) + 1,
            ssl=ssl.create_default_context(cadata=ca_file.pem) if ca_file else True,
            resolver=Resolver(clock.monotonic),
            use_dns_cache=False,
            keepalive_timeout=30,
        )

    async def call(self, request: Request, slot: float | None = None) -> Exchange | Failure:
        """
        Send one request and read its reply; whatever goes wrong comes back as a failure.

        Args:
            slot: Monotonic time at which this call was granted its slot; now, if left out.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(request, self._clock.monotonic() if slot is None else slot)
        except (aiohttp.ClientError, _TooLargeError, TimeoutError, OSError, ValueError) as error:
            return _in_our_words(error)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._connections.close()

    async def _exchange(self, request: Request, slot: float) -> Exchange:
        outgoing = aiohttp.ClientRequest(
            request.method,
            _url(request),
            headers={**_HEADERS, **request.headers},
            data=request.body or None,
            loop=asyncio.get_running_loop(),
            proxy=self._proxy,
            proxy_headers=_HEADERS if self._proxy else None,
        )
        connection = await self._connections.connect(outgoing, traces=[], timeout=_NO_OTHER_TIMEOUT)
        try:
            passage = await self._gate(slot)
            return await self._reply(outgoing, connection, passage)
        except BaseException:
            # What may still come on it must not be taken for the reply to another call.
            connection.close()
            raise

    async def _reply(
        self, outgoing: aiohttp.ClientRequest, connection: Connection, passage: Passage | None
    ) -> Exchange:
        # Closed while it waited; or bytes came that nobody asked for, and would be taken for the reply.
        if connection.protocol is None or connection.closed or connection.protocol.should_close:
            raise aiohttp.ServerDisconnectedError
        connection.protocol.set_response_params(read_until_eof=True)
        response = await outgoing.send(connection)
        if passage:
            if outgoing.body:  # a task that was just made writes it
                asyncio.get_running_loop().call_soon(passage.sent)
            else:
                passage.sent()
        try:
            await response.start(connection)
            if passage:
                passage.answered()
            body = await _read(response)
        except BaseException:
            response.close()
            raise
        arrival = Arrival(self._clock.monotonic(), round(self._clock.unix(), 3))
        return Exchange(response.status, response.headers, body, arrival)


def _url(request: Request) -> URL:
    # To take the whole URL apart would cost as much as to sign it.
    base = URL(request.base_url, encoded=True)
    path, _, query = request.target.partition("?")
    return URL.build(scheme=base.scheme, authority=base.raw_authority, path=path, query_string=query, encoded=True)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    length = response.content_length
    if length is not None and length > MAX_REPLY:
        raise _TooLargeError
    if length is not None and "Content-Encoding" not in response.headers:
        return await response.read()
    chunks = []
    size = 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        size += len(chunk)
        if size > MAX_REPLY:
            raise _TooLargeError
        chunks.append(chunk)
    return b"".join(chunks)


_DISCONNECTED: Final = Failure(
    FailureKind.TRANSIENT, "disconnected", "the connection broke before the reply was complete"
)
_IN_OUR_WORDS: Final[tuple[tuple[type[Exception], Failure], ...]] = (
    (TimeoutError, Failure(FailureKind.TRANSIENT, "timeout", "no complete reply within the source's timeout")),
    (
        aiohttp.ClientConnectorCertificateError,
        Failure(
            FailureKind.MISCONFIGURED,
            "tls_certificate",
            "the certificate is not trusted: check base_url, proxy and ca_file",
        ),
    ),
    (
        aiohttp.ClientConnectorDNSError,
        Failure(FailureKind.TRANSIENT, "dns", "the vendor's host name cannot be resolved: check base_url if it lasts"),
    ),
    (
        aiohttp.ClientProxyConnectionError,
        Failure(FailureKind.TRANSIENT, "proxy_connect", "the proxy cannot be reached: check proxy if it lasts"),
    ),
    (
        aiohttp.ClientHttpProxyError,
        Failure(FailureKind.MISCONFIGURED, "proxy_refused", "the proxy refused to connect us: check proxy"),
    ),
    (
        aiohttp.ClientConnectorSSLError,
        Failure(FailureKind.TRANSIENT, "tls", "the TLS handshake with the vendor failed"),
    ),
    (
        aiohttp.ClientConnectorError,
        Failure(FailureKind.TRANSIENT, "connect", "the vendor's host refused the connection or cannot be reached"),
    ),
    (_TooLargeError, Failure(FailureKind.MALFORMED, "too_large", "the reply is over 8 MiB")),
    (aiohttp.ClientPayloadError, _DISCONNECTED),
    (aiohttp.ServerDisconnectedError, _DISCONNECTED),
    (aiohttp.ClientOSError, _DISCONNECTED),
    (aiohttp.ClientResponseError, Failure(FailureKind.MALFORMED, "not_http", "the reply is not valid HTTP")),
    (
        aiohttp.InvalidURL,
        Failure(FailureKind.MISCONFIGURED, "invalid_url", "the request cannot be sent there: check base_url and proxy"),
    ),
)
_UNFORESEEN: Final = Failure(FailureKind.TRANSIENT, "connection", "the connection to the vendor failed")


def _in_our_words(error: Exception) -> Failure:
    """A failure for every exception that a call can end in; the exception's own text is never used."""
    return next((failure for kind, failure in _IN_OUR_WORDS if isinstance(error, kind)), _UNFORESEEN)
