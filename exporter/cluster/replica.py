"""
This process as a replica: it makes the exchanges, and tells its sources what they may do.

::

    exchanges, every tenth of a lease ──► Observer ──► gain, renew, lose ──► Budgets
    what was written, 4 times a second ◄── Sharing ◄── drain ─────────────── Readings
    news of others ───► an exchange at once; readings; callbacks

All of it runs in plain tasks of the event loop and not in the scheduler, whose clock is the wall clock: a step of that
must not keep a lease from being renewed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Final

import msgspec

from exporter.clock import Clock
from exporter.cluster.assignment import units
from exporter.cluster.deadman import Deadman
from exporter.cluster.exchange import Engine, EngineError, How, Message, Refusal
from exporter.cluster.observation import EARLY, EXCHANGES_IN_LEASE, Changes, Gain, Observer
from exporter.cluster.protocols import SILENCE, Budgets, Inheritance, Readings
from exporter.cluster.readings import UNREADABLE, ServerTime
from exporter.cluster.sharing import WRITTEN_EVERY, Rereading, Sharing
from exporter.cluster.status import BudgetStatus, ClusterStatus, ReplicaStatus
from exporter.config import Config, ConfigError, SourceConfig
from exporter.config.cluster import ClusterConfig
from exporter.config.cluster_schema import unchanged_but_serve
from exporter.logs import Log
from exporter.metrics.cluster_stats import ClusterFigures, ClusterStats, Exchanged, Gained, Lost

_LEFT_WITHIN: Final = 0.6
"""Seconds for the last words of a replica that leaves, once its calls have ended."""

_AGAIN: Final = 3
_SOON: Final = 0.005
_decode_state = msgspec.json.Decoder(dict[str, object]).decode
_GAINED: Final = {How.RELEASED: Gained.RELEASED, How.FIRST: Gained.FIRST}


def config_hash(sources: Iterable[SourceConfig]) -> str:
    """A hash of what replicas must agree on: which rooms are polled how, on which budgets. It tells no secret."""
    agreed = [
        (
            source.name,
            source.api,
            source.rooms_key,
            source.budget,
            source.rate_limit,
            source.interval,
            source.max_staleness,
            sorted((room.id, room.labels, str(room.thresholds)) for room in source.rooms),
            repr(source.defaults),
            source.discovery is None,
        )
        for source in sources
    ]
    return sha256(msgspec.json.encode(sorted(agreed))).hexdigest()[:12]


class Replica:
    """
    One replica of a cluster.

    Args:
        config: With a ``cluster``.
        name: The replica's name.
        raised: Called with an exception that only a bug explains.
        address: Where it listens, for people.
        deadman: Ends this process if it stands still past its lease.
    """

    def __init__(
        self,
        config: Config,
        name: str,
        engine: Engine,
        budgets: Budgets,
        readings: Readings,
        log: Log,
        clock: Clock,
        raised: Callable[[str, Exception], None],
        address: str = "",
        deadman: Deadman | None = None,
    ) -> None:
        if config.cluster is None:
            raise ValueError("a config without a cluster")
        self.stats = ClusterStats()
        self.answered = False
        self._cluster: ClusterConfig = config.cluster
        self._config = config
        self._budgets = budgets
        self._readings = readings
        self._log = log
        self._clock = clock
        self._raised = raised
        self._engine = engine
        self._engine_name = "redis"
        self._deadman = deadman or Deadman()
        self._observer = Observer(name, os.urandom(8).hex(), self._cluster.lease, address.replace("|", ""))
        self._time = ServerTime()
        self._sharing = Sharing(self._engine, readings, self._observer, self._time, clock)
        self._rereading = Rereading(clock)
        self._granted: set[str] = set()
        self._turn = 0
        self._wake = asyncio.Event()
        self._error: EngineError | None = None
        self._failing_since: float | None = None
        self._refusals: set[str] = set()
        self._ending: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Task[None] | None = None
        self._exchanging = asyncio.Lock()

    # The process

    async def start(self) -> None:
        """Take part from now on. This does not wait for the engine."""
        self._use(self._config)
        self._spawn(self._run())
        self._spawn(self._share())
        self._listening = self._spawn(self._listen())

    def check(self, config: Config) -> None:
        """
        Raises:
            ConfigError: This config needs a restart.
        """
        changed = unchanged_but_serve(self._cluster, config.cluster)
        if changed:
            raise ConfigError([f"{config.path}: {words}" for words in changed])

    def use(self, config: Config) -> None:
        """Follow a reloaded config, once the sources do."""
        if config.cluster is None:
            return
        serve = self._cluster.serve
        self._use(config)
        if serve != config.cluster.serve and self._listening is not None:
            self._listening.cancel()
            self._listening = self._spawn(self._listen())
        self._wake.set()

    async def stop(self) -> None:
        """Let go of every budget and leave, within some 1.2 s, and end every task."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        held = [*self._observer.held]
        self._observer.let_go(held)
        states = await self._budgets.let_go(held)
        with suppress(EngineError, TimeoutError):
            async with asyncio.timeout(_LEFT_WITHIN):
                with suppress(EngineError):
                    await self._sharing.write()
                self._release(held, states)
                await self._exchange(leave=True)
        if self._ending is not None:
            self._ending.cancel()
        self._deadman.clear()
        await self._engine.aclose()

    # What others ask

    def status(self) -> ClusterStatus:
        """What this replica knows of its cluster."""
        now = self._clock.monotonic()
        owners, members = self._observer.owners(), self._observer.members()
        held: dict[str, int] = {}
        for owner in owners.values():
            held[owner.replica] = held.get(owner.replica, 0) + 1
        until = self._clock.unix() + self._observer.until - now
        return ClusterStatus(
            name=self._cluster.name,
            replica=self._observer.replica,
            engine=self._engine_name,
            serve=self._cluster.serve,
            lease=self._cluster.lease,
            connected=self._connected,
            error=str(self._error) if self._error else None,
            refused=self._refused_why(),
            replicas={
                name: ReplicaStatus(name, member.address, member.config, now - since, held.get(name, 0))
                for name, (member, since) in sorted(members.items())
            },
            budgets={
                budget: BudgetStatus(
                    owners[budget].replica or None if budget in owners else None,
                    self._observer.wished(budget),
                    until if budget in self._observer.held else None,
                )
                for budget in sorted(self._observer.budgets)
            },
        )

    def figures(self) -> ClusterFigures:
        """The same in numbers, for the metrics."""
        now = self._clock.monotonic()
        self.stats.fenced_calls = self._budgets.fenced_calls()
        holds = bool(self._observer.held)
        return self.stats.figures(
            replica=self._observer.replica,
            engine=self._engine_name.split()[0],
            config=self._observer.config,
            connected=self._connected,
            replicas=len(self._observer.alive(now)) if self._connected else None,
            lease_valid_until=self._clock.unix() + self._observer.until - now if holds else None,
        )

    # Exchanges

    async def _run(self) -> None:
        every = self._cluster.lease / EXCHANGES_IN_LEASE
        while True:
            began = self._clock.monotonic()
            self._wake.clear()
            try:
                for _ in range(_AGAIN):
                    if not await self._exchange():
                        break
            except Exception as error:  # noqa: BLE001 whatever it is, leases must be renewed
                self._raised("cluster", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, every - (self._clock.monotonic() - began))):
                    await self._wake.wait()

    async def _exchange(self, *, leave: bool = False) -> bool:
        """
        Make one exchange.

        Returns:
            Whether another one should follow at once.
        """
        async with self._exchanging:
            self._expire()
            sent = self._clock.monotonic()
            request = self._observer.request(sent, self._states(), leave=leave)
            try:
                reply = await self._engine.exchange(request)
            except EngineError as error:
                self._observer.failed()
                self._failed(error, self._clock.monotonic() - sent)
                return False
            now = self._clock.monotonic()
            self.stats.exchanged(Exchanged.ANSWERED, now - sent)
            self._expire()
            lost_data = reply.refusal is Refusal.ERA and self._observer.era != ""
            had_rival, unreadable = self._observer.has_rival, self._observer.unreadable
            self._time.note(reply.time, sent, now)
            changes = self._observer.replied(request, sent, now, reply)
            self._succeeded(now)
            self._apply(changes)
            if self._observer.has_rival and not had_rival:
                self._log.error("no budget is taken", reason=self._refused_why())
            if self._observer.unreadable and self._observer.unreadable != unreadable:
                self._log.error("budgets cannot be taken", reason=self._unreadable())
            if lost_data:
                self._log.warning("the cluster's engine has other data than before")
                self._spawn(self._restore())
            if not leave:
                self._hand_over(self._observer.to_hand_over(now))
            return changes.again

    def _apply(self, changes: Changes) -> None:
        for budget in changes.lost:
            self._budgets.lose(budget)
        if changes.lost:
            self.stats.lost[Lost.TAKEN] += len(changes.lost)
            self._granted.difference_update(changes.lost)
            self._log.warning("budgets lost", budgets=_named(changes.lost))
        if changes.renewed:
            until = self._observer.until
            held = [budget for budget in self._granted if self._observer.grants(budget)]
            self._budgets.renew(dict.fromkeys(held, until))
            self._arm(until)
        elif not self._observer.held:
            self._deadman.clear()
        if changes.gained:
            self._log.info("budgets gained", budgets=_named(changes.gained))
            for gain in changes.gained.values():
                self.stats.gained[_GAINED.get(gain.how, Gained.EXPIRED)] += 1
            self._spawn(self._take(changes.gained, self._clock.monotonic()))

    async def _take(self, gained: Mapping[str, Gain], at: float) -> None:
        """Take over readings, then the right to call."""
        for budget, gain in gained.items():
            if gain.how is not How.BACK:
                try:
                    await self._sharing.inherit(budget)
                except EngineError as error:
                    self._not_shared(error)  # its rooms are read anew
                except Exception as error:  # noqa: BLE001 whatever it is, somebody has to poll the budget
                    self._raised("cluster", error)
            now = self._clock.monotonic()
            if self._observer.grants(budget) and now < self._observer.until:
                self._granted.add(budget)
                self._budgets.gain(budget, self._observer.until, _inheritance(gain, now - at))

    def _arm(self, until: float) -> None:
        """The lease ends then: by itself shortly before, or by the kernel shortly after."""
        seconds = until - self._clock.monotonic()
        self._deadman.arm(seconds)
        if self._ending is not None:
            self._ending.cancel()
        self._ending = asyncio.get_running_loop().call_later(max(0.0, seconds - EARLY), self._end)

    def _end(self) -> None:
        self._expire()
        if self._observer.held:  # uvloop's timers are up to a millisecond early
            self._ending = asyncio.get_running_loop().call_later(_SOON, self._end)

    def _expire(self) -> None:
        expired = self._observer.expire(self._clock.monotonic())
        if expired:
            self._deadman.clear()
            self.stats.lost[Lost.EXPIRED] += len(expired)
            self._log.warning("lease ended: no calls until the cluster's engine answers", budgets=_named(expired))

    def _states(self) -> dict[str, str]:
        """Of a tenth of the budgets, each time of others, in case this process dies."""
        held = sorted(budget for budget in self._granted if self._observer.grants(budget))
        self._turn = (self._turn + 1) % EXCHANGES_IN_LEASE
        return {budget: _json(self._budgets.state(budget)) for budget in held[self._turn :: EXCHANGES_IN_LEASE]}

    def _hand_over(self, budgets: Sequence[str]) -> None:
        if budgets:
            self._spawn(self._let_go(budgets))

    async def _let_go(self, budgets: Sequence[str]) -> None:
        states = await self._budgets.let_go(budgets)
        with suppress(EngineError):
            await self._sharing.write()
        self._release(budgets, states)
        self._wake.set()

    def _release(self, budgets: Sequence[str], states: Mapping[str, Mapping[str, object]]) -> None:
        self._granted.difference_update(budgets)
        self.stats.lost[Lost.RELEASED] += len(budgets)
        self._observer.released({budget: _json(states.get(budget)) for budget in budgets})
        if budgets:
            self._log.info("budgets let go", budgets=_named(budgets))

    async def _restore(self) -> None:
        """Write all readings again, after the records."""
        await asyncio.sleep(self._cluster.lease / EXCHANGES_IN_LEASE)
        await self._sharing.write_everything()

    # Readings

    async def _share(self) -> None:
        while True:
            await asyncio.sleep(WRITTEN_EVERY)
            try:
                await self._sharing.write()
                if self._cluster.serve == "all" and self._connected and self._rereading.due():
                    self._spawn(self._follow_everything())
            except EngineError as error:
                self._not_shared(error)
            except Exception as error:  # noqa: BLE001 whatever it is, later readings must be written
                self._raised("cluster", error)

    async def _follow_everything(self) -> None:
        try:
            await self._sharing.follow_everything()
        except EngineError as error:
            self._not_shared(error)

    async def _listen(self) -> None:
        """Follow what others publish. Without it, everything works a little later."""
        every_room = self._cluster.serve == "all"
        while True:
            try:
                async for message in self._engine.listen(self._observer.replica, rooms=every_room):
                    await self._heard(message)
            except EngineError as error:
                self._not_shared(error)
            except Exception as error:  # noqa: BLE001 whatever it is, later messages must be heard
                self._raised("cluster", error)
            await asyncio.sleep(self._cluster.lease / EXCHANGES_IN_LEASE)

    async def _heard(self, message: Message) -> None:
        if message.channel == "news" and message.data != self._observer.replica.encode():
            self._wake.set()
        elif message.channel == "rooms":
            await self._sharing.heard(message.data)
        elif message.channel == "hints":
            self._sharing.hinted(message.data)
        elif message.channel == "":
            self._rereading.soon()

    # The engine

    @property
    def _connected(self) -> bool:
        return self.answered and self._error is None

    def _failed(self, error: EngineError, seconds: float) -> None:
        self.stats.exchanged(error.result, seconds)
        if self._failing_since is None:
            self._failing_since = self._clock.monotonic()
            self._log.warning("the cluster's engine does not answer", error=str(error))
        self._error = error

    def _not_shared(self, error: EngineError) -> None:
        """Exchanges tell if the engine is away. That it refuses something besides them is told once."""
        words = str(error)
        if self._connected and error.result is Exchanged.REFUSED and words not in self._refusals:
            self._refusals.add(words)
            self._log.warning("the cluster's engine refuses to share readings", error=words)

    def _succeeded(self, now: float) -> None:
        if not self.answered:
            self.answered = True
            self._spawn(self._ask_name())
        if self._failing_since is not None:
            self._log.info("the cluster's engine answers again", after=f"{now - self._failing_since:.1f}s")
            self._rereading.soon()
        self._error = self._failing_since = None

    async def _ask_name(self) -> None:
        with suppress(EngineError):
            self._engine_name = await self._engine.about()
        self._log.info("joined the cluster", replica=self._observer.replica, engine=self._engine_name)

    def _refused_why(self) -> str | None:
        name = self._observer.replica
        if self._observer.has_rival:
            return f"another process is at work under this replica's name, {name}"
        if self._observer.refused:
            return f"an earlier process may still be at work under this replica's name, {name}"
        return self._unreadable() if self._observer.unreadable else None

    def _unreadable(self) -> str:
        return (
            "another version of the exporter, or another program, has written who holds"
            f" {_named(self._observer.unreadable)}"
        )

    def _use(self, config: Config) -> None:
        if config.cluster is not None:
            self._cluster = config.cluster
        every_room = self._cluster.serve == "all"
        self._observer.use(units(config.sources), config_hash(config.sources))
        self._observer.every_room = every_room
        self._readings.serve(every_room=every_room)
        self._sharing.use(self._observer.budgets)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._raised("cluster", error)


def _inheritance(gain: Gain, since: float) -> Inheritance:
    given = gain.inheritance
    try:
        state = _decode_state(gain.state) if gain.state else None
    except UNREADABLE:
        state = None  # of another version
    age = given.age + since
    return Inheritance(state, age, given.silent or age >= SILENCE)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _named(budgets: Iterable[str]) -> str:
    names = sorted(budgets)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
