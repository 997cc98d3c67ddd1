"""
The states that a room and a source can be in. Words of the domain: no I/O, and nothing of ours is imported here.
"""

from __future__ import annotations

from enum import StrEnum


class RoomState(StrEnum):
    """What is known of a room; the first that fits, in this order."""

    REFUSED = "refused"
    MISSING = "missing"
    FRESH = "fresh"
    HELD = "held"
    UNKNOWN = "unknown"


class SourceState(StrEnum):
    """The state of a source as a whole; in every state but ``ok`` only trial calls are made."""

    OK = "ok"
    CIRCUIT_OPEN = "circuit_open"
    UNAUTHORIZED = "unauthorized"
    MISCONFIGURED = "misconfigured"
