"""
Limits what clients can make the server do: bounded requests, fair queues, time-outs.

Problem: the port may be open to anybody, and the same event loop answers requests and paces calls to the vendors. One
client that sends 2 MB/s makes 60,000 requests a second. aiohttp would parse and answer all of them, and neither
Prometheus nor a vendor's call would have its turn.

Idea: a ``Connection`` stands between the transport and aiohttp's protocol. It decides which bytes aiohttp gets, and
when:

* One request head at a time for each connection, 32 KiB at most. Later bytes are buffered until the answer is sent;
  when the buffer is full, reading from the socket pauses.
* No body. No endpoint takes one, so a body is discarded unparsed, and the connection closes after the answer.
* Heads wait in four queues, called *lanes*: complete scrapes, probes, reloads, everything else. In each iteration of
  the event loop at most two heads of each lane are dispatched to aiohttp. Within a lane, clients with few connections
  come first; among these the client that has rested longest since its last answer, then new clients, then clients that
  ask without a pause. So a flood of page requests delays neither a scrape nor a probe.
* A lane has a *leaky bucket* of loop time. The bucket fills with the time that its answers take on the loop, measured
  step by step, and leaks at the lane's share. Above one second, nothing more is dispatched. An answer is charged in
  advance with the lane's exponentially weighted mean, and the charge is corrected at its end. Otherwise a hundred
  answers could begin before the first one is measured.
* Time-outs, checked once a second: for a head that does not end, and for an answer that the client does not read.
* When there are too many connections, one is closed: an idle one of the address that has the most. Clients that return
  after a pause, as Prometheus does, are spared.

Example: a lane with a share of 0.3 gets a flood of scrapes that take 5 ms of loop time each. 0.3 s / 5 ms = 60 scrapes
are answered in a second. A Prometheus that scrapes every 15 s comes before the flood, since it rested longest, and
waits for one or two answers.

Why not a limit of requests per second: a page of 100,000 rooms takes far longer than a probe. Why not a limit in a
middleware: aiohttp has already parsed the request there, and a flood is expensive even if each request is refused.

When this is wrong: clients are told apart by address, so all clients behind one proxy or NAT count as one. And a flood
from many addresses, each with one connection that rests as long as Prometheus does, is in no way different from many
Prometheus servers: then scrapes share the lane with the flood.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from enum import Enum, auto
from time import perf_counter
from types import coroutine
from typing import Any, Final, TypeAlias, TypeVar, cast

from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.limits import for_clients

T = TypeVar("T")
Priority: TypeAlias = tuple[int, float, bool, float]

HEAD_TIMEOUT: Final = 10.0
"""Seconds from the connection, or from the first byte of a later request, to the end of the request's head."""
ANSWER_TIMEOUT: Final = 30.0
"""Seconds for an answer, with its wait in the lane; then as many again for the client to read the rest of it."""
MAX_CONNECTIONS: Final = 512
LONGEST_HEAD: Final = 32 * 1024
EXTRA: Final = web.RequestKey("extra", int)
"""Number of places that this request may use beyond the common ones; see ``Connection.extra``."""

_CHECK_EVERY: Final = 1.0
_HEADS_PER_ITERATION: Final = 2
_BURST: Final = 1.0
"""Capacity of a lane's bucket in seconds of loop time. It allows a page of 100,000 rooms and a few reloads of it."""
_OVERHEAD: Final = 0.0005
"""Loop time in seconds that aiohttp itself takes for a request; it is not measured."""
_NEWEST_WEIGHT: Final = 0.1
"""Weight of the newest answer in the exponentially weighted mean."""
_LONG_REST: Final = 0.3
"""A client that asks again after so many seconds counts as returning."""
_MAX_EXTRA: Final = 48
_MAX_IGNORED: Final = 1024 * 1024
"""So many bytes of a body are read and discarded; then reading pauses, and the rest stays with the kernel."""
_END_OF_HEAD: Final = re.compile(rb"\n\r?\n")
_TOO_LONG: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nServer: rtc-room-exporter\r\nConnection: close\r\n"
    b"Content-Length: 0\r\n\r\n"
)


class Phase(Enum):
    """The state of a connection."""

    HEAD = auto()
    WAITING = auto()
    ANSWER = auto()
    IDLE = auto()


class Lane:
    """
    A queue of requests of one kind, with a leaky bucket of loop time.

    Args:
        priority: The connection with the smallest value comes first.
        max_answering: Answers at the same time. The bound is not exact: an answer counts from its first step on.
        share: Share of the loop's time that the answers may take in the long run.

    Attributes:
        waiting: Connections with a complete head.
        answering: Number of answers that have begun and not ended.
    """

    def __init__(self, priority: Callable[[Connection], Priority], max_answering: int, share: float) -> None:
        self.waiting: set[Connection] = set()
        self.answering = 0
        self._priority = priority
        self._max_answering = max_answering
        self._share = share
        self._level = 0.0
        self._leaked_at = perf_counter()
        self._mean_time = 0.0

    @property
    def delay(self) -> float:
        """Seconds until a head may be dispatched; infinity if time alone does not change that."""
        if not self.waiting or self.answering >= self._max_answering + self._next().extra:
            return math.inf
        now = perf_counter()
        self._level = max(0.0, self._level - self._share * (now - self._leaked_at))
        self._leaked_at = now
        return max(0.0, self._level - _BURST) / self._share

    def pick(self) -> Connection:
        """Take the next connection out of the queue, and charge the expected time of its answer."""
        connection = self._next()
        self.waiting.remove(connection)
        self._level += self._mean_time + _OVERHEAD
        return connection

    def _next(self) -> Connection:
        return min(self.waiting, key=self._priority)

    @coroutine
    def answer(self, answering: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Run an answer step by step, and charge the time that it really takes on the loop."""
        taken, error = 0.0, None
        self.answering += 1
        try:
            while True:
                began = perf_counter()
                try:
                    waits_for = answering.throw(error) if error else answering.send(None)
                finally:
                    taken += perf_counter() - began
                try:
                    error = yield waits_for
                except BaseException as thrown:  # noqa: BLE001 it is the answer's to handle
                    error = thrown
        except StopIteration as returned:
            return cast(T, returned.value)
        finally:
            self.answering -= 1
            self._level += taken - self._mean_time
            self._mean_time += _NEWEST_WEIGHT * (taken - self._mean_time)


class Connection(asyncio.Protocol):
    """
    One client connection; passes request heads on to aiohttp's own protocol.

    Attributes:
        lane: The lane of its last request.
        rank: Minus the seconds between its last answer and its next request; 0 for a new connection, or after less than
            0.3 s. Connections with a lower rank come first.
        served: Whether it has had an answer.
        address: IP address of the client.
    """

    def __init__(self, make_handler: Callable[[], web.RequestHandler], connections: Connections) -> None:
        self.lane: Lane | None = None
        self.rank = 0.0
        self.address = ""
        self.served = False
        self._has_asked = False
        self._make_handler = make_handler
        self._handler: web.RequestHandler | None = None
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._phase = Phase.HEAD
        self._since = connections.monotonic()
        self._buffer = bytearray()
        self._head = b""
        self._searched = 0
        self._ignored: int | None = None
        self._paused = False

    @property
    def busy(self) -> bool:
        """Whether the client waits for an answer."""
        return self._phase in (Phase.WAITING, Phase.ANSWER)

    @property
    def returning(self) -> bool:
        """Whether the client asked again after a pause, as Prometheus does on a connection that it keeps open."""
        return self.rank <= -_LONG_REST

    @property
    def extra(self) -> int:
        """
        Number of places beyond the common ones: 8 after a pause of 0.3 s, 40 after one of 15 s. So a client that asks
        seldom finds a place, even while others use all common ones.
        """
        return min(8 * int(math.log2(1 - self.rank / _LONG_REST)), _MAX_EXTRA)

    @property
    def since(self) -> float:
        """Monotonic time at which the present phase began."""
        return self._since

    def answered(self) -> None:
        """The answer is complete: go on with the next head, which may be buffered already."""
        self._enter(Phase.IDLE)
        self.served = True
        if self._ignored is None:
            self._pause(paused=False)
            if self._buffer:
                self._next_request()

    def ignore_body(self) -> None:
        """Discard all bytes from now on."""
        self._ignored = len(self._buffer)
        self._buffer.clear()

    def overdue(self, now: float) -> bool:
        """Whether the client has taken too long."""
        waited = now - self._since
        if self._phase is Phase.HEAD:
            return waited > HEAD_TIMEOUT
        unread = self._transport is not None and self._transport.get_write_buffer_size() > 0
        return waited > ANSWER_TIMEOUT and (self.busy or unread)

    def cut(self) -> None:
        """Close at once, without sending what is still buffered."""
        if self._transport is not None:
            self._transport.abort()

    def dispatch(self) -> None:
        """Pass the complete head on to aiohttp, which answers it."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._handler is None:
            self._handler = self._make_handler()
            self._connections.register(self._handler, self)
            self._handler.connection_made(self._transport)
        head, self._head = self._head, b""
        self._enter(Phase.ANSWER)
        self._handler.data_received(head)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.address = str((transport.get_extra_info("peername") or ("",))[0])
        self._connections.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._ignored is not None:
            self._ignored += len(data)
            self._pause(paused=self._ignored > _MAX_IGNORED)
            return
        self._buffer += data
        if self._phase is Phase.IDLE:
            self._next_request()
        elif self._phase is Phase.HEAD:
            self._find_head()
        else:
            self._pause(paused=len(self._buffer) > LONGEST_HEAD)

    def eof_received(self) -> None:
        if self._handler is not None:
            self._handler.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.closed(self, self._handler)
        if self._handler is not None:
            self._handler.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._handler is not None:
            self._handler.pause_writing()

    def resume_writing(self) -> None:
        if self._handler is not None:
            self._handler.resume_writing()

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._since = self._connections.monotonic()
        self._connections.set_idle(self, idle=not self.busy and not (self._has_asked and self.returning))

    def _pause(self, *, paused: bool) -> None:
        if self._transport is None or paused == self._paused or self._transport.is_closing():
            return
        self._paused = paused
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _next_request(self) -> None:
        """A further request begins on this connection."""
        rested_since = self._since
        self._enter(Phase.HEAD)
        self.rank = min(rested_since - self._since, 0.0)
        if not self.returning:
            self.rank = 0.0
        self._find_head()

    def _find_head(self) -> None:
        """Look for a complete head in the buffer; if there is one, queue it."""
        held = self._buffer
        del held[: len(held) - len(held.lstrip(b"\r\n"))]  # RFC 9112: ignore empty lines before a request
        found = _END_OF_HEAD.search(held, max(self._searched - 3, 0))
        self._searched = len(held)
        end = found.end() if found else None
        if end is None and held and not held[:1].isalpha():
            end = len(held)  # not HTTP: aiohttp answers it with an error
        if (end or len(held)) > LONGEST_HEAD:
            self._refuse()
        elif end is not None:
            self._head = _text_only(bytes(held[:end]))
            del held[:end]
            self._searched = 0
            self._has_asked = True
            self._enter(Phase.WAITING)
            self._connections.enqueue(self, self._head)

    def _refuse(self) -> None:
        self._ignored = len(self._buffer)
        self._buffer.clear()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_TOO_LONG)
            self._transport.close()


class Connections:
    """
    All open connections of one server.

    Args:
        monotonic: Returns monotonic seconds.
        telemetry_path: The path of scrapes.

    Attributes:
        from_address: Number of open connections of each address.
    """

    def __init__(self, monotonic: Callable[[], float], telemetry_path: str) -> None:
        self.monotonic = monotonic
        self._telemetry_path = telemetry_path.encode()
        self.from_address: Counter[str] = Counter()
        self._open: set[Connection] = set()
        self._idle: dict[Connection, None] = {}  # in order: the first has been idle longest
        self._handled: dict[web.RequestHandler, Connection] = {}
        self._lanes = tuple(Lane(self.priority, *each) for each in ((48, 0.3), (8, 0.1), (16, 0.1), (4, 0.3)))
        self._dispatch_timer: asyncio.TimerHandle | None = None
        self._check_timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    def guard(self, server: web.Server) -> Callable[[], Connection]:
        """A protocol factory that puts a ``Connection`` in front of each protocol of the server."""
        return lambda: Connection(server, self)

    def opened(self, connection: Connection) -> None:
        self._open.add(connection)
        self._idle[connection] = None
        self.from_address[connection.address] += 1
        if len(self._open) > min(MAX_CONNECTIONS, for_clients()):
            self._one_to_close(connection).cut()

    def _one_to_close(self, newcomer: Connection) -> Connection:
        """
        The connection to close when there are too many: of the address that has the most, the one that has been idle
        longest; if none is idle, the newcomer.
        """
        most = max(self.from_address.values())
        candidates = (other for other in self._idle if self.from_address[other.address] == most)
        if idlest := next(candidates, None):
            return idlest
        if self.from_address[newcomer.address] == most:
            return newcomer
        return next(other for other in self._open if self.from_address[other.address] == most)

    def set_idle(self, connection: Connection, *, idle: bool) -> None:
        """Note whether a connection is idle from now on: an idle one may be closed to make place."""
        self._idle.pop(connection, None)
        if idle and connection in self._open:
            self._idle[connection] = None

    def priority(self, connection: Connection) -> Priority:
        """The place of a connection in its lane; the smallest comes first."""
        return self.from_address[connection.address], connection.rank, connection.served, connection.since

    def register(self, handler: web.RequestHandler, connection: Connection) -> None:
        """Note which protocol of aiohttp's answers the requests of a connection."""
        self._handled[handler] = connection

    def closed(self, connection: Connection, handler: web.RequestHandler | None) -> None:
        self._idle.pop(connection, None)
        if connection in self._open:
            self._open.remove(connection)
            self.from_address[connection.address] -= 1
            self.from_address += Counter()  # removes addresses without connections
        if connection.lane:
            connection.lane.waiting.discard(connection)
        if handler:
            self._handled.pop(handler, None)

    def enqueue(self, connection: Connection, head: bytes) -> None:
        """A connection has a complete head: queue it in its lane."""
        connection.lane = lane = self._lane_of(head)
        lane.waiting.add(connection)
        self._schedule_dispatch()

    @web.middleware
    async def watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Middleware: measure an answer, and tell its connection when the answer is complete."""
        connection = self._handled.get(request.protocol)
        lane = connection.lane if connection else None
        if connection is not None and _has_body(request):
            connection.ignore_body()
        request[EXTRA] = connection.extra if connection else 0
        try:
            answering = cast(Coroutine[Any, Any, web.StreamResponse], handler(request))
            return await (lane.answer(answering) if lane else answering)
        finally:
            if connection is not None:
                connection.answered()
            self._schedule_dispatch()

    def cut_overdue(self) -> None:
        """Close the connections whose clients have taken too long."""
        now = self.monotonic()
        for connection in list(self._open):
            if connection.overdue(now):
                connection.cut()

    def start(self) -> None:
        """Close overdue connections, now and once a second."""
        self.cut_overdue()
        self._check_timer = asyncio.get_running_loop().call_later(_CHECK_EVERY, self.start)

    def stop(self) -> None:
        """Close every connection."""
        for timer in (self._check_timer, self._dispatch_timer):
            if timer is not None:
                timer.cancel()
        for connection in list(self._open):
            connection.cut()

    def _lane_of(self, head: bytes) -> Lane:
        target = head[:LONGEST_HEAD].partition(b"\n")[0].split(b" ")[1:2]
        scrapes, probes, reloads, others = self._lanes
        if target == [self._telemetry_path]:  # with a query it asks for some metrics alone, which is cheap
            return scrapes
        if target == [b"/-/reload"]:
            return reloads
        return probes if target in ([b"/-/healthy"], [b"/-/ready"]) else others

    def _schedule_dispatch(self) -> None:
        delay = min(lane.delay for lane in self._lanes)
        if self._dispatch_timer is not None:
            self._dispatch_timer.cancel()
            self._dispatch_timer = None
        if delay < math.inf:
            self._dispatch_timer = asyncio.get_running_loop().call_later(delay, self._dispatch)

    def _dispatch(self) -> None:
        self._dispatch_timer = None
        for lane in self._lanes:
            for _ in range(_HEADS_PER_ITERATION):
                if lane.delay > 0:
                    break
                lane.pick().dispatch()
        self._schedule_dispatch()


def _text_only(head: bytes) -> bytes:
    """
    The head with ``?`` for each byte that is not part of UTF-8 text.

    aiohttp would decode such a byte to half of a surrogate pair, which its own error texts then fail to encode.
    """
    return head if head.isascii() else head.decode("utf-8", errors="replace").replace("\ufffd", "?").encode()


async def end_with_the_answer(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: close the connection after the answer if the request has a body."""
    if _has_body(request):
        response.force_close()
        response.headers["Connection"] = "close"


def _has_body(request: web.Request) -> bool:
    """Whether other bytes than a further request may follow the head."""
    return request.body_exists or "Upgrade" in request.headers or request.method == "CONNECT"
