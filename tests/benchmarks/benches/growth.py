"""How the cost of scrapes and polls grows with the number of rooms."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from tests.benchmarks.benches.call_cpu import call_cpu, zego_source
from tests.benchmarks.benches.peers import OURS
from tests.benchmarks.benches.scrape import cost
from tests.benchmarks.exporter import Exporter
from tests.benchmarks.report import Row, growth
from tests.benchmarks.scale import Scale
from tests.benchmarks.statistics import p50
from tests.benchmarks.vendor import Vendor, rooms_of

_SIZES: Final = (1_000, 10_000, 100_000, 300_000)
_SCRAPES: Final = 10
_WARM_UP: Final = 4.0
_INTERVAL: Final = 2.0
_NOISE: Final = 1.15
"""What a cost per call may seem to grow by: cache misses, and the weather on the machine."""


def bench(scale: Scale) -> Sequence[Row]:
    """Server CPU per scrape, and CPU per call, at each size beside the smallest one."""
    return [*_scrapes(), *_polls(scale)]


def _scrapes() -> list[Row]:
    rows = []
    for encoding in ("gzip", "identity"):
        costs = {}
        for rooms in _SIZES:
            with OURS.start(rooms) as program:
                costs[rooms] = p50(cost(program, encoding, _SCRAPES, rooms // 10).cpu)
        what = f"server CPU per scrape, {encoding}"
        rows += [
            growth("growth", what, rooms, costs[rooms], _SIZES[0], costs[_SIZES[0]], rooms / _SIZES[0])
            for rooms in _SIZES[1:]
        ]
    return rows


def _polls(scale: Scale) -> list[Row]:
    costs = {rooms: _poll(rooms, scale.seconds / 3) for rooms in _SIZES}
    what = "CPU per call of 10 rooms"
    return [growth("growth", what, rooms, costs[rooms], _SIZES[0], costs[_SIZES[0]], _NOISE) for rooms in _SIZES[1:]]


def _poll(rooms: int, seconds: float) -> float:
    with (
        Vendor.start({"zego_rtc": rooms}, {"zego_rtc": 1_000_000}) as vendor,
        Exporter([{**zego_source(vendor, rooms_of("zego_rtc", rooms)), "interval": f"{_INTERVAL:.0f}s"}]) as exporter,
    ):
        exporter.wait_until_listening()
        while not vendor.counted():  # three hundred thousand rooms take a while to be read
            time.sleep(0.1)
        time.sleep(_WARM_UP)
        # A thousand rooms are read in half a second, and then there is nothing to do until they are due again.
        return p50([call_cpu(exporter, vendor, max(seconds / 3, 2 * _INTERVAL)) for _ in range(3)])
