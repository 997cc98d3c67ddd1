"""
Who may join a roster: room ids that the API takes, the operator's filters, and how many, how fast. Pure.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from exporter.config.discovery import DiscoveryConfig
from exporter.vendors.codec import RoomIdRule
from exporter.vendors.source import has_control_character

MOST_FOUND: Final = 20_000
"""Rooms that no operator named, in one source, whatever is configured."""


class Rejection(StrEnum):
    """Why an id is not taken; the label ``reason`` of ``rtc_discovery_rooms_rejected_total``."""

    MAX_ROOMS = "max_rooms"
    RATE = "rate"
    FILTER = "filter"
    INVALID_ID = "invalid_id"


class Allowance:
    """
    A token bucket: so many per second, and after a pause so many at once.

    Args:
        now: Monotonic seconds; the bucket is full then.
    """

    def __init__(self, rate: float, most: float, now: float) -> None:
        self.rate = rate
        self.most = most
        self._left = most
        self._at = now

    def take(self, now: float, spared: float = 0.0) -> bool:
        """
        Take one, if there is one.

        Args:
            spared: So many are left for others.
        """
        self._left = min(self.most, self._left + self.rate * max(0.0, now - self._at))
        self._at = max(now, self._at)
        if self._left < 1.0 + spared:
            return False
        self._left -= 1.0
        return True


class Filter:
    """Which ids the operator and the API allow."""

    def __init__(self, config: DiscoveryConfig, rule: RoomIdRule) -> None:
        self._include = tuple(pattern.fullmatch for pattern in config.include)
        self._exclude = tuple(pattern.fullmatch for pattern in config.exclude)
        self._most = rule.max_bytes

    def objection(self, room_id: str) -> Rejection | None:
        """Why this id will not do."""
        if not room_id or has_control_character(room_id) or len(room_id.encode()) > self._most:
            return Rejection.INVALID_ID
        if self._include and not any(match(room_id) for match in self._include):
            return Rejection.FILTER
        return Rejection.FILTER if any(match(room_id) for match in self._exclude) else None
