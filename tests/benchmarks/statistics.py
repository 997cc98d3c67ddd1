"""Medians and percentiles of what was measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def p50(samples: Sequence[float]) -> float:
    """The median."""
    return statistics.median(samples)


def p99(samples: Sequence[float]) -> float:
    """The smallest sample that 99 of 100 do not exceed; the largest one when there are fewer than a hundred."""
    return sorted(samples)[math.ceil(0.99 * len(samples)) - 1]
