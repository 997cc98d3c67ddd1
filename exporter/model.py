"""
The common types: Room, Reading, Failure, Reply, Request. No I/O, and no import from the rest of the package.

A *call* is one HTTP request to a vendor for one batch of rooms. For each room, it ends in a *reading* or a *failure*.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from typing import Final, TypeVar
from urllib.parse import quote, quote_plus

import msgspec

REDACTED: Final = "<redacted>"

ROOMS_AT_A_TIME: Final = 500
"""A loop over all rooms gives way to other tasks of the event loop after this many."""

T = TypeVar("T")


def in_parts(items: Iterable[T]) -> Iterator[list[T]]:
    """Parts that are small enough to be processed in one step of the event loop."""
    rest = iter(items)
    while part := list(islice(rest, ROOMS_AT_A_TIME)):
        yield part


@dataclass(frozen=True, slots=True)
class Shard:
    """One of a fixed number of exporters that divide a config among them. The first ordinal is 0."""

    ordinal: int
    total: int

    def __str__(self) -> str:
        return f"{self.ordinal} of {self.total}"


class Severity(StrEnum):
    """Which threshold is exceeded."""

    WARNING = "warning"
    CRITICAL = "critical"


class Thresholds(msgspec.Struct, frozen=True, gc=False):
    """Numbers of users above which a room is worth a warning, and worth waking somebody. ``None``: not configured."""

    warning: int | None = None
    critical: int | None = None

    @property
    def lowest(self) -> int | None:
        """The lower of the configured ones."""
        return min((limit for limit in (self.warning, self.critical) if limit is not None), default=None)

    def exceeded(self, users: int) -> Severity | None:
        """The more severe threshold that this many users exceed."""
        if self.critical is not None and users > self.critical:
            return Severity.CRITICAL
        return Severity.WARNING if self.warning is not None and users > self.warning else None

    @property
    def decisive(self) -> tuple[Severity, int] | None:
        """The threshold that ``share`` relates to: the critical one if configured, otherwise the warning one."""
        if self.critical is not None:
            return Severity.CRITICAL, self.critical
        return None if self.warning is None else (Severity.WARNING, self.warning)

    def share(self, users: int) -> float | None:
        """Users divided by the decisive threshold; ``None`` if there is none."""
        return users / max(1, self.decisive[1]) if self.decisive else None

    def over(self, default: Thresholds) -> Thresholds:
        """These thresholds; those that are not configured are taken from the default."""
        if self == NO_THRESHOLDS:
            return default  # one shared object for all rooms without their own
        return Thresholds(
            default.warning if self.warning is None else self.warning,
            default.critical if self.critical is None else self.critical,
        )

    @property
    def in_order(self) -> bool:
        """Whether the warning threshold is below the critical one."""
        return self.warning is None or self.critical is None or self.warning < self.critical


NO_THRESHOLDS: Final = Thresholds()


class Family(StrEnum):
    """The series that a room may have, by the end of their name."""

    USERS = "users"
    ADMIN_USERS = "admin_users"
    INVISIBLE_USERS = "invisible_users"
    EXISTS = "exists"
    READING_TIMESTAMP = "reading_timestamp"
    INFO = "info"
    USERS_THRESHOLD = "users_threshold"
    USER_SECONDS = "user_seconds"


DEFAULT_FAMILIES: Final = tuple([family for family in Family if family is not Family.USER_SECONDS])


class Publish(msgspec.Struct, frozen=True, gc=False):
    """
    Which rooms of a source have series of their own; see ``metrics.selection``.

    Args:
        top: So many rooms at most, the fullest; ``None``: any number.
        min_users: Only rooms with so many users.
    """

    top: int | None = None
    min_users: int = 0


class Room(msgspec.Struct, frozen=True, gc=False):
    """
    A watched room. A source and a room id identify it. ``gc=False``, so that the garbage collector skips 100,000 of
    them.

    Args:
        labels: The room's own labels, sorted by name; published on ``rtc_room_info`` alone.
    """

    id: str
    labels: tuple[tuple[str, str], ...] = ()
    thresholds: Thresholds = NO_THRESHOLDS


class Reading(msgspec.Struct, frozen=True, gc=False):
    """
    The result of one call for one room. ``None`` means unknown, never 0.

    Args:
        users: Users in the room as the vendor counts them, admin and invisible users included.
        exists: Whether the vendor says that the room exists; ``None`` if it does not say.
        missing: The vendor answered that there is no such room. Implies 0 users. This is not the same as ``exists``
            being false: ZEGO RTC destroys empty rooms, so its answer does not prove that the room never existed.
    """

    users: int
    admin_users: int | None = None
    invisible_users: int | None = None
    exists: bool | None = None
    missing: bool = False


class FailureKind(StrEnum):
    """Why a call, or one room of it, gave no reading; ``polling.reaction`` has a reaction for each."""

    RATE_LIMITED = "rate_limited"
    TRANSIENT = "transient"
    UNAUTHORIZED = "unauthorized"
    MISCONFIGURED = "misconfigured"
    REFUSED = "refused"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Failure:
    """
    Why a call, or one room of it, gave no reading.

    Args:
        code: The vendor's own code, or ours in lower case (``timeout``, ``http_502``); safe to print.
        words: Its meaning and remedy, in our words. A vendor's own text may repeat a signature, so it is never used.
        retry_after: Seconds that the vendor asked us to wait.
        one_room: Only for ``rate_limited``: one room's own limit was exceeded, so the budget need not slow down.
        cool_down: Seconds for which every source of this app must be silent (Tencent 70050).
    """

    kind: FailureKind
    code: str
    words: str
    retry_after: float | None = None
    one_room: bool = False
    cool_down: float | None = None

    def __str__(self) -> str:
        return f"{self.kind} ({self.code}): {self.words}"


class Reply(msgspec.Struct, frozen=True):
    """
    The parsed reply to a call.

    Args:
        rooms: One result for each requested room.
        unrequested: Number of rooms in the reply that were not requested. They are ignored.
        others: Readings of rooms that were not requested, where the API answers for all of them.
    """

    rooms: Mapping[str, Reading | Failure]
    unrequested: int = 0
    others: Mapping[str, Reading] = {}


class Stamp(msgspec.Struct, frozen=True):
    """
    The values that make one call unique.

    Args:
        time: Unix seconds.
        nonce: 16 fresh hex digits.
    """

    time: float
    nonce: str


@dataclass(frozen=True, slots=True)
class Auth:
    """
    The key material with which a source signs its calls, derived once and used for many calls.

    Args:
        token: A UserSig, a derived signing key or the secret itself; never shown.
        valid_from: Unix seconds. A call stamped before this needs another token.
        renew_at: Unix seconds. A call stamped at this time or later needs another token.
    """

    token: str | bytes = field(repr=False)
    valid_from: float = float("-inf")
    renew_at: float = float("inf")

    def covers(self, time: float) -> bool:
        """Whether a call stamped with this Unix time may still be signed with this token."""
        return self.valid_from <= time < self.renew_at


@dataclass(frozen=True, slots=True)
class Request:
    """
    One HTTP request, byte for byte as it is sent.

    Args:
        base_url: Scheme, host and port, without a path.
        target: Path and query, percent-encoded, exactly as they were signed.
        secrets: Every secret in ``target``, ``headers`` or ``body``, and every value derived from one.
    """

    method: str
    base_url: str
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def url(self) -> str:
        return self.base_url + self.target

    def redact(self, text: str, others: Iterable[str] = ()) -> str:
        """
        The text with every secret of this request replaced: plain, percent-encoded or in JSON, ignoring case.

        Args:
            others: Further secrets, such as a proxy's password.
        """
        spellings = _all_spellings((*self.secrets, *others))
        if not spellings:
            return text
        longest_first = sorted(spellings, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, longest_first)), REDACTED, text, flags=re.IGNORECASE)

    def redact_parts(self, text: str, others: Iterable[str] = ()) -> str:
        """The same, but also replace parts of a secret that have ten characters or more."""
        others = (*others,)
        if len(text) < min([_SHORTEST_PART, *[len(secret) for secret in (*self.secrets, *others) if secret]]):
            return text  # most vendors' codes are short, and the rest takes a millisecond
        text = self.redact(text, others)
        lowered = _lower(text)
        # A request's secret with a space in it is a header of many words (Authorization). Region and names of headers
        # are among them, and the signature, which is a secret by itself.
        single = [secret for secret in self.secrets if " " not in secret]
        parts = {part for spelling in _all_spellings((*single, *others)) for part in _parts(_lower(spelling))}
        if parts.isdisjoint(_parts(lowered)):
            return text
        kept, hidden_until = [], -1
        for start, character in enumerate(text):
            if lowered[start : start + _SHORTEST_PART] in parts:
                if start > hidden_until:
                    kept.append(REDACTED)
                hidden_until = start + _SHORTEST_PART
            if start >= hidden_until:
                kept.append(character)
        return "".join(kept)

    def redact_failure(self, failure: Failure, others: Iterable[str] = ()) -> Failure:
        """Redact the failure's code: a vendor's reply may repeat our request with its secrets."""
        code = self.redact_parts(failure.code, others)
        return failure if code == failure.code else replace(failure, code=code)


_SHORTEST_PART: Final = 10
"""Characters. A part of a secret that is at least this long is redacted, too."""


def _lower(text: str) -> str:
    """Lower case of the same length: the lower case of a few characters has two characters, of which one is kept."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else "".join([character.lower()[0] for character in text])


def _parts(text: str) -> set[str]:
    return {text[start : start + _SHORTEST_PART] for start in range(len(text) - _SHORTEST_PART + 1)}


def _all_spellings(secrets: Iterable[str]) -> set[str]:
    return {spelling for secret in secrets if secret for spelling in _spellings(secret)}


def _spellings(secret: str) -> set[str]:
    in_json = json.dumps(secret)[1:-1]
    return {secret, quote(secret, safe=""), quote_plus(secret), in_json, in_json.replace("/", "\\/")}
