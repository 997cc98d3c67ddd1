"""
What a roster remembers of rooms: who names them, in which state of their life they are, and what was changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from exporter.model import Room
from exporter.rooms.provider import Origin, Result


class Life(StrEnum):
    """How far a room has come. Candidates are polled and publish nothing; the others are published."""

    CANDIDATE = "candidate"
    ACTIVE = "active"
    LEAVING = "leaving"


class Reason(StrEnum):
    """Why a room is watched no longer; the label ``reason`` of ``rtc_discovery_rooms_dropped_total``."""

    MISSING = "missing"
    LIST = "list"
    HTTP_SD = "http_sd"
    IDLE = "idle"
    UNCONFIRMED = "unconfirmed"
    REFUSED = "refused"
    CONFIG = "config"
    FILES = "files"


class Naming(msgspec.Struct, gc=False):
    """
    One provider names one room.

    Args:
        since: Monotonic seconds.
        seen: Number of the last pass that named it.
        passes: How many passes named it.
        absent: How many complete passes in a row did not.
    """

    room: Room
    since: float
    seen: int
    passes: int = 1
    absent: int = 0


class Member(msgspec.Struct, gc=False):
    """
    A room of the roster. Times are monotonic seconds, but for the vendor's own.

    Args:
        found: When this life of it was first heard of.
        provable: Polls that were sent before this time prove nothing of this life.
        confirmed: Whether a poll said that it is there, in this life.
        operated: Whether config, files or http_sd name it.
        by_hint: A candidate that a callback brought, and nothing else.
        good: Polls that gave a reading.
        gone_polls: Good polls in a row that say that it is gone.
        gone_since: When the first of them ended.
        verdict: Why it will go, and when.
        empty_since: Since when every reading says that nobody is in it.
        idle: Whether it is polled rarely.
        listed_out: Whether the vendor's list stopped naming it.
        session: The vendor's name for this life.
        opened: Vendor's Unix seconds at which this life began, if a callback told.
        hinted: When a callback last told of its end.
        destroyed: Whether a callback told of the end of this life.
        last_event: Vendor's Unix seconds of the newest callback about it.
        brought: When it was last to be polled early.
        futile: How often in a row it was named and could not be confirmed.
    """

    room: Room
    life: Life
    found: float
    provable: float
    confirmed: bool = False
    operated: bool = False
    by_hint: bool = False
    good: int = 0
    gone_polls: int = 0
    gone_since: float = 0.0
    verdict: tuple[Reason, float] | None = None
    empty_since: float | None = None
    idle: bool = False
    listed_out: bool = False
    session: str | None = None
    opened: float | None = None
    hinted: float = float("-inf")
    destroyed: bool = False
    last_event: float | None = None
    brought: float = float("-inf")
    futile: int = 0

    @property
    def published(self) -> bool:
        return self.life is not Life.CANDIDATE


class Tombstone(msgspec.Struct, gc=False):
    """
    A room that is gone, so that what comes late does not bring it back.

    Args:
        at: Monotonic seconds of its end: a list that began earlier proves nothing.
        quiet_until: Nobody but the operator brings it back before.
        until: When it is forgotten.
    """

    at: float
    quiet_until: float
    until: float
    session: str | None = None
    last_event: float | None = None
    futile: int = 0


@dataclass(slots=True)
class Register:
    """
    What one provider names, and how its refreshes went.

    Args:
        passes: Listings that named rooms, or none, so far.
        last_success: Monotonic seconds at which it last named what it knows.
        failing: Why the last refresh was not good.
    """

    name: str
    origin: Origin
    named: dict[str, Naming] = field(default_factory=dict, repr=False)
    passes: int = 0
    results: dict[Result, int] = field(default_factory=lambda: dict.fromkeys(Result, 0))
    last_success: float | None = None
    last_complete: float | None = None
    last_result: Result | None = None
    error: str | None = None
    warning: str | None = None


@dataclass(slots=True)
class Changes:
    """
    What is to be done after a step of the roster, in the order of these fields: a room that went and came again at once
    leaves nothing of its old life behind.

    Args:
        unpublish: No longer shown.
        unpoll: No longer polled.
        poll: Polled from now on; or polled already, and labels or thresholds are new.
        publish: Shown from now on, or shown anew.
        slower: Polled every ``idle_interval`` from now on.
        faster: And these every interval again.
        now: To be polled as soon as may be.
        lifetimes: Seconds that rooms which went had been there.
    """

    unpublish: dict[str, None] = field(default_factory=dict)
    unpoll: dict[str, None] = field(default_factory=dict)
    poll: dict[str, Room] = field(default_factory=dict)
    publish: dict[str, Room] = field(default_factory=dict)
    slower: dict[str, None] = field(default_factory=dict)
    faster: dict[str, None] = field(default_factory=dict)
    now: dict[str, None] = field(default_factory=dict)
    lifetimes: list[float] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(self._parts())

    def show(self, room: Room, *, published: bool) -> None:
        """This room is polled, and shown if it is published."""
        self.poll[room.id] = room
        if published:
            self.publish[room.id] = room

    def hide(self, room_id: str) -> None:
        """This room is no longer shown."""
        self.publish.pop(room_id, None)
        self.unpublish[room_id] = None

    def remove(self, room_id: str, *, published: bool) -> None:
        """This room is neither shown nor polled any more."""
        if published:
            self.hide(room_id)
        for part in (self.poll, self.slower, self.faster, self.now):
            part.pop(room_id, None)
        self.unpoll[room_id] = None

    def pace(self, room_id: str, *, idle: bool) -> None:
        """This room is polled rarely, or as often as others again."""
        one, other = (self.slower, self.faster) if idle else (self.faster, self.slower)
        other.pop(room_id, None)
        one[room_id] = None

    def _parts(self) -> Iterator[object]:
        yield from (self.unpublish, self.unpoll, self.poll, self.publish, self.slower, self.faster, self.now)
        yield self.lifetimes
