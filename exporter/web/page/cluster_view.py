"""
The cluster as the status page shows it: its replicas, who holds which budget, and what is wrong. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.cluster.status import BudgetStatus, ClusterStatus, ReplicaStatus
from exporter.web.page import wording
from exporter.web.page.standing import Level
from exporter.web.page.verdict import Alarm


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """
    One replica.

    Args:
        here: Whether it is the replica that shows the page.
        silent: Seconds since its heartbeat was last seen to change.
        alive: Whether that is shorter than a lease. The replica that shows the page is.
        differs: Whether its config differs from that of the replica that shows the page.
    """

    name: str
    address: str
    here: bool
    silent: float
    alive: bool
    differs: bool
    budgets: int


@dataclass(frozen=True, slots=True)
class ClusterView:
    """
    The cluster.

    Args:
        replicas: The replica that shows the page first, then the others by name.
        held: Number of budgets that it holds.
        orphaned: Number of budgets that nobody holds, as far as it knows.
        moving: Number of budgets that shall go from one replica to another.
    """

    name: str
    engine: str
    serve: str
    connected: bool
    replicas: tuple[ReplicaView, ...]
    held: int
    budgets: int
    orphaned: int
    moving: int

    @property
    def alive(self) -> int:
        return sum(replica.alive for replica in self.replicas)


def view_cluster(status: ClusterStatus, unix: float) -> ClusterView:
    """Collect what the page shows of the cluster at this Unix time."""
    held = _held(status, unix)
    elsewhere = sum(budget.owner not in (None, status.replica) for budget in _all(status))
    own = status.replicas.get(status.replica)
    replicas = [_replica(replica, status, own) for replica in status.replicas.values()]
    return ClusterView(
        name=status.name,
        engine=status.engine,
        serve=status.serve,
        connected=status.connected,
        replicas=tuple(sorted(replicas, key=lambda replica: (not replica.here, replica.name))),
        held=held,
        budgets=len(status.budgets),
        orphaned=len(status.budgets) - held - elsewhere,
        moving=sum(budget.owner is not None and budget.wished not in (None, budget.owner) for budget in _all(status)),
    )


def alarms(status: ClusterStatus, unix: float) -> Iterator[Alarm]:
    """What is wrong with the cluster at this Unix time, the worst first."""
    if status.refused is not None:
        words = "this replica does not take every budget" if _held(status, unix) else "this replica takes no budgets"
        yield Alarm(Level.BAD, words, (f"{_capital(status.refused)}.",), "RtcBudgetOrphaned")
    if not status.connected:
        holds = _held(status, unix) > 0
        meanwhile = (
            f"It goes on until its lease of {wording.duration(status.lease)} ends; then it makes no calls until it is"
            " connected again."
            if holds
            else "It makes no calls until it is connected again; readings stay until they are too old."
        )
        words = f"not connected to {status.engine.partition(' ')[0].capitalize()}"
        sentences = (*((f"{_capital(status.error)}.",) if status.error else ()), meanwhile)
        yield Alarm(Level.WARNING if holds else Level.BAD, words, sentences, "RtcClusterEngineUnreachable")
    view = view_cluster(status, unix)
    if others := [replica.name for replica in view.replicas if replica.alive and replica.differs]:
        sentence = (
            f"{wording.named(others)} {'has' if len(others) == 1 else 'have'} another config than {status.replica}."
        )
        hint = "Budgets are only moved between replicas with the same config. During a rollout this passes by itself."
        yield Alarm(Level.WARNING, "replicas with different configs", (sentence, hint), "RtcClusterConfigMismatch")


def _replica(replica: ReplicaStatus, status: ClusterStatus, own: ReplicaStatus | None) -> ReplicaView:
    return ReplicaView(
        name=replica.name,
        address=replica.address,
        here=replica.name == status.replica,
        silent=replica.silent,
        alive=replica.name == status.replica or replica.silent < status.lease,
        differs=own is not None and replica.config != own.config,
        budgets=replica.budgets,
    )


def _held(status: ClusterStatus, unix: float) -> int:
    """How many budgets this replica may call on. The engine may still name others whose lease has ended."""
    return sum(budget.held_until is not None and budget.held_until > unix for budget in _all(status))


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _all(status: ClusterStatus) -> list[BudgetStatus]:
    return [*status.budgets.values()]
