"""What is known of one room, and when it came to be known."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from exporter.model import Room
from exporter.states import RoomState


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

    Its values are those of the published reading, side by side with the rest, since a reading of its own for each of a
    hundred thousand rooms would be one more place in memory to go to.

    Args:
        labels: Bytes that its labels take in each line.
        batch: What the published reading came with.
        read_at: Monotonic time of the last reading, be it still published or too old for that.
    """

    room: Room
    number: int
    labels: int
    state: RoomState = RoomState.UNKNOWN
    batch: Batch | None = None
    read_at: float | None = None
    users: int | None = None
    admin_users: int | None = None
    invisible_users: int | None = None
    exists: bool | None = None
    missing: bool = False

    def last_known(self) -> RoomState:
        """The state of a room whose last poll gave no reading."""
        if self.batch is None:
            return RoomState.UNKNOWN
        return RoomState.MISSING if self.missing else RoomState.HELD
