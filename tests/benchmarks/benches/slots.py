"""Slots: how much of each limit is used, and whether it is ever exceeded, as the vendors count it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from tests.benchmarks.exporter import Exporter, source
from tests.benchmarks.program import Program, stolen_seconds
from tests.benchmarks.report import Row, at_least, at_most, information
from tests.benchmarks.scale import Scale
from tests.benchmarks.scraper import Scraper
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
    counts = {"ours": _ours(rooms, scale)}
    for number, limiter in enumerate(_LIMITERS):
        counts[limiter] = _limited(number, rooms, scale)
    rows = []
    for api in _APIS:
        mine = counts["ours"][api]
        for peer in _LIMITERS:
            theirs = counts[peer][api]
            share, other = (100 * counted.calls / counted.limit / scale.seconds for counted in (mine, theirs))
            rows.append(at_least("slots", f"{mine.limit}/s: share of the limit", share, "%", 97, peer, other))
            rows.append(
                at_most("slots", f"{mine.limit}/s: worst second", mine.worst, "calls", mine.limit, peer, theirs.worst)
            )
    return rows


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
            cpu = (exporter.cpu() - before) / scale.seconds
            stolen = (stolen_seconds() - stolen_before) / scale.seconds
            counts = [Counted(told) for told in json.loads(program.order("report"))]
    shares = [100 * counted.calls / counted.limit / scale.seconds for counted in counts]
    return [
        at_least("200-budgets", f"{len(counts)} × 10/s: least share of a limit", min(shares), "%", 95),
        at_most("200-budgets", "calls over the limit in the worst second", worst_excess(counts), "calls", 0),
        at_least("200-budgets", "budgets counted", len(counts), "", _APPS),
        information("200-budgets", "share of one core", 100 * cpu, "%"),
        information("200-budgets", "stolen by the machine's host meanwhile, of one core", 100 * stolen, "%"),
        information("200-budgets", "CPU per call", cpu * scale.seconds / sum(c.calls for c in counts), "s"),
    ]
