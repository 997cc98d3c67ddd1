"""
Lists of users, ready-made.

A vendor's reply may name thousands of users, and nobody here reads them. User ids are all equally long, so a list of
any length is a slice of one long text.
"""

from functools import lru_cache

import msgspec

LONGEST = 100_000
"""Users that one list can name."""


def prepare() -> None:
    """Make the text now: in the middle of a call it would hold every other call up, and bunch them in one second."""
    _all_ids()


def ids(first: int, last: int) -> msgspec.Raw:
    """A JSON array of the ids of users `first` to `last` - 1."""
    width = len(_user(0)) + 3
    return msgspec.Raw(b"[" + _all_ids()[width * first : max(width * last - 1, width * first)] + b"]")


def objects(*fields: str, first: int, last: int, reverse_of: int | None = None) -> list[dict[str, str]]:
    """
    A list of objects that each carry a user's id in every one of these fields.

    Args:
        reverse_of: The room's number of users, to list them from the last to the first.
    """
    numbers = range(first, last) if reverse_of is None else range(reverse_of - first - 1, reverse_of - last - 1, -1)
    return [dict.fromkeys(fields, _user(number)) for number in numbers]


def _user(number: int) -> str:
    return f"user_{number:05d}"


@lru_cache(maxsize=1)
def _all_ids() -> bytes:
    return "".join(f'"{_user(number)}",' for number in range(LONGEST)).encode()
