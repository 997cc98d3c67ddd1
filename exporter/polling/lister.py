"""
Passes over a vendor's list of rooms, as a provider of room ids.

A pass asks page after page. Each page is a call, on a budget of the list's own: vendors count list calls apart, and a
list must never take the slots of polls. By default that is half of the vendor's limit, as the company's own servers
list rooms, too. Pages are asked for one after the other, since a page's end says where the next one begins.

How a pass ends decides what an absence from it means (``Listing.result``):

- *complete*: the rooms are all that the vendor lists. A complete pass without a room, after one with more than ten, is
  made twice before it is believed.
- *partial* with an error: the list moved while it was read, or a page could not be had. The rooms that it named are
  there, and of the others it says nothing.
- *partial* without an error: only what is new was asked for (Volcengine, between full passes).
- *failed*: nothing was read.
- *unsupported*: the vendor does not list this app's rooms. That is told once, and asked again after an hour.

What goes wrong within a pass is logged at ``debug``: whoever asks for a pass tells how it ended. A call that was too
fast slows the list's budget down, and the page is asked for again; so is one that failed by chance, after 0.5 s and up
with full jitter, five times. A refused signature is made afresh once, with the files of the secrets read again. What
only a person can mend ends the pass, and no call is made for a minute. A pass that takes longer than ten minutes ends
with what it has.

Where the list tells users (``counts`` of a ZEGO source) and they are wanted, each page's readings go to
``on_readings`` with the time of the page. They lack admin users, and how old they are the vendor does not say.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from exporter.blocking import Turn
from exporter.clock import Clock
from exporter.config import SourceConfig
from exporter.config.discovery import VendorListConfig
from exporter.logs import Log
from exporter.metrics.room import Arrival
from exporter.model import ROOMS_AT_A_TIME, Failure, FailureKind, Reading, Request, Room
from exporter.polling.budget import Budget
from exporter.polling.client import Client, Exchange, MakeClient, Response
from exporter.polling.health import App
from exporter.polling.pace import Pace, Sent
from exporter.polling.planner import LANES, Lane
from exporter.polling.signing import Signing
from exporter.rooms.provider import Listing, Origin, Result
from exporter.vendors.lists import ListPass, Lists

LONGEST_PASS: Final = 600.0
_ATTEMPTS: Final = 5
_FIRST_BACKOFF: Final = 0.5
_LONGEST_BACKOFF: Final = 10.0
_LONGEST_SILENCE: Final = 300.0
_MENDED_AFTER: Final = 60.0
_SUPPORTED_AFTER: Final = 3_600.0
_MANY: Final = 10
_NEVER: Final = tuple(math.inf for _ in LANES)
_BY_CHANCE: Final = frozenset({FailureKind.RATE_LIMITED, FailureKind.TRANSIENT, FailureKind.MALFORMED})

OnReadings = Callable[[Mapping[str, Reading], Arrival], None]


@dataclass(slots=True, eq=False)
class _Page:
    """
    A page that is wanted.

    Args:
        due: Monotonic time from which it may be asked for.
        ended: Told why it could not be taken, or ``None``.
    """

    listing: ListPass
    due: float
    ended: asyncio.Future[Failure | None]


@dataclass(slots=True)
class _Held:
    """Until this monotonic time no call is made, as its end is known."""

    until: float
    result: Result
    error: str


class Lister:
    """
    Reads the list of one source.

    Args:
        budget: The list's own; shared by the sources whose list calls the vendor counts together.
        app: Shared with the pollers and listers that have the same credentials.
        make_client: Makes connections of the lister's own; it closes them.
        on_readings: Gets what pages tell of users, where ``counts`` is on or the list answers everything.
    """

    origin = Origin.VENDOR_LIST
    name = "vendor_list"

    def __init__(
        self,
        config: SourceConfig,
        settings: VendorListConfig,
        budget: Budget,
        app: App,
        make_client: MakeClient,
        clock: Clock,
        log: Log,
        on_readings: OnReadings | None = None,
    ) -> None:
        self.interval = settings.interval
        self.budget = budget
        self._config = _for_lists(config, settings)
        self._lists = _lists(config)
        self._settings = settings
        self._app = app
        self._make_client = make_client
        self._clock = clock
        self._log = log.bind(list=settings.budget)
        self._signing = Signing(clock, self._log)
        self._on_readings = on_readings
        self._client = make_client(self._config, self, clock)
        self._silent_until = -math.inf
        self._page: _Page | None = None
        self._under_way: asyncio.Task[Listing] | None = None
        self._replies: set[asyncio.Task[None]] = set()
        self._held: _Held | None = None
        self._unauthorized = self._logged = self._stopped = self._resting = False
        self._known = self._pages = 0
        self._complete_at: float | None = None
        self._full_at = -math.inf

    async def refresh(self) -> Listing:
        """Make one pass. A reload in the middle of it begins it anew, if it changes what is asked with."""
        while not self._stopped and not self._resting:
            under_way = self._under_way = asyncio.create_task(self._refreshed())
            try:
                await asyncio.wait({under_way})
            finally:
                under_way.cancel()
                self._under_way = None
            if not under_way.cancelled():
                return under_way.result()
        return Listing(Result.FAILED, self._clock.monotonic(), error="the source was stopped")

    @property
    def calls_under_way(self) -> Collection[asyncio.Task[None]]:
        """What has not ended yet."""
        return self._replies

    def rest(self) -> None:
        """Another process reads this list: end the pass under way, and open no connection."""
        self._resting = True
        if self._under_way:
            self._under_way.cancel()
        self._client.retire()

    def resume(self) -> None:
        """After ``rest``: passes may begin, the first of them a full one."""
        if self._resting:
            self._resting = False
            self._known, self._complete_at, self._full_at = 0, None, -math.inf
            self._client.reopen()

    def stop(self) -> None:
        """Begin no call and hand on nothing from now on; a pass under way ends as failed."""
        self._stopped = True
        if self._under_way:
            self._under_way.cancel()
        self.budget.withdraw(self)
        self._app.leave(self)
        self._client.retire()

    async def aclose(self) -> None:
        """End what is under way, and close connections."""
        self.stop()
        for reply in self._replies:
            reply.cancel()
        await asyncio.gather(*self._replies, return_exceptions=True)
        await self._client.aclose()

    def reconfigure(
        self, config: SourceConfig, settings: VendorListConfig, budget: Budget, app: App, client: Client | None
    ) -> None:
        """
        Go on with a new config that lists the rooms of the same app.

        Args:
            client: To be used from now on; ``None`` keeps the connections that there are.
        """
        self.interval = settings.interval
        self._settings = settings
        self.budget.withdraw(self)
        self._app.leave(self)
        self.budget, self._app = budget, app
        self._held = None
        listed = _for_lists(config, settings)
        anew = listed.source != self._config.source
        self._use(listed, client)
        if self._under_way:
            self._join()
            if anew:
                self._under_way.cancel()

    def silence(self, until: float) -> None:
        """Make no call before this monotonic time."""
        self._silent_until = max(self._silent_until, until)

    def dues(self) -> tuple[float, ...]:
        """When the page that is wanted may be asked for, if one is."""
        if self._page is None:
            return _NEVER
        return max(self._page.due, self._silent_until, self._client.ready_at()), *_NEVER[1:]

    def dispatch(self, lane: Lane, due: float) -> bool:  # noqa: ARG002 there is one
        """Use a slot now: write the call for the page that is wanted, or open a connection for it."""
        page = self._page
        if page is None:
            return False
        if not self._client.has_connection():
            self._client.open()
            return False
        self._page = None
        try:
            request = self._signing.sign(self._config, page.listing.request)
            if request is None:
                raise RuntimeError("a page was wanted of a pass that has ended")
            if not self.budget.may_write():
                self._page = page
                return False
            exchange = self._client.send(request)
        except Exception as error:  # noqa: BLE001 whatever it is, the job of the refresh hears of it
            page.ended.set_exception(error)
            return False
        written = self.budget.pacer, self.budget.sent(due, exchange)
        reply = asyncio.create_task(self._finish(page, request, exchange, *written))
        self._replies.add(reply)
        reply.add_done_callback(self._replies.discard)
        return True

    def connected(self) -> None:
        """A connection is in hand."""
        self.budget.arm()

    def not_connected(self, failure: Failure, since: float) -> None:  # noqa: ARG002 a page has no age
        """No connection could be opened: if a page is wanted, that call has failed."""
        page = self._page
        if page is not None and self.budget.held and not self._client.has_connection():
            self._page = None
            page.ended.set_result(failure)
        self.budget.arm()

    async def _refreshed(self) -> Listing:
        now = self._clock.monotonic()
        if unavailable := self._lists.unavailable(self._config.source):
            return self._unsupported(unavailable)
        if self._held is not None:
            await self._read_files()
        if self._held is not None and now < self._held.until:
            return Listing(self._held.result, now, error=self._held.error)
        self._held = None
        self._join()
        self._client.maintain()
        try:
            known, listing = self._known, await self._pass()
            if listing.result is Result.COMPLETE and not listing.rooms and known > _MANY:
                self._log.warning("list is empty, it is read again", rooms_before=known)
                listing = await self._pass()
            return listing
        finally:
            self.budget.withdraw(self)

    def _join(self) -> None:
        self._app.join(self)
        self.budget.bid(self)

    async def _pass(self) -> Listing:
        began = self._clock.monotonic()
        # By the vendor's clock, as it is the vendor that goes by these times.
        unix = self._clock.unix() - (self._signing.skew.skew or 0.0)
        full = not self._lists.tells_new or began >= self._full_at + self._settings.full_interval
        since = None if full else self._complete_at
        source = self._config.source
        listing = self._lists.begin(source, unix, since, self._settings.lookback)
        self._pages = 0
        error: str | None
        try:
            async with asyncio.timeout(LONGEST_PASS):
                failure = await self._read(listing)
            error = str(failure) if failure else listing.error
        except TimeoutError:
            failure, error = None, f"the pass took longer than {LONGEST_PASS:g} s"
        if failure and self._config.source != source:
            return await self._pass()  # with the secrets that somebody mended
        if failure is None and self._pages:
            self._succeeded()
        elif failure and failure.kind not in _BY_CHANCE:
            if listing.unsupported:
                return self._unsupported(failure.words)
            self._held = _Held(self._clock.monotonic() + _MENDED_AFTER, Result.FAILED, str(failure))
        if listing.complete:
            self._complete_at = unix
            if since is None:
                self._full_at, self._known = began, len(listing.rooms)
        elif not self._pages:
            return Listing(Result.FAILED, began, error=error)
        complete = listing.complete and since is None
        rooms = await self._rooms(listing)
        return Listing(Result.COMPLETE if complete else Result.PARTIAL, began, rooms, error)

    async def _rooms(self, listing: ListPass) -> dict[str, Room]:
        """The rooms of a pass, with the labels and thresholds that the source has for all its rooms."""
        defaults, turn = self._config.defaults, Turn()
        rooms: dict[str, Room] = {}
        for room_id in listing.rooms:
            rooms[room_id] = Room(room_id, defaults.labels, defaults.thresholds)
            if not len(rooms) % ROOMS_AT_A_TIME:
                await turn.let_others_run()
        return rooms

    async def _read(self, listing: ListPass) -> Failure | None:
        """Ask for page after page until the pass has ended; if it cannot go on, why."""
        due, attempts = self._clock.monotonic(), 0
        while not listing.complete and listing.error is None:
            failure = await self._read_page(listing, due)
            due = self._clock.monotonic()
            if failure is None:
                self._pages += 1
                attempts = 0
                continue
            self._log.debug("call failed", reason=str(failure.kind), code=failure.code)
            if failure.cool_down:
                self._app.silence(due + failure.cool_down)
            if failure.kind is FailureKind.UNAUTHORIZED:
                self._signing.refused()
                if self._unauthorized:
                    return failure
                self._unauthorized = True
                if await self._read_files():
                    return failure
            elif failure.kind not in _BY_CHANCE or attempts >= _ATTEMPTS:
                return failure
            else:
                due += self._backoff(failure, attempts)
                attempts += 1
        return None

    async def _read_page(self, listing: ListPass, due: float) -> Failure | None:
        page = self._page = _Page(listing, due, asyncio.get_running_loop().create_future())
        self.budget.arm()
        try:
            return await page.ended
        finally:
            if self._page is page:
                self._page = None

    async def _finish(self, page: _Page, request: Request, exchange: Exchange, paced: Pace, sent: Sent) -> None:
        """The rest of a call. Its pass may have been given up meanwhile: the budget's pace hears of it all the same."""
        try:
            response = await exchange.response()
            failure = response if isinstance(response, Failure) else None
            if isinstance(response, Response):
                paced.answered(sent, response.head_at)
                self._signing.measure(response)
                failure = page.listing.reply(response.status, response.headers, response.body)
                if failure is None and not page.ended.done() and not self._stopped:
                    self._hand_on(page.listing.page, response.arrival)
            if failure is not None:
                failure = request.redact_failure(failure, self._config.source.proxy_secrets)
                if failure.kind is FailureKind.RATE_LIMITED:
                    paced.rejected(sent, self._clock.monotonic(), failure.retry_after)
            if not page.ended.done():
                page.ended.set_result(failure)
        except Exception as error:  # noqa: BLE001 whatever it is, the job of the refresh hears of it
            if not page.ended.done():
                page.ended.set_exception(error)
        finally:
            self.budget.arm()

    def _hand_on(self, page: Mapping[str, Reading | None], arrival: Arrival) -> None:
        wanted = self._settings.counts or self._lists.answers_all
        if self._on_readings is None or not wanted or not self._lists.tells_users:
            return
        readings = {room: reading for room, reading in page.items() if reading is not None}
        if readings:
            self._on_readings(readings, Arrival(arrival.monotonic, arrival.unix, listed=True))

    def _backoff(self, failure: Failure, attempts: int) -> float:
        """Seconds to wait, full jitter; a slower pace takes care of calls that were too fast."""
        if failure.kind is FailureKind.TRANSIENT and failure.retry_after:
            return min(failure.retry_after, _LONGEST_SILENCE)
        return self._clock.uniform(0.0, min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0**attempts))

    def _succeeded(self) -> None:
        if self._logged:
            self._log.info("rooms can be listed again")
        self._unauthorized = self._logged = False

    def _unsupported(self, words: str) -> Listing:
        now = self._clock.monotonic()
        if not self._logged:
            self._logged = True
            self._log.warning("rooms cannot be listed", meaning=words)
        self._held = _Held(now + _SUPPORTED_AFTER, Result.UNSUPPORTED, words)
        return Listing(Result.UNSUPPORTED, now, error=words)

    async def _read_files(self) -> bool:
        """Read the files of secrets and certificates again; return whether one has changed."""
        config = self._config
        mended = await self._signing.reread(config)
        if mended == config or self._stopped or self._config is not config:  # a reload was faster
            return False
        other = mended.client_key != config.client_key
        self._use(mended, self._make_client(mended, self, self._clock) if other else None)
        self._held = None
        return True

    def _use(self, config: SourceConfig, client: Client | None) -> None:
        if config.source != self._config.source:
            self._signing.renew()
            self._unauthorized = False
        self._config = config
        if client is None:
            self._client.tune(config)
        else:
            self._client.retire()
            self._client = client
            if self._resting:
                client.retire()


def _for_lists(config: SourceConfig, settings: VendorListConfig) -> SourceConfig:
    """The source with its list's budget, so that no more connections are kept ready than that needs."""
    return replace(config, rate_limit=settings.rate_limit, budget=settings.budget)


def _lists(config: SourceConfig) -> Lists:
    if config.codec.lists is None:
        raise ValueError(f"{config.api} has no list of rooms")
    return config.codec.lists
