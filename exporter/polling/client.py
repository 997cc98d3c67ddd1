"""
One source's HTTP calls over aiohttp: bytes out, bytes in. Only this module opens sockets to vendors.

Theory of operation
===================

**Problem.** A budget grants a slot for one moment. To connect takes a round trip or several, so a call that connects
first would leave at an unknown time after its slot. ``ClientSession.request`` connects, waits and writes in one go. If
a kept-alive connection breaks, it also repeats an idempotent request by itself, outside the budget and with a nonce
that was already used.

**Idea.** A source takes a slot only when it has an open connection. Then it writes the request in one step that cannot
wait. aiohttp opens connections (TLS, proxies, happy eyeballs) and parses replies; this module writes the request.
Redirects are not followed. Exceptions of the library contain URLs, and URLs contain signatures, so each exception is
replaced by a text of our own.

*How many connections are kept open.* If a call uses a new connection within 2 s of the call before it, two more are
opened, up to a quarter second's worth of calls. So if the vendor closes each connection after one reply, the number of
open connections doubles in the time that it takes to open one, as in TCP's slow start. If the vendor keeps connections,
nothing is opened. A connection that is idle for 30 s is closed. Example: at a limit of 200 calls per second, nothing is
opened while 50 connections are idle.

*When the network is cut.* If a request is not acknowledged within a second, connections that have been idle since
before its write are closed, since they use the same network path. Then only a TCP handshake can show that the path
works again. So a vendor that cannot be reached receives hardly more than one second's worth of calls, and does not hold
more places of a shared limit.

**When this is wrong.** Only Linux says which bytes are acknowledged; on other systems every request counts as
delivered.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import math
import socket
import ssl
import struct
import sys
import termios
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol, TypeAlias, cast

import aiohttp
import msgspec
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import AddrInfoType, Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from exporter import __version__
from exporter.blocking import Turn
from exporter.clock import Clock
from exporter.config import SourceConfig
from exporter.limits import highest_for_vendors
from exporter.metrics.room import Arrival
from exporter.model import Failure, FailureKind, Request
from exporter.polling.crowd import Crowd
from exporter.polling.pace import MOST_LATENESS
from exporter.resolver import Resolver

MAX_REPLY: Final = 8 * 1024 * 1024
_LONGEST_HEADER: Final = 32 * 1024
_INTERIM_REPLIES: Final = 8
_PIECE: Final = 16 * 1024
_UNPACKED_PIECE: Final = 256 * 1024
_CODINGS: Final[Mapping[str, int | None]] = {"identity": None, "": None, "gzip": 31, "x-gzip": 31, "deflate": 15}
"""Content-Encoding, and what zlib calls ``wbits``: 15 for its own format, 16 more for that of gzip."""
_USER_AGENT: Final = f"rtc-room-exporter/{__version__}"
_NO_OTHER_TIMEOUT: Final = aiohttp.ClientTimeout(total=None)
_READY_SECONDS: Final = 0.25
_IDLE: Final = 30.0
_SOON_AFTER: Final = 2.0
_CONNECT_AGAIN: Final = 1.0
_UNACKNOWLEDGED: Final = 1.0
_QUEUED: Final = 3.0
"""Seconds for which a packet may outlive its connection: so long a kernel queues it while it asks for a MAC address."""

_Idle: TypeAlias = tuple[Connection, float, bool]  # idle since this monotonic time; whether it was never used


class Response(msgspec.Struct, frozen=True):
    """
    A vendor's reply.

    Args:
        headers: A mapping that ignores the case of names.
        head_at: Monotonic time at which the status and the headers had arrived.
        arrival: Time at which the last byte had arrived.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    head_at: float
    arrival: Arrival


class Opener(Protocol):
    """Hears how ``Client.open`` ended."""

    def connected(self) -> None:
        """A connection is open."""

    def not_connected(self, failure: Failure, since: float) -> None:
        """No connection could be opened. The attempt began at this monotonic time."""


class Client:
    """
    One source's connections to its vendor.

    Args:
        opener: Hears how ``open`` ended. Without one, no connections are opened in advance.
        crowd: Shared by all sources; default: there are few of them.
    """

    def __init__(self, config: SourceConfig, opener: Opener | None, clock: Clock, crowd: Crowd | None = None) -> None:
        source = config.source
        self._opener = opener
        self.clock = clock
        self.crowd = crowd or Crowd()
        self._resolver = Resolver(clock.monotonic)
        self._connector = aiohttp.TCPConnector(
            limit=0,
            ssl=ssl.create_default_context(cadata=source.ca_file.pem) if source.ca_file else True,
            resolver=self._resolver,
            use_dns_cache=False,
            socket_factory=_socket,
        )
        incoming = partial(_Incoming, asyncio.get_running_loop())
        vars(self._connector)["_factory"] = incoming  # aiohttp has no public parameter for it
        proxy = URL(source.proxy) if source.proxy else None
        base_url = URL(config.base_url)
        # A plain-http request through a proxy carries the whole URL and the proxy's credentials.
        self._absolute = proxy is not None and base_url.scheme == "http"
        headers = {hdrs.USER_AGENT: _USER_AGENT, hdrs.ACCEPT_ENCODING: "gzip, deflate"}
        proxy_headers = {hdrs.USER_AGENT: _USER_AGENT}
        if credentials := source.proxy_credentials:
            (headers if self._absolute else proxy_headers)[hdrs.PROXY_AUTHORIZATION] = f"Basic {credentials}"
        # Every request has the headers of this one.
        self._target = aiohttp.ClientRequest(
            "GET",
            base_url,
            headers=headers,
            loop=asyncio.get_running_loop(),
            proxy=proxy.with_user(None) if proxy else None,
            proxy_headers=proxy_headers,
        )
        self._idle: deque[_Idle] = deque()  # used ones at the right end, taken first
        self._in_use: set[Connection] = set()
        self._opening: set[asyncio.Task[Failure | None]] = set()
        self._open_at = self._sent_at = -math.inf
        self._closed = False
        self.tune(config)

    def tune(self, config: SourceConfig) -> None:
        """Apply the keys of a new config that need no new connections: ``rate_limit`` and ``timeout``."""
        self.timeout = config.timeout
        self._most_ready = math.ceil(_READY_SECONDS * config.rate_limit) if self._opener else 0

    def ready_at(self) -> float:
        """Monotonic time from which ``send`` or ``open`` may be called; infinity while a connection is being opened."""
        if self.has_connection():
            return -math.inf
        return math.inf if self._opening else self._open_at

    def has_connection(self) -> bool:
        """Whether ``send`` may be called. Drops idle connections that can no longer be used."""
        while self._idle and not _usable(self._idle[-1][0]):
            _close(self._idle.pop()[0])
        return bool(self._idle)

    def open(self, wanted: int = 1) -> None:
        """Begin to open connections, at most as many as are kept ready. The opener hears how this ended."""
        places = 0 if self._closed else self._most_ready - len(self._idle) - len(self._opening)
        for _ in range(min(wanted, places)):
            opening = asyncio.create_task(self._connect())
            self._opening.add(opening)
            opening.add_done_callback(partial(self._opened, self.clock.monotonic()))

    def send(self, request: Request) -> Exchange:
        """Write a request now. Needs ``has_connection``."""
        message = self._head(request) + request.body
        connection, _, new = self._idle.pop()
        self._in_use.add(connection)
        exchange = Exchange(self, connection, message)
        now = exchange.written
        if new and now - self._sent_at < _SOON_AFTER and now >= self._open_at:
            self.open(2)
        self._sent_at = now
        return exchange

    async def call(self, request: Request) -> Response | Failure:
        """Make one call outside any budget. Every error is returned as a failure."""
        if not self.has_connection() and (failure := await self._connect()):
            return failure
        return await self.send(request).response()

    def maintain(self) -> None:
        """Close connections that have been idle for over 30 s. Call this every few seconds."""
        self._close_idle(self.clock.monotonic() - _IDLE)

    def unacknowledged(self, written: float) -> None:
        """The other side has not acknowledged a request that was written at this monotonic time."""
        if self.clock.monotonic() > written + _UNACKNOWLEDGED:
            self._close_idle(written)

    def _close_idle(self, before: float) -> None:
        for idle in [idle for idle in self._idle if idle[1] < before]:
            self._idle.remove(idle)
            _close(idle[0])

    def retire(self) -> None:
        """Close idle connections, and open none from now on. Calls in flight go on."""
        self._closed = True
        for opening in self._opening:
            opening.cancel()
        while self._idle:
            _close(self._idle.pop()[0])

    def reopen(self) -> None:
        """After ``retire``: open connections again."""
        self._closed = False
        self._opening = {opening for opening in self._opening if not opening.cancelling()}
        self.open()

    async def aclose(self) -> None:
        """Close every connection."""
        self.retire()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in self._in_use:
            _close(connection)
        self._opener = None  # it refers to this client
        await self._connector.close()
        await self._resolver.close()

    def ended(self, connection: Connection, *, complete: bool) -> None:
        """A call has ended. Keep its connection if the whole reply was read and another call can use it."""
        self._in_use.discard(connection)
        if complete and not self._closed and _usable(connection):
            self._idle.append((connection, self.clock.monotonic(), False))
        else:
            _close(connection)

    def _opened(self, since: float, opening: asyncio.Task[Failure | None]) -> None:
        self._opening.discard(opening)
        if opening.cancelled() or self._opener is None:
            return
        failure = opening.result()
        if failure is None:
            self._opener.connected()
        elif not self._opening:  # report connections that were opened together only once
            self._opener.not_connected(failure, since)

    async def _connect(self) -> Failure | None:
        try:
            async with self.crowd.opening(), asyncio.timeout(self.timeout):
                connection = await self._connector.connect(self._target, traces=[], timeout=_NO_OTHER_TIMEOUT)
        except Exception as error:  # noqa: BLE001 the library raises more than it documents
            self._open_at = self.clock.monotonic() + _CONNECT_AGAIN
            self._resolver.forget()
            failure = _in_our_words(error)
            _forget_frames(error)
            return failure
        self._idle.appendleft((connection, self.clock.monotonic(), True))
        return None

    def _head(self, request: Request) -> bytes:
        headers = {**self._target.headers, **request.headers}
        if request.body:
            headers[hdrs.CONTENT_LENGTH] = str(len(request.body))
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        target = request.url if self._absolute else request.target
        return f"{request.method} {target} HTTP/1.1\r\n{lines}\r\n".encode()


MakeClient: TypeAlias = Callable[[SourceConfig, Opener, Clock], Client]


class Exchange:
    """A request that was written to a connection, and its reply. Writing happens when this is made."""

    __slots__ = ("_arrives_by", "_client", "_connection", "_protocol", "written")

    def __init__(self, client: Client, connection: Connection, request: bytes) -> None:
        self._client = client
        self._connection = connection
        self._protocol = protocol = cast(ResponseHandler, connection.protocol)
        protocol.set_response_params(
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
        )
        cast(asyncio.Transport, protocol.transport).write(request)
        self.written = client.clock.monotonic()
        self._arrives_by = math.inf

    async def response(self) -> Response | Failure:
        """Read the reply. Every error is returned as a failure. Await this once."""
        complete = False
        try:
            async with asyncio.timeout(self._client.timeout):
                response = await self._read(self._client.clock)
            complete = isinstance(response, Response)
            return response
        except (aiohttp.ClientError, HttpProcessingError, TimeoutError, OSError, ValueError, zlib.error) as error:
            return _in_our_words(error)
        finally:
            if self.arrives_by() == math.inf:
                self._arrives_by = self._client.clock.monotonic() + _QUEUED
            # A late reply must not be taken for the reply to the next call on this connection.
            self._client.ended(self._connection, complete=complete)

    def arrives_by(self) -> float:
        """
        Monotonic time until which the request may still arrive.

        Minus infinity: the other side has acknowledged it. Infinity: unknown. If the connection is broken, this depends
        on who broke it: after the other side did, nothing more arrives; after the kernel or we did, packets may still
        lie in a queue for 3 s.
        """
        if self._arrives_by == math.inf:
            now = self._client.clock.monotonic()
            self._arrives_by = self._latest_arrival(now)
            if self._arrives_by > now:
                self._client.unacknowledged(self.written)
        return self._arrives_by

    def _latest_arrival(self, now: float) -> float:
        error, transport = self._protocol.exception(), self._protocol.transport
        if error is not None:
            return now if getattr(error, "errno", None) in _BY_THE_OTHER_SIDE else now + _QUEUED
        if transport is None:
            return now + _QUEUED
        return -math.inf if not transport.is_closing() and _is_acknowledged(transport) else math.inf

    def round_trip(self) -> float:
        """The kernel's smoothed round-trip time in seconds; 0 if unknown."""
        transport = self._protocol.transport
        if transport is None or transport.is_closing() or not hasattr(socket, "TCP_INFO"):
            return 0.0
        made: socket.socket = transport.get_extra_info("socket")
        info = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SMOOTHED_ROUND_TRIP.size)
        return float(_SMOOTHED_ROUND_TRIP.unpack(info)[0] / 1e6)

    async def _read(self, clock: Clock) -> Response | Failure:
        for _ in range(_INTERIM_REPLIES + 1):
            message, payload = await self._protocol.read()
            self._arrives_by = -math.inf
            if not 100 <= message.code < 200 or self._protocol.upgraded:
                break
        else:
            return _NOT_HTTP
        head_at = clock.monotonic()
        await self._client.crowd.reply()
        if int(message.headers.get(hdrs.CONTENT_LENGTH, 0)) > MAX_REPLY:
            return _TOO_LARGE
        coding = message.headers.get(hdrs.CONTENT_ENCODING, "identity").lower()
        if coding not in _CODINGS:
            return _NOT_HTTP
        body = await self._body(payload, _Decoder(_CODINGS[coding]))
        if body is None:
            return _TOO_LARGE
        arrival = Arrival(clock.monotonic(), round(clock.unix(), 3))
        return Response(message.code, message.headers, body, head_at, arrival)

    async def _body(self, payload: aiohttp.StreamReader, decoder: _Decoder) -> bytes | None:
        """The reply's body; ``None`` if it has over 8 MiB."""
        rest = None if payload.is_eof() else asyncio.ensure_future(self._protocol.read())
        if rest is not None:
            rest.add_done_callback(partial(self._interrupted, payload))
        try:
            while not payload.at_eof():
                if not await decoder.take(await payload.readany()):
                    return None
        finally:
            if rest is not None:
                rest.cancel()
        return decoder.body()

    def _interrupted(self, payload: aiohttp.StreamReader, rest: asyncio.Future[object]) -> None:
        """
        The parser failed, or the connection ended, before the whole body was read.

        If a chunk is malformed, aiohttp raises only in the task that waits for the next reply. The task that waits for
        this body would wait for ever, so it gets the exception here.
        """
        if rest.cancelled():
            return
        self._protocol.force_close()
        error = rest.exception() or aiohttp.ClientPayloadError()
        if not payload.is_eof() and payload.exception() is None:
            payload.set_exception(error)


class _Decoder:
    """
    Collects a reply's body, and unpacks it in steps between which the loop runs.

    aiohttp could unpack it, too. But it begins a new stream after each end of one, and a body of 8 MiB can hold 400,000
    empty gzip streams, for which it would hold the loop for seconds. Here a packed body is one stream.

    Args:
        window: The ``wbits`` of zlib; ``None`` for a body that is not packed.
    """

    def __init__(self, window: int | None) -> None:
        self._stream = None if window is None else zlib.decompressobj(window)
        self._body = bytearray()
        self._taken = 0

    async def take(self, data: bytes) -> bool:
        """
        Add the next bytes that arrived. Returns whether the body is still at most 8 MiB.

        Raises:
            zlib.error: They cannot be unpacked.
        """
        self._taken += len(data)
        if self._stream is None:
            self._body += data
        turn = Turn()
        while data and self._stream is not None and len(self._body) <= MAX_REPLY:
            self._body += self._stream.decompress(data, _UNPACKED_PIECE)
            data = self._stream.unconsumed_tail
            if self._stream.unused_data:
                raise zlib.error("bytes after the end of the stream")
            await turn.let_others_run()
        return max(self._taken, len(self._body)) <= MAX_REPLY

    def body(self) -> bytes:
        """
        The whole body.

        Raises:
            aiohttp.ClientPayloadError: Its end is missing.
        """
        if self._stream is not None and self._taken:
            self._body += self._stream.flush()
            if not self._stream.eof:
                raise aiohttp.ClientPayloadError
        return bytes(self._body)


class _Incoming(ResponseHandler):
    """
    Parses the bytes from a vendor or a proxy, 16 KiB at a time.

    One read may bring 256 KiB, which can hold nine thousand messages. A connection that brings more than eight interim
    replies and a final one is aborted.
    """

    def data_received(self, data: bytes) -> None:
        if len(data) <= _PIECE:
            super().data_received(data)
            return
        for start in range(0, len(data), _PIECE):
            super().data_received(data[start : start + _PIECE])
            if len(self._buffer) > _INTERIM_REPLIES + 1:
                transport = self.transport
                self.set_exception(HttpProcessingError(message="messages without end"))
                if transport is not None:
                    transport.abort()
                return


def _usable(connection: Connection) -> bool:
    """Whether a request can be written to it, and the next bytes will be the reply."""
    protocol = connection.protocol  # false in a boolean context
    return protocol is not None and protocol.is_connected() and not protocol.should_close


def _is_acknowledged(transport: asyncio.BaseTransport) -> bool:
    """Whether the other side has acknowledged every byte; true on systems that do not say."""
    try:
        unacknowledged = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):
        return True
    return not int.from_bytes(unacknowledged, sys.byteorder)


_SMOOTHED_ROUND_TRIP: Final = struct.Struct("=68xI")
"""The field ``tcpi_rtt`` of Linux' ``struct tcp_info``, in microseconds."""
_BY_THE_OTHER_SIDE: Final = {None, errno.ECONNRESET, errno.EPIPE}


def _close(connection: Connection) -> None:
    """Abort it: a regular TLS shutdown waits for half a minute if the peer hangs."""
    if connection.transport is not None:
        connection.transport.abort()
    connection.close()


def _socket(address: AddrInfoType) -> socket.socket:
    """
    A socket to a vendor. The kernel gives up unacknowledged bytes after about two seconds.

    Raises:
        OSError: EMFILE: the remaining file descriptors are kept for scrapes.
    """
    made = socket.socket(*address[:3])
    if made.fileno() >= highest_for_vendors():
        made.close()
        raise OSError(errno.EMFILE, "the rest is for scrapes")
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: unacknowledged bytes are not sent again after that
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(MOST_LATENESS * 1000))
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD_AT_CLOSE)
    return made


_DISCARD_AT_CLOSE: Final = struct.pack("ii", 1, 0)


def _in_our_words(error: Exception) -> Failure:
    """The failure for an exception of a call. The exception's own text may hold secrets and is never used."""
    if isinstance(error, OSError) and error.errno in _EXHAUSTED:
        return _transient("exhausted", "this process ran out of file descriptors, threads or memory: raise its limits")
    return next((failure for kind, failure in _FAILURES if isinstance(error, kind)), _UNFORESEEN)


def _forget_frames(error: BaseException | None) -> None:
    """Free the frames in which a connection failed: they and the exceptions refer to each other."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOBUFS}
_transient: Final = partial(Failure, FailureKind.TRANSIENT)
_misconfigured: Final = partial(Failure, FailureKind.MISCONFIGURED)
_TOO_LARGE: Final = Failure(FailureKind.MALFORMED, "too_large", "the reply is over 8 MiB")
_NOT_HTTP: Final = Failure(FailureKind.MALFORMED, "not_http", "the reply is not valid HTTP")
_UNFORESEEN: Final = _transient("connection", "the connection to the vendor failed")
# The first match counts.
_FAILURES: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], Failure], ...]] = (
    (TimeoutError, _transient("timeout", "no complete reply within the source's timeout")),
    (
        aiohttp.ClientConnectorCertificateError,
        _misconfigured("tls_certificate", "the certificate is not trusted: check base_url, proxy and ca_file"),
    ),
    (
        aiohttp.ClientConnectorDNSError,
        _transient("dns", "the vendor's host name cannot be resolved: check base_url if it lasts"),
    ),
    (
        aiohttp.ClientProxyConnectionError,
        _transient("proxy_connect", "the proxy cannot be reached: check proxy if it lasts"),
    ),
    (aiohttp.ClientHttpProxyError, _misconfigured("proxy_refused", "the proxy refused to connect us: check proxy")),
    (aiohttp.ClientConnectorSSLError, _transient("tls", "the TLS handshake with the vendor failed")),
    (
        aiohttp.ClientConnectorError,
        _transient("connect", "the vendor's host refused the connection or cannot be reached"),
    ),
    (
        (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError),
        _transient("disconnected", "the connection broke before the reply was complete"),
    ),
    ((HttpProcessingError, aiohttp.ClientResponseError, zlib.error), _NOT_HTTP),
    (aiohttp.InvalidURL, _misconfigured("invalid_url", "the request cannot be sent there: check base_url and proxy")),
)
