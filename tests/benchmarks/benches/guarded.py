"""What TLS and a password add to a scrape, and to how long it holds up the event loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks.program import Program
from tests.benchmarks.report import Row, at_most, share_of
from tests.benchmarks.scale import Scale
from tests.benchmarks.scraper import Scraper
from tests.benchmarks.statistics import p50, p99


@dataclass(frozen=True, slots=True)
class _Measured:
    """A sample for each scrape, in seconds."""

    durations: Sequence[float]
    cpu: Sequence[float]
    gaps: Sequence[float]


def bench(scale: Scale) -> Sequence[Row]:
    """Scrapes of a guarded port beside those of an open one."""
    rows: list[Row] = []
    peer = "ours, open port"
    for encoding in ("gzip", "identity"):
        guarded, plain = _measure(scale, encoding, guarded=True), _measure(scale, encoding, guarded=False)
        what = f"TLS and a password, {encoding}, 10 % changed: "
        ours, theirs = p50(guarded.durations), p50(plain.durations)
        rows += [
            share_of("guarded", f"{what}last byte after, p50", ours, "s", peer, theirs, 2),
            share_of("guarded", f"{what}server CPU, p50", p50(guarded.cpu), "s", peer, p50(plain.cpu), 2),
            at_most(
                "guarded", f"{what}longest gap in the loop, p99", p99(guarded.gaps), "s", 0.05, peer, p99(plain.gaps)
            ),
        ]
    return rows


def _measure(scale: Scale, encoding: str, *, guarded: bool) -> _Measured:
    durations, cpu, gaps = [], [], []
    words = ("ticking", "guarded") if guarded else ("ticking",)
    with (
        Program.python("servers.ours", scale.rooms, *words) as program,
        Scraper(program.port, compressed=encoding == "gzip", guarded=guarded) as scraper,
    ):
        scraper.scrape()
        for _ in range(scale.scrapes):
            program.order("change", scale.changed)
            program.order("gap")
            before = program.cpu()
            durations.append(scraper.scrape().seconds)
            cpu.append(program.cpu() - before)
            gaps.append(float(program.order("gap")))
    return _Measured(durations, cpu, gaps)
