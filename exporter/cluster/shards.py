"""
Shards: a fixed number of exporters that share one config and know nothing of each other.

Each unit of the config belongs to one shard (``assignment``), so each budget is used by one shard, and all shards
together poll every source once. A shard has the number of all shards and its own ordinal, from 0 on. When the number
changes, units move; so all shards have to stop before one with another number starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from exporter.cluster.assignment import Unit, assign, units
from exporter.config import Config, SourceConfig
from exporter.model import Shard

_ORDINAL: Final = re.compile(r"(?:\w.*-)?(?P<ordinal>[0-9]{1,6})")


def shard_of(name: str, total: int) -> Shard:
    """
    The shard of this name.

    Args:
        name: An ordinal, or a name that ends with a hyphen and an ordinal, as that of a StatefulSet's pod.
        total: The number of shards.

    Raises:
        ValueError: The name has no ordinal, or one that is not below ``total``.
    """
    match = _ORDINAL.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is neither an ordinal nor a name such as exporter-0 that ends with one")
    ordinal = int(match["ordinal"])
    if ordinal >= total:
        raise ValueError(f"the ordinal {ordinal} is too high; accepted: 0 to {total - 1}")
    return Shard(ordinal, total)


def shares(sources: Iterable[SourceConfig], total: int) -> Mapping[Shard, tuple[Unit, ...]]:
    """What each of so many shards polls, sorted by ordinal. A shard may have nothing to poll."""
    found = units(sources)
    shards = {str(ordinal): Shard(ordinal, total) for ordinal in range(total)}
    places = assign({unit.name: unit.load for unit in found}, [*shards])
    return {shard: tuple(unit for unit in found if places[unit.name] == name) for name, shard in shards.items()}


def part_of(config: Config, shard: Shard) -> Config:
    """The config with this shard's sources alone."""
    own = {source for unit in shares(config.sources, shard.total)[shard] for source in unit.sources}
    return replace(config, sources=tuple(source for source in config.sources if source.name in own))
