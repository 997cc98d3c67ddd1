"""
What several replicas cost: an exchange with the engine, and the processor time of a call with one, two and four.

The machine may have fewer cores than replicas, so nothing is said of how fast they are together. What counts is the
processor time that a call takes, all replicas together: if it stays the same, twice the cores make twice the calls.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from exporter.cluster.assignment import Unit
from exporter.cluster.observation import EXCHANGES_IN_LEASE, Observer
from exporter.cluster.redis import RedisEngine
from exporter.config.cluster import RedisConfig
from tests.benchmarks.exporter import Exporter, source
from tests.benchmarks.program import Program
from tests.benchmarks.report import Row, at_least, at_most, information
from tests.benchmarks.scale import Scale
from tests.benchmarks.statistics import p50
from tests.benchmarks.vendor import ZEGO_SECRET, Counted, rooms_of, worst_excess, zego_app_id
from tests.cluster.servers import running
from tests.programs import find_program

_LEASE: Final = 5.0
_BUDGETS: Final = 500
_REPLICAS: Final = 5
_EXCHANGES: Final = 100
_STATE: Final = json.dumps({"writes": [round(0.01 * number, 3) for number in range(100)]})

_APPS: Final = 20
"""Of each replica, with a limit of ten calls per second each."""

_ROOMS_PER_APP: Final = 300
_WARM_UP: Final = 5.0
_SHARED_WITHIN: Final = 60.0


def bench(scale: Scale) -> Sequence[Row]:
    """With a real Redis on this machine."""
    program = find_program("redis-server")
    if program is None:
        raise FileNotFoundError("redis-server is not installed; make test-deps brings it")
    with tempfile.TemporaryDirectory() as folder, running(program, Path(folder)) as server:
        exchange = asyncio.run(_exchange(server.config))
        rounds = [
            {replicas: _calls(replicas, server.port, scale) for replicas in (1, 2, 4)} for _ in range(scale.rounds)
        ]
    figures = {replicas: [each[replicas] for each in rounds] for replicas in (1, 2, 4)}
    cpu = {replicas: p50([each.cpu_per_call for each in of_each]) for replicas, of_each in figures.items()}
    alone = cpu[1]
    return [
        at_most("cluster", f"one exchange with {_BUDGETS} budgets and {_REPLICAS} replicas, p50", exchange, "s", 0.005),
        information("cluster", "CPU per call, 1 replica with 200 calls/s", alone, "s"),
        *(_scaling(replicas, alone / cpu[replicas]) for replicas in (2, 4)),
        at_most(
            "cluster",
            "calls over the limit in the worst second",
            max(each.excess for of_each in figures.values() for each in of_each),
            "calls",
            0,
        ),
    ]


def _scaling(replicas: int, ratio: float) -> Row:
    """On fewer cores than replicas the processor's caches are shared as well, so there is no bar."""
    what = f"calls per second of processor time: {replicas} replicas beside 1, 200 calls/s each"
    if replicas > (os.cpu_count() or 1):
        return information("cluster", what, 100 * ratio, "%")
    return at_least("cluster", what, 100 * ratio, "%", 90)


async def _exchange(config: RedisConfig) -> float:
    """Seconds for a request of one of the replicas, its answer, and what the replica makes of it."""
    engine = RedisEngine(config, "exchange", _LEASE)
    units = [Unit(f"budget-{number}", (f"budget-{number}",), (f"source-{number}",), 10.0) for number in range(_BUDGETS)]
    observers = [Observer(f"exporter-{number}", f"process-{number}", _LEASE) for number in range(_REPLICAS)]
    for observer in observers:
        observer.use(units, "config")
    took = []
    for number in range(_EXCHANGES + 4 * EXCHANGES_IN_LEASE):
        now = number * _LEASE / EXCHANGES_IN_LEASE
        for observer in observers:
            began = time.perf_counter()
            states = dict.fromkeys(sorted(observer.held)[number % EXCHANGES_IN_LEASE :: EXCHANGES_IN_LEASE], _STATE)
            request = observer.request(now, states)
            observer.replied(request, now, now, await engine.exchange(request))
            took.append(time.perf_counter() - began)
    await engine.aclose()
    held = [len(observer.held) for observer in observers]
    if sum(held) != _BUDGETS:
        raise ValueError(f"held: {held}")
    return p50(took[-_EXCHANGES * _REPLICAS :])


class _Figures:
    """
    Args:
        cpu: Processor time of all replicas.
    """

    def __init__(self, cpu: float, counts: Sequence[Counted]) -> None:
        self.cpu_per_call = cpu / sum(counted.calls for counted in counts)
        self.excess = worst_excess(counts)


def _calls(replicas: int, port: int, scale: Scale) -> _Figures:
    rooms = rooms_of("zego_rtc", _ROOMS_PER_APP)
    apps = replicas * _APPS
    cluster = {"name": f"calls-{replicas}", "redis": {"url": f"redis://127.0.0.1:{port}/0"}, "lease": f"{_LEASE:g}s"}
    with ExitStack() as stack:
        vendor = stack.enter_context(Program.python("servers.counter"))
        url = f"http://127.0.0.1:{vendor.port}"
        sources = [
            source(
                f"app-{number}",
                "zego_rtc",
                url,
                {"app_id": zego_app_id(number), "server_secret": ZEGO_SECRET},
                rooms,
            )
            for number in range(apps)
        ]
        exporters = [
            stack.enter_context(Exporter(sources, cluster={**cluster, "replica": f"exporter-{number}"}))
            for number in range(replicas)
        ]
        _wait_until_shared(exporters, apps)
        time.sleep(_WARM_UP)
        vendor.order("forget")
        before = sum(exporter.cpu() for exporter in exporters)
        time.sleep(scale.seconds)
        cpu = sum(exporter.cpu() for exporter in exporters) - before
        return _Figures(cpu, [Counted(told) for told in json.loads(vendor.order("report"))])


def _wait_until_shared(exporters: Sequence[Exporter], budgets: int) -> None:
    for exporter in exporters:
        exporter.wait_until_listening()
    deadline = time.monotonic() + _SHARED_WITHIN
    while True:
        held = [exporter.sample("rtc_budget_held") for exporter in exporters]
        if sum(held) == budgets and max(held) <= 1.25 * _APPS:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"budgets are not shared out: {held}")
        time.sleep(0.5)
