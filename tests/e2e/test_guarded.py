"""
A guarded exporter and the real Prometheus, which has a client certificate and a password, while all of them change.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import bcrypt
import pytest
import trustme
import yaml

from tests.command import command
from tests.e2e.monitoring import Daemon, settled
from tests.e2e.process import free_port
from tests.programs import find_program
from tests.web.security.house import CLIENTS, PASSWORD, TLS, USERS, House

pytestmark = [pytest.mark.needs_program("prometheus"), pytest.mark.timeout(180)]

CONFIG = """
sources:
  - {name: live, api: zego_rtc, app_id: 1, server_secret: 0123456789abcdef0123456789abcdef, rooms: [lobby],
     base_url: "http://127.0.0.1:1", interval: 60s}
"""
ROTATIONS = 25
EVERY = "250ms"
"""Between two scrapes, and for each."""


async def test_no_scrape_fails_while_everything_is_rotated(tmp_path: Path):
    """
    Prometheus scrapes four times a second. Meanwhile the server's certificate is replaced again and again, key first;
    the clients' authority is joined by another one, of which Prometheus gets a certificate; then its login
    changes. Prometheus reads its configuration anew several times, and makes new connections then.
    """
    house = House(tmp_path, TLS + CLIENTS + USERS)
    _give_certificate(house, house.client_authority)
    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    (tmp_path / "exporter.yml").write_text(CONFIG, encoding="utf-8")
    flags = f"--config.file={tmp_path / 'exporter.yml'}", f"--web.config.file={house.file}"
    with command("run", *flags, "--web.listen-address=127.0.0.1:0") as exporter:
        port = int(exporter.until(r"listening=https://127\.0\.0\.1:(\d+)")[1])
        _configure(tmp_path, port, "prometheus", "password")
        prometheus = _prometheus(tmp_path)
        await prometheus.start()
        try:
            assert await settled(True, lambda: _enough(prometheus), within=60)
            for rotation in range(ROTATIONS):
                house.renew()
                await asyncio.sleep(0.2)
                if rotation % 5 == 4:
                    await _read_anew(prometheus)
            await _change_authority(house, prometheus)
            await _change_login(house, prometheus, port)
            failed = [line for line in prometheus.log.splitlines() if "Scrape failed" in line]
            (scrapes,) = await _query(prometheus, 'count_over_time(up{job="exporter"}[5m])')
            (answered,) = await _query(prometheus, 'sum_over_time(up{job="exporter"}[5m])')
            assert ([], scrapes) == (failed, answered)
            assert scrapes > 20

            house.write(TLS + CLIENTS + USERS)
            assert [0.0] == await settled([0.0], lambda: _query(prometheus, 'up{job="exporter"}'), within=30)
        finally:
            await prometheus.stop()


def _configure(folder: Path, port: int, user: str, password_file: str) -> None:
    scrape = {
        "job_name": "exporter",
        "scheme": "https",
        "tls_config": {"ca_file": "ca.pem", "cert_file": "prometheus.crt", "key_file": "prometheus.key"},
        "basic_auth": {"username": user, "password_file": password_file},
        "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
    }
    configuration = {"global": {"scrape_interval": EVERY, "scrape_timeout": EVERY}, "scrape_configs": [scrape]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")


def _prometheus(folder: Path) -> Daemon:
    program, address = find_program("prometheus"), f"127.0.0.1:{free_port()}"
    assert program
    return Daemon(
        f"http://{address}",
        folder / "prometheus.log",
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={address}",
        "--web.enable-lifecycle",
        "--log.level=debug",
    )


def _give_certificate(house: House, authority: trustme.CA) -> None:
    """Prometheus gets a certificate; key and certificate in one step each, as it reads both for each connection."""
    leaf = authority.issue_cert("prometheus.example")
    house.replace("prometheus.key", leaf.private_key_pem.bytes())
    house.replace("prometheus.crt", b"".join(pem.bytes() for pem in leaf.cert_chain_pems))


async def _change_authority(house: House, prometheus: Daemon) -> None:
    new = trustme.CA()
    house.replace("clients.pem", house.client_authority.cert_pem.bytes() + new.cert_pem.bytes())
    await asyncio.sleep(1)
    _give_certificate(house, new)
    await _read_anew(prometheus)
    await asyncio.sleep(1)
    house.replace("clients.pem", new.cert_pem.bytes())
    await asyncio.sleep(1)


async def _change_login(house: House, prometheus: Daemon, port: int) -> None:
    """Both logins hold while Prometheus goes over from one to the other."""
    new = f"  next: {bcrypt.hashpw(b'another', bcrypt.gensalt(4)).decode()}\n"
    house.write(TLS + CLIENTS + USERS + new)
    (house.folder / "another").write_text("another", encoding="utf-8")
    await asyncio.sleep(1)
    _configure(house.folder, port, "next", "another")
    await _read_anew(prometheus)
    await asyncio.sleep(1)
    house.write(TLS + CLIENTS + "basic_auth_users:\n" + new)
    await asyncio.sleep(1)


async def _read_anew(prometheus: Daemon) -> None:
    async with aiohttp.ClientSession(prometheus.url) as client, client.post("/-/reload") as answer:
        assert 200 == answer.status


async def _query(prometheus: Daemon, promql: str) -> list[float]:
    data = (await prometheus.get("/api/v1/query", query=promql))["data"]
    return [float(series["value"][1]) for series in data["result"]]


async def _enough(prometheus: Daemon) -> bool:
    return (await _query(prometheus, 'count_over_time(up{job="exporter"}[1m]) > 5')) != []
