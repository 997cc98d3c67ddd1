"""
The vendors' lists of rooms: their pages, and the faults that can be injected into them.

A list is computed at most once a second. It is as old as its vendor documents, plus the lag of an injected fault.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Life(NamedTuple):
    """
    A room from its opening to its end.

    Attributes:
        opened: Unix seconds.
        closed: Unix seconds; None while it is open.
    """

    room: str
    opened: float
    closed: float | None


@dataclass(frozen=True, slots=True)
class ListTrouble:
    """
    The faults of a list.

    Attributes:
        lag: Seconds by which it is older than documented.
        repeats: Each page but the first begins with the last room of the page before, in place of its own first: the
            two have changed places between two calls.
        skips: The first room of each page but the first is left out.
        total_off: Added to the total in the reply.
        most: Most calls that Volcengine lists of a time span; None: no bound.
    """

    lag: float = 0.0
    repeats: bool = False
    skips: bool = False
    total_off: int = 0
    most: int | None = None

    def page(self, rooms: Sequence[T], first: int, size: int) -> Sequence[T]:
        """The page that begins with room number `first` and is so long."""
        if self.repeats and first:
            return [rooms[first - 1], *rooms[first + 1 : first + size]] if first < len(rooms) else []
        if self.skips and first:
            return rooms[first + 1 : first + size]
        return rooms[first : first + size]

    def total(self, rooms: Sequence[object]) -> int:
        """The total in the reply."""
        return max(0, len(rooms) + self.total_off)


NO_TROUBLE = ListTrouble()
