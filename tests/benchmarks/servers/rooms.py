"""The rooms that every measured server publishes: four series each, as a ``zego_rtc`` room has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

SERIES: Final = 4
SOURCE: Final = ("zego", "zego_rtc", "live-cn")
LABELS: Final = dict(zip(("vendor", "api", "source"), SOURCE, strict=True))
USERS: Final = "rtc_room_users"
ADMIN_USERS: Final = "rtc_room_admin_users"
TIMESTAMP: Final = "rtc_room_reading_timestamp_seconds"
INFO: Final = "rtc_room_info"


def room_id(number: int) -> str:
    """The id of one room."""
    return f"room-{number:06d}"


class Turn:
    """Which rooms get the next readings: all of them, one stretch after the other."""

    def __init__(self, rooms: int) -> None:
        self._rooms = rooms
        self._next = 0
        self._round = 0

    def take(self, count: int) -> Iterator[tuple[int, int, int]]:
        """So many rooms, each with the users and admin users that its next reading tells."""
        for _ in range(count):
            self._next += 1
            if self._next >= self._rooms:
                self._next = 0
                self._round += 1
            yield self._next, (self._next * 7 + self._round * 13) % 1000, (self._next + self._round) % 10
