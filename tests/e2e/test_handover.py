"""
Replicas that are killed, ended and frozen while they make all the calls that their vendor allows.

The vendor's kernel says when each call arrived. However a budget changes hands, no sliding second may hold more calls
than its limit.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.counting_vendor import CountingVendor
from tests.e2e.redis_server import RedisServer
from tests.e2e.replicas import Replica, Replicas, until
from tests.e2e.seconds import fullest

pytestmark = [pytest.mark.timed, pytest.mark.needs_program("redis-server")]

KILLED = 0.6
"""Seconds beyond the lease until the successor's first call after a kill."""

GRACEFUL = 1.0
"""Seconds without calls at most when a replica is told to end."""

MACHINE = 0.5
"""Seconds for which a busy machine may hold up a process that is woken up or a call that is due."""

LATE, STALL = 0.05, 2.0
"""Part of many hand-overs that a busy machine may make later than that, and by how many seconds at most."""


@dataclass(frozen=True, slots=True)
class Edition:
    """
    How much is shared, and how often it changes hands.
    """

    replicas: int
    budgets: int
    limit: int
    lease: float
    rounds: int

    def document(self, port: int) -> dict[str, Any]:
        """Sources that always have more rooms to ask for than their budgets allow."""
        rooms = [f"room-{number}" for number in range(12 * self.limit)]
        return {
            "sources": [
                {
                    "name": f"live{number}",
                    "api": "zego_rtc",
                    "app_id": 1_000_000 + number,
                    "server_secret": "0123456789abcdef" * 2,
                    "base_url": f"http://127.0.0.1:{port}",
                    "budget": f"{1_000_000 + number}",
                    "rate_limit": self.limit,
                    "interval": "1s",
                    "max_staleness": "1h",
                    "rooms": rooms,
                }
                for number in range(self.budgets)
            ]
        }


QUICK = Edition(replicas=4, budgets=4, limit=20, lease=2.0, rounds=1)
CONTROL = Edition(replicas=2, budgets=4, limit=100, lease=3.0, rounds=5)
LONG = Edition(replicas=3, budgets=12, limit=100, lease=3.0, rounds=20)


@dataclass(slots=True)
class Stage:
    """
    Replicas at work.

    Attributes:
        silences: Seconds without a call of each budget that changed hands.
    """

    edition: Edition
    vendor: CountingVendor
    redis: RedisServer
    replicas: Replicas
    silences: list[float] = field(default_factory=list)

    @property
    def lease(self) -> float:
        """Seconds."""
        return self.edition.lease

    async def at_pace(self) -> None:
        """Wait until every budget has been shared out, and called at nearly its limit for two seconds."""
        await self.replicas.until_shared(self.edition.budgets)

        async def full() -> bool:
            await self.vendor.report()
            since = time.time() - 2
            calls = [sum(moment > since for moment in moments[-500:]) for moments in self.vendor.by_app.values()]
            return len(calls) == self.edition.budgets and min(calls) >= 1.7 * self.edition.limit

        await until(full, 30)

    async def busiest(self) -> tuple[Replica, frozenset[str]]:
        """The replica that holds most budgets, and these."""
        held = await self.replicas.holders()
        name = max(held, key=lambda each: len(held[each]))
        return next(replica for replica in self.replicas.all if replica.name == name), held[name]

    async def first_calls(self, budgets: Iterable[str], since: float, within: float) -> None:
        """Wait for a call of each of these budgets after this Unix time, and note how long each was silent before."""
        wanted = set(budgets)

        async def called() -> bool:
            await self.vendor.report()
            return all(self.vendor.by_app[budget][-1] > since for budget in wanted)

        await until(called, within)
        for budget in wanted:
            moments = sorted(moment for moment in self.vendor.by_app[budget] if moment > since - 5)
            around = [(a, b) for a, b in itertools.pairwise(moments) if b > since]
            self.silences.append(max(b - a for a, b in around))

    def too_full(self, since: float = 0.0) -> dict[str, int]:
        """Budgets of which a sliding second after a Unix time held too many calls, with the most of them."""
        return {budget: calls for budget, calls in self._fullest(since).items() if calls > self.edition.limit}

    def figures(self) -> str:
        """What was measured."""
        silences = sorted(self.silences)
        middle = silences[len(silences) // 2]
        silent = f"{silences[0]:.2f} / {middle:.2f} / {silences[-1]:.2f} s without calls (min / median / max)"
        full = f"fullest second {max(self._fullest(0.0).values())} of {self.edition.limit}"
        return f"{len(silences)} hand-overs: {silent}; {full}"

    def _fullest(self, since: float) -> dict[str, int]:
        return {
            budget: fullest(moment for moment in moments if moment > since)
            for budget, moments in self.vendor.by_app.items()
        }


@asynccontextmanager
async def stage(folder: Path, edition: Edition, module: str = "exporter") -> AsyncIterator[Stage]:
    """A vendor, a Redis, and replicas at full pace, which run this module."""
    async with CountingVendor("127.0.0.1") as vendor, RedisServer(folder / "redis") as redis:
        names = [f"exporter-{number}" for number in range(edition.replicas)]
        document = edition.document(vendor.port)
        cluster = Replicas(folder, names, document, {"url": redis.url}, "--log.level=info", lease=edition.lease)
        for replica in cluster.all:
            replica.program = [sys.executable, "-m", module]
        async with cluster as replicas:
            at_work = Stage(edition, vendor, redis, replicas)
            await at_work.at_pace()
            yield at_work
            await vendor.report()


async def kill(at_work: Stage) -> Replica:
    """End one without a word: the others take over once the lease has run out, and not before."""
    replica, budgets = await at_work.busiest()
    killed = time.time()
    await replica.stop(signal.SIGKILL)
    await asyncio.sleep(0.3)
    await at_work.first_calls(budgets, killed + 0.25, within=at_work.lease + 5)
    return replica


async def end(at_work: Stage) -> Replica:
    """Tell one to end: the others go on at once, where it stopped, with its last calls and its pace."""
    replica, budgets = await at_work.busiest()
    told = time.time()
    assert 0 == await replica.stop()
    await at_work.first_calls(budgets, max(told, time.time() - 0.2), within=5)
    return replica


async def freeze(at_work: Stage) -> Replica:
    """Let one stand still for longer than its lease: when it goes on, it ends before it makes another call."""
    replica, budgets = await at_work.busiest()
    frozen = time.time()
    replica.signal(signal.SIGSTOP)
    await asyncio.sleep(at_work.lease + 2)
    await at_work.first_calls(budgets, frozen + 0.25, within=5)
    replica.signal(signal.SIGCONT)
    assert -signal.SIGALRM == await replica.ended()
    return replica


TROUBLES: Final[Mapping[Callable[[Stage], Awaitable[Replica]], Callable[[float], float]]] = {
    kill: lambda lease: lease + KILLED + MACHINE,
    end: lambda _: GRACEFUL + MACHINE,
    freeze: lambda lease: lease + KILLED + MACHINE,
}
"""For how many seconds nobody may call, by the lease."""


@pytest.mark.timeout(120)
async def test_each_in_turn(tmp_path: Path) -> None:
    """
    Of four replicas one is killed, one ended and one frozen. The last one has every budget, without a call too many.
    """
    async with stage(tmp_path, QUICK) as at_work:
        for trouble, longest in TROUBLES.items():
            await trouble(at_work)
            assert max(at_work.silences) <= longest(QUICK.lease)
            at_work.silences.clear()
            await at_work.at_pace()

    assert {} == at_work.too_full()


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_again_and_again(
    tmp_path: Path, trouble: Callable[[Stage], Awaitable[Replica]], tell: Callable[[str], None]
) -> None:
    """
    Three replicas at 1,200 calls a second, one of which is troubled and started again twenty times.
    """
    async with stage(tmp_path, LONG) as at_work:
        for _ in range(LONG.rounds):
            replica = await trouble(at_work)
            await replica.start()
            await at_work.at_pace()

    tell(at_work.figures())
    assert {} == at_work.too_full()
    longest = TROUBLES[trouble](LONG.lease)
    assert sum(silence > longest for silence in at_work.silences) <= LATE * len(at_work.silences)
    assert max(at_work.silences) <= longest + STALL


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_without_fences_a_frozen_replica_breaks_the_limit(tmp_path: Path, tell: Callable[[str], None]) -> None:
    """
    The control run: what the other tests hold is held by the fences, and the vendor here sees what they would let by.
    """
    broken = []
    async with stage(tmp_path, CONTROL, "tests.e2e.unfenced") as at_work:
        for _ in range(CONTROL.rounds):
            replica, budgets = await at_work.busiest()
            frozen = time.time()
            replica.signal(signal.SIGSTOP)
            await asyncio.sleep(CONTROL.lease + 2)
            await at_work.first_calls(budgets, frozen + 0.25, within=5)
            replica.signal(signal.SIGCONT)
            await asyncio.sleep(CONTROL.lease)
            await at_work.at_pace()
            assert replica.runs
            broken.append(len(at_work.too_full(since=frozen).keys() & budgets))

    tell(f"{at_work.figures()}; {sum(broken)} of them broke the limit")
    assert all(broken)
