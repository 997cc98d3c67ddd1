"""
What bounds callbacks: token buckets, and the memory of those that were taken already.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MOST_SEEN: Final = 100_000
"""Some 25 MB. Two sources that get 50 callbacks a second each are remembered for 1,000 s, longer than any is valid."""


class TokenBucket:
    """
    So many a second, and a burst after a rest.

    Args:
        now: Monotonic seconds.
    """

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Whether there is a token; if so, it is taken."""
        self._tokens = min(self._burst, self._tokens + self._rate * max(0.0, now - self._at))
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Seen:
    """Which requests were taken: the latest ones, up to a number (LRU)."""

    def __init__(self, most: int = MOST_SEEN) -> None:
        self._most = most
        self._keys: OrderedDict[tuple[str, str], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, source: str, key: str) -> bool:
        """Remember a request; whether it is new."""
        known = (source, key) in self._keys
        self._keys[source, key] = None
        self._keys.move_to_end((source, key))
        if len(self._keys) > self._most:
            self._keys.popitem(last=False)
        return not known
