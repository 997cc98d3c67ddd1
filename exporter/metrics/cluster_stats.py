"""
Numbers about the cluster that this process is a replica of, for the metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from exporter.metrics.durations import DurationFigures, Durations


class Exchanged(StrEnum):
    """How an exchange with Redis ended."""

    ANSWERED = "answered"
    REFUSED = "refused"
    """Redis answered with an error."""
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    """No connection, or it broke."""


class Gained(StrEnum):
    """How this replica came to hold a budget."""

    RELEASED = "released"
    """The holder let it go and handed over the state of its pace."""
    EXPIRED = "expired"
    """The holder's lease ended without a word."""
    FIRST = "first"
    """Nobody had held it, as after the cluster's first start."""


class Lost(StrEnum):
    """How this replica came to hold a budget no longer."""

    RELEASED = "released"
    """It let the budget go."""
    EXPIRED = "expired"
    """It could not renew its lease in time."""
    TAKEN = "taken"
    """Redis named another holder while it thought that the budget was its own."""


@dataclass(frozen=True, slots=True)
class ClusterFigures:
    """
    The cluster at one moment, as this replica sees it.

    Args:
        engine: ``redis`` or ``valkey``.
        config: Hash of the parts of the config that replicas must agree on.
        connected: Whether the last exchange was answered.
        replicas: Number of replicas whose heartbeat still changes, this one included; ``None`` while it is not known.
        lease_valid_until: Unix time until which calls may be written; ``None`` if no budget is held.
        fenced_calls: Calls that had a slot and were not written since the lease had ended meanwhile.
    """

    replica: str
    engine: str
    config: str
    connected: bool
    replicas: int | None
    lease_valid_until: float | None
    exchanges: Mapping[Exchanged, int]
    exchange_durations: DurationFigures
    gained: Mapping[Gained, int]
    lost: Mapping[Lost, int]
    fenced_calls: int


class ClusterStats:
    """
    What a replica counts. All counters start at 0.

    Attributes:
        gained: Budgets that it gained.
        lost: Budgets that it lost.
        fenced_calls: See ``ClusterFigures``.
    """

    def __init__(self) -> None:
        self.gained = dict.fromkeys(Gained, 0)
        self.lost = dict.fromkeys(Lost, 0)
        self.fenced_calls = 0
        self._exchanges = dict.fromkeys(Exchanged, 0)
        self._durations = Durations(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

    def exchanged(self, result: Exchanged, seconds: float) -> None:
        """Count an exchange."""
        self._exchanges[result] += 1
        self._durations.observe(seconds)

    def figures(
        self,
        *,
        replica: str,
        engine: str,
        config: str,
        connected: bool,
        replicas: int | None,
        lease_valid_until: float | None,
    ) -> ClusterFigures:
        """These counts, with what is known beside them."""
        return ClusterFigures(
            replica=replica,
            engine=engine,
            config=config,
            connected=connected,
            replicas=replicas,
            lease_valid_until=lease_valid_until,
            exchanges=self._exchanges.copy(),
            exchange_durations=self._durations.figures(),
            gained=self.gained.copy(),
            lost=self.lost.copy(),
            fenced_calls=self.fenced_calls,
        )
