"""
What reaches the pager, and when: the real Prometheus and Alertmanager with the files of `deploy/`, and a receiver that
notes each message. `make soak` runs the same at the speed that the files say, and prints the seconds.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from exporter.simulator.settings import APIS
from tests.e2e.monitoring import FASTER, settled
from tests.e2e.stack import CRITICAL, STAGE, WARNING, Stack, running

BALCONY = "balcony"
FULL = {(api, severity) for api in APIS for severity in ("warning", "critical")}
ABOVE = "RtcRoomAboveThreshold"

pytestmark = [
    pytest.mark.timed,
    pytest.mark.needs_program("prometheus", "alertmanager"),
    pytest.mark.parametrize(
        "faster",
        [
            pytest.param(FASTER, id="fast", marks=pytest.mark.timeout(300)),
            pytest.param(1, id="real", marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
        ],
    ),
]


@dataclass(frozen=True, slots=True)
class Night:
    """
    A stack, and how fast its alerts come and go.

    Args:
        faster: Than in the files.
    """

    stack: Stack
    faster: float

    def seconds(self, in_files: float) -> float:
        """How long something takes here that takes so many seconds by the files, at least."""
        return in_files / self.faster

    def patience(self, in_files: float) -> float:
        """The same at most: scrapes are not faster by as much, and the machine may be busy."""
        return self.seconds(in_files) + 45

    async def firing(self) -> set[tuple[str, str]]:
        """Source and severity of every alert on the stage that fires in Prometheus."""
        series = await self.stack.prometheus.vector(f'ALERTS{{alertname="{ABOVE}",alertstate="firing",room="{STAGE}"}}')
        return {(labels["source"], labels["severity"]) for labels, _ in series}

    async def paged(self, alert: str, room: str = "") -> set[str]:
        """Sources of whose alert the pager was told."""
        return {
            one.labels.get("source", "") for one in self.stack.pager.of(alert) if room in one.labels.get("room", "")
        }

    async def crowd(self) -> None:
        """Fill the stage of every API beyond both thresholds, and wait for the pager."""
        await self.stack.put_on_stage(users=1200)
        assert FULL == await settled(FULL, self.firing, self.patience(120))
        assert set(APIS) == await settled(set(APIS), lambda: self.paged(ABOVE), self.patience(60))

    async def least_firing(self, seconds: float) -> float:
        """How many alerts on the stage fired at the least within the last seconds."""
        count = f'count(ALERTS{{alertname="{ABOVE}",alertstate="firing",room="{STAGE}"}}) or vector(0)'
        [(_, least)] = await self.stack.prometheus.vector(f"min_over_time(({count})[{seconds:.0f}s:500ms])")
        return least


@pytest_asyncio.fixture
async def night(tmp_path: Path, faster: float) -> AsyncIterator[Night]:
    """
    Everything running, with two rooms of each API that have thresholds, and some without.
    """
    async with running(tmp_path, dict.fromkeys(APIS, 5), faster, (STAGE, BALCONY)) as stack:
        yield Night(stack, faster)


async def test_a_killed_exporter_is_no_all_clear(night: Night, tell: Callable[[str], None]):
    """
    Killed with five rooms above both thresholds: every alert goes on, nothing is told to be resolved, and the pager
    hears that the exporter is down. It is back later, and its first readings below the thresholds resolve the alerts.
    """
    stack = night.stack
    await night.crowd()

    killed = time.monotonic()
    await stack.exporter.stop(signal.SIGKILL)
    assert {""} == await settled({""}, lambda: night.paged("RtcExporterDown"), night.patience(120))
    missed_after = stack.pager.of("RtcExporterDown")[0].at - killed
    await asyncio.sleep(night.seconds(300))

    assert FULL == await night.firing()
    held = await stack.prometheus.summaries(ABOVE)
    assert all("when last heard of: 1200 users of" in summary for summary in held), held
    dark = time.monotonic() - killed

    await stack.exporter.start()
    await stack.put_on_stage(users=1100)
    assert len(FULL) == await night.least_firing(time.monotonic() - killed)
    assert [] == [one for one in stack.pager.notified if one.alert == ABOVE and one.status == "resolved"]

    await stack.put_on_stage(users=650)
    assert set() == await settled(set(), night.firing, night.patience(180))

    async def resolved() -> set[str]:
        return {one.labels["source"] for one in stack.pager.of(ABOVE, "resolved")}

    assert set(APIS) == await settled(set(APIS), resolved, night.patience(60))
    tell(f"killed: paged after {missed_after:.0f} s; {len(FULL)} alerts held for {dark:.0f} s, none resolved")


async def test_a_restart_keeps_what_fires(night: Night, tell: Callable[[str], None]):
    """
    An exporter that is back within half a minute: every alert fires all the time, and nobody is told of anything.
    """
    stack = night.stack
    await night.crowd()
    told = len(stack.pager.notified)

    began = time.monotonic()
    await stack.exporter.stop()
    await asyncio.sleep(night.seconds(20))
    await stack.exporter.start()
    away = time.monotonic() - began
    await stack.put_on_stage(users=1201)
    await asyncio.sleep(night.seconds(120))

    least = await night.least_firing(time.monotonic() - began)
    assert len(FULL) == least
    # Where waits are shorter, a restart of seconds is a long one.
    usual = {"RtcWatchdog"} if night.faster == 1 else {"RtcWatchdog", "RtcExporterDown"}
    assert set() == {one.alert for one in stack.pager.notified[told:]} - usual
    tell(f"restart of {away:.0f} s: {least:.0f} of {len(FULL)} alerts fired throughout")


async def test_a_second_critical_room_is_paged_as_soon_as_the_first(night: Night, tell: Callable[[str], None]):
    """
    Within a minute of its crossing and its `for`, though a warning of the same source was told of shortly before, and a
    critical room, too.
    """
    stack = night.stack
    paged_after = []

    async def cross(room: str, users: int) -> float:
        await stack.vendors.post("rooms", {"api": "zego_rtc", "room": room, "do": "set", "users": users})
        return time.monotonic()

    async def told(receiver: str, room: str) -> bool:
        return any(room == one.labels["room"] for one in stack.pager.of(ABOVE, receiver=receiver))

    def soon(receiver: str, room: str) -> Callable[[], Awaitable[bool]]:
        return lambda: told(receiver, room)

    await cross(STAGE, WARNING + 1)
    assert await settled(True, soon("operators", STAGE), night.patience(180))
    for room in (BALCONY, STAGE):
        crossed = await cross(room, CRITICAL + 1)
        assert await settled(True, soon("pager", room), night.patience(120))
        [first, *_] = [one for one in stack.pager.of(ABOVE) if one.labels["room"] == room]
        paged_after.append(first.at - crossed - night.seconds(60))

    told_after = ", ".join(f"{seconds:.1f} s" for seconds in paged_after)
    tell(f"critical rooms paged {told_after} after their crossing and `for`")
    assert max(paged_after) <= (60 if night.faster == 1 else 20)


async def test_one_cause_is_one_page(night: Night, tell: Callable[[str], None]):
    """
    A source that is not let in pages once, though nothing is known of its rooms after a while.
    """
    stack = night.stack
    await stack.vendors.post("faults", {"apis": ["zego_zim"], "kind": "revoked"})

    assert {"zego_zim"} == await settled(
        {"zego_zim"}, lambda: night.paged("RtcSourceUnauthorized"), night.patience(180)
    )
    await asyncio.sleep(night.seconds(480) + 5)

    pages = {(one.alert, one.labels.get("source")) for one in stack.pager.notified if one.receiver != "watchdog"}
    assert {("RtcSourceUnauthorized", "zego_zim")} == pages
    [page, *_] = stack.pager.of("RtcSourceUnauthorized")
    assert "Its calls fail (unauthorized, code " in page.annotations["description"]
    tell(f"{page.annotations['summary']} — {page.annotations['description']}")
