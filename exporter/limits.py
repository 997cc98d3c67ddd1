"""
How many file descriptors this process may have, and how many of them are for vendors and for clients.

Linux always uses the lowest free number, so the number of a new descriptor shows how many are in use.
"""

from __future__ import annotations

import resource
from typing import Final

MOST_DESCRIPTORS: Final = 65_536
"""The exporter never needs more."""

LEAST_DESCRIPTORS: Final = 32
"""With fewer, the event loop or the port does not start, or no vendor can be called."""

_OTHERS: Final = 32
"""Descriptors for files, the event loop, the log and listening sockets."""


def descriptors() -> int:
    """The soft limit of open files, at most 65,536 if there is none."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def for_clients() -> int:
    """Most connections to the exporter's own port: a quarter of the descriptors, since vendors need most of them."""
    return max(descriptors() // 4, 4)


def highest_for_vendors() -> int:
    """A connection to a vendor must have a descriptor below this number. The others are kept for scrapes and files."""
    most = descriptors()
    return most - min(most // 4, 512) - min(most // 8, _OTHERS)
