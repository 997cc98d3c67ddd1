"""
Name look-ups: one at a time for a name, kept, better stale than none, and no hanging one in another's way.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from exporter.resolver import Resolver
from tests.polling.wire import calling, config_for, get, ok, serving


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
    for thread in looking():
        thread.join(10)


def looking() -> list[threading.Thread]:
    """Threads that wait for the name server."""
    return [thread for thread in threading.enumerate() if thread.name == "blocking"]


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


async def test_look_up_that_nobody_waits_for_any_more_may_fail(
    server: NameServer, caplog: pytest.LogCaptureFixture
) -> None:
    """
    The name server says no long after the call was given up: nothing is written to the log, by asyncio neither.
    """
    server.answers.clear()
    server.failing = True
    resolver = Resolver(Moment())
    given_up = asyncio.create_task(address(resolver))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    server.answers.set()
    await settled(resolver)
    gc.collect()

    assert [] == caplog.records
    assert 1 == len(server.asked)


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
    for thread in looking():
        await asyncio.to_thread(thread.join, 10)
    await asyncio.sleep(0)
    assert not resolver._running


async def test_look_up_for_which_no_thread_can_be_started_fails_alone(
    server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    At the limit of processes a look-up fails, and says why; when there is room again the next call looks up anew.
    """
    resolver = Resolver(Moment())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(2):
            with pytest.raises(OSError, match="new thread") as raised:
                await address(resolver)
            assert errno.EAGAIN == raised.value.errno

    assert "192.0.2.1" == await address(resolver)


async def test_stale_address_outlives_a_lack_of_threads(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A name that was known before stays known, and is looked up again five seconds later.
    """
    moment = Moment()
    resolver = Resolver(moment)
    await address(resolver)
    server.address = "192.0.2.2"
    moment.now += 61
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert "192.0.2.1" == await address(resolver)
        await settled(resolver)
    moment.now += 5.1
    assert "192.0.2.1" == await address(resolver)
    await settled(resolver)

    assert "192.0.2.2" == await address(resolver)


def refuse(_: threading.Thread) -> NoReturn:
    """As Python does at the limit."""
    raise RuntimeError("can't start new thread")


async def test_forgotten_address_is_asked_for_and_waited_for(server: NameServer) -> None:
    """
    What could not be connected to is not tried again for a minute: the vendor may have moved.
    """
    resolver = Resolver(Moment())
    await address(resolver)
    server.address = "192.0.2.2"
    resolver.forget()

    assert "192.0.2.2" == await address(resolver)


async def test_vendor_that_moved_is_found_at_the_next_attempt(server: NameServer) -> None:
    """
    The old address refuses connections since the name has a new one: one attempt fails, the next one reaches it.
    """
    server.address = "127.0.0.1"
    async with serving(ok) as (_, base_url):
        port = int(base_url.rpartition(":")[2])
    async with calling(config_for(f"http://vendor.example:{port}")) as client:
        failure = await client._connect()
        assert failure
        assert "connect" == failure.code
        server.address = "127.0.0.2"
        async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.2", port):
            assert await client._connect() is None


async def test_name_that_cannot_be_looked_up_for_lack_of_threads_is_told(
    server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    It is this process that lacks something, not the vendor's name that is wrong.
    """
    monkeypatch.setattr(threading.Thread, "start", refuse)
    async with calling(config_for("http://vendor.example")) as client:
        failure = await client.call(get("http://vendor.example"))

    assert "exhausted" == getattr(failure, "code", "")


async def test_look_up_ends_in_a_thread_that_nobody_waits_for(server: NameServer) -> None:
    """
    A process whose name server hangs can still end.
    """
    server.answers.clear()
    waiting = asyncio.create_task(address(Resolver(Moment())))
    await asyncio.sleep(0.01)

    assert [True] == [thread.daemon for thread in looking()]
    server.answers.set()
    await waiting
