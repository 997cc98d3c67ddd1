"""
What it means when the vendor refuses a room: is it the room's fault, or the source's? Pure: the caller brings the time.

A room that is refused when asked for alone is asked again after 10 intervals, then 20, up to 360. When nothing but
refusals came for two intervals, three full batches' worth in a row, the source is in doubt and not its rooms: a wrong
region makes every room unknown. Three rooms at least must be refused: somebody may well have misspelt two.

The other way round: a source that worked a moment ago and now seems misconfigured is tried at once with another room.
Where that succeeds, the rooms of the call that failed are *accused*: they are asked one by one from then on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_FIRST: Final = 10
_LONGEST: Final = 360
_BATCHES: Final = 3
_ROOMS: Final = 3


class Refusals:
    """The refused rooms of one source."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}
        self._in_a_row = 0
        self._accused: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._times)

    def refused(self, room: str) -> int:
        """A room was refused, asked for alone; returns after how many intervals it is asked again."""
        self._in_a_row += 1
        times = self._times[room] = self._times.get(room, 0) + 1
        return min(_FIRST << min(times - 1, 10), _LONGEST)

    def read(self, rooms: Iterable[str]) -> None:
        """These rooms were read, so they are not refused, and neither is the source."""
        self._in_a_row = 0
        if self._times:
            for room in rooms:
                self._times.pop(room, None)

    def accuse(self, rooms: tuple[str, ...]) -> None:
        """These rooms' call made the source look misconfigured; none: it does for another reason."""
        self._accused = rooms

    def convict(self) -> tuple[str, ...]:
        """The source works: the rooms that were accused, and are no longer."""
        accused, self._accused = self._accused, ()
        return accused

    def doubt_source(self, batch: int, quiet_for: float, interval: float) -> bool:
        """
        Whether it is the source that is refused; if so, no room is refused any more.

        Args:
            batch: Rooms in a full batch.
            quiet_for: Seconds since the last success.
        """
        enough = len(self._times) >= _ROOMS and self._in_a_row >= _BATCHES * max(1, batch)
        if not enough or quiet_for < 2 * interval:
            return False
        self._times.clear()
        self._in_a_row = 0
        return True

    def forget(self, rooms: Iterable[str]) -> None:
        """These rooms are no longer watched."""
        for room in rooms:
            self._times.pop(room, None)
