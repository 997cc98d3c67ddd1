"""
Looks at a cluster without taking part in it, for the commands ``check`` and ``probe``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.cluster.assignment import assign, units
from exporter.cluster.exchange import EngineError, Owner
from exporter.cluster.joining import connected, replica_name
from exporter.config import Config
from exporter.config.cluster import ClusterConfig

_UNREADABLE: Final = "(of another version)"


@dataclass(frozen=True, slots=True)
class Look:
    """
    A cluster at one moment.

    Args:
        engine: Name and version of the server.
        replicas: Names of those that have not left, dead ones perhaps included.
        owners: By budget; a budget that nobody holds is left out.
        doubts: Settings of the server that a cluster should not have, in words.
        error: Why nothing of it is known.
    """

    engine: str = ""
    replicas: Sequence[str] = ()
    owners: Mapping[str, str] | None = None
    doubts: Sequence[str] = ()
    error: str | None = None

    def owner(self, budget: str) -> str | None:
        """Name of the replica that holds a budget."""
        return (self.owners or {}).get(budget)


async def look(cluster: ClusterConfig) -> Look:
    """
    Ask the engine.

    Raises:
        UserError: The client library is missing.
    """
    engine = connected(cluster)
    try:
        members, records = await engine.look()
        owners = {budget: Owner.parse(record) for budget, record in records.items()}
        held = {budget: owner.replica if owner else _UNREADABLE for budget, owner in owners.items()}
        held = {budget: replica for budget, replica in held.items() if replica}
        return Look(await engine.about(), sorted(members), held, await engine.doubts())
    except EngineError as error:
        return Look(error=str(error))
    finally:
        await engine.aclose()


def owners_to_be(config: Config, cluster: ClusterConfig, found: Look) -> Iterator[str]:
    """Who shall hold each budget, one line each, among the replicas that are known and this one."""
    replicas = found.replicas or [replica_name(cluster, None)]
    nobody = "held by nobody now" if found.error is None else "its holder is not known"
    shares = units(config.sources)
    wished = assign({unit.name: unit.load for unit in shares}, replicas)
    for unit in shares:
        for budget in unit.budgets:
            now = found.owner(budget)
            held = "held by it now" if now == wished[unit.name] else f"held by {now} now" if now else nobody
            yield f"budget {budget}: replica {wished[unit.name]} of {len(replicas)}; {held}"
