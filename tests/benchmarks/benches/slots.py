"""Slots: how much of each limit is used, and whether it is ever exceeded, as the vendors count it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.exporter import Exporter, source
from tests.benchmarks.program import Program, stolen_seconds
from tests.benchmarks.report import Row, at_least, at_most, information
from tests.benchmarks.scale import Scale
from tests.benchmarks.scraper import Scraper
from tests.benchmarks.statistics import p50
from tests.benchmarks.vendor import CREDENTIALS, ZEGO_SECRET, Counted, Vendor, rooms_of, worst_excess, zego_app_id

_APIS: Final = ("zego_rtc", "zego_zim", "volcengine_rtc", "tencent_im")
"""Their documented limits are 10, 20, 40 and 200 calls per second."""

_LIMITERS: Final = ("aiolimiter(rate, 1)", "aiolimiter(1, 1/rate)")
_WARM_UP: Final = 6.0
_APPS: Final = 200
_ROOMS_PER_APP: Final = 1_100


def bench(scale: Scale) -> Sequence[Row]:
    """Four limits at once, 100,000 rooms scraped every second; then the same slots from aiolimiter."""
    rooms = {api: rooms_of(api, scale.rooms // len(_APIS)) for api in _APIS}
    ours, limited, stolen = [], [], stolen_seconds()
    for _ in range(scale.rounds):
        ours.append(_ours(rooms, scale))
        limited.append([_limited(number, rooms, scale) for number in range(len(_LIMITERS))])
    stolen = (stolen_seconds() - stolen) / scale.rounds / (1 + len(_LIMITERS))
    rows = []
    for api in _APIS:
        mine = [counts[api] for counts in ours]
        limit, share, worst = mine[0].limit, _median_share(mine, scale), _worst(mine)
        for number, peer in enumerate(_LIMITERS):
            theirs = [counts[number][api] for counts in limited]
            other = _median_share(theirs, scale)
            rows.append(at_least("slots", f"{limit}/s: share of the limit", share, "%", 97, peer, other))
            rows.append(at_most("slots", f"{limit}/s: worst second", worst, "calls", limit, peer, _worst(theirs)))
    rows.append(information("slots", "stolen by the machine's host in each run", stolen, "s"))
    return rows


def _median_share(rounds: Sequence[Counted], scale: Scale) -> float:
    return p50([100 * counted.calls / counted.limit / scale.seconds for counted in rounds])


def _worst(rounds: Sequence[Counted]) -> int:
    return max(counted.worst for counted in rounds)


def _ours(rooms: dict[str, list[str]], scale: Scale) -> dict[str, Counted]:
    known = {api: len(ids) for api, ids in rooms.items()}
    with (
        Vendor.start(known) as vendor,
        Exporter([source(api, api, vendor.url, CREDENTIALS[api], ids) for api, ids in rooms.items()]) as exporter,
    ):
        exporter.wait_until_listening()
        return _counted(vendor, exporter.port, scale)


def _limited(number: int, rooms: dict[str, list[str]], scale: Scale) -> dict[str, Counted]:
    known = {api: len(ids) for api, ids in rooms.items()}
    with (
        Vendor.start(known) as vendor,
        Program.python("servers.limiters", number, vendor.url, scale.rooms) as program,
    ):
        return _counted(vendor, program.port, scale)


def _counted(vendor: Vendor, port: int, scale: Scale) -> dict[str, Counted]:
    with _scraped_every_second(port):
        time.sleep(_WARM_UP)
        vendor.forget()
        time.sleep(scale.seconds)
        return {name: counted for (name, _), counted in vendor.counted().items()}


@contextmanager
def _scraped_every_second(port: int) -> Iterator[None]:
    done = threading.Event()

    def scrape() -> None:
        with Scraper(port, compressed=True) as scraper:
            while not done.wait(1.0):
                scraper.scrape()

    scraping = threading.Thread(target=scrape)
    scraping.start()
    try:
        yield
    finally:
        done.set()
        scraping.join()


def many_budgets(scale: Scale) -> Sequence[Row]:
    """Two hundred ZEGO apps with a limit of ten calls per second each."""
    rounds = [_two_hundred(scale) for _ in range(scale.rounds)]
    return [
        at_least("200-budgets", "200 × 10/s: least share of a limit", p50([one.share for one in rounds]), "%", 95),
        at_most(
            "200-budgets", "calls over the limit in the worst second", max(one.excess for one in rounds), "calls", 0
        ),
        at_least("200-budgets", "budgets counted", min(one.budgets for one in rounds), "", _APPS),
        information("200-budgets", "share of one core", p50([100 * one.cpu for one in rounds]), "%"),
        information(
            "200-budgets",
            "stolen by the machine's host meanwhile, of one core",
            p50([100 * one.stolen for one in rounds]),
            "%",
        ),
        information("200-budgets", "CPU per call", p50([one.cpu_per_call for one in rounds]), "s"),
    ]


@dataclass(frozen=True)
class _Round:
    share: float
    excess: int
    budgets: int
    cpu: float
    stolen: float
    cpu_per_call: float


def _two_hundred(scale: Scale) -> _Round:
    rooms = rooms_of("zego_rtc", _ROOMS_PER_APP)
    with Program.python("servers.counter") as program:
        sources = [
            source(
                f"app-{number}",
                "zego_rtc",
                f"http://127.0.0.1:{program.port}",
                {"app_id": zego_app_id(number), "server_secret": ZEGO_SECRET},
                rooms,
            )
            for number in range(_APPS)
        ]
        with Exporter(sources) as exporter:
            exporter.wait_until_listening()
            time.sleep(_WARM_UP)
            program.order("forget")
            before, stolen_before = exporter.cpu(), stolen_seconds()
            time.sleep(scale.seconds)
            cpu, stolen = exporter.cpu() - before, stolen_seconds() - stolen_before
            counts = [Counted(told) for told in json.loads(program.order("report"))]
    return _Round(
        share=min(100 * counted.calls / counted.limit / scale.seconds for counted in counts),
        excess=worst_excess(counts),
        budgets=len(counts),
        cpu=cpu / scale.seconds,
        stolen=stolen / scale.seconds,
        cpu_per_call=cpu / sum(counted.calls for counted in counts),
    )
