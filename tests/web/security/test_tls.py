"""
Certificates of the moment, clients with certificates of their own, and what is told to those who fail.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trustme
import uvloop

from exporter.config import ConfigError
from exporter.web.security import acceptor
from exporter.web.security.config import load_web_config
from tests.web.security.asking import Answer, ask, trusting
from tests.web.security.house import CLIENTS, TLS, USERS, House
from tests.web.site import Site

REFUSED = (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """
    Runs a scenario against a server of a house, on either event loop.
    """

    def run_scenario(house: House, scenario: Callable[[Site], Awaitable[None]]) -> None:
        async def served() -> None:
            async with Site(config_file=house.file) as site:
                await scenario(site)

        (uvloop.run if request.param == "uvloop" else asyncio.run)(served())

    return run_scenario


async def asked(site: Site, house: House, *chain: Path) -> Answer:
    """
    What a new connection is answered.
    """
    context = trusting(house.ca_file)
    if chain:
        context.load_cert_chain(chain[0], chain[1])
    return await asyncio.to_thread(ask, site.server.port, context)


def test_a_renewed_certificate_is_shown_in_the_very_next_handshake(tmp_path, run):
    """
    Nobody restarts or signals anything when certificate and key are replaced.
    """
    house = House(tmp_path)

    async def scenario(site: Site) -> None:
        seen = []
        for _ in range(5):
            seen.append((await asked(site, house)).serial)
            house.renew()
        assert 5 == len(set(seen))
        assert site.server.url.startswith("https://127.0.0.1:")

    run(house, scenario)


def test_client_certificates_are_required_as_soon_as_the_file_says_so(tmp_path, run):
    """
    A server that had been started without them refuses a client without one, and one of another authority.
    """
    house = House(tmp_path)
    known, stranger = house.client("scraper.example"), house.client("other.example", authority=trustme.CA())

    async def scenario(site: Site) -> None:
        assert 200 == (await asked(site, house)).status
        house.write(TLS + CLIENTS)
        for chain in ((), stranger):
            with pytest.raises(REFUSED):
                await asked(site, house, *chain)
        assert 200 == (await asked(site, house, *known)).status
        house.write(TLS)
        assert 200 == (await asked(site, house)).status

    run(house, scenario)


def test_allowed_names_are_of_any_kind(tmp_path, run):
    """
    DNS names, addresses and e-mail addresses count, as Go writes them; a certificate without one of them is refused.
    """
    sans = "  client_allowed_sans: [scraper.example, '2001:db8::1', ops@example.com]\n"
    house = House(tmp_path, TLS + CLIENTS + sans)
    allowed = [house.client("scraper.example"), house.client("2001:0db8:0:0::1"), house.client("ops@example.com")]
    others = [house.client("scraper.example.org"), house.client("2001:db8::2"), house.client("dev@example.com")]

    async def scenario(site: Site) -> None:
        for chain in allowed:
            assert 200 == (await asked(site, house, *chain)).status
        for chain in others:
            with pytest.raises(REFUSED):
                await asked(site, house, *chain)

    run(house, scenario)


def test_names_are_asked_of_clients_who_need_no_certificate_too(tmp_path, run):
    """
    With VerifyClientCertIfGiven and allowed names, a client that shows nothing is refused: it has none of the names.
    """
    optional = CLIENTS.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven")
    house = House(tmp_path, TLS + optional + "  client_allowed_sans: [scraper.example]\n")

    async def scenario(site: Site) -> None:
        with pytest.raises(REFUSED):
            await asked(site, house)
        assert 200 == (await asked(site, house, *house.client("scraper.example"))).status

    run(house, scenario)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("server.key", b"no key"),
        ("server.crt", b""),
        ("web.yml", b""),
        ("web.yml", b"# only a comment\n"),
        ("web.yml", b"tls_server_config: {cert_file: gone.crt, key_file: server.key}\n"),
        ("web.yml", b"http_server_config: {http2: false}\n"),
    ],
    ids=["key", "certificate", "emptied", "comment", "names a file that is not there", "no TLS any more"],
)
def test_what_has_become_wrong_changes_nothing(tmp_path, run, file, content):
    """
    The certificate that was shown goes on to be shown, the metric says 0, and the log says why, once and no secret.
    """
    house = House(tmp_path, TLS + USERS)
    right = (house.folder / file).read_bytes()

    async def scenario(site: Site) -> None:
        before = await asked(site, house)
        house.replace(file, content)
        for _ in range(3):
            answer = await asked(site, house)
            assert (401, before.serial) == (answer.status, answer.serial)
        assert 0 == site.telemetry.web_config_ok
        (complaint,) = [call for call in site.log.calls if call.method_name == "warning"]
        assert str(house.file) in complaint.kwargs["error"]
        house.replace(file, right)
        await asked(site, house)
        assert 1 == site.telemetry.web_config_ok
        assert "web config can be used again" == site.log.calls[-1].args[0]

    run(house, scenario)


def test_tls_does_not_begin_on_a_port_that_speaks_http(tmp_path, run):
    """
    Whoever adds TLS to the file of a running exporter is told that it begins with a restart.
    """
    house = House(tmp_path, USERS)

    async def scenario(site: Site) -> None:
        house.write(TLS + USERS)
        assert 401 == (await asyncio.to_thread(ask, site.server.port)).status
        assert "only a restart can switch it on or off" in site.log.calls[-1].kwargs["error"]

    run(house, scenario)


def test_who_fails_is_told_why(tmp_path, run):
    """
    Alerts reach the client before the connection ends, and plain HTTP gets an answer that a person can read.
    """
    house = House(tmp_path, TLS + CLIENTS)

    async def scenario(site: Site) -> None:
        answer = await asyncio.to_thread(ask, site.server.port)
        assert (400, "Client sent an HTTP request to an HTTPS server.\n") == (answer.status, answer.text)
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            await asked(site, house)
        reasons = [call.kwargs["reason"] for call in site.log.calls if call.args[0] == "TLS handshake failed"]
        assert ["HTTP_REQUEST", "PEER_DID_NOT_RETURN_A_CERTIFICATE"] == reasons

    run(house, scenario)


def test_a_hello_is_waited_for_no_longer_than_ten_seconds_and_by_few(tmp_path, run, monkeypatch):
    """
    Silent connections end by themselves, and more of them than may wait at once push out the oldest.
    """
    monkeypatch.setattr(acceptor, "MAX_HANDSHAKES", 3)
    monkeypatch.setattr(acceptor, "HANDSHAKE_TIMEOUT", 1.0)
    house = House(tmp_path)

    async def scenario(site: Site) -> None:
        silent = [socket.create_connection(("127.0.0.1", site.server.port)) for _ in range(4)]
        try:
            await asyncio.sleep(0.2)
            assert 200 == (await asked(site, house)).status
            silent[3].settimeout(0)
            with pytest.raises(BlockingIOError):
                silent[3].recv(1)
            await asyncio.sleep(1.5)
            for connection in silent:
                connection.settimeout(1)
                with suppress(ConnectionError):
                    assert b"" == connection.recv(1)
        finally:
            for connection in silent:
                connection.close()

    run(house, scenario)


def test_the_end_does_not_wait_for_handshakes(tmp_path, run):
    """
    A server stops at once with connections that have said nothing yet.
    """
    house = House(tmp_path)
    silent: list[socket.socket] = []

    async def scenario(site: Site) -> None:
        silent.append(socket.create_connection(("127.0.0.1", site.server.port)))
        await asyncio.sleep(0.1)

    run(house, scenario)
    silent[0].settimeout(1)
    with suppress(ConnectionError):
        assert b"" == silent[0].recv(1)
    silent[0].close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.needs_program("openssl")
@pytest.mark.parametrize(
    ("versions", "spoken"),
    [
        ("", {"-tls1_2", "-tls1_3"}),
        ("  min_version: TLS13\n", {"-tls1_3"}),
        ("  max_version: TLS12\n", {"-tls1_2"}),
        ("  min_version: TLS10\n", {"-tls1", "-tls1_1", "-tls1_2", "-tls1_3"}),
        ("  min_version: TLS11\n  max_version: TLS11\n", {"-tls1_1"}),
    ],
)
def test_versions_by_another_program(tmp_path, run, versions, spoken):
    """
    `openssl s_client` gets those versions that the file allows, and no other.
    """
    house = House(tmp_path, TLS + versions)

    async def scenario(site: Site) -> None:
        got = set()
        for version in ("-tls1", "-tls1_1", "-tls1_2", "-tls1_3"):
            target = f"127.0.0.1:{site.server.port}"
            command = "openssl", "s_client", version, "-cipher", "ALL:@SECLEVEL=0", "-brief", "-connect", target
            done = await asyncio.to_thread(subprocess.run, command, input=b"", capture_output=True, check=False)
            if b"CONNECTION ESTABLISHED" in done.stderr:
                got.add(version)
        assert spoken == got

    run(house, scenario)


def test_a_key_in_the_file_itself_leaves_no_trace_on_disk(tmp_path, monkeypatch):
    """
    OpenSSL reads keys from files alone; here that is one in memory.
    """
    house = House(tmp_path)
    key = (tmp_path / "server.key").read_text(encoding="ascii")
    inline = "".join(f"    {line}\n" for line in key.splitlines())
    house.write(f"tls_server_config:\n  cert_file: server.crt\n  key: |\n{inline}")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    before = sorted(tmp_path.iterdir())

    assert ("TLS",) == load_web_config(house.file).guards
    assert before == sorted(tmp_path.iterdir())


def test_only_suites_of_tls_1_3_mean_tls_1_3_alone(tmp_path, run):
    """
    Who lists no suite of TLS 1.2 does not get one.
    """
    config = TLS + "  cipher_suites: [TLS_AES_128_GCM_SHA256]\nhttp_server_config: {http2: false}\n"
    house = House(tmp_path, config)

    async def scenario(site: Site) -> None:
        context = trusting(house.ca_file)
        assert "TLS_" == (await asyncio.to_thread(ask, site.server.port, context)).cipher[:4]
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            await asyncio.to_thread(ask, site.server.port, context)

    run(house, scenario)


def test_an_encrypted_key_is_refused_and_nothing_is_asked_on_the_terminal(tmp_path):
    """
    OpenSSL would wait for somebody to type the pass phrase.
    """
    house = House(tmp_path)
    command = "openssl", "pkey", "-in", "server.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key"
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    house.write("tls_server_config: {cert_file: server.crt, key_file: locked.key}\n")

    with pytest.raises(ConfigError, match=r"key_file: found a file with a key that needs a pass phrase"):
        load_web_config(house.file)


def test_handshakes_get_a_quarter_of_the_time():
    """
    Half a second's share may be spent at once; then each handshake is followed by three times as long a rest.
    """
    now = [0.0]
    budget = acceptor.Budget(lambda: now[0])

    for _ in range(100):
        budget.spend(0.00125)
    assert pytest.approx(0.0, abs=1e-9) == budget.delay()
    budget.spend(0.002)
    assert pytest.approx(0.008) == budget.delay()
    now[0] += 0.008
    assert pytest.approx(0.0, abs=1e-9) == budget.delay()
    now[0] += 3_600
    budget.spend(0.125)
    assert pytest.approx(0.0, abs=1e-9) == budget.delay()
