"""
A cluster of two replicas as one of them sees it.
"""

from __future__ import annotations

from exporter.cluster.status import BudgetStatus, ClusterStatus, ReplicaStatus
from tests.web.site import UNIX

HERE, OTHER = "exporter-0", "exporter-1"


def cluster(
    owners: dict[str, str | None],
    *,
    connected: bool = True,
    error: str | None = None,
    refused: str | None = None,
    silent: float = 0.2,
    configs: tuple[str, str] = ("0123abcd", "0123abcd"),
    until: float = 1_000.0,
) -> ClusterStatus:
    """
    What `exporter-0` knows.

    Args:
        owners: Who holds each budget; `exporter-0` shall hold those that nobody does.
        silent: Seconds since it last heard of `exporter-1`.
        configs: The hash of either's config.
        until: When its leases end, in seconds from the test's beginning.
    """
    held = [*owners.values()]
    return ClusterStatus(
        name="rooms",
        replica=HERE,
        engine="redis 7.0.15",
        serve="own",
        lease=5.0,
        connected=connected,
        error=error,
        refused=refused,
        replicas={
            OTHER: ReplicaStatus(OTHER, "10.0.0.2:9877", configs[1], silent, held.count(OTHER)),
            HERE: ReplicaStatus(HERE, "10.0.0.1:9877", configs[0], 0.0, held.count(HERE)),
        },
        budgets={
            budget: BudgetStatus(owner, owner or HERE, UNIX + until if owner == HERE else None)
            for budget, owner in owners.items()
        },
    )
