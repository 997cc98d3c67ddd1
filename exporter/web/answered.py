"""
The types of the JSON API's answers. The OpenAPI description is generated from them.

A key with a unit in its name is in that unit. ``null`` means unknown.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from exporter.metrics.selection import Reason
from exporter.model import FailureKind, Severity
from exporter.rooms.provider import Origin, Result
from exporter.states import RoomState, SourceState

Count = Annotated[int, Meta(ge=0)]
ReadBy: TypeAlias = Literal["poll", "vendor_list"]


class Budget(Struct, frozen=True):
    """A vendor's limit, shared by all sources that draw on it."""

    name: str
    limit_calls_per_second: float | None
    pace_calls_per_second: Annotated[
        float | None, Meta(description="Allowed now: less than the limit after rejections.")
    ]
    calls: Count | None
    lately_calls_per_second: Annotated[float | None, Meta(description="Over the last half minute.")]
    owner: Annotated[
        str | None, Meta(description="The replica that may call; null if there is none, and without a cluster.")
    ]


class FailedCall(Struct, frozen=True):
    """A call that failed for some or all of its rooms."""

    timestamp_seconds: float
    age_seconds: float
    reason: FailureKind
    code: Annotated[str, Meta(description="The vendor's code, or one of ours in lower case, such as timeout.")]
    meaning: Annotated[str, Meta(description="The meaning of the code, and what to do.")]
    rooms: Annotated[tuple[str, ...], Meta(description="The first ten rooms of the call.")]
    more_rooms: Count


class RoomsAbove(Struct, frozen=True):
    """The number of rooms of a source whose last reading is above a threshold."""

    warning: Annotated[Count, Meta(description="Above the warning threshold or above the critical one.")]
    critical: Count


class Provider(Struct, frozen=True):
    """Something that names rooms."""

    name: Annotated[str, Meta(description="Unique within the source; http_sd has a number where there are several.")]
    origin: Origin
    rooms: Annotated[Count, Meta(description="Number of rooms that it names.")]
    interval_seconds: Annotated[float | None, Meta(description="Between two refreshes; null if it is not asked.")]
    last_success_timestamp_seconds: Annotated[float | None, Meta(description="When it last named rooms.")]
    last_success_age_seconds: float | None
    counts: Annotated[bool, Meta(description="Whether its counts of users are readings of rooms.")]
    last_result: Annotated[Result | None, Meta(description="How the last refresh ended.")]
    error: Annotated[str | None, Meta(description="Why that was not complete.")]
    warning: Annotated[str | None, Meta(description="About accepted content that looks like a mistake.")]


class Callbacks(Struct, frozen=True):
    """Callbacks of a source since the start, by result."""

    requests: Annotated[dict[str, Count], Meta(description="By result, as in rtc_callback_requests_total.")]
    last_event_timestamp_seconds: float | None


class Discovery(Struct, frozen=True):
    """How the rooms of a source find themselves. Counts of rooms that came and went are since the start."""

    providers: tuple[Provider, ...]
    rooms: Annotated[dict[str, Count], Meta(description="By state: candidate, active, leaving.")]
    rooms_limit: Annotated[Count, Meta(description="max_rooms.")]
    added: Annotated[dict[str, Count], Meta(description="By who named them first.")]
    dropped: Annotated[dict[str, Count], Meta(description="By reason.")]
    rejected: Annotated[dict[str, Count], Meta(description="By reason; an id counts with each refresh.")]
    callbacks: Annotated[Callbacks | None, Meta(description="null where none are accepted.")]


class Source(Struct, frozen=True):
    """One vendor API, polled with one app's credentials."""

    source: str
    vendor: str
    api: str
    polled: Annotated[bool, Meta(description="Polled here; false while another replica of the cluster may poll it.")]
    state: Annotated[SourceState | None, Meta(description="null where it is not polled here.")]
    up: Annotated[
        bool | None,
        Meta(description="The state is ok, and a call succeeded within the last two intervals; null as state."),
    ]
    users: Annotated[Count | None, Meta(description="Sum over the rooms with a published reading.")]
    rooms: Annotated[dict[RoomState, Count], Meta(description="Number of rooms in each state.")]
    known_rooms: Count
    published_rooms: Annotated[Count, Meta(description="Rooms with series of their own; the others are counted.")]
    user_seconds: Annotated[float | None, Meta(description="Over all rooms; null if they are not summed up.")]
    rooms_above: RoomsAbove
    interval_seconds: Annotated[float, Meta(description="The configured time between two readings of a room.")]
    achieved_interval_seconds: float | None
    oldest_reading_timestamp_seconds: float | None
    last_success_timestamp_seconds: float | None
    last_success_age_seconds: float | None
    clock_skew_seconds: Annotated[float | None, Meta(description="Our clock minus the vendor's.")]
    clock_shift_seconds: Annotated[float, Meta(description="Subtracted from the timestamps of calls.")]
    calls: Count
    failed_calls: dict[FailureKind, Count]
    unrequested_rooms: Annotated[Count, Meta(description="Rooms in replies that the call had not requested.")]
    budget: Budget
    failures: Annotated[tuple[FailedCall, ...], Meta(description="The last failures, newest first.")]
    discovery: Annotated[Discovery | None, Meta(description="null where rooms do not find themselves.")]


class Shard(Struct, frozen=True):
    """Which of the exporters that divide the config among them this one is."""

    ordinal: Annotated[Count, Meta(description="From 0 on.")]
    total: Count


class Sources(Struct, frozen=True, omit_defaults=True):
    """Every source."""

    timestamp_seconds: float
    sources: list[Source]
    shard: Annotated[Shard | None, Meta(description="Absent if the config is not divided into shards.")] = None


class Replica(Struct, frozen=True):
    """One replica of the cluster."""

    name: str
    address: Annotated[str, Meta(description="Where it listens; empty if it does not tell.")]
    config: Annotated[str, Meta(description="Hash of what the configs of all replicas must agree on.")]
    silent_seconds: Annotated[float, Meta(description="Since this replica last saw its heartbeat change.")]
    budgets: Annotated[Count, Meta(description="Number of budgets that it holds.")]


class HeldBudget(Struct, frozen=True):
    """Who may call on a budget."""

    name: str
    owner: Annotated[str | None, Meta(description="The replica that holds it; null: nobody, or it is not known.")]
    wished: Annotated[str | None, Meta(description="The replica that shall hold it, so that work is even.")]
    held_until_timestamp_seconds: Annotated[
        float | None, Meta(description="End of the lease of the replica that answers; null if it holds none.")
    ]


class Cluster(Struct, frozen=True):
    """The cluster, as the replica that answers sees it."""

    timestamp_seconds: float
    name: str
    replica: Annotated[str, Meta(description="The replica that answers.")]
    engine: Annotated[str, Meta(description="redis or valkey, with its version once it is known.")]
    serve: Annotated[str, Meta(description="own: rooms of held budgets are published; all: every room.")]
    lease_seconds: float
    connected: Annotated[bool, Meta(description="Whether the engine answered the last exchange.")]
    error: Annotated[str | None, Meta(description="Why it did not.")]
    refused: Annotated[
        str | None,
        Meta(description="Why this replica takes no budget, or not all that it should, although it is connected."),
    ]
    replicas: list[Replica]
    budgets: list[HeldBudget]


class Thresholds(Struct, frozen=True):
    """A room with more users than these is above its warning or critical threshold."""

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
    exists: Annotated[bool | None, Meta(description="As the vendor says; null where it does not say.")]
    reading_timestamp_seconds: float | None
    read_by: Annotated[
        ReadBy | None,
        Meta(description="vendor_list: a count of the vendor's list, without admin users; null while unknown."),
    ]
    age_seconds: float | None
    above: Annotated[Severity | None, Meta(description="The highest threshold that the last reading exceeds.")]
    above_seconds: float | None
    last_known_users: Annotated[
        Count | None,
        Meta(description="As users; if unknown, of the last reading, if that was above a threshold."),
    ]
    share_of_threshold: float | None
    interval_seconds: Annotated[
        float, Meta(description="Wanted time between two readings of this room; with a cadence its own.")
    ]
    published: Annotated[bool, Meta(description="Whether it has series of its own; otherwise it is only counted.")]
    published_for: Annotated[Reason | None, Meta(description="Why; null where every room is published.")]
    user_seconds: Annotated[float | None, Meta(description="Since it is watched; null if they are not summed up.")]


class Rooms(Struct, frozen=True):
    """One page of rooms."""

    rooms: list[Room]
    matching: Annotated[Count, Meta(description="Number of matching rooms on all pages.")]
    next: Annotated[str | None, Meta(description="Value of after for the next page; null on the last page.")]


class Refusal(Struct, frozen=True):
    """An error."""

    error: Annotated[str, Meta(description="What was found, and what is accepted.")]


class TargetGroup(Struct, frozen=True):
    """Rooms of one source with the same labels, as Prometheus' http_sd has it."""

    targets: Annotated[list[str], Meta(description="Room ids.")]
    labels: Annotated[
        dict[str, str],
        Meta(description="Those of the rooms, and __meta_rtc_vendor, __meta_rtc_api, __meta_rtc_source."),
    ]
