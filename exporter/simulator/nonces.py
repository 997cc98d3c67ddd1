"""Nonces that a vendor has seen."""

from exporter.simulator.clock import Clock

REMEMBERED_FOR = 1200.0
"""Seconds. A timestamp is accepted ten minutes either way, so a nonce could be played back for twenty."""

MOST = 500_000
"""Nonces in one generation; a flood beyond it shortens the memory instead of filling the machine's."""


class Nonces:
    """The used nonces of one app, in two generations: each is remembered for 20 minutes at least, 40 at most."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._young: set[int] = set()
        self._old: set[int] = set()
        self._born = clock.monotonic()

    def spend(self, nonce: int) -> bool:
        """Whether the nonce is new; it is used from now on."""
        now = self._clock.monotonic()
        if now - self._born >= REMEMBERED_FOR or len(self._young) >= MOST:
            self._old = self._young if now - self._born < 2 * REMEMBERED_FOR else set()
            self._young, self._born = set(), now
        if nonce in self._young or nonce in self._old:
            return False
        self._young.add(nonce)
        return True
