"""What one vendor call costs the processor: plan, slot, sign, call, parse, record."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.benchmarks.exporter import Exporter, source
from tests.benchmarks.program import Program
from tests.benchmarks.report import Row, share_of, times_less
from tests.benchmarks.scale import Scale
from tests.benchmarks.statistics import p50
from tests.benchmarks.vendor import CREDENTIALS, Vendor, rooms_of

RATE: Final = 200
_ROOMS: Final = 20_000
_UNLIMITED: Final = {"zego_rtc": 1_000_000}
_WARM_UP: Final = 4.0
_ROUNDS: Final = 6


def bench(scale: Scale) -> Sequence[Row]:
    """Processor time per call at 200 calls per second; three ways in turn, so that all share the weather."""
    rooms = rooms_of("zego_rtc", _ROOMS)
    seconds = scale.seconds / _ROUNDS
    calls = round(RATE * seconds)
    with (
        Vendor.start({"zego_rtc": _ROOMS}, _UNLIMITED) as vendor,
        tempfile.NamedTemporaryFile("w", suffix=".json") as file,
        Exporter([zego_source(vendor, rooms)]) as exporter,
    ):
        Path(file.name).write_text(json.dumps(rooms))
        exporter.wait_until_listening()
        time.sleep(_WARM_UP)
        with (
            Program.python("servers.calls", "bare", vendor.url, RATE, file.name) as bare,
            Program.python("servers.calls", "script", vendor.url, RATE, file.name) as script,
        ):
            ways: dict[str, Callable[[], float]] = {
                "ours": lambda: call_cpu(exporter, vendor, seconds),
                "bare": lambda: float(bare.order("calls", calls)) / calls,
                "script": lambda: float(script.order("calls", calls)) / calls,
            }
            costs: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(_ROUNDS):
                for name, way in ways.items():
                    with exporter.at_rest(name != "ours"):
                        costs[name].append(way())
    ours, theirs, scripts = (p50(costs[name]) for name in ways)
    what = "CPU per call, 10 ZEGO rooms, 200 calls/s"
    return [
        share_of("call-cpu", what, ours, "s", "bare aiohttp loop", theirs, 1.8),
        times_less("call-cpu", what, ours, "s", "requests, threads, Gauge", scripts, 3),
    ]


def zego_source(vendor: Vendor, rooms: Sequence[str]) -> dict[str, object]:
    """One ZEGO app that is always short of slots."""
    return source("live-cn", "zego_rtc", vendor.url, CREDENTIALS["zego_rtc"], rooms, rate_limit=RATE)


def call_cpu(exporter: Exporter, vendor: Vendor, seconds: float) -> float:
    """Seconds of processor time per call, over so many seconds."""
    vendor.forget()
    before = exporter.cpu()
    time.sleep(seconds)
    return (exporter.cpu() - before) / sum(counted.calls for counted in vendor.counted().values())
