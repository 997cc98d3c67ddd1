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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

from exporter.config import ConfigError, SourceConfig, reread_secrets
from exporter.metrics.table import SourceTable
from exporter.metrics.telemetry import FailureNote, SourceState, SourceTelemetry, Telemetry
from exporter.model import Auth, Failure, FailureKind, Reading, Reply, Room, Stamp
from exporter.polling.budget import Budget
from exporter.polling.caller import Caller, Exchange
from exporter.polling.clock import Clock
from exporter.polling.health import Health
from exporter.polling.journal import Journal, Log
from exporter.polling.planner import Lane, Planner

WINDOW: Final = 1.0
"""Seconds that one run of a source's job hands out slots for."""

_FIRST_BACKOFF: Final = 0.5
_FIRST_REFUSED: Final = 10
_LONGEST_REFUSED: Final = 360
_NOTABLE_SKEW: Final = 60.0
_BUG: Final = Failure(FailureKind.TRANSIENT, "bug", "an error of the exporter itself; its traceback is in the log")


@dataclass(frozen=True, slots=True)
class Calling:
    """One call under way: its rooms, its slot in monotonic seconds, and the phase that due times are counted from."""

    rooms: tuple[str, ...]
    slot: float
    phase: float


class App:
    """The sources of one vendor app, which are told together to be silent."""

    def __init__(self) -> None:
        self.healths: set[Health] = set()

    def silence(self, until: float) -> None:
        """No source of this app calls before this monotonic time."""
        for health in self.healths:
            health.silence(until)


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
        noted: SourceTelemetry,
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
        self._durations = telemetry.call_durations.labels(*noted.labels)
        self._clock = clock
        self._journal = Journal(log, quiet=max(10.0, 2 * config.interval))
        self._auth: Auth | None = None
        self._stale_signature = False
        self._accused: tuple[str, ...] = ()
        self._attempts: dict[str, int] = {}
        self._refusals: dict[str, int] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._closing = False
        self.first_call_ended = False
        app.healths.add(self.health)

    def watch(self, rooms: Iterable[Room]) -> None:
        """Watch exactly these rooms; new ones are due at once."""
        rooms = tuple(rooms)
        self.table.watch(rooms)
        self.planner.watch([room.id for room in rooms], self._clock.monotonic())
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

    def due(self, lane: Lane) -> float:
        """When a call of this lane may leave, for the budget to choose; a source in trouble has only trials to make."""
        may_call = self.health.may_call()
        if self.health.state is SourceState.OK:
            return max(self.planner.due(lane), may_call)
        if lane is not Lane.REGULAR or may_call == math.inf:
            return math.inf
        return max(self._trial_lane()[1], may_call)

    async def window(self) -> None:
        """Hand out slots for one second; the body of this source's recurring job."""
        until = self._clock.monotonic() + WINDOW
        async with self._turn:
            self._judge()
            while not self._closing and self._clock.monotonic() < until:
                lane = await self.budget.slot(self, until)
                if lane is not None and not self._closing:
                    self._leave(lane)

    async def drain(self, within: float) -> None:
        """Begin no call, let running ones end for so many seconds, then end them, and close the connections."""
        self._closing = True
        self.budget.withdraw(self)
        if self._calls:
            await asyncio.wait(self._calls, timeout=within)
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        self._app.healths.discard(self.health)
        await self._caller.aclose()

    def _leave(self, lane: Lane) -> None:
        now = self._clock.monotonic()
        if self.health.state is not SourceState.OK:
            lane = self._trial_lane()[0]
        rooms = self.planner.take(lane, now)
        if not rooms:
            return
        self.health.calling()
        call = asyncio.create_task(self._call(Calling(rooms, now, self.planner.phase(lane, now))))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    def _trial_lane(self) -> tuple[Lane, float]:
        due, lane = min((self.planner.due(lane), lane) for lane in Lane)
        return lane, due

    async def _call(self, calling: Calling) -> None:
        try:
            outcome = await self._ask(calling)
            self._record(calling, outcome)
        except Exception:
            self._journal.log.exception("unexpected error in a poll", rooms=len(calling.rooms))
            self._telemetry.unexpected_errors.inc()
            self._failed(calling, _BUG)
        finally:
            self.first_call_ended = True
            self.budget.arm()

    async def _ask(self, calling: Calling) -> Reply | Failure:
        if self._stale_signature:
            await self._sign_afresh()
        codec = self.config.codec
        stamp = Stamp(self._clock.unix() - self.noted.clock_shift, self._clock.nonce())
        if self._auth is None or not self._auth.covers(stamp.time):
            self._auth = codec.authorize(self.config.source, stamp.time)
        request = codec.request(self.config.source, self._auth, calling.rooms, stamp)
        self.noted.calls += 1
        came = await self._caller.call(request)
        if isinstance(came, Failure):
            return came
        self._measure_skew(came)
        outcome = codec.reply(calling.rooms, came.status, came.headers, came.body)
        now = self._clock.monotonic()
        self._durations.observe(now - calling.slot)
        if isinstance(outcome, Reply):
            self._publish(outcome, came)
        return outcome

    def _publish(self, reply: Reply, came: Exchange) -> None:
        self.noted.strangers += reply.strangers
        for room, outcome in reply.rooms.items():
            if isinstance(outcome, Reading) and (gap := self.table.record(room, outcome, came.arrival)) is not None:
                self.noted.gap(gap)

    def _record(self, calling: Calling, outcome: Reply | Failure) -> None:
        if isinstance(outcome, Failure):
            self._failed(calling, outcome)
            return
        read = [room for room, said in outcome.rooms.items() if isinstance(said, Reading)]
        failures = {room: said for room, said in outcome.rooms.items() if isinstance(said, Failure)}
        if not read:
            self._failed(calling, next(iter(failures.values())))
            return
        now = self._clock.monotonic()
        self.noted.succeeded(now, self._clock.unix())
        self.planner.read(read, calling.phase)
        for room in read:
            self._attempts.pop(room, None)
            self._refusals.pop(room, None)
        if self.health.succeeded(calling.slot, now):
            self._journal.recovered(now)
            self.noted.state = self.health.state
            self.planner.suspect(self._accused, now + self.config.interval)
        self._accused = ()
        if failures:
            self._failed_rooms(calling, failures, now)

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
            self._changed_state(failure)
        if failure.kind is FailureKind.UNAUTHORIZED:
            self._stale_signature = True
            if abs(self._wanted_shift() - self.noted.clock_shift) > _NOTABLE_SKEW:
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
        source_at_fault = not was_ok or self.health.state is not SourceState.OK
        if was_ok and self.health.state is SourceState.MISCONFIGURED and self.health.worked_lately(now):
            self._accused = calling.rooms
            self.planner.again(calling.rooms, now + self.config.interval)
        elif source_at_fault or (failure.kind is FailureKind.RATE_LIMITED and not failure.one_room):
            # Tried rooms go behind the others, so that no trial hangs on one of them.
            self.planner.again(calling.rooms, now if source_at_fault else calling.slot)
        else:
            self.planner.retry(calling.rooms, calling.phase, self._backoff(calling.rooms), now)

    def _refused(self, calling: Calling, now: float) -> None:
        if len(calling.rooms) > 1:
            for room in calling.rooms:
                self.table.fail(room)
            self.planner.suspect(calling.rooms, now)
            return
        self.health.refused(1)
        self._suspect(calling.rooms[0], now)

    def _suspect(self, room: str, now: float) -> None:
        self.table.refuse(room)
        times = self._refusals[room] = self._refusals.get(room, 0) + 1
        intervals = min(_FIRST_REFUSED * 2 ** min(times - 1, 10), _LONGEST_REFUSED)
        self.planner.suspect((room,), now + intervals * self.config.interval)

    def _backoff(self, rooms: tuple[str, ...]) -> float:
        """Seconds to wait, full jitter, the same for all rooms of a batch so that they stay together."""
        attempts = max(self._attempts.get(room, 0) for room in rooms)
        for room in rooms:
            self._attempts[room] = attempts + 1
        return self._clock.uniform(0.0, min(self.config.interval, _FIRST_BACKOFF * 2.0 ** min(attempts, 20)))

    def _note(self, failure: Failure, rooms: tuple[str, ...], now: float) -> None:
        self.noted.failed(FailureNote(self._clock.unix(), failure, rooms))
        self._journal.failed(failure, rooms, now)

    def _changed_state(self, failure: Failure) -> None:
        self.noted.state = self.health.state
        self._journal.log.warning(
            "source is in trouble", state=str(self.health.state), code=failure.code, meaning=failure.words
        )

    async def _sign_afresh(self) -> None:
        """Read the secrets again, and stamp with the vendor's time if the clocks differ by much."""
        self._stale_signature = False
        self._auth = None
        try:
            self.config = await asyncio.to_thread(reread_secrets, self.config)
        except ConfigError as error:
            self._journal.log.warning("secrets cannot be read again", error=str(error))
        shift = self._wanted_shift()
        if abs(shift - self.noted.clock_shift) <= _NOTABLE_SKEW:
            return
        self.noted.clock_shift = shift
        if shift:
            self._journal.log.warning(
                "signature refused and clock skew is large: stamping calls with the vendor's time",
                skew_seconds=shift,
            )
        else:
            self._journal.log.info("stamping calls with our own time again")

    def _wanted_shift(self) -> float:
        skew = self.noted.clock_skew
        return skew if skew is not None and abs(skew) > _NOTABLE_SKEW else 0.0

    def _measure_skew(self, came: Exchange) -> None:
        vendor = _http_date(came.headers.get("date", ""))
        if vendor is not None:
            # The header is cut to the second, so on average the vendor's clock is half a second further.
            self.noted.clock_skew = round(came.arrival.unix - vendor - 0.5, 1)

    def _judge(self) -> None:
        now = self._clock.monotonic()
        self._journal.sweep(now)
        if self.health.doubts_source(min(self.config.codec.batch_size, len(self.planner)), now):
            self.noted.state = self.health.state
            self.planner.trust(now)
            self.table.forgive()
            self._refusals.clear()
            self._journal.log.warning(
                "source is in trouble",
                state=str(self.health.state),
                meaning="the vendor refused every room asked for: check the app, the region and the room ids",
            )


@lru_cache(maxsize=64)
def _http_date(text: str) -> float | None:
    """Unix seconds of a Date header; many replies in one second carry the same."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
