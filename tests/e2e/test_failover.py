"""
Replicas whose Redis has copies: one fails over to another, and what happens if both take themselves for the master.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.e2e.counting_vendor import CountingVendor
from tests.e2e.line import Line
from tests.e2e.redis_server import RedisServer
from tests.e2e.replicas import Replica, Replicas, until
from tests.e2e.test_handover import KILLED, MACHINE, Edition, Stage

pytestmark = [
    pytest.mark.timed,
    pytest.mark.soak,
    pytest.mark.timeout(300),
    pytest.mark.needs_program("redis-server", "redis-sentinel"),
]

EDITION: Final = Edition(replicas=2, budgets=4, limit=20, lease=3.0, rounds=1)
MAX_LAG: Final = 1
"""Seconds of silence after which a master without a copy takes no writes; Redis looks once a second."""

DOWN_AFTER: Final = MAX_LAG + 2.0
"""Seconds of silence after which a sentinel calls a master dead; as the documents want it."""

FOUND: Final = 1.0
"""Seconds after which a replica has found the new master."""


@pytest.mark.parametrize(("copies", "lease"), [(1, 8.0), (2, 3.0)])
async def test_sentinels_fail_over(tmp_path: Path, copies: int, lease: float, tell: Callable[[str], None]) -> None:
    """
    Three sentinels replace a killed master, and no owner changes. If the leases lasted that long, calls go on; if not,
    they go on a lease later. The next replica that is killed is replaced on the new master as ever.

    With two servers a master must take writes without a copy; with three it need not.
    """
    edition = dataclasses.replace(EDITION, lease=lease)
    wanted = ["min-replicas-to-write 1", f"min-replicas-max-lag {MAX_LAG}"] if copies > 1 else []
    async with AsyncExitStack() as stack:
        vendor = await stack.enter_async_context(CountingVendor("127.0.0.1"))
        master = await stack.enter_async_context(RedisServer(tmp_path / "master", lines=wanted))
        follow = f"replicaof 127.0.0.1 {master.port}"
        for number in range(copies):
            await stack.enter_async_context(RedisServer(tmp_path / f"copy{number}", lines=[*wanted, follow]))
        sentinels = [
            await stack.enter_async_context(_sentinel(tmp_path / f"sentinel{number}", master.port))
            for number in range(3)
        ]
        redis = {
            "url": "redis:///0",
            "sentinels": [f"127.0.0.1:{sentinel.port}" for sentinel in sentinels],
            "master": "mymaster",
        }
        document = edition.document(vendor.port)
        names = [f"exporter-{number}" for number in range(edition.replicas)]
        replicas = Replicas(tmp_path, names, document, redis, "--log.level=info", lease=lease)
        at_work = Stage(edition, vendor, master, await stack.enter_async_context(replicas))
        await at_work.at_pace()
        before = await replicas.holders()
        died = time.time()
        await master.kill()
        assert await until(lambda: _other_master(sentinels[0], master.port), within=30)
        replaced_after = time.time() - died
        await asyncio.sleep(lease)
        await at_work.at_pace()
        after = await replicas.holders()
        pause = _longest_pause(at_work, died)
        await asyncio.sleep(lease)
        replica, budgets = await at_work.busiest()
        killed = time.time()
        await replica.stop(signal.SIGKILL)
        await asyncio.sleep(0.3)
        await at_work.first_calls(budgets, killed + 0.25, within=lease + 5)
        await vendor.report()

    tell(f"new master after {replaced_after:.1f} s, {pause:.1f} s without calls; then {at_work.figures()}")
    assert {} == at_work.too_full()
    assert before == after
    unnoticed = lease - 1.6
    assert pause <= MACHINE + (
        0.3 if replaced_after + FOUND < unnoticed else replaced_after - unnoticed + FOUND + lease
    )
    assert max(at_work.silences) <= lease + KILLED + MACHINE


@pytest.mark.parametrize("demands_copies", [False, True])
async def test_two_masters(tmp_path: Path, demands_copies: bool) -> None:
    """
    The network parts one replica and the master from the rest. Where masters demand copies, the old one has stopped
    granting before the new one begins; where they do not, both replicas hold every budget, and the metrics tell.
    """
    async with _parted(tmp_path, demands_copies=demands_copies) as parted:
        stage = parted.stage
        await parted.part()
        await asyncio.sleep(2 * EDITION.lease + 2)
        held = await stage.replicas.holders()
        every = frozenset(stage.vendor.by_app)
        await stage.vendor.report()

    assert every == held["exporter-1"]
    assert (frozenset() if demands_copies else every) == held["exporter-0"]
    assert (frozenset() if demands_copies else every) == stage.too_full().keys()


@dataclass(slots=True)
class _Parted:
    """
    Two replicas, the second one with a line of its own to the master, and two copies that follow it over another line.
    """

    stage: Stage
    line: Line
    to_copies: Line
    copies: Sequence[RedisServer]

    async def part(self) -> None:
        """The copies and the second replica hear no more of the master; after a while a copy becomes theirs."""
        new, other = self.copies
        self.to_copies.open.clear()
        self.line.open.clear()
        await asyncio.sleep(DOWN_AFTER)
        assert await new.command("REPLICAOF", "NO", "ONE") == "+OK"
        assert await other.command("REPLICAOF", "127.0.0.1", str(new.port)) == "+OK"
        self.line.to = new.port
        self.line.reset()
        self.line.open.set()


@asynccontextmanager
async def _parted(folder: Path, *, demands_copies: bool) -> AsyncIterator[_Parted]:
    wanted = ["repl-timeout 60"]
    wanted += ["min-replicas-to-write 1", f"min-replicas-max-lag {MAX_LAG}"] if demands_copies else []
    async with AsyncExitStack() as stack:
        vendor = await stack.enter_async_context(CountingVendor("127.0.0.1"))
        master = await stack.enter_async_context(RedisServer(folder / "master", lines=wanted))
        line = await stack.enter_async_context(Line(master.port))
        to_copies = await stack.enter_async_context(Line(master.port))
        follow = f"replicaof 127.0.0.1 {to_copies.port}"
        copies = [
            await stack.enter_async_context(RedisServer(folder / f"copy{number}", lines=[*wanted, follow]))
            for number in range(2)
        ]
        names = [f"exporter-{number}" for number in range(2)]
        replicas = Replicas(folder, names, EDITION.document(vendor.port), {"url": master.url}, lease=EDITION.lease)
        _lead(replicas.all[1], line.port)
        stage = Stage(EDITION, vendor, master, await stack.enter_async_context(replicas))
        await stage.at_pace()
        yield _Parted(stage, line, to_copies, copies)


def _lead(replica: Replica, port: int) -> None:
    """Let this replica reach Redis at another port."""
    document = yaml.safe_load(replica.config_file.read_text())
    document["cluster"]["redis"]["url"] = f"redis://127.0.0.1:{port}/0"
    replica.config_file = replica.config_file.with_name(f"{replica.name}.yml")
    replica.config_file.write_text(yaml.safe_dump(document))


def _sentinel(folder: Path, master: int) -> RedisServer:
    down_after = f"sentinel down-after-milliseconds mymaster {1000 * DOWN_AFTER:.0f}"
    lines = [f"sentinel monitor mymaster 127.0.0.1 {master} 2", down_after, "sentinel failover-timeout mymaster 6000"]
    return RedisServer(folder, "redis-sentinel", lines=lines)


async def _other_master(sentinel: RedisServer, port: int) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", sentinel.port)
    try:
        writer.write(b"SENTINEL GET-MASTER-ADDR-BY-NAME mymaster\r\n")
        answer = [(await reader.readline()).strip() for _ in range(5)]
        return int(answer[4]) != port
    finally:
        writer.close()


def _longest_pause(stage: Stage, since: float) -> float:
    return max(
        max(b - a for a, b in itertools.pairwise(sorted(moments)) if b > since)
        for moments in stage.vendor.by_app.values()
    )
