"""
Connections come first: when they are opened, kept, closed. And whatever aiohttp raises is a failure in our own words.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import inspect
import json
import math
import os
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import aiohttp
import pytest
import trustme
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from exporter.app import Exporter, WebOptions
from exporter.clock import Clock
from exporter.config import Config
from exporter.model import Failure, FailureKind, Request
from exporter.polling.client import Client, Response
from tests.polling.house import LogLines, named
from tests.polling.virtual_time import until
from tests.polling.wire import Opener, calling, config_for, get, ok, on_each_loop, serving, write
from tests.vendors import examples

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel does not tell what is acknowledged")
SECRET = "5ignature-n0b0dy-may-see"
REQUEST = Request(
    "GET",
    "https://rtc-api.zego.im",
    f"/?Action=DescribeUserNum&Signature={SECRET}",
    {"Authorization": SECRET},
    secrets=(SECRET,),
)
KEY = cast(ConnectionKey, SimpleNamespace(host=SECRET, port=443, ssl=True, is_ssl=True))
INFO = aiohttp.RequestInfo(URL(REQUEST.url), "GET", CIMultiDictProxy(CIMultiDict()), URL(REQUEST.url))


async def call_that_raises(error: BaseException, patch: pytest.MonkeyPatch) -> Response | Failure:
    """What becomes of a call when this is raised while it connects."""

    async def connect(*_: object, **__: object) -> NoReturn:
        raise error

    patch.setattr(aiohttp.TCPConnector, "connect", connect)
    async with calling(config_for("https://rtc-api.zego.im")) as client:
        return await client.call(REQUEST)


def arguments(kind: type[BaseException]) -> tuple[Any, ...]:
    """What an exception of aiohttp's is made with, a secret in all of it."""
    if issubclass(kind, aiohttp.ClientConnectorCertificateError):
        return KEY, ssl.SSLCertVerificationError(1, SECRET)
    if issubclass(kind, aiohttp.ServerFingerprintMismatch):
        return b"expected", b"got", SECRET, 443
    if issubclass(kind, aiohttp.ClientConnectorError):
        return KEY, OSError(1, SECRET)
    if issubclass(kind, aiohttp.ClientResponseError):
        return INFO, ()
    if issubclass(kind, OSError):
        return 1, SECRET
    return (SECRET,)


RAISED: list[type[BaseException]] = [
    kind
    for _, kind in inspect.getmembers(aiohttp, inspect.isclass)
    if issubclass(kind, aiohttp.ClientError) and not inspect.isabstract(kind)
]


@pytest.mark.parametrize(
    "kind",
    [*RAISED, TimeoutError, asyncio.TimeoutError, ssl.SSLError, ConnectionResetError, ValueError, RuntimeError],
)
async def test_every_exception_is_a_failure_that_tells_no_secret(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    URLs carry signatures, and the library prints URLs: nothing of its texts comes through.
    """
    outcome = await call_that_raises(kind(*arguments(kind)), monkeypatch)

    assert isinstance(outcome, Failure)
    assert outcome.kind in {FailureKind.TRANSIENT, FailureKind.MISCONFIGURED, FailureKind.MALFORMED}
    assert SECRET not in f"{outcome} {outcome!r}"
    assert "zego" not in f"{outcome} {outcome!r}"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TimeoutError(), "timeout"),
        (aiohttp.ServerTimeoutError(), "timeout"),
        (aiohttp.ConnectionTimeoutError(), "timeout"),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "unknown")), "dns"),
        (aiohttp.ClientConnectorError(KEY, OSError(111, "refused")), "connect"),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError()), "tls"),
        (aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError()), "tls_certificate"),
        (aiohttp.ClientProxyConnectionError(KEY, OSError(111, "refused")), "proxy_connect"),
        (aiohttp.ClientHttpProxyError(INFO, (), status=407), "proxy_refused"),
        (aiohttp.ClientPayloadError(), "disconnected"),
        (aiohttp.ServerDisconnectedError(), "disconnected"),
        (aiohttp.ClientOSError(104, "reset"), "disconnected"),
        (aiohttp.ClientResponseError(INFO, ()), "not_http"),
        (aiohttp.InvalidURL("x"), "invalid_url"),
        (RuntimeError("the handler is closed"), "connection"),
        (aiohttp.ClientConnectorError(KEY, OSError(errno.EMFILE, "Too many open files")), "exhausted"),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(errno.EAGAIN, "can't start new thread")), "exhausted"),
    ],
)
async def test_exceptions_are_told_apart(error: Exception, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An operator sees at which step a call failed.
    """
    outcome = await call_that_raises(error, monkeypatch)

    assert isinstance(outcome, Failure)
    assert code == outcome.code


async def test_cancellation_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A call that is ended at shutdown ends.
    """
    with pytest.raises(asyncio.CancelledError):
        await call_that_raises(asyncio.CancelledError(), monkeypatch)


class Moment:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Monotonic seconds."""
        return self.now


def clock_of(moment: Moment) -> Clock:
    """A client's clock."""
    return Clock(monotonic=moment)


def connecting_takes(seconds: float, patch: pytest.MonkeyPatch) -> None:
    """As to a vendor on another continent."""
    connect = aiohttp.TCPConnector.connect

    async def slowly(*arguments: Any, **more: Any) -> Any:
        await asyncio.sleep(seconds)
        return await connect(*arguments, **more)

    patch.setattr(aiohttp.TCPConnector, "connect", slowly)


async def ready(client: Client, opener: Opener) -> None:
    """Wait for a connection, and open one if none is on its way, as a poller does."""
    while not client.has_connection():
        if client.ready_at() < math.inf:
            client.open()
        await opener.next()


@on_each_loop
async def test_nothing_is_written_before_a_connection_is_there() -> None:
    """
    A connection is opened, the opener is told, and a request that is sent then is on the wire at once.
    """
    opener = Opener()
    async with serving(ok) as (server, base_url), calling(config_for(base_url), opener) as client:
        assert not client.has_connection()
        assert client.ready_at() < client.clock.monotonic()
        client.open()
        assert math.inf == client.ready_at()
        await opener.next()
        assert client.has_connection()
        assert -math.inf == client.ready_at()
        assert [None] == opener.told
        assert [] == server.requests

        exchange = client.send(get(base_url))
        assert not client.has_connection()
        assert isinstance(await exchange.response(), Response)
        assert 1 == len(server.requests)
        assert client.has_connection()


@on_each_loop
async def test_connection_that_cannot_be_opened_is_tried_again_a_second_later() -> None:
    """
    The opener is told why, and since when it was tried; once somebody listens there it works.
    """
    opener, moment = Opener(), Moment()
    async with serving(ok) as (_, base_url):
        pass
    async with calling(config_for(base_url), opener, clock_of(moment)) as client:
        client.open()
        moment.now += 0.25
        await opener.next()
        (failure,) = opener.told
        assert failure
        assert "connect" == failure.code
        assert [1_000.0] == opener.since
        assert 1_001.25 == client.ready_at()

        moment.now = 1_001.25
        assert moment.now >= client.ready_at()
        async with serving(ok, port=int(base_url.rpartition(":")[2])):
            client.open()
            assert math.inf == client.ready_at()
            await opener.next()
            assert opener.told[-1] is None
            assert isinstance(await client.send(get(base_url)).response(), Response)


async def test_connection_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Nobody waits longer for a connection than for a call.
    """
    connecting_takes(60, monkeypatch)
    opener = Opener()
    async with calling(config_for("http://127.0.0.1:9", timeout="100ms"), opener) as client:
        client.open()
        await opener.next()

    (failure,) = opener.told
    assert failure
    assert "timeout" == failure.code


async def test_connections_that_fail_together_are_one_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    However many were on their way, the vendor could not be reached once, and one alone is tried after that.
    """
    opener, moment = Opener(), Moment()
    monkeypatch.setattr(socket, "socket", refuse)
    async with calling(config_for("http://127.0.0.1:9"), opener, clock_of(moment)) as client:
        client.open(3)
        assert 3 == len(client._opening)
        await opener.next()
        assert ["connect"] == [failure and failure.code for failure in opener.told]
        moment.now += 1
        client.open()
        assert 1 == len(client._opening)
        await opener.next()


def refuse(*_: object) -> NoReturn:
    """No socket today."""
    raise OSError(errno.ENETUNREACH, "Network is unreachable")


async def test_lack_of_descriptors_is_named_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The vendor's host is not to blame when this process may open no more sockets.
    """

    def refuse_all(*_: object) -> NoReturn:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", refuse_all)
    async with calling(config_for("http://127.0.0.1:9")) as client:
        outcome = await client.call(get("http://127.0.0.1:9"))

    assert isinstance(outcome, Failure)
    assert (FailureKind.TRANSIENT, "exhausted") == (outcome.kind, outcome.code)


async def test_calls_on_new_connections_have_more_of_them_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A vendor closes after each reply and is far away: calls that wait for connections soon find enough of them, a
    quarter of a second's worth at most.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await write(writer, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    connecting_takes(0.05, monkeypatch)
    opener = Opener()
    ready_or_on_their_way = []
    async with serving(answer) as (_, base_url), calling(config_for(base_url, rate_limit=20), opener) as client:
        for _ in range(20):
            await ready(client, opener)
            exchange = client.send(get(base_url))
            ready_or_on_their_way.append(len(client._opening) + len(client._idle))
            assert isinstance(await exchange.response(), Response)

    assert [0, 2, 3, 4, 5] == ready_or_on_their_way[:5]
    assert {5} == set(ready_or_on_their_way[5:])


async def test_calls_now_and_then_need_one_connection() -> None:
    """
    A call long after the one before it opens no other connection, whether the vendor keeps the first one or not.
    """
    for kept in (True, False):
        opener, moment = Opener(), Moment()
        async with serving(ok) as (server, base_url), calling(config_for(base_url), opener, clock_of(moment)) as client:
            for _ in range(20):
                moment.now += 10
                client.maintain()
                await ready(client, opener)
                assert isinstance(await client.send(get(base_url)).response(), Response)
                assert not client._opening
                if not kept:
                    server.hang_up()
                    await asyncio.sleep(0.01)

        assert (20, 1 if kept else 20) == (len(server.requests), server.connections)


async def test_calls_in_quick_succession_on_a_kept_connection_need_no_other() -> None:
    """
    A connection is new once.
    """
    opener = Opener()
    async with serving(ok) as (server, base_url), calling(config_for(base_url, rate_limit=100), opener) as client:
        await ready(client, opener)
        for _ in range(50):
            assert isinstance(await client.send(get(base_url)).response(), Response)

    assert (50, 1) == (len(server.requests), server.connections)


async def test_connection_that_was_used_is_used_before_a_new_one() -> None:
    """
    So that new ones are a reserve: they do not have more of them opened while the old ones suffice.
    """
    opener = Opener()
    async with serving(ok) as (server, base_url), calling(config_for(base_url, rate_limit=100), opener) as client:
        await ready(client, opener)
        await client.send(get(base_url)).response()
        client.open()
        await opener.next()
        for _ in range(20):
            await client.send(get(base_url)).response()

    assert 2 == server.connections


async def test_spare_connection_that_cannot_be_opened_is_not_tried_at_every_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    While some connections work and others cannot be opened, calls go on, and there is one attempt a second.
    """
    opener, moment = Opener(), Moment()
    async with (
        serving(ok) as (_, base_url),
        calling(config_for(base_url, rate_limit=100), opener, clock_of(moment)) as client,
    ):
        client.open(4)
        while len(client._idle) < 4:
            await opener.next()
        monkeypatch.setattr(socket, "socket", refuse)
        exchanges = [client.send(get(base_url)) for _ in range(2)]
        assert 2 == len(client._opening)  # for the second call
        while client._opening:
            await opener.next()
        exchanges += [client.send(get(base_url))]
        assert not client._opening

        moment.now += 1
        exchanges += [client.send(get(base_url))]
        assert 2 == len(client._opening)
        assert all([isinstance(await exchange.response(), Response) for exchange in exchanges])


async def test_what_is_idle_for_long_is_closed() -> None:
    """
    Connections that nobody needed for thirty seconds go.
    """
    opener, moment = Opener(), Moment()
    async with serving(ok) as (server, base_url), calling(config_for(base_url), opener, clock_of(moment)) as client:
        client.open(3)
        while len(client._idle) < 3:
            await opener.next()
        moment.now += 20
        await client.send(get(base_url)).response()
        moment.now += 11
        client.maintain()
        assert 1 == len(client._idle)
        moment.now += 20
        client.maintain()
        await asyncio.sleep(0.05)

        assert not client.has_connection()
        assert [] == server.open


@pytest.mark.timed
async def test_vendor_that_closes_after_each_reply_gets_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Twenty calls a second, each on a connection of its own that takes 150 ms to open: one after the other, there would
    be six.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        room = server.requests[number].partition(b'"RoomId":"')[2].partition(b'"')[0].decode()
        body = json.dumps(examples.success("tencent_live", [room])).encode()
        await write(writer, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    connecting_takes(0.15, monkeypatch)
    async with serving(answer) as (server, base_url):
        config = config_for(base_url, "tencent_live", rooms=named(20), interval="1s", rate_limit=20)
        exporter = Exporter(lambda: Config(Path(), (config,)), "exporter.yml", WebOptions("127.0.0.1:0"), LogLines())
        await exporter.start()
        await asyncio.sleep(2)
        before = len(server.requests)
        await asyncio.sleep(3)
        calls = len(server.requests) - before
        await exporter.stop()

    assert {} == {
        kind: number for kind, number in exporter.telemetry.sources["tencent_live"].failed_calls.items() if number
    }
    assert 50 <= calls <= 60


@on_each_loop
async def test_calls_under_way_end_after_the_client_was_retired() -> None:
    """
    A reload replaces the client: nothing is opened or kept any more, but whoever waits for a reply gets it.
    """
    go_on = asyncio.Event()

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        await ok(number, writer)

    opener = Opener()
    async with serving(answer) as (server, base_url), calling(config_for(base_url), opener) as client:
        client.open(2)
        while len(client._idle) < 2:
            await opener.next()
        call = asyncio.create_task(client.send(get(base_url)).response())
        await server.asked()
        client.open()
        client.retire()
        assert not client.has_connection()
        await asyncio.wait(client._opening)
        client.open()
        assert not client._opening
        go_on.set()

        assert isinstance(await call, Response)
        assert not client.has_connection()
        assert not client._opening
        await asyncio.sleep(0.05)
        assert [] == server.open


@on_each_loop
async def test_a_retired_client_can_be_opened_again() -> None:
    """
    As when a budget comes back to a replica: in the same moment, too, and while connections were being opened.
    """
    opener = Opener()
    async with serving(ok) as (server, base_url), calling(config_for(base_url), opener) as client:
        client.open()
        await opener.next()
        client.retire()
        assert not client.has_connection()
        await asyncio.sleep(0.05)
        assert [] == server.open

        client.reopen()
        client.retire()
        client.reopen()
        await opener.next()
        assert client.has_connection()
        assert isinstance(await client.call(get(base_url)), Response)
        assert client.has_connection()


async def test_closing_does_not_wait_for_a_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Nor does it leave the look-up's task behind.
    """
    answers = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers.wait(10) and [])
    before = asyncio.all_tasks()
    client = Client(config_for("http://hangs.example"), Opener(), Clock())
    client.open()
    await asyncio.sleep(0.01)
    assert client._opening
    async with asyncio.timeout(1):
        await client.aclose()

    assert before == asyncio.all_tasks()
    answers.set()


@pytest.mark.parametrize("tls", [False, True])
@on_each_loop
async def test_closing_leaves_nothing(tls: bool, tmp_path: Path) -> None:
    """
    Idle connections, such as are on their way, and such as wait for a reply: all go, and so does every task.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        if number:
            await asyncio.sleep(60)
        await ok(number, writer)

    context, keys = certified(tmp_path) if tls else (None, {})
    opener = Opener()
    async with serving(answer, context) as (server, base_url):
        client = Client(config_for(base_url, rate_limit=100, **keys), opener, Clock())
        client.open(4)
        while len(client._idle) < 4:
            await opener.next()
        await client.send(get(base_url)).response()
        call = asyncio.create_task(client.send(get(base_url)).response())
        client.send(get(base_url))  # nobody has begun to wait for its reply
        client.open(2)
        await asyncio.sleep(0.001)
        await client.aclose()

        outcome = await call
        assert isinstance(outcome, Failure)
        assert "disconnected" == outcome.code
        assert not [task for task in asyncio.all_tasks() if "exporter/polling" in repr(task)]
        await asyncio.sleep(0.05)
        assert [] == server.open
    del client, call
    gc.collect()


@on_each_loop
async def test_opening_can_be_stopped_at_any_moment() -> None:
    """
    Whatever a connection is waiting for when it is not wanted any more, no socket stays open.
    """
    async with serving(ok) as (server, base_url):
        for turns in range(12):
            client = Client(config_for(base_url), Opener(), Clock())
            client.open()
            for _ in range(turns):
                await asyncio.sleep(0)
            await client.aclose()
            gc.collect()
        await asyncio.sleep(0.05)

        assert [] == server.open


def certified(folder: Path) -> tuple[ssl.SSLContext, dict[str, Any]]:
    """A server's side of TLS on loopback, and the keys of a source that trusts it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context, {"ca_file": str(folder / "ca.pem")}


@on_each_loop
async def test_call_that_is_given_up_leaves_no_connection_behind(tmp_path: Path) -> None:
    """
    TLS says farewell when it closes, and waits half a minute for a peer that does not answer. Nobody waits for that.
    """
    context, keys = certified(tmp_path)

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        cast(asyncio.Transport, writer.transport).pause_reading()
        await asyncio.sleep(60)

    async with serving(answer, context) as (_, base_url), calling(config_for(base_url, **keys)) as client:
        assert await client._connect() is None
        transport = client._idle[0][0].transport
        assert transport
        used = transport.get_extra_info("socket").fileno()
        client.timeout = 0.1
        outcome = await client.call(get(base_url))
        await asyncio.sleep(0.05)

        assert isinstance(outcome, Failure)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(used)


async def test_call_that_is_cancelled_leaves_its_connection_to_nobody() -> None:
    """
    The reply to a call that was cancelled may still come, and is not the next one's.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        await ok(number, writer)

    async with serving(answer) as (server, base_url), calling(config_for(base_url)) as client:
        call = asyncio.create_task(client.call(get(base_url)))
        await server.asked()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

        assert not client.has_connection()
        assert not client._in_use


async def test_request_that_cannot_be_written_costs_no_connection() -> None:
    """
    The step that can fail comes before the one that takes a connection.
    """
    async with serving(ok) as (server, base_url), calling(config_for(base_url)) as client:
        await client.call(get(base_url))
        with pytest.raises(UnicodeEncodeError):
            client.send(get(base_url, "/\udcff"))
        assert client.has_connection()
        await client.call(get(base_url))

    assert (2, 1) == (len(server.requests), server.connections)


async def test_time_out_is_tuned_while_connections_stay() -> None:
    """
    A reload that changes the time-out alone holds for the next call, on the same connection.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        if number:
            await asyncio.sleep(60)
        await ok(number, writer)

    async with serving(answer) as (server, base_url), calling(config_for(base_url)) as client:
        await client.call(get(base_url))
        client.tune(config_for(base_url, timeout="100ms"))
        async with asyncio.timeout(1):
            outcome = await client.call(get(base_url))

    assert isinstance(outcome, Failure)
    assert "timeout" == outcome.code
    assert 1 == server.connections


@pytest.mark.parametrize("tls", [False, True])
@on_each_loop
async def test_kernel_sends_bytes_for_two_seconds(tls: bool, tmp_path: Path) -> None:
    """
    It sends them at once, and nothing again soon after two seconds, nor after a connection was closed.
    """
    context, keys = certified(tmp_path) if tls else (None, {})
    async with serving(ok, context) as (_, base_url), calling(config_for(base_url, **keys)) as client:
        assert await client._connect() is None
        transport = client._idle[0][0].transport
        assert transport
        ours = transport.get_extra_info("socket")

        assert 2_000 == ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert struct.pack("ii", 1, 0) == ours.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        assert 1 == ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def exceeding_every_buffer(base_url: str) -> Request:
    """More than a kernel takes in for a server that does not read."""
    return Request("POST", base_url, "/", {}, bytes(16 * 1024 * 1024))


@contextmanager
def reading_nothing() -> Iterator[tuple[socket.socket, str]]:
    """A server that takes nothing from its kernel, and its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening, f"http://127.0.0.1:{listening.getsockname()[1]}"


async def read(listening: socket.socket) -> None:
    """Take in what was sent on its first connection."""
    loop = asyncio.get_running_loop()
    connection, _ = await loop.sock_accept(listening)
    with connection, suppress(ConnectionError):
        while await loop.sock_recv(connection, 2**20):
            pass


@needs_linux
@on_each_loop
async def test_request_has_arrived_once_it_is_acknowledged() -> None:
    """
    Until the other side's kernel has taken every byte nobody knows; the kernel knows how long a round trip takes.
    """
    with reading_nothing() as (listening, base_url):
        async with calling(config_for(base_url)) as client:
            assert await client._connect() is None
            exchange = client.send(exceeding_every_buffer(base_url))
            response = asyncio.create_task(exchange.response())
            await asyncio.sleep(0.3)
            assert math.inf == exchange.arrives_by()
            assert 0 < exchange.round_trip() < 0.1
            reading = asyncio.create_task(read(listening))
            await until(lambda: exchange.arrives_by() == -math.inf, within=5)
            await response
            await reading

            assert -math.inf == exchange.arrives_by()


@needs_linux
@pytest.mark.parametrize(("timeout", "code"), [("500ms", "timeout"), ("20s", "disconnected")])
@on_each_loop
async def test_request_that_is_given_up_unacknowledged_may_arrive_for_three_seconds(timeout: str, code: str) -> None:
    """
    Whether we gave it up or the kernel did, packets may lie in the queue of a neighbour that does not answer.
    """
    with reading_nothing() as (_, base_url):
        async with calling(config_for(base_url, timeout=timeout)) as client:
            assert await client._connect() is None
            exchange = client.send(exceeding_every_buffer(base_url))
            outcome = await exchange.response()
            ended = client.clock.monotonic()

    assert isinstance(outcome, Failure)
    assert code == outcome.code
    assert ended + 3 == pytest.approx(exchange.arrives_by(), abs=0.1)
    assert exchange.arrives_by() == exchange.arrives_by()


@pytest.mark.parametrize("abort", [True, False])
@on_each_loop
async def test_request_on_a_connection_that_the_vendor_closed_has_arrived(abort: bool) -> None:
    """
    The farewell came over the network after it; a reply says even more, as does a time-out after an acknowledgement.
    """

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        if number == 0:
            await ok(number, writer)
        elif number == 1:
            writer.transport.abort() if abort else writer.close()
        else:
            await asyncio.sleep(60)

    async with serving(answer) as (_, base_url), calling(config_for(base_url, timeout="300ms")) as client:
        arrived, ended = [], []
        for _ in range(3):
            if not client.has_connection():
                assert await client._connect() is None
            exchange = client.send(get(base_url))
            await exchange.response()
            arrived.append(exchange.arrives_by())
            ended.append(client.clock.monotonic())

    assert -math.inf == arrived[0]
    assert ended[0] <= arrived[1] <= ended[1]
    assert -math.inf == arrived[2]


@needs_linux
@on_each_loop
async def test_connections_are_closed_that_lead_where_nothing_arrives() -> None:
    """
    A request is not acknowledged for a second: connections from before it are closed, one that was made since stays.
    """
    moment, opener = Moment(), Opener()
    with reading_nothing() as (_, base_url):
        async with calling(config_for(base_url, rate_limit=40), opener, clock_of(moment)) as client:
            client.open(2)
            await until(lambda: len(client._idle) == 2, within=5)
            moment.now += 1
            exchange = client.send(exceeding_every_buffer(base_url))
            response = asyncio.create_task(exchange.response())
            moment.now += 0.9
            exchange.arrives_by()
            before = len(client._idle)
            client.open()
            await until(lambda: len(client._idle) > before, within=5)
            moment.now += 0.2
            assert math.inf == exchange.arrives_by()

            assert [moment.now - 0.2] == [since for _, since, _ in client._idle]
            await response
