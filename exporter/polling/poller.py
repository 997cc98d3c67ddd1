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
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from exporter.clock import Clock
from exporter.config import SourceConfig
from exporter.logs import Log
from exporter.metrics.room import Arrival
from exporter.metrics.source_stats import FailureNote, SourceStats
from exporter.metrics.table import SourceTable
from exporter.metrics.telemetry import Telemetry
from exporter.model import Failure, FailureKind, Reading, Reply, Request, Room
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
from exporter.vendors.source import Source

_FIRST_BACKOFF: Final = 0.5
_NEVER: Final = tuple(math.inf for _ in LANES)
_NEEDS_REPAIR: Final = frozenset({SourceState.UNAUTHORIZED, SourceState.MISCONFIGURED})
_BUG: Final = Failure(FailureKind.TRANSIENT, "bug", "an error of the exporter itself; its traceback is in the log")
_ALL_REFUSED: Final = Failure(
    FailureKind.MISCONFIGURED,
    "all_refused",
    "the vendor refused every room asked for: check the app, the region and the room ids",
)


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
        if self.request is None:
            return failure
        code = self.request.redact_parts(failure.code, self.source.proxy_secrets)
        return failure if code == failure.code else replace(failure, code=code)


class Poller:
    """
    Polls one source.

    Args:
        budget: Shared with the other sources that draw on the same limit.
        app: Shared with the other sources that have the same credentials.
        make_client: Makes this source's client; the poller closes it.

    Attributes:
        share: Calls per second of the budget's limit that are meant for this source; only a cadence asks.
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
        self._app = app
        self._telemetry = telemetry
        self._make_client = make_client
        self._clock = clock
        self._journal = Journal(log, config.interval)
        self._signing = Signing(clock, log)
        self.stats = SourceStats(
            config.vendor, config.api, config.name, budget.name, config.interval, table, self._signing.skew
        )
        self.stats.own_intervals = self.planner.cadence
        self._refusals = Refusals()
        self._attempts: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = False
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
        self._client.open()
        self.budget.bid(self)
        self._running = True

    def stop(self) -> None:
        """Make no call and record no reply from now on, also no reply to a call in flight."""
        self._running = False
        self.budget.withdraw(self)
        self._app.leave(self.health)
        self._client.retire()

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
        budget.bid(self)

    def watch(self, rooms: Sequence[Room]) -> None:
        """Add rooms. New ones are due at once."""
        self.planner.watch(rooms)
        self._balance(self._clock.monotonic())
        self.budget.arm()

    def forget(self, room_ids: Sequence[str]) -> None:
        """Remove rooms."""
        self.planner.forget(room_ids)
        self._refusals.forget(room_ids)
        for room_id in room_ids:
            self._attempts.pop(room_id, None)

    async def maintain(self) -> None:
        """The body of this source's recurring job: connections, incidents, refusals, changed secrets."""
        now = self._clock.monotonic()
        self._client.maintain()
        self._balance(now)
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
        self.budget.arm()

    def _balance(self, now: float) -> None:
        if self.planner.cadence is not None:
            readings = self.share * self.budget.pace / self.budget.limit * self.planner.batch_size
            self.planner.cadence.balance(readings, len(self.planner), now)

    def dues(self) -> tuple[float, ...]:
        """Monotonic time at which a call of each lane may leave. A source that is not ok offers its trials only."""
        may_call = max(self.health.may_call(), self._client.ready_at())
        if may_call == math.inf:
            return _NEVER
        if self.health.state is SourceState.OK:
            dues = self.planner.dues()
            return dues if may_call == -math.inf else tuple([max(due, may_call) for due in dues])
        return max(self.planner.due(self._trial_lane()), may_call), math.inf, math.inf

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
            exchange = self._client.send(request)
        except Exception as error:  # noqa: BLE001 the source must go on
            self._raised(call, error)
            return False
        call.written = self.budget.pacer, self.budget.sent(due, exchange)
        call.request = request
        self.health.call_started()
        self._spawn(self._finish(call, exchange))
        return True

    def connected(self) -> None:
        """A connection is open."""
        self.budget.arm()

    def not_connected(self, failure: Failure, since: float) -> None:
        """No connection could be opened. If a call is due and there is no other connection, the call has failed."""
        now = self._clock.monotonic()
        if self._running and not self._client.has_connection() and self.health.may_call() <= now:
            lane = next((lane for lane, due in zip(LANES, self.planner.dues(), strict=True) if due <= now), None)
            if lane is not None and (call := self._bind(lane, now)):
                call.began = since
                self.planner.release(call.rooms, now)  # so that they are due even if the next step raises
                self._failed(call, failure)
        self.budget.arm()

    def _bind(self, lane: Lane, now: float) -> Call | None:
        """The call that leaves now. Its rooms are bound until it has ended. ``None`` if no room is due."""
        trial = self.health.state is not SourceState.OK
        lane = self._trial_lane() if trial else lane
        rooms = self.planner.take(lane, now)
        if not rooms:
            return None
        self.stats.calls += 1
        return Call(rooms, now, self.planner.phase(lane, now), trial, self.config.source)

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
                self.budget.arm()
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
            client.open()

    def _spawn(self, body: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(body)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, call: Call, exchange: Exchange) -> None:
        try:
            response = await exchange.response()
            if self._running:
                self.first_call_ended = True
                self.stats.ended(self._clock.monotonic() - call.began)
                self._receive(call, response)
            else:
                self._receive_after_stop(call, response)
        except Exception as error:  # noqa: BLE001 the source must go on
            self._raised(call, error)
        finally:
            now = self._clock.monotonic()
            self.planner.release(call.rooms, now + self.config.interval)
            if call.trial:
                self.health.calls_ended(now)
            self.budget.arm()

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
        read: dict[str, Reading] = {}
        failures: dict[str, Failure] = {}
        for room, result in outcome.rooms.items():
            if isinstance(result, Failure):
                failures[room] = call.redacted(result)
            else:
                read[room] = result
        if not read:
            self._failed(call, next(iter(failures.values())))
            return
        now = self._clock.monotonic()
        if self.planner.cadence is None:
            self.stats.gaps(self.table.record(read, response.arrival), now)
        else:
            self._record(self.planner.cadence, read, response.arrival, now)
        self._succeeded(call, read, now)
        if failures:
            self._failed_rooms(call, failures, now)

    def _record(self, cadence: Importance, read: Mapping[str, Reading], arrival: Arrival, now: float) -> None:
        """Record readings of rooms with intervals of their own, each of which is published for a time of its own."""
        for room in self.table.rooms_of([room for room in read if room in self.table and room in self.planner]):
            cadence.learn(room.id, read[room.id].users, room.thresholds, now)
        groups: dict[float | None, dict[str, Reading]] = {}
        least = 1.5 * self.config.interval + self.config.timeout
        for room_id, reading in read.items():
            max_age = cadence.max_age(room_id, least) if self.config.max_staleness is None else None
            groups.setdefault(max_age, {})[room_id] = reading
        for max_age, readings in groups.items():
            self.stats.gaps(self.table.record(readings, arrival, max_age), now)

    def _receive_after_stop(self, call: Call, response: Response | Failure) -> None:
        """A reply to a source that was stopped. It only informs the pace, since other sources use the same limit."""
        if isinstance(response, Failure) or not call.written:
            return
        failure, ok = self._outcome(call, response), SourceState.OK
        if isinstance(failure, Failure) and reaction(failure, ok, ok, rooms=1, worked_lately=True).slow_down:
            pacer, sent = call.written
            pacer.rejected(sent, self._clock.monotonic(), failure.retry_after)

    def _outcome(self, call: Call, response: Response) -> Reply | Failure:
        """Parse a reply, and tell the pace of its arrival."""
        if call.written:
            pacer, sent = call.written
            pacer.answered(sent, response.head_at)
        return self.config.codec.reply(call.rooms, response.status, response.headers, response.body)

    def _succeeded(self, call: Call, read: Mapping[str, Reading], now: float) -> None:
        """A call read at least one room."""
        self.stats.succeeded(now, self._clock.unix())
        self._journal.succeeded(now)
        self.planner.read(read, call.phase)
        # A vendor that reports missing rooms refuses a whole batch because of one: ask for them alone.
        missing = [room for room, reading in read.items() if reading.missing] if self.planner.batch_size > 1 else ()
        if missing:
            self.planner.suspect_missing(missing, call.phase)
        self._refusals.read(read)
        if self._attempts:
            for room in read:
                self._attempts.pop(room, None)
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
        self._note(next(iter(failures.values())), tuple(failures), now)
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
        self._note(failure, call.rooms, now)
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
                self._refusals.accuse(rooms)
                self.planner.reschedule(rooms, now + self.config.interval)
            case Rooms.ONE_BY_ONE:
                self.planner.suspect(rooms, now)

    def _refuse(self, room: str, now: float) -> None:
        if room in self.planner:
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


def _cadence(config: SourceConfig) -> Importance | None:
    return None if config.longest is None else Importance(config.interval, config.longest)
