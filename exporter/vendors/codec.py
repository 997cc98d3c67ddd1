"""
The one seam that every vendor API implements, and what all five share.

A codec says what an API's bytes mean. It is made of pure functions: no socket, no clock, no sleep, no log. Adding an
API is one file beside this one plus its line in ``vendors.APIS``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from exporter.model import Auth, Failure, Reply, Request, Stamp
from exporter.vendors.source import Source


@dataclass(frozen=True, slots=True)
class RoomIdRule:
    """
    What an API accepts as a room id.

    Args:
        max_bytes: Longest id in UTF-8 bytes; longer ones are refused in the config.
        alphabet: Matches an id made of documented characters only; others earn a warning.
        described: The alphabet in words, for that warning.
    """

    max_bytes: int
    alphabet: re.Pattern[str]
    described: str


class Codec(Protocol):
    """
    What polling needs to know of one vendor API.

    ``reply`` is total: whatever the vendor sends, it ends in readings and failures by room or in one failure of the
    call, never in an exception.
    """

    api: str
    vendor: str
    source_model: type[Source]
    batch_size: int
    """Rooms that one call may ask for."""
    default_interval: float
    """Seconds between two readings of a room, unless configured."""
    room_ids: RoomIdRule
    tells_admin_users: bool
    tells_invisible_users: bool
    tells_existence: bool

    def default_limit(self, source: Any) -> float:
        """Documented calls per second of the budget that this source draws on."""

    def base_url(self, source: Any) -> str:
        """Where this source's requests go: the configured address, else the vendor's for its region; no final slash."""

    def budget_key(self, source: Any) -> str:
        """Names the vendor's limit that this source draws on; equal keys share one limit."""

    def app_key(self, source: Any) -> str:
        """Names the credentials' owner; equal keys are unauthorized together."""

    def rooms_key(self, source: Any) -> str:
        """
        Names everything that decides whose room an id names: the API, the app, its environment and the address.

        A reading may be published only for the key that it was asked with. What merely gets a call through (secrets,
        the account that signs, proxy, certificates) is not in it.
        """

    def authorize(self, source: Any, now: float) -> Auth:
        """Derive what calls are signed with, at Unix time ``now``."""

    def request(self, source: Any, auth: Auth, rooms: Sequence[str], stamp: Stamp) -> Request:
        """
        The request that asks for 1 to ``batch_size`` rooms.

        Raises:
            ValueError: More rooms than one call takes, or none.
        """

    def reply(self, rooms: Sequence[str], status: int, headers: Mapping[str, str], body: bytes) -> Reply | Failure:
        """What the vendor's reply says of these rooms, or why the call as a whole failed."""
