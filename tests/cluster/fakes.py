"""
The two sides of a replica in memory: the sources of its process, and an engine.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Container, Iterator, Mapping, Sequence

from exporter.clock import Clock
from exporter.cluster.exchange import EngineError, Message, Reply, Request
from exporter.cluster.protocols import Inheritance, Record
from exporter.metrics.cluster_stats import Exchanged
from exporter.model import Reading
from tests.cluster.register import Register


class FakeSources:
    """
    Budgets and rooms.

    Args:
        sources: Keys of the sources of each budget.

    Attributes:
        until: Until when a call on each budget may be written.
        elsewhere: Sources that another replica polls on another budget.
        gained: What was inherited with each budget, in order.
    """

    def __init__(self, clock: Clock, sources: Mapping[str, Sequence[str]]) -> None:
        self._clock = clock
        self._sources = sources
        self.until: dict[str, float] = {}
        self.gained: list[tuple[str, Inheritance]] = []
        self.lost: list[str] = []
        self.every_room: bool | None = None
        self.changed: dict[str, list[Record]] = {}
        self.rooms: dict[str, dict[str, Record]] = defaultdict(dict)
        self.hinted: list[tuple[str, str, Mapping[str, object]]] = []
        self.elsewhere: set[str] = set()
        self.callbacks: list[tuple[str, str, Mapping[str, object]]] = []

    def may_write(self, budget: str) -> bool:
        """Whether a call may be written now."""
        return self._clock.monotonic() < self.until.get(budget, float("-inf"))

    def read(self, source: str, users: Mapping[str, int | None]) -> None:
        """A reply came; ``None``: a room is watched no longer."""
        for room, count in users.items():
            record = Record.gone(room) if count is None else Record(room, Reading(count), 0.0, self._clock.unix())
            self.changed.setdefault(source, []).append(record)

    # Budgets

    def needed(self) -> Mapping[str, float]:
        """See ``protocols``."""
        return dict.fromkeys(self._sources, 1.0)

    def ties(self) -> Sequence[frozenset[str]]:
        """See ``protocols``."""
        return [frozenset({budget}) for budget in self._sources]

    def gain(self, budget: str, until: float, inheritance: Inheritance) -> None:
        """See ``protocols``."""
        self.until[budget] = until
        self.gained.append((budget, inheritance))

    def renew(self, until: Mapping[str, float]) -> None:
        """See ``protocols``."""
        self.until |= until

    def state(self, budget: str) -> Mapping[str, object]:
        """See ``protocols``."""
        return {"pace": budget}

    async def let_go(self, budgets: Sequence[str]) -> Mapping[str, Mapping[str, object]]:
        """See ``protocols``."""
        for budget in budgets:
            self.until.pop(budget, None)
        return {budget: {"writes of": budget} for budget in budgets}

    def lose(self, budget: str) -> None:
        """See ``protocols``."""
        self.until.pop(budget, None)
        self.lost.append(budget)

    def fenced_calls(self) -> int:
        """See ``protocols``."""
        return 0

    # Readings

    def serve(self, *, every_room: bool) -> None:
        """See ``protocols``."""
        self.every_room = every_room

    def drain(self) -> Mapping[str, Sequence[Record]]:
        """See ``protocols``."""
        changed, self.changed = self.changed, {}
        return changed

    def everything(self, source: str) -> Iterator[Sequence[Record]]:
        """See ``protocols``."""
        yield [*self.rooms[source].values()]

    def inherit(self, source: str, records: Sequence[Record]) -> None:
        """See ``protocols``."""
        self.follow(source, records)

    def follow(self, source: str, records: Sequence[Record]) -> None:
        """See ``protocols``."""
        for record in records:
            if not record.watched:
                self.rooms[source].pop(record.room, None)
            else:
                self.rooms[source][record.room] = record

    def follow_only(self, source: str, rooms: Container[str]) -> None:
        """See ``protocols``."""
        for room in [room for room in self.rooms[source] if room not in rooms]:
            del self.rooms[source][room]

    def leave(self, source: str, *, elsewhere: bool) -> None:
        """See ``protocols``."""
        (self.elsewhere.add if elsewhere else self.elsewhere.discard)(source)

    def sources(self, budget: str) -> Sequence[str]:
        """See ``protocols``."""
        return self._sources.get(budget, ())

    def hints(self) -> Sequence[tuple[str, str, Mapping[str, object]]]:
        """See ``protocols``."""
        callbacks, self.callbacks = self.callbacks, []
        return callbacks

    def hint(self, source: str, room: str, hint: Mapping[str, object]) -> None:
        """See ``protocols``."""
        self.hinted.append((source, room, hint))


class FakeServer:
    """
    A server in memory, whose clients and their subscriptions can be cut off.

    Attributes:
        down: Whether no request is answered.
        delay: Seconds that a request takes.
    """

    def __init__(self, clock: Clock) -> None:
        self.register = Register()
        self.rooms: dict[str, dict[str, bytes]] = defaultdict(dict)
        self.down = False
        self.delay = 0.0
        self.clock_step = 0.0
        self.clock = clock
        self.listening: dict[str, list[asyncio.Queue[Message]]] = defaultdict(list)

    def publish(self, channel: str, kind: str, data: bytes) -> None:
        """Tell everybody who listens."""
        for queue in self.listening[channel]:
            queue.put_nowait(Message(kind, data))


class FakeEngine:
    """A client of it."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self.cut = False
        self.closed = False
        self.requests: list[Request] = []

    async def exchange(self, request: Request) -> Reply:
        """See ``exchange.Engine``."""
        self.requests.append(request)
        await self._pass()
        self._server.register.time = int((self._server.clock.unix() + self._server.clock_step) * 1000)
        reply = self._server.register.apply(request)
        if reply.refusal is None and (request.leave or any(write.release for write in request.writes)):
            self._server.publish("news", "news", request.replica.encode())
        return reply

    async def write(
        self,
        source: str,
        budget: str,
        record: str,
        rooms: Mapping[str, bytes],
        gone: Sequence[str],
        message: bytes | None,
    ) -> bool:
        """See ``exchange.Engine``."""
        await self._pass()
        if self._server.register.data.records.get(budget) != record:
            return False
        self._server.rooms[source].update(rooms)
        for room in gone:
            self._server.rooms[source].pop(room, None)
        if message is not None:
            self._server.publish("rooms", "rooms", message)
        return True

    async def read(self, source: str) -> AsyncIterator[Mapping[str, bytes]]:
        """See ``exchange.Engine``."""
        await self._pass()
        yield dict(self._server.rooms[source])

    async def get(self, source: str, room: str) -> bytes | None:
        """See ``exchange.Engine``."""
        await self._pass()
        return self._server.rooms[source].get(room)

    async def forget(self, source: str, rooms: Sequence[str]) -> None:
        """See ``exchange.Engine``."""
        for room in rooms:
            self._server.rooms[source].pop(room, None)

    async def send(self, replica: str, data: bytes) -> bool:
        """See ``exchange.Engine``."""
        await self._pass()
        self._server.publish(f"hints:{replica}", "hints", data)
        return bool(self._server.listening[f"hints:{replica}"])

    async def listen(self, replica: str, *, rooms: bool) -> AsyncIterator[Message]:
        """See ``exchange.Engine``."""
        queue: asyncio.Queue[Message] = asyncio.Queue()
        channels = ["news", f"hints:{replica}", *(["rooms"] if rooms else [])]
        for channel in channels:
            self._server.listening[channel].append(queue)
        try:
            yield Message("")
            while True:
                yield await queue.get()
        finally:
            for channel in channels:
                self._server.listening[channel].remove(queue)

    async def about(self) -> str:
        """See ``exchange.Engine``."""
        return "redis 7.0.15"

    async def aclose(self) -> None:
        """See ``exchange.Engine``."""
        self.closed = True

    async def _pass(self) -> None:
        await asyncio.sleep(self._server.delay)
        if self.cut or self._server.down:
            raise EngineError(Exchanged.UNREACHABLE, "no connection to the server")
