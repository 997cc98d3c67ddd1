"""The log of the rooms that opened, changed and closed because of an order or of the traffic."""

from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from itertools import islice
from typing import Literal, NamedTuple

What = Literal["open", "close", "join", "leave"]

_KEPT = 100_000


class Event(NamedTuple):
    """
    One change of one room.

    Attributes:
        number: 1 for the first, then one more each.
        at: Unix seconds.
        users: In the room from now on.
        opened: Unix seconds, when the room's present life began.
    """

    number: int
    at: float
    api: str
    app: str
    room: str
    what: What
    users: int
    opened: float

    @property
    def session(self) -> int:
        """A number of this life of the room, of 63 bits: more than a float can hold."""
        digest = blake2b(f"{self.api}\0{self.app}\0{self.room}\0{self.opened}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) >> 1 | 1 << 62


class EventLog:
    """
    The last events; the oldest are dropped.

    Attributes:
        followers: Called with each new event.
    """

    def __init__(self) -> None:
        self.followers: list[Callable[[Event], None]] = []
        self._events: deque[Event] = deque(maxlen=_KEPT)
        self._last = 0

    @property
    def last(self) -> int:
        """The number of the newest event; 0 before the first."""
        return self._last

    @property
    def oldest(self) -> int:
        """The number of the oldest event still kept; one more than `last` when none is."""
        return self._last - len(self._events) + 1

    def enter(self, event: Event) -> None:
        """Log it under the next number."""
        self._last += 1
        numbered = event._replace(number=self._last)
        self._events.append(numbered)
        for follower in self.followers:
            follower(numbered)

    def since(self, number: int, *, limit: int) -> list[Event]:
        """Up to `limit` events that came after the one of that number, oldest first."""
        start = max(0, number - self.oldest + 1)
        return list(islice(self._events, start, start + limit))
