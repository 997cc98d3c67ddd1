"""
Parses the dates of HTTP headers: Date and Retry-After.

Source: RFC 9110, section 5.6.7.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

_FIRST_OF_9999: Final = 253_370_764_800.0
"""Unix seconds. Python's calendar ends with the year 9999, so a later date would leave no room for additions."""


@lru_cache(maxsize=64)  # many replies have the same date
def http_date(text: str) -> float | None:
    """
    Unix seconds of a date such as ``Tue, 14 Nov 2023 22:13:20 GMT``.

    Returns:
        ``None`` if the text is not a date, has no time zone (C's ``asctime`` form and ``-0000``), or is not from 1970
        to 9998.
    """
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        return None
    seconds = moment.timestamp()
    return seconds if 0 <= seconds < _FIRST_OF_9999 else None
