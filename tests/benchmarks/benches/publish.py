"""What 100,000 rooms cost when the fullest 500 alone have series: series, scrape, memory, and the reading of a room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.benchmarks.benches.memory import per_room_of
from tests.benchmarks.benches.peers import OURS, Server, series_of_rooms
from tests.benchmarks.benches.scrape import cost
from tests.benchmarks.program import Program
from tests.benchmarks.report import Row, at_most, information, share_of
from tests.benchmarks.scale import Scale
from tests.benchmarks.scraper import Scraper
from tests.benchmarks.statistics import p50, p99

TOP: Final = 500
_ROUNDS: Final = 5
_MOST_SERIES: Final = 3_000
_LONGEST: Final = 0.01

PUBLISHING: Final = Server("ours, publish", lambda rooms: Program.python("servers.ours", rooms, f"top={TOP}"))


def bench(scale: Scale) -> Sequence[Row]:
    """All rows about ``publish``."""
    peer = "ours, all rooms"
    with PUBLISHING.start(scale.rooms) as program:
        with Scraper(program.port, compressed=False) as scraper:
            scraper.scrape()
        series = series_of_rooms(program)
        costs = {encoding: cost(program, encoding, scale.scrapes, scale.changed) for encoding in ("gzip", "identity")}
        reading = _per_reading(program, scale)
    with OURS.start(scale.rooms) as program:
        plain = _per_reading(program, scale)
    what = f"top {TOP} of {scale.rooms:,} rooms: "
    rows = [at_most("publish", f"{what}series of rooms", series, "", _MOST_SERIES, peer, 4.0 * scale.rooms)]
    for encoding, measured in costs.items():
        before = f"{what}{encoding}, 10 % changed: last byte after, "
        rows.append(at_most("publish", f"{before}p50", p50(measured.durations), "s", _LONGEST))
        rows.append(information("publish", f"{before}p99", p99(measured.durations), "s"))
        cpu = f"{what}{encoding}, 10 % changed: server CPU per scrape, p50"
        rows.append(information("publish", cpu, p50(measured.cpu), "s"))
    ours, theirs = per_room_of(PUBLISHING, scale), per_room_of(OURS, scale)
    return [
        *rows,
        share_of("publish", f"{what}resident memory per room", ours, "B", peer, theirs, 1.0),
        information("publish", f"{what}CPU to record one reading", reading, "s", peer, plain),
    ]


def _per_reading(program: Program, scale: Scale) -> float:
    """Seconds of processor time for one reading, in batches of ten; every reading tells another number of users."""
    before = program.cpu()
    for _ in range(_ROUNDS):
        program.order("change", scale.rooms)
    return (program.cpu() - before) / (_ROUNDS * scale.rooms)
