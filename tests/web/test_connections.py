"""
Clients that take too long, and too many of them.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable
from typing import Self

import pytest
from aiohttp import web

from exporter.web import connections
from exporter.web.connections import ANSWER_TIMEOUT, HEAD_TIMEOUT, Connection, Connections, Lane
from exporter.web.rooms import Rooms
from tests.web.site import Site

REQUEST = b"GET /-/healthy HTTP/1.1\r\nHost: test\r\n\r\n"


class Client:
    """
    A client that sends what it likes, when it likes.
    """

    def __init__(self, site: Site) -> None:
        self.site = site

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.site.server.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        await asyncio.gather(self.writer.wait_closed(), return_exceptions=True)

    async def send(self, data: bytes) -> None:
        """
        Send, and wait until the server's loop has had it.
        """
        self.writer.write(data)
        await self.writer.drain()
        await self.site.get("/-/healthy")

    async def answer(self) -> bytes:
        """
        The status line of the next answer, its head read to the end and the body ``OK`` with it.
        """
        head = await asyncio.wait_for(self.reader.readuntil(b"OK\n"), 5)
        return head.partition(b"\r\n")[0]

    async def is_cut(self) -> bool:
        """
        Whether the server cuts the connection when it next looks.
        """
        self.site.server._connections.cut_overdue()
        try:
            return b"" == await asyncio.wait_for(self.reader.read(), 0.2)
        except ConnectionError:
            return True
        except TimeoutError:
            return False


async def test_a_head_that_does_not_begin(site: Site) -> None:
    """
    A client that connects and says nothing is cut after ten seconds.
    """
    async with Client(site) as client:
        await client.send(b"")
        site.pass_time(HEAD_TIMEOUT - 1)
        assert not await client.is_cut()
        site.pass_time(2)
        assert await client.is_cut()


@pytest.mark.parametrize("name", ["Expect", "Origin", "Accept", "Authorization", "Cookie", "User-Agent"])
async def test_head_that_is_no_text(site: Site, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """
    Bytes that are not UTF-8 are the client's mistake: they fill no log with tracebacks, and count as no fault of ours.
    """
    async with Client(site) as client:
        await client.send(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n%b: \xff\xfe\r\n\r\n" % name.encode())
        status = (await client.reader.readline()).split()[1]

    assert b"500" != status
    assert ([], 0) == (caplog.records, site.telemetry.unexpected_errors)


async def test_a_head_that_does_not_end(site: Site) -> None:
    """
    A byte now and then prolongs nothing.
    """
    async with Client(site) as client:
        for byte in REQUEST[:4]:
            await client.send(bytes([byte]))
            site.pass_time(HEAD_TIMEOUT / 4 + 0.1)
        assert await client.is_cut()


async def test_the_head_of_a_later_request(site: Site) -> None:
    """
    Between requests a connection may rest; from the next request's first byte on, its head has ten seconds.
    """
    async with Client(site) as client:
        await client.send(REQUEST)
        assert b"HTTP/1.1 200 OK" == await client.answer()
        site.pass_time(10 * HEAD_TIMEOUT)
        assert not await client.is_cut()
        await client.send(REQUEST[:9])
        site.pass_time(HEAD_TIMEOUT - 1)
        assert not await client.is_cut()
        site.pass_time(2)
        assert await client.is_cut()


async def test_an_answer_that_takes_too_long(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A request is answered within half a minute, or not at all.
    """
    asked = asyncio.Event()

    async def never(_wanted: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(site.exposition, "body", never)
    async with Client(site) as client:
        await client.send(b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n")
        await asked.wait()
        site.pass_time(ANSWER_TIMEOUT - 1)
        assert not await client.is_cut()
        site.pass_time(2)
        assert await client.is_cut()


async def test_a_full_house_cuts_who_rests_longest(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    One connection more than there may be ends the one that has been idle longest, so that nobody is locked out.
    """
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)
    async with Client(site) as oldest, Client(site) as younger:
        for client in (oldest, younger):
            site.pass_time(1)
            await client.send(REQUEST)
            await client.answer()
        async with Client(site) as last:
            await last.send(REQUEST)

            assert b"HTTP/1.1 200 OK" == await last.answer()
            assert await oldest.is_cut()
            assert not await younger.is_cut()


async def test_nothing_is_kept_of_a_closed_connection(site: Site) -> None:
    """
    Connections that end leave nothing behind.
    """
    for _ in range(5):
        async with Client(site) as client:
            await client.send(REQUEST)
            await client.answer()
    await site.get("/-/healthy")

    assert 1 == len(site.server._connections)


async def test_stopping_waits_for_nobody() -> None:
    """
    A client in the middle of its request does not keep the server from stopping within a second.
    """
    async with Site() as site:
        idle, slow = Client(site), Client(site)
        async with idle, slow:
            await idle.send(REQUEST)
            await slow.send(REQUEST[:9])
            async with asyncio.timeout(1):
                await site.server.stop()

            assert b"" == (await slow.reader.read())
            assert 0 == len(site.server._connections)


async def test_one_request_at_a_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Of a hundred requests in one piece aiohttp sees the next one when the one before is answered.
    """
    heads: list[int] = []
    received = web.RequestHandler.data_received

    def count(handler: web.RequestHandler, data: bytes) -> None:
        heads.append(data.count(b"\r\n\r\n"))
        received(handler, data)

    monkeypatch.setattr(web.RequestHandler, "data_received", count)
    async with Client(site) as client:
        client.writer.write(b"\r\n\r\n".join([REQUEST] * 100))
        answers = [await client.answer() for _ in range(100)]

    assert [b"HTTP/1.1 200 OK"] * 100 == [answer.rpartition(b"\n")[2] for answer in answers]
    assert {0, 1} >= set(heads)


async def test_head_that_is_too_long(site: Site) -> None:
    """
    Over 32 KiB of it are refused, ended or not.
    """
    for head in (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"Cookie: a\r\n" * 4_000, b"GET /" + b"a" * 40_000):
        async with Client(site) as client:
            client.writer.write(head)
            answer = await asyncio.wait_for(client.reader.read(), 5)

            assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "head", [b"Transfer-Encoding: chunked\r\n", b"Content-Length: 999999\r\nContent-Encoding: gzip\r\n"]
)
async def test_body_is_not_looked_at(site: Site, head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A request with one is answered, and its connection ends; nothing of the body reaches the parser, let alone another
    request that is hidden in it.
    """
    seen = bytearray()
    received = web.RequestHandler.data_received

    def note(handler: web.RequestHandler, data: bytes) -> None:
        seen.extend(data)
        received(handler, data)

    monkeypatch.setattr(web.RequestHandler, "data_received", note)
    async with Client(site) as client:
        client.writer.write(b"POST /x HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n" + REQUEST * 3)
        answer = await asyncio.wait_for(client.reader.read(), 10)

    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"Connection: close\r\n" in answer
    assert 1 == answer.count(b"HTTP/1.1 ")
    assert b"/-/healthy" not in seen


async def test_probes_and_scrapes_wait_for_no_page(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    While pages take as long as they like, and more of them are asked for than there may be, others are answered.
    """
    let_go = asyncio.Event()

    async def find(*_: object) -> None:
        await let_go.wait()
        raise ConnectionError

    monkeypatch.setattr(Rooms, "find", find)
    clients = [Client(site) for _ in range(50)]
    for client in clients:
        await client.__aenter__()
        client.writer.write(b"GET /api/v1/rooms HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(5):
        answers = [(await site.get(path))[0].status for path in ("/-/healthy", "/metrics", "/-/ready")]
    let_go.set()
    for client in clients:
        await client.__aexit__()

    assert [200] * 3 == answers


async def test_work_for_a_client_that_has_gone_is_dropped(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Of a hundred searches whose clients go away one after the other, most never begin, and those that have begun end.
    """
    begun, ended = asyncio.Semaphore(0), []

    async def find(*_: object) -> None:
        begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    monkeypatch.setattr(Rooms, "find", find)
    clients = [Client(site) for _ in range(100)]
    for client in clients:
        await client.__aenter__()
        client.writer.write(b"GET /api/v1/rooms HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(5):
        await begun.acquire()
    for client in clients:
        await client.__aexit__()
    async with asyncio.timeout(5):
        while len(site.server._connections) > 0 or not ended:  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.01)

    assert len(ended) < 50


async def test_lane_has_a_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    When its answers have taken more than they may at once, the next one waits until its share has made up for it.
    """
    monkeypatch.setattr(connections, "_BURST", 0.1)
    guard = Connections(lambda: 0.0, "/metrics")
    lane = Lane(guard.priority, 10, 0.5)
    lane.waiting.add(Connection(lambda: None, guard))  # type: ignore[arg-type, return-value]  # never made
    assert 0 == lane.delay

    async def work() -> str:
        end = time.perf_counter() + 0.4
        while time.perf_counter() < end:
            pass
        await asyncio.sleep(0)
        return "done"

    assert "done" == await lane.answer(work())
    assert 0.1 < lane.delay < 0.5


async def test_answer_is_driven_as_if_it_were_alone() -> None:
    """
    Its exceptions come out, and what is thrown into it gets there, a cancellation as well.
    """
    lane = Lane(lambda _: (0, 0.0, False, 0.0), 10, 0.5)

    async def wait(*, fails: bool) -> None:
        try:
            await asyncio.sleep(0 if fails else 10)
            raise ValueError("of its own")
        except asyncio.CancelledError:
            raise KeyError("cancelled") from None

    with pytest.raises(ValueError, match="of its own"):
        await lane.answer(wait(fails=True))
    task = asyncio.ensure_future(_awaited(lane.answer(wait(fails=False))))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(KeyError, match="cancelled"):
        await task
    assert 0 == lane.answering


async def _awaited(answer: Awaitable[None]) -> None:
    await answer


async def test_who_returns_after_a_while_comes_first() -> None:
    """
    Before those who ask without a pause, and into a full lane as well.
    """
    now = 100.0
    guard = Connections(lambda: now, "/metrics")
    restless, patient = (Connection(lambda: None, guard) for _ in range(2))  # type: ignore[arg-type, return-value]
    lane = Lane(guard.priority, 1, 0.5)
    restless.rank, patient.rank = -0.01, -15.0
    lane.waiting.update((restless, patient))
    lane.answering = 1

    assert 0 == lane.delay
    assert patient is lane.pick()
    assert math.inf == lane.delay


def test_new_client_is_not_forgotten() -> None:
    """
    Who has had no answer yet comes before those who ask without a pause, and these in the order that they ask in.
    """
    guard = Connections(lambda: 5.0, "/metrics")
    first, second, new = (Connection(lambda: None, guard) for _ in range(3))  # type: ignore[arg-type, return-value]
    first._since, second._since, new._since = 1.0, 2.0, 3.0
    first.served = second.served = True
    lane = Lane(guard.priority, 10, 0.5)
    lane.waiting.update((second, new, first))

    assert [new, first, second] == [lane.pick(), lane.pick(), lane.pick()]


def test_crowd_waits_for_the_few() -> None:
    """
    Connections of an address that has many come after those of an address that has few, however long they have rested.
    """
    guard = Connections(lambda: 0.0, "/metrics")
    one, of_many = (Connection(lambda: None, guard) for _ in range(2))  # type: ignore[arg-type, return-value]
    one.address, of_many.address, of_many.rank = "192.0.2.1", "192.0.2.2", -15.0
    guard.from_address.update({"192.0.2.1": 1, "192.0.2.2": 64})
    lane = Lane(guard.priority, 10, 0.5)
    lane.waiting.update((one, of_many))

    assert [one, of_many] == [lane.pick(), lane.pick()]


async def test_full_house_of_busy_strangers_keeps_a_scraper(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    All other connections wait for pages: the one that returns now and then is not the one that makes place.
    """
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 20)

    async def find(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Rooms, "find", find)
    async with Client(site) as scraper:
        for _ in range(2):
            site.pass_time(15)
            scraper.writer.write(REQUEST)
            await scraper.answer()
        strangers = [Client(site) for _ in range(60)]
        for stranger in strangers:
            await stranger.__aenter__()
            stranger.writer.write(b"GET /api/v1/rooms HTTP/1.1\r\nHost: a\r\n\r\n")
            await asyncio.sleep(0.01)
        site.pass_time(15)
        scraper.writer.write(REQUEST)

        assert b"HTTP/1.1 200 OK" == await scraper.answer()
        for stranger in strangers:
            await stranger.__aexit__()


async def test_house_that_a_crowd_fills(site: Site) -> None:
    """
    The crowd makes place, not a client of another address that has said nothing yet.
    """
    guard = Connections(lambda: 0.0, "/metrics")
    cut: list[str] = []

    class Open(Connection):
        """One that tells when it is cut."""

        def __init__(self, address: str) -> None:
            super().__init__(lambda: None, guard)  # type: ignore[arg-type, return-value]
            self.address = address

        def cut(self) -> None:
            cut.append(self.address)
            guard.closed(self, None)

    guard.opened(Open("192.0.2.1"))
    for _ in range(connections.MAX_CONNECTIONS + 99):
        guard.opened(Open("192.0.2.2"))

    assert ["192.0.2.2"] * 100 == cut
    assert {"192.0.2.1": 1, "192.0.2.2": connections.MAX_CONNECTIONS - 1} == guard.from_address
