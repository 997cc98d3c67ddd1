"""What one scrape costs over HTTP: the time until its last byte has come, and the server's processor time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.benches.peers import (
    CLIENT_GOLANG,
    OURS,
    PROMETHEUS_CLIENT,
    VICTORIAMETRICS,
    Server,
    check_series,
)
from tests.benchmarks.program import Program
from tests.benchmarks.report import Row, information, times_less
from tests.benchmarks.scale import Scale
from tests.benchmarks.scraper import Scraper
from tests.benchmarks.statistics import p50, p99

_FEWEST: Final = 5
_WARM_UP: Final = 2
_PAUSE: Final = 0.02


@dataclass(frozen=True, slots=True)
class Cost:
    """What the scrapes of one server cost, a sample each: seconds to the last byte, and seconds of its processor."""

    durations: Sequence[float]
    cpu: Sequence[float]
    length: int


def bench(scale: Scale) -> Sequence[Row]:
    """All rows about scrapes."""
    ours, theirs = _measure(OURS, scale), {}
    for server in (PROMETHEUS_CLIENT, CLIENT_GOLANG, VICTORIAMETRICS):
        theirs[server.name] = _measure(server, scale)
    return [
        *_compared(ours, theirs, "gzip", {PROMETHEUS_CLIENT.name: 50, CLIENT_GOLANG.name: 20}),
        *_compared(ours, theirs, "identity", {VICTORIAMETRICS.name: 2}),
        *_unchanged(ours),
    ]


def _measure(server: Server, scale: Scale) -> dict[str, Cost]:
    encodings = ("identity",) if server is VICTORIAMETRICS else ("gzip", "identity")
    with server.start(scale.rooms) as program:
        check_series(program, scale.rooms, compresses="gzip" in encodings)
        scrapes = max(_FEWEST, round(scale.scrapes * server.pace))
        measured = {encoding: cost(program, encoding, scrapes, scale.changed) for encoding in encodings}
        if server is OURS:
            for encoding in encodings:
                measured[f"{encoding}, nothing changed"] = cost(program, encoding, scrapes, changed=0)
    return measured


def cost(program: Program, encoding: str, scrapes: int, changed: int) -> Cost:
    """Scrape one server so many times, with so many rooms changed before each."""
    durations, cpu, length = [], [], 0
    with Scraper(program.port, compressed=encoding == "gzip") as scraper:
        for turn in range(-_WARM_UP, scrapes):
            program.order("change", changed)
            time.sleep(_PAUSE)
            before = program.cpu()
            scraped = scraper.scrape()
            if turn >= 0:
                durations.append(scraped.seconds)
                cpu.append(program.cpu() - before)
                length = scraped.length
    return Cost(durations, cpu, length)


def _compared(
    ours: dict[str, Cost], theirs: dict[str, dict[str, Cost]], encoding: str, bars: dict[str, float]
) -> list[Row]:
    mine = ours[encoding]
    rows = []
    for peer, costs in theirs.items():
        if encoding not in costs:
            continue
        its = costs[encoding]
        what = f"{encoding}, 10 % changed: last byte after, p50"
        if peer in bars:
            rows.append(times_less("scrape", what, p50(mine.durations), "s", peer, p50(its.durations), bars[peer]))
        else:
            rows.append(information("scrape", what, p50(mine.durations), "s", peer, p50(its.durations)))
        for what, figure, other in (
            ("last byte after, p99", p99(mine.durations), p99(its.durations)),
            ("server CPU per scrape", p50(mine.cpu), p50(its.cpu)),
        ):
            rows.append(information("scrape", f"{encoding}, 10 % changed: {what}", figure, "s", peer, other))
    return [*rows, information("scrape", f"{encoding}: bytes on the wire", mine.length, "B")]


def _unchanged(ours: dict[str, Cost]) -> list[Row]:
    still, moving = ours["gzip, nothing changed"], ours["gzip"]
    peer = "ours, 10 % changed"
    what = "gzip, nothing changed: last byte after, p50"
    plain_still, plain_moving = ours["identity, nothing changed"], ours["identity"]
    return [
        times_less("scrape", what, p50(still.durations), "s", peer, p50(moving.durations), 5),
        information("scrape", "gzip, nothing changed: server CPU", p50(still.cpu), "s", peer, p50(moving.cpu)),
        information(
            "scrape",
            "identity, nothing changed: last byte after, p50",
            p50(plain_still.durations),
            "s",
            peer,
            p50(plain_moving.durations),
        ),
    ]
