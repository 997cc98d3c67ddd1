"""What is known of one room, and when it came to be known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from exporter.model import Reading, Room


class RoomState(StrEnum):
    """What is known of a room; the first that fits, in this order."""

    REFUSED = "refused"
    MISSING = "missing"
    FRESH = "fresh"
    HELD = "held"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RoomView:
    """
    One room as pages and JSON show it.

    Args:
        age: Seconds since the reading arrived; ``None`` when nothing is published.
    """

    room: Room
    state: RoomState
    users: int | None
    age: float | None


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """When a reply arrived: ``monotonic`` decides its age, ``unix`` is what is published."""

    monotonic: float
    unix: float


class Batch(msgspec.Struct, eq=False, gc=False):
    """
    Rooms whose readings arrived together.

    Args:
        published: How many of them still show that reading.
    """

    arrival: Arrival
    rooms: tuple[str, ...]
    published: int = 0


class Row(msgspec.Struct, gc=False):
    """
    A watched room: its place in the columns, and what its lines say.

    Args:
        labels: Bytes that its labels take in each line.
        reading: The one that is published.
        batch: What the reading came with.
    """

    number: int
    labels: int
    state: RoomState = RoomState.UNKNOWN
    reading: Reading | None = None
    batch: Batch | None = None

    @property
    def users(self) -> int | None:
        """What is published."""
        return None if self.reading is None else self.reading.users

    def last_known(self) -> RoomState:
        """The state of a room whose last poll gave no reading."""
        if self.reading is None:
            return RoomState.UNKNOWN
        return RoomState.MISSING if self.reading.missing else RoomState.HELD
