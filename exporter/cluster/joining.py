"""
Makes this process a replica, if its config has a ``cluster``. Nothing of Redis is loaded otherwise.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from exporter.clock import Clock
from exporter.cluster.protocols import Budgets, Readings
from exporter.cluster.replica import Replica
from exporter.config import Config
from exporter.config.cluster import ClusterConfig
from exporter.errors import UserError
from exporter.logs import Log

if TYPE_CHECKING:
    from exporter.cluster.redis import RedisEngine


def connected(cluster: ClusterConfig) -> RedisEngine:
    """
    A connection to the cluster's engine, which is not used yet.

    Raises:
        UserError: The client library is missing.
    """
    try:
        from exporter.cluster.redis import RedisEngine  # noqa: PLC0415  only a cluster needs it
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "redis":
            raise
        raise UserError(
            "the config has a cluster, which needs the client for Redis; install it with:"
            " pip install 'rtc-room-exporter[redis]'"
        ) from None
    return RedisEngine(cluster.redis, cluster.name, cluster.lease)


def replica_name(cluster: ClusterConfig, flag: str | None) -> str:
    """This replica's name: that of the command line, else of the config, else the host's."""
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:128]
    return flag or cluster.replica or host


def joining(
    config: Config,
    flag: str | None,
    log: Log,
    clock: Clock,
    raised: Callable[[str, Exception], None],
    address: str = "",
) -> Callable[[Budgets, Readings], Replica] | None:
    """
    Makes the replica of a config; ``None`` without a cluster.

    Args:
        flag: The replica's name on the command line.

    Raises:
        UserError: The client library is missing.
    """
    cluster = config.cluster
    if cluster is None:
        return None
    engine = connected(cluster)

    def make(budgets: Budgets, readings: Readings) -> Replica:
        return Replica(config, replica_name(cluster, flag), engine, budgets, readings, log, clock, raised, address)

    return make
