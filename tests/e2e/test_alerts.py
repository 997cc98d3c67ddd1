"""
Every alert on the real Prometheus, each in the trouble that it is for.
"""

import asyncio
import signal
from pathlib import Path

import pytest
import yaml

from tests.e2e.monitoring import DEPLOY, SHORTEST_LOOK_BACK, settled
from tests.e2e.stack import SECRET, STAGE, Stack, running

ALERTS = {
    rule["alert"]
    for group in yaml.safe_load((DEPLOY / "prometheus/rules/alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
NOT_HERE = {
    "RtcExporterDown",  # comes last
    "RtcRoomsMissing",  # takes a day
    "RtcUnexpectedErrors",  # takes a bug
    "RtcScrapeTooLarge",  # takes 25,000 rooms
    "RtcWebConfigReloadFailed",  # takes a web config
    "RtcRoomRising",  # takes minutes of rising
    "RtcShardingMismatch",  # takes shards
    # These take a cluster.
    "RtcBudgetOrphaned",
    "RtcBudgetHeldTwice",
    "RtcClusterConfigMismatch",
    "RtcClusterEngineUnreachable",
    "RtcDiscoveryFindsNothing",  # takes an hour's quarter without a room
    "RtcCallbacksSilent",  # takes a process that is older than half an hour
}
"""Those that are not raised by the trouble; promtool has them all."""

ROOMS = {"zego_rtc": 70, "zego_zim": 10, "tencent_im": 10, "tencent_live": 120, "volcengine_rtc": 10}
PATIENCE = 60
"""Seconds that each step may take; on a machine that has nothing else to do none takes over 15."""


async def cause_every_trouble(stack: Stack) -> None:
    """
    A trouble for each source, and for each file that the exporter reads.
    """
    faults: list[dict[str, object]] = [
        # Half the pace is too slow for 70 rooms a second: RtcBudgetRateLimited, RtcSourceSlow.
        {"apis": ["zego_rtc"], "kind": "rate_limited", "duration": 1},
        {"apis": ["zego_zim"], "kind": "revoked"},  # RtcSourceUnauthorized
        {"apis": ["tencent_im"], "kind": "clock_skew", "seconds": 60},  # RtcSourceClockSkew
        # The vendor's "no paid package", for more than a hundred rooms: RtcSourceMisconfigured, RtcManyRoomsUnknown.
        {"apis": ["tencent_live"], "kind": "code", "code": "100007"},
        {"apis": ["volcengine_rtc"], "kind": "outage"},  # RtcSourceDown, RtcRoomUnknown
        {"apis": ["volcengine_rtc"], "kind": "status", "status": 500, "calls": "http_sd"},  # RtcDiscoveryOutdated
    ]
    for fault in faults:
        await stack.vendors.post("faults", fault)
    empty = [{"api": "tencent_im", "room": room, "do": "set", "users": 1} for room in stack.listed()]
    orders: list[dict[str, object]] = [
        {"api": "zego_rtc", "room": STAGE, "do": "set", "users": 10},  # RtcRoomUsersHalved
        {"api": "tencent_im", "room": STAGE, "do": "destroy"},  # RtcRoomClosed
        {"api": "zego_zim", "room": "one too many", "do": "create"},  # RtcDiscoveryRoomsRejected
        *empty,  # RtcSourceUsersHalved, of the source whose rooms are in a file of their own
    ]
    await stack.vendors.post("rooms", orders)
    await stack.vendors.post("callbacks", {"api": "zego_zim", "url": stack.callbacks, "secret": SECRET})
    for number in range(30):  # RtcCallbacksRefused
        forged = {"api": "zego_zim", "room": f"forged-{number}", "what": "open", "forged": True}
        await stack.vendors.post("callbacks/send", forged)
    # RtcConfigReloadFailed, RtcRoomsFileReloadFailed
    stack.config_file.write_text("sources: [", encoding="utf-8")
    stack.rooms_file.write_text("- targets: {", encoding="utf-8")
    stack.exporter.signal(signal.SIGHUP)


@pytest.mark.needs_program("prometheus", "alertmanager")
@pytest.mark.timeout(300)
async def test_every_alert_is_raised_by_its_trouble(tmp_path: Path):
    """
    First only the crowded stage is reported; then, with everything in trouble, every alert there is, but for those that
    take a day, a bug, very many rooms, a web config or much patience.
    """
    first = {"RtcRoomAboveThreshold", "RtcWatchdog"}
    seen: set[str] = set()
    async with running(tmp_path, ROOMS, discovery=True) as stack:

        async def raised_so_far() -> set[str]:
            seen.update(await stack.prometheus.raised())
            return set(seen)

        fill = [{"api": "tencent_im", "room": room, "do": "set", "users": 50} for room in stack.listed()]
        await stack.vendors.post("rooms", fill)
        await stack.put_on_stage(users=900)
        assert first == await settled(first, raised_so_far, PATIENCE)
        await asyncio.sleep(SHORTEST_LOOK_BACK)

        without_rooms = {"RtcSourceWithoutRooms", "RtcWatchedRoomsHalved"}
        expected = ALERTS - NOT_HERE - without_rooms
        await cause_every_trouble(stack)
        assert expected == await settled(expected, raised_so_far, PATIENCE)

        stack.list_file.unlink()
        assert expected | without_rooms == await settled(expected | without_rooms, raised_so_far, PATIENCE)

        await stack.exporter.stop()
        alive = expected | without_rooms | {"RtcExporterDown"}
        assert alive == await settled(alive, raised_so_far, PATIENCE)
