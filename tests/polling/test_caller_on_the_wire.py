"""
One call is one request on the wire, seen from a server's side of a real socket.
"""

from __future__ import annotations

import asyncio
import gzip
import ssl
import tracemalloc
import zlib

import pytest
import trustme

from exporter import __version__
from exporter.model import Failure, FailureKind, Request
from exporter.polling.caller import MAX_REPLY, Caller, Exchange
from exporter.polling.clock import Clock
from exporter.vendors.source import Certificates
from tests.polling.wire import OK, Gate, calling, get, serving, write


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("abort", [True, False])
async def test_broken_connection_is_not_a_reason_to_send_again(method: str, abort: bool) -> None:
    """
    The server takes a second request on a kept-alive connection and closes it without an answer: the request was sent
    once, passed the gate once, and failed.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        if number == 1:
            writer.transport.abort() if abort else writer.close()
        else:
            await write(writer, OK)

    gate = Gate()
    async with serving(answer) as (server, base_url), calling(gate) as caller:
        request = Request(method, base_url, "/?Action=x", {}, b"{}" if method == "POST" else b"")
        first, second, third = [await caller.call(request) for _ in range(3)]

    assert isinstance(first, Exchange)
    assert isinstance(second, Failure)
    assert (FailureKind.TRANSIENT, "disconnected") == (second.kind, second.code)
    assert isinstance(third, Exchange)
    assert 3 == len(server.requests) == gate.passed
    assert ["sent", "answered", "sent", "sent", "answered"] == gate.told
    assert 2 == server.connections


async def test_connection_is_kept() -> None:
    """
    Ten calls one after the other need one connection.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, OK)

    async with serving(answer) as (server, base_url), calling() as caller:
        outcomes = [await caller.call(get(base_url)) for _ in range(10)]

    assert all(isinstance(outcome, Exchange) for outcome in outcomes)
    assert (10, 1) == (len(server.requests), server.connections)


async def test_target_arrives_byte_for_byte() -> None:
    """
    What was signed is what is sent: no percent-encoding is changed, decoded or added.
    """
    target = "/?Action=x&RoomId%5B%5D=a%20b%2Bc%2F%3F%23&RoomId[]=%E6%88%BF~_.-*!()'&x=%7e"

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, OK)

    async with serving(answer) as (server, base_url), calling() as caller:
        await caller.call(get(base_url, target))

    assert f"GET {target} HTTP/1.1".encode() == server.requests[0].split(b"\r\n")[0]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(status: int) -> None:
    """
    No vendor redirects; whoever does gets no signed request.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, b"HTTP/1.1 %d Go\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n" % status)

    async with serving(answer) as (server, base_url), calling() as caller:
        outcome = await caller.call(get(base_url))

    assert isinstance(outcome, Exchange)
    assert status == outcome.status
    assert 1 == len(server.requests)


async def test_hanging_server_is_given_up() -> None:
    """
    A call ends when its time is up, with or without a byte of the reply.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        if number:
            await write(writer, OK[:-1])

    async with serving(answer) as (_, base_url), calling(timeout=0.2) as caller:
        outcomes = [await caller.call(get(base_url)) for _ in range(2)]

    assert ["timeout"] * 2 == [outcome.code for outcome in outcomes if isinstance(outcome, Failure)]


async def test_late_reply_is_not_taken_for_the_next_one() -> None:
    """
    What comes on a connection after its call was given up concerns nobody any more.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        if number == 0:
            await asyncio.sleep(1.2)
        await write(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)

    async with serving(answer) as (_, base_url), calling(timeout=1.0) as caller:
        late = await caller.call(get(base_url))
        next_ones = [await caller.call(get(base_url)) for _ in range(2)]
        await asyncio.sleep(0.4)
        next_ones.append(await caller.call(get(base_url)))

    assert isinstance(late, Failure)
    assert [b"1", b"2", b"3"] == [outcome.body for outcome in next_ones if isinstance(outcome, Exchange)]


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (b"\x00\x01\x02 this is not HTTP\r\n\r\n", "not_http"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "not_http"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", "not_http"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", "disconnected"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "not_http"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "too_large"),
    ],
)
async def test_reply_that_is_no_http(reply: bytes, code: str) -> None:
    """
    Garbage below HTTP is a failure like any other.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, reply)
        writer.close()

    async with serving(answer) as (_, base_url), calling() as caller:
        outcome = await caller.call(get(base_url))

    assert isinstance(outcome, Failure)
    assert code == outcome.code


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(("size", "kept"), [(MAX_REPLY, True), (MAX_REPLY + 1, False)])
async def test_reply_has_a_largest_size(size: int, kept: bool, told: bool) -> None:
    """
    8 MiB are read and not a byte more, whether the reply tells its length or not.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        head = f"Content-Length: {size}" if told else "Connection: close"
        await write(writer, f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + bytes(size))
        writer.close()

    async with serving(answer) as (_, base_url), calling(timeout=20) as caller:
        outcome = await caller.call(get(base_url))

    assert kept == isinstance(outcome, Exchange)
    if isinstance(outcome, Failure):
        assert (FailureKind.MALFORMED, "too_large") == (outcome.kind, outcome.code)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
async def test_bomb_is_defused(encoding: str) -> None:
    """
    A reply that unpacks to 150 MB is given up at 8 MiB, and little more than that is ever held.
    """
    zeros = b"\x00" * 10_000_000
    packer = {"gzip": 31, "deflate": 15}.get(encoding)
    if packer is None:
        packed = [zeros] * 5
    else:
        compressor = zlib.compressobj(9, zlib.DEFLATED, packer)
        packed = [*(compressor.compress(zeros) for _ in range(15)), compressor.flush()]

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nTransfer-Encoding: chunked\r\n\r\n"
        await write(writer, head.encode())
        for part in packed:
            if part:
                await write(writer, b"%x\r\n%b\r\n" % (len(part), part))
        await write(writer, b"0\r\n\r\n")

    async with serving(answer) as (_, base_url), calling(timeout=20) as caller:
        tracemalloc.start()
        try:
            outcome = await caller.call(get(base_url))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert isinstance(outcome, Failure)
    assert (FailureKind.MALFORMED, "too_large") == (outcome.kind, outcome.code)
    assert peak < 80_000_000


async def test_compressed_reply_is_unpacked() -> None:
    """
    A vendor may compress its replies.
    """
    packed = gzip.compress(b'{"Code": 0}')

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
        await write(writer, head.encode() + packed)

    async with serving(answer) as (_, base_url), calling() as caller:
        outcome = await caller.call(get(base_url))

    assert isinstance(outcome, Exchange)
    assert b'{"Code": 0}' == outcome.body


async def test_gate_is_passed_with_a_connection_in_hand() -> None:
    """
    While the gate is shut the connection is made, nothing is written, and the call can be ended.
    """
    opened = asyncio.Event()

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, OK)

    async with serving(answer) as (server, base_url):
        caller = Caller(lambda _: _pass(opened), Clock(), rate=10, timeout=5)
        running, ended = [asyncio.create_task(caller.call(get(base_url))) for _ in range(2)]
        async with asyncio.timeout(5):
            await server.connected.acquire()
            await server.connected.acquire()
        assert [] == server.requests
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)
        opened.set()
        outcome = await running
        await caller.aclose()

    assert isinstance(outcome, Exchange)
    assert 1 == len(server.requests)


async def _pass(opened: asyncio.Event) -> None:
    await opened.wait()


async def test_refused_connection_passes_no_gate() -> None:
    """
    Where nobody listens no slot of the limit is counted as used.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        raise AssertionError

    async with serving(answer) as (_, base_url):
        pass
    gate = Gate()
    async with calling(gate) as caller:
        outcome = await caller.call(get(base_url))

    assert isinstance(outcome, Failure)
    assert "connect" == outcome.code
    assert 0 == gate.passed


async def test_proxy_is_asked() -> None:
    """
    A plain request through a proxy goes to it in absolute form, once.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, OK)

    async with serving(answer) as (server, proxy):
        caller = Caller(Gate(), Clock(), rate=10, timeout=5, proxy=proxy)
        outcome = await caller.call(get("http://vendor.invalid", "/?a=%7E"))
        await caller.aclose()

    assert isinstance(outcome, Exchange)
    assert b"GET http://vendor.invalid/?a=%7E HTTP/1.1" == server.requests[0].split(b"\r\n")[0]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_vendor_must_have_a_certificate_that_is_trusted(method: str) -> None:
    """
    The one of ``ca_file`` is; without it nothing is sent to whoever answers there.
    """
    authority = trustme.CA()
    trusted = Certificates(authority.cert_pem.bytes().decode(), "ca.pem")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, OK)

    async with serving(answer, tls) as (server, base_url):
        request = Request(method, base_url, "/?Action=x", {}, b"{}" if method == "POST" else b"")
        outcomes = []
        for ca_file in (trusted, None):
            caller = Caller(Gate(), Clock(), rate=10, timeout=5, ca_file=ca_file)
            outcomes += [await caller.call(request) for _ in range(2)]
            await caller.aclose()

    assert [b"{}"] * 2 == [outcome.body for outcome in outcomes if isinstance(outcome, Exchange)]
    assert ["tls_certificate"] * 2 == [outcome.code for outcome in outcomes if isinstance(outcome, Failure)]
    assert 2 == len(server.requests)


async def test_reply_that_nobody_asked_for_is_not_taken_for_the_next_one() -> None:
    """
    A server that says something on an idle connection is not heard: that connection is closed, and one call fails.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
        if number == 0:
            await asyncio.sleep(0.1)
            await write(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nX")

    async with serving(answer) as (_, base_url), calling() as caller:
        first = await caller.call(get(base_url))
        await asyncio.sleep(0.3)
        refused, *others = [await caller.call(get(base_url)) for _ in range(3)]

    assert isinstance(refused, Failure)
    assert "disconnected" == refused.code
    assert [b"0", b"1", b"2"] == [outcome.body for outcome in (first, *others) if isinstance(outcome, Exchange)]


async def test_connection_that_breaks_at_the_gate() -> None:
    """
    A call whose connection the server closed while it waited is not written anywhere.
    """
    opened = asyncio.Event()

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        raise AssertionError

    async with serving(answer) as (server, base_url):
        caller = Caller(lambda _: _pass(opened), Clock(), rate=10, timeout=5)
        running = asyncio.create_task(caller.call(get(base_url)))
        async with asyncio.timeout(5):
            await server.connected.acquire()
        await server.close()
        await asyncio.sleep(0.1)
        opened.set()
        outcome = await running
        await caller.aclose()

    assert isinstance(outcome, Failure)
    assert "disconnected" == outcome.code
    assert [] == server.requests


async def test_proxy_of_a_vendor_with_tls_is_told_who_we_are() -> None:
    """
    A proxy may admit clients by their names, and learns no version of anything but ourselves.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    async with serving(answer) as (server, proxy):
        caller = Caller(Gate(), Clock(), rate=10, timeout=5, proxy=proxy)
        outcome = await caller.call(get("https://vendor.invalid", "/?Signature=x"))
        await caller.aclose()

    assert isinstance(outcome, Failure)
    assert "proxy_refused" == outcome.code
    (asked,) = server.requests
    assert asked.startswith(b"CONNECT vendor.invalid:443 HTTP/1.1\r\n")
    assert f"\r\nUser-Agent: rtc-room-exporter/{__version__}\r\n".encode() in asked
    assert b"Signature" not in asked
    assert b"aiohttp" not in asked
