"""
What the JSON API answers, type by type; its OpenAPI description is made from these.

Every key with a unit in its name is in that unit; ``null`` is unknown.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from exporter.model import FailureKind, Severity
from exporter.states import RoomState, SourceState

Count = Annotated[int, Meta(ge=0)]


class Budget(Struct, frozen=True):
    """A vendor's limit, shared by all sources that draw on it."""

    name: str
    limit_calls_per_second: float | None
    pace_calls_per_second: Annotated[float | None, Meta(description="What is allowed now: less after rejections.")]
    calls: Count | None
    lately_calls_per_second: Annotated[float | None, Meta(description="Over the last half minute.")]


class FailedCall(Struct, frozen=True):
    """A call, or some rooms of one, that gave no reading."""

    timestamp_seconds: float
    age_seconds: float
    reason: FailureKind
    code: Annotated[str, Meta(description="The vendor's own, or ours in lower case, such as timeout.")]
    meaning: Annotated[str, Meta(description="What it means and what to mend.")]
    rooms: Annotated[tuple[str, ...], Meta(description="The first ten of those asked for.")]
    more_rooms: Count


class RoomsAbove(Struct, frozen=True):
    """How many rooms of a source are above a threshold by their last reading."""

    warning: Annotated[Count, Meta(description="Above the warning threshold or above the critical one.")]
    critical: Count


class Source(Struct, frozen=True):
    """One vendor API, polled with one app's credentials."""

    source: str
    vendor: str
    api: str
    state: SourceState
    up: Annotated[bool, Meta(description="The state is ok, and a call succeeded within the last two intervals.")]
    users: Annotated[Count | None, Meta(description="The sum over the rooms that are now published.")]
    rooms: Annotated[dict[RoomState, Count], Meta(description="How many are in each state.")]
    known_rooms: Count
    rooms_above: RoomsAbove
    interval_seconds: Annotated[float, Meta(description="Wanted between two readings of a room.")]
    achieved_interval_seconds: float | None
    oldest_reading_timestamp_seconds: float | None
    last_success_timestamp_seconds: float | None
    last_success_age_seconds: float | None
    clock_skew_seconds: Annotated[float | None, Meta(description="Our clock minus the vendor's.")]
    clock_shift_seconds: Annotated[float, Meta(description="Taken off the stamps of calls.")]
    calls: Count
    failed_calls: dict[FailureKind, Count]
    unrequested_rooms: Annotated[Count, Meta(description="Rooms in replies that nobody had asked for.")]
    budget: Budget
    failures: Annotated[tuple[FailedCall, ...], Meta(description="The last ones, newest first.")]


class Sources(Struct, frozen=True):
    """Every source."""

    timestamp_seconds: float
    sources: list[Source]


class Thresholds(Struct, frozen=True):
    """Users above which a room is worth a warning, and worth a call at night."""

    warning: Count | None
    critical: Count | None


class Room(Struct, frozen=True):
    """One watched room."""

    source: str
    vendor: str
    api: str
    room: str
    labels: dict[str, str]
    thresholds: Thresholds
    state: RoomState
    users: Count | None
    admin_users: Count | None
    invisible_users: Count | None
    exists: Annotated[bool | None, Meta(description="As the vendor says, where it does.")]
    reading_timestamp_seconds: float | None
    age_seconds: float | None
    above: Annotated[Severity | None, Meta(description="The worst threshold that it is above, by its last reading.")]
    above_seconds: float | None
    last_known_users: Annotated[
        Count | None, Meta(description="Its users, also while it is unknown if it was above a threshold then.")
    ]
    share_of_threshold: float | None


class Rooms(Struct, frozen=True):
    """One page of rooms."""

    rooms: list[Room]
    matching: Annotated[Count, Meta(description="How many there are on all pages.")]
    next: Annotated[str | None, Meta(description="What the next page's parameter after is; null on the last one.")]


class Refusal(Struct, frozen=True):
    """Why there is no other answer."""

    error: Annotated[str, Meta(description="What was found, and what is accepted.")]
