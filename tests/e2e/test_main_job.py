"""
The main job, end to end: the real command, every vendor API, every published number checked against the world.
"""

import asyncio
import re
import signal
import time
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.e2e.oracle import Gaps, Oracle, Timeline, Watched
from tests.e2e.process import ExporterProcess, parse_rooms, sample
from tests.e2e.vendors import LENIENT, Vendors, credentials
from tests.metrics.test_exposition import LE_OF_A_GAUGE

pytestmark = pytest.mark.timed

ROOMS = {
    "zego_rtc": 950,
    "zego_zim": 150,
    "tencent_im": 1500,
    "tencent_live": 2000,
    "volcengine_rtc": 350,
    "janus_videoroom": 600,
}
INTERVALS = {**dict.fromkeys(ROOMS, 10.0), "tencent_live": 40.0, "janus_videoroom": 5.0}


async def watch(vendors: Vendors, exporter: ExporterProcess, seconds: float) -> Gaps:
    """
    Scrape every second for a while; every number must be true and recent.
    """
    watched = {
        api: Watched(api, vendors.app(api), frozenset(vendors.world.room_ids(api)), max(30.0, 3 * 1.05 * interval))
        for api, interval in INTERVALS.items()
    }
    oracle, gaps = Oracle(vendors, Timeline(watched)), Gaps()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.time()
        rooms = await exporter.rooms()
        assert [] == await oracle.violations(rooms, began, time.time())
        gaps.see(rooms.values())
        await asyncio.sleep(1)
    return gaps


async def everything_published(exporter: ExporterProcess, rooms: int, within: float) -> float:
    """
    Wait until so many rooms are published; returns the seconds that it took.
    """
    started = time.monotonic()
    published = 0
    while (took := time.monotonic() - started) < within:
        # Counted, not parsed: whoever keeps a core busy here delays the calls that are being timed.
        published = (await exporter.text("/metrics"))[1].count("\nrtc_room_users{")
        if published == rooms:
            return took
        await asyncio.sleep(0.3)
    raise AssertionError(f"{published} of {rooms} rooms after {within} s: {exporter.log}")


@pytest.mark.parametrize(
    "seconds", [pytest.param(13, id="quick"), pytest.param(120, id="long", marks=pytest.mark.soak)]
)
@pytest.mark.timeout(300)
async def test_all_apis_are_published_in_time_and_in_truth(tmp_path: Path, seconds: int):
    """
    After one interval every room is published; then no limit is broken, no reading is late, and every number is true.
    """
    config = tmp_path / "exporter.yml"
    async with Vendors(rooms=ROOMS, limits=LENIENT) as vendors:
        config.write_text(vendors.config(**{api: {} for api in ROOMS}))
        async with ExporterProcess(config) as exporter:
            await everything_published(exporter, sum(ROOMS.values()), within=14)
            await vendors.delete("limits")
            gaps = await watch(vendors, exporter, seconds)
            seen = await vendors.budgets()
            broken = await vendors.broken_limits()

    assert {} == broken
    assert {} == {budget: report for budget, report in seen.items() if report["rejected"]}
    assert {} == {api: max(seen) for api, seen in gaps.by_api.items() if max(seen) > 1.1 * INTERVALS[api]}
    assert "missed" not in exporter.log
    assert "skipped" not in exporter.log


@pytest.mark.timeout(120)
async def test_a_budget_asked_for_too_much_is_used_to_the_full(tmp_path: Path):
    """
    1,500 rooms on an app that can serve 1,000 per interval: every slot is used, and all ages stretch alike to 15 s.
    """
    config = tmp_path / "exporter.yml"
    async with Vendors(rooms={"zego_rtc": 1500}, limits=LENIENT) as vendors:
        config.write_text(vendors.config(zego_rtc={}))
        async with ExporterProcess(config) as exporter:
            await everything_published(exporter, 1500, within=20)
            await vendors.delete("limits")
            began = time.monotonic()
            gaps = await watch(vendors, exporter, 20)
            seen = await vendors.budget("zego_rtc")
            elapsed = time.monotonic() - began
            broken = await vendors.broken_limits()

    assert seen["calls"] >= 0.97 * 10 * elapsed - 1
    assert (0, {}) == (seen["rejected"], broken)
    assert all(abs(gap - 15.3) <= 1.5 for gap in gaps.by_api["zego_rtc"])
    assert "missed" not in exporter.log
    assert "skipped" not in exporter.log


async def test_rooms_come_and_go_by_reload_and_by_file(tmp_path: Path):
    """
    A room added to the config or a rooms file is published soon, a removed one is gone, a broken file changes nothing.
    """
    config, listed = tmp_path / "exporter.yml", tmp_path / "rooms.txt"
    listed.write_text("# none yet\n")
    async with Vendors(rooms={"zego_zim": 30}) as vendors:
        ids = vendors.world.room_ids("zego_zim")
        config.write_text(vendors.config(zego_zim={"rooms": ids[:10], "rooms_files": ["rooms.txt"]}))
        async with ExporterProcess(config) as exporter:
            await everything_published(exporter, 10, within=8)

            config.write_text(vendors.config(zego_zim={"rooms": ids[1:11], "rooms_files": ["rooms.txt"]}))
            exporter.signal(signal.SIGHUP)
            await asyncio.sleep(2)
            assert {("zego_zim", room) for room in ids[1:11]} == (await exporter.rooms()).keys()

            listed.write_text("\n".join(ids[20:25]) + "\n")
            await asyncio.sleep(5)
            assert 15 == len(await exporter.rooms())

            config.write_text("sources: [")
            exporter.signal(signal.SIGHUP)
            listed.write_text("x" * 33 + "\n")
            await asyncio.sleep(5)
            text = (await exporter.text("/metrics"))[1]
            assert 15 == len(parse_rooms(text))
            assert 0 == sample(text, "rtc_exporter_config_last_reload_successful")
            assert 0 == sample(text, f'rtc_rooms_file_last_reload_successful{{file="{listed}"}}')
            assert "config not reloaded" in exporter.log
            assert "rooms.txt:1" in exporter.log


async def test_both_formats_pass_their_parsers(tmp_path: Path, needs_program):
    """
    Nothing in the text is worth a word of promtool's, and prometheus_client's parser takes the OpenMetrics.
    """
    promtool = needs_program("promtool")
    config = tmp_path / "exporter.yml"
    async with Vendors(rooms=dict.fromkeys(ROOMS, 20)) as vendors:
        config.write_text(vendors.config(**{api: {} for api in ROOMS}))
        async with ExporterProcess(config) as exporter:
            await everything_published(exporter, 20 * len(ROOMS), within=8)
            text = (await exporter.text("/metrics"))[1]
            openmetrics = await exporter.text("/metrics", headers={"Accept": "application/openmetrics-text"})
    lint = await asyncio.create_subprocess_exec(
        promtool, "check", "metrics", stdin=asyncio.subprocess.PIPE, stdout=-1, stderr=-1
    )
    out, err = await lint.communicate(text.encode())

    assert {LE_OF_A_GAUGE} == {*(out + err).splitlines(keepends=True)}
    families = {family.name for family in text_string_to_metric_families(openmetrics[1])}
    assert {"rtc_room_users", "rtc_source_calls", "rtc_budget_calls"} <= families


async def test_the_command_ends_in_time_and_in_peace(tmp_path: Path):
    """
    SIGTERM while calls hang: the process ends within five seconds, with exit code 0 and nothing left to complain about.
    """
    config = tmp_path / "exporter.yml"
    async with Vendors(rooms={"zego_zim": 30}) as vendors:
        config.write_text(vendors.config(zego_zim={"timeout": "20s"}))
        await vendors.post("faults", {"kind": "hang"})
        async with ExporterProcess(config) as exporter:
            await asyncio.sleep(2.5)
            began = time.monotonic()
            code = await exporter.stop()
            took = time.monotonic() - began

    assert (0, True) == (code, took < 5)
    assert not re.search("Traceback|destroyed|Unclosed|never awaited", exporter.log)


async def test_no_secret_leaves_the_process(tmp_path: Path):
    """
    While calls fail in every way, and the vendor echoes what it was sent, no secret or derivative is seen anywhere.
    """
    config = tmp_path / "exporter.yml"
    kinds: list[dict[str, object]] = [
        {"kind": "garbage"},
        {"kind": "status", "status": 502},
        {"kind": "status", "status": 302},
        {"kind": "reset"},
        {"kind": "cut"},
        {"kind": "rate_limited"},
        {"kind": "outage"},
        {"kind": "revoked"},
    ]
    async with Vendors(rooms=dict.fromkeys(ROOMS, 20)) as vendors:
        config.write_text(vendors.config(**{api: {"interval": "1s", "timeout": "1s"} for api in ROOMS}))
        await vendors.post("faults", {"kind": "echo"})
        for kind in kinds:
            await vendors.post("faults", {"probability": 0.1, **kind})
        async with ExporterProcess(config, "--log.level=debug") as exporter:
            await asyncio.sleep(8)
            pages = [
                (await exporter.text(path))[1]
                for path in ("/", "/metrics", "/api/v1/sources", "/api/v1/rooms", "/-/ready", "/nowhere")
            ]
        seen = "\n".join([exporter.log, *pages])

    secrets = [value for api in ROOMS for name, value in credentials(api).items() if "secret" in name]
    assert [] == [secret for secret in secrets if str(secret) in seen]
    assert not re.search(r"[Uu]ser[Ss]ig=|usersig.{0,3}eJ|eJy|Signature=|Credential=|HMAC-SHA256", seen)
