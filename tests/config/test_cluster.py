"""
The keys of ``cluster``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config import ConfigError, load, parse
from exporter.config.cluster import RedisConfig
from exporter.config.cluster_schema import read_redis_url
from exporter.vendors.source import Secret
from tests.config.configs import ENV, FOLDER, text


def test_all_keys():
    """
    Sentinels, their ports, the master, and the rest of the example.
    """
    cluster = load(FOLDER / "cluster.good.yml", ENV).cluster

    assert cluster is not None
    assert (("sentinel-0", 26379), ("sentinel-1", 26379), ("::1", 26380)) == cluster.redis.sentinels
    assert ("mymaster", "exporter", Secret("0123456789abcdef"), 1) == (
        cluster.redis.master,
        cluster.redis.username,
        cluster.redis.password,
        cluster.redis.db,
    )
    assert ("rooms", "exporter-0", 3.0, "all") == (cluster.name, cluster.replica, cluster.lease, cluster.serve)


def test_no_key_is_no_cluster():
    """
    One process, as ever.
    """
    assert parse(f"sources:\n{text()}", Path("exporter.yml"), ENV).cluster is None


@pytest.mark.parametrize(
    ("url", "config"),
    [
        ("redis://redis", RedisConfig(host="redis")),
        ("rediss://redis:6380/3", RedisConfig(host="redis", port=6380, db=3, tls=True)),
        ("redis://:p%40ss@[::1]", RedisConfig(host="::1", password=Secret("p@ss"))),
        ("unix:///run/redis.sock?db=2", RedisConfig(path="/run/redis.sock", db=2)),
    ],
)
def test_urls(url, config):
    """
    Host, TLS, password and database are parts of one URL, as redis-py and others write them.
    """
    assert config == read_redis_url(url)


@pytest.mark.parametrize(
    "url", ["redis://redis:0", "redis://redis:99999", "redis://:p@ss/w@redis", "redis://redis/0?a=b"]
)
def test_urls_that_name_no_server(url):
    """
    Port 0 is not taken for the usual one, nor a password for a host.
    """
    with pytest.raises(ValueError, match="redis://host:6379/0"):
        read_redis_url(url)


def test_the_password_is_not_shown():
    """
    Neither as text nor in an error of the keys around it.
    """
    keys = "cluster: {redis: {url_file: /nowhere/url, url: 'redis://:s3cretpassw0rd@redis', sentinels: 3}}\n"
    other = "cluster: {redis: {url: 'redis:///0', sentinels: ['exporter:s3cret@sentinel-0'], master: m}}\n"

    with pytest.raises(ConfigError) as refused:
        parse(f"sources:\n{text()}{keys}", Path("exporter.yml"), ENV)
    with pytest.raises(ConfigError) as also:
        parse(f"sources:\n{text()}{other}", Path("exporter.yml"), ENV)
    shown = repr(read_redis_url("redis://:s3cretpassw0rd@redis"))

    assert "s3cret" not in str(refused.value) + str(also.value) + shown
