"""
A guard on every connection, since a server must not do whatever its clients want.

aiohttp answers requests; the guard stands between it and the transport. Strangers may connect, and one with 2 MB/s can
send 60,000 requests in a second, so the guard decides what aiohttp gets to see, and when:

* Of each connection one request's head at a time, of 32 KiB at most. What comes after it waits until the request is
  answered, and the client with it: reading is paused.
* No body. Nothing here takes one, so it is neither decompressed nor parsed, and the connection ends with the answer.
* Heads wait in four queues, called lanes: whole scrapes, probes, reloads, and all the rest. In each turn of the event
  loop two heads of a lane may pass. First come those from an address with few connections; among them the one that has
  rested longest since its last answer, then who has had none yet, then who asks without a pause. So polling has its
  part of every turn, and strangers who ask for pages delay neither a scrape nor a probe.
* A lane has a share of the loop's time, a leaky bucket: each answer's time on the loop, measured step by step, goes in;
  the share runs out. While there is over a second in it, no head passes. An answer is charged beforehand with what
  answers of its lane have taken lately, so that a hundred cannot begin before the first one is paid for. With a share
  of 0.3, scrapes of 5 ms each and a flood of them, 60 a second are answered, and a scraper that comes every 15 s waits
  for one or two others.

Once a second the guard cuts what took too long: a head that does not end, a request whose answer the client does not
fetch, bytes that it leaves unread. A full house cuts a connection of the address that has most of them, and spares one
that returns after a while, as scrapers do. What a client wanted that has gone meanwhile is dropped.
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
Order: TypeAlias = tuple[int, float, bool, float]

HEAD_TIMEOUT: Final = 10.0
"""Seconds from the connection, or from the first byte of a later request, to the end of the request's head."""
ANSWER_TIMEOUT: Final = 30.0
"""Seconds for an answer, its wait in a lane included, and as many again for the client to fetch what is left of it."""
MAX_CONNECTIONS: Final = 512
LONGEST_HEAD: Final = 32 * 1024
EXTRA: Final = web.RequestKey("extra", int)
"""Places for a request beyond those that there are for everybody; see ``Connection.extra``."""


_EVERY: Final = 1.0
_HEADS_IN_A_TURN: Final = 2
_BURST: Final = 1.0
"""Seconds of the loop's time that a lane may take at once, such as for a page of 100,000 rooms and its reloads."""
_FOR_EACH: Final = 0.0005
"""What aiohttp takes of it for each request, besides what is measured."""
_LATELY: Final = 0.1
_WHILE: Final = 0.3
_MOST_EXTRA: Final = 48
_IGNORED: Final = 1024 * 1024
"""Bytes of a body that are thrown away before they are left to the kernel."""
_END_OF_HEAD: Final = re.compile(rb"\n\r?\n")
_TOO_LONG: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nServer: rtc-room-exporter\r\nConnection: close\r\n"
    b"Content-Length: 0\r\n\r\n"
)


class Phase(Enum):
    """What a connection is busy with."""

    HEAD = auto()
    WAITING = auto()
    ANSWER = auto()
    IDLE = auto()


class Lane:
    """
    Requests of a kind.

    Args:
        order: The connection with the least of it comes first.
        most: How many are answered at the same time. It is no exact number, as those count whose answer has begun.
        share: Of the loop's time that their answers may take in the long run.

    Attributes:
        waiting: Connections whose heads wait.
        answering: How many are being answered.
    """

    def __init__(self, order: Callable[[Connection], Order], most: int, share: float) -> None:
        self.waiting: set[Connection] = set()
        self.answering = 0
        self._order = order
        self._most = most
        self._share = share
        self._taken = 0.0
        self._at = perf_counter()
        self._usual = 0.0

    @property
    def free_at(self) -> float:
        """Seconds until a head may pass; infinity if that depends on something else than time."""
        if not self.waiting or self.answering >= self._most + self._next().extra:
            return math.inf
        now = perf_counter()
        self._taken = max(0.0, self._taken - self._share * (now - self._at))
        self._at = now
        return max(0.0, self._taken - _BURST) / self._share

    def pick(self) -> Connection:
        """The one whose head passes now."""
        connection = self._next()
        self.waiting.remove(connection)
        self._taken += self._usual + _FOR_EACH
        return connection

    def _next(self) -> Connection:
        return min(self.waiting, key=self._order)

    @coroutine
    def answer(self, answering: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Drive an answer, and note how long it holds the loop."""
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
            self._taken += taken - self._usual
            self._usual += _LATELY * (taken - self._usual)


class Connection(asyncio.Protocol):
    """
    One guarded connection; passes on to aiohttp's own protocol what that may see.

    Attributes:
        lane: Where its last request waited.
        rank: Connections with a lower one come first: minus the seconds that it rested before it asked again, or 0 if
            it has hardly rested or is new.
        served: Whether it has had an answer.
        address: Of the client.
    """

    def __init__(self, make_handler: Callable[[], web.RequestHandler], connections: Connections) -> None:
        self.lane: Lane | None = None
        self.rank = 0.0
        self.address = ""
        self.served = False
        self._asked = False
        self._make_handler = make_handler
        self._handler: web.RequestHandler | None = None
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._phase = Phase.HEAD
        self._since = connections.monotonic()
        self._held = bytearray()
        self._head = b""
        self._searched = 0
        self._ignored: int | None = None
        self._paused = False

    @property
    def busy(self) -> bool:
        """Whether its client waits for an answer."""
        return self._phase in (Phase.WAITING, Phase.ANSWER)

    @property
    def returning(self) -> bool:
        """Whether its client has come back after a while, as Prometheus does, who keeps its connection."""
        return self.rank <= -_WHILE

    @property
    def extra(self) -> int:
        """
        Places beyond those for everybody: 8 after a rest of 0.3 s, 40 after one of 15 s. So whoever comes seldom finds
        one, unless many others come as seldom.
        """
        return min(8 * int(math.log2(1 - self.rank / _WHILE)), _MOST_EXTRA)

    @property
    def since(self) -> float:
        """Monotonic time at which its phase began."""
        return self._since

    def answered(self) -> None:
        """The answer is ready: the next head may come, or has come already."""
        self._enter(Phase.IDLE)
        self.served = True
        if self._ignored is None:
            self._pause(paused=False)
            if self._held:
                self._ask()

    def ignore_body(self) -> None:
        """Throw away whatever comes from now on."""
        self._ignored = len(self._held)
        self._held.clear()

    def overdue(self, now: float) -> bool:
        """Whether its client has taken too long."""
        waited = now - self._since
        if self._phase is Phase.HEAD:
            return waited > HEAD_TIMEOUT
        unread = self._transport is not None and self._transport.get_write_buffer_size() > 0
        return waited > ANSWER_TIMEOUT and (self.busy or unread)

    def cut(self) -> None:
        """Close at once; what the client has not read is dropped."""
        if self._transport is not None:
            self._transport.abort()

    def begin(self) -> None:
        """Let aiohttp answer the request whose head has come."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._handler is None:
            self._handler = self._make_handler()
            self._connections.handles(self._handler, self)
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
            self._pause(paused=self._ignored > _IGNORED)
            return
        self._held += data
        if self._phase is Phase.IDLE:
            self._ask()
        elif self._phase is Phase.HEAD:
            self._look()
        else:
            self._pause(paused=len(self._held) > LONGEST_HEAD)

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
        self._connections.rests(self, resting=not self.busy and not (self._asked and self.returning))

    def _pause(self, *, paused: bool) -> None:
        if self._transport is None or paused == self._paused or self._transport.is_closing():
            return
        self._paused = paused
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _ask(self) -> None:
        """Another head begins."""
        rested_since = self._since
        self._enter(Phase.HEAD)
        self.rank = min(rested_since - self._since, 0.0)
        if not self.returning:
            self.rank = 0.0
        self._look()

    def _look(self) -> None:
        """Whether a whole head has come; if so, it waits for its turn."""
        held = self._held
        del held[: len(held) - len(held.lstrip(b"\r\n"))]  # empty lines before a request mean nothing
        found = _END_OF_HEAD.search(held, max(self._searched - 3, 0))
        self._searched = len(held)
        end = found.end() if found else None
        if end is None and held and not held[:1].isalpha():
            end = len(held)  # this is no HTTP, and aiohttp has words for it
        if (end or len(held)) > LONGEST_HEAD:
            self._refuse()
        elif end is not None:
            self._head = bytes(held[:end])
            del held[:end]
            self._searched = 0
            self._asked = True
            self._enter(Phase.WAITING)
            self._connections.wait(self, self._head)

    def _refuse(self) -> None:
        self._ignored = len(self._held)
        self._held.clear()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_TOO_LONG)
            self._transport.close()


class Connections:
    """
    All open connections of one server.

    Args:
        monotonic: Monotonic seconds.
        telemetry_path: Where scrapes go.

    Attributes:
        from_address: How many connections of each address are open.
    """

    def __init__(self, monotonic: Callable[[], float], telemetry_path: str) -> None:
        self.monotonic = monotonic
        self._telemetry_path = telemetry_path.encode()
        self.from_address: Counter[str] = Counter()
        self._open: set[Connection] = set()
        self._resting: dict[Connection, None] = {}  # the one that does so longest is the first
        self._handled: dict[web.RequestHandler, Connection] = {}
        self._lanes = tuple(Lane(self.order, *each) for each in ((48, 0.3), (8, 0.1), (16, 0.1), (4, 0.3)))
        self._letting_pass: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    def guard(self, server: web.Server) -> Callable[[], Connection]:
        """A protocol factory that guards what the server makes."""
        return lambda: Connection(server, self)

    def opened(self, connection: Connection) -> None:
        self._open.add(connection)
        self._resting[connection] = None
        self.from_address[connection.address] += 1
        if len(self._open) > min(MAX_CONNECTIONS, for_clients()):
            self._worst(connection).cut()

    def _worst(self, newcomer: Connection) -> Connection:
        """Who makes place; the one that has just come if all others wait for answers, or return now and then."""
        most = max(self.from_address.values())
        crowd = (other for other in self._resting if self.from_address[other.address] == most)
        if worst := next(crowd, None):
            return worst
        if self.from_address[newcomer.address] == most:
            return newcomer
        return next(other for other in self._open if self.from_address[other.address] == most)

    def rests(self, connection: Connection, *, resting: bool) -> None:
        """A connection has nothing to do from now on, or has something to do."""
        self._resting.pop(connection, None)
        if resting and connection in self._open:
            self._resting[connection] = None

    def order(self, connection: Connection) -> Order:
        """Who comes first in a lane."""
        return self.from_address[connection.address], connection.rank, connection.served, connection.since

    def handles(self, handler: web.RequestHandler, connection: Connection) -> None:
        """This protocol of aiohttp's answers the requests of a connection."""
        self._handled[handler] = connection

    def closed(self, connection: Connection, handler: web.RequestHandler | None) -> None:
        self._resting.pop(connection, None)
        if connection in self._open:
            self._open.remove(connection)
            self.from_address[connection.address] -= 1
            self.from_address += Counter()  # forgets those that have none
        if connection.lane:
            connection.lane.waiting.discard(connection)
        if handler:
            self._handled.pop(handler, None)

    def wait(self, connection: Connection, head: bytes) -> None:
        """A head has come: it passes when it is its turn."""
        connection.lane = lane = self._lane_of(head)
        lane.waiting.add(connection)
        self._let_pass_soon()

    @web.middleware
    async def watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Middleware: an answer begins, and is ready."""
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
            self._let_pass_soon()

    def cut_overdue(self) -> None:
        """Cut the connections whose clients have taken too long."""
        now = self.monotonic()
        for connection in list(self._open):
            if connection.overdue(now):
                connection.cut()

    def start(self) -> None:
        """Look after the connections once a second from now on."""
        self.cut_overdue()
        self._timer = asyncio.get_running_loop().call_later(_EVERY, self.start)

    def stop(self) -> None:
        """Cut every connection."""
        for timer in (self._timer, self._letting_pass):
            if timer is not None:
                timer.cancel()
        for connection in list(self._open):
            connection.cut()

    def _lane_of(self, head: bytes) -> Lane:
        target = head[:LONGEST_HEAD].partition(b"\n")[0].split(b" ")[1:2]
        scrapes, probes, reloads, others = self._lanes
        if target == [self._telemetry_path]:  # a scrape of some metrics alone is among the others
            return scrapes
        if target == [b"/-/reload"]:
            return reloads
        return probes if target in ([b"/-/healthy"], [b"/-/ready"]) else others

    def _let_pass_soon(self) -> None:
        wait = min(lane.free_at for lane in self._lanes)
        if self._letting_pass is not None:
            self._letting_pass.cancel()
            self._letting_pass = None
        if wait < math.inf:
            self._letting_pass = asyncio.get_running_loop().call_later(wait, self._let_pass)

    def _let_pass(self) -> None:
        self._letting_pass = None
        for lane in self._lanes:
            for _ in range(_HEADS_IN_A_TURN):
                if lane.free_at > 0:
                    break
                lane.pick().begin()
        self._let_pass_soon()


async def end_with_the_answer(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: a connection on which a body comes is not used again."""
    if _has_body(request):
        response.force_close()
        response.headers["Connection"] = "close"


def _has_body(request: web.Request) -> bool:
    """Whether something comes after the head that is no other request."""
    return request.body_exists or "Upgrade" in request.headers or request.method == "CONNECT"
