"""
HTTP basic authentication against bcrypt hashes.

bcrypt is slow by design: a comparison takes 60 ms at cost 10, and twice as long for each step above. So:

- Comparisons run in a thread, one at a time: guessing uses one core at most.
- Verdicts are cached: a scraper sends the same password every few seconds.
- At most 8 comparisons of one address wait: guesses from one address do not delay clients of other addresses for long.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Final

import bcrypt

from exporter.blocking import in_thread

CACHED: Final = 100
"""Number of cached verdicts."""
WAITING: Final = 64
"""Comparisons that wait or run, at most."""
WAITING_OF_ONE_ADDRESS: Final = 8

_LONGEST_PASSWORD: Final = 72
"""bcrypt uses so many bytes of a password. Longer passwords are cut, as htpasswd and Go do."""
_LONGEST_HEADER: Final = 8_190
_NOBODY: Final = b"$2b$%b$KIXQhrS1mPzcWbq4H0Nc1eT5Nn1hU0N1jQf1sYyq1G1pYy4o6hG2m"
"""Compared with the password of an unknown user, so that the time of the answer does not tell which users exist."""


class Verdict(Enum):
    """The result of checking a password."""

    ACCEPTED = auto()
    UNKNOWN = auto()
    TOO_MANY = auto()
    """Not checked: too many comparisons are waiting."""


class Passwords:
    """
    Checks passwords, and caches the results.

    Args:
        matches: Compares a password with a hash. Blocks.
    """

    def __init__(self, matches: Callable[[bytes, bytes], bool] = bcrypt.checkpw) -> None:
        self._matches = matches
        self._salt = secrets.token_bytes(32)
        self._one = asyncio.Lock()
        self._verdicts: dict[bytes, bool] = {}
        self._running: dict[bytes, asyncio.Task[bool | None]] = {}
        self._of_address: Counter[str] = Counter()

    def forget(self) -> None:
        """Forget all verdicts."""
        self._verdicts.clear()

    async def judge(self, authorization: str | None, users: Mapping[bytes, bytes], address: str) -> Verdict:
        """
        Check the header ``Authorization`` of a request.

        Args:
            users: Hashes by user name.
            address: IP address of the client.
        """
        credentials = _credentials(authorization)
        if credentials is None:
            return Verdict.UNKNOWN
        name, password = credentials
        known = name in users
        hashed = users[name] if known else _nobody(users)
        key = self._key(name, hashed, password)
        right = self._verdicts.get(key)
        if right is None:
            if key not in self._running and not self._room_for(address):
                return Verdict.TOO_MANY
            right = await asyncio.shield(self._comparison(key, hashed, password, address))
        if right is None:
            return Verdict.TOO_MANY
        return Verdict.ACCEPTED if known and right else Verdict.UNKNOWN

    def _key(self, *parts: bytes) -> bytes:
        """A digest of the parts. Each is preceded by its length: otherwise different parts could give the same text."""
        digest = hashlib.blake2b(key=self._salt, digest_size=32)
        for part in parts:
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()

    def _room_for(self, address: str) -> bool:
        return len(self._running) < WAITING and self._of_address[address] < WAITING_OF_ONE_ADDRESS

    def _comparison(self, key: bytes, hashed: bytes, password: bytes, address: str) -> asyncio.Task[bool | None]:
        """The running comparison for these credentials, or a new one."""
        if key not in self._running:
            self._running[key] = asyncio.create_task(self._compare(key, hashed, password))
            self._of_address[address] += 1
            self._running[key].add_done_callback(lambda _: self._ended(key, address))
        return self._running[key]

    async def _compare(self, key: bytes, hashed: bytes, password: bytes) -> bool | None:
        """Whether the password is right; ``None`` if no thread can be started."""
        async with self._one:
            try:
                verdict = await in_thread(self._matches, password[:_LONGEST_PASSWORD], hashed)
            except ValueError:  # bcrypt does not accept this password
                verdict = False
            except OSError:
                return None
        self._make_room()
        self._verdicts[key] = verdict
        return verdict

    def _ended(self, key: bytes, address: str) -> None:
        del self._running[key]
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]

    def _make_room(self) -> None:
        """Drop the oldest verdict, of a wrong password if there is one: guesses must not evict a scraper."""
        if len(self._verdicts) >= CACHED:
            oldest = next((key for key, right in self._verdicts.items() if not right), next(iter(self._verdicts)))
            del self._verdicts[oldest]


def cost(hashed: bytes) -> int:
    """The cost of a bcrypt hash; each step doubles the time."""
    return int(hashed[4:6])


def _nobody(users: Mapping[bytes, bytes]) -> bytes:
    return _NOBODY % b"%02d" % min(map(cost, users.values()))


def _credentials(authorization: str | None) -> tuple[bytes, bytes] | None:
    """User name and password in the header; ``None`` if it has none."""
    if authorization is None or len(authorization) > _LONGEST_HEADER:
        return None
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    name, colon, password = decoded.partition(b":")
    return (name, password) if colon else None
