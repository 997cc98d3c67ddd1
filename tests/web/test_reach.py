"""
Who can reach the port, and what guards it, in words.
"""

from __future__ import annotations

import pytest

from exporter.web.reach import reach

NOTHING = ()


@pytest.mark.parametrize(
    ("host", "address", "clients", "is_open"),
    [
        ("::", "[::]:9877", "everybody with a route to this machine", True),
        ("0.0.0.0", "0.0.0.0:9877", "everybody with a route to this machine", True),  # noqa: S104  # nobody binds to it
        ("10.1.2.3", "10.1.2.3:9877", "everybody with a route to 10.1.2.3", True),
        ("fe80::1%eth0", "[fe80::1%eth0]:9877", "everybody with a route to fe80::1", True),
        ("127.0.0.1", "127.0.0.1:9877", "programs on this machine", False),
        ("127.8.9.10", "127.8.9.10:9877", "programs on this machine", False),
        ("::1", "[::1]:9877", "programs on this machine", False),
        ("::ffff:127.0.0.1", "[::ffff:127.0.0.1]:9877", "programs on this machine", False),
        ("::ffff:10.1.2.3", "[::ffff:10.1.2.3]:9877", "everybody with a route to 10.1.2.3", True),
    ],
)
def test_the_address_decides_who_reaches_it(host, address, clients, is_open):
    """
    Only a loopback address keeps other machines out; where nothing else guards the port, it is open.
    """
    found = reach(host, 9877, NOTHING, lifecycle=False)

    assert (address, clients) == (found.values["address"], found.values["reachable_by"])
    assert is_open is found.is_open


@pytest.mark.parametrize(
    ("guards", "words", "is_open"),
    [
        ((), "nothing: no TLS, no password", True),
        (("TLS",), "TLS alone: no password, no client certificate", True),
        (("passwords",), "passwords", False),
        (("TLS", "passwords"), "TLS and passwords", False),
        (("TLS", "client certificates"), "TLS and client certificates", False),
        (
            ("TLS", "client certificates", "passwords"),
            "TLS and client certificates and passwords",
            False,
        ),
    ],
)
def test_what_guards_it_is_told(guards, words, is_open):
    """
    TLS alone hides what is read on the way, and lets everybody read it.
    """
    found = reach("::", 9877, guards, lifecycle=False)

    assert (words, is_open) == (found.values["guarded_by"], found.is_open)


@pytest.mark.parametrize(
    ("lifecycle", "words"), [(False, "reading rooms and counts"), (True, "reading rooms and counts, reloading")]
)
def test_what_clients_may_do_is_told(lifecycle, words):
    """
    With `--web.enable-lifecycle` a stranger may make the exporter read its config again.
    """
    assert words == reach("::", 9877, NOTHING, lifecycle=lifecycle).values["allows"]
