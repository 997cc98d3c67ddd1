"""What is known of one room, and when it came to be known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from exporter.model import Room, Severity
from exporter.states import RoomState


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """When a reply arrived: ``monotonic`` decides its age, ``unix`` is what is published."""

    monotonic: float
    unix: float


class Above(msgspec.Struct, frozen=True, gc=False):
    """
    A room above a threshold by its last reading. It stays so while it is unknown, since only a reading can tell that it
    is below again.

    Args:
        severity: Of the worst threshold that is exceeded.
        since: Monotonic time of the first reading above that one.
        began: Monotonic time of the first reading above any threshold.
        users: By the last reading.
    """

    severity: Severity
    since: float
    began: float
    users: int


@dataclass(frozen=True, slots=True)
class RoomView:
    """
    One room as pages and JSON show it.

    Args:
        arrival: Of the published reading; ``None`` when nothing is published.
        age: Seconds since then.
        silence: Seconds since the last reading, be it still published or not; ``None`` if there was none.
        above: ``None``: not above a threshold, or nothing known of it.
    """

    room: Room
    state: RoomState
    users: int | None
    arrival: Arrival | None
    age: float | None
    silence: float | None
    above: Above | None

    @property
    def last_known(self) -> int | None:
        """The published users, or those of the last reading of a room that was above a threshold then."""
        return self.above.users if self.users is None and self.above else self.users

    @property
    def share(self) -> float | None:
        """Users as a share of the threshold, by the last reading."""
        known = self.last_known
        return None if known is None else self.room.thresholds.share(known)


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
        limit: More users than these exceed a threshold; infinite without one.
        weight: A user's share of the decisive threshold; 0 without one.
        read_at: Monotonic time of the last reading, be it still published or too old for that.
    """

    room: Room
    number: int
    labels: int
    limit: float = math.inf
    weight: float = 0.0
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
