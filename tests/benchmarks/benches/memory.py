"""Resident memory: per room, and while scrapers do not read what they asked for."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import Final

from tests.benchmarks.benches.peers import OURS, PROMETHEUS_CLIENT, Server
from tests.benchmarks.report import Row, at_most, share_of
from tests.benchmarks.scale import Scale
from tests.benchmarks.scraper import Scraper

_SCRAPERS: Final = 40
_WARM_UP: Final = 5
_FEW_ROOMS: Final = 100
_SETTLED: Final = 3.0
_SMALL_BUFFER: Final = 4096


def per_room(scale: Scale) -> Sequence[Row]:
    """What a room and all its series take, beside prometheus_client."""
    ours, theirs = (per_room_of(server, scale) for server in (OURS, PROMETHEUS_CLIENT))
    return [share_of("memory", "resident memory per room, 4 series", ours, "B", PROMETHEUS_CLIENT.name, theirs, 0.4)]


def per_room_of(server: Server, scale: Scale) -> float:
    """Resident bytes that a room takes."""
    with server.start(_FEW_ROOMS) as program:
        few = program.resident()
    with server.start(scale.rooms) as program:
        return (program.resident() - few) / (scale.rooms - _FEW_ROOMS)


def silent_scrapers(scale: Scale) -> Sequence[Row]:
    """Forty scrapers ask and then read nothing."""
    return [_silent(encoding, scale) for encoding in ("identity", "gzip")]


def _silent(encoding: str, scale: Scale) -> Row:
    body = 0
    with OURS.start(scale.rooms) as program:
        with Scraper(program.port, compressed=encoding == "gzip") as scraper:
            for _ in range(_WARM_UP):
                program.order("change", scale.changed)
                body = scraper.scrape().length
        before = program.resident()
        program.order("change", scale.changed)
        connections = [_asking(program.port, encoding) for _ in range(_SCRAPERS)]
        time.sleep(_SETTLED)
        grown = program.resident() - before
        for connection in connections:
            connection.close()
    what = f"{encoding}: growth of resident memory with {_SCRAPERS} of them"
    return share_of("silent-scrapers", what, grown, "B", "one rendered body", body, 1.0)


def _asking(port: int, encoding: str) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
    connection.connect(("127.0.0.1", port))
    connection.sendall(f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {encoding}\r\n\r\n".encode())
    return connection


def churn(scale: Scale) -> Sequence[Row]:
    """Rooms that come and go leave nothing behind."""
    with OURS.start(_FEW_ROOMS) as program:
        program.order("churn", scale.churned / 10)
        before = program.resident()
        program.order("churn", scale.churned)
        grown = program.resident() - before
    what = f"growth of resident memory over {scale.churned:,} rooms created and destroyed, per room"
    return [at_most("churn", what, max(0.0, grown / scale.churned), "B", 1.0)]
