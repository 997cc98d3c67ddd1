"""
A vendor that answers what a test tells it to, and the caller that brings it requests instead of a socket.

It reads the requests that the real codecs write, counts calls in a true sliding second, and answers in the vendors' own
JSON.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, urlsplit

from multidict import CIMultiDict

from exporter.clock import Clock
from exporter.config import SourceConfig
from exporter.metrics.room import Arrival
from exporter.model import Failure, FailureKind, Request
from exporter.polling.client import Opener, Response
from tests.polling.answers import RATE_LIMITED, Answer, fails
from tests.vendors import examples

TIMEOUT = Failure(FailureKind.TRANSIENT, "timeout", "no complete reply within the source's timeout")


@dataclass(slots=True)
class Call:
    """
    One request on the wire.

    Args:
        at: Monotonic seconds of the write.
        ended: Monotonic seconds at which the reply had arrived.
        good: Whether the vendor answered with counts.
    """

    source: str
    api: str
    rooms: tuple[str, ...]
    at: float
    request: Request = field(repr=False)
    ended: float = math.nan
    good: bool = False

    @property
    def query(self) -> dict[str, list[str]]:
        """The request's query, decoded."""
        return parse_qs(urlsplit(self.request.target).query, keep_blank_values=True)


class SlidingSecond:
    """
    A vendor's limit, kept strictly: at most so many calls are accepted within any second.

    Args:
        rival: Calls per second that somebody else makes of the same limit, evenly.
    """

    def __init__(self, limit: int, now: float, rival: float = 0.0) -> None:
        self.limit = limit
        self.rejections = 0
        self._accepted: deque[float] = deque()
        self._gap = 1 / rival if rival else math.inf
        self._rivals_next = now + self._gap / 3

    def accepts(self, now: float) -> bool:
        """Whether one more of our calls fits in now."""
        while self._rivals_next <= now:
            self._fits(self._rivals_next)
            self._rivals_next += self._gap
        fits = self._fits(now)
        self.rejections += not fits
        return fits

    def _fits(self, now: float) -> bool:
        while self._accepted and self._accepted[0] <= now - 1.0:
            self._accepted.popleft()
        if len(self._accepted) >= self.limit:
            return False
        self._accepted.append(now)
        return True


class Vendor:
    """
    All vendors at once.

    A test replaces ``answer`` (``None``: all is well), ``latency``, ``arrives_by`` (monotonic time until which a call
    without a reply may arrive), ``connecting`` (seconds until a connection is there), ``keeps_connections`` (after a
    reply), ``unreachable`` (why none can be opened), ``users`` and ``rooms`` (those that one reply tells where it tells
    all). ``limits`` are by budget.
    """

    def __init__(self, unix: Callable[[], float]) -> None:
        self.calls: list[Call] = []
        self.answer: Callable[[Call], Answer | Failure | None] = lambda call: None
        self.latency: Callable[[], float] = lambda: 0.05
        self.arrives_by: Callable[[Call], float] = lambda call: -math.inf
        self.connecting: Callable[[], float] = lambda: 0.0
        self.keeps_connections = True
        self.unreachable: Failure | None = None
        self.users: Callable[[str], int] = lambda room: 3
        self.rooms = [f"room-{number:05}" for number in range(20)]
        self.limits: dict[str, SlidingSecond] = {}
        self.clock_ahead = 0.0
        self._unix = unix

    def of(self, source: str, since: float = -math.inf) -> list[Call]:
        """The calls of one source that were written since then."""
        return [call for call in self.calls if call.source == source and call.at >= since]

    def reply_to(self, call: Call, budget: str) -> Answer | Failure:
        """What comes back for a call that arrived now."""
        limit = self.limits.get(budget)
        if limit and not limit.accepts(call.at):
            return fails(call.api, RATE_LIMITED[call.api])
        answer = self.answer(call)
        if answer is not None:
            return answer
        call.good = True
        counts = {room: self.users(room) for room in call.rooms}
        document = examples.success(call.api, self.rooms if call.api == "janus_videoroom" else call.rooms)
        match call.api:
            case "zego_rtc":
                for entry in document["Data"]["UserCountList"]:
                    entry["UserCount"] = counts[entry["RoomId"]]
            case "janus_videoroom":
                for entry in document["response"]["list"]:
                    entry["num_participants"] = self.users(entry["room"])
            case "zego_zim":
                document["Count"] = counts[call.rooms[0]]
            case "tencent_im":
                document["OnlineMemberNum"] = counts[call.rooms[0]]
            case "tencent_live":
                document["Response"]["MemberCount"] = counts[call.rooms[0]]
            case _:
                document["Result"]["TotalUser"] = counts[call.rooms[0]]
        return Answer(document)

    def headers(self) -> dict[str, str]:
        """What every reply has."""
        return {"date": formatdate(self._unix() + self.clock_ahead, usegmt=True)}


class FakeClient:
    """
    Stands in for ``polling.client.Client``: connections that take time, requests and replies, and no socket.

    It always has a quarter of a second's worth of connections ready, or on their way.
    """

    def __init__(self, config: SourceConfig, opener: Opener, clock: Clock, vendor: Vendor) -> None:
        self.retired = False
        self._opener = opener
        self._vendor = vendor
        self._clock = clock
        self._ready = 0
        self._opening: set[asyncio.Task[None]] = set()
        self._open_at = -math.inf
        self.tune(config)

    def tune(self, config: SourceConfig) -> None:
        """Take over a reloaded config."""
        self.config = config

    def has_connection(self) -> bool:
        """Whether a request can be sent."""
        return self._ready > 0

    def ready_at(self) -> float:
        """When a request can be sent, or a connection opened."""
        if self._ready:
            return -math.inf
        return math.inf if self._opening else self._open_at

    def open(self) -> None:
        """Open a connection, and such as will be wanted next."""
        while not self.retired and self._ready + len(self._opening) < 1 + self.config.rate_limit / 4:
            opening = asyncio.create_task(self._open())
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)

    def send(self, request: Request) -> FakeExchange:
        """Carry a request to the vendor."""
        assert self._ready, "connections come first"
        self._ready -= 1
        if self._clock.monotonic() >= self._open_at:
            self.open()
        return FakeExchange(self, self._vendor, self._clock, request)

    def lose(self, connections: int) -> None:
        """The vendor closes so many that are not in use."""
        self._ready -= connections

    def done(self) -> None:
        """Keep the connection, or not."""
        if self._vendor.keeps_connections and not self.retired:
            self._ready += 1

    def maintain(self) -> None:
        """Nothing to do."""

    def retire(self) -> None:
        """Close what is idle, and open nothing any more."""
        self.retired = True
        self._ready = 0
        for opening in self._opening:
            opening.cancel()

    def reopen(self) -> None:
        """Open connections again."""
        self.retired = False
        self.open()

    async def aclose(self) -> None:
        """Wait for what was begun."""
        self.retire()
        await asyncio.gather(*self._opening, return_exceptions=True)

    async def _open(self) -> None:
        since = self._clock.monotonic()
        failure = None
        try:
            async with asyncio.timeout(self.config.timeout):
                await asyncio.sleep(self._vendor.connecting())
                failure = self._vendor.unreachable
        except TimeoutError:
            failure = TIMEOUT
        task = asyncio.current_task()
        assert task
        self._opening.discard(task)
        if failure:
            self._open_at = self._clock.monotonic() + 1.0
            if not self._opening:  # those that are opened together have failed together
                self._opener.not_connected(failure, since)
        else:
            self._ready += 1
            self._opener.connected()


class FakeExchange:
    """A request on its way."""

    def __init__(self, client: FakeClient, vendor: Vendor, clock: Clock, request: Request) -> None:
        config = client.config
        self._client = client
        self._vendor = vendor
        self._clock = clock
        self._call = Call(config.name, config.api, _rooms(config.api, request), clock.monotonic(), request)
        vendor.calls.append(self._call)
        self._answer = vendor.reply_to(self._call, config.budget)

    def arrives_by(self) -> float:
        """Until when the call may arrive; it has if there is a reply."""
        return -math.inf if self._call.ended > 0 else self._vendor.arrives_by(self._call)

    def round_trip(self) -> float:
        """A short way."""
        return 0.05

    async def response(self) -> Response | Failure:
        """Wait for the reply."""
        answer = self._answer
        if isinstance(answer, Failure):
            return answer
        try:
            async with asyncio.timeout(self._client.config.timeout):
                await asyncio.sleep(self._vendor.latency() if answer.latency is None else answer.latency)
        except TimeoutError:
            return TIMEOUT
        self._client.done()
        now = self._call.ended = self._clock.monotonic()
        body = answer.document if isinstance(answer.document, bytes) else json.dumps(answer.document).encode()
        arrival = Arrival(now, round(self._clock.unix(), 3))
        return Response(answer.status, CIMultiDict({**self._vendor.headers(), **answer.headers}), body, now, arrival)


def _rooms(api: str, request: Request) -> tuple[str, ...]:
    query = parse_qs(urlsplit(request.target).query)
    match api:
        case "zego_rtc":
            return tuple(query.get("RoomId[]", ()))
        case "janus_videoroom":
            return ()
        case "tencent_im" | "tencent_live":
            body: Mapping[str, Any] = json.loads(request.body)
            return tuple(body[key] for key in ("GroupId", "RoomId") if key in body)
        case _:
            return tuple(query.get("RoomId", ()))
