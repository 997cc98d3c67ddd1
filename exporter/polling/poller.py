"""
Polls one source: plan → slot → call → record, and the reaction to a failed call.

A poller bids for its budget's slots for as long as it runs. When the budget grants a slot, the poller takes the rooms
that are due, signs a request for them and writes it to an open connection, all in one step without a wait. If there is
no connection, it opens one, and bids again when that is open.

The end of a call has two consequences. For the source: ``health`` and ``pace`` decide when the next call may leave. For
its rooms: readings go to the table, and every room gets a new due time, however the call ended. ``reaction`` has the
table of reactions to a failure.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

import msgspec

from exporter.blocking import Turn, in_thread
from exporter.clock import Clock
from exporter.config import SourceConfig
from exporter.logs import Log
from exporter.metrics.room import Arrival
from exporter.metrics.source_stats import FailureNote, SourceStats
from exporter.metrics.table import SourceTable
from exporter.metrics.telemetry import Telemetry
from exporter.model import Failure, FailureKind, Reading, Reply, Request, Room, in_parts
from exporter.polling.budget import Budget
from exporter.polling.client import Client, Exchange, MakeClient, Response
from exporter.polling.health import App, Health
from exporter.polling.importance import Importance
from exporter.polling.journal import Journal
from exporter.polling.pace import Pace, Sent
from exporter.polling.planner import LANES, Lane, Planner
from exporter.polling.reaction import Rooms, reaction
from exporter.polling.refusals import Refusals
from exporter.polling.signing import Signing
from exporter.states import SourceState
from exporter.vendors.lists import ANY_ROOM
from exporter.vendors.source import Source

_FIRST_BACKOFF: Final = 0.5
_LARGE_REPLY: Final = 256 * 1024
_NEVER: Final = tuple(math.inf for _ in LANES)
_NEEDS_REPAIR: Final = frozenset({SourceState.UNAUTHORIZED, SourceState.MISCONFIGURED})
_BUG: Final = Failure(FailureKind.TRANSIENT, "bug", "an error of the exporter itself; its traceback is in the log")
_ALL_REFUSED: Final = Failure(
    FailureKind.MISCONFIGURED,
    "all_refused",
    "the vendor refused every room asked for: check the app, the region and the room ids",
)

_REFUSED: Final = Failure(FailureKind.REFUSED, "refused", "the vendor refuses to speak of this room")


class Call(msgspec.Struct):
    """
    One call in flight.

    Args:
        began: Monotonic time of its slot, or of the attempt to connect.
        phase: Monotonic time from which the next due time of its rooms counts.
        trial: Whether the source was not ok, so that this call finds out whether it is again.
        written: The pace that counts the call, and its entry there; ``None`` if it was not written.
        request: ``None`` if it was not written.
        source: The vendor's model, for its proxy's secrets.
    """

    rooms: tuple[str, ...]
    began: float
    phase: float
    trial: bool
    source: Source
    written: tuple[Pace, Sent] | None = None
    request: Request | None = None

    def redacted(self, failure: Failure) -> Failure:
        """The failure without secrets: a vendor's code may repeat what we sent, so redact it before it is used."""
        return self.request.redact_failure(failure, self.source.proxy_secrets) if self.request else failure


class Inherited(msgspec.Struct, frozen=True, gc=False):
    """
    Readings of one reply to another process.

    Args:
        max_age: Seconds for which they may be published; ``None``: ``max_staleness``.
        cadence: What is known of the importance of some of the rooms (``Importance.knowledge``).
    """

    readings: Mapping[str, Reading]
    arrival: Arrival
    max_age: float | None = None
    cadence: Mapping[str, tuple[float, float, int]] = {}


class Outcomes(Protocol):
    """A listener that is told the outcome of each poll before the table publishes it."""

    def polled(
        self, readings: Mapping[str, Reading], failures: Mapping[str, Failure], began: float, now: float
    ) -> None:
        """
        What one call said of its rooms.

        Args:
            failures: Rooms that gave no reading.
            began: Monotonic seconds at which the call was sent.
        """

    async def answered(
        self, readings: Mapping[str, Reading], failures: Mapping[str, Failure], began: float, now: float
    ) -> None:
        """
        Which rooms there are by a call that answers for all of them: what it does not say exists does not.

        ``polled`` follows, some rooms at a time.
        """

    def unanswered(self, failure: Failure, began: float, now: float) -> None:
        """A call that answers for all rooms has failed."""


class Poller:
    """
    Polls one source.

    Args:
        budget: Shared with the other sources that draw on the same limit.
        app: Shared with the other sources that have the same credentials.
        make_client: Makes this source's client; the poller closes it.

    Attributes:
        outcomes: Is told the outcomes of calls, if it is set.
        share: See ``allot``.
    """

    def __init__(
        self,
        config: SourceConfig,
        budget: Budget,
        app: App,
        make_client: MakeClient,
        table: SourceTable,
        telemetry: Telemetry,
        clock: Clock,
        log: Log,
    ) -> None:
        self.config = config
        self.budget = budget
        self.table = table
        self.planner = Planner(config.codec.batch_size, config.interval, clock.monotonic, _cadence(config))
        self.share = 0.0
        self.health = Health(config.interval, clock.monotonic())
        self.first_call_ended = False
        self.outcomes: Outcomes | None = None
        self._app = app
        self._telemetry = telemetry
        self._make_client = make_client
        self._clock = clock
        self._journal = Journal(log, config.interval)
        self._signing = Signing(clock, log)
        self.stats = SourceStats(
            config.vendor, config.api, config.name, budget.name, config.interval, table, self._signing.skew
        )
        self.stats.polled = partial(_held, budget)
        self.stats.pause = self.planner.pause
        self._answers_all = config.codec.lists is not None and config.codec.lists.answers_all
        self.stats.own_intervals = self.planner.cadence
        self._refusals = Refusals()
        self._attempts: dict[str, int] = {}
        self._awaits_all = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = self._resting = False
        self._client = make_client(config, self, clock)

    @property
    def running(self) -> bool:
        return self._running

    def take_over(self, predecessor: Poller) -> None:
        """Replace a source of this name that read other rooms: log the end of its incidents, too."""
        self._journal.take_over(predecessor._journal)

    def start(self) -> None:
        """Begin to poll."""
        self._app.join(self.health)
        if not self._resting:
            self._client.open()
        self.budget.bid(self)
        self._running = True

    def stop(self) -> None:
        """Make no call and record no reply from now on, also no reply to a call in flight."""
        self._running = False
        self.budget.withdraw(self)
        self._app.leave(self.health)
        self._client.retire()

    @property
    def calls_under_way(self) -> Collection[asyncio.Task[None]]:
        """What has not ended yet."""
        return self._tasks

    def rest(self) -> None:
        """Another process polls this source: open no connection. Calls in flight still count."""
        self._resting = True
        self._client.retire()

    def resume(self) -> None:
        """After ``rest``: connect. Calls leave as soon as the budget grants slots."""
        if self._resting:
            self._resting = False
            self.health.resume(self._clock.monotonic())
            self._client.reopen()

    async def drain(self, within: float) -> None:
        """After ``stop``: wait this many seconds for calls in flight, cancel the rest, and close the connections."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    def reconfigure(self, config: SourceConfig, budget: Budget, app: App, client: Client | None) -> None:
        """
        Go on with a new config that has the same ``rooms_key``: readings, due times and state stay.

        Args:
            client: The client from now on; ``None`` keeps the present one and its connections.
        """
        now = self._clock.monotonic()
        self._use(config, client)
        self.health.interval = self.stats.interval = self._journal.interval = config.interval
        self.planner.change_interval(config.interval, now)
        if self.planner.cadence is not None and config.longest is not None:
            self.planner.cadence.limit(config.interval, config.longest)
        elif (config.longest is None) != (self.planner.cadence is None):
            self.planner.change_cadence(_cadence(config), now)
            self.stats.own_intervals = self.planner.cadence
        self._app.leave(self.health)
        self._app = app
        app.join(self.health)
        self.budget.withdraw(self)
        self.budget = budget
        self.stats.budget = budget.name
        self.stats.polled = partial(_held, budget)
        budget.bid(self)

    def allot(self, share: float) -> None:
        """So many calls per second of the budget's limit are meant for this source; only a cadence asks."""
        self.share = share
        self._balance()

    def watch(self, rooms: Sequence[Room]) -> None:
        """Add rooms. New ones are due at once."""
        self.planner.watch(rooms)
        self._balance()
        self.budget.arm(self)

    def forget(self, room_ids: Sequence[str]) -> None:
        """Remove rooms."""
        self.planner.forget(room_ids)
        self._refusals.forget(room_ids)
        for room_id in room_ids:
            self._attempts.pop(room_id, None)

    def ask_for_all(self, *, wanted: bool) -> None:
        """Whether a call leaves every interval though no room is known yet, where a call answers for all of them."""
        if wanted and self._answers_all:
            self.watch((Room(ANY_ROOM),))
        else:
            self.planner.forget((ANY_ROOM,))

    def poll_now(self, room_ids: Sequence[str]) -> None:
        """Ask these rooms next."""
        self.planner.bring_forward(room_ids, self._clock.monotonic())
        self.budget.arm()

    def read_elsewhere(self, readings: Mapping[str, Reading], arrival: Arrival) -> None:
        """Take over what a list said of rooms, as if a poll had."""
        if not self._running:
            return
        if self.outcomes is not None:
            self.outcomes.polled(readings, {}, arrival.monotonic, arrival.monotonic)
        self._publish(readings, arrival)
        self.stats.succeeded(self._clock.monotonic(), self._clock.unix())
        self.planner.read_elsewhere(readings, arrival.monotonic)

    def inherit(self, replies: Sequence[Inherited]) -> None:
        """Take over readings that another process made, unless there are younger ones."""
        cadence = self.planner.cadence
        for reply in replies:
            self.stats.took_over(self.table.inherit(reply.readings, reply.arrival, reply.max_age), reply.arrival)
            if cadence is not None:
                at = reply.arrival.monotonic
                for room, knowledge in reply.cadence.items():
                    cadence.inherit(room, reply.readings[room].users, at, knowledge)
                rooms = self.table.rooms_of(reply.readings)
                cadence.learn(rooms, [reply.readings[room.id].users for room in rooms], at)
        self._balance()
        for reply in replies:
            rooms_read = self.table.reads_of(reply.readings, reply.arrival.unix)
            # Own intervals may have grown since; a reading is published for three of those that it was made with.
            most = math.inf if reply.max_age is None else max(self.config.interval, reply.max_age / 3)
            self.planner.read_elsewhere(rooms_read, reply.arrival.monotonic, most)
            self._suspect_missing(reply.readings, rooms_read, reply.arrival.monotonic)

    def inherit_refusal(self, room: str, times: int, age: float) -> None:
        """Another process was refused this room so often in a row, the last time so many seconds ago."""
        if room in self.planner:
            self.table.refuse(room)
            wait = self._refusals.inherit(room, times) * self.config.interval
            self.planner.suspect((room,), self._clock.monotonic() + max(0.0, wait - age))

    def refused(self, room: str) -> int:
        """How often in a row a room was refused; 0 if it is not."""
        return self._refusals.times(room)

    async def maintain(self) -> None:
        """The body of this source's recurring job: connections, incidents, refusals, changed secrets."""
        now = self._clock.monotonic()
        self._client.maintain()
        if not self.budget.held:
            return
        self._balance()
        self._journal.sweep(now, refusing=bool(self._refusals))
        batch = min(self.config.codec.batch_size, len(self.planner))
        ok = self.health.state is SourceState.OK
        if ok and self._refusals.detect_refused_source(batch, self.health.since_success(now), self.config.interval):
            self.health.all_rooms_refused(now)
            self.planner.clear_suspects(now)
            self.table.forgive()
            self._changed_state(_ALL_REFUSED, now)
        if self.health.state in _NEEDS_REPAIR:
            await self._read_files()
        self.budget.arm(self)

    def _balance(self) -> None:
        if self.planner.cadence is not None:
            batch = self.planner.batch_size
            readings = self.share * self.budget.pace / self.budget.limit * batch
            self.planner.cadence.balance(readings, len(self.planner), batch)

    def dues(self) -> tuple[float, ...]:
        """Monotonic time at which a call of each lane may leave. A source that is not ok offers its trials only."""
        if self._awaits_all or self._resting:
            return _NEVER
        may_call = max(self.health.may_call(), self._client.ready_at())
        if may_call == math.inf:
            return _NEVER
        if self.health.state is SourceState.OK:
            dues = self.planner.dues()
            return dues if may_call == -math.inf else tuple([max(due, may_call) for due in dues])
        return max(self.planner.due(self._trial_lane()), may_call), *_NEVER[1:]

    def dispatch(self, lane: Lane, due: float) -> bool:
        """Use a slot now: write one call of this lane, or open a connection for it."""
        if not self._client.has_connection():
            self._client.open()
            return False
        call = self._bind(lane, self._clock.monotonic())
        if call is None:
            return False
        try:
            request = self._signing.request(self.config, call.rooms)
            if not self.budget.may_write():
                self._unbind(call)
                return False
            exchange = self._client.send(request)
        except Exception as error:  # noqa: BLE001 the source must go on
            self._raised(call, error)
            return False
        call.written = self.budget.pacer, self.budget.sent(due, exchange)
        call.request = request
        self.health.call_started()
        self._awaits_all = self._answers_all
        self._spawn(self._finish(call, exchange))
        return True

    def connected(self) -> None:
        """A connection is open."""
        self.budget.arm(self)

    def not_connected(self, failure: Failure, since: float) -> None:
        """No connection could be opened. If a call is due and there is no other connection, the call has failed."""
        now = self._clock.monotonic()
        may_call = self._running and self.budget.held and not self._awaits_all and self.health.may_call() <= now
        if may_call and not self._client.has_connection():
            lane = next((lane for lane, due in zip(LANES, self.planner.dues(), strict=True) if due <= now), None)
            if lane is not None and (call := self._bind(lane, now)):
                call.began = since
                self.planner.release(call.rooms, now)  # so that they are due even if the next step raises
                self._failed(call, failure)
        self.budget.arm(self)

    def _bind(self, lane: Lane, now: float) -> Call | None:
        """The call that leaves now. Its rooms are bound until it has ended. ``None`` if no room is due."""
        trial = self.health.state is not SourceState.OK
        lane = self._trial_lane() if trial else lane
        rooms = self.planner.take(lane, now)
        if not rooms:
            return None
        self.stats.calls += 1
        return Call(rooms, now, self.planner.phase(lane, now), trial, self.config.source)

    def _unbind(self, call: Call) -> None:
        """The call is not made after all: its rooms are due."""
        self.stats.calls -= 1
        self.planner.release(call.rooms, call.began)

    def _trial_lane(self) -> Lane:
        """Regular rooms if there are any: a refused room would be refused again, and such a trial proves nothing."""
        return Lane.REGULAR if self.planner.due(Lane.REGULAR) < math.inf else Lane.SUSPECT

    async def _read_files(self) -> None:
        """Read the files of secrets and certificates again: a changed file counts without a reload."""
        config = self.config
        try:
            reread = await self._signing.reread(config)
            if reread != config and self._running and self.config is config:  # otherwise a reload was faster
                other = reread.client_key != config.client_key
                self._use(reread, self._make_client(reread, self, self._clock) if other else None)
                self.budget.arm(self)
        except Exception as error:  # noqa: BLE001 trials must go on
            self._count_error(error)

    def _use(self, config: SourceConfig, client: Client | None) -> None:
        """Use this config from now on, and this client if it is a new one. Make the next trial at once."""
        if config.source != self.config.source:
            self._signing.renew()
        self.config = config
        self.health.try_now(self._clock.monotonic())
        if client is None:
            self._client.tune(config)
        else:
            self._client.retire()
            self._client = client
            if self._resting:
                client.retire()
            else:
                client.open()

    def _spawn(self, body: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(body)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, call: Call, exchange: Exchange) -> None:
        try:
            response = await exchange.response()
            if self._answers_all:
                await self._receive_all(call, response)
            elif self._running:
                self.first_call_ended = True
                self.stats.ended(self._clock.monotonic() - call.began)
                self._receive(call, response)
            elif isinstance(response, Response):
                self._receive_after_stop(call, self._outcome(call, response))
        except Exception as error:  # noqa: BLE001 the source must go on
            self._raised(call, error)
        finally:
            now = self._clock.monotonic()
            self.planner.release(call.rooms, now + self.config.interval)
            if call.trial:
                self.health.calls_ended(now)
            self._awaits_all = False
            self.budget.arm(self)

    def _receive(self, call: Call, response: Response | Failure) -> None:
        """Record a reply: readings go to the table, and each room gets its next due time."""
        if isinstance(response, Failure):
            self._failed(call, response)
            return
        self._signing.measure(response)
        outcome = self._outcome(call, response)
        if isinstance(outcome, Failure):
            self._failed(call, call.redacted(outcome))
            return
        self.stats.unrequested += outcome.unrequested
        read, failures = _sorted(call, outcome)
        if not read:
            self._failed(call, next(iter(failures.values())))
            return
        now = self._clock.monotonic()
        if self.outcomes is not None:
            self.outcomes.polled(read, failures, call.began, now)
        self._publish(read, response.arrival)
        self._read(call, read)
        self._succeeded(call, now)
        if failures:
            self._note(next(iter(failures.values())), tuple(failures), now)
            self._failed_rooms(call, failures, now)

    def _publish(self, readings: Mapping[str, Reading], arrival: Arrival) -> None:
        """Put readings into the table; where rooms have intervals of their own, learn from them first."""
        now, planner = self._clock.monotonic(), self.planner
        if planner.cadence is not None:
            planner.learn(self.table.rooms_of(readings), readings, arrival.monotonic)
        if self.config.max_staleness is not None or not planner.has_own_intervals:
            self.stats.gaps(self.table.record(readings, arrival), now)
            return
        groups: dict[float | None, dict[str, Reading]] = {}
        max_ages = planner.max_ages(readings, 1.5 * self.config.interval + self.config.timeout)
        for max_age, room_id in zip(max_ages, readings, strict=True):
            groups.setdefault(max_age, {})[room_id] = readings[room_id]
        for max_age, group in groups.items():
            self.stats.gaps(self.table.record(group, arrival, max_age), now)

    async def _receive_all(self, call: Call, response: Response | Failure) -> None:
        """
        Record a reply of an API that answers for all rooms, some thousand maybe: in steps, between which others run.

        No call leaves before the end, so no reply overtakes another. A source that is stopped records the rest no more.
        """
        if self._running:
            self.stats.ended(self._clock.monotonic() - call.began)
        if isinstance(response, Failure):
            if self._running:
                self._failed(call, response)
            return
        outcome = await self._outcome_of_all(call, response)
        if not self._running:
            self._receive_after_stop(call, outcome)
            return
        self._signing.measure(response)
        if isinstance(outcome, Failure):
            self._failed(call, call.redacted(outcome))
            return
        read, failures = _sorted(call, outcome)
        if not read:
            self._failed(call, next(iter(failures.values())))
        elif await self._record_all(call, read, outcome.others, failures, response.arrival):
            self.first_call_ended = True
            self._succeeded(call, self._clock.monotonic())

    async def _record_all(
        self,
        call: Call,
        read: Mapping[str, Reading],
        others: Mapping[str, Reading],
        failures: Mapping[str, Failure],
        arrival: Arrival,
    ) -> bool:
        """
        Record the rooms of a reply.

        Args:
            others: Readings of rooms that were not asked for.

        Returns:
            Whether it came to the end, and the source was not stopped meanwhile.
        """
        if self.outcomes is not None:
            await self.outcomes.answered({**read, **others}, failures, call.began, self._clock.monotonic())
        turn = Turn()
        for readings, requested in ((read, True), (others, False)):
            for rooms in in_parts(readings):
                if not self._running:
                    return False
                self._record(call, {room: readings[room] for room in rooms}, arrival, requested=requested)
                await turn.let_others_run()
        if failures and self._running:
            self._note(next(iter(failures.values())), tuple(failures), self._clock.monotonic())
        for rooms in in_parts(failures):
            if not self._running:
                return False
            self._failed_rooms(call, {room: failures[room] for room in rooms}, self._clock.monotonic())
            await turn.let_others_run()
        return self._running

    def _record(self, call: Call, readings: Mapping[str, Reading], arrival: Arrival, *, requested: bool) -> None:
        """Record some rooms of a reply that answers for all."""
        now = self._clock.monotonic()
        if self.outcomes is not None:
            self.outcomes.polled(readings, {}, call.began, now)
        self._publish(readings, arrival)
        if requested:
            self._read(call, readings)
        else:
            self.planner.read_elsewhere(readings, call.phase)

    def _receive_after_stop(self, call: Call, outcome: Reply | Failure) -> None:
        """A reply to a source that was stopped. It only informs the pace, since other sources use the same limit."""
        ok = SourceState.OK
        if not isinstance(outcome, Failure) or not call.written:
            return
        if reaction(outcome, ok, ok, rooms=1, worked_lately=True).slow_down:
            pacer, sent = call.written
            pacer.rejected(sent, self._clock.monotonic(), outcome.retry_after)

    def _outcome(self, call: Call, response: Response) -> Reply | Failure:
        """Parse a reply, and tell the pace of its arrival."""
        self._answered(call, response)
        return self.config.codec.reply(call.rooms, response.status, response.headers, response.body)

    async def _outcome_of_all(self, call: Call, response: Response) -> Reply | Failure:
        """The same of a reply that may be large: then in a thread, since parsing takes some 40 ms for 8 MiB."""
        if len(response.body) <= _LARGE_REPLY:
            return self._outcome(call, response)
        self._answered(call, response)
        parse = self.config.codec.reply
        try:
            return await in_thread(parse, call.rooms, response.status, response.headers, response.body)
        except OSError:  # no thread can be started
            return parse(call.rooms, response.status, response.headers, response.body)

    def _answered(self, call: Call, response: Response) -> None:
        if call.written:
            pacer, sent = call.written
            pacer.answered(sent, response.head_at)

    def _read(self, call: Call, read: Mapping[str, Reading]) -> None:
        """A call read these rooms."""
        self.planner.read(read, call.phase)
        self._suspect_missing(read, read, call.phase)
        self._refusals.read(read)
        if self._attempts:
            for room in read:
                self._attempts.pop(room, None)

    def _suspect_missing(self, readings: Mapping[str, Reading], rooms: Iterable[str], phase: float) -> None:
        """
        A vendor that reports missing rooms refuses a whole batch because of one: ask for them alone. One that answers
        for all rooms does not.
        """
        if self.planner.batch_size > 1 and not self._answers_all:
            missing = [room for room in rooms if readings[room].missing]
            if missing:
                self.planner.suspect_missing(missing, phase)

    def _succeeded(self, call: Call, now: float) -> None:
        """A call read at least one room."""
        self.stats.succeeded(now, self._clock.unix())
        self._journal.succeeded(now)
        if self.health.succeeded(call.began, now):
            self._journal.recovered(now)
            self.stats.state = self.health.state
            # The source works, so the cause of the earlier failure was one of the rooms of that call.
            accused = self._refusals.take_accused()
            if len(accused) == 1:
                self._refuse(accused[0], now)
            else:
                self.planner.suspect(accused, now)

    def _failed_rooms(self, call: Call, failures: Mapping[str, Failure], now: float) -> None:
        """Some rooms of a call failed, and others were read."""
        for room, failure in failures.items():
            if failure.kind is FailureKind.REFUSED:
                self._refuse(room, now)
            else:
                self.table.fail(room)
                self.planner.retry((room,), call.phase, self._backoff((room,)), now)

    def _failed(self, call: Call, failure: Failure) -> None:
        """A call read no room at all."""
        self.first_call_ended = True
        now = self._clock.monotonic()
        self._note(failure, tuple([room for room in call.rooms if room != ANY_ROOM]), now)
        if self.outcomes is not None and self._answers_all:
            self.outcomes.unanswered(failure, call.began, now)
        before, worked_lately = self.health.state, self.health.worked_lately(now)
        if self.health.failed(failure, call.began, now):
            self._changed_state(failure, now)
        if before is not SourceState.OK and failure.kind is FailureKind.MISCONFIGURED:
            self._refusals.accuse(())  # other rooms fail too, so the source is at fault
        if failure.kind is FailureKind.UNAUTHORIZED and self._signing.refused():
            self.health.try_now(now)
        follows = reaction(failure, before, self.health.state, rooms=len(call.rooms), worked_lately=worked_lately)
        if follows.slow_down and call.written:
            pacer, sent = call.written
            pacer.rejected(sent, now, failure.retry_after)
        if follows.silence:
            self.health.silence(now + follows.silence)
        if follows.app_silence:
            self._app.silence(now + follows.app_silence)
        self._due_again(call, follows.rooms, now)

    def _due_again(self, call: Call, step: Rooms, now: float) -> None:
        rooms = call.rooms
        if step is Rooms.RARELY:
            self._refuse(rooms[0], now)
            return
        for room in rooms:
            self.table.fail(room)
        match step:
            case Rooms.RETRY:
                self.planner.retry(rooms, call.phase, self._backoff(rooms), now)
            case Rooms.WAIT:
                self.planner.reschedule(rooms, now + self._backoff(rooms))
            case Rooms.AS_BEFORE:
                self.planner.reschedule(rooms, now)
            case Rooms.LATER:
                self._refusals.accuse(() if self._answers_all else rooms)
                self.planner.reschedule(rooms, now + self.config.interval)
            case Rooms.ONE_BY_ONE:
                self.planner.suspect(rooms, now)

    def _refuse(self, room: str, now: float) -> None:
        if room in self.planner:
            if self.outcomes is not None:
                self.outcomes.polled({}, {room: _REFUSED}, now, now)
            self.table.refuse(room)
            if self.planner.cadence is not None:
                self.planner.cadence.forget((room,))
            self.planner.suspect((room,), now + self._refusals.refused(room) * self.config.interval)

    def _backoff(self, rooms: tuple[str, ...]) -> float:
        """Seconds to wait: exponential backoff with full jitter. The rooms of a batch wait together."""
        attempts = max(self._attempts.get(room, 0) for room in rooms)
        self._attempts.update((room, attempts + 1) for room in rooms if room in self.planner)
        return self._clock.uniform(0.0, min(self.config.interval, _FIRST_BACKOFF * 2.0 ** min(attempts, 20)))

    def _note(self, failure: Failure, rooms: tuple[str, ...], now: float) -> None:
        self.stats.failed(FailureNote(self._clock.unix(), failure, rooms))
        self._journal.failed(failure, rooms, now)

    def _changed_state(self, failure: Failure, now: float) -> None:
        state = self.stats.state = self.health.state
        self._refusals.accuse(())
        self._journal.entered(state, failure, now)
        if state in _NEEDS_REPAIR:
            self._spawn(self._read_files())

    def _raised(self, call: Call, error: Exception) -> None:
        """An exception that only a bug explains: count it, log it, and let the call fail."""
        self._count_error(error)
        try:
            self._failed(call, _BUG)
        except Exception as another:  # noqa: BLE001 the source must go on in spite of a second bug
            self._count_error(another)
        self.planner.release(call.rooms, self._clock.monotonic() + self.config.interval)

    def _count_error(self, error: Exception) -> None:
        self._telemetry.unexpected_errors += 1
        self._journal.raised(error)


def _held(budget: Budget) -> bool:
    return budget.held


def _sorted(call: Call, reply: Reply) -> tuple[dict[str, Reading], dict[str, Failure]]:
    """The requested rooms of a reply: those that were read, and the others."""
    read: dict[str, Reading] = {}
    failures: dict[str, Failure] = {}
    for room, result in reply.rooms.items():
        if isinstance(result, Failure):
            failures[room] = call.redacted(result)
        else:
            read[room] = result
    return read, failures


def _cadence(config: SourceConfig) -> Importance | None:
    return None if config.longest is None else Importance(config.interval, config.longest)
