"""
What the vendors' call log said, read page by page before the log forgets it.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from exporter.simulator.settings import DOCUMENTED_LIMITS
from exporter.vendors import APIS
from exporter.vendors.lists import ANY_ROOM
from tests.e2e.disturbances import Span
from tests.e2e.seconds import OverfullSecond, overfull

ON_THE_WAY = 0.05
"""Seconds that a request may take from the exporter to the simulator, over the loopback."""

_PAGE = 10_000
_REMEMBERED = 240.0
"""Seconds after which an answer is older than any reading that may still be published."""


class Budget(NamedTuple):
    """A limit's name (see `DOCUMENTED_LIMITS`) and whose it is: an app id, at Volcengine an access key."""

    name: str
    holder: str


class Asked(NamedTuple):
    """One call for a room: when it was received, and when it was answered, in Unix seconds."""

    answered: float
    received: float


class CallBook:
    """
    Every call since the vendors were started.

    Attributes:
        arrivals: When calls of each budget were received, in seconds of the monotonic clock.

    Args:
        fetch: Gets a page of the call log.
    """

    def __init__(self, fetch: Callable[..., Awaitable[Any]]) -> None:
        self.arrivals: dict[Budget, list[float]] = defaultdict(list)
        self._fetch = fetch
        self._read = 0
        self._asked: dict[tuple[str, str, str], list[Asked]] = defaultdict(list)
        self._limits: dict[Budget, list[tuple[float, int]]] = {}

    def start_anew(self) -> None:
        """The vendors were started again, with an empty log."""
        self._read = 0

    async def read(self) -> None:
        """Take in what was logged since the last time."""
        while True:
            page = await self._fetch("calls", since=self._read, limit=_PAGE)
            assert page["lost"] == 0, "the call log forgot calls before they were read"
            for call in page["calls"]:
                self._enter(call)
            self._read = page["next"]
            if len(page["calls"]) < _PAGE:
                return

    def asked(self, api: str, app: str, room: str, since: float, until: float) -> list[Asked]:
        """The calls to this app for this room that were received and answered in that time, in Unix seconds."""
        calls = self._asked[api, app, ANY_ROOM if _answers_all(api) else room]
        return [call for call in calls if since <= call.received and call.answered <= until]

    def change_limit(self, budget: Budget, limit: int, at: float) -> None:
        """Hold a budget to another limit than the documented one, from a monotonic moment on."""
        self._limits.setdefault(budget, []).append((at, limit))

    def allowed(self, budget: Budget, second: Span) -> int:
        """How many calls this second may hold: the largest of the limits that were in force in it."""
        limit = DOCUMENTED_LIMITS[budget.name]
        in_force = [limit]
        for at, changed in self._limits.get(budget, []):
            if at <= second.start - ON_THE_WAY:
                in_force = [changed]
            elif at <= second.end:
                in_force.append(changed)
        return max(in_force)

    def overfull(self) -> Mapping[Budget, list[OverfullSecond]]:
        """The sliding seconds that held more calls than allowed."""
        return {
            budget: overfull(arrivals, lambda second, budget=budget: self.allowed(budget, second))  # type: ignore[misc]
            for budget, arrivals in self.arrivals.items()
        }

    def measured(self) -> Span:
        """From the first call to the last."""
        moments = [moment for arrivals in self.arrivals.values() for moment in arrivals]
        return Span(min(moments), max(moments)) if moments else Span(0.0, 0.0)

    def _enter(self, call: Mapping[str, Any]) -> None:
        if call["holder"]:
            self.arrivals[Budget(call["limit"], call["holder"])].append(call["received_monotonic"])
        rooms = {ANY_ROOM if _answers_all(call["api"]) else count["room"] for count in call["counts"]}
        for room in rooms:
            asked = self._asked[call["api"], call["app"], room]
            insort(asked, Asked(call["answered"], call["received"]))
            while asked[0].answered < asked[-1].answered - _REMEMBERED:
                del asked[0]


def _answers_all(api: str) -> bool:
    """Whether a call answers for every room, also for those that do not exist."""
    lists = APIS[api].lists
    return lists is not None and lists.answers_all
