"""
A world whose rooms open and close by themselves, and an exporter that has to find them.

The simulator tells when each room opened and closed; a scrape a second tells which rooms are published. The two are
compared: see `Findings`.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from exporter.simulator import APIS
from tests.e2e.process import ExporterProcess, free_port, watched_rooms
from tests.e2e.vendors import Vendors

SECRET, TOKEN = "callback-secret-of-the-test", "path-token-of-the-test-0123456789"
POLL = {**dict.fromkeys(APIS, 10.0), "tencent_live": 40.0, "janus_videoroom": 5.0}
"""Seconds from one poll of a room to the next: the defaults of the APIs."""

SOON, LIST_SLACK = 15.0, 10.0
HEARTBEATS = 100.0
"""Seconds for which ZEGO RTC must say "0 users" of a room whose end no callback has told."""

_LINGER = 10.0
_LIST = 20.0
_SLACK = 3.0
"""Seconds: a scrape a second, and a busy machine."""

TROUBLE = {"twice": 0.1, "forged": 0.1}
BY_LIST = {"lost": 0.5, "late": 0.5, "late_by": 60.0, "forged": 0.1}
"""For `tencent_im`: its callbacks are lost or late, so that the list has to find the rooms."""


@dataclass(slots=True)
class Life:
    """
    A room from its opening to its end, in Unix seconds, and when scrapes saw it first, and first no more.
    """

    api: str
    room: str
    opened: float
    closed: float = math.inf
    seen: float = math.inf
    gone: float = math.inf


@dataclass(slots=True)
class Findings:
    """
    What scrapes show, held against what happened.

    Attributes:
        lost: Rooms that were published and open, and then not published; and rooms of the operator that were not.
        ghosts: Published rooms that never were.
        troubled: Spans in which an API's list or calls failed, by API.
    """

    own: frozenset[tuple[str, str]]
    lives: dict[tuple[str, str], Life] = field(default_factory=dict)
    lost: set[tuple[str, str]] = field(default_factory=set)
    ghosts: set[tuple[str, str]] = field(default_factory=set)
    troubled: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    published: set[tuple[str, str]] = field(default_factory=set)

    def happened(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take note of openings and ends."""
        for event in events:
            key = event["api"], event["room"]
            if event["what"] == "open":
                self.lives[key] = Life(*key, event["at"])
            elif event["what"] == "close":
                self.lives[key].closed = event["at"]

    def scraped(self, published: set[tuple[str, str]], began: float, ended: float) -> None:
        """Hold a scrape that was made between these moments against what has happened before it ended."""
        for key in published - self.published:
            if key in self.lives:
                self.lives[key].seen = min(self.lives[key].seen, ended)
            elif key not in self.own:
                self.ghosts.add(key)
        for key in self.published - published:
            if key in self.lives:
                self.lives[key].gone = ended
                if self.lives[key].closed > began:
                    self.lost.add(key)
        self.lost |= self.own - published
        self.published = published

    def late(self, since: float, until: float) -> tuple[int, list[tuple[Life, float]]]:
        """
        How many rooms opened in that time, and those that were published too late, with the seconds that it took.

        A room that closed before it had to be published counts as late only if it was open for that long.
        """
        lives = [life for life in self.lives.values() if since <= life.opened]
        bounds = {api: _LIST + LIST_SLACK if api == "tencent_im" else SOON for api in APIS}
        due = [
            life
            for life in lives
            if life.opened + bounds[life.api] < min(until, life.closed)
            and not self._is_troubled(life.api, life.opened, life.opened + bounds[life.api])
        ]
        return len(due), [(life, life.seen - life.opened) for life in due if life.seen - life.opened > bounds[life.api]]

    def lingering(self, since: float, until: float) -> tuple[int, list[tuple[Life, float]]]:
        """How many published rooms closed in that time, and those that stayed too long, with the seconds."""
        bounds = {api: _LINGER + 2 * poll + _SLACK for api, poll in POLL.items()}
        due = [
            life
            for life in self.lives.values()
            if since <= life.closed < until - bounds[life.api]
            and life.seen < math.inf
            and not self._is_troubled(life.api, life.closed, life.closed + bounds[life.api])
        ]
        return len(due), [(life, life.gone - life.closed) for life in due if life.gone - life.closed > bounds[life.api]]

    def delays(self, since: float) -> dict[str, list[float]]:
        """Seconds from opening to publication of the rooms that opened since, by API, in order."""
        found: dict[str, list[float]] = {api: [] for api in APIS}
        for life in self.lives.values():
            if life.opened >= since and life.seen < math.inf:
                found[life.api].append(life.seen - life.opened)
        return {api: sorted(delays) for api, delays in found.items()}

    def _is_troubled(self, api: str, start: float, end: float) -> bool:
        return any(start < last and first < end for first, last in self.troubled[api])


class DiscoveredWorld:
    """
    The vendors with rooms that come and go, the exporter with all of its providers on, and somebody who compares.
    """

    def __init__(self, vendors: Vendors, exporter: ExporterProcess, own: frozenset[tuple[str, str]], port: int) -> None:
        self.vendors, self.exporter, self.findings = vendors, exporter, Findings(own)
        self._port, self._since = port, 0

    async def fill(self, rooms: Mapping[str, int]) -> None:
        """Open so many rooms at once; no callback tells of them."""
        for api, count in rooms.items():
            await self.vendors.post("traffic", {"api": api, "rooms": count})

    async def let_live(self, rates: Mapping[str, float], trouble: Mapping[str, Mapping[str, float]]) -> None:
        """From now on so many rooms a minute open and as many close, and callbacks tell of it, with that trouble."""
        for api, given in trouble.items():
            url = f"http://127.0.0.1:{self._port}/callback/{api}/{TOKEN}"
            await self.vendors.post("callbacks", {"api": api, "url": url, "secret": SECRET, **given})
        for api, rate in rates.items():
            await self.vendors.post("traffic", {"api": api, "opens": rate, "closes": rate, "changes": rate})

    async def settle(self, seconds: float) -> float:
        """Look until all open rooms are published; the seconds that it took."""
        began, missing = time.monotonic(), set(self.findings.lives)
        while time.monotonic() - began < seconds:
            await self.look()
            missing = self.findings.lives.keys() - self.findings.published
            if not missing:
                return time.monotonic() - began
        raise AssertionError(f"{len(missing)} rooms are not found: {sorted(missing)[:5]}")

    async def look(self) -> None:
        """Scrape once, a second after the last time."""
        began = time.time()
        text = (await self.exporter.text("/metrics"))[1]
        ended = time.time()
        await self._read_events()
        await self.vendors.calls.read()  # before the simulator forgets them
        self.findings.scraped(watched_rooms(text), began, ended)
        await asyncio.sleep(max(0.0, began + 1 - time.time()))

    async def look_for(self, seconds: float) -> None:
        """Scrape for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await self.look()

    async def trouble(self, seconds: float, *faults: Mapping[str, Any], hides: Iterable[str]) -> None:
        """Let these faults strike for so long; what these APIs tell may be late by it."""
        for fault in faults:
            await self.vendors.post("faults", {**fault, "duration": seconds})
        span = time.time() - 1, time.time() + seconds + _LIST
        for api in hides:
            self.findings.troubled[api].append(span)
        await self.look_for(seconds)

    async def _read_events(self) -> None:
        while True:
            page = await self.vendors.get("events", since=self._since, limit=10_000)
            assert not page["lost"]
            self.findings.happened(page["events"])
            self._since = page["next"]
            if self._since >= page["last"]:
                return


async def own_rooms(vendors: Vendors, each: int) -> frozenset[tuple[str, str]]:
    """Rooms that the config names: of each API so many that exist, and one that does not."""
    own = [(api, f"own-{number}") for api in APIS for number in range(each + 1)]
    for api, room in own:
        if not room.endswith("-0"):
            await vendors.post("rooms", {"api": api, "room": room, "do": "set", "users": 3})
    return frozenset(own)


def config(vendors: Vendors, own: Iterable[tuple[str, str]], port: int, **keys: Any) -> str:
    """
    A config's text: every provider that an API offers, with callbacks at that port.
    """
    sources = {}
    callbacks = {"secret": SECRET, "path_token": TOKEN}
    for api in APIS:
        discovery: dict[str, Any] = {"new_rooms_per_minute": 60_000, "linger": f"{_LINGER:g}s"}
        if api != "janus_videoroom":
            discovery["callbacks"] = callbacks
        if api == "zego_zim":
            discovery["http_sd"] = [{"url": f"{vendors.url}/_sim/http_sd/{api}", "refresh_interval": "2s"}]
        elif api == "janus_videoroom":
            discovery["vendor_list"] = {}
        else:
            discovery["vendor_list"] = {"interval": f"{_LIST:g}s"}
        rooms = [room for source, room in own if source == api]
        sources[api] = {"rooms": rooms, "discovery": {**discovery, **keys}}
    document = yaml.safe_load(vendors.config(**sources))
    document["callbacks"] = {"listen_address": f"127.0.0.1:{port}"}
    return str(yaml.safe_dump(document, sort_keys=False))


async def begin(vendors: Vendors, folder: Path, rooms: Mapping[str, int], **keys: Any) -> DiscoveredWorld:
    """
    A world with so many open rooms, and an exporter that is not started yet.
    """
    port, own = free_port(), await own_rooms(vendors, 3)
    path = folder / "exporter.yml"
    path.write_text(config(vendors, own, port, **keys), encoding="utf-8")
    world = DiscoveredWorld(vendors, ExporterProcess(path), own, port)
    await world.fill(rooms)
    return world


def resident(pid: int) -> float:
    """Megabytes of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
