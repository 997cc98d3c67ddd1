"""
Whether the rooms of a config fit their budgets. This is arithmetic on the config, before any call is made.

Worked example: a budget of 10 calls per second, of which the pace keeps 9.75, and 1,500 rooms that are asked for in
batches of ten every 10 s. They need 150 calls per interval, which is 15 calls per second. The budget makes 150 calls in
15.4 s, so each room is read every 15.4 s: the rooms do not fit.

With a cadence (see ``importance``) a room's interval may be anything from ``interval`` to ``longest``, so the rooms fit
if all of them can be read once per ``longest``. Sources without a cadence cannot give way: they get what they need, and
the others share the rest. Of that, each first gets what it needs for ``longest``.

If several sources share a budget that is too small, the longest overdue call always leaves next. So in the end every
room is late by the same number of seconds, whatever its interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from exporter.config import SourceConfig
from exporter.polling.pace import pace_kept

TOLERANCE: Final = 1.05
"""Rooms fit a budget if the interval that it can keep is at most this many times the wanted one."""

_LEAST_STALENESS: Final = 30.0
_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class SourceLoad:
    """
    What one source needs from its budget.

    Args:
        calls: Calls per interval, with full batches.
        kept_interval: Seconds between two readings of a room that the budget can keep; with a cadence, on average.
        share: Calls per second that are meant for this source.
        kept_longest: With a cadence: the longest interval in seconds that the budget can keep.
    """

    config: SourceConfig
    rooms: int
    calls: int
    kept_interval: float
    share: float = 0.0
    kept_longest: float = 0.0

    @property
    def fits(self) -> bool:
        """Whether the budget can keep the wanted interval, or with a cadence the longest one."""
        wanted, kept = self.config.longest, self.kept_longest
        if wanted is None:
            wanted, kept = self.config.interval, self.kept_interval
        return kept <= TOLERANCE * wanted

    @property
    def max_staleness(self) -> float:
        """Seconds for which a reading is published: as configured, or three kept intervals, and at least 30 s."""
        outlives_a_failed_poll = 1.5 * self.config.interval + self.config.timeout
        kept = max(self.kept_interval, self.kept_longest)
        return self.config.max_staleness or max(_LEAST_STALENESS, 3 * kept, outlives_a_failed_poll)


@dataclass(frozen=True, slots=True)
class BudgetLoad:
    """
    One budget and the sources that share it, in calls per second.

    Args:
        needed: To read every room once per interval.
        allowed: The limit.
        kept: What the exporter makes of the limit.
    """

    name: str
    needed: float
    allowed: float
    kept: float
    sources: tuple[SourceLoad, ...]

    @property
    def fits(self) -> bool:
        return all(source.fits for source in self.sources)


@dataclass(frozen=True, slots=True)
class ListLoad:
    """
    What passes over a vendor's list ask of the list's budget when a source has as many rooms as it may.

    Args:
        calls: Of a full pass.
        needed: Calls per second, on average.
        allowed: Calls per second.
        seconds: That a full pass takes at least.
    """

    budget: str
    interval: float
    calls: int
    needed: float
    allowed: float
    seconds: float

    @property
    def fits(self) -> bool:
        """Whether a pass has ended when the next one is due."""
        return self.needed <= pace_kept(self.allowed)


@dataclass(frozen=True, slots=True)
class FoundLoad:
    """
    A source whose rooms find themselves, when there are as many as it may have.

    Args:
        source: What they need from the budget of polls.
        lists: ``None``: the vendor's list is not read.
    """

    source: SourceLoad
    lists: ListLoad | None


def found_loads(sources: Iterable[tuple[SourceConfig, int]]) -> tuple[FoundLoad, ...]:
    """The same as ``budget_loads`` for each source with discovery, when every such source has all its rooms."""
    crowded = [
        (config, max(rooms, config.discovery.max_rooms) if config.discovery else rooms) for config, rooms in sources
    ]
    return tuple(
        FoundLoad(source, list_load(source.config, source.rooms))
        for budget in budget_loads(crowded)
        for source in budget.sources
        if source.config.discovery
    )


def list_load(config: SourceConfig, rooms: int) -> ListLoad | None:
    """What the list of a source with so many rooms needs; ``None`` without one."""
    settings = config.discovery.vendor_list if config.discovery else None
    lists = config.codec.lists
    if settings is None or lists is None or lists.answers_all:
        return None
    calls = max(1, math.ceil(rooms / lists.page_size))
    needed = calls / settings.interval
    if lists.tells_new:
        # New rooms fit in one page. A full pass asks for each day, and lists at least the rooms that are open.
        calls = max(calls, math.ceil(settings.lookback / _DAY))
        needed = 1 / settings.interval + calls / settings.full_interval
    allowed = settings.rate_limit
    return ListLoad(settings.budget, settings.interval, calls, needed, allowed, calls / pace_kept(allowed))


def budget_loads(sources: Iterable[tuple[SourceConfig, int]]) -> Iterator[BudgetLoad]:
    """The load of every budget, one by one, from each source and its number of rooms."""
    members: dict[str, list[tuple[SourceConfig, int]]] = {}
    for config, rooms in sources:
        members.setdefault(config.budget, []).append((config, rooms))
    for name, sharing in members.items():
        yield _load(name, sharing)


def _load(name: str, sharing: list[tuple[SourceConfig, int]]) -> BudgetLoad:
    calls = {config.name: math.ceil(rooms / config.codec.batch_size) for config, rooms in sharing}
    demand = [(calls[config.name], config.interval) for config, _ in sharing]
    allowed = sharing[0][0].rate_limit
    kept = pace_kept(allowed)
    least = [(calls[config.name], config.longest or config.interval) for config, _ in sharing]
    late = _lateness(least, kept)
    given = (kept - _calls_per_second(least)) / ((_calls_per_second(demand) - _calls_per_second(least)) or 1.0)
    given = min(1.0, max(0.0, given))
    return BudgetLoad(
        name,
        _calls_per_second(demand),
        allowed,
        kept,
        tuple(_source_load(config, rooms, calls[config.name], late, given) for config, rooms in sharing),
    )


def _source_load(config: SourceConfig, rooms: int, calls: int, late: float, given: float) -> SourceLoad:
    """
    Args:
        late: Seconds by which every room is late even if those with a cadence are read as seldom as possible.
        given: Share of what the sources with a cadence need between ``longest`` and ``interval`` that they can have.
    """
    need, least = calls / config.interval, calls / (config.longest or config.interval)
    share = least + given * (need - least)
    average = calls / share + late if config.longest is not None and share else config.interval + late
    longest = config.interval if given == 1.0 else config.longest
    return SourceLoad(config, rooms, calls, average, share, longest + late if longest is not None else 0.0)


def _calls_per_second(demand: list[tuple[int, float]], late: float = 0.0) -> float:
    return sum(calls / (interval + late) for calls, interval in demand)


def _lateness(demand: list[tuple[int, float]], pace: float) -> float:
    """Seconds by which every room is late in the end, found by bisection. ``demand`` is calls and interval."""
    low, high = 0.0, sum(calls for calls, _ in demand) / pace
    if _calls_per_second(demand) <= pace:
        return low
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _calls_per_second(demand, middle) > pace else (low, middle)
    return high
