"""
A network that is cut and comes back: what the kernel still holds of earlier calls arrives late, among new ones.

A request that was written to a connection just before the cut stays with the exporter's kernel, which sends it again
and again until it gets through, seconds after the network is back. The vendor counts it then.

Few connections are open to a vendor that answers at once, so a first cut catches few requests. While it lasts, many
more connections are asked for, and they are there when the next cut comes: each of them then takes a request that is
not heard of until that cut is over.

The vendor's kernel says when each call arrived, and the exporter takes a call's time after it has handed it to its own
kernel. So a busy machine changes nothing in what is counted here, and nothing is allowed for.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.e2e.counting_vendor import CountingVendor
from tests.e2e.networks import How, Network, network
from tests.e2e.seconds import fullest

pytestmark = [
    pytest.mark.timed,
    pytest.mark.needs_program("ip"),
    pytest.mark.filterwarnings("default::tests.e2e.networks.NoNamespacesWarning"),
]

AT_PACE = 2.0
"""Seconds of calls at full pace before the cut, and at the end."""

RESENT_WITHIN = 2.0
"""
Seconds beyond a cut's own length until the kernel has tried again: the time between two tries doubles, so the next one
after the cut is at most about as far away as the cut was long.
"""

PATIENCE = 75.0
"""Seconds until calls are made at full pace again: trials of a source that failed are at most a minute apart."""


@dataclass
class Line:
    """
    An exporter with more rooms to ask for than its limit allows, and a vendor at the other end of a network.
    """

    network: Network
    vendor: CountingVendor
    rate: int

    async def until_at_pace(self) -> None:
        """
        Wait until the vendor has been called at full pace for a while.
        """
        deadline = time.time() + PATIENCE
        while True:
            await asyncio.sleep(0.2)
            await self.vendor.report()
            lately = [moment for moment in self.vendor.arrivals if moment > time.time() - AT_PACE]
            if len(lately) >= 0.9 * self.rate * AT_PACE:
                return
            assert time.time() < deadline, f"{len(lately)} calls in {AT_PACE} s, {PATIENCE} s after the cut"

    async def cut_for(self, seconds: float, how: How) -> None:
        """
        Cut the network for a while, and look on until everything that was held up has arrived.
        """
        await self.network.cut(how)
        await asyncio.sleep(seconds)
        await self.network.mend(how)
        await asyncio.sleep(seconds + RESENT_WITHIN)
        await self.until_at_pace()


@asynccontextmanager
async def calling(folder: Path, rate: int) -> AsyncIterator[Line]:
    """
    Everything running; at the end the exporter must have ended in peace.
    """
    config, log_file = folder / "exporter.yml", folder / "exporter.log"
    async with network() as net, CountingVendor(net.vendor_host, net.vendor_runs_in) as vendor:
        source = {
            "name": "live",
            "api": "zego_rtc",
            "app_id": 1234567890,
            "server_secret": "0123456789abcdef0123456789abcdef",
            "base_url": f"http://{await net.way_to(vendor.port)}",
            "allow_http": True,
            "rate_limit": rate,
            "interval": "1s",
            "rooms": [f"room-{number}" for number in range(2 * 10 * rate)],
        }
        config.write_text(yaml.safe_dump({"sources": [source]}))
        line = Line(net, vendor, rate)
        with log_file.open("wb") as log:
            exporter = await asyncio.create_subprocess_exec(
                *net.exporter_runs_in,
                *(sys.executable, "-m", "exporter", "run"),
                *(f"--config.file={config}", "--web.listen-address=127.0.0.1:0"),
                stdout=log,
                stderr=log,
            )
        try:
            await line.until_at_pace()
            yield line
        finally:
            exporter.terminate()
            code = await exporter.wait()
        assert (0, False) == (code, "Traceback" in log_file.read_text())


@pytest.mark.parametrize("how", ["link down", "silence"])
@pytest.mark.parametrize(
    ("rate", "cuts"),
    [
        pytest.param(200, [8.0], id="longer than a call"),
        pytest.param(20, [3.0], id="shorter"),
        pytest.param(40, [2.0, 3.0], id="twice"),
    ],
)
async def test_late_calls_do_not_break_the_limit(tmp_path: Path, rate: int, cuts: list[float], how: How):
    """
    Cut for longer and for shorter than a call may last, and again: no second at the vendor holds more calls than the
    limit, and soon all slots are used again.
    """
    async with calling(tmp_path, rate) as line:
        for seconds in cuts:
            await line.cut_for(seconds, how)
    worst = fullest(line.vendor.arrivals)

    assert rate >= worst


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how", ["link down", "silence"])
@pytest.mark.parametrize("rate", [10, 20, 40, 200])
async def test_late_calls_do_not_break_the_limit_however_long_the_cut(tmp_path: Path, rate: int, how: How):
    """
    Ten cuts of any length from the blink of an eye to a dozen seconds, one after the other.
    """
    dice = random.Random(rate)
    async with calling(tmp_path, rate) as line:
        for _ in range(10):
            await line.cut_for(dice.choice([0.1, 0.5, 1.0, 2.0, 3.0, 4.0, 4.9, 5.5, 8.0, 12.0]), how)
    worst = fullest(line.vendor.arrivals)

    assert rate >= worst
