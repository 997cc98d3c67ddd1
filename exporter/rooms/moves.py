"""
Rooms that one http_sd endpoint names no longer, while the others may be about to.

A backend that moves a room from one endpoint to another, or that gets another address for its list, has both lists
right at every moment. But the exporter reads them one after the other. So a room that vanishes from one list waits
until each of the other endpoints has been asked once more, for a minute at most, and goes only then. With a single
endpoint there is nothing to wait for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

LONGEST_WAIT: Final = 60.0
"""Seconds for which a room waits for other endpoints."""


class _Wait(NamedTuple):
    """Since when, in monotonic seconds, and for whom."""

    since: float
    awaited: frozenset[str]


class Moves:
    """The rooms that wait, by id."""

    def __init__(self) -> None:
        self._waits: dict[str, _Wait] = {}

    def __contains__(self, room_id: object) -> bool:
        return room_id in self._waits

    def begin(self, room_id: str, awaited: frozenset[str], now: float) -> None:
        """This room waits for these endpoints."""
        self._waits[room_id] = _Wait(now, awaited)

    def end(self, room_id: str) -> None:
        """Somebody names this room, or it is gone."""
        self._waits.pop(room_id, None)

    def is_over(self, room_id: str, now: float) -> bool:
        """Whether this room has waited for too long."""
        wait = self._waits.get(room_id)
        return wait is not None and now - wait.since >= LONGEST_WAIT

    def asked(self, endpoint: str, began: float) -> Iterator[str]:
        """An endpoint was asked at ``began``: the rooms that have nobody to wait for any more."""
        for room_id, wait in tuple(self._waits.items()):
            if endpoint in wait.awaited and began >= wait.since:
                rest = wait.awaited - {endpoint}
                self._waits[room_id] = wait._replace(awaited=rest)
                if not rest:
                    yield room_id

    def configured(self, endpoints: Iterable[str]) -> Iterator[str]:
        """Only these endpoints are configured: the rooms that have nobody to wait for any more."""
        known = frozenset(endpoints)
        for room_id, wait in tuple(self._waits.items()):
            self._waits[room_id] = wait._replace(awaited=wait.awaited & known)
            if not wait.awaited & known:
                yield room_id
