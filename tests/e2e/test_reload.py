"""
Reload, kill and restart on the real command: what stays, what goes, and that no limit is broken on the way.
"""

import asyncio
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.process import ExporterProcess, free_port, parse_rooms, sample
from tests.e2e.vendors import LENIENT, Vendors

pytestmark = pytest.mark.timed
ZEGO_CALLS = 'rtc_source_calls_total{api="zego_rtc",source="zego_rtc",vendor="zego"}'
ZIM_CALLS = 'rtc_source_calls_total{api="zego_zim",source="zego_zim",vendor="zego"}'


async def metrics(exporter: ExporterProcess) -> str:
    """
    What a scrape shows now.
    """
    return (await exporter.text("/metrics"))[1]


async def until_published(exporter: ExporterProcess, rooms: int, within: float) -> float:
    """
    Wait for so many rooms; returns the seconds that it took.
    """
    began = time.monotonic()
    while time.monotonic() - began < within:
        if (await metrics(exporter)).count("\nrtc_room_users{") == rooms:
            return time.monotonic() - began
        await asyncio.sleep(0.1)
    raise AssertionError(f"not {rooms} rooms after {within} s: {exporter.log}")


async def test_a_reload_changes_what_changed_and_nothing_else(tmp_path: Path):
    """
    Other credentials are used when the next call is due; both sources keep readings and counters; a removed one leaves
    nothing behind.
    """
    config = tmp_path / "exporter.yml"
    async with Vendors(rooms={"zego_rtc": 100, "zego_zim": 20}, limits=LENIENT) as vendors:
        config.write_text(vendors.config(zego_rtc={}, zego_zim={"interval": "3s"}))
        async with ExporterProcess(config, "--web.enable-lifecycle") as exporter:
            await until_published(exporter, 120, within=10)
            before = await metrics(exporter)

            wrong = {"interval": "3s", "server_secret": "f" * 32}
            config.write_text(vendors.config(zego_rtc={}, zego_zim=wrong))
            assert (200, "OK\n") == await exporter.text("/-/reload", method="POST")
            await asyncio.sleep(4)
            after = await metrics(exporter)
            kept = parse_rooms(before).keys() & parse_rooms(after).keys()
            assert 120 == len(kept)
            assert (sample(after, ZEGO_CALLS) or 0) >= (sample(before, ZEGO_CALLS) or 0)
            assert 1 <= (sample(after, ZIM_CALLS) or 0) - (sample(before, ZIM_CALLS) or 0) <= 46
            unauthorized = 'rtc_source_state{api="zego_zim",source="zego_zim",state="unauthorized",vendor="zego"}'
            assert 1 == sample(after, unauthorized)

            config.write_text(vendors.config(zego_rtc={}))
            assert 200 == (await exporter.text("/-/reload", method="POST"))[0]
            assert "zego_zim" not in await metrics(exporter)
            assert "zego_zim" not in (await exporter.text("/api/v1/sources"))[1]
            broken = await vendors.broken_limits()

    assert {} == broken


async def test_reloads_keep_readings_pace_and_limit(tmp_path: Path):
    """
    Ten reloads in a few seconds: no reading is ever gone, and no sliding second holds a call too many.
    """
    config = tmp_path / "exporter.yml"
    async with Vendors(rooms={"zego_rtc": 400}, limits=LENIENT) as vendors:
        config.write_text(vendors.config(zego_rtc={"interval": "4s"}))
        async with ExporterProcess(config) as exporter:
            await until_published(exporter, 400, within=10)
            for turn in range(10):
                config.write_text(vendors.config(zego_rtc={"interval": f"{4 + turn % 2}s"}))
                exporter.signal(signal.SIGHUP)
                await asyncio.sleep(0.4)
                assert 400 == (await metrics(exporter)).count("\nrtc_room_users{")
            rejected = (await vendors.budget("zego_rtc"))["rejected"]
            broken = await vendors.broken_limits()

    assert (0, {}) == (rejected, broken)


async def test_a_reload_over_http_needs_the_flag_and_says_what_is_wrong(tmp_path: Path):
    """
    403 without the flag; 500 with the reason for a broken file, which changes nothing.
    """
    config = tmp_path / "exporter.yml"
    async with Vendors(rooms={"zego_rtc": 10}) as vendors:
        config.write_text(vendors.config(zego_rtc={}))
        async with ExporterProcess(config) as exporter:
            assert 403 == (await exporter.text("/-/reload", method="POST"))[0]
        async with ExporterProcess(config, "--web.enable-lifecycle") as exporter:
            config.write_text(vendors.config(zego_rtc={"interval": "soon"}))
            status, reason = await exporter.text("/-/reload", method="POST")
            text = await metrics(exporter)

    assert 500 == status
    assert "sources[0].interval: found 'soon'" in reason
    assert 0 == sample(text, "rtc_exporter_config_last_reload_successful")
    assert 10 == text.count("\nrtc_room_info{")


async def test_killed_in_the_middle_it_comes_back_within_one_interval_and_a_second(tmp_path: Path):
    """
    After kill -9 and a restart every room is published again in time, and the two lives together keep the limit.
    """
    config = tmp_path / "exporter.yml"
    async with Vendors(rooms={"zego_rtc": 600, "zego_zim": 100}, limits=LENIENT) as vendors:
        config.write_text(vendors.config(zego_rtc={}, zego_zim={}))
        async with ExporterProcess(config) as exporter:
            await asyncio.sleep(3)
            await exporter.stop(signal.SIGKILL)
        restarted = time.monotonic()
        async with ExporterProcess(config) as exporter:
            await until_published(exporter, 700, within=12)
            took = time.monotonic() - restarted
            broken = await vendors.broken_limits()

    assert took <= 11
    assert {} == broken


async def test_polling_goes_on_when_nobody_takes_the_log(tmp_path: Path):
    """
    With standard output and error closed, and on a full disk, rooms are read as ever.
    """
    config, port = tmp_path / "exporter.yml", free_port()
    flags = f"--config.file={config} --web.listen-address=127.0.0.1:{port} --log.level=debug"
    async with Vendors(rooms={"zego_zim": 20}) as vendors:
        config.write_text(vendors.config(zego_zim={"interval": "1s"}))
        await vendors.post("faults", {"kind": "status", "status": 502, "probability": 0.3})
        for outlet in (">&- 2>&-", ">/dev/full 2>&1"):
            process = await asyncio.create_subprocess_shell(f"exec {sys.executable} -m exporter run {flags} {outlet}")
            looking = ExporterProcess.at(config, port)
            async with looking:
                await until_published(looking, 20, within=8)
            process.terminate()
            assert 0 == await asyncio.wait_for(process.wait(), 6)
