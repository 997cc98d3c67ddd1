"""
What replicas publish while they are killed, ended and frozen, held against the vendors' own worlds.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from exporter.simulator.settings import APIS
from tests.e2e.oracle import Oracle, Timeline, Watched
from tests.e2e.process import parse_rooms
from tests.e2e.redis_server import RedisServer
from tests.e2e.replicas import Replica, Replicas
from tests.e2e.test_storm import meanwhile
from tests.e2e.vendors import LENIENT, Vendors

pytestmark = [pytest.mark.timed, pytest.mark.needs_program("redis-server")]

LEASE: Final = 2.0
INTERVAL: Final = 3.0
STALENESS: Final = 30.0
FOUND: Final = 3.0
"""Seconds from a takeover to the next scrape here, on a busy machine."""

TROUBLES: Final = signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP

ROOMS: Final = {
    "zego_rtc": 120,
    "zego_zim": 20,
    "tencent_im": 100,
    "tencent_live": 100,
    "volcengine_rtc": 30,
    "janus_videoroom": 40,
}


@dataclass(slots=True)
class Watch:
    """
    Scrapes every replica once a second.

    Attributes:
        wrong: What was false.
        longest: Seconds for which no replica showed a room, by room; in ``all``, for which a replica did not.
        twice: How often two replicas showed one room at the same moment.
    """

    oracle: Oracle
    replicas: Replicas
    serve: str
    wrong: list[str] = field(default_factory=list)
    longest: float = 0.0
    twice: int = 0
    scrapes: int = 0
    shown_at: dict[tuple[str, tuple[str, str]], float] = field(default_factory=dict)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            running = [replica for replica in self.replicas.all if replica.runs]
            began = time.time()
            texts = await asyncio.gather(*(asyncio.wait_for(self._text(replica), 1) for replica in running))
            ended = time.time()
            seen: list[set[tuple[str, str]]] = []
            for replica, text in zip(running, texts, strict=True):
                rooms = parse_rooms(text)
                self.wrong += await self.oracle.violations(rooms, began, ended)
                seen.append(set(rooms))
                for key in rooms:
                    self._shown(replica.name if self.serve == "all" else "any", key, ended)
                self.scrapes += 1
            self.twice += sum(len(a & b) for number, a in enumerate(seen) for b in seen[:number])
            await asyncio.sleep(1)

    async def _text(self, replica: Replica) -> str:
        try:
            return await asyncio.wait_for(replica.metrics(), 0.9)
        except TimeoutError:  # it is frozen
            return ""

    def forget(self, replica: Replica) -> None:
        """It has ended, so that it shows no room, for however long."""
        self.shown_at = {key: at for key, at in self.shown_at.items() if key[0] != replica.name}

    def _shown(self, where: str, key: tuple[str, str], now: float) -> None:
        before = self.shown_at.get((where, key))
        if before is not None:
            self.longest = max(self.longest, now - before)
        self.shown_at[where, key] = now


def document(vendors: Vendors) -> Mapping[str, Any]:
    """A source of each API."""
    keys = {"interval": f"{INTERVAL:g}s", "max_staleness": f"{STALENESS:g}s", "timeout": "1500ms"}
    return dict(yaml.safe_load(vendors.config(**dict.fromkeys(APIS, keys))))


@pytest.mark.parametrize(
    ("serve", "rounds"),
    [
        pytest.param("own", 1, id="own"),
        *(pytest.param(serve, 20, id=f"{serve} for long", marks=pytest.mark.soak) for serve in ("own", "all")),
    ],
)
@pytest.mark.timeout(1800)
async def test_nothing_false_is_published(tmp_path: Path, serve: str, rounds: int) -> None:
    """
    Zero violations and zero calls over a limit; `all` has no gap, and `own` none longer than lease and a scrape.

    In each round three of four replicas fall, one after the other, and the last one has everything.
    """
    dice = random.Random(rounds)
    async with Vendors(seed=rounds, rooms=ROOMS, churn=0.3, limits=LENIENT) as vendors, RedisServer(tmp_path) as redis:
        rooms = {api: Watched(api, vendors.app(api), frozenset(vendors.world.room_ids(api)), STALENESS) for api in APIS}
        timeline = Timeline(rooms)
        names = [f"exporter-{number}" for number in range(4)]
        cluster = Replicas(tmp_path, names, document(vendors), {"url": redis.url}, lease=LEASE, serve=serve)
        async with cluster as replicas:
            await replicas.until_shared(len(APIS))
            await asyncio.sleep(INTERVAL + 1)
            watch = Watch(Oracle(vendors, timeline), replicas, serve)
            async with meanwhile(watch.run()):
                for round_ in range(rounds):
                    falling = dice.sample(replicas.all, len(TROUBLES))
                    for number, replica in zip(TROUBLES, falling, strict=True):
                        if number == signal.SIGSTOP:
                            replica.signal(number)
                            await asyncio.sleep(LEASE + 2)
                            replica.signal(signal.SIGCONT)
                            assert -signal.SIGALRM == await replica.ended()
                        else:
                            await replica.stop(number)
                            await asyncio.sleep(LEASE + 1)
                        watch.forget(replica)
                    if round_ < rounds - 1:
                        await asyncio.gather(*(replica.start() for replica in replicas.all if not replica.runs))
                        await replicas.until_shared(len(APIS))
                        await asyncio.sleep(2)
        broken = await vendors.broken_limits()

    assert [] == watch.wrong
    assert {} == broken
    assert watch.longest <= (2 * FOUND if serve == "all" else LEASE + 0.6 + FOUND)
    assert sum(ROOMS.values()) == len({key for _, key in watch.shown_at})
    assert watch.scrapes > 10 * rounds
