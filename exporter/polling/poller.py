"""
A source's loop: plan → slot → call → record, and what to do when a call fails.

The scheduler runs a *window* every second: until its second is over it waits for slots and binds rooms only when their
slot comes. It does not wait for the calls, which live in the poller's own set of tasks.

A call's end is judged twice. For the source: ``Health`` and ``Pacer`` decide when the next call may leave. For its
rooms: readings go to the table, and every room is due again, sooner or later, however its call ended.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final

import msgspec

from exporter.config import SourceConfig
from exporter.metrics.source_stats import FailureNote, SourceStats
from exporter.metrics.table import SourceTable
from exporter.metrics.telemetry import Telemetry
from exporter.model import Failure, FailureKind, Reading, Room
from exporter.polling.budget import Budget
from exporter.polling.caller import Caller, Exchange
from exporter.polling.clock import Clock
from exporter.polling.health import App, Health
from exporter.polling.journal import Journal, Log
from exporter.polling.planner import Lane, Planner
from exporter.polling.signing import ClockSkew, Signing
from exporter.states import SourceState

WINDOW: Final = 1.0
"""Seconds that one run of a source's job hands out slots for."""

_FIRST_BACKOFF: Final = 0.5
_FIRST_REFUSED: Final = 10
_LONGEST_REFUSED: Final = 360
_ROOMS_ENOUGH: Final = 3
"""Fewer refused rooms than these put no source in doubt: somebody may well have misspelt two."""

_ALL_REFUSED: Final = Failure(
    FailureKind.MISCONFIGURED,
    "all_refused",
    "the vendor refused every room asked for: check the app, the region and the room ids",
)
_BUG: Final = Failure(FailureKind.TRANSIENT, "bug", "an error of the exporter itself; its traceback is in the log")


class Calling(msgspec.Struct, frozen=True):
    """One call under way: its rooms, its slot in monotonic seconds, and the phase that due times are counted from."""

    rooms: tuple[str, ...]
    slot: float
    phase: float


class Poller:
    """
    Polls one source.

    Args:
        budget: Shared with the other sources that draw on the same limit.
        app: Shared with the other sources that have the same credentials.
        caller: This source's own connections; the poller closes it.
    """

    def __init__(
        self,
        config: SourceConfig,
        budget: Budget,
        app: App,
        caller: Caller,
        table: SourceTable,
        telemetry: Telemetry,
        noted: SourceStats,
        clock: Clock,
        log: Log,
    ) -> None:
        self.config = config
        self.budget = budget
        self.table = table
        self.noted = noted
        self.planner = Planner(config.codec.batch_size, config.interval)
        self.health = Health(config.interval, clock.monotonic())
        self._app = app
        self._caller = caller
        self._telemetry = telemetry
        self._clock = clock
        self._journal = Journal(log, quiet=max(10.0, 2 * config.interval))
        noted.clock = skew = ClockSkew()
        self._signing = Signing(skew, clock, log)
        self._accused: tuple[str, ...] = ()
        self._attempts: dict[str, int] = {}
        self._refusals: dict[str, int] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._bidding = asyncio.Lock()
        self._closing = asyncio.Event()
        self.first_call_ended = False
        app.join(self.health)

    def watching(self, rooms: Iterable[Room]) -> Iterator[None]:
        """Watch exactly these rooms, step by step; new ones are due at once. One change at a time."""
        rooms = tuple(rooms)
        yield from self.table.watch_in_steps(rooms)
        yield from self.planner.watching((room.id for room in rooms), self._clock.monotonic())
        for failures in (self._attempts, self._refusals):
            for room_id in [room_id for room_id in failures if room_id not in self.table]:
                del failures[room_id]
        self.budget.arm()

    def retune(self, config: SourceConfig) -> None:
        """Take over a reloaded config with the same credentials: readings, due times, state and connections stay."""
        self.config = config
        self.health.interval = self.noted.interval = config.interval
        self._journal.quiet = max(10.0, 2 * config.interval)
        now = self._clock.monotonic()
        self.health.try_now(now)
        if self.planner.interval != config.interval:
            self.planner.change_interval(config.interval, now)
        self.budget.arm()

    def dues(self) -> tuple[float, ...]:
        """When a call of each lane may leave, for the budget to choose; a source in trouble has only trials to make."""
        may_call = self.health.may_call()
        if self.health.state is SourceState.OK:
            dues = self.planner.dues()
            return dues if may_call == -math.inf else tuple([max(due, may_call) for due in dues])
        trial = math.inf if may_call == math.inf else max(self.planner.due(self._trial_lane()), may_call)
        return trial, math.inf, math.inf

    async def window(self) -> None:
        """Bid for slots for one second; the body of this source's recurring job."""
        until = self._clock.monotonic() + WINDOW
        async with self._bidding:
            self._judge()
            self.budget.bid(self)
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(until - self._clock.monotonic()):
                        await self._closing.wait()
            finally:
                self.budget.withdraw(self)

    async def drain(self, within: float) -> None:
        """Begin no call, let running ones end for so many seconds, then end them, and close the connections."""
        self._closing.set()
        self.budget.withdraw(self)
        if self._calls:
            await asyncio.wait(self._calls, timeout=within)
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        self._app.healths.discard(self.health)
        await self._caller.aclose()

    def leave(self, lane: Lane) -> None:
        """Take the slot that was just granted."""
        now = self._clock.monotonic()
        if self.health.state is not SourceState.OK:
            lane = self._trial_lane()
        rooms = self.planner.take(lane, now)
        if not rooms:
            return
        self.health.calling()
        call = asyncio.create_task(self._call(Calling(rooms, now, self.planner.phase(lane, now))))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    def _trial_lane(self) -> Lane:
        """A refused room would be refused again, so that the trial told nothing: it is asked if there is no other."""
        return Lane.REGULAR if self.planner.due(Lane.REGULAR) < math.inf else Lane.SUSPECT

    async def _call(self, calling: Calling) -> None:
        try:
            came = await self._exchange(calling)
            if isinstance(came, Failure):
                self._failed(calling, came)
            else:
                self._receive(calling, came)
        except Exception as error:  # noqa: BLE001 whatever it is, the source goes on
            self._journal.raised(error)
            self._telemetry.unexpected_errors += 1
            self._failed(calling, _BUG)
        finally:
            self.first_call_ended = True
            self.budget.arm()

    async def _exchange(self, calling: Calling) -> Exchange | Failure:
        if self.health.state is SourceState.UNAUTHORIZED:
            config = self.config
            mended = await self._signing.mended(config)
            if self.config is config:  # else a reload has just brought a newer one
                self.config = mended
        request = self._signing.request(self.config, calling.rooms)
        self.noted.calls += 1
        return await self._caller.call(request, calling.slot)

    def _receive(self, calling: Calling, came: Exchange) -> None:
        """What a reply says of each room goes to the table, and decides when the room is due again."""
        self._signing.measure_skew(came)
        outcome = self.config.codec.reply(calling.rooms, came.status, came.headers, came.body)
        now = self._clock.monotonic()
        self.noted.ended(now - calling.slot)
        if isinstance(outcome, Failure):
            self._failed(calling, outcome)
            return
        self.noted.unrequested += outcome.unrequested
        read: dict[str, Reading] = {}
        failures: dict[str, Failure] = {}
        for room, said in outcome.rooms.items():
            if isinstance(said, Failure):
                failures[room] = said
            else:
                read[room] = said
        if read:
            self.noted.gaps(self.table.record(read, came.arrival), now)
            self._succeeded(calling, read, now)
            if failures:
                self._failed_rooms(calling, failures, now)
        else:
            self._failed(calling, next(iter(failures.values())))

    def _succeeded(self, calling: Calling, read: Mapping[str, Reading], now: float) -> None:
        """A call that read rooms, if not all of them."""
        self.noted.succeeded(now, self._clock.unix())
        self._journal.succeeded(now)
        self.planner.read(read, calling.phase)
        # Vendors that say so refuse whole batches for a missing room's sake.
        missing = [room for room, reading in read.items() if reading.missing] if self.planner.batch_size > 1 else ()
        if missing:
            self.planner.suspect(missing, calling.phase + self.config.interval)
        for failed in (self._attempts, self._refusals):
            if failed:
                for room in read:
                    failed.pop(room, None)
        if self.health.succeeded(calling.slot, now):
            self._journal.recovered(now)
            self.noted.state = self.health.state
            self._blame_rooms(now)

    def _failed_rooms(self, calling: Calling, failures: Mapping[str, Failure], now: float) -> None:
        """Some rooms of a call that read others."""
        first = next(iter(failures.values()))
        self._note(first, tuple(failures), now)
        for room, failure in failures.items():
            if failure.kind is FailureKind.REFUSED:
                self._suspect(room, now)
            else:
                self.table.fail(room)
                self.planner.retry((room,), calling.phase, self._backoff((room,)), now)

    def _failed(self, calling: Calling, failure: Failure) -> None:
        """A call that read no room at all."""
        now = self._clock.monotonic()
        self._note(failure, calling.rooms, now)
        was_ok = self.health.state is SourceState.OK
        if self.health.failed(failure, calling.slot, now):
            self._changed_state(failure, now)
        if failure.kind is FailureKind.UNAUTHORIZED and self._signing.skew_unheeded():
            self.health.try_now(now)
        if failure.cool_down:
            self._app.silence(now + failure.cool_down)
        if failure.kind is FailureKind.RATE_LIMITED and not failure.one_room:
            self.budget.pacer.rejected(calling.slot, now, failure.retry_after)
        if failure.kind is FailureKind.REFUSED and was_ok:
            self._refused(calling, now)
            return
        for room in calling.rooms:
            self.table.fail(room)
        self._due_again(calling, failure, now, was_ok=was_ok)

    def _due_again(self, calling: Calling, failure: Failure, now: float, *, was_ok: bool) -> None:
        """When the rooms of a failed call are asked again depends on whose fault it was."""
        source_at_fault = not was_ok or self.health.state is not SourceState.OK
        if not was_ok and failure.kind is FailureKind.MISCONFIGURED:
            self._accused = ()
        if was_ok and self.health.state is SourceState.MISCONFIGURED and self.health.worked_lately(now):
            self._accused = calling.rooms
            self.planner.again(calling.rooms, now + self.config.interval)
        elif source_at_fault:
            # Tried rooms go behind the others, so that no trial hangs on one of them.
            self.planner.again(calling.rooms, now)
        elif failure.kind is FailureKind.RATE_LIMITED and not failure.one_room:
            # The pace takes care of the vendor; a room that alone is due must not take every slot of it.
            self.planner.again(calling.rooms, now + self._backoff(calling.rooms))
        else:
            self.planner.retry(calling.rooms, calling.phase, self._backoff(calling.rooms), now)

    def _blame_rooms(self, now: float) -> None:
        """The source works, so what seemed to be its misconfiguration was that of the rooms asked for."""
        accused, self._accused = self._accused, ()
        if len(accused) == 1:
            self._suspect(accused[0], now)
        else:
            self.planner.suspect(accused, now)

    def _refused(self, calling: Calling, now: float) -> None:
        if len(calling.rooms) > 1:
            for room in calling.rooms:
                self.table.fail(room)
            self.planner.suspect(calling.rooms, now)
            return
        self.health.refused(1)
        self._suspect(calling.rooms[0], now)

    def _suspect(self, room: str, now: float) -> None:
        if room not in self.table:
            return
        self.table.refuse(room)
        times = self._refusals[room] = self._refusals.get(room, 0) + 1
        intervals = min(_FIRST_REFUSED * 2 ** min(times - 1, 10), _LONGEST_REFUSED)
        self.planner.suspect((room,), now + intervals * self.config.interval)

    def _backoff(self, rooms: tuple[str, ...]) -> float:
        """Seconds to wait, full jitter, the same for all rooms of a batch so that they stay together."""
        attempts = max(self._attempts.get(room, 0) for room in rooms)
        for room in rooms:
            if room in self.table:
                self._attempts[room] = attempts + 1
        return self._clock.uniform(0.0, min(self.config.interval, _FIRST_BACKOFF * 2.0 ** min(attempts, 20)))

    def _note(self, failure: Failure, rooms: tuple[str, ...], now: float) -> None:
        self.noted.failed(FailureNote(self._clock.unix(), failure, rooms))
        self._journal.failed(failure, rooms, now)

    def _changed_state(self, failure: Failure, now: float) -> None:
        state = self.noted.state = self.health.state
        if state is SourceState.UNAUTHORIZED:
            self._signing.forget()
        self._journal.entered(state, failure, now)

    def _judge(self) -> None:
        now = self._clock.monotonic()
        self._journal.sweep(now, refusing=bool(self._refusals))
        if len(self._refusals) < _ROOMS_ENOUGH:
            return
        if self.health.doubts_source(min(self.config.codec.batch_size, len(self.planner)), now):
            self.planner.trust(now)
            self.table.forgive()
            self._refusals.clear()
            self._changed_state(_ALL_REFUSED, now)
