"""
For each alert what brings it about, and what it does in the courses that every alert is put through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from exporter.states import SourceState
from tests.rules.scraped import JOB, Discovery, Exporter, Replica, Room, Source, with_rooms, with_source

THRESHOLDS: Final = {"warning": 100, "critical": 400}
BAD_SECRET: Final = ("unauthorized", "70003", "secret_key does not match")

HEALTHY: Final = Exporter(
    sources={
        "im": Source(
            rooms={
                "lobby": Room(50, thresholds=THRESHOLDS),
                "hall": Room(300, thresholds={"critical": 400}),
                "yard": Room(20),
            },
            crowd=40,
        ),
        "other": Source(rooms={"lobby": Room(10, thresholds=THRESHOLDS)}),
        "found": Source(crowd=40, discovery=Discovery()),
    },
    files={"rooms.txt": True},
)

OF_EXPORTER: Final = {"job": JOB}
OF_SOURCE: Final = {"job": JOB, "vendor": "tencent", "api": "tencent_im", "source": "im"}
OF_FOUND: Final = {**OF_SOURCE, "source": "found"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """
    Args:
        cause: Makes a healthy exporter one in trouble.
        labels: Of the alert, the severity included; neither instance nor pod is among them.
        waits: Seconds from the trouble to the alert: its `for`, and what the expression itself looks back.
        ends: Seconds from the end of the trouble to the end of the alert, at most.
        lasts: Seconds from the alert to its end while the trouble stays as it is; ``None``: it does not end.
        held: Seconds for which it goes on after its exporters were killed, at least.
        held_without_target: The same where they are gone from the list of targets, too.
        pace: Seconds between two scrapes, and between two evaluations.
    """

    cause: Callable[[Exporter], Exporter]
    labels: Mapping[str, str]
    waits: float
    ends: float = 75.0
    lasts: float | None = None
    held: float = 3500.0
    held_without_target: float = 3500.0
    pace: tuple[float, float] = (10.0, 15.0)


def _source(**changes: object) -> Callable[[Exporter], Exporter]:
    return lambda exporter: with_source(exporter, "im", **changes)


def _discovery(**changes: Any) -> Callable[[Exporter], Exporter]:
    return lambda exporter: with_source(exporter, "found", discovery=Discovery(**changes))


def _rooms(**rooms: Room) -> Callable[[Exporter], Exporter]:
    return lambda exporter: with_rooms(exporter, "im", **rooms)


def _all_empty(exporter: Exporter) -> Exporter:
    rooms = {name: replace(room, users=1) for name, room in exporter.sources["im"].rooms.items()}
    return with_source(exporter, "im", rooms=rooms)


TROUBLES: Final[Mapping[str, Trouble]] = {
    "RtcRoomAboveThreshold": Trouble(
        _rooms(lobby=Room(640, thresholds={"critical": 400})),
        {**OF_SOURCE, "room": "lobby", "severity": "critical"},
        waits=60,
        ends=120,
    ),
    "RtcRoomRising": Trouble(
        _rooms(hall=Room(390, thresholds={"critical": 400})),
        {**OF_SOURCE, "room": "hall", "severity": "warning"},
        waits=75,
        lasts=120 + 300,
        held=300.0,
        held_without_target=300.0,
    ),
    "RtcRoomUnknown": Trouble(
        _rooms(lobby=Room(None, thresholds=THRESHOLDS, labels={"event": "launch"})),
        {**OF_SOURCE, "room": "lobby", "event": "launch", "severity": "warning"},
        waits=60,
    ),
    "RtcManyRoomsUnknown": Trouble(_source(dark=101), {**OF_SOURCE, "severity": "critical"}, waits=300),
    "RtcRoomsMissing": Trouble(
        _rooms(lobby=Room(0, exists=False)),
        {**OF_SOURCE, "severity": "warning"},
        waits=86_400 + 300,
        pace=(60.0, 120.0),
    ),
    "RtcRoomUsersHalved": Trouble(
        _rooms(hall=Room(150)),
        {**OF_SOURCE, "room": "hall", "severity": "critical"},
        waits=15,
        lasts=120 + 300,
    ),
    "RtcRoomClosed": Trouble(
        _rooms(hall=Room(0, exists=False)),
        {**OF_SOURCE, "room": "hall", "severity": "info"},
        waits=15,
        lasts=120 + 300,
        held=300.0,
        held_without_target=300.0,
    ),
    "RtcSourceUsersHalved": Trouble(_all_empty, {**OF_SOURCE, "severity": "critical"}, waits=15, lasts=120 + 300),
    "RtcSourceDown": Trouble(
        _source(up=False, state=SourceState.CIRCUIT_OPEN), {**OF_SOURCE, "severity": "critical"}, waits=60
    ),
    "RtcSourceUnauthorized": Trouble(
        _source(up=False, state=SourceState.UNAUTHORIZED, failure=BAD_SECRET),
        {**OF_SOURCE, "severity": "critical"},
        waits=60,
    ),
    "RtcSourceMisconfigured": Trouble(
        _source(up=False, state=SourceState.MISCONFIGURED), {**OF_SOURCE, "severity": "critical"}, waits=60
    ),
    "RtcSourceWithoutRooms": Trouble(_source(rooms={}, crowd=0), {**OF_SOURCE, "severity": "warning"}, waits=120),
    "RtcWatchedRoomsHalved": Trouble(_source(crowd=2), {**OF_SOURCE, "severity": "warning"}, waits=60, lasts=900 - 60),
    "RtcBudgetRateLimited": Trouble(
        lambda exporter: replace(exporter, pace=4.5),
        {**OF_EXPORTER, "budget": "im", "severity": "warning"},
        waits=1200,
    ),
    "RtcSourceSlow": Trouble(_source(achieved=15.0), {**OF_SOURCE, "severity": "warning"}, waits=300),
    "RtcSourceClockSkew": Trouble(_source(skew=-45.0), {**OF_SOURCE, "severity": "warning"}, waits=300),
    "RtcDiscoveryOutdated": Trouble(
        _discovery(listed_at=550.0), {**OF_FOUND, "origin": "vendor_list", "severity": "warning"}, waits=120
    ),
    "RtcDiscoveryFindsNothing": Trouble(_discovery(named=0), {**OF_FOUND, "severity": "warning"}, waits=900),
    "RtcDiscoveryRoomsRejected": Trouble(
        _discovery(rejected=0.1), {**OF_FOUND, "severity": "warning"}, waits=60, ends=975
    ),
    "RtcCallbacksRefused": Trouble(_discovery(forged=1.0), {**OF_FOUND, "severity": "warning"}, waits=60, ends=675),
    "RtcCallbacksSilent": Trouble(_discovery(heard_at=-1200.0), {**OF_FOUND, "severity": "warning"}, waits=300),
    "RtcConfigReloadFailed": Trouble(
        lambda exporter: replace(exporter, config_ok=False),
        {**OF_EXPORTER, "severity": "warning"},
        waits=60,
        held_without_target=0.0,
    ),
    "RtcWebConfigReloadFailed": Trouble(
        lambda exporter: replace(exporter, web_config_ok=False),
        {**OF_EXPORTER, "severity": "warning"},
        waits=60,
        held_without_target=0.0,
    ),
    "RtcRoomsFileReloadFailed": Trouble(
        lambda exporter: replace(exporter, files={"rooms.txt": False}),
        {**OF_EXPORTER, "file": "rooms.txt", "severity": "warning"},
        waits=60,
        held_without_target=0.0,
    ),
    "RtcClusterEngineUnreachable": Trouble(
        lambda exporter: replace(exporter, replica=Replica(connected=False)),
        {**OF_EXPORTER, "severity": "warning"},
        waits=30,
        held_without_target=0.0,
    ),
    "RtcBudgetOrphaned": Trouble(
        lambda exporter: replace(exporter, held=False),
        {**OF_EXPORTER, "budget": "im", "severity": "critical"},
        waits=90,
    ),
    "RtcShardingMismatch": Trouble(
        lambda exporter: replace(exporter, shard=(0, 2)),
        {**OF_EXPORTER, "severity": "critical"},
        waits=120,
        held_without_target=0.0,
    ),
    "RtcUnexpectedErrors": Trouble(
        lambda exporter: replace(exporter, errors=3),
        {**OF_EXPORTER, "severity": "warning"},
        waits=30,
        lasts=900 - 30,
        held=600.0,
        held_without_target=600.0,
    ),
    "RtcScrapeTooLarge": Trouble(
        lambda exporter: replace(exporter, size=15_000_000),
        {**OF_EXPORTER, "severity": "warning"},
        waits=300,
        ends=400,
        held_without_target=240.0,
    ),
}
"""
All but RtcExporterDown and RtcWatchdog, which are about there being an exporter at all, and `OF_SEVERAL`.
"""

OF_SEVERAL: Final = frozenset({"RtcBudgetHeldTwice", "RtcClusterConfigMismatch"})
"""Alerts that need two exporters that disagree."""
