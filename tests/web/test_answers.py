"""
What every answer has in common, and what wrong requests are told.
"""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import pytest

from exporter.metrics.exposition import Body, Wanted
from tests.web.site import Site

PATHS = ["/", "/docs", "/metrics", "/-/healthy", "/-/ready", "/-/reload", "/api/v1/sources", "/api/v1/rooms"]
PATHS += ["/static/page.css"]


@pytest.mark.parametrize("path", [*PATHS, "/nothing", "/api/v1/rooms?limit=x"])
async def test_every_answer_is_guarded(site: Site, path: str) -> None:
    """
    No inline code, no foreign resource, no guessing of types, no referrer, no cache; no word of what serves it.
    """
    response, _ = await site.get(path)

    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert "'none'" == policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"]
    assert {"'none'", "'self'"} == set(policy.values())
    assert "nosniff" == response.headers["X-Content-Type-Options"]
    assert "no-referrer" == response.headers["Referrer-Policy"]
    assert "no-store" == response.headers["Cache-Control"]
    assert "rtc-room-exporter" == response.headers["Server"]


async def test_lost_visitors_are_told_the_way(site: Site) -> None:
    """
    404 is plain text and lists what there is; nothing of the request is echoed.
    """
    response, body = await site.get("/<script>alert(1)</script>")

    assert 404 == response.status
    assert "text/plain; charset=utf-8" == response.headers["Content-Type"]
    paths = ["/", "/rooms", "/rooms/{source}/{room}", "/docs", "/docs/{page}", *PATHS[2:8]]
    paths += ["/api/v1/cluster", "/api/v1/openapi.json", "/sd/rooms"]
    assert paths == body.decode().split()[-len(paths) :]
    assert b"alert" not in body


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/-/reload"])
async def test_only_reading_is_possible(site: Site, path: str) -> None:
    """
    Everything but the reload is for GET and HEAD.
    """
    response, body = await site.get(path, method="POST")
    head, nothing = await site.get(path, method="HEAD")

    assert (405, "GET, HEAD") == (response.status, response.headers["Allow"])
    assert f"{path} takes GET, HEAD.\n" == body.decode()
    assert (200, b"") == (head.status, nothing)


async def test_a_bug_is_hidden_logged_and_counted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An exception that only a bug explains is a 500 without details; they go to the log, and the server goes on.
    """

    async def broken(_wanted: Wanted) -> Body:
        raise RuntimeError("hunter2")

    with monkeypatch.context() as patch:
        patch.setattr(site.exposition, "body", broken)
        response, body = await site.get("/metrics")
    after, metrics = await site.get("/metrics")

    assert (500, b"An unexpected error; the exporter's log has the details.\n") == (response.status, body)
    assert ["unexpected error in an answer"] == [call.args[0] for call in site.log.calls]
    assert 200 == after.status
    assert b"rtc_exporter_unexpected_errors_total 1.0\n" in metrics


async def test_a_bug_in_the_middle_of_an_answer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    When the head is sent already, the connection ends, so that no client takes half a body for a whole one.
    """

    class Broken:
        length = 1_000

        @property
        def parts(self) -> list[bytes]:
            raise RuntimeError("hunter2")

    async def body(_wanted: Wanted) -> Broken:
        return Broken()

    monkeypatch.setattr(site.exposition, "body", body)
    with pytest.raises(aiohttp.ClientPayloadError):
        await site.get("/metrics")

    assert ["unexpected error in an answer"] == [call.args[0] for call in site.log.calls]


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: test\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: test\r\nX-Long: " + b"a" * 33_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: test\r\n" + b"X-Many: 1\r\n" * 2_000 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: test\r\nContent-Length: -1\r\n\r\n",
    ],
    ids=["long line", "long header", "many headers", "TLS", "negative length"],
)
async def test_what_is_not_http_is_refused_quietly(
    site: Site, request_head: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """
    Requests beyond the limits, and bytes that are none, are answered with 400 or 431 and leave no trace in the log.
    """
    caplog.set_level(logging.INFO)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
    writer.write(request_head)

    answer = await asyncio.wait_for(reader.read(), 5)

    writer.close()
    assert answer.split()[1] in (b"400", b"431")
    assert [] == caplog.records
    assert [] == site.log.calls


async def test_a_large_body_is_not_swallowed(site: Site) -> None:
    """
    Nobody asked for a body: a client that goes on and on sending one is left alone after a moment.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
    writer.write(b"POST /-/reload HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 100_000)

    answer = await asyncio.wait_for(reader.read(), 10)

    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
