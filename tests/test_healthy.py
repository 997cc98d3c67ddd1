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
from click.testing import CliRunner

from exporter import healthy as module
from exporter.cli import app
from exporter.errors import UserError
from exporter.healthy import ask_health
from exporter.web.security.client import load_client_config
from tests.mocked import MockedResponse
from tests.web.security.house import CLIENTS, PASSWORD, TLS, USERS, House
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


TRUST = "tls_config:\n  ca_file: ca.pem\n"
LOGIN = "basic_auth:\n  username: prometheus\n  password_file: password\n"


@pytest.fixture
async def guarded(tmp_path) -> AsyncIterator[tuple[Site, House]]:
    """
    A site that wants a client certificate and a password.
    """
    house = House(tmp_path, TLS + CLIENTS + USERS)
    (tmp_path / "password").write_text(PASSWORD + "\n", encoding="utf-8")
    house.client("probe")
    async with Site(config_file=house.file) as site:
        yield site, house


async def asked(site: Site, house: House, config: str, path: str = "/-/healthy") -> str:
    """
    Why a guarded site is not healthy; nothing if it is.
    """
    file = house.folder / "client.yml"
    file.write_text(config, encoding="utf-8")
    try:
        await ask_health(site.server.url, load_client_config(file), path)
    except UserError as error:
        return str(error).removeprefix(f"GET {site.server.url}{path}: ")
    return ""


CHAIN = "  cert_file: probe.crt\n  key_file: probe.key\n"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (TRUST + CHAIN + LOGIN, ""),
        (TRUST + CHAIN + "  server_name: localhost\n" + LOGIN, ""),
        ("tls_config:\n  insecure_skip_verify: true\n" + CHAIN + LOGIN, ""),
        (TRUST + CHAIN, "HTTP 401: Unauthorized"),
        (TRUST + CHAIN + LOGIN.replace("prometheus", "somebody"), "HTTP 401: Unauthorized"),
        (TRUST + LOGIN, "it refuses the TLS connection: certificate required"),
        ("tls_config:\n  ca_file: clients.pem\n" + CHAIN + LOGIN, "its certificate is not accepted: "),
        (
            TRUST + CHAIN + "  server_name: other.example\n" + LOGIN,
            "its certificate is not accepted: Hostname mismatch",
        ),
        (LOGIN, "its certificate is not accepted: "),
    ],
)
async def test_a_guarded_exporter_is_asked_as_prometheus_asks(guarded, config, said):
    """
    With the authority, the certificate and the password of the file; what is missing is said in words.
    """
    site, house = guarded
    told = await asked(site, house, config)

    assert told.startswith(said) if said else not told


async def test_readiness_is_asked_with_the_same_file(guarded):
    """
    `--ready` asks /-/ready.
    """
    site, house = guarded
    site.why_unready = "waiting for the first call of live"

    assert "" == await asked(site, house, TRUST + CHAIN + LOGIN)
    assert "HTTP 503: waiting for the first call of live" == await asked(site, house, TRUST + CHAIN + LOGIN, "/-/ready")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("basic_auth: {username: a}\n", ":1: basic_auth: found no password, or two; accepted: one of password and"),
        (
            "basic_auth: {username: a, password_file: gone}\n",
            ":1: basic_auth.password_file: found 'gone': no such file",
        ),
        (
            "basic_auth: {username: a, pass: MARKED}\n",
            ":1: basic_auth.pass: found an unknown key (did you mean password",
        ),
        ("tls_config: {cert_file: probe.crt}\n", ":1: tls_config: found a certificate without a key"),
        ("tls_config: {ca_file: probe.key}\n", ":1: tls_config.ca_file: found a file with no certificate"),
        (
            "authorization: {credentials: MARKED}\n",
            ":1: authorization: found an unknown key; accepted: basic_auth, tls",
        ),
    ],
)
async def test_what_is_wrong_with_the_file(guarded, config, said):
    """
    File, line, key, what was found and what is accepted, and no secret.
    """
    site, house = guarded
    told = await asked(site, house, config)

    assert said in told
    assert "MARKED" not in told


def test_the_flag_names_the_file(tmp_path):
    """
    By flag or by variable; a file that is not there is an error before anything is asked.
    """
    file = tmp_path / "client.yml"

    for result in (invoke(f"--http.config.file={file}"), invoke(env={"RTC_EXPORTER_HTTP_CONFIG_FILE": str(file)})):
        assert (1, f"{file}: found no such file or directory; accepted: a readable file\n") == (
            result.exit_code,
            result.stderr,
        )
