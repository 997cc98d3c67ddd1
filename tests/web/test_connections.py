"""
Clients that take too long, and too many of them.
"""

from __future__ import annotations

import asyncio
from typing import Self

import pytest

from exporter.web import connections
from exporter.web.connections import ANSWER_TIMEOUT, HEAD_TIMEOUT
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
