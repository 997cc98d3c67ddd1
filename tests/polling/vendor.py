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

from exporter.config import SourceConfig
from exporter.metrics.room import Arrival
from exporter.model import Failure, FailureKind, Request
from exporter.polling.caller import Exchange, Gate
from exporter.polling.clock import Clock
from tests.polling.answers import RATE_LIMITED, Answer, fails
from tests.vendors import examples


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

    A test replaces ``answer`` (``None``: all is well), ``latency``, ``connecting`` (seconds until a connection is
    there) and ``users``. ``limits`` are by budget.
    """

    def __init__(self, unix: Callable[[], float]) -> None:
        self.calls: list[Call] = []
        self.answer: Callable[[Call], Answer | Failure | None] = lambda call: None
        self.latency: Callable[[], float] = lambda: 0.05
        self.connecting: Callable[[], float] = lambda: 0.0
        self.users: Callable[[str], int] = lambda room: 3
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
        document = examples.success(call.api, call.rooms)
        match call.api:
            case "zego_rtc":
                for entry in document["Data"]["UserCountList"]:
                    entry["UserCount"] = counts[entry["RoomId"]]
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


class FakeCaller:
    """Stands in for ``polling.caller.Caller``: the same gate, the same outcomes, no socket."""

    def __init__(self, config: SourceConfig, gate: Gate, vendor: Vendor, clock: Clock) -> None:
        self.closed = False
        self._config = config
        self._gate = gate
        self._vendor = vendor
        self._clock = clock

    async def call(self, request: Request, slot: float | None = None) -> Exchange | Failure:
        """Carry one request to the vendor."""
        try:
            async with asyncio.timeout(self._config.timeout):
                return await self._exchange(request, self._clock.monotonic() if slot is None else slot)
        except TimeoutError:
            return Failure(FailureKind.TRANSIENT, "timeout", "no complete reply within the source's timeout")

    async def aclose(self) -> None:
        """Note that the connections were closed."""
        self.closed = True

    async def _exchange(self, request: Request, slot: float) -> Exchange | Failure:
        vendor, config = self._vendor, self._config
        await asyncio.sleep(vendor.connecting())
        passage = await self._gate(slot)
        if passage:
            passage.sent()
        call = Call(config.name, config.api, _rooms(config.api, request), self._clock.monotonic(), request)
        vendor.calls.append(call)
        answer = vendor.reply_to(call, config.budget)
        if isinstance(answer, Failure):
            return answer
        await asyncio.sleep(vendor.latency() if answer.latency is None else answer.latency)
        call.ended = self._clock.monotonic()
        if passage:
            passage.answered()
        body = answer.document if isinstance(answer.document, bytes) else json.dumps(answer.document).encode()
        arrival = Arrival(call.ended, round(self._clock.unix(), 3))
        return Exchange(answer.status, {**vendor.headers(), **answer.headers}, body, arrival)


def _rooms(api: str, request: Request) -> tuple[str, ...]:
    query = parse_qs(urlsplit(request.target).query)
    match api:
        case "zego_rtc":
            return tuple(query["RoomId[]"])
        case "tencent_im" | "tencent_live":
            body: Mapping[str, Any] = json.loads(request.body)
            return (body["GroupId"] if api == "tencent_im" else body["RoomId"],)
        case _:
            return tuple(query["RoomId"])
