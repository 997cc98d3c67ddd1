"""
The oracle test: what /metrics says while vendors fail in every way they can, and while somebody changes the config.

Every second of a seeded storm a scrape is checked against the histories of the worlds of ten apps. Nothing may be
wrong, of another app, too old, 0 for unknown, or of a room or source that is not in the config; no limit may be broken;
and afterwards everything must be as before.
"""

import asyncio
import math
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import quantiles

import pytest

from exporter.simulator import SEVERAL_APPS
from exporter.simulator.settings import APIS
from tests.e2e.certificates import Certificates
from tests.e2e.config_changes import FEWEST_LISTED, Operator, Source, Wishes
from tests.e2e.disturbances import TooBusyError
from tests.e2e.oracle import Oracle
from tests.e2e.process import ExporterProcess, parse_rooms, sample
from tests.e2e.vendors import LENIENT, Vendors

pytestmark = pytest.mark.timed

FIRST_SUCCESS = 60.0
"""Seconds after a storm until a source's first successful call: trials are at most a minute apart."""

WEATHER: list[dict[str, object]] = [
    {"kind": "status", "status": 502, "probability": 0.05},
    {"kind": "status", "status": 503, "probability": 0.05},
    {"kind": "reset", "probability": 0.05},
    {"kind": "hang", "probability": 0.05},
    {"kind": "garbage", "probability": 0.05},
]


@dataclass(frozen=True, slots=True)
class Edition:
    """
    How long and how hard it storms.

    Attributes:
        rooms: How many each app has, by API.
        steady: How many of these the source watches that keeps its rooms; its app stays the first.
        moving: How many the sources watch that change, each.
        intervals: Seconds by API.
        timeout: Of a call, in seconds.
        scale: Length of an outage in seconds.
        calm: Seconds that the exporter has before the first trouble, and after the last.
        rounds: How often each trouble comes.
        reload_every: Seconds between two changes of the config.
    """

    rooms: Mapping[str, int]
    steady: Mapping[str, int]
    moving: Mapping[str, int]
    intervals: Mapping[str, float]
    timeout: float
    scale: float
    calm: float
    rounds: int
    reload_every: float

    def wishes(self, vendors: Vendors) -> Wishes:
        """
        What the operator begins with: of each API a source that stays as it is and one that wanders between two apps,
        of some APIs one that stays with the second app. One source has most of its rooms in a file and publishes the
        fullest, one calls over TLS, the rooms of one have intervals of their own.
        """
        sources = {}
        for api in APIS:
            known = tuple(vendors.world.room_ids(api))
            source = Source(api, known[: self.steady[api]], self.intervals[api], self.timeout)
            sources[api] = source
            sources[f"{api}.wanders"] = Source(api, known[-self.moving[api] :], self.intervals[api], self.timeout)
        for api in ("zego_zim", "tencent_im", "volcengine_rtc"):
            known = tuple(vendors.world.room_ids(api)[: self.moving[api]])
            app = 2 if api == "volcengine_rtc" else 1
            sources[f"{api}.second"] = Source(
                api, known, self.intervals[api], self.timeout, app=app, tls=api == "zego_zim"
            )
        # It has more rooms than its budget can read so often, so it spends every call that it may.
        api = "zego_rtc"
        sources[f"{api}.wanders"] = replace(
            sources[f"{api}.wanders"], interval=self.intervals[api] / 10, longest=2 * self.intervals[api]
        )
        api, listed = "tencent_im", tuple(vendors.world.room_ids("tencent_im")[:FEWEST_LISTED])
        sources[f"{api}.wanders"] = Source(
            api,
            tuple(vendors.world.room_ids(api)[-self.moving[api] :]),
            2 * self.intervals[api],
            self.timeout,
            listed=listed,
            publish={"top": 40},
        )
        return Wishes(sources)


QUICK = Edition(
    rooms={
        "zego_rtc": 140,
        "zego_zim": 30,
        "tencent_im": 720,
        "tencent_live": 160,
        "volcengine_rtc": 40,
        "janus_videoroom": 60,
    },
    steady={
        "zego_rtc": 120,
        "zego_zim": 20,
        "tencent_im": 80,
        "tencent_live": 120,
        "volcengine_rtc": 35,
        "janus_videoroom": 50,
    },
    moving={
        "zego_rtc": 50,
        "zego_zim": 10,
        "tencent_im": 40,
        "tencent_live": 60,
        "volcengine_rtc": 12,
        "janus_videoroom": 20,
    },
    intervals=dict.fromkeys(APIS, 4.0),
    timeout=1.5,
    scale=7.0,
    calm=4.0,
    rounds=1,
    reload_every=2.2,
)
LONG = Edition(
    rooms={
        "zego_rtc": 700,
        "zego_zim": 150,
        "tencent_im": 1200,
        "tencent_live": 2100,
        "volcengine_rtc": 250,
        "janus_videoroom": 1200,
    },
    steady={
        "zego_rtc": 600,
        "zego_zim": 100,
        "tencent_im": 700,
        "tencent_live": 1500,
        "volcengine_rtc": 160,
        "janus_videoroom": 900,
    },
    moving={
        "zego_rtc": 150,
        "zego_zim": 30,
        "tencent_im": 200,
        "tencent_live": 600,
        "volcengine_rtc": 40,
        "janus_videoroom": 300,
    },
    intervals={**dict.fromkeys(APIS, 10.0), "tencent_live": 40.0},
    timeout=5.0,
    scale=60.0,
    calm=60.0,
    rounds=3,
    reload_every=20.0,
)


class Watch:
    """
    Scrapes every second and keeps what was wrong, and how old the readings of steady sources were, by API.
    """

    def __init__(self, vendors: Vendors, exporter: ExporterProcess, operator: Operator) -> None:
        self.wrong: list[str] = []
        self.scrapes = 0
        self.ages: dict[str, list[float]] = defaultdict(list)
        self._exporter = exporter
        self._oracle = Oracle(vendors, operator.timeline)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            began = time.time()
            text = (await self._exporter.text("/metrics"))[1]
            ended = time.time()
            rooms = parse_rooms(text)
            self.wrong += await self._oracle.violations(rooms, began, ended)
            self.wrong += self._oracle.strangers(text, began, ended)
            self.wrong += self._oracle.miscounted(text, began, ended)
            for samples in rooms.values():
                if samples.source == samples.api:
                    self.ages[samples.api].append(began - samples.read_at)
            self.scrapes += 1
            await asyncio.sleep(1)

    def p99(self, *apis: str) -> float:
        """Age in seconds that 99 of 100 readings did not exceed since this was last asked."""
        seen = [age for api in apis for age in self.ages[api]]
        for api in apis:
            self.ages[api] = []
        return quantiles(seen, n=100)[-1]


HEALTHY = {"zego": ("zego_rtc", "zego_zim"), "volcengine": ("volcengine_rtc",)}
"""Vendors whose readings must stay as fresh as they were while Tencent is gone."""


async def storm(vendors: Vendors, operator: Operator, watch: Watch, edition: Edition, dice: random.Random) -> None:
    """
    The weather all along, and on top one trouble after the other.
    """
    for fault in WEATHER:
        await vendors.post("faults", fault)
    await asyncio.sleep(edition.calm)
    watch.ages.clear()
    await asyncio.sleep(edition.scale)
    calm = {vendor: watch.p99(*apis) for vendor, apis in HEALTHY.items()}

    await outage(vendors, edition)
    for vendor, before in calm.items():
        during = watch.p99(*HEALTHY[vendor])
        # One hanging call more makes ten rooms older, by less than an interval; an outage, all by its length.
        assert during <= before + min(edition.intervals.values()), (
            f"{vendor}: p99 age {before:.1f} s before the outage, {during:.1f} s during"
        )
    for round_ in range(edition.rounds):
        if round_:
            await outage(vendors, edition)
        await other_troubles(vendors, operator, edition, dice)
    await vendors.delete("faults")


async def outage(vendors: Vendors, edition: Edition) -> None:
    """
    Tencent is gone for a while.
    """
    await vendors.post("faults", {"kind": "outage", "apis": ["tencent_im", "tencent_live"], "duration": edition.scale})
    await asyncio.sleep(edition.scale)


async def other_troubles(vendors: Vendors, operator: Operator, edition: Edition, dice: random.Random) -> None:
    """
    A vendor's clock is wrong, others refuse calls for a moment, and a secret is worthless until somebody reloads.
    """
    skewed = {"kind": "clock_skew", "apis": ["zego_rtc", "zego_zim"], "seconds": 900, "duration": edition.scale}
    await vendors.post("faults", skewed)
    for api in dice.sample(APIS, 3):
        burst = {"kind": "rate_limited", "apis": [api], "probability": 0.5, "duration": 0.5}
        await vendors.post("faults", burst)
        await asyncio.sleep(edition.scale / 6)
    revoked = {"kind": "revoked", "apis": ["volcengine_rtc"], "duration": edition.scale / 2}
    await vendors.post("faults", revoked)
    await asyncio.sleep(edition.scale / 2 + 0.5)
    # Somebody mends the secret and reloads.
    await operator.reload()
    await asyncio.sleep(edition.scale / 2)


async def all_fresh_again(exporter: ExporterProcess, wishes: Wishes) -> dict[str, str]:
    """
    Wait until every source has succeeded again and all its rooms are fresh, or known to be missing. Tells which were
    too late, and why.
    """
    over = time.time()
    waiting, first, late = dict(wishes.sources), dict[str, float](), dict[str, str]()
    longest = max(within(source) for source in waiting.values())
    text = ""
    while waiting and time.time() < over + FIRST_SUCCESS + longest + 1:
        text = (await exporter.text("/metrics"))[1]
        now = time.time()
        for name, source in list(waiting.items()):
            succeeded = sample(text, f"rtc_source_last_success_timestamp_seconds{{{labels(name, source)}}}") or 0
            if succeeded > over:
                first.setdefault(name, succeeded - over)
            if name in first and fresh(text, name, source) == len(source.all_rooms):
                del waiting[name]
                took = now - over - first[name]
                if first[name] > FIRST_SUCCESS or took > within(source):
                    late[name] = f"first success after {first[name]:.1f} s, every room {took:.1f} s later"
        await asyncio.sleep(0.25)
    for name, source in waiting.items():
        rooms = f"{fresh(text, name, source):.0f} of {len(source.all_rooms)} rooms"
        late[name] = f"{rooms} fresh, first success after {first.get(name, math.nan):.1f} s"
    return late


async def broken_limits(vendors: Vendors) -> object:
    """
    Limits that were broken, or why that cannot be told, which is no reason to be silent about everything else.
    """
    try:
        return await vendors.broken_limits()
    except TooBusyError as error:
        return error


def within(source: Source) -> float:
    """
    Seconds after its first success in which a source reads all its rooms.
    """
    return 2 * max(source.interval, source.longest) + 1


def labels(name: str, source: Source) -> str:
    """
    What every series of a source carries, but for what comes between source and vendor in the alphabet.
    """
    return f'api="{source.api}",source="{name}",vendor="{source.vendor}"'


def fresh(text: str, name: str, source: Source) -> float:
    """
    How many rooms of a source a scrape says are fresh or missing.
    """
    before, after = labels(name, source).rsplit(",", 1)
    series = [f'rtc_source_rooms{{{before},state="{state}",{after}}}' for state in ("fresh", "missing")]
    return sum(sample(text, each) or 0 for each in series)


@asynccontextmanager
async def meanwhile(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """
    Work that goes on until the block ends, and must not end before.
    """
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled(), task.exception()


@asynccontextmanager
async def running(
    folder: Path, edition: Edition, seed: int
) -> AsyncIterator[tuple[Vendors, ExporterProcess, Operator]]:
    """
    Vendors with several apps each, and the exporter that an operator looks after.
    """
    certificates = Certificates(folder)
    config = folder / "exporter.yml"
    async with Vendors(
        certificates=certificates, seed=seed, apps=SEVERAL_APPS, rooms=edition.rooms, churn=0.3, limits=LENIENT
    ) as vendors:
        exporter = ExporterProcess(config, "--web.enable-lifecycle")
        operator = Operator(vendors, exporter, certificates, edition.wishes(vendors), random.Random(seed))
        try:
            await operator.begin()
            yield vendors, exporter, operator
        finally:
            await exporter.stop()


@pytest.mark.parametrize(
    ("edition", "seed"),
    [
        pytest.param(QUICK, 1, id="quick", marks=pytest.mark.timeout(240)),
        pytest.param(LONG, 2, id="long", marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
)
async def test_nothing_false_is_published_in_a_storm(tmp_path: Path, edition: Edition, seed: int):
    """
    Zero violations while it storms and the config changes; afterwards every room is fresh again in time, nothing is
    left of what was removed, and memory is where it was.
    """
    async with running(tmp_path, edition, seed) as (vendors, exporter, operator):
        watch = Watch(vendors, exporter, operator)
        async with meanwhile(watch.run()):
            await asyncio.sleep(edition.calm + 2)
            memory = sample((await exporter.text("/metrics"))[1], "process_resident_memory_bytes") or 0
            async with meanwhile(operator.work(edition.reload_every)):
                await storm(vendors, operator, watch, edition, random.Random(seed))
            await operator.settle()
            late = await all_fresh_again(exporter, operator.wishes)
            await asyncio.sleep(edition.calm)
        after = sample((await exporter.text("/metrics"))[1], "process_resident_memory_bytes") or 0
        broken = await broken_limits(vendors)
        code = await exporter.stop()

    # A call that was refused for an ordered burst was not too fast; the sliding seconds tell what was.
    found = {"wrong": watch.wrong, "limits": broken, "not back in time": late, "reloads": operator.refused}
    assert {} == {what: these for what, these in found.items() if these}
    assert operator.done["apps"] >= 2
    assert operator.done["publish"] >= 1
    assert watch.scrapes > 20
    # The quick edition has warmed up for a few seconds only.
    assert after <= 1.1 * memory + (8e6 if edition is QUICK else 0)
    assert 0 == code
    words = ("Traceback", "destroyed", "Unclosed", "never awaited")
    assert [] == [line for line in exporter.log.splitlines() if any(word in line for word in words)]
