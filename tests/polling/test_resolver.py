"""
Name look-ups: one at a time for a name, kept, better stale than none, and no hanging one in another's way.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from exporter.polling.resolver import Resolver


class NameServer:
    """What ``getaddrinfo`` asks, in place of the network's."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.address = "192.0.2.1"
        self.failing = False
        self.answers = threading.Event()
        self.answers.set()
        self.hanging = ""

    def look_up(self, host: str, port: int, **_: Any) -> list[Any]:
        """Addresses of a host, once it answers."""
        self.asked.append(host)
        if host == self.hanging or not self.hanging:
            assert self.answers.wait(10)
        if self.failing:
            raise socket.gaierror(-3, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.address, port))]


class Moment:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Monotonic seconds."""
        return self.now


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """A name server of our own; whoever still waits for it is let go in the end."""
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.look_up)
    yield server
    server.answers.set()
    for thread in threading.enumerate():
        if thread.name.startswith("resolve "):
            thread.join(10)


async def address(resolver: Resolver, host: str = "vendor.example") -> str:
    """The only address of a host."""
    (found,) = await resolver.resolve(host, 443)
    return found["host"]


async def settled(resolver: Resolver) -> None:
    """Wait until no look-up is under way."""
    async with asyncio.timeout(5):
        while resolver._running:
            await asyncio.wait(list(resolver._running.values()))


async def test_look_ups_of_one_name_are_one(server: NameServer) -> None:
    """
    Fifty calls that begin together ask once.
    """
    server.answers.clear()
    resolver = Resolver(Moment())
    calls = [asyncio.create_task(address(resolver)) for _ in range(50)]
    await asyncio.sleep(0)
    server.answers.set()

    assert {"192.0.2.1"} == set(await asyncio.gather(*calls))
    assert ["vendor.example"] == server.asked


async def test_addresses_are_kept_for_a_minute(server: NameServer) -> None:
    """
    Then they are looked up again, while the old ones are used.
    """
    moment = Moment()
    resolver = Resolver(moment)
    await address(resolver)
    server.address = "192.0.2.2"
    moment.now += 59.9
    assert "192.0.2.1" == await address(resolver)
    assert 1 == len(server.asked)

    moment.now += 0.2
    assert "192.0.2.1" == await address(resolver)
    await settled(resolver)
    assert "192.0.2.2" == await address(resolver)
    assert 2 == len(server.asked)


async def test_stale_addresses_are_better_than_none(server: NameServer) -> None:
    """
    While the name server fails the last addresses are used, for hours if need be, and it is asked every five seconds.
    """
    moment = Moment()
    resolver = Resolver(moment)
    await address(resolver)
    server.failing = True
    for _ in range(100):
        moment.now += 61.0
        assert "192.0.2.1" == await address(resolver)
        await settled(resolver)
    asked = len(server.asked)
    moment.now += 4.9
    assert "192.0.2.1" == await address(resolver)
    await settled(resolver)
    assert asked == len(server.asked)

    moment.now += 0.2
    server.failing = False
    server.address = "192.0.2.2"
    await address(resolver)
    await settled(resolver)
    assert "192.0.2.2" == await address(resolver)


async def test_stale_addresses_are_used_while_a_look_up_hangs(server: NameServer) -> None:
    """
    Nobody waits for a name server if there is an address from before.
    """
    moment = Moment()
    resolver = Resolver(moment)
    await address(resolver)
    server.answers.clear()
    moment.now += 3600.0

    async with asyncio.timeout(1):
        assert ["192.0.2.1"] * 3 == [await address(resolver) for _ in range(3)]
    assert 2 >= len(server.asked)


async def test_unknown_name(server: NameServer) -> None:
    """
    Where nothing is known from before the failure is told, and the next call asks again.
    """
    server.failing = True
    resolver = Resolver(Moment())
    for _ in range(2):
        with pytest.raises(OSError, match="name resolution"):
            await address(resolver)

    assert 2 == len(server.asked)


async def test_name_that_cannot_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A label of more than 63 letters is no name; that is an ``OSError`` as well.
    """
    with pytest.raises(OSError, match="host name"):
        await Resolver(Moment()).resolve("x" * 64 + ".example", 443)


async def test_hanging_look_up_is_in_nobody_elses_way(server: NameServer) -> None:
    """
    Of twenty sources nineteen hang in a look-up: the last one gets its address at once.
    """
    server.hanging = "hangs.example"
    server.answers.clear()
    waiting = [asyncio.create_task(address(Resolver(Moment()), "hangs.example")) for _ in range(19)]
    await asyncio.sleep(0)

    async with asyncio.timeout(2):
        assert "192.0.2.1" == await address(Resolver(Moment()), "works.example")
    server.answers.set()
    await asyncio.gather(*waiting)


async def test_call_that_is_given_up_leaves_the_look_up_to_the_others(server: NameServer) -> None:
    """
    A call's time may be up before its name is known; who waits beside it still gets the address.
    """
    server.answers.clear()
    resolver = Resolver(Moment())
    given_up, waiting = [asyncio.create_task(address(resolver)) for _ in range(2)]
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    server.answers.set()

    assert "192.0.2.1" == await waiting


async def test_closed_resolver_forgets_what_hangs(server: NameServer) -> None:
    """
    Shutting down does not wait for a name server, and its late answer does no harm.
    """
    server.answers.clear()
    resolver = Resolver(Moment())
    waiting = asyncio.create_task(address(resolver))
    await asyncio.sleep(0)
    await resolver.close()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()

    server.answers.set()
    for thread in threading.enumerate():
        if thread.name.startswith("resolve "):
            await asyncio.to_thread(thread.join, 10)
    await asyncio.sleep(0)
    assert not resolver._running


async def test_look_up_ends_in_a_thread_that_nobody_waits_for(server: NameServer) -> None:
    """
    A process whose name server hangs can still end.
    """
    server.answers.clear()
    looking = asyncio.create_task(address(Resolver(Moment())))
    await asyncio.sleep(0)

    threads = [thread for thread in threading.enumerate() if thread.name == "resolve vendor.example"]
    assert [True] == [thread.daemon for thread in threads]
    server.answers.set()
    await looking
