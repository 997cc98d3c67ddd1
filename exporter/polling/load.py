"""
Whether rooms fit their budgets: arithmetic on a config, before any call is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from exporter.config import SourceConfig
from exporter.polling.pace import pace_kept

TOLERANCE: Final = 1.05
"""A budget fits its rooms while the interval that it can keep is at most this many times the wanted one."""

_LEAST_STALENESS: Final = 30.0


@dataclass(frozen=True, slots=True)
class SourceLoad:
    """
    What one source asks of its budget.

    Args:
        calls: Per interval, batches full.
        kept_interval: Seconds between two readings of a room that the budget can really keep.
    """

    config: SourceConfig
    rooms: int
    calls: int
    kept_interval: float

    @property
    def max_staleness(self) -> float:
        """Seconds that a reading is published for: as configured, or three times what can be kept, 30 at least."""
        outlives_a_failed_poll = 1.5 * self.config.interval + self.config.timeout
        return self.config.max_staleness or max(_LEAST_STALENESS, 3 * self.kept_interval, outlives_a_failed_poll)


@dataclass(frozen=True, slots=True)
class BudgetLoad:
    """One budget and the sources that share it; calls per second ``needed``, ``allowed``, and really made: ``kept``."""

    name: str
    needed: float
    allowed: float
    kept: float
    sources: tuple[SourceLoad, ...]

    @property
    def fits(self) -> bool:
        return all(source.kept_interval <= TOLERANCE * source.config.interval for source in self.sources)


def budget_loads(sources: Iterable[tuple[SourceConfig, int]]) -> tuple[BudgetLoad, ...]:
    """The load of every budget, given each source and the number of rooms that it watches."""
    members: dict[str, list[tuple[SourceConfig, int]]] = {}
    for config, rooms in sources:
        members.setdefault(config.budget, []).append((config, rooms))
    return tuple(_load(name, sharing) for name, sharing in members.items())


def _load(name: str, sharing: list[tuple[SourceConfig, int]]) -> BudgetLoad:
    calls = {config.name: math.ceil(rooms / config.codec.batch_size) for config, rooms in sharing}
    demand = [(calls[config.name], config.interval) for config, _ in sharing]
    allowed = sharing[0][0].rate_limit
    kept = pace_kept(allowed)
    late = _lateness(demand, kept)
    return BudgetLoad(
        name,
        _calls_per_second(demand),
        allowed,
        kept,
        tuple(SourceLoad(config, rooms, calls[config.name], config.interval + late) for config, rooms in sharing),
    )


def _calls_per_second(demand: list[tuple[int, float]], late: float = 0.0) -> float:
    return sum(calls / (interval + late) for calls, interval in demand)


def _lateness(demand: list[tuple[int, float]], pace: float) -> float:
    """Seconds by which every room is late in the end, as the longest overdue is always next."""
    low, high = 0.0, sum(calls for calls, _ in demand) / pace
    if _calls_per_second(demand) <= pace:
        return low
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _calls_per_second(demand, middle) > pace else (low, middle)
    return high
