"""
The cluster that this process is a replica of, as the rest of the exporter sees it: checked, complete, frozen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from exporter.vendors.source import Certificates, Secret

Serve = Literal["own", "all"]


@dataclass(frozen=True, slots=True)
class RedisConfig:
    """
    Where Redis or Valkey is.

    Args:
        host: Unless there are sentinels, or a path.
        tls: ``rediss://``.
        path: Of a Unix socket.
        sentinels: Hosts and ports; they tell where the master of this name is.
    """

    host: str = ""
    port: int = 6379
    tls: bool = False
    path: str | None = None
    db: int = 0
    username: str | None = None
    password: Secret | None = None
    sentinels: tuple[tuple[str, int], ...] = ()
    master: str | None = None
    ca_file: Certificates | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """
    One cluster.

    Args:
        name: Replicas of one name share budgets; part of all keys in Redis.
        replica: This replica's name; ``None``: the host's name.
        lease: Seconds.
        serve: Whether a replica publishes the rooms of its own budgets, or all.
    """

    name: str
    redis: RedisConfig
    replica: str | None
    lease: float
    serve: Serve
