"""
The simulated vendors in a process of their own: they count the calls, second by second.

Arguments are one JSON object: ``rooms`` by API, ``limits`` by name, ``zego_apps`` beside the default one.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import uvloop

from exporter.simulator import DEFAULT_APPS, Apps, Settings, Simulator, ZegoApp
from tests.benchmarks.servers.orders import obey
from tests.benchmarks.vendor import ZEGO_SECRET, zego_app_id


async def main(wanted: dict[str, object]) -> None:
    """Serve until stdin ends."""
    more = tuple(ZegoApp(zego_app_id(number), ZEGO_SECRET) for number in range(int(str(wanted["zego_apps"]))))
    apps = Apps((*DEFAULT_APPS.zego, *more), DEFAULT_APPS.tencent, DEFAULT_APPS.volcengine)
    rooms, limits = wanted["rooms"], wanted["limits"]
    assert isinstance(rooms, dict)
    assert isinstance(limits, dict)
    simulator = Simulator(Settings(rooms=rooms, apps=apps, limits=limits, call_log=1_000))
    await simulator.start()

    def report(_: float) -> str:
        return json.dumps([asdict(budget) for budget in simulator.limits.report()])

    def forget(_: float) -> str:
        simulator.limits.reset_counters()
        return "forgotten"

    await obey(simulator.url, {"report": report, "forget": forget})
    await simulator.stop()


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
