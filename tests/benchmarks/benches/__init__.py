"""
Every bench by name, in the order of the table.

A bench takes a `Scale` and returns its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from tests.benchmarks.benches import loop_gap, memory, scrape
from tests.benchmarks.report import Row
from tests.benchmarks.scale import Scale

Bench = Callable[[Scale], Sequence[Row]]

BENCHES: Final[Mapping[str, Bench]] = MappingProxyType(
    {
        "scrape": scrape.bench,
        "loop-gap": loop_gap.bench,
        "silent-scrapers": memory.silent_scrapers,
        "memory": memory.per_room,
    }
)
