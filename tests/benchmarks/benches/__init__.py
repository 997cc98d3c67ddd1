"""
Every bench by name, in the order of the table.

A bench takes a `Scale` and returns its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from tests.benchmarks.benches import (
    cadence,
    call_cpu,
    cluster,
    first_pass,
    growth,
    guarded,
    http_sd,
    loop_gap,
    memory,
    publish,
    rules,
    scrape,
    slots,
)
from tests.benchmarks.report import Row
from tests.benchmarks.scale import Scale

Bench = Callable[[Scale], Sequence[Row]]

BENCHES: Final[Mapping[str, Bench]] = MappingProxyType(
    {
        "scrape": scrape.bench,
        "loop-gap": loop_gap.bench,
        "guarded": guarded.bench,
        "http-sd": http_sd.bench,
        "silent-scrapers": memory.silent_scrapers,
        "memory": memory.per_room,
        "publish": publish.bench,
        "growth": growth.bench,
        "rules": rules.bench,
        "cadence": cadence.bench,
        "call-cpu": call_cpu.bench,
        "slots": slots.bench,
        "200-budgets": slots.many_budgets,
        "cluster": cluster.bench,
        "first-pass": first_pass.bench,
        "churn": memory.churn,
    }
)
