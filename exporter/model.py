"""
The words of this house: Room, Reading, Failure, Request. No I/O, and nothing of ours is imported here.

A *call* is one HTTP request to a vendor for one batch of rooms. It ends in *readings* and *failures*, never in neither.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import quote, quote_plus

import msgspec

REDACTED: Final = "<redacted>"

ROOMS_AT_A_TIME: Final = 500
"""Whoever goes through all rooms on the event loop lets others run after so many."""


class Severity(StrEnum):
    """How much it matters that a threshold is exceeded."""

    WARNING = "warning"
    CRITICAL = "critical"


class Thresholds(msgspec.Struct, frozen=True, gc=False):
    """Users above which a room is worth a warning, and worth a call at night. ``None``: not configured."""

    warning: int | None = None
    critical: int | None = None

    @property
    def lowest(self) -> int | None:
        """The one that is exceeded first."""
        return min((limit for limit in (self.warning, self.critical) if limit is not None), default=None)

    def exceeded(self, users: int) -> Severity | None:
        """The worst of them that so many users exceed."""
        if self.critical is not None and users > self.critical:
            return Severity.CRITICAL
        return Severity.WARNING if self.warning is not None and users > self.warning else None

    @property
    def decisive(self) -> tuple[Severity, int] | None:
        """The one that shares are told of: the critical one, or the warning one where there is no other."""
        if self.critical is not None:
            return Severity.CRITICAL, self.critical
        return None if self.warning is None else (Severity.WARNING, self.warning)

    def share(self, users: int) -> float | None:
        """Users as a share of the decisive threshold."""
        return users / max(1, self.decisive[1]) if self.decisive else None

    def over(self, default: Thresholds) -> Thresholds:
        """These, and where one is not configured the default one."""
        if self == NO_THRESHOLDS:
            return default  # the one object for all rooms that have none of their own
        return Thresholds(
            default.warning if self.warning is None else self.warning,
            default.critical if self.critical is None else self.critical,
        )

    @property
    def in_order(self) -> bool:
        """Whether the warning comes before the critical alert."""
        return self.warning is None or self.critical is None or self.warning < self.critical


NO_THRESHOLDS: Final = Thresholds()


class Room(msgspec.Struct, frozen=True, gc=False):
    """
    What a source watches, known by (source, room id). The garbage collector need not look through 100,000 of them.

    Args:
        labels: The room's own labels, sorted by name; published on ``rtc_room_info`` alone.
    """

    id: str
    labels: tuple[tuple[str, str], ...] = ()
    thresholds: Thresholds = NO_THRESHOLDS


class Reading(msgspec.Struct, frozen=True, gc=False):
    """
    What one call said of one room. ``None`` is unknown, never 0.

    Args:
        users: Users in the room as the vendor counts them, admin and invisible users included.
        exists: Whether the vendor says that the room exists; ``None`` where it does not tell.
        missing: The vendor answered that there is no such room. Implies 0 users; not the same as ``exists`` being
            false, since ZEGO RTC destroys empty rooms and so never proves existence either way.
    """

    users: int
    admin_users: int | None = None
    invisible_users: int | None = None
    exists: bool | None = None
    missing: bool = False


class FailureKind(StrEnum):
    """Why a call, or one room of it, gave no reading; each kind has one reaction in ``polling``."""

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
        words: What it means and what to mend, in our words. Vendor texts may echo a signature, so they stay out.
        retry_after: Seconds that the vendor asked us to wait.
        one_room: ``rate_limited`` only: the limit is one room's own, so the budget need not slow down.
        cool_down: Seconds that every source of this app must be silent (Tencent 70050).
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
    What a vendor's reply says of each room asked for; every one of them is a key.

    Args:
        unrequested: Rooms in the reply that nobody asked for. They are ignored, and counted.
    """

    rooms: Mapping[str, Reading | Failure]
    unrequested: int = 0


class Stamp(msgspec.Struct, frozen=True):
    """
    What makes one call unlike any other.

    Args:
        time: Unix seconds.
        nonce: 16 fresh hex digits.
    """

    time: float
    nonce: str


@dataclass(frozen=True, slots=True)
class Auth:
    """
    What a source signs its calls with, derived once and used until ``renew_at``.

    Args:
        token: A UserSig, a derived signing key or the secret itself; never shown.
        valid_from: Unix seconds; a stamp before it needs another token.
        renew_at: Unix seconds; a stamp at or after it needs another token.
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
    One HTTP request, byte for byte as it goes on the wire.

    Args:
        base_url: Scheme, host and port, no path.
        target: Path and query, percent-encoded; what was signed is what is sent.
        secrets: Every secret and everything derived from one that ``target``, ``headers`` or ``body`` hold.
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
        The text without any secret of this request, plain, percent-encoded or in JSON, in any case.

        Args:
            others: Secrets that are not the request's own, such as a proxy's password.
        """
        spellings = self._secret_spellings(others)
        if not spellings:
            return text
        longest_first = sorted(spellings, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, longest_first)), REDACTED, text, flags=re.IGNORECASE)

    def redact_parts(self, text: str, others: Iterable[str] = ()) -> str:
        """The same, but a secret may also stand there in part, ten characters of it or more."""
        others = (*others,)
        text = self.redact(text, others)
        lowered = _lower(text)
        # What has a space in it is a header of many words, and its secret stands among the others by itself.
        whole = [spelling for spelling in self._secret_spellings(others) if " " not in spelling]
        parts = {part for spelling in whole for part in _parts(_lower(spelling))}
        if parts.isdisjoint(_parts(lowered)):
            return text
        kept, hidden_until = [], -1
        for start, character in enumerate(text):
            if lowered[start : start + _TELLING] in parts:
                if start > hidden_until:
                    kept.append(REDACTED)
                hidden_until = start + _TELLING
            if start >= hidden_until:
                kept.append(character)
        return "".join(kept)

    def _secret_spellings(self, others: Iterable[str]) -> set[str]:
        return {spelling for secret in (*self.secrets, *others) if secret for spelling in _spellings(secret)}


_TELLING: Final = 10
"""So many characters of a secret tell something of it."""


def _lower(text: str) -> str:
    """In lower case, character by character: a few of them are two there."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else "".join([character.lower()[0] for character in text])


def _parts(text: str) -> set[str]:
    return {text[start : start + _TELLING] for start in range(len(text) - _TELLING + 1)}


def _spellings(secret: str) -> set[str]:
    in_json = json.dumps(secret)[1:-1]
    return {secret, quote(secret, safe=""), quote_plus(secret), in_json, in_json.replace("/", "\\/")}
