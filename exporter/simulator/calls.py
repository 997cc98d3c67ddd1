"""The call log: requests, answers and their times."""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from exporter.simulator.exchange import Answered


class Call(NamedTuple):
    """
    One call, logged when its answer is ready to be sent.

    Attributes:
        number: Consecutive, from 1 on, in the order of the answers.
        received: Time of arrival in Unix seconds.
        received_monotonic: The same in monotonic seconds; limits use these.
        answered: Time at which the answer was made from the world, in Unix seconds.
        api: Empty for a request of no vendor.
        limit, holder: The budget for which it counted.
        outcome: "answer" (true, also for a missing room), "refusal" (a check failed), "rate_limited", "abandoned" (the
            client left), or the kind of the decisive fault, for instance "garbage:negative".
        status: HTTP status; 0 if none was sent.
        code: The vendor's code; empty if none was sent.
        counts: The true values in the reply, room by room.
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
    The last calls, in a ring buffer.

    Calls are stored as plain tuples of plain values: Python's garbage collector stops tracking these. Otherwise a long
    log would cause pauses, and a pause moves several calls into the same second of the rate limit.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._rows: deque[tuple[Any, ...]] = deque(maxlen=capacity)
        self._last = 0

    @property
    def last(self) -> int:
        """Number of the newest call; 0 before the first."""
        return self._last

    @property
    def oldest(self) -> int:
        """Number of the oldest call still kept; `last` + 1 if none is."""
        return self._last - len(self._rows) + 1

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Call]:
        """The kept calls, oldest first."""
        return (_call(row) for row in tuple(self._rows))

    def enter(self, call: Call) -> Call:
        """Add a call under the next number."""
        self._last += 1
        numbered = call._replace(number=self._last)
        self._rows.append((*numbered[:-1], tuple(tuple(count) for count in numbered.counts)))
        return numbered

    def since(self, number: int, *, limit: int, api: str | None = None) -> list[Call]:
        """Up to `limit` calls after the one with this number, oldest first."""
        rows = islice(self._rows, max(0, number - self.oldest + 1), None)
        return [_call(row) for row in islice((row for row in rows if api is None or row[_API] == api), limit)]


_API = Call._fields.index("api")


def _call(row: tuple[Any, ...]) -> Call:
    return Call._make((*row[:-1], tuple(Answered(*count) for count in row[-1])))
