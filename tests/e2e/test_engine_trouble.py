"""
What an engine may do to replicas at work: nothing that costs a call too many, and a pause at most.

Each trouble has a row in docs/cluster.md that says what it costs.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.counting_vendor import CountingVendor
from tests.e2e.line import Line
from tests.e2e.redis_server import RedisServer
from tests.e2e.replicas import Replicas
from tests.e2e.test_handover import MACHINE, Edition, Stage

pytestmark = [pytest.mark.timed, pytest.mark.needs_program("redis-server")]

EDITION: Final = Edition(replicas=2, budgets=4, limit=20, lease=3.0, rounds=1)
UNNOTICED: Final = EDITION.lease - 1.6
"""Seconds for which an engine may be away without a pause in the calls."""

AWAY: Final = 4.0
"""Seconds after which the lease has run out."""


@dataclass(slots=True)
class Trouble:
    """
    The engine, and the line to it.
    """

    redis: RedisServer
    line: Line
    clock: Path

    async def restart_empty(self, after: float) -> None:
        """Killed, and back without its data."""
        await self.redis.kill()
        await asyncio.sleep(after)
        await self.redis.start()

    async def forget(self) -> None:
        """Somebody empties it."""
        assert await self.redis.command("FLUSHALL") == "+OK"

    async def pause(self, seconds: float) -> None:
        """It keeps clients waiting."""
        assert await self.redis.command("CLIENT", "PAUSE", str(round(1000 * seconds))) == "+OK"
        await asyncio.sleep(seconds)

    async def freeze(self, seconds: float) -> None:
        """Its process stands still."""
        self.redis.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self.redis.signal(signal.SIGCONT)

    async def hole(self, seconds: float) -> None:
        """The network loses everything for a while, and nobody is told."""
        self.line.open.clear()
        await asyncio.sleep(seconds)
        self.line.open.set()

    async def reset(self) -> None:
        """Every connection is broken."""
        self.line.reset()

    async def slow(self, seconds: float) -> None:
        """An answer takes 300 ms."""
        self.line.delay = 0.15
        await asyncio.sleep(seconds)
        self.line.delay = 0.0

    async def full(self) -> None:
        """Its memory is full: it refuses what it would have to keep, for a second."""
        assert await self.redis.command("CONFIG", "SET", "maxmemory", "1") == "+OK"
        await asyncio.sleep(1)
        assert await self.redis.command("CONFIG", "SET", "maxmemory", "0") == "+OK"

    async def evict(self) -> None:
        """Its memory is full, and it throws away whatever it likes."""
        assert await self.redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-random") == "+OK"
        await self.full()

    async def step_clock(self) -> None:
        """Its wall clock goes forward by an hour, and back by two."""
        for offset in ("+3600", "-3600"):
            self.clock.write_text(f"{offset}\n")
            stepped = await self.redis.command("EVAL", "return redis.call('TIME')[1] - ARGV[1]", "0", str(time.time()))
            assert abs(int(stepped.removeprefix(":")) - int(offset)) <= 1
            await asyncio.sleep(EDITION.lease)


LONGEST: Final[Mapping[str, tuple[Callable[[Trouble], Awaitable[None]], float]]] = {
    "reset": (lambda trouble: trouble.reset(), 0.3),
    "empty": (lambda trouble: trouble.forget(), 0.3),
    "restarted empty": (lambda trouble: trouble.restart_empty(UNNOTICED / 3), 0.3),
    "paused": (lambda trouble: trouble.pause(UNNOTICED / 2), 0.3),
    "hole": (lambda trouble: trouble.hole(UNNOTICED / 2), 0.3),
    "slow": (lambda trouble: trouble.slow(4), 0.3),
    "evicting": (lambda trouble: trouble.evict(), 0.3),
    "full": (lambda trouble: trouble.full(), 0.3),
    "clock stepped": (lambda trouble: trouble.step_clock(), 0.3),
    "frozen for long": (lambda trouble: trouble.freeze(AWAY), AWAY - UNNOTICED + 1.5),
    "hole for long": (lambda trouble: trouble.hole(AWAY), AWAY - UNNOTICED + 1.5),
    "away for long, back empty": (
        lambda trouble: trouble.restart_empty(AWAY),
        AWAY - UNNOTICED + EDITION.lease + 1.5,
    ),
}
"""Each trouble, and the longest time without a call that it may cost: 0.3 s is what a busy machine needs anyway."""
NEEDS: Final = {"clock stepped": [pytest.mark.needs_program("faketime", "valkey-server")]}
QUICK: Final = ("reset", "empty", "hole", "away for long, back empty")


def _stepped(folder: Path, clock: Path) -> RedisServer:
    """A server whose wall clock differs from the machine's by what a file says. Debian's Redis and faketime clash."""
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return RedisServer(folder, "valkey-server", environment=environment)


@asynccontextmanager
async def at_work(folder: Path, *, steps: bool) -> AsyncIterator[tuple[Stage, Trouble]]:
    """Replicas at full pace, and the means to trouble them."""
    async with AsyncExitStack() as stack:
        vendor = await stack.enter_async_context(CountingVendor("127.0.0.1"))
        clock = folder / "clock"
        clock.write_text("+0\n")
        redis = await stack.enter_async_context(
            _stepped(folder / "redis", clock) if steps else RedisServer(folder / "redis")
        )
        line = await stack.enter_async_context(Line(redis.port))
        names = [f"exporter-{number}" for number in range(EDITION.replicas)]
        url = {"url": f"redis://127.0.0.1:{line.port}/0"}
        cluster = Replicas(folder, names, EDITION.document(vendor.port), url, lease=EDITION.lease)
        stage = Stage(EDITION, vendor, redis, await stack.enter_async_context(cluster))
        await stage.at_pace()
        yield stage, Trouble(redis, line, clock)
        await vendor.report()


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(QUICK, id="quick"),
        *(pytest.param([name], id=name, marks=[pytest.mark.soak, *NEEDS.get(name, ())]) for name in LONGEST),
    ],
)
async def test_trouble(tmp_path: Path, names: Sequence[str]) -> None:
    """
    No call too many, no longer pause than the documents say, and all budgets are called at full pace afterwards.
    """
    async with at_work(tmp_path, steps="clock stepped" in names) as (stage, trouble):
        before = await stage.replicas.holders()
        for name in names:
            make, longest = LONGEST[name]
            began = time.time()
            await make(trouble)
            await asyncio.sleep(EDITION.lease)
            await stage.at_pace()
            pauses = [
                max(b - a for a, b in itertools.pairwise(sorted(moments)) if b > began)
                for moments in stage.vendor.by_app.values()
            ]
            assert max(pauses) <= longest + MACHINE, name
            assert before == await stage.replicas.holders(), name

    assert {} == stage.too_full()
