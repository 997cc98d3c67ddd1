"""
How many people are in each live room right now, from six vendor APIs to Prometheus.

Data flows in one direction: ``config → rooms → polling → vendors → polling → metrics → web``. Imports point down only.
"""

from typing import Final

from exporter.clock import monotonic as _monotonic

STARTED: Final = _monotonic()
"""Monotonic time at which this process loaded the package."""

__version__ = "0.1.0"
