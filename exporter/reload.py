"""
The sources that are polled, and how a reload changes them: all of the new config, or nothing.

Theory of operation
===================

**Problem.** An operator changes the config while 100,000 rooms are polled. If the new config is wrong, the old one must
go on undisturbed. If it is right, sources that have not changed must keep their readings and their pace, and no reading
may be published under a name that now means other rooms.

**Idea.** Four steps::

    plan    read the config and every file that it names, in threads
    build   make every new object: budgets, tables, pollers, clients
    swap    put the new objects in place, in one step without a wait
    settle  add and remove rooms, a few at a time; then start the new sources

Until the swap, nothing that is in use has changed, so an error in the first two steps leaves the old config in use. The
swap itself only assigns, stops and re-tunes. If one source raises an exception in it, the other sources still change.

A source is the same as before if it has the same name and the same *rooms key*: API, app, environment and address
(``SourceConfig.rooms_key``). Then it keeps its readings, due times, circuit and pace. If the rooms key has changed, it
is a new source under an old name: it starts without readings, and the old source records nothing any more.

Worked example: the old config has the sources A, B and C. The new one has A with another ``interval``, B with another
``app_id``, no C, and a new D. A goes on, and its next polls follow the new interval. B and C stop; their calls in
flight have 3.5 s to end, and their replies are not recorded. A new B and D start, and have their first readings after
their first calls. If D's rooms file cannot be parsed, none of this happens.

**Why simpler is not enough.** To stop everything and start anew would make every room unknown until its first poll,
close all circuits, and forget the calls of the last second, so that the vendor would count more than its limit. To
change one source after the other would leave half a config in use when the third one fails.

**When this is wrong.** A renamed source is a new source, and starts without readings. A budget under a new name does
not know the calls of the old one; so a new budget makes no call in its first period of 1.026 s or longer.
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

_MAINTENANCE: Final = 2.0
_JOB_GROUPS: Final = 20
"""Groups in which the jobs of many sources run: neither all at once nor one by one."""

_DRAIN: Final = 3.5


class Reloads:
    """
    Runs one reload at a time. Requests that arrive during a reload share the next one.

    Args:
        reload: Reads the config again. Returns why the old one is kept; ``None`` if the new one is in use.
    """

    def __init__(self, reload: Callable[[], Awaitable[str | None]]) -> None:
        self.lock = asyncio.Lock()
        self._reload = reload
        self._next: asyncio.Task[str | None] | None = None
        self._tasks: set[asyncio.Task[str | None]] = set()
        self._stopped = False

    async def ask(self) -> str | None:
        """Reload, after the present reload if there is one. Returns what ``reload`` returned."""
        return await asyncio.shield(self.begin())

    def begin(self) -> asyncio.Task[str | None]:
        """The same without waiting for it."""
        if self._next is None:
            self._next = asyncio.create_task(self._run())
            self._tasks.add(self._next)
            self._next.add_done_callback(self._tasks.discard)
        return self._next

    async def stop(self) -> None:
        """Cancel the present reload, and begin no other one."""
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self) -> str | None:
        async with self.lock:
            self._next = None  # a later request needs a later look at the files
            return "the exporter is about to end" if self._stopped else await self._reload()


@dataclass(slots=True)
class Running:
    """
    One source that is polled.

    Args:
        files: Its rooms files; another object after a reload.
        applied_rooms: The value of ``files.rooms`` that the roster has applied.
        logged_files: The value of ``files.files`` that the log has reported.
    """

    poller: Poller
    roster: Roster
    files: RoomsFiles
    applied_rooms: object = None
    logged_files: Mapping[str, FileState] | None = None

    @property
    def config(self) -> SourceConfig:
        return self.poller.config

    @property
    def has_unapplied_changes(self) -> bool:
        """Whether its files hold changes that the roster has not applied or the log has not reported."""
        return self.files.rooms is not self.applied_rooms or self.files.files is not self.logged_files


Plan = Sequence[tuple[SourceConfig, RoomsFiles]]
"""The sources of a new config, each with its rooms files."""


@dataclass(frozen=True, slots=True)
class _Place:
    """One source after a change: a new one, or one that goes on with this config and perhaps a new client."""

    config: SourceConfig
    files: RoomsFiles
    running: Running
    new: bool
    client: Client | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Everything that a swap puts in place: the result of ``Sources.build``."""

    places: tuple[_Place, ...]
    budgets: Mapping[str, Budget]
    apps: Mapping[str, App]


class Sources:
    """
    The sources that are polled.

    Args:
        timer: Shared by all budgets.
        since: Monotonic time since which no other process has used the limits of the first config; default: now.

    Attributes:
        running: The sources by name.
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
        self._overloaded: frozenset[str] = frozenset()
        self._hanging: frozenset[str] = frozenset()

    @property
    def rooms(self) -> int:
        """Number of watched rooms."""
        return sum(len(running.roster.rooms) for running in self.running.values())

    def plan(self, configs: Iterable[SourceConfig], scans: Scans) -> Plan:
        """Pair each source with its rooms files, which are still to be scanned. Changes nothing that is in use."""
        plan = []
        for config in configs:
            running = self.running.get(config.name)
            files = RoomsFiles(config, running.files if running else None)
            if running and running.config.rooms_files == config.rooms_files:
                scans.replace(running.files, files)
            plan.append((config, files))
        return plan

    def build(self, plan: Plan) -> Change:
        """Make every new object. Changes nothing that is in use, also if it raises."""
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
        Swap in one step, then add and remove rooms, then start the new sources.

        New sources start last, since their calls would delay the rooms of the sources after them.
        """
        before = self.running
        self._swap(change)
        turnover = await self._follow_files()
        for name, running in before.items():
            if self.running.get(name) is not running:
                turnover.count_removed([*running.roster.rooms])
        for running in self.running.values():
            if running.config.rooms_files and not running.roster.rooms:
                self._log.warning("source watches no rooms", source=running.config.name)
        # Also sources that an error in an earlier change kept from starting.
        new = [running for running in self.running.values() if not running.poller.running]
        for number, running in enumerate(new):
            name = running.config.name
            self._guarded(name, running.poller.start)
            early = _MAINTENANCE / _JOB_GROUPS * (number * _JOB_GROUPS // len(new))
            self._jobs.every(_MAINTENANCE, f"poll {name}", running.poller.maintain, early)
        return turnover

    async def follow_files(self) -> None:
        """Apply and log what has changed in the rooms files since the last call."""
        await self._follow_files(self._log_rooms)

    def report_hanging(self, hanging: frozenset[RoomsFiles]) -> None:
        """
        Log which sources' rooms files have begun to hang or answer again.

        Args:
            hanging: The rooms files that do not answer now. Their lists may be old, even if the last look succeeded.
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
        changed_sources = [running for running in self.running.values() if running.has_unapplied_changes]
        if changed_sources:
            try:
                self._update_loads()
            except Exception as error:  # noqa: BLE001 rooms must change all the same, and the next look tries again
                self._jobs.raised("rooms files", error)
        for running in changed_sources:
            rooms = running.files.rooms
            try:
                turnover = await running.roster.change(rooms)
                running.applied_rooms = rooms
                total.include(turnover)
                if turnover:
                    changed(running, turnover)
            except Exception as error:  # noqa: BLE001 the other sources must get their rooms
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
        """Stop every source. Calls in flight have 3.5 s to end."""
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
            poller.take_over(running.poller)
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
        except Exception as error:  # noqa: BLE001 the other sources must change, too
            self._raised("reload", name, error)

    def _raised(self, what: str, source: str, error: Exception) -> None:
        error.add_note(f"source: {source}")
        self._jobs.raised(what, error)

    def _update_loads(self) -> None:
        """Update what depends on the numbers of rooms: staleness, warnings about budgets, the states of files."""
        loads = budget_loads((running.config, len(running.files.rooms)) for running in self.running.values())
        for budget in loads:
            for source in budget.sources:
                poller = self.running[source.config.name].poller
                poller.table.max_staleness, poller.share = source.max_staleness, source.share
            if not budget.fits and budget.name not in self._overloaded:
                needed, allowed = f"{budget.needed:.2f}", f"{budget.allowed:g}"
                self._log.warning("rooms do not fit", budget=budget.name, needed=needed, allowed=allowed)
        self._overloaded = frozenset(budget.name for budget in loads if not budget.fits)
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
        before, running.logged_files = running.logged_files or {}, running.files.files
        source = running.config.name
        gone: dict[str, int] = {}
        for path, state in running.logged_files.items():
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
            self._log.warning("rooms removed: their file is gone", source=source, **files, rooms=sum(gone.values()))
