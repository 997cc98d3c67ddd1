"""
How Prometheus and Alertmanager see one of two replicas being killed.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.e2e.monitoring import FASTER, Alertmanager, Pager, Prometheus, settled
from tests.e2e.redis_server import RedisServer
from tests.e2e.replicas import Replicas
from tests.e2e.vendors import LENIENT, Vendors

pytestmark = [
    pytest.mark.timed,
    pytest.mark.timeout(240),
    pytest.mark.needs_program("redis-server", "prometheus", "alertmanager"),
]

ABOVE: Final = "RtcRoomAboveThreshold"
STAGE: Final = "stage"
ROOMS: Final = {"zego_rtc": 5, "tencent_im": 5}
LEASE: Final = 2.0
SCRAPED: Final = 2.0
STEP: Final = 0.25
MACHINE: Final = 1.5
"""Seconds by which a busy machine may hold up a takeover, the first readings after it, and their scrape."""


@pytest.mark.parametrize("serve", ["own", pytest.param("all", marks=pytest.mark.soak)])
async def test_a_kill_as_operators_see_it(tmp_path: Path, serve: str, tell: Callable[[str], None]) -> None:
    """
    `all` shows no gap, and `own` none beyond a lease and a scrape; the alert fires on as one and the same.
    """
    async with watched(tmp_path, serve) as seen:
        await seen.vendors.post("rooms", [{"api": "zego_rtc", "room": STAGE, "do": "set", "users": 900}])
        assert 1 == await settled(1, seen.paged, within=60)
        before = await seen.alertmanager.alerts(ABOVE)
        began = time.time()
        held = await seen.replicas.holders()
        (holder,) = [replica for replica in seen.replicas.all if "zego_rtc" in held[replica.name]]
        await holder.stop(signal.SIGKILL)
        await asyncio.sleep(LEASE + 2 * SCRAPED + 2)
        rooms = await seen.prometheus.graph("max without (instance, pod) (rtc_room_users)", began, STEP)
        firing = await seen.prometheus.graph(f'ALERTS{{alertname="{ABOVE}",alertstate="firing"}}', began, STEP)
        after = await seen.alertmanager.alerts(ABOVE)

    gaps = [max(b - a for a, b in itertools.pairwise(moments)) - STEP for _, moments in rooms]
    ((_, fired),) = firing
    tell(f"{serve}: {max(gaps):.1f} s missing at most, of {len(rooms)} rooms")
    assert sum(ROOMS.values()) + 2 == len(rooms)
    assert max(gaps) <= (0.0 if serve == "all" else LEASE + 0.6 + SCRAPED + MACHINE)
    assert max(b - a for a, b in itertools.pairwise(fired)) <= STEP + 0.01
    assert [(alert["fingerprint"], alert["startsAt"]) for alert in before] == [
        (alert["fingerprint"], alert["startsAt"]) for alert in after
    ]
    assert [] == seen.pager.of(ABOVE, "resolved")


@dataclass(frozen=True, slots=True)
class Seen:
    """Two replicas, and what watches them."""

    vendors: Vendors
    replicas: Replicas
    prometheus: Prometheus
    alertmanager: Alertmanager
    pager: Pager

    async def paged(self) -> int:
        """How many alerts the pager was told of."""
        return len({alert.labels["room"] for alert in self.pager.of(ABOVE, receiver="operators")})


@asynccontextmanager
async def watched(folder: Path, serve: str) -> AsyncIterator[Seen]:
    """Everything running, and every room read."""
    async with AsyncExitStack() as stack:
        refresh = {"tencent_im": 0}
        vendors = await stack.enter_async_context(Vendors(rooms=ROOMS, churn=0, refresh=refresh, limits=LENIENT))
        redis = await stack.enter_async_context(RedisServer(folder / "redis"))
        pager = await stack.enter_async_context(Pager())
        alertmanager = await stack.enter_async_context(Alertmanager(folder, pager, FASTER))
        names = ["exporter-0", "exporter-1"]
        cluster = Replicas(folder, names, document(vendors), {"url": redis.url}, lease=LEASE, serve=serve)
        replicas = await stack.enter_async_context(cluster)
        addresses = ",".join(replica.url.removeprefix("http://") for replica in replicas.all)
        prometheus = Prometheus(folder, addresses, alertmanager.address, FASTER)
        seen = Seen(vendors, replicas, await stack.enter_async_context(prometheus), alertmanager, pager)
        await replicas.until_shared(len(ROOMS))
        yield seen


def document(vendors: Vendors) -> Mapping[str, Any]:
    """A source of each of two APIs, with a room that has a threshold."""
    stage = {"id": STAGE, "thresholds": {"warning": 700}}
    pace = {"interval": "1s", "timeout": "1s", "max_staleness": "30s"}
    sources = {api: {**pace, "budget": api, "rooms": [stage, *vendors.world.room_ids(api)]} for api in ROOMS}
    return dict(yaml.safe_load(vendors.config(**sources)))
