"""
The page on several exporters: its configs are accepted, its figures are those of the code, and its user of Redis may do
what a replica does and nothing else.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from exporter.cluster.exchange import EngineError, Member, Request
from exporter.cluster.redis import RedisEngine
from exporter.config import parse
from exporter.config.cluster import RedisConfig
from exporter.vendors.source import Secret
from tests.docs.pages import PAGES
from tests.e2e.process import free_port

CLUSTER = PAGES["docs/cluster.md"]
CONFIGS = [block.text for block in CLUSTER.blocks("yaml") if block.text.startswith("cluster:")]
SOURCES = "sources: [{name: live, api: zego_rtc, app_id: 1, server_secret_env: ZEGO, rooms: [lobby]}]"
NAME = "rtc-room-exporter"


@pytest.mark.docs
@pytest.mark.parametrize("config", CONFIGS)
def test_a_config_of_a_cluster_is_accepted(config: str, tmp_path: Path) -> None:
    """
    With a source beside it and the URL in its file.
    """
    for path in (
        "/run/secrets/rtc-room-exporter/redis-url",
        "/run/credentials/rtc-room-exporter.service/secrets_redis",
    ):
        config = config.replace(path, str(tmp_path / "url"))
    (tmp_path / "url").write_text("redis://user:password@host:6379/0\n", encoding="utf-8")

    found = parse(f"{config}\n{SOURCES}\n", Path("exporter.yml"), {"ZEGO": "0123456789abcdef0123456789abcdef"})

    assert found.cluster


@pytest.fixture
def port(needs_program: Callable[[str], str], tmp_path: Path) -> Iterator[int]:
    """
    Where a Redis listens that has the user of the page.
    """
    (user,) = [block.text for block in CLUSTER.blocks("text") if block.text.startswith("user ")]
    port = free_port()
    lines = [f"port {port}", "bind 127.0.0.1", f"dir {tmp_path}", 'save ""', user]
    (tmp_path / "redis.conf").write_text("\n".join(lines), encoding="utf-8")
    command = [needs_program("redis-server"), str(tmp_path / "redis.conf")]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with suppress(redis.ConnectionError), redis.Redis(port=port) as client:
                client.ping()
                break
            time.sleep(0.02)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=10)


async def test_the_user_of_the_page_may_do_what_a_replica_does(port: int) -> None:
    """
    Exchanges, readings, news, and what `check` asks for, without a single command that was forbidden.
    """
    engine = RedisEngine(
        RedisConfig(port=port, host="127.0.0.1", username="exporter", password=Secret("PASSWORD")), NAME, 30
    )
    member = Member(1, "1", "config")
    era = (await engine.exchange(Request("", "a", member))).era
    await engine.exchange(Request(era, "a", member))
    await engine.exchange(Request(era, "a", member, leave=True))
    await engine.write("live", "budget", "record", {"lobby": b"1"}, ["hall"], b"1")
    assert [{}] == [part async for part in engine.read("live")]
    await engine.forget("live", ["hall"])
    await engine.send("a", b"1")
    listening = engine.listen("a", rooms=True)
    await anext(listening)
    await listening.aclose()
    assert (await engine.about()).startswith("redis ")
    assert [] == await engine.doubts()
    await engine.aclose()

    with redis.Redis(port=port) as administrator:
        assert [] == administrator.acl_log()


async def test_the_user_of_the_page_may_do_nothing_in_another_cluster(port: int) -> None:
    """
    The keys of another name are closed to it.
    """
    engine = RedisEngine(
        RedisConfig(port=port, host="127.0.0.1", username="exporter", password=Secret("PASSWORD")), "other", 30
    )

    with pytest.raises(EngineError, match="NOPERM"):
        await engine.exchange(Request("", "a", Member(1, "1", "config")))
    await engine.aclose()
