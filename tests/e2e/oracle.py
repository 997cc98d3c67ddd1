"""
The oracle: is every number that a scrape shows one that its app's world held when the vendor was asked?

A reading is true if there was a call for this room, to the app that its source asks, whose reply can have told it: the
app's world held the value at some moment between the call's receipt, less the API's own data lag, and its answer, and
the answer came before the reading and after the reading's call can have begun. Receipts and answers are taken from the
simulator's call log.

Which app a source asks may change with a reload. While a reload is under way, a scrape may show either side of it; once
it is done, what is shown must be true of the new config alone. See `Timeline`.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.e2e.process import RoomSamples, counted, sources, watched_rooms
from tests.e2e.vendors import Vendors

_CLOCKS = 0.001
"""Seconds: readings are published to the millisecond."""

_HELD_UP = 3.0
"""Seconds for which a busy machine may keep the exporter from reading a reply that is there."""

_FIELDS = {
    "rtc_room_users": "users",
    "rtc_room_admin_users": "admin",
    "rtc_room_invisible_users": "invisible",
    "rtc_room_exists": "exists",
}


@dataclass(frozen=True, slots=True)
class Watched:
    """
    What a source watches.

    Attributes:
        app: The id of the app that it asks, as text.
        max_staleness, timeout: Seconds.
        publishes_all: Whether each of its rooms has series.
    """

    api: str
    app: str
    rooms: frozenset[str]
    max_staleness: float
    timeout: float = 5.0
    publishes_all: bool = True


Config = Mapping[str, Watched]
"""By source name."""


@dataclass(slots=True)
class _Era:
    """A config may hold from `ordered` on, and holds alone from `done` on, in Unix seconds."""

    config: Config
    ordered: float
    done: float


class Timeline:
    """
    The configs that the exporter was given, one after the other.

    ::

        order(B) ---- files are written, the reload is asked for ---- done()
           A          A or B                                            B
    """

    def __init__(self, config: Config) -> None:
        self._eras = [_Era(config, -math.inf, -math.inf)]

    @property
    def now(self) -> Config:
        """The config that was ordered last."""
        return self._eras[-1].config

    def order(self, config: Config) -> None:
        """From now on the exporter may go over to this config."""
        self._eras.append(_Era(config, time.time(), math.inf))

    def done(self) -> None:
        """The exporter has gone over to the config that was ordered last."""
        self._eras[-1].done = time.time()

    def between(self, began: float, ended: float) -> list[Config]:
        """The configs that may have held at some moment between."""
        last = max(index for index, era in enumerate(self._eras) if era.done <= began)
        return [era.config for era in self._eras[last:] if era.ordered <= ended]


class Oracle:
    """
    Judges scrapes against the simulated vendors' worlds.
    """

    def __init__(self, vendors: Vendors, timeline: Timeline) -> None:
        self._vendors, self._timeline = vendors, timeline

    async def violations(self, rooms: Mapping[tuple[str, str], RoomSamples], began: float, ended: float) -> list[str]:
        """
        What is wrong with the rooms of a scrape, in words.

        Args:
            began, ended: Unix times between which the scrape was made.
        """
        await self._vendors.calls.read()
        configs = self._timeline.between(began, ended)
        wrong = []
        for samples in rooms.values():
            candidates = [config[samples.source] for config in configs if samples.source in config]
            if fault := self._fault(samples, candidates, began):
                wrong.append(f"{samples.source} {samples.room!r}: {fault}")
        return wrong

    def strangers(self, text: str, began: float, ended: float) -> list[str]:
        """
        Sources of which a scrape's text says anything though they are not in the config, and rooms that it says are
        watched though they are not, or leaves out.
        """
        configs = self._timeline.between(began, ended)
        known = {name for config in configs for name in config}
        wrong = [f"{name}: not in the config" for name in sorted(sources(text) - known)]
        found = watched_rooms(text)
        if len(configs) == 1:
            wanted = {(name, room) for name, watched in configs[0].items() for room in watched.rooms}
            wrong += [f"{name} {room!r}: not watched, but shown" for name, room in sorted(found - wanted)]
            missed = [(name, room) for name, room in sorted(wanted - found) if configs[0][name].publishes_all]
            wrong += [f"{name} {room!r}: watched, but not shown" for name, room in missed]
        return wrong

    def miscounted(self, text: str, began: float, ended: float) -> list[str]:
        """Sources whose numbers of rooms are wrong: of those that are watched, and of those that have series."""
        configs = self._timeline.between(began, ended)
        if len(configs) > 1:
            return []
        found = watched_rooms(text)
        return [fault for name, watched in configs[0].items() if (fault := _miscounted(text, name, watched, found))]

    def _fault(self, samples: RoomSamples, candidates: list[Watched], began: float) -> str | None:
        if not candidates:
            return "no source of this name is in the config"
        # A rooms file may be read before the config that came with it.
        if not any(samples.room in watched.rooms for watched in candidates):
            return "not watched"
        faults = [self._fault_in(samples, watched, began) for watched in candidates]
        return faults[-1] if all(faults) else None

    def _fault_in(self, samples: RoomSamples, watched: Watched, began: float) -> str | None:
        if began - samples.read_at > watched.max_staleness:
            return f"{began - samples.read_at:.1f} s old"
        since = samples.read_at - watched.timeout - _HELD_UP
        calls = self._vendors.calls.asked(
            watched.api, watched.app, samples.room, since=since, until=samples.read_at + _CLOCKS
        )
        told = {name: samples.values[name] for name in _FIELDS if name in samples.values}
        world, lag = self._vendors.worlds.of(watched.api, watched.app), self._vendors.settings.refresh_of(watched.api)
        held = []
        for call in reversed(calls):
            states = world.states(watched.api, samples.room, call.received - lag, call.answered)
            if all(value in {getattr(state, _FIELDS[name]) for state in states} for name, value in told.items()):
                return None
            held.append(sorted({state.users for state in states}))
        if not held:
            return f"app {watched.app} was not asked for it before the reading at {samples.read_at:.3f}"
        return f"{told} of the reading at {samples.read_at:.3f}, but app {watched.app} held {held} users"


def _miscounted(text: str, name: str, watched: Watched, found: set[tuple[str, str]]) -> str | None:
    """What is wrong with the numbers of all rooms of a source, of which some may have no series."""
    shown = len([room for source, room in found if source == name])
    published, known = (counted(text, name, f"rtc_source_{what}") for what in ("published_rooms", "room_sizes"))
    rooms = counted(text, name, "rtc_source_rooms")
    numbers = f"{shown} of {published:.0f} published rooms shown, of {rooms:.0f} and not {len(watched.rooms)} watched"
    return None if (shown, len(watched.rooms)) == (published, rooms) and known <= rooms else f"{name}: {numbers}"


class Gaps:
    """
    The times between two readings of a room, as scrapes show them; each reading counts once.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], float] = {}
        self.by_api: dict[str, list[float]] = defaultdict(list)

    def see(self, rooms: Iterable[RoomSamples]) -> None:
        """Take in one scrape."""
        for samples in rooms:
            key = samples.source, samples.room
            last = self._last.get(key)
            if last is not None and samples.read_at > last:
                self.by_api[samples.api].append(samples.read_at - last)
            self._last[key] = samples.read_at
