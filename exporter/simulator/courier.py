"""
Sends the callbacks, with the retries of each vendor and with the injected faults.
"""

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from exporter.simulator.callbacks import RETRIES, TIMEOUTS, Form, Letterhead, Message, write
from exporter.simulator.clock import Clock
from exporter.simulator.events import Event
from exporter.simulator.orders import one_of

_MOST_UNDER_WAY = 20_000
_CONNECTIONS = 32


class CallbackOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Send the callbacks of an app to that address. It replaces the order before for the same app and API.

    Attributes:
        app: The app id as text; None: the first app's.
        secret: The key of the signatures.
        form: The format of ZEGO's body.
        lost: Share of callbacks that are not sent.
        late: Share of callbacks that are sent `late_by` seconds later.
        twice: Share of callbacks that are sent twice.
        reordered: Share of callbacks that are sent after the next one.
        forged: Share of callbacks beside which a forged one is sent, of a room that never existed.

    Raises:
        ValueError: An unknown API, an address that is none, or a share that is not between 0 and 1.
    """

    api: str
    url: str
    secret: str
    app: str | None = None
    form: Form = "json"
    lost: float = 0.0
    late: float = 0.0
    late_by: float = 20.0
    twice: float = 0.0
    reordered: float = 0.0
    forged: float = 0.0

    def __post_init__(self) -> None:
        one_of("api", self.api, (*RETRIES,))
        if URL(self.url).scheme not in ("http", "https") or not URL(self.url).host:
            raise ValueError("url: not an http or https URL")
        if not self.secret:
            raise ValueError("secret: empty")
        for name in ("lost", "late", "twice", "reordered", "forged"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not between 0 and 1")
        if self.late_by < 0:
            raise ValueError(f"late_by: {self.late_by} is negative")


@dataclass(slots=True)
class Figures:
    """
    Counters of an app's callbacks.

    Attributes:
        events: Events for which a callback is due.
        lost: Events without a callback, because of an injected fault.
        forged: Forged callbacks.
        attempts: Requests.
        taken: Callbacks that the receiver answered with a 2xx status.
        refused: Attempts that it answered with another status, by status.
        unanswered: Attempts without an answer.
        given_up: Callbacks that failed at the last attempt.
    """

    events: int = 0
    lost: int = 0
    forged: int = 0
    attempts: int = 0
    taken: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    unanswered: int = 0
    given_up: int = 0


@dataclass(slots=True)
class _Subscription:
    order: CallbackOrder
    figures: Figures = field(default_factory=Figures)
    held: list[Event] = field(default_factory=list)


class Courier:
    """All callbacks under way."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self._clock = clock
        self._dice = random.Random(seed)
        self._subscriptions: dict[tuple[str, str], _Subscription] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._client: aiohttp.ClientSession | None = None
        self._number = 0

    def subscribe(self, order: CallbackOrder, app: str) -> None:
        """Tell that address of this app's events from now on."""
        self._subscriptions[order.api, app] = _Subscription(order)

    def unsubscribe(self) -> None:
        """Tell nobody any more."""
        self._subscriptions.clear()

    def report(self) -> list[dict[str, object]]:
        """To whom what is told, without secrets, and what became of it."""
        return [
            {"api": api, "app": app, "url": subscription.order.url, **msgspec.to_builtins(subscription.figures)}
            for (api, app), subscription in self._subscriptions.items()
        ]

    def tell(self, event: Event) -> None:
        """Send the callbacks of an event, without waiting."""
        subscription = self._subscriptions.get((event.api, event.app))
        if subscription is None:
            return
        order, figures = subscription.order, subscription.figures
        figures.events += 1
        if self._dice.random() < order.forged:
            self._forge(subscription, event)
        if self._dice.random() < order.lost or len(self._under_way) >= _MOST_UNDER_WAY:
            figures.lost += 1
            return
        if self._dice.random() < order.reordered:
            subscription.held.append(event)
            return
        delay = order.late_by if self._dice.random() < order.late else 0.0
        copies = 2 if self._dice.random() < order.twice else 1
        events, subscription.held = [*[event] * copies, *subscription.held], []
        self._start(self._send_all(subscription, events, delay))

    def send(self, event: Event, *, forged: bool = False) -> bool:
        """Send one callback without any trouble, or a forged one; whether there is an address for it."""
        subscription = self._subscriptions.get((event.api, event.app))
        if subscription is None:
            return False
        if forged:
            self._forge(subscription, event)
        else:
            self._start(self._send_all(subscription, [event], 0.0))
        return True

    def _forge(self, subscription: _Subscription, event: Event) -> None:
        subscription.figures.forged += 1
        message = self._message(subscription, event._replace(room=f"forged-{self._number:06d}"), "not-the-secret")
        self._start(self._send(subscription, message, retries=()))

    async def stop(self) -> None:
        """Give up what is under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _start(self, sending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(sending)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _send_all(self, subscription: _Subscription, events: list[Event], delay: float) -> None:
        if delay:
            await self._clock.sleep(delay)
        retries = RETRIES[subscription.order.api]
        last: tuple[Event, Message] | None = None
        for event in events:
            # The same event again is the same callback, byte for byte.
            message = last[1] if last and last[0] == event else self._message(subscription, event)
            last = event, message
            # One may have to be tried again: what comes after it does not wait.
            self._start(self._send(subscription, message, retries))
            await asyncio.sleep(0)

    def _message(self, subscription: _Subscription, event: Event, secret: str | None = None) -> Message:
        self._number += 1
        order = subscription.order
        return write(event, Letterhead(secret or order.secret, self._clock.time(), self._number, order.form))

    async def _send(self, subscription: _Subscription, message: Message, retries: tuple[float, ...]) -> None:
        pauses = iter(retries)
        while not await self._attempt(subscription, message):
            pause = next(pauses, None)
            if pause is None:
                subscription.figures.given_up += 1
                return
            await self._clock.sleep(pause)
        subscription.figures.taken += 1

    async def _attempt(self, subscription: _Subscription, message: Message) -> bool:
        """Whether the receiver took it: any 2xx."""
        if self._client is None:
            self._client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit_per_host=_CONNECTIONS))
        order, figures = subscription.order, subscription.figures
        figures.attempts += 1
        url = URL(f"{order.url}?{message.query}" if message.query else order.url, encoded=True)
        timeout = aiohttp.ClientTimeout(total=TIMEOUTS[order.api])
        headers = {"Content-Type": message.content_type}
        try:
            async with self._client.post(url, data=message.body, headers=headers, timeout=timeout) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError):
            figures.unanswered += 1
            return False
        if 200 <= response.status < 300:
            return True
        figures.refused[str(response.status)] = figures.refused.get(str(response.status), 0) + 1
        return False
