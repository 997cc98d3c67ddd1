"""
The listen address, from text to a listening socket.
"""

from __future__ import annotations

import re
import socket

import pytest

from exporter.address import Address
from exporter.errors import UserError
from tests.web.site import Site


@pytest.mark.parametrize(
    ("text", "host", "port", "url"),
    [
        (":9877", "", 9877, "http://127.0.0.1:9877"),
        ("0.0.0.0:80", "0.0.0.0", 80, "http://127.0.0.1:80"),  # noqa: S104  # parsed, not bound
        ("127.0.0.1:0", "127.0.0.1", 0, "http://127.0.0.1:0"),
        ("localhost:9877", "localhost", 9877, "http://localhost:9877"),
        ("exporter.internal:9877", "exporter.internal", 9877, "http://exporter.internal:9877"),
        ("[::1]:9877", "::1", 9877, "http://[::1]:9877"),
        ("[::]:65535", "::", 65535, "http://[::1]:65535"),
    ],
)
def test_addresses(text: str, host: str, port: int, url: str) -> None:
    """
    Host and port as written, and the address at which a browser on this machine finds it.
    """
    address = Address.parse(text)

    assert (Address(host, port), url) == (address, address.url(port))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "9877",
        "localhost",
        "localhost:",
        ":http",
        ":65536",
        ":-1",
        ":９８７７",
        "::1:9877",
        "::1",
        "[::1]",
        "[:9877",
        "http://localhost:9877",
        "a b:1",
        ":9877/",
        " :9877",
        ":9877\n",
    ],
)
def test_what_is_no_address(text: str) -> None:
    """
    The error says what was found and what is accepted.
    """
    expected = f"the listen address {text!r} is not valid; accepted: HOST:PORT, :PORT or [IPV6]:PORT"

    with pytest.raises(UserError, match=re.escape(expected)):
        Address.parse(text)


async def test_a_taken_port_is_named() -> None:
    """
    When something else listens there, the error says where, why, and what helps.
    """
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        site = Site()
        with pytest.raises(
            UserError, match=f"^cannot listen on 127.0.0.1:{port}: Address already in use; .*--web.listen-address"
        ):
            await site.server.start(f"127.0.0.1:{port}")
    await site.exposition.aclose()


async def test_an_unknown_host_is_named() -> None:
    """
    A name that does not resolve is told as such, and so is one that cannot be a name.
    """
    site = Site()
    with pytest.raises(UserError, match=r"^cannot listen on no-such-host\.invalid:0: "):
        await site.server.start("no-such-host.invalid:0")
    with pytest.raises(UserError, match=r"^cannot listen on a\.\.b:0: this is not a host name$"):
        await site.server.start("a..b:0")
    await site.exposition.aclose()


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        (Address("127.0.0.1", 80), PermissionError(13, "odd words"), "127.0.0.1:80: Permission denied"),
        (Address("", 80), OSError(99, "odd words"), "*:80: Cannot assign requested address"),
        (Address("::1", 80), OSError("no number"), "[::1]:80: no number"),
        (Address("x", 80), socket.gaierror(-2, "Name or service not known"), "x:80: Name or service not known"),
    ],
)
def test_a_failure_to_listen_is_told_in_words(address: Address, error: OSError, said: str) -> None:
    """
    Whoever listens by other means gets the same words, without an errno.
    """
    with pytest.raises(UserError, match=f"^cannot listen on {re.escape(said)}$"), address.raising_user_error():
        raise error


def test_other_errors_stay_what_they_are() -> None:
    """
    A bug on the way to listening is not the user's mistake.
    """
    with pytest.raises(RuntimeError), Address("", 0).raising_user_error():
        raise RuntimeError


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_without_a_host_both_protocols_are_served() -> None:
    """
    ``:0`` takes one port for IPv4 and IPv6 alike.
    """
    with Address.parse(":0").listen() as listening:
        port = listening.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), timeout=5).close()
