"""
If the vendor refuses rooms: is it the fault of these rooms or of the source? Pure: the caller brings the time.

A room that is refused when it is asked for alone is asked again after 10 intervals, then 20, 40, … up to 360.

*All rooms refused.* A wrong region makes every room unknown to the vendor. The source is at fault, and not its rooms,
when there was no success for two intervals, at least three rooms are refused, and the last calls were nothing but
refusals: three times as many as a full batch has rooms. Example, batches of ten: 30 refusals in a row. Three rooms are
required because one or two ids may well be misspelt.

*One room that looks like a wrong source.* If a source that has just worked seems misconfigured, its next trial asks for
other rooms. If that succeeds, the rooms of the failed call are *accused*: each of them is asked for alone.

**When this is wrong.** A source of one or two rooms never counts as refused. A source all of whose room ids are wrong
is called misconfigured.
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
        """A room was refused when asked for alone. Returns the number of intervals to wait before the next call."""
        self._in_a_row += 1
        times = self._times[room] = self._times.get(room, 0) + 1
        return _wait(times)

    def times(self, room: str) -> int:
        """How often in a row a room was refused; 0 if it is not."""
        return self._times.get(room, 0)

    def inherit(self, room: str, times: int) -> int:
        """Another process was refused this room so often in a row. Returns as ``refused``."""
        self._times[room] = times
        return _wait(times)

    def read(self, rooms: Iterable[str]) -> None:
        """A call read these rooms, so neither they nor the source are refused."""
        self._in_a_row = 0
        if self._times:
            for room in rooms:
                self._times.pop(room, None)

    def accuse(self, rooms: tuple[str, ...]) -> None:
        """Remember the rooms whose call made the source look misconfigured; none if there is another reason for it."""
        self._accused = rooms

    def take_accused(self) -> tuple[str, ...]:
        """The source works after all: return the accused rooms, and forget them."""
        accused, self._accused = self._accused, ()
        return accused

    def detect_refused_source(self, batch: int, since_success: float, interval: float) -> bool:
        """
        Whether the source as a whole is refused. If so, no room counts as refused any more.

        Args:
            batch: Rooms in a full batch of this source.
            since_success: Seconds since the last success.
        """
        enough = len(self._times) >= _ROOMS and self._in_a_row >= _BATCHES * max(1, batch)
        if not enough or since_success < 2 * interval:
            return False
        self._times.clear()
        self._in_a_row = 0
        return True

    def forget(self, rooms: Iterable[str]) -> None:
        """Forget rooms that are no longer watched."""
        for room in rooms:
            self._times.pop(room, None)


def _wait(times: int) -> int:
    """Intervals to wait after this many refusals in a row."""
    return min(_FIRST << min(times - 1, 10), _LONGEST)
