"""
A source moves to another budget, and the replicas of a cluster reload one after the other.
"""

from __future__ import annotations

import asyncio
import signal
import time

import pytest
import yaml

from tests.e2e.process import counted, parse_rooms
from tests.e2e.redis_server import RedisServer
from tests.e2e.replicas import Replica, until
from tests.e2e.vendors import Vendors

pytestmark = [pytest.mark.timed, pytest.mark.soak, pytest.mark.needs_program("redis-server")]

LEASE = 2.0


@pytest.mark.timeout(90)
async def test_a_source_that_moves_is_polled_by_one_replica(tmp_path):
    """
    The replica that has reloaded first holds the new budget, and makes no call for the source until the other one has
    reloaded, too. Then it goes on within a second or two, with the readings that there are.
    """
    async with Vendors(rooms={"zego_rtc": 5}) as vendors, RedisServer(tmp_path / "redis") as redis:

        def config(moved: str) -> str:
            budgets = {"first": "one", "second": "two", "moved": moved}
            sources = {name: {"api": "zego_rtc", "budget": each, "interval": "1s"} for name, each in budgets.items()}
            document = yaml.safe_load(vendors.config(**sources))
            document["cluster"] = {"name": "rooms", "redis": {"url": redis.url}, "lease": f"{LEASE:g}s"}
            return str(yaml.safe_dump(document))

        replicas = [Replica(name, tmp_path / f"{name}.yml") for name in ("a", "b")]
        for replica in replicas:
            replica.config_file.write_text(config("one"))
        try:
            await asyncio.gather(*(replica.start() for replica in replicas))

            async def shared() -> bool:
                return {frozenset({"one"}), frozenset({"two"})} == {await replica.held() for replica in replicas}

            await until(shared, 30.0)
            former, later = replicas if "one" in await replicas[0].held() else replicas[::-1]
            await asyncio.sleep(2.5)

            later.config_file.write_text(config("two"))
            later.signal(signal.SIGHUP)
            before = await _calls(former)
            await asyncio.sleep(3 * LEASE)
            assert 0 == await _calls(later)
            assert before + 3 < await _calls(former)
            assert await shared()

            former.config_file.write_text(config("two"))
            former.signal(signal.SIGHUP)
            began, before = time.monotonic(), await _calls(former)

            async def polls() -> bool:
                return await _calls(later) > 0 or await _calls(former) > before + 1

            await until(polls, 5.0)
            assert 3.0 > time.monotonic() - began
            # With the new loads the budgets may change hands again, and whoever holds "two" polls the source.
            for _ in range(20):
                shown = [{source for source, _ in parse_rooms(await each.metrics())} for each in replicas]
                assert "moved" not in shown[0] & shown[1]
                await asyncio.sleep(0.1)
            counts = [await _calls(each) for each in replicas]
            await asyncio.sleep(2.0)
            assert 1 == sum([await _calls(each) > count for each, count in zip(replicas, counts, strict=True)])
        finally:
            await asyncio.gather(*(replica.stop(signal.SIGKILL) for replica in replicas if replica.runs))


async def _calls(replica: Replica) -> float:
    return counted(await replica.metrics(), "moved", "rtc_source_calls_total")
