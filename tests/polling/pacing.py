"""
A pacer that is past its beginning, at a moment to begin with.
"""

from __future__ import annotations

from exporter.polling.pacer import Pacer

WINDOW = 1.02
NOW = 500.0


def settled(limit: float) -> Pacer:
    """A pacer whose silent second and slow beginning are over at ``NOW``."""
    pacer = Pacer(limit, NOW - 3)
    pacer.take_slot(NOW - 1.9)
    return pacer
