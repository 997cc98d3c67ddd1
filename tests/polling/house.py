"""
Polling as a whole in virtual time: real configs, codecs, pollers, budgets and tables in front of a scripted vendor.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, cast

from exporter.config import SourceConfig, parse
from exporter.metrics.room import Arrival
from exporter.metrics.source_stats import SourceStats
from exporter.metrics.table import SourceTable
from exporter.metrics.telemetry import Telemetry
from exporter.model import FailureKind, Reading, Room
from exporter.polling.budget import Budget
from exporter.polling.caller import Caller
from exporter.polling.clock import Clock
from exporter.polling.health import App
from exporter.polling.load import budget_loads
from exporter.polling.poller import WINDOW, Poller
from exporter.polling.ticks import Ticks
from exporter.states import RoomState, SourceState
from tests.polling.vendor import FakeCaller, Vendor

EPOCH: Final = 1_700_000_000.0
WINDOW_OF_THE_LIMIT: Final = 1.02

CREDENTIALS: Final[dict[str, dict[str, Any]]] = {
    "zego_rtc": {"app_id": 1234567890, "server_secret": "zego-secret"},
    "zego_zim": {"app_id": 1234567890, "server_secret": "zego-secret"},
    "tencent_im": {"sdk_app_id": 1400000000, "identifier": "administrator", "secret_key": "tencent-secret"},
    "tencent_live": {"sdk_app_id": 1400000000, "identifier": "administrator", "secret_key": "tencent-secret"},
    "volcengine_rtc": {"app_id": "661e", "access_key_id": "AKLT", "secret_access_key": "volcengine-secret"},
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


class RecordingTable(SourceTable):
    """A table that also remembers when each room's readings arrived."""

    def __init__(self, labels: dict[str, str], max_staleness: float) -> None:
        super().__init__(labels, max_staleness)
        self.arrivals: defaultdict[str, list[float]] = defaultdict(list)

    def record(self, readings: Mapping[str, Reading], arrival: Arrival) -> list[float]:
        """Record, and remember when."""
        for room_id in readings:
            self.arrivals[room_id].append(arrival.monotonic)
        return super().record(readings, arrival)


class House:
    """
    The pollers of a config at work, a window a second, until the ``async with`` ends.

    Args:
        folder: Where the config stands; relative paths in it begin there.
        seed: Of the jitter of retries.
    """

    def __init__(self, *sources: dict[str, Any], folder: Path = Path("/nowhere"), seed: int = 1) -> None:
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.wall_ahead = 0.0
        nonces = itertools.count()
        self.clock = Clock(self.loop.time, self._unix, random.Random(seed).uniform, lambda: f"{next(nonces):016x}")
        self._ticks = Ticks(self.clock, self._unexpected)
        self.vendor = Vendor(self._unix)
        self.log = LogLines()
        self.telemetry = Telemetry()
        self.pollers: dict[str, Poller] = {}
        self.tables: dict[str, RecordingTable] = {}
        self.budgets: dict[str, Budget] = {}
        self._folder = folder
        self._apps: dict[str, App] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._first = sources

    async def __aenter__(self) -> Self:
        self.load(*self._first)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*[self._stop(name).drain(within=3.5) for name in list(self.pollers)])
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _unexpected(self, error: Exception) -> None:
        raise error

    async def passes(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)

    @property
    def now(self) -> float:
        """Seconds since the house began."""
        return self.loop.time() - self.began

    def load(self, *sources: dict[str, Any]) -> None:
        """Start with a config, or change over to another one as a reload does."""
        configs = parsed(*sources, folder=self._folder)
        wanted = {config.name: config for config in configs}
        for name, poller in list(self.pollers.items()):
            if name not in wanted or not poller.config.same_client(wanted[name]):
                self._own(self._stop(name).drain(within=3.5))
        for config in configs:
            budget = self.budgets.get(config.budget)
            if budget is None:
                budget = self.budgets[config.budget] = Budget(config.budget, config.rate_limit, self.clock, self._ticks)
            elif budget.limit != config.rate_limit:
                budget.change_limit(config.rate_limit)
            if config.name in self.pollers:
                self.pollers[config.name].retune(config)
            else:
                self._start(config, budget)
            deque(self.pollers[config.name].watching(config.rooms), maxlen=0)
        for load in budget_loads((config, len(config.rooms)) for config in configs):
            for member in load.sources:
                self.tables[member.config.name].max_staleness = member.max_staleness

    def watch(self, name: str, rooms: Iterable[str]) -> None:
        """Let a source watch exactly these rooms, as a rooms file does."""
        deque(self.pollers[name].watching([Room(room) for room in rooms]), maxlen=0)

    def states(self, name: str) -> dict[str, int]:
        """The source's rooms by state, those that there are."""
        table = self.tables[name]
        table.expire(self.loop.time())
        return {str(state): rooms for state, rooms in table.states.items() if rooms}

    def rooms_in(self, name: str, state: RoomState) -> set[str]:
        """The source's rooms in this state."""
        table = self.tables[name]
        return {room for room in table.rooms if table.state(room) is state}

    def gaps(self, name: str, since: float = 0.0) -> list[float]:
        """Seconds between a room's readings, of all rooms, from so many seconds after the house began."""
        return [gap for room in self.tables[name].arrivals for gap in self.gaps_of(name, room, since)]

    def gaps_of(self, name: str, room: str, since: float = 0.0) -> list[float]:
        """Seconds between one room's readings."""
        arrivals = self.tables[name].arrivals[room]
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

    def _start(self, config: SourceConfig, budget: Budget) -> None:
        labels = {"vendor": config.vendor, "api": config.api, "source": config.name}
        table = self.tables[config.name] = RecordingTable(labels, 0.0)
        noted = SourceStats(config.vendor, config.api, config.name, config.budget, config.interval, table)
        self.telemetry.add_source(noted)
        caller = cast(Caller, FakeCaller(config, budget.gate, self.vendor, self.clock))
        app = self._apps.setdefault(config.codec.app_key(config.source), App())
        log = self.log.bind(source=config.name)
        poller = Poller(config, budget, app, caller, table, self.telemetry, noted, self.clock, log)
        self.pollers[config.name] = poller
        self._own(self._run_windows(poller))

    def _stop(self, name: str) -> Poller:
        self.telemetry.remove_source(name)
        return self.pollers.pop(name)

    async def _run_windows(self, poller: Poller) -> None:
        while self.pollers.get(poller.config.name) is poller:
            self._own(poller.window())
            await asyncio.sleep(WINDOW)

    def _own(self, body: Any) -> None:
        task = asyncio.ensure_future(body)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()


def whole_gaps(moments: Sequence[float]) -> list[int]:
    """Seconds between moments, rounded."""
    return [round(later - earlier) for earlier, later in itertools.pairwise(moments)]


def worst_window(writes: Sequence[float], width: float = WINDOW_OF_THE_LIMIT) -> int:
    """The most writes that lie within any half-open window of this width."""
    ordered = sorted(writes)
    return max((bisect_left(ordered, start + width - 1e-9) - place for place, start in enumerate(ordered)), default=0)
