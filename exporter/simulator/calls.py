"""The call log: what was asked, what was answered, and when."""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from exporter.simulator.exchange import Answered


class Call(NamedTuple):
    """
    One call, entered when its answer was ready to go.

    Attributes:
        number: 1 for the first entry, then one more each; entries are in order of their answers.
        received: Unix seconds.
        received_monotonic: Seconds; limits are counted on these.
        answered: Unix seconds, when the answer was looked up in the world and written.
        api: Empty for a request that is no vendor's.
        limit, holder: The budget it counted for.
        outcome: "answer" (the truth, a missing room included), "refusal" (a check failed), "rate_limited", "abandoned"
            (the client left), or the kind of the fault that decided, "garbage:negative" for instance.
        status: HTTP status; 0 when none was sent.
        code: The vendor's code; empty when none was sent.
        counts: What the reply truthfully says, room by room.
    """

    number: int
    received: float
    received_monotonic: float
    answered: float
    api: str
    action: str
    app: str
    limit: str
    holder: str
    rooms: tuple[str, ...]
    outcome: str
    status: int
    code: str
    counts: tuple[Answered, ...]


class CallLog:
    """
    The last calls; older ones are forgotten.

    Kept as plain tuples of plain values, which Python's garbage collector leaves alone after the first look: a long
    log must not make pauses that bunch calls up in the second they are counted in.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._rows: deque[tuple[Any, ...]] = deque(maxlen=capacity)
        self._last = 0

    @property
    def last(self) -> int:
        """The number of the newest call; 0 before the first."""
        return self._last

    @property
    def oldest(self) -> int:
        """The number of the oldest call still kept; one more than `last` when none is."""
        return self._last - len(self._rows) + 1

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Call]:
        """Oldest first."""
        return (_call(row) for row in tuple(self._rows))

    def enter(self, call: Call) -> Call:
        """Log it under the next number."""
        self._last += 1
        numbered = call._replace(number=self._last)
        self._rows.append((*numbered[:-1], tuple(tuple(count) for count in numbered.counts)))
        return numbered

    def since(self, number: int, *, limit: int, api: str | None = None) -> list[Call]:
        """Up to `limit` calls that came after the one of that number, oldest first."""
        rows = islice(self._rows, max(0, number - self.oldest + 1), None)
        return [_call(row) for row in islice((row for row in rows if api is None or row[_API] == api), limit)]


_API = Call._fields.index("api")


def _call(row: tuple[Any, ...]) -> Call:
    return Call._make((*row[:-1], tuple(Answered(*count) for count in row[-1])))
