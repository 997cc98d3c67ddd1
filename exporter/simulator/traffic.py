"""Rooms that open and close by themselves, so many a minute."""

import random
from collections import deque
from dataclasses import dataclass, field

import msgspec

from exporter.simulator.clock import Clock
from exporter.simulator.orders import one_of, world_of
from exporter.simulator.settings import APIS
from exporter.simulator.world import World
from exporter.simulator.worlds import Worlds

TICK = 0.1
"""Seconds between two looks at what is due."""

_HIGHEST_RATE = 600_000
_MOST_ROOMS = 200_000
_MOST_USERS = 40


class TrafficOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Open and close rooms of an app from now on. It replaces what was ordered for that app before.

    Attributes:
        app: Whose rooms, the app id as text; None: the first app's.
        rooms: So many are opened at once.
        opens, closes, changes: So many rooms a minute open, close, and get another number of users.
        again: The share of openings for which a closed room is taken, which so begins a new life.
        remember: Seconds after its end for which a room's history is kept.

    Raises:
        ValueError: An unknown API, or a number out of range.
    """

    api: str
    app: str | None = None
    rooms: int = 0
    opens: float = 0.0
    closes: float = 0.0
    changes: float = 0.0
    again: float = 0.0
    remember: float = 900.0

    def __post_init__(self) -> None:
        one_of("api", self.api, APIS)
        if not 0 <= self.rooms <= _MOST_ROOMS:
            raise ValueError(f"rooms: {self.rooms} is not between 0 and {_MOST_ROOMS}")
        for name in ("opens", "closes", "changes"):
            if not 0 <= getattr(self, name) <= _HIGHEST_RATE:
                raise ValueError(f"{name}: {getattr(self, name)} is not between 0 and {_HIGHEST_RATE} a minute")
        if not 0 <= self.again <= 1:
            raise ValueError(f"again: {self.again} is not between 0 and 1")
        if self.remember < 0:
            raise ValueError(f"remember: {self.remember} is negative")


@dataclass(frozen=True, slots=True)
class TrafficReport:
    """Counters of an app's traffic."""

    order: TrafficOrder
    open: int
    opened: int
    closed: int


@dataclass(slots=True)
class _Stream:
    """One order at work. `due` has the moment of the next opening, closing and change, in monotonic seconds."""

    order: TrafficOrder
    world: World
    due: dict[str, float]
    open: list[str] = field(default_factory=list)
    closed: deque[tuple[float, str]] = field(default_factory=deque)
    opened: int = 0
    ended: int = 0


class Traffic:
    """All orders in force. The caller has to call `step` regularly."""

    def __init__(self, worlds: Worlds, clock: Clock, seed: int) -> None:
        self._worlds, self._clock = worlds, clock
        self._dice = random.Random(seed)
        self._streams: dict[tuple[str, str | None], _Stream] = {}
        self._rooms = 0

    def order(self, order: TrafficOrder) -> None:
        """
        Begin, in place of what was ordered for that app before.

        Raises:
            ValueError: The API's vendor has no such app.
        """
        world = world_of(self._worlds, order.api, order.app)
        now = self._clock.monotonic()
        rates = {"open": order.opens, "close": order.closes, "change": order.changes}
        due = {name: now + self._pause(rate) for name, rate in rates.items() if rate}
        before = self._streams.get((order.api, order.app))
        stream = _Stream(order, world, due)
        if before is not None:
            stream.open, stream.closed = before.open, before.closed
        self._streams[order.api, order.app] = stream
        for _ in range(order.rooms):
            self._open(stream)

    def end(self) -> None:
        """Open and close no more; rooms that are open stay open."""
        self._streams.clear()

    def report(self) -> list[TrafficReport]:
        """The orders in force."""
        return [
            TrafficReport(stream.order, len(stream.open), stream.opened, stream.ended)
            for stream in self._streams.values()
        ]

    def step(self) -> None:
        """Do what is due by now."""
        now = self._clock.monotonic()
        for stream in self._streams.values():
            while stream.due and min(stream.due.values()) <= now:
                self._do(stream, min(stream.due, key=stream.due.__getitem__))
            while stream.closed and stream.closed[0][0] + stream.order.remember <= now:
                stream.world.forget(stream.order.api, stream.closed.popleft()[1])

    def _do(self, stream: _Stream, what: str) -> None:
        if what == "open":
            self._open(stream)
            stream.due[what] += self._pause(stream.order.opens)
        elif what == "close":
            self._close(stream)
            stream.due[what] += self._pause(stream.order.closes)
        else:
            self._change(stream)
            stream.due[what] += self._pause(stream.order.changes)

    def _open(self, stream: _Stream) -> None:
        if stream.closed and self._dice.random() < stream.order.again:
            _, room = stream.closed.pop()
        else:
            self._rooms += 1
            room = f"popup-{self._rooms:06d}"
        stream.world.set(stream.order.api, room, self._dice.randint(1, _MOST_USERS))
        stream.open.append(room)
        stream.opened += 1

    def _close(self, stream: _Stream) -> None:
        if not stream.open:
            return
        place = self._dice.randrange(len(stream.open))
        stream.open[place], stream.open[-1] = stream.open[-1], stream.open[place]
        room = stream.open.pop()
        stream.world.destroy(stream.order.api, room)
        stream.closed.append((self._clock.monotonic(), room))
        stream.ended += 1

    def _change(self, stream: _Stream) -> None:
        if stream.open:
            room = self._dice.choice(stream.open)
            stream.world.set(stream.order.api, room, self._dice.randint(1, _MOST_USERS))

    def _pause(self, rate: float) -> float:
        """Seconds until the next of so many a minute, half as long to half as long again."""
        return self._dice.uniform(0.5, 1.5) * 60 / rate if rate else 0.0
