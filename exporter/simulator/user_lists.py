"""
Prepared lists of users.

A vendor's reply may list thousands of users, and nobody reads them. All user ids have the same length, so a list of any
length is a slice of one long text.
"""

from functools import lru_cache

import msgspec

LONGEST = 100_000
"""Most users in one list."""


def prepare() -> None:
    """Make the text now: during a call, it would delay all other calls, and move them into the same second."""
    _all_ids()


def ids(first: int, last: int) -> msgspec.Raw:
    """A JSON array of the ids of users `first` to `last` - 1."""
    width = len(_user(0)) + 3
    return msgspec.Raw(b"[" + _all_ids()[width * first : max(width * last - 1, width * first)] + b"]")


def objects(*fields: str, first: int, last: int, reverse_of: int | None = None) -> list[dict[str, str]]:
    """
    A list of objects; each has the id of one user in all these fields.

    Args:
        reverse_of: The room's number of users, to list them in reverse order.
    """
    numbers = range(first, last) if reverse_of is None else range(reverse_of - first - 1, reverse_of - last - 1, -1)
    return [dict.fromkeys(fields, _user(number)) for number in numbers]


def _user(number: int) -> str:
    return f"user_{number:05d}"


@lru_cache(maxsize=1)
def _all_ids() -> bytes:
    return "".join(f'"{_user(number)}",' for number in range(LONGEST)).encode()
