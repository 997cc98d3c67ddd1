"""
The port at which vendors' callbacks arrive.

Strangers can reach it, so it is no part of the web server: neither metrics nor page nor reload are there. Whoever does
not know a source's address ``/callback/{source}/{token}`` hears 404 whatever is asked for. The signatures of ZEGO and
Tencent do not cover what a callback says, so what comes out is a *hint*: a reason to poll a room, never a number.

A request is checked in this order, and everything that is wrong with time, app or signature has one answer, as the
reason is nobody's business but ours: it is in the metrics.

::

    network ──► path, token ──► size ──► method, type ──► rate ──► signature ──► time ──► app ──► seen? ──► content
      403           404          413       405, 415     200, dropped      403      403     403     200        400

The vendor is answered before anything follows from what it said; see ``hints``.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from exporter.address import Address
from exporter.blocking import in_thread
from exporter.callbacks.clients import Admission
from exporter.callbacks.connections import MOST_CONNECTIONS, READ_TIMEOUT, Connections
from exporter.callbacks.hints import Hints, Sink
from exporter.callbacks.limits import Seen, TokenBucket
from exporter.callbacks.receiver import Receiver, Result, Stats, Subscription, is_token
from exporter.clock import Clock
from exporter.config.discovery import ListenerConfig
from exporter.errors import UserError
from exporter.logs import Log
from exporter.vendors.callbacks import Request

RATE: Final = 1_000.0
"""Callbacks per second of all sources together."""
BURST: Final = 5_000.0
STRANGERS: Final = 200.0
"""Requests per second that end in 404 or the like; those above it are cut off."""
BURST_OF_STRANGERS: Final = 1_000.0

_PREFIX: Final = "/callback/"
_KEY: Final = "callbacks.listen_address"
_LONGEST_FIELD: Final = 8_190
_LINGERING: Final = 1.0
_PLAIN: Final = "text/plain"


@dataclass(frozen=True, slots=True)
class Prepared:
    """
    A config whose address is open, prepared to take the place of the one before.

    Args:
        server: ``None`` if the address has not changed, or if there is none.
    """

    config: ListenerConfig | None
    admission: Admission
    server: asyncio.Server | None
    port: int

    async def aclose(self) -> None:
        """Give it up."""
        if self.server is not None:
            self.server.close()


class Listener:
    """
    Takes callbacks for any number of sources.

    A reload opens what is new with ``prepare``, which may fail and changes nothing, and puts it in place with ``swap``,
    which cannot fail and does not wait. Figures, buckets and the memory of what was taken stay.

    Args:
        sink: Is told what callbacks say of rooms, some time after the vendor was answered.
    """

    def __init__(
        self,
        sink: Sink,
        clock: Clock,
        log: Log,
        read_timeout: float = READ_TIMEOUT,
        most_connections: int = MOST_CONNECTIONS,
    ) -> None:
        self.port = 0
        self._clock = clock
        self._log = log
        self._read_timeout = read_timeout
        self._most_connections = most_connections
        self._config: ListenerConfig | None = None
        self._admission = Admission()
        self._receivers: dict[str, Receiver] | None = None
        self._seen = Seen()
        self._hints = Hints(sink, log, self._is_wanted)
        self._bucket = TokenBucket(RATE, BURST, clock.monotonic())
        self._strangers = TokenBucket(STRANGERS, BURST_OF_STRANGERS, clock.monotonic())
        self._connections: Connections | None = None
        self._server: asyncio.Server | None = None

    @property
    def stats(self) -> dict[str, Stats]:
        """Figures by source."""
        return {name: receiver.stats for name, receiver in (self._receivers or {}).items()}

    async def reconfigure(self, config: ListenerConfig | None, subscriptions: Iterable[Subscription]) -> None:
        """
        Take callbacks for these sources from now on.

        Args:
            config: ``None``: listen no more.

        Raises:
            UserError: Nobody can listen at the address; everything is as it was.
        """
        self.swap(await self.prepare(config), subscriptions)

    async def prepare(self, config: ListenerConfig | None) -> Prepared:
        """
        Listen on the config's address, if it is another one than now. Requests get 503 until the first swap.

        Raises:
            UserError: Nobody can listen there, or a network is none.
        """
        if config is None:
            return Prepared(None, Admission(), None, 0)
        try:
            admission = Admission.parse(config.allow, config.trusted_proxies)
        except ValueError as error:
            raise UserError(f"the networks of callbacks are not valid: {error}") from error
        if self._server and self._config and self._config.listen_address == config.listen_address:
            return Prepared(config, admission, None, self.port)
        listening = await self._listen(Address.parse(config.listen_address, _KEY))
        server = await self._serve(listening)
        return Prepared(config, admission, server, listening.getsockname()[1])

    async def _listen(self, address: Address) -> socket.socket:
        """
        Raises:
            UserError: Nobody can listen there; where callbacks were taken before they are taken still.
        """
        try:
            return await in_thread(address.listen)  # it may have to look up a name
        except UserError:
            if self._server is None or self._config is None or address.port != self.port:
                raise
        # The port is taken by ourselves, such as 127.0.0.1:9879 before :9879.
        before = Address(Address.parse(self._config.listen_address).host, self.port, _KEY)
        self._server.close()
        self._server = None
        try:
            return await in_thread(address.listen)
        except UserError:
            self._server = await self._serve(await in_thread(before.listen))
            raise

    async def _serve(self, listening: socket.socket) -> asyncio.Server:
        if self._connections is None:
            self._connections = self._new_connections()
            self._hints.start()
        return await asyncio.get_running_loop().create_server(self._connections.guard, sock=listening)

    def swap(self, prepared: Prepared, subscriptions: Iterable[Subscription]) -> None:
        """Put what was prepared in place of what there is."""
        if self._server is not None and (prepared.server is not None or prepared.config is None):
            self._server.close()
            self._server = None
        self._server = prepared.server or self._server
        self._config, self._admission, self.port = prepared.config, prepared.admission, prepared.port
        before = self._receivers or {}
        self._receivers = {each.name: self._receiver(each, before.get(each.name)) for each in subscriptions}

    async def stop(self) -> None:
        """Take no more callbacks; hints that wait are handed over."""
        if self._server is not None:
            self._server.close()
        if self._connections is not None:
            self._connections.cut_all()
            await self._connections.server.shutdown(0)
        await self._hints.stop()
        self._server = self._connections = self._config = None

    def _new_connections(self) -> Connections:
        # A broken request from an unknown client is not logged. Our own errors are logged in `_answer`.
        silent = logging.Logger("callbacks", logging.CRITICAL + 1)  # noqa: LOG001 not to be configured by anybody
        server = web.Server(
            self._answer,
            access_log=None,
            auto_decompress=False,
            lingering_time=_LINGERING,
            logger=silent,
            max_field_size=_LONGEST_FIELD,
            max_line_size=_LONGEST_FIELD,
        )
        return Connections(server, self._read_timeout, self._most_connections)

    def _receiver(self, subscription: Subscription, before: Receiver | None) -> Receiver:
        if before is None:
            return Receiver(subscription, self._seen, self._clock, self._log, self._hints.put)
        before.subscription = subscription
        return before

    def _is_wanted(self, source_name: str) -> bool:
        return source_name in (self._receivers or {})

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            response = await self._respond(request)
        except (HttpProcessingError, web.RequestPayloadError):
            response = _plain(400, "bad request")
        except Exception as error:
            if isinstance(error, ConnectionError):
                raise
            self._log.exception("unexpected error in an answer", method="callback")
            response = _plain(500, "internal error")
        response.force_close()
        return response

    async def _respond(self, request: web.BaseRequest) -> web.Response:
        if self._receivers is None:
            return _plain(503, "starting")
        if not self._admission.admits(request.remote or "", request.headers.getall("X-Forwarded-For", ())):
            return self._turn_away(request, 403, "forbidden")
        path, _, query = request.raw_path.partition("?")
        receiver = self._find(path)
        if receiver is None:
            return self._turn_away(request, 404, "not found")
        refused = _unfit(request)
        if refused is not None:
            return refused
        return await self._receive(receiver, query, request)

    def _turn_away(self, request: web.BaseRequest, status: int, words: str) -> web.Response:
        """The answer to a stranger; none if there are too many of them."""
        if not self._strangers.take(self._clock.monotonic()) and request.transport is not None:
            request.transport.abort()
        return _plain(status, words)

    def _find(self, path: str) -> Receiver | None:
        quoted, _, token = path.removeprefix(_PREFIX).rpartition("/")
        name = unquote(quoted) if path.startswith(_PREFIX) else ""
        receiver = (self._receivers or {}).get(name)
        if receiver is None:
            is_token(token, ())  # takes as long as with a source that there is
            return None
        return receiver if receiver.is_named(unquote(token)) else None

    async def _receive(self, receiver: Receiver, query: str, request: web.BaseRequest) -> web.Response:
        most = self._config.max_body if self._config else 0
        if (request.content_length or 0) > most:
            return _response(receiver, receiver.note(Result.TOO_LARGE))
        if not (receiver.has_room() and self._bucket.take(self._clock.monotonic())):
            return _response(receiver, receiver.note(Result.RATE_LIMITED))
        try:
            body = await _read(request, most)
        except (HttpProcessingError, web.RequestPayloadError):
            return _response(receiver, receiver.note(Result.MALFORMED))
        if body is None:
            return _response(receiver, receiver.note(Result.TOO_LARGE))
        headers = {name.lower(): value for name, value in request.headers.items()}
        return _response(receiver, receiver.receive(Request(query, headers, body)))


def _unfit(request: web.BaseRequest) -> web.Response | None:
    """The answer to a request that can be no callback, by its method or the type of its body."""
    if request.method != "POST":
        return _plain(405, "method not allowed", {"Allow": "POST"})
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity"} or request.content_type.startswith("multipart/"):
        return _plain(415, "unsupported media type")
    return None


async def _read(request: web.BaseRequest, most: int) -> bytes | None:
    """The body, byte for byte; ``None`` if it is longer than that."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > most:
            return None
    return bytes(body)


def _response(receiver: Receiver, result: Result) -> web.Response:
    if result in {Result.BAD_SIGNATURE, Result.TOO_OLD, Result.WRONG_APP}:
        return _plain(403, "forbidden")
    if result is Result.TOO_LARGE:
        return _plain(413, "content too large")
    if result is Result.MALFORMED:
        return _plain(400, "bad request")
    callbacks = receiver.subscription.callbacks
    return _with_headers(web.Response(body=callbacks.reply, content_type=callbacks.reply_type))


def _plain(status: int, words: str, headers: dict[str, str] | None = None) -> web.Response:
    return _with_headers(web.Response(status=status, body=f"{words}\n".encode(), content_type=_PLAIN, headers=headers))


def _with_headers(response: web.Response) -> web.Response:
    response.headers["Server"] = "rtc-room-exporter"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
