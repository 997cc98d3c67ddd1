"""
The whole exporter in virtual time, in front of a scripted vendor.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, cast

from exporter.app import Exporter, WebOptions
from exporter.clock import Clock
from exporter.cluster.protocols import MakeCluster
from exporter.config import Config, SourceConfig, parse
from exporter.discovery import MakeHttpSd
from exporter.logs import Log
from exporter.metrics.room import Arrival
from exporter.metrics.table import SourceTable
from exporter.metrics.telemetry import Telemetry
from exporter.model import FailureKind, Reading, Room, Shard
from exporter.polling.budget import Budget
from exporter.polling.client import Client, Opener
from exporter.polling.poller import Poller
from exporter.polling.scheduler import Scheduler
from exporter.rooms.http_sd import HttpSd
from exporter.states import RoomState, SourceState
from tests.polling.vendor import FakeClient, Vendor

EPOCH: Final = 1_700_000_000.0
WINDOW_OF_THE_LIMIT: Final = 1.02

CREDENTIALS: Final[dict[str, dict[str, Any]]] = {
    "zego_rtc": {"app_id": 1234567890, "server_secret": "0123456789abcdef" * 2},
    "zego_zim": {"app_id": 1234567890, "server_secret": "0123456789abcdef" * 2},
    "tencent_im": {"sdk_app_id": 1400000000, "identifier": "administrator", "secret_key": "0123456789abcdef" * 4},
    "tencent_live": {"sdk_app_id": 1400000000, "identifier": "administrator", "secret_key": "0123456789abcdef" * 4},
    "janus_videoroom": {"admin_secret": "0123456789abcdef" * 2},
    "volcengine_rtc": {"app_id": "661e", "access_key_id": "AKLT", "secret_access_key": "0123456789abcdef" * 2},
}


def named(count: int, prefix: str = "room") -> list[str]:
    """So many room ids."""
    return [f"{prefix}-{number:05}" for number in range(count)]


def source(api: str, rooms: int | Sequence[str] = 1, **keys: object) -> dict[str, Any]:
    """One source as a config has it, named after its API unless it is given a name."""
    secret = {name: value for name, value in CREDENTIALS[api].items() if f"{name}_file" not in keys}
    return {"name": api, "api": api, **secret, "rooms": named(rooms) if isinstance(rooms, int) else list(rooms), **keys}


def parsed(*sources: dict[str, Any], folder: Path = Path("/nowhere")) -> tuple[SourceConfig, ...]:
    """What the exporter makes of these sources."""
    text = json.dumps({"sources": list(sources)}, ensure_ascii=False)
    return parse(text, folder / "exporter.yml", {}).sources


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log."""

    level: str
    event: str
    values: dict[str, object]


class LogLines:
    """A structlog logger that keeps its lines, those at debug level excepted."""

    def __init__(self, lines: list[Line] | None = None, **bound: object) -> None:
        self.lines = [] if lines is None else lines
        self._bound = bound

    def bind(self, **values: object) -> LogLines:
        """Write more with every line."""
        return LogLines(self.lines, **self._bound, **values)

    def debug(self, event: str, **values: object) -> None:
        """Nobody reads ten thousand of them."""

    def info(self, event: str, **values: object) -> None:
        """Keep the line."""
        self._keep("info", event, values)

    def warning(self, event: str, **values: object) -> None:
        """Keep the line."""
        self._keep("warning", event, values)

    def error(self, event: str, **values: object) -> None:
        """Keep the line."""
        self._keep("error", event, values)

    def exception(self, event: str, **values: object) -> None:
        """Keep the line, and the exception that is being handled."""
        self._keep("error", event, {**values, "exc_info": sys.exc_info()})

    def _keep(self, level: str, event: str, values: dict[str, object]) -> None:
        self.lines.append(Line(level, event, {**self._bound, **values}))


class VirtualJobs:
    """Recurring jobs in virtual time, in the place of APScheduler, which runs on the wall clock."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.running = False
        self.errors: list[Exception] = []
        self._telemetry = telemetry
        self._jobs: dict[str, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Begin."""
        self.running = True

    def every(
        self, seconds: float, name: str, body: Callable[[], Awaitable[None]], early: float = 0.0, jitter: float = 0.0
    ) -> None:
        """Run a body every so many seconds from now on."""
        self.cancel(name)
        self._jobs[name] = asyncio.create_task(self._repeat(seconds, name, body, early))

    def cancel(self, name: str) -> None:
        """Run it no more."""
        if job := self._jobs.pop(name, None):
            job.cancel()

    def pause(self) -> None:
        """Run nothing any more."""
        for name in list(self._jobs):
            self.cancel(name)

    def stop(self) -> None:
        """The end."""
        self.running = False

    def raised(self, name: str, error: Exception) -> None:
        """Keep what only a bug explains."""
        self._telemetry.unexpected_errors += 1
        self.errors.append(error)

    async def _repeat(self, seconds: float, name: str, body: Callable[[], Awaitable[None]], early: float) -> None:
        delay = seconds - early
        while True:
            try:
                await body()
            except Exception as error:  # noqa: BLE001 as the real one does
                self.raised(name, error)
            await asyncio.sleep(delay)
            delay = seconds


class House:
    """
    The whole exporter at work in virtual time, until the ``async with`` ends; only vendors and clock are not real.

    Args:
        folder: Where the config stands; relative paths in it begin there.
        seed: Of the jitter of retries.
        make_http_sd: Makes the backends that name rooms.
        shard: Which part of the config it polls; default: all of it.
        make_cluster: Makes the cluster.
    """

    def __init__(
        self,
        *sources: dict[str, Any],
        folder: Path = Path("/nowhere"),
        seed: int = 1,
        make_http_sd: MakeHttpSd = HttpSd,
        shard: Shard | None = None,
        make_cluster: Callable[[Config], MakeCluster | None] = lambda _: None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.wall_ahead = 0.0
        self.expected_errors = 0
        nonces = itertools.count()
        self.clock = Clock(self.loop.time, self._unix, random.Random(seed).uniform, lambda: f"{next(nonces):016x}")
        self.vendor = Vendor(self._unix)
        self.log = LogLines()
        self.clients: list[FakeClient] = []
        self.arrivals: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self._sources = sources
        self._folder = folder
        self._recorded: set[SourceTable] = set()
        options, make = WebOptions("127.0.0.1:0"), (self._make_client, self._make_jobs)
        more: dict[str, Any] = {"make_http_sd": make_http_sd, "shard": shard, "cluster": make_cluster}
        self.exporter = Exporter(self._load, "exporter.yml", options, self.log, self.clock, *make, **more)
        self.telemetry = self.exporter.telemetry

    async def __aenter__(self) -> Self:
        await self.exporter.start()
        self._record()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.exporter.stop()
        for error in self.jobs.errors:
            raise error
        assert self.expected_errors == self.telemetry.unexpected_errors, self.lines("error")

    @property
    def pollers(self) -> dict[str, Poller]:
        """Those at work, by source."""
        return {name: running.poller for name, running in self.exporter.sources.running.items()}

    @property
    def tables(self) -> dict[str, SourceTable]:
        """By source."""
        return dict(self.exporter.table)

    @property
    def budgets(self) -> dict[str, Budget]:
        """By name."""
        return {poller.budget.name: poller.budget for poller in self.pollers.values()}

    async def load(self, *sources: dict[str, Any]) -> None:
        """Change over to another config by a reload."""
        self._sources = sources
        assert await self.exporter.reloads.ask() is None
        self._record()

    async def watch(self, name: str, rooms: Iterable[str]) -> None:
        """Let a source watch exactly these rooms, as a rooms file does."""
        await self.exporter.sources.running[name].watchlist.change([Room(room) for room in rooms])

    def _load(self) -> Config:
        text = json.dumps({"sources": list(self._sources)}, ensure_ascii=False)
        return parse(text, self._folder / "exporter.yml", {})

    def _make_client(self, config: SourceConfig, opener: Opener, clock: Clock) -> Client:
        client = FakeClient(config, opener, clock, self.vendor)
        self.clients.append(client)
        return cast(Client, client)

    def _make_jobs(self, clock: Clock, telemetry: Telemetry, log: Log) -> Scheduler:
        self.jobs = VirtualJobs(telemetry)
        return cast(Scheduler, self.jobs)

    def _record(self) -> None:
        """Note when each room's readings arrive, besides publishing them."""
        for name, table in self.tables.items():
            if table not in self._recorded:
                self._recorded.add(table)
                self._record_of(name, table)

    def _record_of(self, name: str, table: SourceTable) -> None:
        record = table.record

        def recorded(readings: Mapping[str, Reading], arrival: Arrival, max_age: float | None = None) -> list[float]:
            for room_id in readings:
                self.arrivals[name, room_id].append(arrival.monotonic)
            return record(readings, arrival, max_age)

        table.record = recorded  # type: ignore[method-assign]  # the table itself is the real one

    async def passes(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)

    @property
    def now(self) -> float:
        """Seconds since the house began."""
        return self.loop.time() - self.began

    def states(self, name: str) -> dict[str, int]:
        """The source's rooms by state, those that there are."""
        table = self.tables[name]
        table.expire(self.loop.time())
        return {str(state): rooms for state, rooms in table.states.items() if rooms}

    def rooms_in(self, name: str, state: RoomState) -> set[str]:
        """The source's rooms in this state."""
        table = self.tables[name]
        return {room for room in table if table.state(room) is state}

    def arrivals_of(self, name: str) -> dict[str, list[float]]:
        """When readings of the source's rooms arrived."""
        return {room: moments for (source, room), moments in self.arrivals.items() if source == name}

    def gaps(self, name: str, since: float = 0.0) -> list[float]:
        """Seconds between a room's readings, of all rooms, from so many seconds after the house began."""
        return [gap for room in self.arrivals_of(name) for gap in self.gaps_of(name, room, since)]

    def gaps_of(self, name: str, room: str, since: float = 0.0) -> list[float]:
        """Seconds between one room's readings."""
        arrivals = self.arrivals[name, room]
        return [later - earlier for earlier, later in itertools.pairwise(arrivals) if earlier - self.began >= since]

    def writes(self, *names: str, since: float = 0.0) -> list[float]:
        """When requests were written, in seconds since the house began; of all sources unless some are named."""
        return [
            call.at - self.began
            for call in self.vendor.calls
            if (not names or call.source in names) and call.at - self.began >= since
        ]

    def state(self, name: str) -> SourceState:
        """The source's state as it is published."""
        return self.telemetry.sources[name].state

    def failed(self, name: str) -> dict[FailureKind, int]:
        """The source's failed calls by kind, those kinds that there were."""
        return {kind: calls for kind, calls in self.telemetry.sources[name].failed_calls.items() if calls}

    def lines(self, level: str) -> list[Line]:
        """The lines of the log at this level."""
        return [line for line in self.log.lines if line.level == level]

    def _unix(self) -> float:
        return EPOCH + self.now + self.wall_ahead


def whole_gaps(moments: Sequence[float]) -> list[int]:
    """Seconds between moments, rounded."""
    return [round(later - earlier) for earlier, later in itertools.pairwise(moments)]


def worst_window(writes: Sequence[float], width: float = WINDOW_OF_THE_LIMIT) -> int:
    """The most writes that lie within any half-open window of this width."""
    ordered = sorted(writes)
    return max((bisect_left(ordered, start + width - 1e-9) - place for place, start in enumerate(ordered)), default=0)
