"""
What a replica knows of its cluster, for the page, the JSON API and metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """
    One replica.

    Args:
        name: Unique in the cluster.
        address: Where it listens, as it tells the others; empty if it does not.
        config: Hash of the parts of its config that replicas must agree on.
        silent: Seconds since this replica last saw its heartbeat change.
        budgets: Number of budgets that it holds.
    """

    name: str
    address: str
    config: str
    silent: float
    budgets: int


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """
    Who may call on a budget.

    Args:
        owner: Name of the replica that holds it; ``None``: nobody, or it is not known.
        wished: Name of the replica that shall hold it.
        held_until: Unix time until which this replica holds it; ``None`` if it does not.
    """

    owner: str | None
    wished: str | None
    held_until: float | None


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """
    The cluster, seen from here.

    Args:
        name: The cluster's name.
        replica: This replica's name.
        engine: ``redis`` or ``valkey``, with its version once it is known.
        serve: ``own`` or ``all``.
        lease: Seconds.
        connected: Whether the last exchange was answered.
        error: Why not, in plain words without secrets.
        refused: Why this replica takes no budget, or not all that it should, although it is connected.
        replicas: By name.
        budgets: By name of the budget.
    """

    name: str
    replica: str
    engine: str
    serve: str
    lease: float
    connected: bool
    error: str | None
    refused: str | None
    replicas: Mapping[str, ReplicaStatus]
    budgets: Mapping[str, BudgetStatus]

    def owner(self, budget: str) -> str | None:
        """Name of the replica that holds this budget; ``None``: nobody, or it is not known."""
        found = self.budgets.get(budget)
        return found.owner if found else None
