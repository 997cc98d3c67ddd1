"""
How many series the rooms of a config will have. This is arithmetic on the config, before anything is polled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.config import SourceConfig
from exporter.metrics.selection import TROUBLED, Arrangement
from exporter.model import Family, Room


@dataclass(frozen=True, slots=True)
class ExpectedSeries:
    """
    The series of a source's rooms.

    Args:
        rooms: Watched rooms.
        own: Those that always have series, since they have thresholds or labels of their own.
        fullest: As many others have series besides, at most.
        series: Of all these rooms.
    """

    rooms: int
    own: int
    fullest: int
    series: int

    @property
    def published(self) -> int:
        """Rooms with series, without those that are near a threshold or in trouble."""
        return self.own + self.fullest

    @property
    def troubled(self) -> int:
        """As many more have series at most because nothing is known of them."""
        return min(TROUBLED, self.rooms - self.published)


def arrangement(config: SourceConfig) -> Arrangement:
    """Which rooms of the source have series, and which series."""
    return Arrangement(config.publish, config.families, config.defaults.labels, config.defaults.thresholds)


def expected_series(config: SourceConfig, rooms: Iterable[Room], found: int = 0) -> ExpectedSeries:
    """
    The series of these rooms, and of so many that may be found besides. Without ``top`` all rooms may have some.
    """
    arranged, every = arrangement(config), [*rooms]
    own = [room for room in every if arranged.is_own(room)]
    plain = len(every) - len(own) + found
    fullest = plain if config.publish is None or config.publish.top is None else min(plain, config.publish.top)
    each = _series(config, Room("", config.defaults.labels, config.defaults.thresholds))
    series = fullest * each + sum(_series(config, room) for room in own)
    return ExpectedSeries(len(every) + found, len(own), fullest, series)


def _series(config: SourceConfig, room: Room) -> int:
    """Series of one known room."""
    codec, families = config.codec, {*config.families}
    tells = {
        Family.ADMIN_USERS: codec.tells_admin_users,
        Family.INVISIBLE_USERS: codec.tells_invisible_users,
        Family.EXISTS: codec.tells_existence,
    }
    told = [family for family in families - {Family.USERS_THRESHOLD} if tells.get(family, True)]
    thresholds = (room.thresholds.warning is not None) + (room.thresholds.critical is not None)
    return len(told) + thresholds * (Family.USERS_THRESHOLD in families)
