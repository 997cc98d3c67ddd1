"""
Replicas of a cluster in one process and in virtual time: whole exporters in front of one vendor, and a cluster whose
engine is a few dictionaries.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample

from exporter.cluster.protocols import SILENCE, Budgets, Inheritance, Readings, Record
from exporter.cluster.status import ClusterStatus
from exporter.config import Config
from exporter.discovery import MakeHttpSd
from exporter.metrics.cluster_stats import ClusterFigures, ClusterStats
from exporter.metrics.exposition import Wanted
from exporter.metrics.table import SourceTable
from exporter.rooms.http_sd import HttpSd
from tests.polling.house import House
from tests.polling.vendor import Vendor

LEASE: Final = 5.0
EXCHANGED_EVERY: Final = LEASE / 10


@dataclass
class Lease:
    """
    The record of a budget.

    Args:
        holder: ``None``: it was let go at ``at``.
        at: When the holder last renewed it.
    """

    holder: FakeCluster | None
    at: float
    state: Mapping[str, Any] | None = None


@dataclass
class Engine:
    """
    What replicas have in common.

    Args:
        rooms: Records by source and room, with the time at which they were written.
        away: Whether no exchange is answered.
    """

    leases: dict[str, Lease] = field(default_factory=dict)
    rooms: dict[str, dict[str, tuple[Record, float]]] = field(default_factory=dict)
    hints: list[tuple[str, str, Mapping[str, object]]] = field(default_factory=list)
    away: bool = False


class FakeCluster:
    """
    One replica's part in the cluster. It claims whatever it may.

    Attributes:
        claims: Whether it claims budgets.
    """

    def __init__(self, engine: Engine, budgets: Budgets, readings: Readings, *, every_room: bool) -> None:
        self.engine = engine
        self.budgets = budgets
        self.readings = readings
        self.claims = True
        self.answered = False
        self.every_room = every_room
        self.gained: list[tuple[str, float]] = []
        self._until: dict[str, float] = {}
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take part."""
        self.readings.serve(every_room=self.every_room)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Let go of everything, and leave."""
        self.cut_off()
        await self.let_go([*self._until])

    def cut_off(self) -> None:
        """Exchange nothing any more, as a replica whose engine is out of reach."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def check(self, config: Config) -> None:
        """Every config can be reloaded."""

    def use(self, config: Config) -> None:
        """Follow the budgets, whatever they are."""

    def status(self) -> ClusterStatus:
        """Only names."""
        return ClusterStatus("cluster", "replica", "fake", "own", LEASE, self.answered, None, None, {}, {})

    def figures(self) -> ClusterFigures:
        """Nothing has happened."""
        return ClusterStats().figures(
            replica="replica", engine="fake", config="", connected=True, replicas=1, lease_valid_until=None
        )

    async def let_go(self, budgets: Iterable[str]) -> None:
        """Hand over these budgets."""
        states = await self.budgets.let_go([*budgets])
        self._write()
        for name, state in states.items():
            self._until.pop(name, None)
            self.engine.leases[name] = Lease(None, self._loop.time(), json.loads(json.dumps(state)))

    def exchange(self) -> None:
        """What a replica does twice a second."""
        if self.engine.away:
            return
        self.answered, now, leases = True, self._loop.time(), self.engine.leases
        self._write()
        for name in [name for name in self._until if leases[name].holder is not self]:
            del self._until[name]
            self.budgets.lose(name)
        for name in self._until:
            leases[name] = Lease(self, now, json.loads(json.dumps(self.budgets.state(name))))
            self._until[name] = now + LEASE - SILENCE
        self.budgets.renew(self._until)
        for name in self.budgets.needed() if self.claims else ():
            self._claim(name, leases.get(name), now)
        self._hear()

    async def _run(self) -> None:
        while True:
            self.exchange()
            await asyncio.sleep(EXCHANGED_EVERY)

    def _claim(self, name: str, lease: Lease | None, now: float) -> None:
        expired = lease is not None and lease.holder is not None and now - lease.at >= LEASE
        if name in self._until or not (lease is None or lease.holder is None or expired):
            return
        state, age = (lease.state, now - lease.at) if lease else (None, 0.0)
        for source in self.readings.sources(name):
            records = self.engine.rooms.get(source, {}).values()
            self.readings.inherit(source, [replace(record, age=record.age + now - at) for record, at in records])
        self.engine.leases[name] = Lease(self, now)
        self._until[name] = now + LEASE - SILENCE
        self.gained.append((name, now))
        self.budgets.gain(name, self._until[name], Inheritance(state, age, silent=lease is None or expired))

    def _write(self) -> None:
        now = self._loop.time()
        for source, records in self.readings.drain().items():
            known = self.engine.rooms.setdefault(source, {})
            for record in records:
                known[record.room] = record, now
                if not record.watched:
                    del known[record.room]
            for replica in (other for other in replicas_of(self.engine) if other is not self and other.every_room):
                replica.readings.follow(source, records)
        self.engine.hints += self.readings.hints()

    def _hear(self) -> None:
        for source, room, hint in self.engine.hints:
            for replica in replicas_of(self.engine):
                replica.readings.hint(source, room, hint)
        self.engine.hints.clear()


_REPLICAS: dict[int, list[FakeCluster]] = {}


def replicas_of(engine: Engine) -> list[FakeCluster]:
    """All that ever took part."""
    return _REPLICAS.setdefault(id(engine), [])


class Replica(House):
    """
    One exporter of a cluster.

    Args:
        vendor: The same for all replicas; ``None`` makes one.
        every_room: ``serve: all``.
    """

    def __init__(
        self,
        engine: Engine,
        *sources: dict[str, Any],
        vendor: Vendor | None = None,
        every_room: bool = False,
        make_http_sd: MakeHttpSd = HttpSd,
    ) -> None:
        def make(budgets: Budgets, readings: Readings) -> FakeCluster:
            self.cluster = FakeCluster(engine, budgets, readings, every_room=every_room)
            replicas_of(engine).append(self.cluster)
            return self.cluster

        super().__init__(*sources, make_http_sd=make_http_sd, make_cluster=lambda _: make)
        self.vendor = vendor or self.vendor

    @property
    def tables(self) -> dict[str, SourceTable]:
        """By source; the hidden ones, too."""
        return {name: running.poller.table for name, running in self.exporter.sources.running.items()}

    def dies(self) -> None:
        """Be killed: nothing is written any more, and nobody is told."""
        self.cluster.cut_off()
        for budget in self.exporter.sources.budgets.values():
            budget.hold(float("-inf"))

    async def scrape(self) -> dict[tuple[str, str], float]:
        """The samples of a scrape, by name and source or budget; of several the last."""
        return {
            (sample.name, sample.labels.get("source") or sample.labels.get("budget", "")): sample.value
            for sample in await self._samples()
        }

    async def rooms(self, metric: str = "rtc_room_users") -> dict[str, float]:
        """The rooms of a scrape, with this value."""
        return {each.labels["room"]: each.value for each in await self._samples() if each.name == metric}

    async def _samples(self) -> list[Sample]:
        body = await self.exporter._exposition.body(Wanted())
        return [sample for family in parse_text(b"".join(body.parts).decode()) for sample in family.samples]
