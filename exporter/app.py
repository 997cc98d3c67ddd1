"""
Builds the parts from a config; starts, reloads and stops them.

::

    Exporter ── Table, Telemetry, Exposition, WebServer, Scheduler     one of each
             ├─ Budget by name, App by key                             shared by sources
             └─ Running by source name: Poller, RoomsFiles

A reload is all or nothing: the new config is loaded and checked whole before anything changes. Then sources that are
gone stop, new ones start, those whose credentials or address changed start again, and the others go on with what they
have: readings, due times, circuit, connections and their budget's pace.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from exporter.config import Config, ConfigError, SourceConfig
from exporter.metrics.exposition import Exposition
from exporter.metrics.source_stats import SourceStats
from exporter.metrics.table import SourceTable, Table
from exporter.metrics.telemetry import Telemetry
from exporter.polling.budget import Budget
from exporter.polling.caller import Caller
from exporter.polling.clock import Clock
from exporter.polling.health import App
from exporter.polling.journal import Log
from exporter.polling.load import budget_loads
from exporter.polling.poller import WINDOW, Poller
from exporter.polling.scheduler import Scheduler
from exporter.polling.ticks import Ticks
from exporter.rooms import FileState, RoomsFiles
from exporter.web import Process, WebServer

_SWEEP: Final = 1.0
_SAMPLE: Final = 5.0
_SCAN: Final = 2.0
_SWEPT_WITHIN: Final = 10.0
_READY_AFTER: Final = 10.0
_DRAIN: Final = 3.5
_MOMENTS: Final = 20
"""Moments of a second at which windows begin: those of many sources neither all at once nor one by one."""

SWITCH_INTERVAL: Final = 0.0005
"""Seconds within which the thread that renders a scrape gives the interpreter back to the loop."""

_GARBAGE: Final = 25_000
"""Objects that come to be, and stay, before the collector looks for cycles among them. Those of calls under way soon go
by themselves; with Python's default of 700, looking through them took an eighth of the time at 2,000 calls a second."""


@dataclass(slots=True)
class Running:
    """One source at work."""

    poller: Poller
    files: RoomsFiles
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def config(self) -> SourceConfig:
        return self.poller.config


@dataclass(frozen=True, slots=True)
class WebOptions:
    """How ``/metrics`` and the pages are served; the address is ``[host]:port``."""

    listen_address: str = ":9877"
    telemetry_path: str = "/metrics"
    lifecycle: bool = False


class Exporter:
    """
    The whole exporter.

    Args:
        load: Reads the config; called in a thread, at start and at every reload.
        config_path: Where the config comes from, for people.
        born: Monotonic seconds at which this process began; another may have called until then. Now, if left out.
    """

    def __init__(
        self,
        load: Callable[[], Config],
        config_path: str,
        options: WebOptions,
        log: Log,
        clock: Clock | None = None,
        born: float | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self._quiet_since = born
        self.table = Table()
        self.telemetry = Telemetry()
        self.sources: dict[str, Running] = {}
        self._load = load
        self._log = log
        self._listen_address = options.listen_address
        self._budgets: dict[str, Budget] = {}
        self._apps: dict[str, App] = {}
        self._exposition = Exposition(self.table, self.telemetry, self.clock.monotonic)
        self._scheduler = Scheduler(self.clock, self.telemetry, log)
        self._ticks = Ticks(self.clock, lambda error: self._scheduler.raised("slots", error))
        self._reloading = asyncio.Lock()
        self._scanning = threading.Lock()
        self._ending: set[asyncio.Task[None]] = set()
        self._swept = self._started = self.clock.monotonic()
        process = Process(
            healthy=self._why_unhealthy,
            ready=self._why_unready,
            reload=self.reload,
            monotonic=self.clock.monotonic,
            unix=self.clock.unix,
            started=self.clock.unix(),
            config_path=config_path,
        )
        self.web = WebServer(
            self._exposition, self.table, self.telemetry, process, log, options.telemetry_path, options.lifecycle
        )

    async def start(self) -> None:
        """
        Load the config, listen and poll.

        Raises:
            ConfigError: The config is not valid; nothing was started.
            UserError: The address cannot be listened on.
        """
        gc.set_threshold(_GARBAGE)
        sys.setswitchinterval(SWITCH_INTERVAL)
        plan = await asyncio.to_thread(self._plan)
        await self.web.start(self._listen_address)
        self._scheduler.start()
        async with self._reloading:
            await self._apply(plan)
        # A budget that a reload brings may be the rest of one that it took away.
        self._quiet_since = None
        self._scheduler.every(_SCAN, "rooms files", self._scan)
        self._scheduler.every(_SWEEP, "sweep", self._sweep)
        self._scheduler.every(_SAMPLE, "sample", self.web.sample)
        self._note_reload(successful=True)

    async def reload(self) -> str | None:
        """
        Load the config again and change over to it, or change nothing.

        Returns:
            Why the old config is kept, or ``None``.
        """
        async with self._reloading:
            try:
                plan = await asyncio.to_thread(self._plan)
            except ConfigError as error:
                self._note_reload(successful=False)
                self._log.warning("config not reloaded, the old one is kept", error=str(error))
                return str(error)
            await self._apply(plan)
            self._note_reload(successful=True)
            self._log.info("config reloaded", sources=len(self.sources))
            return None

    async def stop(self) -> None:
        """Stop scheduling, let running calls end for a while, and close everything."""
        self._scheduler.pause()
        for running in self.sources.values():
            self._end(running)
        await asyncio.gather(*self._ending)
        self._scheduler.stop()
        await self.web.stop()
        await self._exposition.aclose()

    def _plan(self) -> list[tuple[SourceConfig, RoomsFiles]]:
        config = self._load()
        for warning in config.warnings:
            self._log.warning("config", warning=warning)
        return [(source, self._scanned(source)) for source in config.sources]

    def _scanned(self, source: SourceConfig) -> RoomsFiles:
        with self._scanning:
            running = self.sources.get(source.name)
            files = RoomsFiles(source, running.files if running else None)
            files.scan()
            return files

    def _scan_again(self, files: RoomsFiles) -> bool | Exception:
        with self._scanning:
            try:
                return files.scan()
            except Exception as error:  # noqa: BLE001 whatever it is, the other sources' files are looked at
                return error

    async def _apply(self, plan: list[tuple[SourceConfig, RoomsFiles]]) -> None:
        wanted = {config.name: config for config, _ in plan}
        for name, old in list(self.sources.items()):
            new = wanted.get(name)
            if new is None or not old.config.same_client(new):
                self._stop_source(name, keep_rooms=new is not None and _same_rooms(old.config, new))
        for name in self._budgets.keys() - {config.budget for config in wanted.values()}:
            del self._budgets[name], self.telemetry.budgets[name]
        started = []
        for config, files in plan:
            budget = self._budget(config)
            running = self.sources.get(config.name)
            self._report_files(config.name, running.files.files if running else {}, files.files)
            if running:
                running.files = files
                running.poller.retune(config)
            else:
                running = self._start_source(config, files, budget)
                started.append(running)
            await self._watch(running, files)
        self._ticks.expect(sum(budget.limit for budget in self._budgets.values()))
        # Not before every room has its place: the calls of the first sources would hold up the last ones' rooms.
        for number, running in enumerate(started):
            early = WINDOW / _MOMENTS * (number * _MOMENTS // len(started))
            self._scheduler.every(WINDOW, f"poll {running.config.name}", running.poller.window, early)
        self._apps = {key: app for key, app in self._apps.items() if app.healths}
        self._rooms_changed()
        # What was just built lives long. A look through a hundred thousand rooms for garbage would hold up every call.
        gc.freeze()

    def _start_source(self, config: SourceConfig, files: RoomsFiles, budget: Budget) -> Running:
        labels = {"vendor": config.vendor, "api": config.api, "source": config.name}
        if config.name not in self.table:
            self.table.add(config.name, SourceTable(labels, max_staleness=0.0))
        rooms = self.table[config.name]
        noted = SourceStats(config.vendor, config.api, config.name, config.budget, config.interval, rooms)
        self.telemetry.add_source(noted)
        caller = Caller(
            budget.gate, self.clock, config.rate_limit, config.timeout, config.source.proxy, config.source.ca_file
        )
        app = self._apps.setdefault(config.codec.app_key(config.source), App())
        log = self._log.bind(source=config.name, api=config.api)
        poller = Poller(config, budget, app, caller, rooms, self.telemetry, noted, self.clock, log)
        running = self.sources[config.name] = Running(poller, files)
        return running

    def _stop_source(self, name: str, *, keep_rooms: bool) -> None:
        running = self.sources.pop(name)
        self._scheduler.cancel(f"poll {name}")
        self.telemetry.remove_source(name)
        if not keep_rooms:
            self.table.remove(name)
        self._end(running)

    def _end(self, running: Running) -> None:
        ending = asyncio.create_task(running.poller.drain(within=_DRAIN))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def _budget(self, config: SourceConfig) -> Budget:
        budget = self._budgets.get(config.budget)
        if budget is None:
            budget = Budget(config.budget, config.rate_limit, self.clock, self._ticks, self._quiet_since)
            self._budgets[config.budget] = budget
            self.telemetry.budgets[config.budget] = budget
        elif budget.limit != config.rate_limit:
            budget.change_limit(config.rate_limit)
        return budget

    async def _scan(self) -> None:
        """Look at all rooms files, one after the other in one thread, and go over to what is new in them."""
        before = [(running, running.files, running.files.files) for running in self.sources.values()]
        looked = await asyncio.to_thread(lambda: [self._scan_again(files) for _, files, _ in before])
        errors = []
        for (running, files, known), new in zip(before, looked, strict=True):
            try:
                if isinstance(new, Exception):
                    raise new
                # A reload may have put other files in place meanwhile.
                if new and self.sources.get(running.config.name) is running and running.files is files:
                    self._report_files(running.config.name, known, files.files)
                    await self._watch(running, files)
            except Exception as error:  # noqa: BLE001 whatever it is, the other sources go over to their rooms
                error.add_note(f"source: {running.config.name}")
                errors.append(error)
        if True in looked:
            self._rooms_changed()
        if errors:
            raise ExceptionGroup("rooms files could not be looked at", errors)

    async def _watch(self, running: Running, files: RoomsFiles) -> None:
        """Go over to the rooms of these files while calls go on, unless other files have come in their place."""
        async with running.changing:
            if running.files is files:
                for _ in running.poller.watching(files.rooms):
                    await asyncio.sleep(0)

    def _report_files(self, source: str, before: Mapping[str, FileState], now: Mapping[str, FileState]) -> None:
        for path, state in now.items():
            old = before.get(path)
            if state.error is not None and (old is None or old.error != state.error):
                self._log.warning("rooms file not read, its old list is kept", source=source, error=state.error)
            elif state.error is None and old is not None and old.error is not None:
                self._log.info("rooms file read again", source=source, file=path, rooms=state.rooms)
            if state.warning is not None and (old is None or old.warning != state.warning):
                self._log.warning("rooms file", source=source, file=path, warning=state.warning)

    def _rooms_changed(self) -> None:
        """Tell what follows from the numbers of rooms and the states of their files."""
        for budget in budget_loads((running.config, len(running.files.rooms)) for running in self.sources.values()):
            for source in budget.sources:
                self.table[source.config.name].max_staleness = source.max_staleness
        files = [file for running in self.sources.values() for file in running.files.files.items()]
        self.telemetry.rooms_files = {path: all(state.ok for p, state in files if p == path) for path, _ in files}

    async def _sweep(self) -> None:
        now = self._swept = self.clock.monotonic()
        self.table.expire(now)

    def _note_reload(self, *, successful: bool) -> None:
        if successful:
            self.telemetry.config_loaded(self.clock.unix())
        else:
            self.telemetry.config_refused()

    def _why_unhealthy(self) -> str | None:
        age = self.clock.monotonic() - self._swept
        return f"the sweep last ran {age:.0f} s ago" if age > _SWEPT_WITHIN else None

    def _why_unready(self) -> str | None:
        if not self._scheduler.running:
            return "the scheduler is not running"
        if self.clock.monotonic() - self._started >= _READY_AFTER:
            return None
        waiting = [name for name, running in self.sources.items() if not running.poller.first_call_ended]
        return f"waiting for the first call of {', '.join(waiting)}" if waiting else None


def _same_rooms(old: SourceConfig, new: SourceConfig) -> bool:
    """Whether both ask the same vendor app, so that one's readings are true of the other's rooms."""
    return old.api == new.api and old.codec.app_key(old.source) == new.codec.app_key(new.source)


async def run(exporter: Exporter, started: Callable[[], None] = lambda: None) -> None:
    """
    Run until SIGTERM or SIGINT; reload at SIGHUP.

    Args:
        started: Called once the exporter listens and polls.
    """
    reloads: set[asyncio.Task[str | None]] = set()

    def reload() -> None:
        task = asyncio.create_task(exporter.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    with until_signal(reload) as stopping:
        await exporter.start()
        started()
        await stopping.wait()
        await asyncio.gather(*reloads, return_exceptions=True)
        await exporter.stop()


@contextmanager
def until_signal(reload: Callable[[], None] | None = None) -> Iterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set; SIGHUP reloads if that is wanted. Signals are as before afterwards."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    handlers = {signal.SIGTERM: stopping.set, signal.SIGINT: stopping.set}
    if reload is not None:
        handlers[signal.SIGHUP] = reload
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield stopping
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
