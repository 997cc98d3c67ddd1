"""
The seam for vendors' callbacks: what a codec offers whose vendor tells of rooms by HTTP.

The signatures of ZEGO and Tencent do not cover the body, so a callback proves nothing. It may name a room that a poll
must confirm, or be a reason to poll a room now; it never is a reading, and never removes a room by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Change(StrEnum):
    """The change of a room that a callback reports."""

    CREATED = "created"
    DESTROYED = "destroyed"
    MEMBERS = "members"
    """Somebody came or went."""


@dataclass(frozen=True, slots=True)
class Hint:
    """
    The change of one room that a callback reports.

    Args:
        session: The vendor's name for this life of the room, as text; ``None`` where the vendor has none.
        at: Unix seconds of the event by the vendor's clock; ``None`` where it does not say.
    """

    room_id: str
    change: Change
    session: str | None = None
    at: float | None = None


class Refusal(StrEnum):
    """Why a callback is not taken; the label ``result`` of ``rtc_callback_requests_total``."""

    BAD_SIGNATURE = "bad_signature"
    TOO_OLD = "too_old"
    WRONG_APP = "wrong_app"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Request:
    """
    A callback as it came over the wire, the path's token and the size already checked.

    Args:
        query: After the question mark, byte for byte, not decoded.
        headers: With names in lower case.
    """

    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Event:
    """
    A callback that was signed with one of our secrets.

    Args:
        name: The vendor's name for the kind of event; only documented names, others are ``other``.
        replay_key: Equal for the same request sent twice; ``None`` where the vendor's requests hold nothing to tell by.
        sent_at: Unix seconds by the vendor's clock, if it says.
        hints: Empty for events that say nothing of a room.
    """

    name: str
    replay_key: str | None
    sent_at: float | None
    hints: tuple[Hint, ...] = ()


class Callbacks(Protocol):
    """How one vendor API's callbacks are read."""

    default_max_age: float
    """Seconds by which a callback's time may differ from ours, unless configured."""
    reply: bytes
    """The body that the vendor expects with status 200."""
    reply_type: str
    """The content type of ``reply``."""

    def read(
        self, source: Any, secrets: Sequence[str], request: Request, *, max_age: float, now: float
    ) -> Event | Refusal:
        """
        What a callback says. Pure and total: whatever comes ends in an event or in a refusal.

        Args:
            secrets: Accepted ones; during a rotation there are two.
            now: Unix time.
        """
