"""
What is polled, and how that changes: plan → build → swap, or nothing.

::

    plan    reads the config and every file that it names, in threads
    build   makes every new object: budgets, tables, pollers, clients
    swap    puts them in place, in one step without a wait
    settle  lets rooms come and go, a few at a time, then lets new sources poll

Nothing that goes wrong before the swap has changed anything. The swap only assigns, stops and re-tunes, one source
after the other, and what one source raises keeps no other from it.

A source that keeps its name goes on as it is, with its readings, due times, circuit and budget's pace, while it reads
the same rooms of the same app at the same address (``SourceConfig.rooms_key``). If that changes it is another source
under an old name: it starts anew, and the old one records nothing any more.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from exporter.clock import Clock
from exporter.config import SourceConfig
from exporter.logs import Log
from exporter.metrics.table import SourceTable, Table
from exporter.metrics.telemetry import Telemetry
from exporter.polling.budget import Budget, Timer
from exporter.polling.client import Client, MakeClient
from exporter.polling.health import App
from exporter.polling.load import budget_loads
from exporter.polling.poller import Poller
from exporter.polling.scheduler import Scheduler
from exporter.rooms import FileState, RoomsFiles, Roster, Scans, Turnover

_TEND: Final = 2.0
_MOMENTS: Final = 20
"""Moments at which jobs begin: those of many sources neither all at once nor one by one."""

_DRAIN: Final = 3.5


class Reloads:
    """
    One reload at a time. Whoever asks during one gets the next, together with all others who asked meanwhile.

    Args:
        reload: Reads the config again; returns why the old one is kept, or ``None``.
    """

    def __init__(self, reload: Callable[[], Awaitable[str | None]]) -> None:
        self.lock = asyncio.Lock()
        self._reload = reload
        self._next: asyncio.Task[str | None] | None = None
        self._tasks: set[asyncio.Task[str | None]] = set()
        self._stopped = False

    async def ask(self) -> str | None:
        """Reload after the one that is under way, if any."""
        return await asyncio.shield(self.begin())

    def begin(self) -> asyncio.Task[str | None]:
        """The same for somebody who does not wait for it."""
        if self._next is None:
            self._next = asyncio.create_task(self._run())
            self._tasks.add(self._next)
            self._next.add_done_callback(self._tasks.discard)
        return self._next

    async def stop(self) -> None:
        """End what is under way, and begin nothing any more; nobody waits for a file that does not answer."""
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self) -> str | None:
        async with self.lock:
            self._next = None  # whoever asks from now on wants what the files hold from now on
            return "the exporter is about to end" if self._stopped else await self._reload()


@dataclass(slots=True)
class Running:
    """
    One source at work.

    Args:
        files: Its rooms files; another object after a reload.
        watched: What of ``files.rooms`` the roster has.
        told: What of ``files.files`` the log has.
    """

    poller: Poller
    roster: Roster
    files: RoomsFiles
    watched: object = None
    told: Mapping[str, FileState] | None = None

    @property
    def config(self) -> SourceConfig:
        return self.poller.config

    @property
    def is_behind(self) -> bool:
        """Whether its files list what roster or log do not have yet."""
        return self.files.rooms is not self.watched or self.files.files is not self.told


Plan = Sequence[tuple[SourceConfig, RoomsFiles]]
"""The sources of a new config, each with its rooms files."""


@dataclass(frozen=True, slots=True)
class _Place:
    """One source of a change: one that is new, or one that goes on with this config and, if there is one, client."""

    config: SourceConfig
    files: RoomsFiles
    running: Running
    new: bool
    client: Client | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Everything that a swap puts in place."""

    places: tuple[_Place, ...]
    budgets: Mapping[str, Budget]
    apps: Mapping[str, App]


class Sources:
    """
    What is polled.

    Args:
        timer: Shared by all budgets.
        since: Monotonic seconds since which no other process has called on the budgets of the first config.

    Attributes:
        running: By name.
    """

    def __init__(
        self,
        table: Table,
        telemetry: Telemetry,
        jobs: Scheduler,
        timer: Timer,
        clock: Clock,
        make_client: MakeClient,
        log: Log,
        since: float | None = None,
    ) -> None:
        self.running: Mapping[str, Running] = {}
        self._budgets: Mapping[str, Budget] = {}
        self._apps: Mapping[str, App] = {}
        self._table = table
        self._telemetry = telemetry
        self._jobs = jobs
        self._timer = timer
        self._clock = clock
        self._make_client = make_client
        self._log = log
        self._since = since
        self._ending: set[asyncio.Task[None]] = set()
        self._tight: frozenset[str] = frozenset()
        self._hanging: frozenset[str] = frozenset()

    @property
    def rooms(self) -> int:
        """How many are watched."""
        return sum(len(running.roster.rooms) for running in self.running.values())

    def plan(self, configs: Iterable[SourceConfig], scans: Scans) -> Plan:
        """What is known of the rooms files of these sources, which are still to be looked at. Changes nothing."""
        plan = []
        for config in configs:
            running = self.running.get(config.name)
            files = RoomsFiles(config, running.files if running else None)
            if running and running.config.rooms_files == config.rooms_files:
                scans.replace(running.files, files)
            plan.append((config, files))
        return plan

    def build(self, plan: Plan) -> Change:
        """Make every new object; whatever it raises has changed nothing."""
        budgets: dict[str, Budget] = {}
        apps: dict[str, App] = {}
        places = []
        for config, files in plan:
            name, key = config.budget, config.codec.app_key(config.source)
            if name not in budgets:
                new = Budget(name, config.rate_limit, self._clock, self._timer, self._since)
                budgets[name] = self._budgets.get(name) or new
            app = apps[key] = apps.get(key) or self._apps.get(key) or App()
            places.append(self._place(config, files, budgets[name], app))
        return Change(tuple(places), budgets, apps)

    async def change_over(self, change: Change) -> Turnover:
        """
        Put everything in its place, in one step; then let rooms come and go, and then let new sources poll, since their
        calls would hold up the last ones' rooms.
        """
        before = self.running
        self._swap(change)
        turnover = await self._follow_files()
        for name, running in before.items():
            if self.running.get(name) is not running:
                turnover.went([*running.roster.rooms])
        for running in self.running.values():
            if running.config.rooms_files and not running.roster.rooms:
                self._log.warning("source watches no rooms", source=running.config.name)
        # Besides the new ones, such as an error of an earlier change kept from starting.
        new = [running for running in self.running.values() if not running.poller.running]
        for number, running in enumerate(new):
            name = running.config.name
            self._guarded(name, running.poller.start)
            early = _TEND / _MOMENTS * (number * _MOMENTS // len(new))
            self._jobs.every(_TEND, f"poll {name}", running.poller.tend, early)
        return turnover

    async def follow_files(self) -> None:
        """Go over to what the rooms files list now, where that is news, and tell the log of it."""
        await self._follow_files(self._log_rooms)

    def files_hang(self, hanging: frozenset[RoomsFiles]) -> None:
        """
        Tell which sources' files do not answer at present, where that is news: their lists may be old, whatever the
        last look said.
        """
        names = frozenset(name for name, running in self.running.items() if running.files in hanging)
        for name in sorted(names - self._hanging):
            self._log.warning("rooms files hang", source=name)
        for name in sorted(self._hanging & self.running.keys() - names):
            self._log.info("rooms files answer again", source=name)
        if names != self._hanging:
            self._hanging = names
            self._publish_files()

    async def _follow_files(self, changed: Callable[[Running, Turnover], None] = lambda *_: None) -> Turnover:
        total = Turnover()
        news = [running for running in self.running.values() if running.is_behind]
        if news:
            try:
                self._tell_of_files()
            except Exception as error:  # noqa: BLE001 whatever it is, rooms come and go, and it is told at the next look
                self._jobs.raised("rooms files", error)
        for running in news:
            rooms = running.files.rooms
            try:
                turnover = await running.roster.change(rooms)
                running.watched = rooms
                total.include(turnover)
                if turnover:
                    changed(running, turnover)
            except Exception as error:  # noqa: BLE001 whatever it is, the other sources go over to their rooms
                self._raised("rooms", running.config.name, error)
        return total

    def _log_rooms(self, running: Running, turnover: Turnover) -> None:
        rooms, source = len(running.roster.rooms), running.config.name
        self._log.info("rooms changed", source=source, **turnover.values(), rooms=rooms)
        if not rooms:
            self._log.warning("source watches no rooms", source=source)

    def _swap(self, change: Change) -> None:
        before, self._since = self.running, None
        self.running = {place.config.name: place.running for place in change.places}
        self._budgets, self._apps = change.budgets, change.apps
        self._telemetry.budgets = dict(change.budgets)
        self._telemetry.sources = {name: running.poller.stats for name, running in self.running.items()}
        self._table.replace({name: running.poller.table for name, running in self.running.items()})
        for name, running in before.items():
            if self.running.get(name) is not running:
                self._guarded(name, partial(self._end, running))
        for place in change.places:
            self._guarded(place.config.name, partial(self._tune, place, change))
        self._timer.expect(sum(budget.limit for budget in change.budgets.values()))

    async def stop(self) -> None:
        """Let running calls end for a while, and end everything."""
        for running in self.running.values():
            self._end(running)
        await asyncio.gather(*self._ending)

    def _place(self, config: SourceConfig, files: RoomsFiles, budget: Budget, app: App) -> _Place:
        running = self.running.get(config.name)
        if running and running.config.rooms_key == config.rooms_key:
            other = running.config.client_key != config.client_key
            client = self._make_client(config, running.poller, self._clock) if other else None
            return _Place(config, files, running, new=False, client=client)
        table = SourceTable({"vendor": config.vendor, "api": config.api, "source": config.name}, max_staleness=0.0)
        log = self._log.bind(source=config.name, api=config.api)
        poller = Poller(config, budget, app, self._make_client, table, self._telemetry, self._clock, log)
        if running:
            poller.succeed(running.poller)
        return _Place(config, files, Running(poller, Roster(table, poller), files), new=True)

    def _tune(self, place: _Place, change: Change) -> None:
        config, running = place.config, place.running
        budget = change.budgets[config.budget]
        if budget.limit != config.rate_limit:
            budget.change_limit(config.rate_limit)
        running.files = place.files
        if not place.new:
            running.poller.reconfigure(config, budget, change.apps[config.codec.app_key(config.source)], place.client)

    def _end(self, running: Running) -> None:
        self._jobs.cancel(f"poll {running.config.name}")
        running.poller.stop()
        ending = asyncio.create_task(running.poller.drain(within=_DRAIN))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def _guarded(self, name: str, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 whatever it is, the other sources change over
            self._raised("reload", name, error)

    def _raised(self, what: str, source: str, error: Exception) -> None:
        error.add_note(f"source: {source}")
        self._jobs.raised(what, error)

    def _tell_of_files(self) -> None:
        """What follows from the numbers of rooms and the states of their files."""
        loads = budget_loads((running.config, len(running.files.rooms)) for running in self.running.values())
        for budget in loads:
            for source in budget.sources:
                self.running[source.config.name].poller.table.max_staleness = source.max_staleness
            if not budget.fits and budget.name not in self._tight:
                needed, allowed = f"{budget.needed:.2f}", f"{budget.allowed:g}"
                self._log.warning("rooms do not fit", budget=budget.name, needed=needed, allowed=allowed)
        self._tight = frozenset(budget.name for budget in loads if not budget.fits)
        for running in self.running.values():
            self._log_files(running)
        self._publish_files()

    def _publish_files(self) -> None:
        read: dict[str, bool] = defaultdict(lambda: True)
        for name, running in self.running.items():
            answers = name not in self._hanging
            for path, state in running.files.files.items():
                read[path] &= state.ok and answers
        self._telemetry.rooms_files = dict(read)

    def _log_files(self, running: Running) -> None:
        before, running.told = running.told or {}, running.files.files
        source = running.config.name
        gone: dict[str, int] = {}
        for path, state in running.told.items():
            old = before.get(path)
            if state.gone_with is not None:
                if old is None or old.gone_with is None:
                    gone[path] = state.gone_with
            elif state.error is not None and (old is None or old.error != state.error):
                self._log.warning("rooms file not read, its old list is kept", source=source, error=state.error)
            elif state.error is None and old is not None and old.error is not None:
                self._log.info("rooms file read again", source=source, file=path, rooms=state.rooms)
            if state.warning is not None and (old is None or old.warning != state.warning):
                self._log.warning("rooms file", source=source, file=path, warning=state.warning)
        if gone:
            files = {"file": next(iter(gone))} if len(gone) == 1 else {"files": len(gone)}
            self._log.warning("rooms went with their file", source=source, **files, rooms=sum(gone.values()))
