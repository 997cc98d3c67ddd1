"""Remembers the nonces that a vendor has seen."""

from exporter.simulator.clock import Clock

REMEMBERED_FOR = 1200.0
"""Seconds. Timestamps are accepted from ten minutes back to ten minutes ahead, so a replay is possible for twenty."""

MOST = 500_000
"""Most nonces in one generation: a flood makes nonces be forgotten earlier, instead of using up memory."""


class Nonces:
    """The used nonces of one app, in two generations: each is remembered for 20 to 40 minutes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._young: set[int] = set()
        self._old: set[int] = set()
        self._born = clock.monotonic()

    def spend(self, nonce: int) -> bool:
        """Use a nonce. Returns whether it was new."""
        now = self._clock.monotonic()
        if now - self._born >= REMEMBERED_FOR or len(self._young) >= MOST:
            self._old = self._young if now - self._born < 2 * REMEMBERED_FOR else set()
            self._young, self._born = set(), now
        if nonce in self._young or nonce in self._old:
            return False
        self._young.add(nonce)
        return True
