"""
Bytes that come where a request of the page, the JSON API or a scraper is expected: every one is answered with something
that HTTP has, and none is an error of ours.
"""

from __future__ import annotations

import asyncio
import re
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exporter import logs
from exporter.web.openapi import ROOMS_PARAMETERS
from tests.fuzz.editions import EDITIONS
from tests.web.site import Site
from tests.web.test_openapi import fill

PATHS = [
    b"/",
    b"/metrics",
    b"/api/v1/rooms",
    b"/api/v1/sources",
    b"/api/v1/openapi.json",
    b"/rooms",
    b"/rooms/live/a",
    b"/-/healthy",
    b"/docs",
]
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")

names = st.sampled_from([*ROOMS_PARAMETERS, "before", "room", "name[]", "", "sauce"]).map(str.encode) | st.binary(
    max_size=6
)
values = st.binary(max_size=20) | st.sampled_from(
    [
        b"",
        b"live",
        b"im",
        b"a",
        b"fresh",
        b"warning",
        b"share",
        b"10",
        b"1e9",
        b"WzAsImxpdmUiLCJhIl0",
        b"rtc_room_users",
    ]
)
spelt = st.one_of(
    values.map(lambda value: quote_from_bytes(value).encode()), st.sampled_from([b"%", b"%zz", b"%00", b"%ff", b"+"])
)
queries = st.lists(
    st.builds(lambda name, value: quote_from_bytes(name).encode() + b"=" + value, names, spelt), max_size=5
)
targets = st.builds(lambda path, query: path + b"?" + b"&".join(query), st.sampled_from(PATHS), queries)

lines = st.sampled_from(
    [
        *(
            b"Host: a",
            b"Host: a\r\nHost: b",
            b"Host:",
            b"Accept: */*;q=9",
            b"Accept: \xff, text/plain;version=",
            b"Accept-Encoding: gzip;q=0",
        ),
        *(
            b"Content-Length: 5",
            b"Content-Length: -5",
            b"Content-Length: 5\r\nTransfer-Encoding: chunked",
            b"Expect: 100-continue",
        ),
        *(
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding: xchunked",
            b"Content-Encoding: gzip",
            b"Upgrade: h2c\r\nConnection: Upgrade",
        ),
        *(
            b"Connection: keep-alive",
            b"Connection: close",
            b"Cookie: a=b; \x00",
            b"X: y\r\n z",
            b"NoColon",
            b" : x",
            b"If-None-Match: *",
        ),
        *(
            b"Range: bytes=0-",
            b"Origin: null",
            b"Sec-Fetch-Site: cross-site",
            b"Authorization: Basic \xff",
            b"Content-Type: multipart/form-data",
        ),
    ]
) | st.binary(max_size=20)
methods = st.sampled_from(
    [b"GET", b"HEAD", b"POST", b"OPTIONS", b"TRACE", b"PUT", b"CONNECT", b"get", b"", b"G\x00T", b"PRI"]
)
versions = st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"", b"FTP/1.1"])
bodies = st.sampled_from([b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"\x1f\x8b\x08\x00", b"zz\r\n"])


def _request(method: bytes, target: bytes, version: bytes, head: list[bytes], body: bytes) -> bytes:
    return b"\r\n".join([b" ".join([method, target, version]), *head, b"", body])


heads = st.lists(lines, max_size=5)
requests = st.builds(_request, methods, targets | st.binary(max_size=30), versions, heads, bodies) | st.binary(
    max_size=200
)


@pytest.fixture(autouse=True)
def as_commands_set_logging_up() -> None:
    """
    Libraries are as quiet as in a process that a command has started.
    """
    logs.quieten_libraries()


async def ask(port: int, data: bytes, patience: float = 5.0) -> bytes:
    """
    Whatever is answered to these bytes until the server closes, or for so many seconds.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = bytearray()
    try:
        writer.write(data)
        async with asyncio.timeout(patience):
            while received := await reader.read(65_536):
                answer += received
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writer.transport.abort()
    return bytes(answer)


@pytest.mark.parametrize("examples", EDITIONS)
def test_any_query_is_answered(examples: int) -> None:
    """
    Every query of every path has an answer: what was asked for, or in words what is accepted.
    """
    with asyncio.Runner() as runner:
        site = Site()
        runner.run(site.__aenter__())
        fill(site)

        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(target=targets)
        @example(target=b"/api/v1/rooms?after=%00")
        @example(target=b"/rooms/live/%ff%00")
        @example(target=b"/metrics?name[]=%ed%a0%80")
        def holds(target: bytes) -> None:
            answer = runner.run(
                ask(site.server.port, b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            )

            found = STATUS.match(answer)
            assert found, answer
            assert found[1] in {b"200", b"302", b"303", b"400", b"404"}, answer
            _is_well(site)

        try:
            holds()
        finally:
            runner.run(site.__aexit__(None, None, None))


@pytest.mark.parametrize("examples", EDITIONS)
def test_any_bytes_are_answered_or_cut(examples: int) -> None:
    """
    Requests with mistakes in them, and bytes that are none: 4xx, or nothing at all, and the server goes on.
    """
    with asyncio.Runner() as runner:
        site = Site()
        runner.run(site.__aenter__())
        fill(site)

        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(data=requests)
        def holds(data: bytes) -> None:
            answer = runner.run(ask(site.server.port, data, patience=0.02))

            for status in STATUS.findall(answer[:64]):
                assert int(status) < 500 or status in {b"501", b"505"}, (data, answer)
            _is_well(site)

        try:
            holds()
            assert runner.run(ask(site.server.port, b"GET /-/healthy HTTP/1.0\r\n\r\n")).endswith(b"OK\n")
        finally:
            runner.run(site.__aexit__(None, None, None))


def _is_well(site: Site) -> None:
    assert 0 == site.telemetry.unexpected_errors, site.log.calls
    assert [] == site.log.calls
