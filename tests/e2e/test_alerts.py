"""
Every alert on the real Prometheus, each in the trouble that it is for.
"""

import signal
from pathlib import Path

import pytest
import yaml

from tests.e2e.monitoring import DEPLOY, settled
from tests.e2e.stack import STAGE, Stack, running

ALERTS = {
    rule["alert"]
    for group in yaml.safe_load((DEPLOY / "prometheus/rules/alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}
ROOMS = {"zego_rtc": 70, "zego_zim": 10, "tencent_im": 10, "tencent_live": 120, "volcengine_rtc": 10}
PATIENCE = 60
"""Seconds that each step may take; on a machine that has nothing else to do none takes over 15."""


async def cause_every_trouble(stack: Stack) -> None:
    """
    A trouble for each source, and for each file that the exporter reads. The stage stays crowded where it can be read.
    """
    faults: list[dict[str, object]] = [
        # Half the pace is too slow for 70 rooms a second: RtcBudgetRateLimited, RtcSourceSlow.
        {"apis": ["zego_rtc"], "kind": "rate_limited", "duration": 1},
        {"apis": ["zego_zim"], "kind": "revoked"},  # RtcSourceUnauthorized
        {"apis": ["tencent_im"], "kind": "clock_skew", "seconds": 60},  # RtcSourceClockSkew
        # The vendor's "no paid package", for more than a hundred rooms: RtcSourceMisconfigured, RtcManyRoomsUnknown.
        {"apis": ["tencent_live"], "kind": "code", "code": "100007"},
        {"apis": ["volcengine_rtc"], "kind": "outage"},  # RtcSourceDown, RtcRoomUnknown
    ]
    for fault in faults:
        await stack.vendors.post("faults", fault)
    # RtcRoomUsersHalved
    await stack.vendors.post("rooms", {"api": "zego_rtc", "room": STAGE, "do": "set", "users": 10})
    # RtcConfigReloadFailed, RtcRoomsFileReloadFailed
    stack.config_file.write_text("sources: [", encoding="utf-8")
    stack.rooms_file.write_text("- targets: {", encoding="utf-8")
    stack.exporter.signal(signal.SIGHUP)


@pytest.mark.needs_program("prometheus", "alertmanager")
@pytest.mark.timeout(300)
async def test_every_alert_is_raised_by_its_trouble(tmp_path: Path):
    """
    First only the crowded stage is reported; then, with everything in trouble, every alert at the same time, but for
    the one that waits for the exporter to go.
    """
    crowded = {"RtcRoomAboveThreshold"}
    alive = ALERTS - {"RtcExporterDown"}
    async with running(tmp_path, ROOMS) as stack:

        async def exporter_is_missed() -> bool:
            return "RtcExporterDown" in await stack.prometheus.raised()

        await stack.put_on_stage(users=900)
        assert crowded == await settled(crowded, stack.prometheus.raised, PATIENCE)

        await cause_every_trouble(stack)
        assert alive == await settled(alive, stack.prometheus.raised, PATIENCE)

        await stack.exporter.stop()
        assert await settled(True, exporter_is_missed, PATIENCE)
