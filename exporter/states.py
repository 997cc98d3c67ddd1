"""
The states of a room and of a source, and why a room is polled as often as it is. No I/O, and no import from the rest
of the package.
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


class Why(StrEnum):
    """Why a room with an interval of its own is polled as often as it is: the first one in this order that applies."""

    SUFFICES = "suffices"
    """The budget can read every room every ``interval``."""
    IDLE = "idle"
    """It was found, and has been empty for so long that it is polled every ``idle_interval``."""
    NEW = "new"
    DISTURBED = "disturbed"
    """The vendor told by a callback that something happened, or a list lacks it."""
    NEAR = "near"
    """A threshold is near."""
    QUIET = "quiet"
    FAST = "fast"
    """Its users change faster than its size would tell."""
    UNUSUAL = "unusual"
    """It is far from what it usually holds."""
    LARGE = "large"
    SIZE = "size"
    """As often as rooms of its size; nothing else is special about it."""
