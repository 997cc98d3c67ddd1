"""A hundred thousand rooms from one http_sd reply: how long until they are taken over, and what waits meanwhile."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from tests.benchmarks.program import Program
from tests.benchmarks.report import Row, at_most
from tests.benchmarks.scale import Scale
from tests.benchmarks.statistics import p50

_PEER: Final = "json.loads and a dict on the loop"
_LONGEST: Final = 5.0
_LONGEST_GAP: Final = 0.03


def bench(scale: Scale) -> Sequence[Row]:
    """Our client reads our ``/sd/rooms``; both sides' loops are watched."""
    times = max(5, scale.scrapes // 5)
    with Program.python("servers.ours", scale.rooms, "ticking") as server:
        url = f"http://127.0.0.1:{server.port}/sd/rooms"
        server.order("gap")
        seconds, gaps = _taken_over("ours", url, times, scale.rooms)
        serving = float(server.order("gap"))
        their_seconds, their_gaps = _taken_over("json", url, times, scale.rooms)
    what = f"{scale.rooms:,} rooms of one reply: "
    return [
        at_most("http-sd", f"{what}taken over after, p50", p50(seconds), "s", _LONGEST, _PEER, p50(their_seconds)),
        at_most("http-sd", f"{what}longest gap in the loop", max(gaps), "s", _LONGEST_GAP, _PEER, max(their_gaps)),
        at_most("http-sd", f"{what}longest gap in the loop of /sd/rooms", serving, "s", _LONGEST_GAP),
    ]


def _taken_over(way: str, url: str, times: int, rooms: int) -> tuple[list[float], list[float]]:
    with Program.python("servers.finder", way, url, times) as finder:
        samples = json.loads(finder.first_line)
    if {rooms} != {found for found, _, _ in samples}:
        raise ValueError(f"not every time {rooms} rooms: {samples}")
    return [seconds for _, seconds, _ in samples], [gap for _, _, gap in samples]
