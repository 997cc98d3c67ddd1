"""
One call is one request on the wire, seen from a server's side of a real socket.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import ssl
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest
import trustme

from exporter import __version__
from exporter.model import Failure, FailureKind, Request, Stamp
from exporter.polling.client import MAX_REPLY, Response
from exporter.vendors.volcengine import signed_host
from tests.polling.wire import calling, config_for, get, ok, on_each_loop, serving, tunnelling, write

HEAD = b"HTTP/1.1 200 OK\r\n"
PACKED = gzip.compress(b"{}", mtime=0)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("abort", [True, False])
@on_each_loop
async def test_broken_connection_is_not_a_reason_to_send_again(method: str, abort: bool) -> None:
    """
    The server takes a second request on a kept-alive connection and closes it without an answer: the request was sent
    once, and failed.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        if number == 1:
            writer.transport.abort() if abort else writer.close()
        else:
            await ok(number, writer)

    async with serving(answer) as (server, base_url), calling(config_for(base_url)) as client:
        request = Request(method, base_url, "/?Action=x", {}, b"{}" if method == "POST" else b"")
        first, second, third = [await client.call(request) for _ in range(3)]

    assert isinstance(first, Response)
    assert isinstance(second, Failure)
    assert (FailureKind.TRANSIENT, "disconnected") == (second.kind, second.code)
    assert isinstance(third, Response)
    assert (3, 2) == (len(server.requests), server.connections)


@on_each_loop
async def test_connection_is_kept() -> None:
    """
    Ten calls one after the other need one connection.
    """
    async with serving(ok) as (server, base_url), calling(config_for(base_url)) as client:
        outcomes = [await client.call(get(base_url)) for _ in range(10)]

    assert all(isinstance(outcome, Response) for outcome in outcomes)
    assert (10, 1) == (len(server.requests), server.connections)


@on_each_loop
async def test_target_arrives_byte_for_byte() -> None:
    """
    What was signed is what is sent: no percent-encoding is changed, decoded or added.
    """
    target = "/?Action=x&RoomId%5B%5D=a%20b%2Bc%2F%3F%23&RoomId[]=%E6%88%BF~_.-*!()'&x=%7e"
    async with serving(ok) as (server, base_url), calling(config_for(base_url)) as client:
        await client.call(get(base_url, target))

    assert f"GET {target} HTTP/1.1".encode() == server.requests[0].split(b"\r\n")[0]


@on_each_loop
async def test_what_is_sent_is_the_request_and_who_we_are() -> None:
    """
    Four headers of our own, the request's headers and its body, and nothing of any library.
    """
    body = '{"房间": "a"}'.encode()
    async with serving(ok) as (server, base_url), calling(config_for(base_url)) as client:
        await client.call(Request("POST", base_url, "/v4/x", {"Content-Type": "application/json"}, body))

    head, _, sent = server.requests[0].partition(b"\r\n\r\n")
    assert [
        "POST /v4/x HTTP/1.1",
        "Accept-Encoding: gzip, deflate",
        "Accept: */*",
        f"Content-Length: {len(body)}",
        "Content-Type: application/json",
        f"Host: {base_url.removeprefix('http://')}",
        f"User-Agent: rtc-room-exporter/{__version__}",
    ] == [head.decode().split("\r\n")[0], *sorted(head.decode().split("\r\n")[1:])]
    assert body == sent


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@on_each_loop
async def test_redirect_is_not_followed(status: int) -> None:
    """
    No vendor redirects; whoever does gets no signed request.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, b"HTTP/1.1 %d Go\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n" % status)

    async with serving(answer) as (server, base_url), calling(config_for(base_url)) as client:
        outcome = await client.call(get(base_url))

    assert isinstance(outcome, Response)
    assert status == outcome.status
    assert 1 == len(server.requests)


@on_each_loop
async def test_hanging_server_is_given_up() -> None:
    """
    A call ends when its time is up, with or without a byte of the reply.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        if number:
            await write(writer, HEAD + b"Content-Length: 2\r\n\r\n{")

    async with serving(answer) as (_, base_url), calling(config_for(base_url, timeout="200ms")) as client:
        outcomes = [await client.call(get(base_url)) for _ in range(2)]

    assert ["timeout"] * 2 == [outcome.code for outcome in outcomes if isinstance(outcome, Failure)]


@on_each_loop
async def test_late_reply_is_not_taken_for_the_next_one() -> None:
    """
    What comes on a connection after its call was given up concerns nobody any more.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        if number == 0:
            await asyncio.sleep(0.6)
        await write(writer, HEAD + b"Content-Length: 1\r\n\r\n%d" % number)

    async with serving(answer) as (_, base_url), calling(config_for(base_url, timeout="500ms")) as client:
        late = await client.call(get(base_url))
        next_ones = [await client.call(get(base_url)) for _ in range(2)]
        await asyncio.sleep(0.2)
        next_ones.append(await client.call(get(base_url)))

    assert isinstance(late, Failure)
    assert [b"1", b"2", b"3"] == [outcome.body for outcome in next_ones if isinstance(outcome, Response)]


@pytest.mark.parametrize(
    "unasked",
    [HEAD + b"Content-Length: 1\r\n\r\nX", b"X", b"HTTP/1.1 103 Early\r\n\r\n"],
    ids=["reply", "noise", "103"],
)
@on_each_loop
async def test_reply_that_nobody_asked_for_is_not_taken_for_the_next_one(unasked: bytes) -> None:
    """
    A connection on which bytes come while no call is under way is not used again.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, HEAD + b"Content-Length: 1\r\n\r\n%d" % number)
        if number == 0:
            await asyncio.sleep(0.1)
            await write(writer, unasked)

    async with serving(answer) as (server, base_url), calling(config_for(base_url)) as client:
        outcomes = [await client.call(get(base_url))]
        await asyncio.sleep(0.3)
        outcomes += [await client.call(get(base_url)) for _ in range(3)]

    assert [b"0", b"1", b"2", b"3"] == [outcome.body for outcome in outcomes if isinstance(outcome, Response)]
    assert 2 == server.connections


@on_each_loop
async def test_server_that_speaks_first_is_not_heard() -> None:
    """
    A greeting on a new connection is not the reply to the first call on it.
    """

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await write(writer, HEAD + b"Content-Length: 1\r\n\r\nX")
        await asyncio.sleep(1)
        writer.close()

    listening = await asyncio.start_server(greet, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening, calling(config_for(base_url)) as client:
        assert await client._connect() is None
        await asyncio.sleep(0.1)

        assert not client.has_connection()


@pytest.mark.parametrize("abort", [True, False])
@on_each_loop
async def test_connection_that_dies_while_idle_is_not_used(abort: bool) -> None:
    """
    Vendors close idle connections, with a farewell or without: the next call leaves on another one.
    """
    async with serving(ok) as (server, base_url), calling(config_for(base_url)) as client:
        await client.call(get(base_url))
        (writer,) = server.open
        writer.transport.abort() if abort else writer.close()
        await asyncio.sleep(0.1)
        outcome = await client.call(get(base_url))

    assert isinstance(outcome, Response)
    assert (2, 2) == (len(server.requests), server.connections)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (b"\x00\x01\x02 this is not HTTP\r\n\r\n", "not_http"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "not_http"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", "not_http"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", "not_http"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 5\r\n\r\nhello", "not_http"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 18\r\n\r\n%b" % PACKED[:18], "disconnected"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 44\r\n\r\n%b" % (2 * PACKED), "not_http"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "not_http"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "disconnected"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", "disconnected"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "too_large"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9 + HEAD + b"Content-Length: 0\r\n\r\n", "not_http"),
        (b"HTTP/1.1 200 O", "disconnected"),
        (b"", "disconnected"),
    ],
)
@on_each_loop
async def test_reply_that_is_no_http(reply: bytes, code: str) -> None:
    """
    Garbage below HTTP is a failure like any other.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, reply)
        writer.close()

    async with serving(answer) as (_, base_url), calling(config_for(base_url)) as client:
        outcome = await client.call(get(base_url))

    assert isinstance(outcome, Failure)
    assert code == outcome.code


@pytest.mark.parametrize(
    ("reply", "status", "body"),
    [
        (
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{"\r\n3\r\na":\r\n2\r\n1}\r\n0\r\n\r\n',
            200,
            b'{"a":1}',
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil it closes", 200, b"until it closes"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil it closes", 200, b"until it closes"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b""),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nPRI * HTTP/2.0", 101, b""),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 8 + HEAD + b"Content-Length: 2\r\n\r\n{}", 200, b"{}"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\n{}", 200, b"{}"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 32_000 + b"\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}"),
        (
            HEAD + b"Set-Cookie: httponly,msToken{\xe2\x80\xa6}=1\r\nSet-Cookie: /User\xe6\x88\xbf=zh\r\n"
            b"Date: Thu, 01 Jan 9999999999 00:00:00 GMT\r\nContent-Length: 2\r\n\r\n{}",
            200,
            b"{}",
        ),
    ],
    ids=["chunked", "no length", "1.0", "close", "204", "304", "101", "8 x 103", "100", "long header", "odd headers"],
)
@on_each_loop
async def test_reply_in_an_unusual_form_is_read(reply: bytes, status: int, body: bytes) -> None:
    """
    Whatever HTTP allows, and what servers send all the same, is a reply.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, reply)
        writer.close()

    async with serving(answer) as (server, base_url), calling(config_for(base_url)) as client:
        outcomes = []
        for _ in range(2):
            outcomes.append(await client.call(get(base_url)))
            await asyncio.sleep(0.05)  # else the server's farewell may meet the next request

    assert [(status, body)] * 2 == [(reply.status, reply.body) for reply in outcomes if isinstance(reply, Response)]
    assert 2 == len(server.requests)


@pytest.mark.parametrize("chunk", [b"HTTP/1.1 200 OK\r\n", b"2\r\n{}g\r\n", b"-1\r\n"])
@on_each_loop
async def test_malformed_chunk_is_told_at_once(chunk: bytes) -> None:
    """
    A body that breaks the rules after its head was read is no reason to wait for the time-out.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await asyncio.sleep(0.05)
        await write(writer, chunk)
        await asyncio.sleep(10)

    async with serving(answer) as (_, address), calling(config_for(address, timeout="9s")) as client:
        async with asyncio.timeout(5):
            outcome = await client.call(get(address, "/"))

    assert isinstance(outcome, Failure)
    assert (FailureKind.MALFORMED, "not_http") == (outcome.kind, outcome.code)


@on_each_loop
async def test_interim_replies_without_end_are_given_up() -> None:
    """
    A server that never comes to the point holds the loop for a moment, not for as long as it likes.
    """
    flood = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 4_000
    sent = 0

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while sent < 100_000_000:
            await write(writer, flood)
            sent += len(flood)

    async with serving(answer) as (_, base_url), calling(config_for(base_url)) as client:
        tracemalloc.start()
        try:
            outcome = await client.call(get(base_url))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert isinstance(outcome, Failure)
    assert (FailureKind.MALFORMED, "not_http") == (outcome.kind, outcome.code)
    assert sent < 20_000_000
    assert peak < 60_000_000


@on_each_loop
async def test_final_reply_after_too_many_interim_ones_is_not_taken_for_the_next_one() -> None:
    """
    Its call had been given up.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        if number == 0:
            await write(writer, b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9)
            await asyncio.sleep(0.1)
        await write(writer, HEAD + b"Content-Length: 1\r\n\r\n%d" % number)

    async with serving(answer) as (_, base_url), calling(config_for(base_url)) as client:
        first, second = [await client.call(get(base_url)) for _ in range(2)]

    assert isinstance(first, Failure)
    assert isinstance(second, Response)
    assert b"1" == second.body


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(("size", "kept"), [(MAX_REPLY, True), (MAX_REPLY + 1, False)])
@on_each_loop
async def test_reply_has_a_largest_size(size: int, kept: bool, told: bool) -> None:
    """
    8 MiB are read and not a byte more, whether the reply tells its length or not.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        head = f"Content-Length: {size}" if told else "Connection: close"
        await write(writer, f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + bytes(size))
        writer.close()

    async with serving(answer) as (_, base_url), calling(config_for(base_url, timeout="20s")) as client:
        outcome = await client.call(get(base_url))

    assert kept == isinstance(outcome, Response)
    if isinstance(outcome, Failure):
        assert (FailureKind.MALFORMED, "too_large") == (outcome.kind, outcome.code)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
@on_each_loop
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

    async with serving(answer) as (_, base_url), calling(config_for(base_url, timeout="20s")) as client:
        tracemalloc.start()
        try:
            outcome = await client.call(get(base_url))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert isinstance(outcome, Failure)
    assert (FailureKind.MALFORMED, "too_large") == (outcome.kind, outcome.code)
    assert peak < 80_000_000


@on_each_loop
async def test_compressed_reply_is_unpacked() -> None:
    """
    A vendor may compress its replies.
    """
    packed = gzip.compress(b'{"Code": 0}')

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
        await write(writer, head.encode() + packed)

    async with serving(answer) as (server, base_url), calling(config_for(base_url)) as client:
        outcomes = [await client.call(get(base_url)) for _ in range(2)]

    assert [b'{"Code": 0}'] * 2 == [outcome.body for outcome in outcomes if isinstance(outcome, Response)]
    assert 1 == server.connections


@on_each_loop
async def test_times_of_a_reply() -> None:
    """
    When its head was there and when its last byte was, by the clock that decides ages; and that in Unix time too.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, HEAD + b"Content-Length: 1\r\n\r\n")
        await asyncio.sleep(0.3)
        await write(writer, b"1")

    async with serving(answer) as (_, base_url), calling(config_for(base_url)) as client:
        outcome = await client.call(get(base_url))

    assert isinstance(outcome, Response)
    assert 0.25 <= outcome.arrival.monotonic - outcome.head_at
    assert time.time() == pytest.approx(outcome.arrival.unix, abs=60)


@on_each_loop
async def test_refused_connection_is_told() -> None:
    """
    Nobody listens there.
    """
    async with serving(ok) as (_, base_url):
        pass
    async with calling(config_for(base_url)) as client:
        outcome = await client.call(get(base_url))

    assert isinstance(outcome, Failure)
    assert (FailureKind.TRANSIENT, "connect") == (outcome.kind, outcome.code)


@on_each_loop
async def test_proxy_is_asked() -> None:
    """
    A plain request through a proxy goes to it in absolute form, once, with the user and password of its URL.
    """
    async with serving(ok) as (server, address):
        proxy = address.replace("http://", "http://user:p%40ss@")
        async with calling(config_for("http://vendor.invalid", proxy=proxy)) as client:
            outcome = await client.call(get("http://vendor.invalid", "/?a=%7E"))

    assert isinstance(outcome, Response)
    (asked,) = server.requests
    assert asked.startswith(b"GET http://vendor.invalid/?a=%7E HTTP/1.1\r\nHost: vendor.invalid\r\n")
    assert b"\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n" in asked


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("用户:密码", "用户:密码".encode()),
        ("us%E9r:p%ffss%3A", b"us\xe9r:p\xffss:"),
        ("é:%e9", b"\xc3\xa9:\xe9"),
        ("user", b"user:"),
        (":secret", b":secret"),
    ],
)
@pytest.mark.parametrize("vendor", ["http://vendor.invalid", "https://vendor.invalid"])
@on_each_loop
async def test_credentials_of_a_proxy_are_bytes(vendor: str, written: str, sent: bytes) -> None:
    """
    They need be neither ASCII nor UTF-8: each byte is sent as the URL has it.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    async with serving(answer) as (server, address):
        proxy = address.replace("http://", f"http://{written}@")
        async with calling(config_for(vendor, proxy=proxy)) as client:
            await client.call(get(vendor, "/"))

    header = b"\r\nProxy-Authorization: Basic " + base64.b64encode(sent) + b"\r\n"
    assert header in server.requests[0]


@pytest.mark.parametrize(
    ("base_url", "host"),
    [
        ("http://vendor.invalid:80", b"vendor.invalid"),
        ("http://vendor.invalid:8080", b"vendor.invalid:8080"),
        ("http://[2001:db8::1]:8080", b"[2001:db8::1]:8080"),
    ],
)
@pytest.mark.parametrize("api", ["zego_rtc", "volcengine_rtc"])
@on_each_loop
async def test_host_that_is_signed_is_sent(base_url: str, host: bytes, api: str) -> None:
    """
    Volcengine signs the host, without a default port; for vendors that sign none it is the same.
    """
    async with serving(ok) as (server, proxy):
        config = config_for(base_url, api, proxy=proxy)
        auth = config.codec.authorize(config.source, 1_700_000_000.0)
        stamp = Stamp(1_700_000_000.0, "0123456789abcdef")
        async with calling(config) as client:
            await client.call(config.codec.request(config.source, auth, ("a",), stamp))

    hosts = [line for line in server.requests[0].split(b"\r\n") if line.lower().startswith(b"host:")]
    assert [b"Host: " + host] == hosts
    assert host.decode() == signed_host(base_url)


@pytest.mark.parametrize("method", ["GET", "POST"])
@on_each_loop
async def test_vendor_must_have_a_certificate_that_is_trusted(method: str, tmp_path: Path) -> None:
    """
    The one of ``ca_file`` is; without it nothing is sent to whoever answers there.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)

    async with serving(ok, tls) as (server, base_url):
        trusting = config_for(base_url, ca_file=str(tmp_path / "ca.pem"))
        (tmp_path / "ca.pem").unlink()  # its contents are what counts
        request = Request(method, base_url, "/?Action=x", {}, b"{}" if method == "POST" else b"")
        outcomes = []
        for config in (trusting, config_for(base_url)):
            async with calling(config) as client:
                outcomes += [await client.call(request) for _ in range(2)]

    assert [b"{}"] * 2 == [outcome.body for outcome in outcomes if isinstance(outcome, Response)]
    assert [(FailureKind.MISCONFIGURED, "tls_certificate")] * 2 == [
        (outcome.kind, outcome.code) for outcome in outcomes if isinstance(outcome, Failure)
    ]
    assert 2 == len(server.requests)


@on_each_loop
async def test_certificate_must_be_of_the_vendors_name(tmp_path: Path) -> None:
    """
    Another host of the same authority is not the vendor.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("vendor.example").configure_cert(tls)

    ca_file = str(tmp_path / "ca.pem")
    async with serving(ok, tls) as (server, base_url), calling(config_for(base_url, ca_file=ca_file)) as client:
        outcome = await client.call(get(base_url))

    assert isinstance(outcome, Failure)
    assert "tls_certificate" == outcome.code
    assert [] == server.requests


@on_each_loop
async def test_vendor_without_tls_is_told() -> None:
    """
    Something answers there, but does not speak TLS.
    """

    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await write(writer, b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as listening:
        base_url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        async with calling(config_for(base_url)) as client:
            outcome = await client.call(get(base_url))

    assert isinstance(outcome, Failure)
    assert (FailureKind.TRANSIENT, "tls") == (outcome.kind, outcome.code)


@on_each_loop
async def test_vendor_with_tls_behind_a_proxy(tmp_path: Path) -> None:
    """
    The proxy opens a tunnel, and sees neither the request nor the reply; the vendor does not see the proxy's password.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("vendor.invalid").configure_cert(tls)

    async with serving(ok, tls) as (server, address), tunnelling(address) as (asked, proxy):
        config = config_for(
            "https://vendor.invalid:443",
            ca_file=str(tmp_path / "ca.pem"),
            proxy=proxy.replace("http://", "http://user:p%40ss@"),
        )
        async with calling(config) as client:
            outcomes = [await client.call(get("https://vendor.invalid:443", "/?Signature=x")) for _ in range(2)]

    assert [b"{}"] * 2 == [outcome.body for outcome in outcomes if isinstance(outcome, Response)]
    (head,) = asked
    assert head.startswith(b"CONNECT vendor.invalid:443 HTTP/1.1\r\n")
    assert f"\r\nUser-Agent: rtc-room-exporter/{__version__}\r\n".encode() in head
    assert b"\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n" in head
    assert b"Signature" not in head
    for request in server.requests:
        assert request.startswith(b"GET /?Signature=x HTTP/1.1\r\nHost: vendor.invalid\r\n")
        assert b"Proxy-" not in request


@on_each_loop
async def test_proxy_of_a_vendor_with_tls_is_told_who_we_are() -> None:
    """
    A proxy may admit clients by their names, and learns no version of anything but ourselves.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    vendor = "https://vendor.invalid"
    async with serving(answer) as (server, proxy), calling(config_for(vendor, proxy=proxy)) as client:
        outcome = await client.call(get(vendor, "/?Signature=x"))

    assert isinstance(outcome, Failure)
    assert (FailureKind.MISCONFIGURED, "proxy_refused") == (outcome.kind, outcome.code)
    (asked,) = server.requests
    assert asked.startswith(b"CONNECT vendor.invalid:443 HTTP/1.1\r\n")
    assert f"\r\nUser-Agent: rtc-room-exporter/{__version__}\r\n".encode() in asked
    assert b"Signature" not in asked
    assert b"aiohttp" not in asked


@pytest.mark.parametrize("base_url", ["http://vendor.invalid", "https://vendor.invalid"])
@on_each_loop
async def test_proxy_that_is_away_is_told(base_url: str) -> None:
    """
    It is the proxy that cannot be reached, not the vendor.
    """
    async with serving(ok) as (_, proxy):
        pass
    async with calling(config_for(base_url, proxy=proxy)) as client:
        outcome = await client.call(get(base_url))

    assert isinstance(outcome, Failure)
    assert "proxy_connect" == outcome.code


@on_each_loop
async def test_last_descriptors_are_not_for_vendors(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What is left of them is for scrapes and files; the failure says what has run out, and blames no vendor.
    """
    async with serving(ok) as (_, base_url), calling(config_for(base_url)) as client:
        with monkeypatch.context() as patch:
            patch.setattr("exporter.polling.client.highest_for_vendors", lambda: 3)
            outcome = await client.call(get(base_url))
        again = await client.call(get(base_url))

    assert isinstance(outcome, Failure)
    assert (FailureKind.TRANSIENT, "exhausted") == (outcome.kind, outcome.code)
    assert isinstance(again, Response)


@on_each_loop
async def test_proxy_that_never_comes_to_the_point() -> None:
    """
    Interim answers to CONNECT end after a few as well, long before the time is up.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            await write(writer, b"HTTP/1.1 103 Early Hints\r\n\r\n" * 4_000)

    async with serving(answer) as (_, proxy):
        config = config_for("https://127.0.0.1:1", proxy=proxy, timeout="20s")
        began = time.monotonic()
        async with calling(config) as client:
            outcome = await client.call(get("https://127.0.0.1:1"))

    assert isinstance(outcome, Failure)
    assert time.monotonic() - began < 10
