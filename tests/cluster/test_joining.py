"""
Which engine a config leads to, and what is loaded for it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner

from exporter.cli import app
from exporter.cluster.exchange import EngineError, Member, Refusal, Request
from exporter.cluster.joining import connected, joining, replica_name
from exporter.cluster.redis import RedisEngine
from exporter.config import parse
from exporter.config.cluster import ClusterConfig, RedisConfig
from exporter.config.secrets import read_certificates
from exporter.errors import UserError
from tests.cluster.servers import running, sentinel
from tests.config.configs import ENV, text
from tests.deploy.project import ROOT
from tests.programs import find_program

LEASE = 30.0
"""Seconds; a server on a busy machine has a fifth of it to answer."""

CLUSTER = ClusterConfig("rooms", RedisConfig(host="redis"), None, 5.0, "own")
REQUEST = Request("", "a", Member(1, "i", "c"))


def test_without_a_cluster_nothing_of_redis_is_loaded():
    """
    Neither `check` nor `run` pays for what the config does not name.
    """
    code = (
        "import sys, exporter.app, exporter.cli, exporter.shared; print(sorted(m for m in sys.modules if 'redis' in m))"
    )

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout

    assert "[]\n" == printed
    assert joining(parse(f"sources:\n{text()}", Path("x.yml"), ENV), None, None, None, None) is None  # type: ignore[arg-type]  # not used


def test_a_missing_client_is_told_with_its_remedy(monkeypatch):
    """
    Somebody who installed without the extra learns its name.
    """
    monkeypatch.delitem(sys.modules, "exporter.cluster.redis", raising=False)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    for name in [name for name in sys.modules if name.startswith("redis.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)

    with pytest.raises(UserError, match=r"pip install 'rtc-room-exporter\[redis\]'"):
        connected(CLUSTER)


@pytest.mark.parametrize(
    ("flag", "key", "name"),
    [("pod-1", "node-1", "pod-1"), (None, "node-1", "node-1"), (None, None, socket.gethostname())],
)
def test_the_replicas_name(flag, key, name):
    """
    The command line counts before the config, and that before the host's name.
    """
    assert name == replica_name(replace(CLUSTER, replica=key), flag)


@pytest.mark.needs_program("redis-server")
async def test_tls(tmp_path, needs_program):
    """
    With the authority of the config the server is known by its name; otherwise it is refused, and the reason told.
    """
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    settings = [
        *("--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file", str(tmp_path / "ca.pem")),
        *("--tls-cert-file", str(tmp_path / "cert.pem"), "--tls-key-file", str(tmp_path / "key.pem")),
    ]
    config = RedisConfig(host="localhost", port=port, tls=True, ca_file=read_certificates(tmp_path / "ca.pem"))

    with running(needs_program("redis-server"), tmp_path, settings):
        configs = config, replace(config, ca_file=None), replace(config, host="127.0.0.1")
        known, *others = (RedisEngine(each, "rooms", LEASE) for each in configs)
        reply = await known.exchange(REQUEST)
        failures = []
        for other in others:
            with pytest.raises(EngineError) as failed:
                await other.exchange(REQUEST)
            failures.append(str(failed.value))
        for engine in (known, *others):
            await engine.aclose()

    assert Refusal.ERA == reply.refusal
    assert ["the server's certificate is not trusted; ca_file names others to trust"] * 2 == failures


@pytest.mark.needs_program("redis-server")
def test_check_and_probe_look_at_the_cluster(tmp_path, needs_program):
    """
    `check` tells who shall hold each budget, and what the server should not be set to; both say who holds it.
    """
    with running(needs_program("redis-server"), tmp_path) as server:
        key = "{rooms}:cluster"
        server.admin.hset(key, mapping={"epoch": "e", "m:a": "7|i|c|s|", "o:b0": "a|i|3", "o:b1": b"\xff"})
        server.admin.config_set("maxmemory", "100mb")
        server.admin.config_set("maxmemory-policy", "allkeys-lru")
        config = tmp_path / "exporter.yml"
        source = text("rooms: [lobby]\nbudget: b0\nbase_url: http://127.0.0.1:1")
        keys = f"cluster: {{name: rooms, redis: {{url: 'redis://127.0.0.1:{server.port}'}}}}"
        config.write_text(f"sources:\n{source}{keys}\n")
        checked = CliRunner().invoke(app, ["check", f"--config.file={config}"], env=os.environ)
        probed = CliRunner().invoke(app, ["probe", f"--config.file={config}", "live", "lobby"])
    away = CliRunner().invoke(app, ["check", f"--config.file={config}"])

    assert 0 == checked.exit_code
    assert "budget b0: replica a of 1; held by it now" in checked.output
    assert "replicas: a" in checked.output
    assert "maxmemory-policy is allkeys-lru" in checked.output
    assert "The budget b0 is held by replica a now." in probed.output
    assert 0 == away.exit_code
    assert "budget b0: replica " in away.output
    assert "its holder is not known" in away.output
    assert "warning: cluster rooms: the server refuses connections: nothing listens there" in away.output


@pytest.mark.timed
@pytest.mark.needs_program("redis-server", "redis-sentinel")
async def test_a_failover_is_followed(tmp_path):
    """
    Sentinels tell where the master is; when it dies, the next exchanges find the new one, whose data is another era.
    """
    server, program = find_program("redis-server"), find_program("redis-sentinel")
    assert server is not None
    assert program is not None
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with running(server, first) as master, running(server, second) as copy:
        copy.admin.execute_command("REPLICAOF", "127.0.0.1", master.port)
        with sentinel(program, tmp_path, master.port) as port:
            config = RedisConfig(sentinels=(("127.0.0.1", port),), master="mymaster")
            engine = RedisEngine(config, "rooms", LEASE)
            before = await patiently(engine)
            copy.wait_for("{rooms}:cluster")
            master.kill()
            after = await patiently(engine, unlike=before)
            await engine.aclose()

    assert before.rpartition(":")[2] == after.rpartition(":")[2]
    assert before != after


async def patiently(engine: RedisEngine, unlike: str = "") -> str:
    """The era, as soon as there is one, and another one than this."""
    async with asyncio.timeout(20):
        while True:
            try:
                era = (await engine.exchange(REQUEST)).era
            except EngineError:
                await asyncio.sleep(0.1)
            else:
                if era != unlike:
                    return era
