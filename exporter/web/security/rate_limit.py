"""A token bucket."""

from __future__ import annotations

from collections.abc import Callable


class TokenBucket:
    """
    Allows ``burst`` requests at once, and one more every ``interval``.

    Args:
        interval: Seconds.
        burst: Capacity of the bucket, which starts full. 0 refuses every request, as in the exporter-toolkit.
        monotonic: Returns monotonic seconds.
    """

    def __init__(self, interval: float, burst: int, monotonic: Callable[[], float]) -> None:
        self._interval = interval
        self._burst = float(burst)
        self._monotonic = monotonic
        self._tokens = float(burst)
        self._since = monotonic()

    def take(self) -> bool:
        """Take a token, if there is one."""
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._since) / self._interval)
        self._since = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
