"""
How a source's rooms find themselves, at work: providers are asked, callbacks heard, and everybody told what follows.

::

    jobs ──► Provider.refresh ──► Listing ─┐
    listener ──► Hint ─────────────────────┼──► Roster ──► Changes ──► poller: polled rooms, when
    poller ──► readings, refusals ─────────┘                      └──► table: published rooms

The roster decides, and is pure. Here are its clock, its jobs, its log and its figures. What it decides is carried out
at once, in the same step of the event loop: a room that a poll confirms is published before that poll's reading is
recorded, so its first value is there with the next scrape.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from exporter.blocking import Turn
from exporter.clock import Clock
from exporter.config import SourceConfig
from exporter.config.discovery import DiscoveryConfig, HttpSdConfig
from exporter.config.rooms import Defaults
from exporter.logs import Log
from exporter.metrics.discovery_stats import DiscoveryFigures, ProviderFigures
from exporter.metrics.durations import Durations
from exporter.metrics.room import Arrival
from exporter.model import Failure, Reading, Room
from exporter.polling.lister import Lister
from exporter.polling.poller import Poller
from exporter.polling.scheduler import Scheduler
from exporter.rooms import Turnover
from exporter.rooms.members import Life
from exporter.rooms.provider import Listing, Origin, Provider, Result
from exporter.rooms.roster import PREDECESSOR, Named, Roster, Terms
from exporter.vendors.callbacks import Hint
from exporter.vendors.codec import RoomIdRule

MakeHttpSd: TypeAlias = Callable[[HttpSdConfig, RoomIdRule, Defaults, Callable[[], float]], Provider]
HttpSds: TypeAlias = dict[str, tuple[HttpSdConfig, Defaults, Provider]]
"""By name, each with what it was made of."""

_HINT_SHARE: Final = 0.2
_JITTER: Final = 0.05
_DURATIONS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_LOGGED_EVERY: Final = 60.0
_TELLING: Final = 3
"""So many passes in a row that are not complete are worth a line of the log."""
_ASKED: Final = (Origin.HTTP_SD, Origin.VENDOR_LIST)


def terms(config: SourceConfig, sharing: int) -> Terms:
    """
    What API, source and budget allow the roster of a source.

    Args:
        sharing: How many sources with discovery share its budget: what callbacks may cost is a share of it.
    """
    hinted = _HINT_SHARE * config.rate_limit * config.codec.batch_size / max(1, sharing)
    return Terms(config.codec.room_ids, config.codec.tells_existence, config.interval, hinted, config.defaults)


@dataclass(slots=True)
class _Refreshes:
    """
    How one provider's refreshes went.

    Args:
        partial: How many refreshes in a row were not complete.
        failing: What the log was told of, until it is well again.
    """

    last_success: float | None = None
    last_complete: float | None = None
    partial: int = 0
    failing: str | None = None
    since: float = 0.0


class Discovery:
    """
    One source's discovery. It outlives reloads, as its poller does.

    Args:
        poller: Of the source; tells of its polls from now on.
        failed: Told of exceptions that only a bug explains.

    Attributes:
        incomplete: Why rooms may be missing here although they are there; ``None`` once every provider has answered,
            and polls have said of the candidates which of them are there.
    """

    def __init__(
        self,
        config: SourceConfig,
        settings: DiscoveryConfig,
        sharing: int,
        poller: Poller,
        jobs: Scheduler,
        clock: Clock,
        log: Log,
        failed: Callable[[Exception], None],
    ) -> None:
        self.roster = Roster(settings, terms(config, sharing), clock.monotonic())
        self.settings = settings
        self._source = config
        self._sharing = sharing
        self._poller = poller
        self._jobs = jobs
        self._clock = clock
        self._log = log
        self._failed = failed
        self._http_sd: HttpSds = {}
        self._lister: Lister | None = None
        self._refreshes: dict[str, _Refreshes] = {}
        # Of all endpoints together: what counts up must not go down when one of them is configured no longer.
        self._results: Counter[tuple[str, str]] = Counter()
        self._durations = {origin.value: Durations(*_DURATIONS) for origin in _ASKED}
        self._refreshing: set[int] = set()
        self._early: list[tuple[Mapping[str, Reading], Arrival]] = []
        self._changing = asyncio.Lock()
        self._turnover = Turnover()
        self._logged = float("-inf")
        self._lifetimes = Durations(60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0, 86_400.0)
        self._listed_every = 0.0
        self._retuned = False
        self._started = self._stopped = self._resting = False
        self._first_listed_at: float | None = None
        self.incomplete: str | None = "nobody has been asked for them yet"
        self._ending: set[asyncio.Task[None]] = set()

    # Reload

    def http_sds(self, config: SourceConfig, settings: DiscoveryConfig, make: MakeHttpSd) -> HttpSds:
        """Providers for these settings; those whose config is unchanged are the ones that there are. No side effect."""
        made: HttpSds = {}
        for each in settings.http_sd:
            known = self._http_sd.get(each.name)
            if known is not None and known[:2] == (each, config.defaults):
                made[each.name] = known
            else:
                provider = make(each, config.codec.room_ids, config.defaults, self._clock.monotonic)
                made[each.name] = each, config.defaults, provider
        return made

    @property
    def lister(self) -> Lister | None:
        """The lister that reads the vendor's list, if one is configured."""
        return self._lister

    def use(
        self,
        config: SourceConfig,
        settings: DiscoveryConfig,
        sharing: int,
        http_sd: HttpSds,
        lister: Lister | None,
    ) -> bool:
        """
        Go on with these settings and providers.

        Returns:
            Whether rooms may come and go for that, with the next ``follow``.
        """
        if (settings, config.defaults, config.interval, config.rate_limit, sharing) != (
            self.settings,
            self._source.defaults,
            self._source.interval,
            self._source.rate_limit,
            self._sharing,
        ):
            self._retuned = True
        self.settings, self._source, self._sharing = settings, config, sharing
        for name, (_, _, provider) in self._http_sd.items():
            if http_sd.get(name, (None, None, None))[2] is not provider:
                self._jobs.cancel(self._job(name))
                self._end(provider)
        changed = [name for name, (_, _, provider) in http_sd.items() if self._provider(name) is not provider]
        self._rename(http_sd)
        self._http_sd = http_sd
        if lister is not self._lister and self._lister is not None:
            self._jobs.cancel(self._job(Lister.name))
            self._end(self._lister)
        if lister is not None and (lister is not self._lister or lister.interval != self._listed_every):
            changed.append(Lister.name)
        self._lister = lister
        self._listed_every = lister.interval if lister else 0.0
        if self._resting and lister is not None:
            lister.rest()
        if self._started:
            self._schedule(changed)
        gone = self.roster.registers.keys() - self._named_by()
        return self._retuned or bool(gone)

    def _rename(self, http_sd: HttpSds) -> None:
        """Names are numbers: an endpoint that has another one now keeps its list, and its figures."""
        urls = {name: config.url for name, (config, _, _) in self._http_sd.items()}
        wanted = {name: config.url for name, (config, _, _) in http_sd.items()}
        moved = [name for name, url in urls.items() if wanted.get(name) != url]
        before: dict[str, str] = {}
        for name, url in wanted.items():
            old = next((each for each in moved if urls[each] == url), None)
            if urls.get(name) != url and old is not None:
                before[name] = old
                moved.remove(old)
        if not before:
            return
        self.roster.rename(before)
        figures, self._refreshes = self._refreshes, {}
        for name, each in figures.items():
            if name not in before and name not in before.values():
                self._refreshes[name] = each
        self._refreshes |= {name: figures[old] for name, old in before.items() if old in figures}

    def start(self) -> None:
        """Ask providers from now on, and hear of polls."""
        self._poller.outcomes = self
        self._poller.ask_for_all(wanted=self._polls_list)
        if not self._started:
            self._started = True
            self._schedule([*self._http_sd, *([Lister.name] if self._lister else [])])

    def rest(self, *, keep: bool) -> None:
        """
        Another replica finds this source's rooms from now on: ask nobody, and forget what was found.

        Args:
            keep: Keep the rooms that are published, since ``inherit`` and ``forget`` tell of those of the other one.
        """
        if self._resting:
            return
        self._resting = True
        for name in [*self._http_sd, Lister.name]:
            self._jobs.cancel(self._job(name))
        if self._lister is not None:
            self._lister.rest()
        self._early.clear()
        self.incomplete = "another replica of the cluster polls the source"
        if len(self.roster):
            forgetting = asyncio.create_task(self._hand_over(keep=keep))
            self._ending.add(forgetting)
            forgetting.add_done_callback(self._ending.discard)

    def resume(self) -> None:
        """After ``rest``: find rooms, as after a start."""
        if not self._resting:
            return
        self._resting = False
        self._refreshes.clear()
        self._first_listed_at, self.incomplete = None, "nobody has been asked for them yet"
        self.roster.begin(self._clock.monotonic())
        if self._lister is not None:
            self._lister.resume()
        if self._started:
            self._schedule([*self._http_sd, *([Lister.name] if self._lister else [])])

    def inherit(self, rooms: Mapping[str, Mapping[str, Room]]) -> None:
        """
        Another replica has found these rooms, and polls say that they are there. Some hundred at a time.

        Args:
            rooms: For each, the endpoints of the operator that name it, and with which labels and thresholds.
        """
        self.roster.inherited(rooms, self._clock.monotonic())
        self.incomplete = None if self._resting else self.incomplete
        self._apply(Turnover())

    def forget(self, room_ids: Iterable[str]) -> None:
        """Another replica watches these rooms no longer. Some hundred at a time."""
        self.roster.gone_elsewhere(room_ids)
        self._apply(Turnover())

    async def _hand_over(self, *, keep: bool) -> None:
        async with self._changing:
            turn = Turn()
            for _ in self.roster.hand_over(self._clock.monotonic(), keep=keep):
                self._apply(Turnover())
                await turn.let_others_run()
                if self._stopped or not self._resting:
                    return

    def stop(self) -> None:
        """Ask nobody any more."""
        self._stopped = True
        self._poller.outcomes = None
        self._poller.ask_for_all(wanted=False)
        self._poller.planner.speed_up(self.roster)
        for name in [*self._http_sd, Lister.name]:
            self._jobs.cancel(self._job(name))
        for _, _, provider in self._http_sd.values():
            self._end(provider)
        if self._lister is not None:
            self._end(self._lister)

    async def drain(self) -> None:
        """After ``stop``: let what was under way come to its end."""
        await asyncio.gather(*self._ending, return_exceptions=True)
        self._lister = None  # it refers to this

    async def follow(self, config: Iterable[Room], files: Iterable[Room]) -> Turnover:
        """Go over to the rooms of the config and of rooms files, and to the settings if they are new ones."""
        turnover = Turnover()
        async with self._changing:
            named = {room.id: room for room in config}
            listed = {room.id: room for room in files if room.id not in named}
            now = self._clock.monotonic()
            before = self.roster.registers.get(Origin.CONFIG.value)
            moved = {room_id: listed[room_id] for room_id in before.named if room_id in listed} if before else {}
            # What moves from the config to a file is named by the file before the config names it no longer.
            first = [(Origin.FILES, Result.PARTIAL, moved)] if moved else []
            for origin, result, rooms in (
                *first,
                (Origin.CONFIG, Result.COMPLETE, named),
                (Origin.FILES, Result.COMPLETE, listed),
            ):
                listing = Listing(result, now, rooms)
                await self._work(self.roster.listed(origin.value, origin, listing, now), turnover)
            if self._retuned:
                self._retuned = False
                anew = terms(self._source, self._sharing)
                await self._work(self.roster.reconfigure(self.settings, anew, now), turnover)
            for name in self.roster.registers.keys() - self._named_by():
                self._refreshes.pop(name, None)
                await self._work(self.roster.dropped_provider(name, now), turnover)
        return turnover

    def _named_by(self) -> set[str]:
        """Names of the providers that are configured."""
        names = {Origin.CONFIG.value, Origin.FILES.value, *self._http_sd}
        names |= {Lister.name} if self._lister or self._polls_list else set()
        return names | {PREDECESSOR} | ({Origin.CALLBACKS.value} if self.settings.callbacks else set())

    # While it runs

    async def tick(self) -> None:
        """Apply the time limits: probation, linger, tombstones, the age of lists. A job calls this every second."""
        now, turn = self._clock.monotonic(), Turn()
        if self._resting or self._changing.locked():
            return  # a long list is being taken over; this job is soon back
        async with self._changing:
            while self.roster.tick(now):
                self._apply(self._turnover)
                await turn.let_others_run()
            self._apply(self._turnover)
            for name in self.roster.outdated(now):
                self._log.warning("list is too old, its rooms go", list=name)
                await self._work(self.roster.outdate(name, now), self._turnover)
            if PREDECESSOR in self.roster.registers and self._all_listed():
                await self._work(self.roster.release_predecessor(now), self._turnover)
        if self.incomplete is not None:
            self.incomplete = self._why_incomplete(now)
        self._tell(now)

    def _all_listed(self) -> bool:
        """Whether everybody who is asked for rooms has told all of them, or cannot."""
        registers = [self.roster.registers.get(name) for name, _ in self._asked()]
        return all(
            each is not None and (each.last_complete is not None or each.results[Result.UNSUPPORTED] > 0)
            for each in registers
        )

    def _why_incomplete(self, now: float) -> str | None:
        for name, _ in self._asked():
            refreshes, register = self._refreshes.get(name), self.roster.registers.get(name)
            unsupported = register is not None and register.last_result is Result.UNSUPPORTED
            if not unsupported and (refreshes is None or refreshes.last_success is None):
                return f"{name} has not answered yet"
        self._first_listed_at = now if self._first_listed_at is None else self._first_listed_at
        candidates = self.roster.lives[Life.CANDIDATE]
        if candidates and now - self._first_listed_at < self.settings.probation:
            return f"{candidates} of them have not been polled yet"
        return None

    def hinted(self, hint: Hint) -> None:
        """Pass a callback's hint about a room to the roster."""
        self.roster.hinted(hint, self._clock.monotonic())
        self._apply(self._turnover)
        if self.roster.is_by_hint(hint.room_id):
            self._poller.table.note((hint.room_id,))  # if this replica dies, the callback must not be lost

    def polled(
        self, readings: Mapping[str, Reading], failures: Mapping[str, Failure], began: float, now: float
    ) -> None:
        """Pass the outcome of a poll to the roster, before the table records it. An exception here loses no reading."""
        try:
            self.roster.polled(readings, failures, began, now)
            self._apply(self._turnover)
        except Exception as error:  # noqa: BLE001 whatever it is, the reading counts
            self._failed(error)

    async def answered(
        self, readings: Mapping[str, Reading], failures: Mapping[str, Failure], began: float, now: float
    ) -> None:
        """
        What a call says that is poll and list in one: the same call that finds a room confirms it, or tells its end.
        """
        try:
            async with self._changing:
                if self._polls_list and not self._stopped and not self._resting:
                    rooms = {room: Room(room) for room, reading in readings.items() if reading.exists}
                    listing = Listing(Result.PARTIAL if failures else Result.COMPLETE, began, rooms)
                    self._figure(Lister.name, listing, now - began)
                    # As of the moment it was asked for, so that its readings are of rooms that are known already.
                    steps = self.roster.listed(Lister.name, Origin.VENDOR_LIST, listing, began)
                    await self._work(steps, self._turnover)
        except Exception as error:  # noqa: BLE001 whatever it is, the readings count
            self._failed(error)

    def unanswered(self, failure: Failure, began: float, now: float) -> None:
        """A call that is poll and list in one has failed. The poller tells the log."""
        if self._polls_list and not self._resting:
            listing = Listing(Result.FAILED, began, error=str(failure))
            self._figure(Lister.name, listing, now - began)
            for _ in self.roster.listed(Lister.name, Origin.VENDOR_LIST, listing, now):
                pass

    @property
    def _polls_list(self) -> bool:
        """Whether polls find rooms: the list is wanted, and the API's polls answer for all rooms."""
        lists = self._source.codec.lists
        return self.settings.vendor_list is not None and lists is not None and lists.answers_all

    def read(self, readings: Mapping[str, Reading], arrival: Arrival) -> None:
        """Record the counts of one page of the vendor's list. Counts of new rooms wait until the pass has ended."""
        self._poller.read_elsewhere(readings, arrival)
        new = {room: reading for room, reading in readings.items() if room not in self.roster}
        if new and not self._resting:
            self._early.append((new, arrival))

    async def _refresh(self, name: str) -> None:
        provider = self._provider(name)
        if provider is None or self._resting or id(provider) in self._refreshing:
            return
        self._refreshing.add(id(provider))
        try:
            began = self._clock.monotonic()
            try:
                listing = await provider.refresh()
            except Exception as error:  # noqa: BLE001 whatever it is, the last list counts
                self._failed(error)
                listing = Listing(Result.FAILED, began, error="an error of the exporter itself; it is in the log")
            took = self._clock.monotonic() - began
            async with self._changing:
                wanted = self._provider(name) is provider and not self._stopped and not self._resting
                if wanted:
                    self._note(provider, listing, took)
                    now = self._clock.monotonic()
                    await self._work(self.roster.listed(name, provider.origin, listing, now), self._turnover)
            if wanted:
                if name == Lister.name:
                    await self._read_early()
                self._tell(self._clock.monotonic())
        finally:
            self._refreshing.discard(id(provider))

    async def _read_early(self) -> None:
        early, self._early, turn = self._early, [], Turn()
        for readings, arrival in early:
            self._poller.read_elsewhere(readings, arrival)
            await turn.let_others_run()

    def _note(self, provider: Provider, listing: Listing, seconds: float) -> None:
        """Figures and log: the first failure, and the recovery."""
        refreshes = self._figure(provider.name, listing, seconds)
        if listing.result is Result.UNSUPPORTED:
            return  # the lister tells it
        failing = listing.error if listing.result is not Result.COMPLETE else None
        refreshes.partial = refreshes.partial + 1 if failing is not None else 0
        if listing.result is Result.PARTIAL and refreshes.partial < _TELLING and refreshes.failing is None:
            return  # a list that moves while it is read is so now and then
        if failing is not None and refreshes.failing is None:
            refreshes.since = self._clock.monotonic()
            kept = len(register.named) if (register := self.roster.registers.get(provider.name)) else 0
            self._log.warning("list not complete, the last one counts", list=provider.name, error=failing, rooms=kept)
        elif failing is None and refreshes.failing is not None:
            duration = self._clock.monotonic() - refreshes.since
            self._log.info("list complete again", list=provider.name, seconds=round(duration), rooms=len(listing.rooms))
        refreshes.failing = failing

    def _figure(self, name: str, listing: Listing, seconds: float) -> _Refreshes:
        refreshes = self._refreshes.setdefault(name, _Refreshes())
        origin = Origin.VENDOR_LIST.value if name == Lister.name else Origin.HTTP_SD.value
        self._results[origin, listing.result.value] += 1
        self._durations[origin].observe(seconds)
        unix = self._clock.unix()
        if listing.result in (Result.COMPLETE, Result.PARTIAL):
            refreshes.last_success = unix
        if listing.result is Result.COMPLETE:
            refreshes.last_complete = unix
        return refreshes

    async def _work(self, steps: Iterator[None], turnover: Turnover) -> None:
        turn = Turn()
        for _ in steps:
            self._apply(turnover)
            await turn.let_others_run()
            if self._stopped:
                return
        self._apply(turnover)

    def _apply(self, turnover: Turnover) -> None:
        """Carry out what the roster decided."""
        changes = self.roster.drain()
        if not changes:
            return
        table, poller = self._poller.table, self._poller
        if changes.unpublish:
            turnover.count_removed([room for room in changes.unpublish if room in table])
            table.forget(changes.unpublish)
        if changes.unpoll:
            poller.forget([*changes.unpoll])
            table.note(changes.unpoll)
        if changes.poll:
            poller.watch([*changes.poll.values()])
        if changes.publish:
            turnover.count_added([room for room in changes.publish if room not in table])
            table.watch(changes.publish.values())
        if changes.slower:
            poller.planner.slow_down(changes.slower, self.settings.idle_interval)
        if changes.faster:
            poller.planner.speed_up(changes.faster)
        if changes.now:
            poller.poll_now([*changes.now])
        for seconds in changes.lifetimes:
            self._lifetimes.observe(seconds)

    def _tell(self, now: float) -> None:
        """Tell the log how many rooms came and went, once a minute at most."""
        if self._turnover and now - self._logged >= _LOGGED_EVERY:
            self._logged = now
            turnover, self._turnover = self._turnover, Turnover()
            self._log.info("rooms found or gone", **turnover.values(), rooms=len(self._poller.table))

    # Providers and jobs

    def _provider(self, name: str) -> Provider | None:
        if name == Lister.name:
            return self._lister
        known = self._http_sd.get(name)
        return known[2] if known else None

    def _job(self, name: str) -> str:
        return f"{name} of {self._source.name}"

    def _schedule(self, names: Iterable[str]) -> None:
        for name in () if self._resting else names:
            provider = self._provider(name)
            if provider is not None:
                interval = provider.interval
                self._jobs.every(interval, self._job(name), self._body(name), jitter=_JITTER * interval)

    def _body(self, name: str) -> Callable[[], Coroutine[Any, Any, None]]:
        async def refresh() -> None:
            await self._refresh(name)

        return refresh

    def _end(self, provider: Provider) -> None:
        if isinstance(provider, Lister):
            provider.stop()
        ending = asyncio.create_task(provider.aclose())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    # Figures

    def named(self, room_id: str) -> list[Named]:
        """Who names a room, and since when: Unix seconds here."""
        ahead = self._clock.unix() - self._clock.monotonic()
        return [replace(each, since=each.since + ahead) for each in self.roster.named(room_id)]

    def figures(self) -> DiscoveryFigures:
        """The numbers as they stand."""
        rooms = {origin.value: 0 for origin in self._origins()}
        asked = [origin.value for origin in self._origins() if origin in _ASKED]
        success: dict[str, float] = {}
        intervals: dict[str, float] = {}
        unknown: set[str] = set()
        for name, origin in self._asked():
            if (provider := self._provider(name)) is not None:
                intervals[origin] = max(provider.interval, intervals.get(origin, 0.0))
            known = self._refreshes.get(name) or _Refreshes()
            if known.last_success is None:
                unknown.add(origin)
            else:
                success[origin] = min(known.last_success, success.get(origin, known.last_success))
        for register in self.roster.registers.values():
            if register.origin.value in rooms:
                rooms[register.origin.value] += len(register.named)
        lists = self._refreshes.get(Lister.name)
        stats = self._poller.stats
        ahead = self._clock.unix() - self._clock.monotonic()
        return DiscoveryFigures(
            labels=stats.labels,
            rooms=rooms,
            lives={life.value: count for life, count in self.roster.lives.items()},
            last_success={origin: unix for origin, unix in success.items() if origin not in unknown},
            intervals=intervals,
            last_complete=lists.last_complete if lists else None,
            refreshes={
                (origin, result.value): self._results[origin, result.value] for origin in asked for result in Result
            },
            durations={origin: self._durations[origin].figures() for origin in asked},
            added={each.value: self.roster.added[each] for each in self._origins()},
            dropped={reason.value: count for reason, count in self.roster.dropped.items()},
            rejected={reason.value: count for reason, count in self.roster.rejected.items()},
            rejected_at={reason.value: at + ahead for reason, at in self.roster.rejected_at.items()},
            limit=self.settings.max_rooms,
            lifetimes=self._lifetimes.figures(),
            providers=tuple(self._providers()),
            polled=stats.polled(),
        )

    def _providers(self) -> Iterator[ProviderFigures]:
        asked = dict(self._asked())
        for origin in self._origins():
            for name in [name for name, of in asked.items() if of == origin] if origin in _ASKED else [origin.value]:
                register, provider = self.roster.registers.get(name), self._provider(name)
                refreshes = self._refreshes.get(name)
                yield ProviderFigures(
                    name=name,
                    origin=origin.value,
                    rooms=len(register.named) if register else 0,
                    interval=provider.interval if provider else None,
                    last_success=refreshes.last_success if refreshes else None,
                    result=register.last_result if register and provider else None,
                    error=register.error if register else None,
                    warning=register.warning if register else None,
                    counts=bool(name == Lister.name and self.settings.vendor_list and self.settings.vendor_list.counts),
                )

    def _asked(self) -> list[tuple[str, str]]:
        asked = [(name, Origin.HTTP_SD.value) for name in self._http_sd]
        is_listed = self._lister is not None or self._polls_list
        return [*asked, (Lister.name, Origin.VENDOR_LIST.value)] if is_listed else asked

    def _origins(self) -> list[Origin]:
        configured = {
            Origin.CONFIG: bool(self._source.rooms),
            Origin.FILES: bool(self._source.rooms_files),
            Origin.HTTP_SD: bool(self.settings.http_sd),
            Origin.VENDOR_LIST: self.settings.vendor_list is not None,
            Origin.CALLBACKS: self.settings.callbacks is not None,
        }
        return [origin for origin, there in configured.items() if there]
