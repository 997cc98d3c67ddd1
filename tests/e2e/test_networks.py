"""
What stands in for a real network where none can be made, and the vendor that counts at its other end.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.e2e import networks
from tests.e2e.counting_vendor import CountingVendor
from tests.e2e.networks import Network, network

pytestmark = pytest.mark.filterwarnings("ignore::tests.e2e.networks.NoNamespacesWarning")

ASK = b"GET /?Action=DescribeUserNum&RoomId[]=a&RoomId[]=b HTTP/1.1\r\nHost: vendor\r\n\r\n"
A_WHILE = 0.2
"""Seconds in which everything on a loopback has arrived."""


@pytest.fixture
def _no_rights(monkeypatch):
    """
    A user whom the kernel lets make no network namespace.
    """

    async def refuse():
        raise PermissionError("not for you")

    monkeypatch.setattr(networks._Namespaces, "make", refuse)


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[Network, CountingVendor, str, int]]:
    """
    The proxy, the vendor behind it, and the address at which it listens.
    """
    async with network() as net, CountingVendor(net.vendor_host) as vendor:
        host, _, port = (await net.way_to(vendor.port)).partition(":")
        yield net, vendor, host, int(port)


async def test_the_vendor_answers_and_counts():
    """
    A call is answered for every room, and counted at the moment at which it came; nonsense is refused, and counted too.
    """
    async with CountingVendor("127.0.0.1") as vendor:
        reader, writer = await asyncio.open_connection("127.0.0.1", vendor.port)
        await vendor.report()
        before = time.time()
        writer.write(ASK)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readuntil(b"]}}")
        (arrived,) = await vendor.report()
        writer.write(b"POST /?Action=DescribeUserNum HTTP/1.1\r\n\r\n")
        refused = await reader.readuntil(b"\r\n\r\n")
        await vendor.report()
        writer.close()

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'{"RoomId": "b", "UserCount": 1, "AdminUserCount": 0}' in body
    assert before - 0.01 <= arrived <= time.time()
    assert refused.startswith(b"HTTP/1.1 400 ")
    assert 2 == len(vendor.arrivals)


@pytest.mark.usefixtures("_no_rights")
async def test_a_proxy_says_that_it_stands_in():
    """
    Whoever may not make a network is warned that the test is weaker.
    """
    with pytest.warns(networks.NoNamespacesWarning, match="a proxy stood in: not for you"):
        async with network():
            pass


@pytest.mark.usefixtures("_no_rights")
async def test_what_was_sent_during_a_cut_arrives_after_it():
    """
    On a connection that was there before and is still there: nothing gets through until the network is whole again.
    """
    async with joined() as (net, vendor, host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(ASK)
        await reader.readuntil(b"]}}")
        assert 1 == len(await vendor.report())

        await net.cut("silence")
        writer.write(ASK)
        await asyncio.sleep(A_WHILE)
        assert [] == await vendor.report()

        await net.mend("silence")
        await reader.readuntil(b"]}}")
        assert 1 == len(await vendor.report())
        writer.close()


@pytest.mark.usefixtures("_no_rights")
async def test_what_was_given_up_during_a_cut_is_lost():
    """
    With a connection that is closed or made during the cut, what was sent on it is lost.
    """
    async with joined() as (net, vendor, host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(ASK)
        await reader.readuntil(b"]}}")
        await vendor.report()

        await net.cut("link down")
        writer.write(ASK)
        await asyncio.sleep(A_WHILE)
        writer.close()
        new_reader, new_writer = await asyncio.open_connection(host, port)
        new_writer.write(ASK)
        await asyncio.sleep(A_WHILE)
        await net.mend("link down")

        assert b"" == await new_reader.read()
        assert [] == await vendor.report()
        new_writer.close()
