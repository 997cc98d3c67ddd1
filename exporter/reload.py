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
    settle  stop and re-tune sources; add and remove rooms, a few at a time; then start the new sources

Until the swap, nothing that is in use has changed, so an error in the first two steps leaves the old config in use. The
swap itself only assigns. A config may have a thousand sources, so the other steps take one source at a time, and the
event loop runs other tasks in between. If one source raises an exception in the last step, the other sources still
change.

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

**When this is wrong.** A renamed source is a new source, and starts without readings. A renamed budget goes on with its
pace and its pauses only if a source that goes on has moved from the old name to the new one, and nothing else uses the
old name. Any other new budget does not know earlier calls; so it makes none in its first period of 1.026 s or longer.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from exporter.blocking import Turn
from exporter.clock import Clock
from exporter.config import SourceConfig
from exporter.discovery import Discovery, HttpSds, MakeHttpSd
from exporter.logs import Log
from exporter.metrics.expected import arrangement
from exporter.metrics.table import SourceTable, Table
from exporter.metrics.telemetry import Telemetry
from exporter.polling.budget import Budget, Timer
from exporter.polling.client import Client, MakeClient
from exporter.polling.health import App
from exporter.polling.lister import Lister
from exporter.polling.load import budget_loads
from exporter.polling.poller import Poller
from exporter.polling.scheduler import Scheduler
from exporter.rooms import FileState, RoomsFiles, Scans, Turnover, Watchlist
from exporter.rooms.http_sd import HttpSd
from exporter.vendors.callbacks import Hint

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
        discovery: Where its rooms find themselves. It then tells table and poller of rooms, and the watchlist does not.
        applied_rooms: The value of ``files.rooms`` that they have applied.
        logged_files: The value of ``files.files`` that the log has reported.
    """

    poller: Poller
    watchlist: Watchlist
    files: RoomsFiles
    discovery: Discovery | None = None
    applied_rooms: object = None
    logged_files: Mapping[str, FileState] | None = None

    @property
    def config(self) -> SourceConfig:
        return self.poller.config

    @property
    def rooms(self) -> int:
        """Number of watched rooms."""
        return len(self.watchlist.rooms if self.discovery is None else self.discovery.roster)

    @property
    def has_unapplied_changes(self) -> bool:
        """Whether its files hold changes that the watchlist has not applied or the log has not reported."""
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
    discovery: Discovery | None = None
    http_sd: HttpSds = field(default_factory=dict)
    lister: Lister | None = None
    lister_client: Client | None = None
    sharing: int = 1


@dataclass(frozen=True, slots=True)
class Change:
    """Everything that a swap puts in place: the result of ``Sources.build``."""

    places: tuple[_Place, ...]
    budgets: Mapping[str, Budget]
    apps: Mapping[str, App]
    limits: Mapping[str, float]


class Sources:
    """
    The sources that are polled.

    Args:
        timer: Shared by all budgets.
        since: Monotonic time since which no other process has used the limits of the first config; default: now.

    Attributes:
        running: The sources by name.
        shared: Whether other replicas of a cluster use the same budgets. Then nobody holds a new budget at first.
        arrange: Called after a change, before new sources start.
        hand_on: Told of a callback's hint; returns whether it is for another replica.
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
        make_http_sd: MakeHttpSd = HttpSd,
    ) -> None:
        self.running: Mapping[str, Running] = {}
        self.shared = False
        self.arrange: Callable[[], None] = lambda: None
        self.hand_on: Callable[[str, Hint], bool] = lambda _source, _hint: False
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
        self._replaced: deque[Running] = deque()
        self._make_http_sd = make_http_sd
        self._fitted: tuple[int, ...] = ()
        self._ending: set[asyncio.Task[None]] = set()
        self._settling = False
        self._overloaded: frozenset[str] = frozenset()
        self._hanging: frozenset[str] = frozenset()

    @property
    def rooms(self) -> int:
        """Number of watched rooms."""
        return sum(running.rooms for running in self.running.values())

    @property
    def budgets(self) -> Mapping[str, Budget]:
        """The budgets by name."""
        return self._budgets

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

    async def build(self, plan: Plan) -> Change:
        """Make every new object. Changes nothing that is in use, also if it raises."""
        budgets: dict[str, Budget] = {}
        apps: dict[str, App] = {}
        limits: dict[str, float] = {}
        places = []
        sharing = Counter(config.budget for config, _ in plan if config.discovery)
        # In a cluster the lease of a budget is for its name.
        renamed = {} if self.shared else self._renamed_budgets(config for config, _ in plan)
        turn = Turn()
        for config, files in plan:
            for name, limit in config.limits.items():
                limits[name] = limit
                if name not in budgets:
                    new = Budget(name, limit, self._clock, self._timer, self._since, shared=self.shared)
                    budgets[name] = self._budgets.get(name) or renamed.get(name) or new
            key = config.codec.app_key(config.source)
            app = apps[key] = apps.get(key) or self._apps.get(key) or App()
            place = self._place(config, files, budgets[config.budget], app)
            places.append(self._with_discovery(place, budgets, app, sharing[config.budget]))
            await turn.let_others_run()
        return Change(tuple(places), budgets, apps, limits)

    def _renamed_budgets(self, configs: Iterable[SourceConfig]) -> Mapping[str, Budget]:
        """
        Present budgets that go on under a new name, by the new name. So their pace and the pauses that the vendor asked
        for still count.
        """
        configs = list(configs)
        free = self._budgets.keys() - {config.budget for config in configs}
        renamed: dict[str, Budget] = {}
        for config in configs:
            running = self.running.get(config.name)
            if config.budget in self._budgets or config.budget in renamed or not running:
                continue
            if running.config.budget in free and running.config.rooms_key == config.rooms_key:
                free.remove(running.config.budget)
                renamed[config.budget] = self._budgets[running.config.budget]
        return renamed

    async def change_over(self, change: Change) -> Turnover:
        """
        Swap in one step, then stop and re-tune sources, add and remove rooms, and start the new sources.

        New sources start last, since their calls would delay the rooms of the sources after them.
        """
        self._settling = True
        try:
            self._swap(change)
            self.arrange()
            removed = await self._settle(change)
            self.arrange()
        finally:
            self._settling = False
        turnover = await self._follow_files()
        turnover.include(removed)
        await self._end_arranging()
        for running in self.running.values():
            if running.config.rooms_files and not running.rooms and running.discovery is None:
                self._log.warning("source watches no rooms", source=running.config.name)
        # Also sources that an error in an earlier change kept from starting.
        new = [running for running in self.running.values() if not running.poller.running]
        turn = Turn()
        for number, running in enumerate(new):
            await turn.let_others_run()
            name = running.config.name
            self._guarded(name, running.poller.start)
            early = _MAINTENANCE / _JOB_GROUPS * (number * _JOB_GROUPS // len(new))
            self._jobs.every(_MAINTENANCE, f"poll {name}", running.poller.maintain, early)
        for name, running in self.running.items():
            if running.discovery is not None:
                self._guarded(name, running.discovery.start)
        return turnover

    async def tend_discovery(self) -> None:
        """Apply the time limits of every source's discovery. A job calls this every second."""
        for name, running in self.running.items():
            if running.discovery is not None:
                try:
                    await running.discovery.tick()
                except Exception as error:  # noqa: BLE001 whatever it is, the other sources go on
                    self._raised("discovery", name, error)
        rooms = tuple(running.rooms for running in self.running.values())
        if rooms != self._fitted and any(running.discovery for running in self.running.values()):
            self._fitted = rooms
            await self._update_budgets()

    def hinted(self, source_name: str, hint: Hint) -> None:
        """A callback says something of a room."""
        running = self.running.get(source_name)
        if running is not None and running.discovery is not None and not self.hand_on(source_name, hint):
            running.discovery.hinted(hint)

    async def follow_files(self) -> None:
        """Apply and log what has changed in the rooms files since the last call."""
        if not self._settling:  # a change-over applies them itself, once each source has its new files
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
                await self._update_loads()
            except Exception as error:  # noqa: BLE001 rooms must change all the same, and the next look tries again
                self._jobs.raised("rooms files", error)
        turn = Turn()
        for running in changed_sources:
            await turn.let_others_run()
            rooms = running.files.rooms
            try:
                turnover = await _follow(running)
                running.applied_rooms = rooms
                total.include(turnover)
                if turnover:
                    changed(running, turnover)
            except Exception as error:  # noqa: BLE001 the other sources must get their rooms
                self._raised("rooms", running.config.name, error)
        return total

    def _log_rooms(self, running: Running, turnover: Turnover) -> None:
        rooms, source = running.rooms, running.config.name
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
        self._replaced += (running for name, running in before.items() if self.running.get(name) is not running)
        for name, budget in change.budgets.items():
            budget.name = name
        self._timer.expect(sum(change.limits.values()))

    async def _settle(self, change: Change) -> Turnover:
        removed, turn = Turnover(), Turn()
        while self._replaced:
            running = self._replaced.popleft()
            removed.count_removed([*running.poller.table])
            self._guarded(running.config.name, partial(self._end, running))
            await turn.let_others_run()
        for name, limit in change.limits.items():
            if change.budgets[name].limit != limit:
                self._guarded(name, partial(change.budgets[name].change_limit, limit))
        for place in change.places:
            self._guarded(place.config.name, partial(self._tune, place, change))
            await turn.let_others_run()
            await self._arrange(place, turn)
        self._telemetry.discoveries = {
            name: running.discovery.figures for name, running in self.running.items() if running.discovery
        }
        return removed

    async def _arrange(self, place: _Place, turn: Turn) -> None:
        """Choose anew which rooms have series, a few at a time."""
        try:
            for _ in place.running.poller.table.arrange(arrangement(place.config)):
                await turn.let_others_run()
        except Exception as error:  # noqa: BLE001 the other sources must change, too
            self._raised("reload", place.config.name, error)

    async def _end_arranging(self) -> None:
        turn = Turn()
        for name, running in self.running.items():
            settings = running.config.discovery
            # Rooms that http_sd endpoints name have the new labels and thresholds only after the next refresh.
            if running.applied_rooms is not running.files.rooms or (settings and settings.http_sd):
                continue
            try:
                for _ in running.poller.table.arranged():
                    await turn.let_others_run()
            except Exception as error:  # noqa: BLE001 the other sources must change, too
                self._raised("reload", name, error)

    async def stop(self, within: float = _DRAIN) -> None:
        """Stop every source. Calls in flight have so many seconds to end."""
        for running in (*self._replaced, *self.running.values()):
            self._end(running, within)
        await asyncio.gather(*self._ending)

    def _place(self, config: SourceConfig, files: RoomsFiles, budget: Budget, app: App) -> _Place:
        running = self.running.get(config.name)
        if running and running.config.rooms_key == config.rooms_key:
            other = running.config.client_key != config.client_key
            client = self._make_client(config, running.poller, self._clock) if other else None
            return _Place(config, files, running, new=False, client=client)
        table = SourceTable({"vendor": config.vendor, "api": config.api, "source": config.name}, max_staleness=0.0)
        for _ in table.arrange(arrangement(config)):
            pass  # it has no rooms yet
        log = self._log.bind(source=config.name, api=config.api)
        poller = Poller(config, budget, app, self._make_client, table, self._telemetry, self._clock, log)
        if running:
            poller.take_over(running.poller)
        return _Place(config, files, Running(poller, Watchlist(table, poller), files), new=True)

    def _with_discovery(self, place: _Place, budgets: Mapping[str, Budget], app: App, sharing: int) -> _Place:
        config, settings, running = place.config, place.config.discovery, place.running
        if settings is None:
            return place
        log = self._log.bind(source=config.name, api=config.api)
        failed = partial(self._raised, "discovery", config.name)
        discovery = None if place.new else running.discovery
        if discovery is None:
            discovery = Discovery(config, settings, sharing, running.poller, self._jobs, self._clock, log, failed)
        lists, lister, client = settings.vendor_list, discovery.lister, None
        if lists is None or (config.codec.lists and config.codec.lists.answers_all):
            lister = None  # where polls answer for all rooms, they are the list
        elif lister is None:
            budget = budgets[lists.budget]
            lister = Lister(config, lists, budget, app, self._make_client, self._clock, log, discovery.read)
        elif running.config.client_key != config.client_key:
            client = self._make_client(config, lister, self._clock)
        http_sd = discovery.http_sds(config, settings, self._make_http_sd)
        return replace(
            place, discovery=discovery, http_sd=http_sd, lister=lister, lister_client=client, sharing=sharing
        )

    def _tune(self, place: _Place, change: Change) -> None:
        config, running = place.config, place.running
        budget, app = change.budgets[config.budget], change.apps[config.codec.app_key(config.source)]
        running.files = place.files
        if not place.new:
            running.poller.reconfigure(config, budget, app, place.client)
        self._tune_discovery(place, change, app)

    def _tune_discovery(self, place: _Place, change: Change, app: App) -> None:
        config, running, discovery = place.config, place.running, place.discovery
        if running.discovery is not discovery and running.discovery is not None:
            self._end_discovery(running.discovery)
            # Its rooms stay watched until the config's own rooms take their place.
            running.watchlist.adopt(running.poller.table.rooms_of(running.poller.table))
            running.poller.forget([room for room in running.discovery.roster if room not in running.poller.table])
        running.applied_rooms = None if running.discovery is not discovery else running.applied_rooms
        running.discovery = discovery
        if discovery is None or config.discovery is None:
            return
        lists = config.discovery.vendor_list
        if place.lister is not None and place.lister is discovery.lister and lists is not None:
            place.lister.reconfigure(config, lists, change.budgets[lists.budget], app, place.lister_client)
        if discovery.use(config, config.discovery, place.sharing, place.http_sd, place.lister):
            running.applied_rooms = None

    def _end_discovery(self, discovery: Discovery) -> None:
        discovery.stop()
        ending = asyncio.create_task(discovery.drain())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def _end(self, running: Running, within: float = _DRAIN) -> None:
        self._jobs.cancel(f"poll {running.config.name}")
        running.poller.stop()
        if running.discovery is not None:
            self._end_discovery(running.discovery)
        ending = asyncio.create_task(running.poller.drain(within))
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

    async def _update_loads(self) -> None:
        """Update what depends on the numbers of rooms: staleness, warnings about budgets, the states of files."""
        await self._update_budgets()
        for running in self.running.values():
            self._log_files(running)
        self._publish_files()

    async def _update_budgets(self) -> None:
        """Update staleness and warnings about budgets, one budget at a time. A swap meanwhile begins this anew."""
        sources, turn = self.running, Turn()
        overloaded: set[str] = set()
        for budget in budget_loads(
            (each.config, max(each.rooms, len(each.files.rooms)) if each.discovery else len(each.files.rooms))
            for each in sources.values()
        ):
            await turn.let_others_run()
            if self.running is not sources:
                self._fitted = ()
                return
            for source in budget.sources:
                poller = sources[source.config.name].poller
                poller.table.max_staleness = source.max_staleness
                poller.allot(source.share)
            if budget.fits:
                continue
            overloaded.add(budget.name)
            if budget.name not in self._overloaded:
                self._overloaded |= {budget.name}
                needed, allowed = f"{budget.needed:.2f}", f"{budget.allowed:g}"
                self._log.warning("rooms do not fit", budget=budget.name, needed=needed, allowed=allowed)
        self._overloaded = frozenset(overloaded)

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


async def _follow(running: Running) -> Turnover:
    """Go over to the rooms of config and files."""
    rooms, discovery = running.files.rooms, running.discovery
    if discovery is None:
        return await running.watchlist.change(rooms)
    turnover = Turnover()
    if running.watchlist.rooms:
        # They were watched before rooms found themselves. Those that are still listed stay, without a gap.
        turnover.include(await running.watchlist.change(rooms))
        turnover.include(await discovery.follow(running.config.rooms, rooms))
        running.watchlist.adopt(())
    else:
        turnover.include(await discovery.follow(running.config.rooms, rooms))
    return turnover
