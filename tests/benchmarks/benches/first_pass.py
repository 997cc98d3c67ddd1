"""How soon after its start the exporter has told of every room."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from tests.benchmarks.exporter import Exporter, source
from tests.benchmarks.report import Row, share_of
from tests.benchmarks.scale import Scale
from tests.benchmarks.statistics import p50
from tests.benchmarks.vendor import CREDENTIALS, Vendor, rooms_of

_ROOMS: Final = 1_000
_AT_LEAST: Final = 11.0
"""100 calls at 10 per second, after the silent first second."""

_LOOK: Final = 0.05
_PATIENCE: Final = 30.0


def bench(scale: Scale) -> Sequence[Row]:
    """A thousand rooms of one ZEGO app, from the start of the process."""
    times = [_first_pass() for _ in range(3 if scale.seconds >= 30 else 1)]
    what = "from the start of the process to the last of 1,000 ZEGO rooms"
    return [share_of("first-pass", what, p50(times), "s", "the limit itself", _AT_LEAST, 1.1)]


def _first_pass() -> float:
    rooms = rooms_of("zego_rtc", _ROOMS)
    with (
        Vendor.start({"zego_rtc": _ROOMS}) as vendor,
        Exporter([source("live-cn", "zego_rtc", vendor.url, CREDENTIALS["zego_rtc"], rooms)]) as exporter,
    ):
        exporter.wait_until_listening()
        while time.monotonic() - exporter.started < _PATIENCE:
            if exporter.get("/metrics?name[]=rtc_room_users").count(b"\nrtc_room_users{") == _ROOMS:
                return time.monotonic() - exporter.started
            time.sleep(_LOOK)
    raise TimeoutError(f"some of {_ROOMS} rooms are not published after {_PATIENCE:.0f} s")
