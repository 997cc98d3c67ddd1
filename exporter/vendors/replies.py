"""
What the replies of all vendors have in common: parsing, numbers, and failures without a vendor's code.

Sources: RFC 9110 for HTTP statuses and Retry-After. Everything else is our own decision.
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
"""Largest valid count: JSON numbers are exact up to here."""

MOST_OBJECTS: Final = 20_000
"""Most JSON objects in a reply. To decode this many takes about ten milliseconds. No genuine reply has as many."""

_LARGE: Final = 256 * 1024

LARGE_LIST: Final = 1024 * 1024
"""Bytes of a list's page that are looked through for repeated keys, which takes some 20 ms at most."""

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
IMPOSSIBLE_COUNT: Final = malformed(
    "impossible_count", "the reply has more admin or invisible users than users, or no valid number of them"
)
CONTRADICTION: Final = malformed("contradiction", "the reply contradicts itself about this room")
TWICE: Final = malformed("contradiction", "the reply has a key twice in one object")
OMITTED: Final = malformed("omitted", "the call asked for this room, and the reply does not contain it")


def read(
    body: bytes, whole: msgspec.json.Decoder[_Whole], envelope: msgspec.json.Decoder[_Envelope]
) -> _Whole | _Envelope | None:
    """
    The whole reply; only its envelope if the rest is not as documented; ``None`` if it is not a JSON object.

    A vendor's failure often lacks the data of a success, and its code must be found all the same.
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


def repeats(body: bytes, keys: tuple[bytes, ...], times: int, large: int = _LARGE) -> bool:
    """
    Whether an object of a reply has a key twice. A decoder would use only the last one.

    Args:
        keys: The keys that are used, in quotes as they are written in the reply.
        times: Number of times that each key was decoded.
        large: Bytes above which what may be a repetition is taken for one.
    """
    # Ordinary replies end here. A key may also be written with escapes, which this search would not find.
    if all(body.count(key) <= times for key in keys) and b"\\u00" not in body:
        return False
    if len(body) > large:
        return True
    try:
        json.loads(body, object_pairs_hook=_once)
    except _TwiceError:
        return True
    except (ValueError, RecursionError):
        return False
    return False


class _TwiceError(Exception):
    """An object has a key twice."""


def _once(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise _TwiceError


def count(value: object) -> int | None:
    """
    The number of users in a JSON number or a string of decimal digits: 0 to 2**53; ``None`` if it is neither.

    In JSON, ``7``, ``7.0`` and ``7e0`` are the same number.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    # Compare the exact type, since a boolean is an int, too.
    if type(value) is not int:
        if not (isinstance(value, str) and _DECIMAL.fullmatch(value)):
            return None
        value = int(value)
    return value if 0 <= value <= MAX_USERS else None


def vendor_code(value: object) -> int | str | None:
    """A vendor's code, as a number if it is one; ``None`` if there is no code."""
    if isinstance(value, str) and value:
        return int(value) if _INTEGER.fullmatch(value) else value
    return value if type(value) is int and abs(value) < 10**18 else None


def code_table(kind: FailureKind, words: Mapping[int, str]) -> dict[int | str, Failure]:
    """Failures of one kind, by the vendor's code."""
    return {code: Failure(kind, str(code), meaning) for code, meaning in words.items()}


def failed_call(
    code: int | str | None, codes: Mapping[int | str, Failure], status: int, headers: Mapping[str, str]
) -> Failure | None:
    """
    The failure of a call, for vendors whose success code is 0; ``None`` if the call succeeded.

    The vendor's code comes before the HTTP status. A success needs both.
    """
    if code:
        return by_code(code, codes.get(code), status, headers)
    if failure := by_status(status, headers):
        return failure
    return UNDOCUMENTED if code is None else None


def by_code(code: int | str, known: Failure | None, status: int, headers: Mapping[str, str]) -> Failure:
    """The failure for a vendor's code. The HTTP status decides what an unknown code means."""
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
    """A vendor's code for a log line. A code with unusual characters is replaced, so that it cannot forge a line."""
    return text if _PRINTABLE_CODE.fullmatch(text := str(code)) else "unprintable"


def by_status(status: int, headers: Mapping[str, str]) -> Failure | None:
    """The failure for an HTTP status if the reply has no vendor's code; ``None`` for 2xx."""
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
    Seconds that the vendor asks us to wait; ``None`` without a valid header.

    If Retry-After is a date, the reply's own Date is subtracted, so that only the vendor's clock counts.
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
