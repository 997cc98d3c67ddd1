"""The state, the reading and the ages of one room."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import msgspec

from exporter.metrics.selection import Reason
from exporter.model import Reading, Room, Severity
from exporter.states import RoomState


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """
    Arrival time of a reply. Ages are computed from ``monotonic``; ``unix`` is published.

    Args:
        listed: It was a page of the vendor's list: its readings are counts of that list, and no polls.
    """

    monotonic: float
    unix: float
    listed: bool = False


class Above(msgspec.Struct, frozen=True, gc=False):
    """
    A room whose last reading was above a threshold. While the room is unknown this stays: only a reading can prove that
    the room is below again.

    Args:
        severity: Of the highest threshold that is exceeded.
        since: Monotonic time of the first reading above that threshold.
        began: Monotonic time of the first reading above any threshold.
        users: Of the last reading.
    """

    severity: Severity
    since: float
    began: float
    users: int


@dataclass(frozen=True, slots=True)
class RoomView:
    """
    One room as the pages and the JSON API show it.

    Args:
        users: ``None`` while nothing is published.
        arrival: Of the published reading; ``None`` while nothing is published.
        age: Seconds since ``arrival``.
        silence: Seconds since the last reading, published or not; ``None`` if there was none.
        above: ``None`` if the last reading was not above a threshold, or there was none.
        published: Whether it has series of its own; otherwise it is only counted.
        reason: Why it is published where not all rooms are.
        user_seconds: ``None`` where they are not summed up.
    """

    room: Room
    state: RoomState
    users: int | None
    arrival: Arrival | None
    age: float | None
    silence: float | None
    above: Above | None
    published: bool = True
    reason: Reason | None = None
    user_seconds: float | None = None

    @property
    def last_known(self) -> int | None:
        """The published users. If nothing is published: those of the last reading, if that was above a threshold."""
        return self.above.users if self.users is None and self.above else self.users

    @property
    def share(self) -> float | None:
        """The last known users as a share of the threshold; 1.0 is the threshold itself."""
        known = self.last_known
        return None if known is None else self.room.thresholds.share(known)


class Batch(msgspec.Struct, eq=False, gc=False):
    """
    The rooms of one reply.

    Args:
        max_age: Seconds for which it may be published; ``None``: as long as the source's readings may be.
        published: Number of rooms that still show the reading of this reply.
    """

    arrival: Arrival
    rooms: tuple[str, ...]
    max_age: float | None = None
    published: int = 0


NOWHERE: Final = -1


class Row(msgspec.Struct, gc=False):
    """
    A watched room: its place in the columns, its state, and the values of its published reading.

    The values are fields of the row, not a ``Reading`` object: with 100,000 rooms, one object less for each room makes
    recording faster.

    Args:
        number: Row number in the columns; ``NOWHERE`` for a room that is only counted.
        labels: Length of its labels in each line, in bytes.
        limit: The lowest threshold; infinite without one.
        weight: What one user adds to the share of the decisive threshold, 1 / threshold; 0 without one.
        batch: The reply that the published reading came with; ``None`` while nothing is published.
        read_at: Monotonic time of the last reading, published or already too old.
        user_seconds: Integral of its users over time, since it is watched.
        told_user_seconds: So much of it is published.
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
    user_seconds: float = 0.0
    told_user_seconds: float = 0.0

    @property
    def reading(self) -> Reading | None:
        """The published reading."""
        if self.batch is None or self.users is None:
            return None
        return Reading(self.users, self.admin_users, self.invisible_users, self.exists, self.missing)

    def last_known(self) -> RoomState:
        """The state after a poll that gave no reading."""
        if self.batch is None:
            return RoomState.UNKNOWN
        return RoomState.MISSING if self.missing else RoomState.HELD
