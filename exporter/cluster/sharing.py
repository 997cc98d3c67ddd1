"""
Gives other replicas the readings of held budgets, and takes theirs.

Four times a second everything that has changed is written, each source in a script that first checks that its budget's
record still names this replica. Who gains a budget reads what is there. With ``serve: all`` each write is published,
too; what a lost message held is in the next reading of the room, and once a minute everything is read anew. Rooms that
are not there then are gone, unless the engine may just have lost its data.

A reload may move a source to another budget, and replicas reload one after the other. So that no two of them poll the
source meanwhile, each time of a budget is *announced* beside a source's readings by the replica that polls it. Who
holds the new budget leaves the source to the holder of the announced one until that has reloaded, or has gone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from exporter.clock import Clock
from exporter.cluster.exchange import Engine
from exporter.cluster.observation import Observer
from exporter.cluster.protocols import SOURCE, Readings, Record
from exporter.cluster.readings import UNREADABLE, ServerTime, pack, unpack
from exporter.model import in_parts

WRITTEN_EVERY: Final = 0.25
_READ_EVERY: Final = 60.0
_ROOMS_IN_WRITE: Final = 2_000
_USELESS_AFTER: Final = 3_600.0
_MOST_HINTS: Final = 1_000
_TOLD_AFTER: Final = 0.3
"""Leases within which an exchange is answered that has begun meanwhile."""
_HINT_WAITS: Final = 2
"""Leases. Somebody polls the source again by then."""

_POLLED: Final = "\n"
"""No room has this name. What it holds is not a record but the budget on which the source is polled, and its record."""

_encode = msgspec.msgpack.Encoder().encode
_decode_news = msgspec.msgpack.Decoder(tuple[str, dict[str, bytes], list[str]]).decode
_decode_hint = msgspec.msgpack.Decoder(tuple[str, str, dict[str, object]]).decode


class Sharing:
    """
    The readings of one replica, and of the others as far as it wants them.

    Args:
        time: The engine's clock.
    """

    def __init__(self, engine: Engine, readings: Readings, observer: Observer, time: ServerTime, clock: Clock) -> None:
        self._engine = engine
        self._readings = readings
        self._observer = observer
        self._time = time
        self._clock = clock
        self._budget_of: dict[str, str] = {}
        self._waiting: dict[str, dict[str, bytes | None]] = {}
        self._heard: dict[str, set[str]] | None = None
        self._announced: dict[str, tuple[str, str]] = {}
        self._withdrawn: set[str] = set()
        self._elsewhere: dict[str, float] = {}
        self._hints: deque[tuple[float, str, str, Mapping[str, object]]] = deque(maxlen=_MOST_HINTS)
        self._writing = asyncio.Lock()

    def use(self, budgets: Iterable[str]) -> None:
        """These are the budgets of the config."""
        before = self._budget_of
        self._budget_of = {key: budget for budget in budgets for key in self._readings.sources(budget)}
        for source, budget in self._budget_of.items():
            if before.get(source, budget) != budget:
                self._elsewhere[source] = self._clock.monotonic()
        self._withdrawn |= {
            key
            for key, (budget, record) in self._announced.items()
            if self._budget_of.get(key) != budget and self._observer.record(budget) == record
        }
        self._elsewhere = {key: since for key, since in self._elsewhere.items() if key in self._budget_of}

    async def write(self) -> None:
        """
        Write what has changed, and hand on callbacks.

        Raises:
            EngineError: No answer, or a refusal. What was not written is written the next time.
        """
        if not self._time.known:
            return
        async with self._writing:
            self._collect()
            await self._announce()
            await self._look_elsewhere()
            for source in [*self._waiting]:
                await self._write(source)
            await self._send_hints()

    async def write_everything(self) -> None:
        """Write all readings of held budgets: the engine has lost them."""
        self._announced.clear()
        for source, budget in [*self._budget_of.items()]:
            if self._observer.record(budget) is not None:
                for part in self._readings.everything(source):
                    self._take_up(source, part)
                    await asyncio.sleep(0)

    async def inherit(self, budget: str) -> None:
        """
        Take over the readings of a budget's sources.

        Raises:
            EngineError: No answer, or a refusal.
        """
        for source in self._readings.sources(budget):
            await self._inherit(source)
            elsewhere = self._is_elsewhere(budget, await self._engine.get(source, _POLLED))
            self._elsewhere.pop(source, None)
            if elsewhere:
                self._elsewhere[source] = self._clock.monotonic()
            self._readings.leave(source, elsewhere=elsewhere)

    async def _inherit(self, source: str) -> None:
        useless: list[str] = []
        async for found in self._engine.read(source):
            records, now = [], self._clock.monotonic()
            for room, data in found.items():
                if room == _POLLED:
                    continue
                record = unpack(room, data, self._time, now)
                if record is None or (record.age > _USELESS_AFTER and room != SOURCE and not record.more.named):
                    useless.append(room)
                else:
                    records.append(record)
            for part in in_parts(records):
                self._readings.inherit(source, part)
                await asyncio.sleep(0)
        for some in in_parts(useless):
            await self._engine.forget(source, some)

    async def follow_everything(self) -> None:
        """
        Read all rooms of sources that other replicas poll.

        Raises:
            EngineError: No answer, or a refusal.
        """
        if self._heard is not None or not self._time.known:
            return  # the last reading is still under way
        present: dict[str, set[str]] = {}
        settled, era, self._heard = self._observer.settled(self._clock.monotonic()), self._observer.era, present
        try:
            for source, budget in [*self._budget_of.items()]:
                if self._observer.record(budget) is None:
                    rooms = present[source] = set()
                    async for found in self._engine.read(source):
                        rooms.update(found)
                        for part in in_parts(found.items()):
                            self._follow(source, dict(part), ())
                            await asyncio.sleep(0)
            # After lost data the holder writes everything again. The next exchange tells of it.
            await asyncio.sleep(_TOLD_AFTER * self._observer.lease)
            for source, rooms in present.items():
                followed = self._observer.record(self._budget_of.get(source, "")) is None
                if settled and self._observer.era == era and followed:
                    self._readings.follow_only(source, rooms)
        finally:
            self._heard = None

    async def heard(self, data: bytes) -> None:
        """Another replica has written readings."""
        try:
            source, rooms, gone = _decode_news(data)
        except UNREADABLE:
            return  # of another version
        budget = self._budget_of.get(source)
        if budget is not None and self._observer.record(budget) is None and self._time.known:
            for part in in_parts(rooms.items()):
                self._follow(source, dict(part), ())
                await asyncio.sleep(0)
            self._follow(source, {}, gone)
            if self._heard is not None and source in self._heard:
                self._heard[source].update(rooms)

    def hinted(self, data: bytes) -> None:
        """Another replica has received a callback for a source that this one polls."""
        try:
            source, room, hint = _decode_hint(data)
        except UNREADABLE:
            return
        self._readings.hint(source, room, hint)

    def _collect(self) -> None:
        for source, records in self._readings.drain().items():
            self._take_up(source, records)
        now = self._clock.monotonic()
        self._hints.extend((now, *hint) for hint in self._readings.hints())

    def _take_up(self, source: str, records: Sequence[Record]) -> None:
        waiting, now = self._waiting.setdefault(source, {}), self._clock.monotonic()
        for record in records:
            waiting[record.room] = pack(record, self._time.stamp(now - record.age)) if record.watched else None

    async def _write(self, source: str) -> None:
        budget = self._budget_of.get(source)
        record = self._observer.record(budget) if budget is not None else None
        if budget is None or record is None:
            del self._waiting[source]  # whoever polls it now knows better
            return
        for_others = any(
            member.every_room
            for name, (member, _) in self._observer.members().items()
            if name != self._observer.replica
        )
        waiting = self._waiting[source]
        while waiting:
            some = dict(list(waiting.items())[:_ROOMS_IN_WRITE])
            rooms = {room: data for room, data in some.items() if data is not None}
            gone = [room for room, data in some.items() if data is None]
            message = _encode((source, rooms, gone)) if for_others else None
            await self._engine.write(source, budget, record, rooms, gone, message)
            for room, data in some.items():
                if waiting.get(room, b"") is data:
                    del waiting[room]
        self._waiting.pop(source, None)

    async def _announce(self) -> None:
        """Tell on which budget each source is polled here, once for each time that the budget is held."""
        for source in [*self._withdrawn]:
            await self._engine.forget(source, [_POLLED])
            self._withdrawn.discard(source)
            self._announced.pop(source, None)
        for source, budget in self._budget_of.items():
            record = self._observer.record(budget)
            if record is None or source in self._elsewhere or self._announced.get(source) == (budget, record):
                continue
            data = f"{budget}\n{record}".encode()
            if await self._engine.write(source, budget, record, {_POLLED: data}, (), None):
                self._announced[source] = budget, record

    async def _look_elsewhere(self) -> None:
        """Poll what was left to another replica as soon as that polls it no more."""
        now = self._clock.monotonic()
        for source, since in [*self._elsewhere.items()]:
            budget = self._budget_of[source]
            if self._observer.record(budget) is None:
                continue
            data = await self._engine.get(source, _POLLED)
            if self._is_elsewhere(budget, data):
                self._elsewhere[source] = now
            elif data is None or now - since >= self._observer.lease or self._is_own(data):
                # Otherwise another replica may have taken the budget over, and not announced it yet.
                await self._inherit(source)
                del self._elsewhere[source]
                self._readings.leave(source, elsewhere=False)

    def _is_own(self, data: bytes) -> bool:
        budget, _, record = data.decode().partition("\n")
        return self._observer.record(budget) == record

    def _is_elsewhere(self, budget: str, data: bytes | None) -> bool:
        """Whether another replica polls a source of this budget on the announced one."""
        announced, _, record = (data or b"").decode().partition("\n")
        owner = self._observer.owners().get(announced)
        alive = owner is not None and owner.replica in self._observer.alive(self._clock.monotonic())
        others = owner is not None and owner.replica != self._observer.replica
        return announced not in ("", budget) and others and alive and str(owner) == record

    async def _send_hints(self) -> None:
        """Hand on callbacks to the replica that polls their source; those of sources that nobody polls wait a while."""
        owners, now = self._observer.owners(), self._clock.monotonic()
        for _ in range(len(self._hints)):
            since, source, room, hint = self._hints.popleft()
            budget = self._budget_of.get(source, "")
            owner = owners.get(budget)
            if self._observer.grants(budget):
                self._readings.hint(source, room, hint)
                continue
            message, elsewhere = _encode((source, room, hint)), budget not in self._observer.held
            if elsewhere and owner is not None and owner.replica and await self._engine.send(owner.replica, message):
                continue
            # Nobody polls the source, or who does is not to be reached: it may have died.
            if now - since < _HINT_WAITS * self._observer.lease:
                self._hints.append((since, source, room, hint))

    def _follow(self, source: str, rooms: Mapping[str, bytes], gone: Iterable[str]) -> None:
        now = self._clock.monotonic()
        found = (unpack(room, data, self._time, now) for room, data in rooms.items())
        records = [record for record in found if record is not None]
        records += map(Record.gone, gone)
        if records:
            self._readings.follow(source, records)


class Rereading:
    """When everything that others poll is read anew."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next = 0.0

    def soon(self) -> None:
        """Messages may have been lost."""
        self._next = 0.0

    def due(self) -> bool:
        """Whether now is the time; if so, the next time is a minute later."""
        now = self._clock.monotonic()
        if now < self._next:
            return False
        self._next = now + _READ_EVERY
        return True
