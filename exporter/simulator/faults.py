"""Fault injection: the kind of fault, the calls that it hits, its probability and its duration."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import msgspec

from exporter.simulator.clock import Clock
from exporter.simulator.garbage import Form
from exporter.simulator.listing import NO_TROUBLE, ListTrouble
from exporter.simulator.settings import APIS

Kind = Literal[
    "latency",
    "clock_skew",
    "echo",
    "revoked",
    "outage",
    "reset",
    "hang",
    "cut",
    "drip",
    "status",
    "code",
    "rate_limited",
    "refused",
    "garbage",
    "content_type",
    "not_activated",
    "lag",
    "repeats",
    "skips",
    "wrong_total",
    "has_more",
]
Calls = Literal["polls", "lists", "http_sd"]

LISTS: frozenset[Kind] = frozenset({"not_activated", "lag", "repeats", "skips", "wrong_total", "has_more"})
"""Kinds that hit lists of rooms only."""

MODIFIERS: frozenset[Kind] = frozenset(
    {"latency", "clock_skew", "echo", "revoked", "lag", "repeats", "skips", "wrong_total", "has_more"}
)
"""Kinds that combine with others. Of all other kinds, the first that hits a call decides its result."""

_OPTIONS: Mapping[Kind, frozenset[str]] = MappingProxyType(
    {
        "latency": frozenset({"seconds", "jitter"}),
        "clock_skew": frozenset({"seconds"}),
        "echo": frozenset(),
        "revoked": frozenset(),
        "outage": frozenset(),
        "reset": frozenset(),
        "hang": frozenset({"seconds"}),
        "cut": frozenset(),
        "drip": frozenset({"seconds"}),
        "status": frozenset({"status", "retry_after", "message"}),
        "code": frozenset({"code", "status", "message", "retry_after"}),
        "rate_limited": frozenset({"code", "status", "message", "retry_after"}),
        "refused": frozenset({"code", "message"}),
        "garbage": frozenset({"form"}),
        "content_type": frozenset({"message"}),
        "not_activated": frozenset({"code", "message"}),
        "lag": frozenset({"seconds"}),
        "repeats": frozenset(),
        "skips": frozenset(),
        "wrong_total": frozenset({"rows"}),
        "has_more": frozenset({"rows"}),
    }
)
_REQUIRED: Mapping[Kind, frozenset[str]] = MappingProxyType(
    {
        "latency": frozenset({"seconds"}),
        "clock_skew": frozenset({"seconds"}),
        "drip": frozenset({"seconds"}),
        "status": frozenset({"status"}),
        "code": frozenset({"code"}),
        "refused": frozenset({"rooms"}),
        "lag": frozenset({"seconds"}),
        "wrong_total": frozenset({"rows"}),
    }
)
_WITH_NAMED_CODES = frozenset({"volcengine_rtc"})
_MOST_MATCHES = 100
_NUMBER = re.compile(r"-?[0-9]{1,9}")


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    An injected fault. The kinds, and their effect on a call that they hit:

    - latency: the answer comes after `seconds`, plus or minus up to `jitter`.
    - clock_skew: the vendor's clock is `seconds` ahead, in its checks and in its Date header.
    - echo: every error message quotes the request line and headers.
    - revoked: the secret is no longer valid; the signature does not match.
    - outage: the connection is reset before the request is read.
    - reset: the request is read, then the connection is reset without an answer.
    - hang: no answer for `seconds` (default: for ever), then the connection is reset.
    - cut: half of the true answer, then the connection is reset.
    - drip: the true answer, sent slowly over `seconds`.
    - status: this HTTP status with a page of HTML; 3xx with a Location.
    - code: this error code of the vendor, in the vendor's format.
    - rate_limited: the vendor's rate-limit code, or another one given as `code`.
    - refused: the vendor's answer to an id that it does not accept; in `zego_rtc` one such room fails the whole batch.
    - garbage: the true answer made invalid, see `garbage.Form`; without a form, a random one for each call.
    - content_type: the true answer with another Content-Type: `message`, or text/html.

    The effect on a page of a list of rooms:

    - not_activated: ZEGO's probable answer if it has not activated the list: code 9, or another one given as `code`.
    - lag: the list is `seconds` older than usual: it lacks new rooms and still contains closed ones.
    - repeats: each page but the first begins with the last room of the page before, in place of its own first.
    - skips: each page but the first lacks its first room.
    - wrong_total: the total of the list is larger by `rows`, or smaller.
    - has_more: Volcengine lists at most `rows` calls of a time span (default: 100), with `HasMore` if there are more.

    Attributes:
        calls: Hit only polls, lists, or http_sd; None for polls and lists.
        apis: The APIs to hit; None for all.
        app: The app id to hit; None for all.
        rooms: Only calls that ask for one of these rooms are hit; None for all calls.
        probability: Probability that a call is hit.
        duration: Seconds from now on; None: until cleared.

    Raises:
        ValueError: An option that the kind needs is missing, or one that it does not have is given.
    """

    kind: Kind
    calls: Calls | None = None
    apis: frozenset[str] | None = None
    app: str | None = None
    rooms: frozenset[str] | None = None
    probability: float = 1.0
    duration: float | None = None
    seconds: float | None = None
    jitter: float | None = None
    status: int | None = None
    code: str | None = None
    message: str | None = None
    retry_after: int | None = None
    form: Form | None = None
    rows: int | None = None

    def __post_init__(self) -> None:
        if unknown := (self.apis or frozenset()) - set(APIS):
            raise ValueError(f"apis: {', '.join(sorted(unknown))}: unknown; known are {', '.join(APIS)}")
        if self.apis is not None and not self.apis:
            raise ValueError("apis: none named; leave it out for all")
        if not 0 < self.probability <= 1:
            raise ValueError(f"probability: {self.probability} is not above 0 and at most 1")
        for name in ("duration", "jitter", "retry_after"):
            self._check_not_negative(name)
        if self.kind != "clock_skew":
            self._check_not_negative("seconds")
        if self.code is not None and self.apis != _WITH_NAMED_CODES and not _NUMBER.fullmatch(self.code):
            raise ValueError(f"code: {self.code!r} is no number; only volcengine_rtc has codes that are names")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"status: {self.status} is not between 200 and 599")
        if self.kind in LISTS and self.calls not in (None, "lists"):
            raise ValueError(f"{self.kind} hits lists only")
        if self.kind == "has_more" and self.rows is not None and self.rows < 1:
            raise ValueError(f"rows: {self.rows} is less than one")
        self._check_options()

    def strikes(self, api: str, app: str, rooms: tuple[str, ...], calls: Calls = "polls") -> bool:
        """Whether the fault applies to such a call."""
        meant = ("lists",) if self.kind in LISTS else ("polls", "lists") if self.calls is None else (self.calls,)
        return (
            calls in meant
            and (self.apis is None or api in self.apis)
            and (self.app is None or app == self.app)
            and (self.rooms is None or any(room in self.rooms for room in rooms))
        )

    def _check_not_negative(self, name: str) -> None:
        number = getattr(self, name)
        if number is not None and number < 0:
            raise ValueError(f"{name}: {number} is negative")

    def _check_options(self) -> None:
        optional = ("seconds", "jitter", "status", "code", "message", "retry_after", "form", "rows")
        given = {name for name in optional if getattr(self, name) is not None}
        if missing := {name for name in _REQUIRED.get(self.kind, ()) if getattr(self, name) is None}:
            raise ValueError(f"{self.kind} needs {', '.join(sorted(missing))}")
        if useless := given - _OPTIONS[self.kind]:
            raise ValueError(f"{self.kind} has no use for {', '.join(sorted(useless))}")


@dataclass(frozen=True, slots=True)
class Effects:
    """
    The effects of all faults on one call.

    Attributes:
        skew: Seconds by which the vendor's clock is ahead.
        delay: Seconds before the answer.
        listing: The faults of the list.
        decisive: The fault that decides the result of the call; None: the vendor answers normally.
    """

    skew: float = 0.0
    delay: float = 0.0
    echo: bool = False
    revoked: bool = False
    listing: ListTrouble = NO_TROUBLE
    decisive: Fault | None = None


UNTROUBLED = Effects()


@dataclass(frozen=True, slots=True)
class Order:
    """An active fault. `until` is a monotonic time; None: until cleared."""

    number: int
    fault: Fault
    until: float | None


class Faults:
    """The active faults."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self._clock = clock
        self._dice = random.Random(seed)
        self._orders: dict[int, Order] = {}
        self._last = 0

    def order(self, fault: Fault) -> int:
        """Activate a fault. Returns its number, for clearing it."""
        self._last += 1
        until = None if fault.duration is None else self._clock.monotonic() + fault.duration
        self._orders[self._last] = Order(self._last, fault, until)
        return self._last

    def clear(self, number: int | None = None) -> None:
        """
        End one fault, or all.

        Raises:
            KeyError: No active fault has this number.
        """
        if number is None:
            self._orders.clear()
        else:
            del self._orders[number]

    def orders(self) -> list[Order]:
        """The active faults, oldest first."""
        now = self._clock.monotonic()
        for order in list(self._orders.values()):
            if order.until is not None and order.until <= now:
                del self._orders[order.number]
        return list(self._orders.values())

    def effects(self, api: str, app: str, rooms: tuple[str, ...], calls: Calls = "polls") -> Effects:
        """Choose at random the effects on one call."""
        if not self._orders:
            return UNTROUBLED
        struck = [
            order.fault
            for order in self.orders()
            if order.fault.strikes(api, app, rooms, calls) and self._dice.random() < order.fault.probability
        ]
        return Effects(
            skew=sum(fault.seconds or 0.0 for fault in struck if fault.kind == "clock_skew"),
            delay=sum(self._delay(fault) for fault in struck if fault.kind == "latency"),
            echo=any(fault.kind == "echo" for fault in struck),
            revoked=any(fault.kind == "revoked" for fault in struck),
            listing=_list_trouble(struck) if calls == "lists" else NO_TROUBLE,
            decisive=next((fault for fault in struck if fault.kind not in MODIFIERS), None),
        )

    @property
    def dice(self) -> random.Random:
        """The seeded random numbers for all faults."""
        return self._dice

    def _delay(self, fault: Fault) -> float:
        jitter = fault.jitter or 0.0
        return max(0.0, (fault.seconds or 0.0) + self._dice.uniform(-jitter, jitter))


def _list_trouble(struck: Sequence[Fault]) -> ListTrouble:
    kinds = {fault.kind for fault in struck}
    return ListTrouble(
        lag=sum(fault.seconds or 0.0 for fault in struck if fault.kind == "lag"),
        repeats="repeats" in kinds,
        skips="skips" in kinds,
        total_off=sum(fault.rows or 0 for fault in struck if fault.kind == "wrong_total"),
        most=min((fault.rows or _MOST_MATCHES for fault in struck if fault.kind == "has_more"), default=None),
    )
