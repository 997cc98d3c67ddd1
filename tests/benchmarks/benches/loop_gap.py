"""How long one scrape holds up the event loop, on which the vendors' replies are read."""

from __future__ import annotations

from collections.abc import Sequence

from tests.benchmarks.program import Program
from tests.benchmarks.report import Row, at_most, times_less
from tests.benchmarks.scale import Scale
from tests.benchmarks.scraper import Scraper
from tests.benchmarks.statistics import p99

_SLOW_PACE = 0.08


def bench(scale: Scale) -> Sequence[Row]:
    """The longest gap of a 1 ms ticker on the server's loop, p99 over scrapes."""
    ours = {encoding: p99(_gaps("servers.ours", scale, encoding, scale.scrapes)) for encoding in ("gzip", "identity")}
    few = max(5, round(_SLOW_PACE * scale.scrapes))
    theirs = p99(_gaps("servers.prometheus_client", scale, "gzip", few))
    what = "gzip, 10 % changed: longest gap in the loop, p99"
    return [
        at_most("loop-gap", what, ours["gzip"], "s", 0.015),
        times_less("loop-gap", what, ours["gzip"], "s", "prometheus_client (aiohttp)", theirs, 100),
        at_most("loop-gap", what.replace("gzip", "identity"), ours["identity"], "s", 0.015),
    ]


def _gaps(server: str, scale: Scale, encoding: str, scrapes: int) -> list[float]:
    gaps = []
    with (
        Program.python(server, scale.rooms, "ticking") as program,
        Scraper(program.port, compressed=encoding == "gzip") as scraper,
    ):
        scraper.scrape()
        for _ in range(scrapes):
            program.order("change", scale.changed)
            program.order("gap")
            scraper.scrape()
            gaps.append(float(program.order("gap")))
    return gaps
