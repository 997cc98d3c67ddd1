"""
Rooms that find themselves, in a cluster of two real exporters: a callback goes to either of them, and either may end.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from tests.e2e.discovered import SECRET, TOKEN
from tests.e2e.process import counted, free_port, watched_rooms
from tests.e2e.redis_server import RedisServer
from tests.e2e.replicas import Replica, until
from tests.e2e.vendors import LENIENT, Vendors

pytestmark = [pytest.mark.timed, pytest.mark.needs_program("redis-server")]

LEASE = 2.0
SCRAPED = 0.4
MACHINE = 1.2
"""Seconds for which a busy machine may hold up replicas and scrapes."""

KILLED = LEASE + 0.6 + 2 * SCRAPED + MACHINE
ENDED = 1.0 + 2 * SCRAPED + MACHINE

FINDERS: Mapping[str, Mapping[str, Any]] = {
    "tencent_im": {"vendor_list": {"interval": "10m"}, "callbacks": {"secret": SECRET, "path_token": TOKEN}},
    "zego_rtc": {"vendor_list": {"interval": "3s"}},
    "zego_zim": {"http_sd": [{"refresh_interval": "2s"}]},
}
CALLED_BACK = "tencent_im"


class Pair:
    """
    Two replicas, each with a listener for callbacks of its own, and somebody who scrapes both.

    Attributes:
        seen: When each room was in a scrape of either, and in the last one before and the first one after.
        existed: Every room that was ever there.
    """

    def __init__(self, vendors: Vendors, redis: RedisServer, folder: Path) -> None:
        self.vendors = vendors
        self.seen: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self.existed: set[tuple[str, str]] = set()
        self.ports = {name: free_port() for name in ("a", "b")}
        self.replicas = {}
        for name, port in self.ports.items():
            sources = {}
            for api, finder in FINDERS.items():
                keys = dict(finder, linger="2s", new_rooms_per_minute=6_000)
                if "http_sd" in keys:
                    keys["http_sd"] = [{**keys["http_sd"][0], "url": f"{vendors.url}/_sim/http_sd/{api}"}]
                sources[api] = {"rooms": [], "interval": "2s", "discovery": keys}
            document = yaml.safe_load(vendors.config(**sources))
            document["callbacks"] = {"listen_address": f"127.0.0.1:{port}"}
            document["cluster"] = {"name": "rooms", "redis": {"url": redis.url}, "lease": f"{LEASE:g}s"}
            config_file = folder / f"{name}.yml"
            config_file.write_text(yaml.safe_dump(document))
            self.replicas[name] = Replica(name, config_file)

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(replica.start() for replica in self.replicas.values()))
        self.budgets = (await self.replicas["a"].metrics()).count("\nrtc_budget_held{")
        self._scraping = asyncio.create_task(self._scrape())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._scraping.cancel()
        await asyncio.gather(self._scraping, return_exceptions=True)
        running = [replica for replica in self.replicas.values() if replica.runs]
        await asyncio.gather(*(replica.stop(signal.SIGKILL) for replica in running))

    async def shared(self) -> None:
        """Wait until each budget has one holder, and each replica holds some."""

        async def held() -> bool:
            budgets = [await replica.held() for replica in self.replicas.values()]
            return all(budgets) and self.budgets == len(budgets[0] ^ budgets[1])

        await until(held, 30.0, self.told)

    async def told(self) -> object:
        """What each replica holds."""
        return [await replica.held() for replica in self.replicas.values()]

    async def holder(self, api: str) -> tuple[Replica, Replica]:
        """Who polls an API's rooms, and the other one."""
        a, b = self.replicas.values()
        return (a, b) if any(name.startswith(api) for name in await a.held()) else (b, a)

    async def call_back(self, replica: Replica) -> None:
        """Let the vendor send its callbacks to this replica."""
        url = f"http://127.0.0.1:{self.ports[replica.name]}/callback/{CALLED_BACK}/{TOKEN}"
        await self.vendors.post("callbacks", {"api": CALLED_BACK, "url": url, "secret": SECRET})

    async def order(self, api: str, room: str, do: str) -> float:
        """Open or close a room; the time of it."""
        self.existed.add((api, room))
        at = time.monotonic()
        await self.vendors.post("rooms", {"api": api, "room": room, "do": do})
        return at

    async def shown(self, room: str, within: float) -> float:
        """Wait until a room that was called back is published; the time of that."""

        async def shows() -> bool:
            return bool(self.seen.get((CALLED_BACK, room)))

        await until(shows, within)
        return self.seen[CALLED_BACK, room][0]

    def gaps(self, since: float) -> dict[tuple[str, str], float]:
        """The longest time for which each room was in no scrape, until the last scrape."""
        found = {}
        for room, moments in self.seen.items():
            later = [moment for moment in moments if moment >= since - 2 * SCRAPED]
            gaps = [two - one for one, two in itertools.pairwise([*later, self.scraped])]
            found[room] = max(gaps, default=self.scraped - since)
        return found

    async def _scrape(self) -> None:
        while True:
            self.scraped = time.monotonic()
            texts = await asyncio.gather(*(each.metrics() for each in self.replicas.values() if each.runs))
            ended = time.monotonic()
            for room in set().union(*map(watched_rooms, texts)):
                self.seen[room].append(ended)
            await asyncio.sleep(max(0.0, SCRAPED - (ended - self.scraped)))


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(1, marks=pytest.mark.timeout(120)),
        pytest.param(10, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
async def test_found_rooms_outlive_their_replica(tmp_path, rounds):
    """
    Lists and backends are asked by the holder alone. A callback that reaches the other replica finds its room within a
    second and a poll, also while the holder is dead. At a kill no room is missing for longer than the lease and a
    scrape, at SIGTERM for a second and a scrape. Nothing is shown that never was, and closed rooms go.
    """
    async with Vendors(rooms={}, limits=LENIENT) as vendors, RedisServer(tmp_path / "redis") as redis:
        pair = Pair(vendors, redis, tmp_path)
        for api, number in itertools.product(FINDERS, range(20)):
            await pair.order(api, f"open-{number}", "create")
        async with pair:
            await pair.shared()

            async def found() -> bool:
                return pair.existed <= pair.seen.keys()

            await until(found, 15.0)
            for turn in range(rounds):
                await _one_round(pair, turn)
        assert not pair.seen.keys() - pair.existed, "rooms that never were"


async def _one_round(pair: Pair, turn: int) -> None:
    holder, other = await pair.holder(CALLED_BACK)
    texts = {each.name: await each.metrics() for each in (holder, other)}
    for api in FINDERS:
        polls, rests = await pair.holder(api)
        asked = [counted(texts[each.name], api, "rtc_discovery_refreshes_total") for each in (polls, rests)]
        assert asked[0] > 0
        assert turn or asked[1] == 0, f"{api} is asked by both"

    # A callback that reaches the wrong replica.
    await pair.call_back(other)
    opened = await pair.order(CALLED_BACK, f"called-back-{turn}", "create")
    delays = [await pair.shown(f"called-back-{turn}", 5.0) - opened]
    closed = await pair.order(CALLED_BACK, "open-0" if not turn else f"called-back-{turn - 1}", "destroy")

    # The holder dies, and the vendor calls back the one that is left, which does not know it yet.
    holder.signal(signal.SIGKILL)
    killed = time.monotonic()
    await holder.ended()
    opened = await pair.order(CALLED_BACK, f"after-the-kill-{turn}", "create")
    delays.append(await pair.shown(f"after-the-kill-{turn}", LEASE + 5.0) - opened)
    await asyncio.sleep(max(0.0, closed + 12.0 - time.monotonic()) if turn else 3 * SCRAPED)
    gone = {(CALLED_BACK, "open-0")} if not turn else {(CALLED_BACK, f"called-back-{turn - 1}")}
    worst = [_no_gaps(pair, killed, KILLED, gone)]

    # It comes back, gets its part, and the other one ends in order.
    await holder.start()
    await pair.shared()
    began = time.monotonic()
    other.signal(signal.SIGTERM)
    assert 0 == await other.ended()
    await pair.call_back(holder)
    opened = await pair.order(CALLED_BACK, f"after-the-end-{turn}", "create")
    delays.append(await pair.shown(f"after-the-end-{turn}", 5.0) - opened)
    await asyncio.sleep(3 * SCRAPED)
    worst.append(_no_gaps(pair, began, ENDED, gone))
    for room in gone:
        assert pair.seen[room][-1] < closed + 15, "a closed room stays"
    pair.existed |= gone
    told = [[round(each, 2) for each in figures] for figures in (delays, worst)]
    sys.stdout.write(f"\ncallbacks {told[0]} s, gaps {told[1]} s")
    assert 2.0 + MACHINE > delays[0]
    assert KILLED + 1.0 > delays[1]
    assert 2.0 + MACHINE > delays[2]
    await other.start()
    await pair.shared()


def _no_gaps(pair: Pair, since: float, longest: float, gone: set[tuple[str, str]]) -> float:
    """Returns the longest gap since then, which must be shorter than this."""
    closed = {room for room in pair.seen if pair.seen[room][-1] < since} | gone
    gaps = {room: round(gap, 2) for room, gap in pair.gaps(since).items() if room not in closed}
    assert gaps
    assert {} == {room: gap for room, gap in gaps.items() if gap > longest}
    return max(gaps.values())
