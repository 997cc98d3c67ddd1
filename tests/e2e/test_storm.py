"""
The oracle test: what /metrics says while vendors fail in every way they can.

Every second of a seeded storm a scrape is checked against the world's history. Nothing may be wrong, too old, 0 for
unknown, or of a room that is not watched; no limit may be broken; and afterwards everything must be as before.
"""

import asyncio
import random
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import pytest

from tests.e2e.oracle import Oracle
from tests.e2e.process import ExporterProcess, parse_rooms, sample
from tests.e2e.vendors import LENIENT, Vendors

pytestmark = pytest.mark.timed

VENDOR = {
    "zego_rtc": "zego",
    "zego_zim": "zego",
    "tencent_im": "tencent",
    "tencent_live": "tencent",
    "volcengine_rtc": "volcengine",
}


@dataclass(frozen=True, slots=True)
class Edition:
    """
    How long and how hard it storms.

    Attributes:
        intervals: Seconds by API.
        timeout: Of a call, in seconds.
        scale: Length of an outage in seconds.
        calm: Seconds that the exporter has before the first trouble, and after the last.
    """

    rooms: Mapping[str, int]
    intervals: Mapping[str, float]
    timeout: float
    scale: float
    calm: float

    def max_staleness(self) -> dict[str, float]:
        """Seconds by API: three intervals, as a source has by default."""
        return {api: 3 * interval for api, interval in self.intervals.items()}

    def config(self, vendors: Vendors) -> str:
        """The exporter's."""
        staleness = self.max_staleness()
        sources = {
            api: {"interval": f"{interval}s", "timeout": f"{self.timeout}s", "max_staleness": f"{staleness[api]}s"}
            for api, interval in self.intervals.items()
        }
        return vendors.config(**sources)


QUICK = Edition(
    rooms={"zego_rtc": 190, "zego_zim": 30, "tencent_im": 150, "tencent_live": 200, "volcengine_rtc": 70},
    intervals=dict.fromkeys(VENDOR, 4.0),
    timeout=1.5,
    scale=7.0,
    calm=4.0,
)
LONG = Edition(
    rooms={"zego_rtc": 900, "zego_zim": 150, "tencent_im": 1500, "tencent_live": 2100, "volcengine_rtc": 350},
    intervals={**dict.fromkeys(VENDOR, 10.0), "tencent_live": 40.0},
    timeout=5.0,
    scale=60.0,
    calm=120.0,
)
FIRST_SUCCESS = 60.0
"""Seconds after a storm until a source's first successful call: trials are at most a minute apart."""


WEATHER: list[dict[str, object]] = [
    {"kind": "status", "status": 502, "probability": 0.05},
    {"kind": "status", "status": 503, "probability": 0.05},
    {"kind": "reset", "probability": 0.05},
    {"kind": "hang", "probability": 0.05},
    {"kind": "garbage", "probability": 0.05},
]


class Watch:
    """
    Scrapes every second and keeps what was wrong, and how old readings were, by vendor.
    """

    def __init__(self, vendors: Vendors, exporter: ExporterProcess, edition: Edition) -> None:
        self.wrong: list[str] = []
        self.ages: dict[str, list[float]] = defaultdict(list)
        self._vendors, self._exporter = vendors, exporter
        self._oracle = Oracle(vendors)
        self._staleness = edition.max_staleness()
        self._watched = {(api, room) for api in edition.rooms for room in vendors.world.room_ids(api)}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            scraped = time.time()
            rooms = parse_rooms((await self._exporter.text("/metrics"))[1])
            self.wrong += await self._oracle.violations(rooms, scraped, self._staleness)
            self.wrong += [f"{key} is not watched" for key in rooms.keys() - self._watched]
            for samples in rooms.values():
                self.ages[VENDOR[samples.api]].append(scraped - samples.read_at)
            await asyncio.sleep(1)

    def p99(self, vendor: str) -> float:
        """Age in seconds that 99 of 100 readings did not exceed since this was last asked."""
        seen, self.ages[vendor] = self.ages[vendor], []
        return quantiles(seen, n=100)[-1]


Step = Callable[[], Awaitable[object]]


async def storm(
    vendors: Vendors, exporter: ExporterProcess, watch: Watch, edition: Edition, dice: random.Random
) -> None:
    """
    The weather all along, and on top one trouble after the other.
    """
    for fault in WEATHER:
        await vendors.post("faults", fault)
    await asyncio.sleep(edition.calm)
    watch.ages.clear()
    await asyncio.sleep(edition.scale)
    calm = {vendor: watch.p99(vendor) for vendor in ("zego", "volcengine")}

    await vendors.post("faults", {"kind": "outage", "apis": ["tencent_im", "tencent_live"], "duration": edition.scale})
    await asyncio.sleep(edition.scale)
    for vendor, before in calm.items():
        during = watch.p99(vendor)
        # One hanging call more makes ten rooms older, by less than an interval; an outage, all by its length.
        assert during <= before + min(edition.intervals.values()), (
            f"{vendor}: p99 age {before:.1f} s before the outage, {during:.1f} s during"
        )

    skewed = {"kind": "clock_skew", "apis": ["zego_rtc", "zego_zim"], "seconds": 900, "duration": edition.scale}
    await vendors.post("faults", skewed)
    for api in dice.sample(sorted(edition.rooms), 3):
        burst = {"kind": "rate_limited", "apis": [api], "probability": 0.5, "duration": 0.5}
        await vendors.post("faults", burst)
        await asyncio.sleep(edition.scale / 6)
    revoked = {"kind": "revoked", "apis": ["volcengine_rtc"], "duration": edition.scale / 2}
    await vendors.post("faults", revoked)
    await asyncio.sleep(edition.scale / 2 + 0.5)
    # Somebody mends the secret and reloads.
    exporter.signal(signal.SIGHUP)
    await asyncio.sleep(edition.scale / 2)
    await vendors.delete("faults")


async def all_fresh_again(exporter: ExporterProcess, edition: Edition, over: float) -> dict[str, tuple[float, float]]:
    """
    Seconds from the storm's end to each source's first success, and from there until all its rooms are fresh.
    """
    first: dict[str, float] = {}
    fresh: dict[str, float] = {}
    while len(fresh) < len(edition.rooms):
        text = (await exporter.text("/metrics"))[1]
        now = time.time()
        for api, rooms in edition.rooms.items():
            labels = f'api="{api}",source="{api}"'
            succeeded = sample(text, f'rtc_source_last_success_timestamp_seconds{{{labels},vendor="{VENDOR[api]}"}}')
            if succeeded is not None and succeeded > over:
                first.setdefault(api, succeeded - over)
            states = ("fresh", "missing")
            counts = [
                sample(text, f'rtc_source_rooms{{{labels},state="{state}",vendor="{VENDOR[api]}"}}') for state in states
            ]
            if api in first and sum(count or 0 for count in counts) == rooms:
                fresh.setdefault(api, now - over - first[api])
        assert now - over < 2 * FIRST_SUCCESS + 100, f"not fresh: {edition.rooms.keys() - fresh.keys()}"
        await asyncio.sleep(0.25)
    return {api: (first[api], fresh[api]) for api in fresh}


@pytest.mark.parametrize(
    ("edition", "seed"),
    [
        pytest.param(QUICK, 1, id="quick"),
        pytest.param(LONG, 2, id="long", marks=[pytest.mark.soak, pytest.mark.timeout(1200)]),
    ],
)
async def test_nothing_false_is_published_in_a_storm(tmp_path: Path, edition: Edition, seed: int):
    """
    Zero violations while it storms; afterwards every room is fresh again in time, and memory is where it was.
    """
    config = tmp_path / "exporter.yml"
    async with Vendors(seed=seed, rooms=edition.rooms, churn=0.3, limits=LENIENT) as vendors:
        config.write_text(edition.config(vendors))
        async with ExporterProcess(config) as exporter:
            watch = Watch(vendors, exporter, edition)
            watching = asyncio.create_task(watch.run())
            await asyncio.sleep(edition.calm + 2)
            memory = sample((await exporter.text("/metrics"))[1], "process_resident_memory_bytes") or 0
            await storm(vendors, exporter, watch, edition, random.Random(seed))
            back = await all_fresh_again(exporter, edition, time.time())
            await asyncio.sleep(edition.calm)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            assert watching.cancelled(), watching.exception()
            after = sample((await exporter.text("/metrics"))[1], "process_resident_memory_bytes") or 0
            broken = await vendors.broken_limits()
            code = await exporter.stop()

    assert [] == watch.wrong
    # A call that was refused for an ordered burst was not too fast; the sliding seconds tell what was.
    assert {} == broken
    late = {
        api: (first, fresh)
        for api, (first, fresh) in back.items()
        if first > FIRST_SUCCESS or fresh > 2 * edition.intervals[api] + 1
    }
    assert {} == late
    # The quick edition has warmed up for a few seconds only.
    assert after <= 1.1 * memory + (8e6 if edition is QUICK else 0)
    assert 0 == code
    assert not any(word in exporter.log for word in ("Traceback", "destroyed", "Unclosed", "never awaited"))
