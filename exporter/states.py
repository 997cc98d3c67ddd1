"""
The states of a room and of a source. No I/O, and no import from the rest of the package.
"""

from __future__ import annotations

from enum import StrEnum


class RoomState(StrEnum):
    """The state of a room: the first one in this order that applies."""

    REFUSED = "refused"
    MISSING = "missing"
    FRESH = "fresh"
    HELD = "held"
    UNKNOWN = "unknown"


class SourceState(StrEnum):
    """The state of a source as a whole; in every state except ``ok``, it makes only trial calls."""

    OK = "ok"
    CIRCUIT_OPEN = "circuit_open"
    UNAUTHORIZED = "unauthorized"
    MISCONFIGURED = "misconfigured"
