"""
Bodies and queries of callbacks, read strictly: what can be understood in two ways is not understood at all.

Two programs that read one text differently are how a check is passed with one value and something is done with
another. So a key that stands twice is refused, as are ``NaN``, bytes that are not UTF-8, and more than 16 levels.
Numbers stay text as they were sent: a room's session id is larger than a float can hold, and a signature covers the
digits that were sent.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from exporter.vendors.source import has_control_character

DEEPEST: Final = 16
LONGEST_ROOM_ID: Final = 512
"""Bytes. What an API accepts is shorter, and is checked where rooms are added; this bounds what waits until then."""

_MOST_FIELDS: Final = 200
_MOST_PIECES: Final = 5_000
"""Objects and lists. A body of 64 KiB that names each member of a group in one has some 1,500."""
_NOW_IN_MILLISECONDS: Final = 10**11
"""A timestamp above it is in milliseconds: as seconds it would be of the year 5138."""

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_DIGITS: Final = re.compile(r"[0-9]{1,17}", re.ASCII)


class Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


class _RefusedError(ValueError):
    """The text can be read in more than one way."""


def read_object(text: str | bytes) -> Mapping[str, Any] | None:
    """The JSON object that a text is; ``None`` if it is none, or not one that we take."""
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        if not _is_modest(decoded):
            return None
        document = json.loads(
            decoded, object_pairs_hook=_once, parse_int=Number, parse_float=Number, parse_constant=_no_number
        )
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def read_form(text: str | bytes) -> Mapping[str, str] | None:
    """The fields of a form or a query, decoded; ``None`` if one stands twice, or is no text."""
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        pairs = parse_qsl(decoded, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
        return _once(pairs)
    except ValueError:
        return None


def text_of(document: Mapping[str, Any], key: str) -> str | None:
    """A string, or a number as it was written; ``None`` if there is neither."""
    value = document.get(key)
    return value if isinstance(value, str) and _encodable(value) else None


def room_of(document: Mapping[str, Any], key: str) -> str | None:
    """A room id; ``None`` if there is none that can be one."""
    value = document.get(key)
    if not isinstance(value, str) or isinstance(value, Number) or not value or has_control_character(value):
        return None
    return value if len(value.encode()) <= LONGEST_ROOM_ID else None


def number_of(document: Mapping[str, Any], key: str) -> int | None:
    """A whole number of 0 or more that is small enough to be a time, as JSON number or as text."""
    value = document.get(key)
    return int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else None


def milliseconds(document: Mapping[str, Any], key: str) -> float | None:
    """Unix seconds of a time in milliseconds."""
    value = number_of(document, key)
    return value / 1000 if value else None


def unix_time(document: Mapping[str, Any], key: str) -> float | None:
    """Unix seconds of a time in seconds or, as vendors' pages contradict each other, milliseconds."""
    value = number_of(document, key)
    if value is None:
        return None
    return value / 1000 if value > _NOW_IN_MILLISECONDS else float(value)


def is_signed(signature: str | None, parts: Sequence[str], secrets: Sequence[str], algorithm: str) -> bool:
    """
    Whether a signature is the hash of these parts and one of the secrets, in the order of their bytes.

    Args:
        signature: Lower-case hex as it was sent. Another spelling of the same number is no signature.
    """
    return matches(signature, (hashed(algorithm, sorted(_bytes([*parts, secret]))) for secret in secrets if secret))


def matches(signature: str | None, expected: Iterable[str]) -> bool:
    """Whether a signature is one of these, in a time that does not tell how much of it is right."""
    if signature is None or not signature.isascii():
        return False
    found = [len(signature) == len(each) and hmac.compare_digest(signature, each) for each in expected]
    return any(found)


def hashed(algorithm: str, parts: Iterable[bytes]) -> str:
    return hashlib.new(algorithm, b"".join(parts), usedforsecurity=False).hexdigest()


def replay_key(*parts: str | bytes) -> str:
    """A short name for a request that holds these parts."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _bytes(parts: Iterable[str]) -> list[bytes]:
    return [part.encode(errors="surrogatepass") for part in parts]


def _is_modest(text: str) -> bool:
    """Whether it has no more levels and pieces than a vendor sends, by its brackets outside texts."""
    depth = pieces = 0
    for token in _TOKEN.finditer(text):
        char = token[0][0]
        if char in "[{":
            depth += 1
            pieces += 1
            if depth > DEEPEST or pieces > _MOST_PIECES:
                return False
        elif char in "]}":
            depth -= 1
    return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise _RefusedError
    return document


def _no_number(_text: str) -> object:
    raise _RefusedError


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
