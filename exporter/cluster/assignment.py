"""
Which exporter polls what, when several share one config.

Theory of operation
===================

**Problem.** A vendor counts the calls of a budget wherever they come from, so one budget must be used by one exporter
alone. A source draws on the budget of its polls and, if it reads the vendor's list, on the budget of that list; both
must be in the same place. Every exporter must come to the same result without asking the others, and no exporter should
have much more work than its share.

**Idea.** Two steps:

1. Budgets that have a source in common are tied together, directly or through other budgets. Such a group is a *unit*:
   it moves as a whole. Units are the connected components of a graph with budgets as vertices and sources as edges.
2. *Rendezvous hashing*: a hash of unit and replica ranks the replicas, differently for each unit. Left at that, each
   unit would go to its highest-ranked replica, which is even only on average. So loads are *bounded*: units are placed
   by falling load, each at the highest-ranked replica whose load stays within 1.25 × the mean. The bound is never less
   than the largest unit. A unit that fits nowhere goes to the emptiest replica.

Worked example: six units that need 40, 30, 20, 10, 10 and 10 calls per second, and three replicas. The mean is 40, so
the bound is 50. The unit of 40 goes to its highest-ranked replica, say A. The unit of 30 ranks A, C, B; A would have
70, so it goes to C. The unit of 20 ranks C first, which then has exactly 50. The three of 10 rank C, A, B (C is full, A
takes it and has 50), A, B, C (B takes it) and B first. The result is A 50, B 20, C 50. If D joins, the mean is 30 and
the bound 40. A unit can only move if it ranks D highest, or if the new bound no longer leaves it where it was.

**Why simpler is not enough.** ``hash(budget) % replicas`` moves nearly everything when a replica joins. Rendezvous
hashing without a bound moves the least, but of 200 budgets on eight replicas the fullest one gets 1.65 × the mean. A
perfectly even distribution is possible, but one more budget would move many others. Here it moves 0 to 9 of 200.

**The load** of a unit is what the config alone tells, an upper bound of the calls per second that its rooms need. Rooms
that are found, and those of rooms files, change by themselves, and not everywhere at the same moment. Two exporters
that counted them would place units differently. So a source that finds its rooms counts with its ``max_rooms``, and a
budget with rooms files counts with its limit.

**When this is wrong.** Exporters with different configs, or with different lists of replicas, place units differently.
Between a change of the config at the first exporter and at the last one, a unit may be polled twice or not at all.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from exporter.config import SourceConfig
from exporter.polling.load import budget_loads, found_loads

BOUND: Final = 1.25
"""Most load of a replica, in means. Less would be more even, and move more units whenever a replica joins or leaves."""

_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Unit:
    """
    Budgets that one replica must hold together.

    Args:
        name: The smallest name of a poll budget in it.
        budgets: All of them, those of lists included, sorted.
        sources: Names of the sources that draw on them, in the order of the config.
        load: Calls per second.
    """

    name: str
    budgets: tuple[str, ...]
    sources: tuple[str, ...]
    load: float


def units(sources: Iterable[SourceConfig]) -> tuple[Unit, ...]:
    """All units of a config, sorted by name."""
    configs = tuple(sources)
    groups: dict[str, set[str]] = {}
    for config in configs:
        joined = set().union(*(groups.get(budget, {budget}) for budget in config.limits))
        groups.update(dict.fromkeys(joined, joined))
    loads = _loads(configs)
    members: dict[tuple[str, ...], list[SourceConfig]] = defaultdict(list)
    for config in configs:
        members[tuple(sorted(groups[config.budget]))].append(config)
    found = (
        Unit(
            min(config.budget for config in together),
            budgets,
            tuple(config.name for config in together),
            math.fsum(loads[budget] for budget in budgets),
        )
        for budgets, together in members.items()
    )
    return tuple(sorted(found, key=lambda unit: unit.name))


def assign(loads: Mapping[str, float], replicas: Sequence[str]) -> Mapping[str, str]:
    """
    The replica of each unit. It depends on nothing but the arguments, and not on their order.

    Args:
        loads: Calls per second by unit name.
        replicas: Different names, one at least.
    """
    bound = max(BOUND * math.fsum(loads.values()) / len(replicas), max(loads.values(), default=0.0))
    bound *= 1 + _ROUNDING
    carried = dict.fromkeys(replicas, 0.0)
    places: dict[str, str] = {}
    for unit, load in sorted(loads.items(), key=lambda item: (-item[1], item[0])):
        ranked = sorted(replicas, key=lambda replica: _rank(unit, replica), reverse=True)
        emptiest = min(ranked, key=carried.__getitem__)
        place = next((replica for replica in ranked if carried[replica] + load <= bound), emptiest)
        carried[place] += load
        places[unit] = place
    return places


def _rank(unit: str, replica: str) -> bytes:
    """A hash that is the same in every process and with every version of Python, unlike ``hash``."""
    digest = blake2b(digest_size=16)
    for name in (unit, replica):
        encoded = name.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.digest()


def _loads(configs: Sequence[SourceConfig]) -> Mapping[str, float]:
    """Calls per second of every budget, as far as the config tells."""
    counted = [(config, len(config.rooms)) for config in configs]
    crowded = [
        (config, max(rooms, config.discovery.max_rooms) if config.discovery else rooms) for config, rooms in counted
    ]
    loads: dict[str, float] = defaultdict(float)
    for budget in budget_loads(crowded):
        unknown = any(source.config.rooms_files for source in budget.sources)
        loads[budget.name] += budget.allowed if unknown else min(budget.needed, budget.allowed)
    for found in found_loads(counted):
        if found.lists is not None:
            loads[found.lists.budget] += min(found.lists.needed, found.lists.allowed)
    return loads
