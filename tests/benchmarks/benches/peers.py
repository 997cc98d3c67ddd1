"""The servers that publish the same rooms as ours."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.benchmarks import setting
from tests.benchmarks.program import Program
from tests.benchmarks.scraper import fetch
from tests.benchmarks.servers.rooms import SERIES

_ROOM_SAMPLE = re.compile(rb"^rtc_room_[a-z_]+\{[^}]+\} [0-9.e+]+$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Server:
    """
    One way to publish rooms.

    Args:
        pace: How often it is scraped, as a share of the scrapes of a fast one.
    """

    name: str
    start: Callable[[int], Program]
    pace: float = 1.0


OURS: Final = Server("ours", lambda rooms: Program.python("servers.ours", rooms))
PROMETHEUS_CLIENT: Final = Server(
    "prometheus_client", lambda rooms: Program.python("servers.prometheus_client", rooms), pace=0.08
)
CLIENT_GOLANG: Final = Server("client_golang", lambda rooms: _go("client_golang", rooms), pace=0.25)
VICTORIAMETRICS: Final = Server("VictoriaMetrics/metrics", lambda rooms: _go("victoriametrics", rooms))


def check_series(program: Program, rooms: int, *, compresses: bool = True) -> None:
    """
    Make sure that a server publishes every series of every room, in both encodings.

    Raises:
        ValueError: It does not.
    """
    for compressed in (False, True) if compresses else (False,):
        found = series_of_rooms(program, compressed=compressed)
        if found != rooms * SERIES:
            raise ValueError(f"{found} series of {rooms} rooms, not {rooms * SERIES}")


def series_of_rooms(program: Program, *, compressed: bool = False) -> int:
    """How many series of rooms a server publishes."""
    return len(_ROOM_SAMPLE.findall(fetch(program.port, compressed=compressed)))


def _go(name: str, rooms: int) -> Program:
    return Program([str(setting.go_peer(name)), str(rooms)])
