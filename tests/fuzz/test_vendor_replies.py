"""
Bytes that come where a vendor's HTTP reply is expected: the client makes a reply or a failure of them, and the codecs
readings or failures, whatever they are.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import zlib
from collections.abc import Iterator
from typing import Any, cast

import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exporter.clock import Clock
from exporter.model import Failure, FailureKind, Stamp
from exporter.polling.client import MAX_REPLY, Client, Exchange, Response
from exporter.polling.crowd import Crowd
from exporter.polling.skew import ClockSkew
from exporter.vendors import APIS
from exporter.vendors.http_date import http_date
from exporter.vendors.replies import retry_after
from tests.fuzz.editions import EDITIONS
from tests.vendors import examples as vendors
from tests.vendors.test_any_bytes import is_sound

BODY = b'{"Code": 0, "Data": {"UserCountList": [{"RoomId": "lobby", "UserCount": 7}]}}'
DAY = 86_400.0

pieces = st.sampled_from(
    [
        *(
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.0 200 OK\r\n",
            b"HTTP/1.1 204 \r\n",
            b"HTTP/1.1 101 Switch\r\n",
            b"HTTP/2 200\r\n",
        ),
        *(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n", b"HTTP/1.1 999 \xff\r\n"),
        *(b"HTTP/1.1 503 No\r\nRetry-After: 7\r\n", b"ICY 200 OK\r\n", b"HTTP/1.1 200\r\n", b"http/1.1 200 ok\r\n"),
        *(b"Content-Length: 2\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n"),
        *(
            b"Content-Length: 78\r\n",
            b"Content-Length: 8388609\r\n",
            b"Content-Length: 0x10\r\n",
            b"content-length:\r\n",
        ),
        *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Connection: upgrade\r\n"),
        *(b"Content-Encoding: gzip\r\n", b"Content-Encoding: deflate\r\n", b"Content-Encoding: br\r\n"),
        *(
            b"Date: Tue, 14 Nov 2023 22:13:20 GMT\r\n",
            b"Date: \xff\r\n",
            b"Set-Cookie: a=b; \x00\r\n",
            b"Upgrade: h2c\r\n",
        ),
        *(b"X: y\r\n z\r\n", b"NoColon\r\n", b": empty\r\n", b"X : y\r\n", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\x00"),
        *(b"2\r\n{}\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"4;ext=\xff\r\nabcd\r\n", b"-1\r\n", b"g\r\n"),
        *(BODY, b"{}", b"[]", gzip.compress(BODY), zlib.compress(BODY), zlib.compress(BODY)[2:-4], b"<html>"),
    ]
) | st.binary(max_size=12)
heads = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\nContent-Length: 78\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]
)
replies = st.lists(pieces, max_size=12).map(b"".join) | st.builds(
    lambda head, rest: head + b"".join(rest), heads, st.lists(pieces, max_size=4)
)


class Wire:
    """
    A transport that leads nowhere.
    """

    def __init__(self) -> None:
        self.closed = False

    def write(self, data: bytes) -> None:
        """Nobody reads it."""

    def close(self) -> None:
        """Close it."""
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self.closed

    def pause_reading(self) -> None:
        """Nothing comes by itself."""

    resume_reading = pause_reading

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """There is none."""
        return default


class Caller:
    """
    Stands for the client that an exchange belongs to.
    """

    timeout = 5.0
    clock = Clock()

    def __init__(self) -> None:
        self.complete: bool | None = None
        self.crowd = Crowd()

    def ended(self, connection: object, *, complete: bool) -> None:
        """Keep how it ended."""
        self.complete = complete


class Held:
    """
    Stands for aiohttp's connection.
    """

    def __init__(self, protocol: ResponseHandler) -> None:
        self.protocol = protocol
        self.transport = protocol.transport


async def read(data: bytes, cuts: list[int]) -> tuple[Response | Failure, Caller]:
    """
    What the client makes of these bytes, which come in pieces and then end.
    """
    loop = asyncio.get_running_loop()
    protocol = ResponseHandler(loop)
    protocol.connection_made(cast(asyncio.Transport, Wire()))
    caller = Caller()
    exchange = Exchange(cast(Client, caller), cast(Connection, Held(protocol)), b"GET / HTTP/1.1\r\n\r\n")
    reading = asyncio.ensure_future(exchange.response())
    for part in _parts(data, cuts):
        await asyncio.sleep(0)
        protocol.data_received(part)
    await asyncio.sleep(0)
    protocol.eof_received()
    protocol.connection_lost(None)
    return await reading, caller


def _parts(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return (data[start:end] for start, end in itertools.pairwise(places) if start < end)


@pytest.mark.parametrize("examples", EDITIONS)
def test_any_bytes_are_a_reply_or_a_failure(examples: int) -> None:
    """
    A reply is one to its end and no longer than 8 MiB, and every codec makes something sound of it; a failure is one of
    the vendor's side, and never our own.
    """
    with asyncio.Runner() as runner:

        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(data=replies, cuts=st.lists(st.integers(0, 400), max_size=4))
        @example(data=b"HTTP/1.1 200 OK\r\nContent-Length: 78\r\n\r\n" + BODY, cuts=[])
        @example(data=b"HTTP/1.1 200 OK\r\n\r\n" + BODY, cuts=[3, 40])
        @example(data=b"HTTP/1.1 103 Early\r\n\r\n" * 20, cuts=[])
        @example(data=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\n", cuts=[47])
        def holds(data: bytes, cuts: list[int]) -> None:
            reply, caller = runner.run(read(data, cuts))

            assert caller.complete is isinstance(reply, Response)
            if isinstance(reply, Failure):
                assert reply.kind in {FailureKind.TRANSIENT, FailureKind.MALFORMED}
                assert reply.code in {"disconnected", "not_http", "too_large", "connection"}
                return
            assert len(reply.body) <= MAX_REPLY
            for api in APIS:
                is_sound(api, reply.status, reply.headers, reply.body)

        holds()


dates = st.sampled_from(
    [
        "Tue, 14 Nov 2023 22:13:20 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "0",
        "-1",
        "1e9",
    ]
)
words = st.lists(
    st.sampled_from(
        ["Tue,", "14", "Nov", "Feb", "2023", "-9999", "99999999999", "22:13:20", "24:60:61", "GMT", "+9999", "EST"]
    )
    | st.text(max_size=4),
    max_size=8,
).map(" ".join)
header_texts = dates | words | st.text(max_size=40) | st.integers().map(str) | st.floats().map(str)


@pytest.mark.parametrize("examples", EDITIONS)
def test_any_time_of_a_vendor_is_bounded(examples: int) -> None:
    """
    Whatever stands in ``Date`` and ``Retry-After``: waits are not negative, dates are dates, and calls can still be
    signed, by a clock that is at most a day and an hour from our own.
    """

    @settings(max_examples=examples, deadline=None)
    @given(date=header_texts, wait=header_texts, ours=st.floats(0, 253_370_764_799))
    @example(date="Fri, 31 Dec 9999 23:59:59 GMT", wait="999999999", ours=1_700_000_000.0)
    @example(date="Tue, 14 Nov 2023 22:13:20 -9999", wait="Tue, 14 Nov 9998 22:13:20 GMT", ours=0.0)
    def holds(date: str, wait: str, ours: float) -> None:
        headers = {"Date": date, "Retry-After": wait, "date": date}
        seconds = retry_after(headers)
        assert seconds is None or 0 <= seconds < 2.6e11
        assert http_date(date) is None or 0 <= cast(float, http_date(date)) < 253_370_764_800
        skew = ClockSkew()
        skew.measure(headers, ours)
        skew.follow()
        assert abs(skew.shift) <= DAY + 3_601
        stamp = Stamp(min(max(1_000_000_000.0, ours), 4_000_000_000.0) - skew.shift, "0123456789abcdef")
        for api in APIS:
            assert vendors.request(api, stamp=stamp).target

    holds()
