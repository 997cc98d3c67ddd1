"""
The interface that every vendor API implements.

A codec makes the requests of one API and parses its replies. It consists of pure functions: no socket, no clock, no
sleep, no log. To add an API, add one module here and one entry in ``vendors.APIS``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from exporter.model import Auth, Failure, Reply, Request, Stamp
from exporter.vendors.callbacks import Callbacks
from exporter.vendors.lists import Lists
from exporter.vendors.source import Source


@dataclass(frozen=True, slots=True)
class RoomIdRule:
    """
    The room ids that an API accepts.

    Args:
        max_bytes: Longest id in UTF-8 bytes. The config refuses longer ones.
        alphabet: Matches an id of documented characters. Other ids get a warning.
        described: The alphabet in words, for that warning.
    """

    max_bytes: int
    alphabet: re.Pattern[str]
    described: str


class Codec(Protocol):
    """
    One vendor API, as polling uses it.

    ``reply`` never raises: for any bytes from the vendor, it returns results by room or one failure of the call.
    """

    api: str
    vendor: str
    source_model: type[Source]
    batch_size: int
    """Most rooms in one call; a call asks for all rooms where the vendor's list ``answers_all``."""
    default_interval: float
    """Seconds between two readings of a room, if none are configured."""
    room_ids: RoomIdRule
    tells_admin_users: bool
    tells_invisible_users: bool
    tells_existence: bool
    lists: Lists | None
    """How the vendor's list of rooms is read, where there is one."""
    callbacks: Callbacks | None
    """How the vendor's callbacks are read, where there are any."""

    def default_limit(self, source: Any) -> float:
        """Documented calls per second of this source's budget."""

    def base_url(self, source: Any) -> str:
        """Scheme and host of this source's requests: as configured, or the vendor's for its region. No final slash."""

    def budget_key(self, source: Any) -> str:
        """Identifies the vendor's limit. Sources with equal keys share one limit."""

    def app_key(self, source: Any) -> str:
        """Identifies the vendor app. If the vendor wants silence, all sources with this key are silent."""

    def rooms_key(self, source: Any) -> str:
        """
        Identifies the owner of the room ids: the API, the app, its environment and the address.

        A reading is valid only for the rooms key with which it was requested. The key does not contain what a call
        needs only for access: secrets, the account that signs, proxy, certificates.
        """

    def authorize(self, source: Any, now: float) -> Auth:
        """Derive the key material for signatures at Unix time ``now``."""

    def request(self, source: Any, auth: Auth, rooms: Sequence[str], stamp: Stamp) -> Request:
        """
        A signed request for 1 to ``batch_size`` rooms.

        Raises:
            ValueError: More rooms than one call takes, or none.
        """

    def reply(self, rooms: Sequence[str], status: int, headers: Mapping[str, str], body: bytes) -> Reply | Failure:
        """The result for each of these rooms, or the failure of the call as a whole."""
