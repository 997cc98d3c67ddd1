"""
How many people are in each live room right now, from five vendor APIs to Prometheus.

Data walks one way: ``config → rooms → polling → vendors → polling → metrics → web``; imports point down and never up.
"""

from typing import Final

from exporter.clock import monotonic as _monotonic

STARTED: Final = _monotonic()
"""Monotonic seconds at which the process began to be this program."""

__version__ = "0.1.0"
