"""
Scrapes over HTTP.
"""

from __future__ import annotations

import asyncio
import gzip
import socket

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.metrics.exposition import Body, Wanted
from exporter.web.scrape import MAX_SCRAPES
from tests.web.site import Site

OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0"}
ROOMY = [f"room-{index:0120d}" for index in range(15_000)]
"""More bytes than a socket's buffers hold."""


async def test_a_scrape_shows_the_readings(site: Site) -> None:
    """
    The text format unless something else is asked for, with every published value.
    """
    site.watch("live", ["a", "b"])
    site.read("live", {"a": 7})

    response, body = await site.get("/metrics")

    families = {family.name: family for family in parse_text(body.decode())}
    assert 200 == response.status
    assert "text/plain; version=0.0.4; charset=utf-8" == response.headers["Content-Type"]
    assert [("a", 7.0)] == [(s.labels["room"], s.value) for s in families["rtc_room_users"].samples]
    assert 2 == len(families["rtc_room_info"].samples)


async def test_openmetrics_on_demand(site: Site) -> None:
    """
    Who accepts OpenMetrics gets it, complete with its end mark.
    """
    site.watch("live", ["a"])
    site.read("live", {"a": 7})

    response, body = await site.get("/metrics", OPENMETRICS)

    assert "application/openmetrics-text; version=1.0.0; charset=utf-8" == response.headers["Content-Type"]
    assert body.endswith(b"# EOF\n")
    assert "rtc_room_users" in {family.name for family in parse_openmetrics(body.decode())}


@pytest.mark.parametrize("headers", [{}, OPENMETRICS])
async def test_gzip_holds_the_same(site: Site, headers: dict[str, str]) -> None:
    """
    A compressed scrape is a single gzip member that unpacks to the families of the plain one, and caches are told.
    """
    site.watch("live", [f"room-{index}" for index in range(5_000)])
    site.read("live", {f"room-{index}": index for index in range(5_000)})

    response, body = await site.get("/metrics?name[]=rtc_room_users", {**headers, "Accept-Encoding": "gzip"})
    _, plain = await site.get("/metrics?name[]=rtc_room_users", {**headers, "Accept-Encoding": "gzip;q=0, *"})

    assert "gzip" == response.headers["Content-Encoding"]
    assert "Accept, Accept-Encoding" == response.headers["Vary"]
    assert len(body) < len(plain) / 5
    assert plain == gzip.decompress(body)


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_length_is_known_and_head_sends_no_body(site: Site, encoding: str) -> None:
    """
    Content-Length is what is sent; HEAD tells the length of a GET at that moment and sends nothing.
    """
    site.watch("live", ["a"])
    site.read("live", {"a": 7})
    headers = {"Accept-Encoding": encoding}
    path = "/metrics?name[]=rtc_room_users"

    got, body = await site.get(path, headers)
    head, nothing = await site.get(path, headers, method="HEAD")

    assert str(len(body)) == got.headers["Content-Length"] == head.headers["Content-Length"]
    assert b"" == nothing
    assert got.headers["Content-Type"] == head.headers["Content-Type"]


async def test_names_filter_and_add_up(site: Site) -> None:
    """
    ``name[]`` may come several times; nothing else is sent then.
    """
    site.watch("live", ["a"])
    site.read("live", {"a": 7})

    text = await site.text("/metrics?name[]=rtc_room_users&name[]=rtc_budget_calls_total&name[]=no_such_metric")

    assert {"rtc_room_users", "rtc_budget_calls"} == {family.name for family in parse_text(text)}


async def test_a_scrape_never_shows_what_is_too_old(site: Site) -> None:
    """
    Ages are checked when a scrape is rendered, not when a sweep last ran.
    """
    site.watch("live", ["a"])
    site.read("live", {"a": 7})
    site.pass_time(30.1)

    text = await site.text("/metrics")

    assert "rtc_room_users{" not in text
    assert 'rtc_room_info{vendor="zego",api="zego_rtc",source="live",room="a"} 1' in text


async def test_another_telemetry_path() -> None:
    """
    The telemetry path is wherever the flag says, and nowhere else.
    """
    async with Site("/internal/metrics") as site:
        there, _ = await site.get("/internal/metrics")
        elsewhere, _ = await site.get("/metrics")

    assert (200, 404) == (there.status, elsewhere.status)


async def test_scrapes_at_once_are_limited(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    While forty scrapes are being answered the next one is told to come back; afterwards there is room again.
    """
    hold, full = asyncio.Event(), asyncio.Event()
    rendering, waiting = site.exposition.body, []

    async def slow(wanted: Wanted) -> Body:
        waiting.append(wanted)
        if len(waiting) == MAX_SCRAPES:
            full.set()
        await hold.wait()
        return await rendering(wanted)

    monkeypatch.setattr(site.exposition, "body", slow)
    async with asyncio.TaskGroup() as scrapers:
        scrapes = [scrapers.create_task(site.get("/metrics")) for _ in range(MAX_SCRAPES)]
        await full.wait()
        refused, _ = await site.get("/metrics")
        hold.set()

    assert (503, "5") == (refused.status, refused.headers["Retry-After"])
    assert [200] * MAX_SCRAPES == [scrape.result()[0].status for scrape in scrapes]
    assert 200 == (await site.get("/metrics"))[0].status


async def _stuck_scraper(site: Site) -> socket.socket:
    """
    A scraper that asks and then reads nothing.
    """
    loop = asyncio.get_running_loop()
    scraper = socket.socket()
    scraper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    scraper.setblocking(False)
    await loop.sock_connect(scraper, ("127.0.0.1", site.server.port))
    await loop.sock_sendall(scraper, b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n")
    await loop.sock_recv(scraper, 64)
    return scraper


async def _is_cut(scraper: socket.socket) -> bool:
    """
    Whether the server ended the connection before the body did; reads what there is.
    """
    loop = asyncio.get_running_loop()
    received = 0
    try:
        while data := await asyncio.wait_for(loop.sock_recv(scraper, 1 << 20), timeout=0.5):
            received += len(data)
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


async def test_a_scraper_that_reads_nothing_is_cut(site: Site) -> None:
    """
    A scraper has half a minute to fetch its body; then its connection ends, and its share of memory with it.
    """
    site.watch("live", ROOMY)
    site.read("live", dict.fromkeys(ROOMY, 7))
    scraper = await _stuck_scraper(site)

    site.pass_time(29)
    site.server._connections.cut_overdue()
    patient = len(site.server._connections)
    site.pass_time(2)
    site.server._connections.cut_overdue()

    with scraper:
        assert 1 == patient
        assert await _is_cut(scraper)
    assert 0 == len(site.server._connections)


async def test_scrapers_that_go_away_are_no_news(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """
    A scraper that closes in the middle of its body leaves no line in the log and no error in the metrics.
    """
    site.watch("live", ROOMY)
    site.read("live", dict.fromkeys(ROOMY, 7))
    for _ in range(3):
        (await _stuck_scraper(site)).close()
    text = await site.text("/metrics")

    assert "rtc_exporter_unexpected_errors_total 0.0\n" in text
    assert [] == caplog.records
    assert [] == site.log.calls
