"""
The question that a container's health check asks.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import aioresponses
from typer.testing import CliRunner

from exporter import healthy as module
from exporter.cli import app
from exporter.errors import UserError
from exporter.healthy import ask_health
from tests.mocked import MockedResponse
from tests.web.site import Site

URL = "http://127.0.0.1:9877"
ASKED = f"{URL}/-/healthy"
KEY = Mock(ssl=True, host="127.0.0.1", port=9877)


@pytest.fixture
def mocked():
    """
    Stands in for every server.
    """
    with aioresponses() as answers:
        yield answers


def invoke(*arguments, env=None):
    """
    Run the command within this process.
    """
    return CliRunner().invoke(app, ["healthy", *arguments], env=env)


@asynccontextmanager
async def speaking(said: bytes) -> AsyncIterator[str]:
    """
    The URL of a server that says the same to everybody, and hangs up.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def test_a_healthy_exporter_gives_exit_code_0(mocked):
    """
    One GET of /-/healthy at the default address, which takes no redirect for an answer.
    """
    mocked.get(ASKED, body="OK\n", response_class=MockedResponse)

    result = invoke()

    assert (0, "healthy\n", "") == (result.exit_code, result.stdout, result.stderr)
    mocked.assert_called_once_with(ASKED, allow_redirects=False)


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (["--url=http://[::1]:9000"], {}),
        (["--url=http://[::1]:9000/"], {}),
        ([], {"RTC_EXPORTER_URL": "http://[::1]:9000"}),
    ],
    ids=["flag", "slash", "variable"],
)
def test_another_address_is_asked(mocked, arguments, env):
    """
    By flag, with or without a slash at its end, or by environment variable.
    """
    mocked.get("http://[::1]:9000/-/healthy", response_class=MockedResponse)

    assert 0 == invoke(*arguments, env=env).exit_code


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (503, b"the sweep last ran 12 s ago\nand more\n", "HTTP 503: the sweep last ran 12 s ago"),
        (404, b"", "HTTP 404: nothing more is said"),
        (302, b"", "HTTP 302: nothing more is said"),
        (204, b"", "HTTP 204: nothing more is said"),
        (500, b"\x1b[2J\xff\n", "HTTP 500: [2J\N{REPLACEMENT CHARACTER}"),
        (500, b"x" * 5000, f"HTTP 500: {'x' * 200}"),
    ],
)
def test_any_other_answer_gives_exit_code_1(mocked, status, body, said):
    """
    The line says what was asked, the status and the first line of the body, without control characters.
    """
    mocked.get(ASKED, status=status, body=body, response_class=MockedResponse)

    result = invoke()

    assert (1, "", f"GET {ASKED}: {said}\n") == (result.exit_code, result.stdout, result.stderr)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TimeoutError(), "no answer within 4 s"),
        (aiohttp.ConnectionTimeoutError(), "no answer within 4 s"),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "unknown")), "the host's name cannot be resolved"),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "odd")), "no TLS connection can be made"),
        (aiohttp.ClientConnectorError(KEY, OSError(errno.ECONNREFUSED, "x")), "cannot connect: Connection refused"),
        (aiohttp.ServerDisconnectedError(), "the connection ended before the answer did"),
        (aiohttp.ClientOSError(errno.ECONNRESET, "x"), "the connection ended before the answer did"),
        (ConnectionResetError(), "the connection ended before the answer did"),
        (aiohttp.ClientPayloadError(), "the connection ended before the answer did"),
        (aiohttp.ClientResponseError(Mock(), ()), "the answer is not HTTP"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_no_answer_is_told_in_words(mocked, error, said):
    """
    Neither a traceback nor a library's own words.
    """
    mocked.get(ASKED, exception=error)

    with pytest.raises(UserError) as raised:
        await ask_health(URL)

    assert f"GET {ASKED}: {said}" == str(raised.value)


async def test_a_bug_stays_a_bug(mocked):
    """
    Other exceptions are not taken for an exporter that is ill.
    """
    mocked.get(ASKED, exception=RuntimeError("deep inside"))

    with pytest.raises(RuntimeError, match="deep inside"):
        await ask_health(URL)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:9877", "http://", "ftp://127.0.0.1", "http://h:99999", "http://h/metrics"]
)
def test_what_is_no_address_of_an_exporter(url):
    """
    Nothing is asked; the line says what is accepted.
    """
    result = invoke("--url", url)

    expected = f"--url: found {url!r}; accepted: scheme, host and port, as in http://127.0.0.1:9877\n"
    assert (1, "", expected) == (result.exit_code, result.stdout, result.stderr)


async def test_a_real_server_is_asked_past_any_proxy(monkeypatch):
    """
    The exporter's own endpoint: 200 and 503 are told apart, and the proxy variables of a container change nothing.
    """
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with Site() as site:
        await ask_health(site.server.url)
        site.why_unhealthy = "the sweep last ran 12 s ago"
        with pytest.raises(UserError) as raised:
            await ask_health(site.server.url)

    assert f"GET {site.server.url}/-/healthy: HTTP 503: the sweep last ran 12 s ago" == str(raised.value)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "the connection ended before the answer did"),
        (b"220 mail.example ESMTP\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "the connection ended before the answer did"),
    ],
    ids=["nothing", "another protocol", "half an answer"],
)
async def test_what_a_real_connection_may_do(said, words):
    """
    A program that is no exporter, or one that is just ending, listens there.
    """
    async with speaking(said) as url:
        with pytest.raises(UserError) as raised:
            await ask_health(url)

    assert f"GET {url}/-/healthy: {words}" == str(raised.value)


def test_nobody_listens():
    """
    The usual case while a container starts.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"

    result = invoke(f"--url={url}")

    assert (1, f"GET {url}/-/healthy: cannot connect: Connection refused\n") == (result.exit_code, result.stderr)


async def test_an_exporter_that_does_not_answer(monkeypatch):
    """
    Accepted and then silence: after 4 s, here less, that is an answer too.
    """
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(UserError) as raised:
        await ask_health(f"http://127.0.0.1:{server.getsockname()[1]}")

    assert str(raised.value).endswith("/-/healthy: no answer within 0.05 s")
