"""
How many file descriptors this process may have, and how they are shared out.

Linux gives the lowest number that is free, so a descriptor's own number tells how many there are.
"""

from __future__ import annotations

import resource
from typing import Final

MOST_DESCRIPTORS: Final = 65_536
"""More are never needed."""

_OTHERS: Final = 32
"""Files, the event loop, the log, listening sockets."""


def descriptors() -> int:
    """How many there may be."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def for_clients() -> int:
    """Connections to the exporter's own port: a quarter, since vendors need more, and scrapes must not need more."""
    return max(descriptors() // 4, 4)


def highest_for_vendors() -> int:
    """A connection to a vendor whose number is not below it would take what is left for scrapes and files."""
    most = descriptors()
    return most - min(most // 4, 512) - min(most // 8, _OTHERS)
