"""
What the replies of all vendors have in common: how they are read, what counts as a number, and what a failure without
a vendor's code means.

Sources: RFC 9110 for HTTP statuses and Retry-After; everything else is ours.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from exporter.model import Failure, FailureKind
from exporter.vendors.http_date import http_date

MAX_USERS: Final = 2**53
"""A count above it is no count: JSON numbers are exact up to here."""

MOST_OBJECTS: Final = 20_000
"""JSON objects in a reply. To make so many takes some ten milliseconds, and no reply to one call needs them."""

_LARGE: Final = 256 * 1024

LOWER_RATE_LIMIT: Final = "lower rate_limit if something else calls this API with the same account"

_DECIMAL = re.compile(r"[0-9]{1,16}", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_PRINTABLE_CODE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)

_Whole = TypeVar("_Whole")
_Envelope = TypeVar("_Envelope")


def malformed(code: str, words: str) -> Failure:
    return Failure(FailureKind.MALFORMED, code, words)


UNDOCUMENTED: Final = malformed("not_as_documented", "the reply is not the JSON that the vendor documents")
NO_COUNT: Final = malformed("no_count", "the reply's number of users is missing, or not a whole number of 0 or more")
IMPOSSIBLE_COUNT: Final = malformed("impossible_count", "a part of the room's users is not a number between 0 and all")
CONTRADICTION: Final = malformed("contradiction", "the reply says two different things of this room")
OMITTED: Final = malformed("omitted", "the reply does not speak of this room, though it was asked for")


def read(
    body: bytes, whole: msgspec.json.Decoder[_Whole], envelope: msgspec.json.Decoder[_Envelope]
) -> _Whole | _Envelope | None:
    """
    The whole reply; its envelope alone where the rest is not as documented; ``None`` if it is no JSON object at all.

    A vendor's failure often comes without the data that a success has, and its code must be heard all the same.
    """
    if len(body) > _LARGE and body.count(b"{") > MOST_OBJECTS:
        return None
    try:
        return whole.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return envelope.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def repeats(body: bytes, keys: tuple[bytes, ...], times: int) -> bool:
    """
    Whether an object of a reply has a key twice, of which a decoder hears only the last.

    Args:
        keys: What is read of the reply, in quotes as it stands there.
        times: How often each was decoded.
    """
    # This is all that an ordinary reply costs; a key that is written with escapes is not found by its letters.
    if all(body.count(key) <= times for key in keys) and b"\\u00" not in body:
        return False
    if len(body) > _LARGE:
        return True
    try:
        json.loads(body, object_pairs_hook=_once)
    except _TwiceError:
        return True
    except (ValueError, RecursionError):
        return False
    return False


class _TwiceError(Exception):
    """A key stands twice in an object."""


def _once(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise _TwiceError


def count(value: object) -> int | None:
    """
    The number of users that a JSON number or a string of decimal digits stands for; ``None`` if it is neither.

    To JSON, ``7``, ``7.0`` and ``7e0`` are the same number.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    # An exact type, since a boolean is an int as well.
    if type(value) is not int:
        if not (isinstance(value, str) and _DECIMAL.fullmatch(value)):
            return None
        value = int(value)
    return value if 0 <= value <= MAX_USERS else None


def vendor_code(value: object) -> int | str | None:
    """A vendor's code, as a number where it is one; ``None`` if there is none."""
    if isinstance(value, str) and value:
        return int(value) if _INTEGER.fullmatch(value) else value
    return value if type(value) is int and abs(value) < 10**18 else None


def code_table(kind: FailureKind, words: Mapping[int, str]) -> dict[int | str, Failure]:
    """Ready-made failures of one kind by vendor code."""
    return {code: Failure(kind, str(code), meaning) for code, meaning in words.items()}


def failed_call(
    code: int | str | None, codes: Mapping[int | str, Failure], status: int, headers: Mapping[str, str]
) -> Failure | None:
    """
    Why a call to a vendor whose code for success is 0 failed; ``None`` if it succeeded.

    The vendor's code wins over the HTTP status, except that a success needs both.
    """
    if code:
        return by_code(code, codes.get(code), status, headers)
    if failure := by_status(status, headers):
        return failure
    return UNDOCUMENTED if code is None else None


def by_code(code: int | str, known: Failure | None, status: int, headers: Mapping[str, str]) -> Failure:
    """The failure that a vendor's code stands for; what an unknown code means, the HTTP status beside it tells."""
    if known is None:
        kind, words = _MEANING_OF_UNLISTED.get(status, (FailureKind.TRANSIENT, _UNLISTED))
        known = Failure(kind, printable_code(code), words)
    return _with_retry_after(known, headers)


_UNLISTED: Final = "a code that the vendor's documentation does not list"
_MEANING_OF_UNLISTED: Final[Mapping[int, tuple[FailureKind, str]]] = {
    401: (
        FailureKind.UNAUTHORIZED,
        f"{_UNLISTED}, with HTTP status 401: check the credentials, and this machine's clock",
    ),
    403: (FailureKind.MISCONFIGURED, f"{_UNLISTED}, with HTTP status 403: check what this account and app may do"),
    405: (FailureKind.MISCONFIGURED, f"{_UNLISTED}, with HTTP status 405: check base_url and region"),
    429: (FailureKind.RATE_LIMITED, f"{_UNLISTED}, with HTTP status 429; {LOWER_RATE_LIMIT}"),
}


def printable_code(code: int | str) -> str:
    """A vendor's code, fit for a log line: whatever a reply holds, nothing is injected."""
    return text if _PRINTABLE_CODE.fullmatch(text := str(code)) else "unprintable"


def by_status(status: int, headers: Mapping[str, str]) -> Failure | None:
    """What an HTTP status means when the reply holds no vendor's code; ``None`` for 2xx."""
    if 200 <= status < 300:
        return None
    kind = _kind_of_status(status)
    return _with_retry_after(Failure(kind, f"http_{status}", _words_of_status(status)), headers)


def _kind_of_status(status: int) -> FailureKind:
    if status == 429:
        return FailureKind.RATE_LIMITED
    return FailureKind.MISCONFIGURED if 300 <= status < 500 else FailureKind.TRANSIENT


def _words_of_status(status: int) -> str:
    match status:
        case 429:
            return f"too many requests; {LOWER_RATE_LIMIT}"
        case 401 | 403:
            return "turned away before the API looked at the request: check base_url, proxy and any list of allowed IPs"
        case 404 | 405:
            return "the API is not at this address: check base_url and region"
        case 407:
            return "the proxy wants credentials: check proxy"
        case _ if 300 <= status < 400:
            return "redirected, which no vendor's API does: check base_url and proxy"
        case _ if 400 <= status < 500:
            return "not the vendor's own answer: check base_url and proxy"
        case _ if 500 <= status < 600:
            return "the vendor, or something on the way to it, is in trouble"
        case _:
            return "not an HTTP status that an API answers with"


def _with_retry_after(failure: Failure, headers: Mapping[str, str]) -> Failure:
    if failure.kind not in {FailureKind.RATE_LIMITED, FailureKind.TRANSIENT}:
        return failure
    seconds = retry_after(headers)
    return failure if seconds is None else dataclasses.replace(failure, retry_after=seconds)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """
    Seconds that the vendor asks us to wait; ``None`` if it does not say, or not in a way that can be understood.

    A date is taken relative to the reply's own Date, so that no clock but the vendor's is involved.
    """
    wanted = _header(headers, "retry-after")
    if wanted is None:
        return None
    if _SECONDS.fullmatch(wanted):
        return float(wanted)
    until, sent = http_date(wanted), http_date(_header(headers, "date") or "")
    return None if until is None or sent is None else max(0.0, until - sent)


def _header(headers: Mapping[str, str], lower_name: str) -> str | None:
    return next((value.strip() for name, value in headers.items() if name.lower() == lower_name), None)
