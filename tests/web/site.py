"""
A web server on rooms and sources that a test makes up, with clocks that it turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from structlog.testing import CapturingLogger

from exporter.cluster.status import ClusterStatus
from exporter.metrics.exposition import Exposition
from exporter.metrics.room import Arrival
from exporter.metrics.source_stats import FailureNote, SourceStats
from exporter.metrics.table import SourceTable, Table
from exporter.metrics.telemetry import Telemetry
from exporter.model import Failure, FailureKind, Reading, Room
from exporter.web.process import NextCall, Origin, OwnInterval, Process
from exporter.web.server import WebServer
from tests.metrics.watching import add_source

UNIX = 1_700_000_000.0


class Budget:
    """
    A budget's figures.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.pace = limit
        self.calls = 0


@dataclass
class Clock:
    """
    A vendor's clock.
    """

    skew: float | None
    shift: float


class Site:
    """
    Everything that a web server shows, and the server.

    ``why_unhealthy``, ``why_unready``, ``why_not_reloaded``, ``next_call``, ``origin``, ``incomplete``,
    ``own_interval`` and ``cluster`` are what the process answers.
    """

    def __init__(
        self,
        telemetry_path: str = "/metrics",
        *,
        lifecycle: bool = False,
        grafana_url: str = "",
        config_file: Path | None = None,
    ) -> None:
        self.now = 1_000.0
        self.unix = UNIX
        self.why_unhealthy: str | None = None
        self.why_unready: str | None = None
        self.why_not_reloaded: str | None = None
        self.next_call: NextCall | None = None
        self.origin: Origin | None = None
        self.incomplete: dict[str, str] = {}
        self.own_interval: OwnInterval | None = None
        self.cluster: ClusterStatus | None = None
        self.reloads = 0
        self.table = Table()
        self.telemetry = Telemetry()
        self.log = CapturingLogger()
        self.exposition = Exposition(self.table, self.telemetry, lambda: self.now)
        self.process = Process(
            healthy=lambda: self.why_unhealthy,
            ready=lambda: self.why_unready,
            reload=self._reload,
            monotonic=lambda: self.now,
            unix=lambda: self.unix,
            started=UNIX - 3_600,
            config_path="/etc/exporter.yml",
            next_call=lambda _source, _room: self.next_call,
            origin=lambda _source, _room: self.origin,
            incomplete=self.incomplete.get,
            own_interval=lambda _source, _room: self.own_interval,
            cluster=lambda: self.cluster,
        )
        self.server = WebServer(
            self.exposition,
            self.table,
            self.telemetry,
            self.process,
            self.log,
            telemetry_path,
            lifecycle=lifecycle,
            grafana_url=grafana_url,
            config_file=config_file,
        )
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        await self.server.start("127.0.0.1:0")
        self._session = aiohttp.ClientSession(
            self.server.url, auto_decompress=False, skip_auto_headers=["Accept-Encoding"]
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session
        await self._session.close()
        await self.server.stop()
        await self.exposition.aclose()

    def watch(
        self, source: str, rooms: Iterable[Room | str], api: str = "zego_rtc", *, limit: float = 10.0
    ) -> SourceStats:
        """
        Add a source with these rooms, on a budget of its own name; nothing is known of them yet.
        """
        vendor = api.partition("_")[0]
        table = SourceTable({"vendor": vendor, "api": api, "source": source}, max_staleness=30)
        table.watch(room if isinstance(room, Room) else Room(room) for room in rooms)
        add_source(self.table, source, table)
        telemetry = SourceStats(vendor, api, source, source, 10.0, table)
        self.telemetry.sources[source] = telemetry
        self.telemetry.budgets[source] = Budget(limit)
        return telemetry

    def read(self, source: str, users: dict[str, int | Reading], *, listed: bool = False) -> None:
        """
        Let a call of a source succeed now: a poll, or a page of the vendor's list.
        """
        for room, reading in users.items():
            known = reading if isinstance(reading, Reading) else Reading(reading)
            self.table[source].record({room: known}, Arrival(self.now, self.unix, listed))
        self.telemetry.sources[source].succeeded(self.now, self.unix)

    def fail(self, source: str, kind: FailureKind, rooms: Sequence[str] = (), words: str = "it did not work") -> None:
        """
        Let a call of a source fail now.
        """
        note = FailureNote(self.unix, Failure(kind, "4711", words), tuple(rooms))
        self.telemetry.sources[source].failed(note)

    def pass_time(self, seconds: float) -> None:
        """
        Let both clocks go on.
        """
        self.now += seconds
        self.unix += seconds

    async def get(
        self, path: str, headers: dict[str, str] | None = None, method: str = "GET"
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        """
        A response and its body as it came over the wire.
        """
        assert self._session
        async with self._session.request(method, path, headers=headers) as response:
            return response, await response.read()

    async def text(self, path: str) -> str:
        """
        The text of an answer of any status.
        """
        _, body = await self.get(path)
        return body.decode()

    async def _reload(self) -> str | None:
        self.reloads += 1
        return self.why_not_reloaded
