"""
How a source signs its calls, and how it reacts when the vendor refuses a signature.

The key material of a signature is derived once and reused. If the vendor refuses a signature, either the secret was
changed or a clock is wrong. So the source reads the files of its secrets again, and stamps calls with the vendor's time
if the clocks differ (see ``skew``). Each trial is signed anew in any case, and never with the token that was refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from exporter.blocking import in_thread
from exporter.clock import Clock
from exporter.config import ConfigError, SourceConfig, reread_files
from exporter.logs import Log
from exporter.model import Auth, Request, Stamp
from exporter.polling.client import Response
from exporter.polling.skew import ClockSkew

_Signed = TypeVar("_Signed")

_READ_WITHIN: Final = 5.0
_FIRST_GAP: Final = 30.0
_LONGEST_GAP: Final = 3_600.0


class Signing:
    """
    Makes one source's requests.

    Attributes:
        skew: How far our clock is ahead of the vendor's.
    """

    def __init__(self, clock: Clock, log: Log) -> None:
        self.skew = ClockSkew()
        self._clock = clock
        self._log = log
        self._auth: Auth | None = None
        self._refused: Auth | None = None
        self._unreadable: str | None = None
        self._reading: asyncio.Task[SourceConfig | str] | None = None
        self._read_again_at = self._gap = 0.0

    def request(self, config: SourceConfig, rooms: Sequence[str]) -> Request:
        """A request for these rooms, stamped and signed now."""
        return self.sign(config, lambda auth, stamp: config.codec.request(config.source, auth, rooms, stamp))

    def sign(self, config: SourceConfig, make: Callable[[Auth, Stamp], _Signed]) -> _Signed:
        """Any other request of this source, stamped and signed now."""
        try:
            return self._signed(config, make)
        except Exception:
            if not self.skew.shift:
                raise
            self._log.warning(
                "signing failed with the vendor's time: stamping calls with our own time", skew_seconds=self.skew.shift
            )
            self.skew.drop()
            return self._signed(config, make)

    def _signed(self, config: SourceConfig, make: Callable[[Auth, Stamp], _Signed]) -> _Signed:
        stamp = Stamp(self._clock.unix() - self.skew.shift, self._clock.nonce())
        if self._auth is None or not self._auth.covers(stamp.time):
            self._auth = self._derived(config, stamp.time)
        return make(self._auth, stamp)

    def refused(self) -> bool:
        """
        The vendor refused a signature: sign the next request with a new token, and check the clocks.

        Returns:
            Whether calls follow the vendor's clock from now on, so that a trial at once may succeed.
        """
        if self._auth is not None:
            self._refused, self._auth = self._auth, None
        follows = self.skew.follow()
        if follows:
            self._log.warning(
                "signature refused and clock skew is large: stamping calls with the vendor's time",
                skew_seconds=self.skew.shift,
            )
        return follows

    def renew(self) -> None:
        """The secrets have changed: derive a new token for the next request."""
        self._auth = self._refused = None

    def measure(self, response: Response) -> None:
        """Compare the vendor's clock with ours by this reply."""
        if self.skew.measure(response.headers, response.arrival.unix):
            self._log.info("stamping calls with our own time again")

    async def reread(self, config: SourceConfig) -> SourceConfig:
        """
        Read the files of the secrets and certificates again.

        Returns:
            The config with their present contents. The same config if a file cannot be read within five seconds.

        While a file hangs, another thread tries again after 30 s, 60 s, … up to an hour, since the hanging file may
        have been replaced.
        """
        now = self._clock.monotonic()
        hangs = self._reading is not None and not self._reading.done()
        if hangs and now < self._read_again_at:
            return config
        self._gap = min(2 * self._gap, _LONGEST_GAP) if hangs else _FIRST_GAP
        self._read_again_at = now + self._gap
        reading = self._reading = asyncio.create_task(_read_again(config))
        await asyncio.wait({reading}, timeout=_READ_WITHIN)
        result = reading.result() if reading.done() else f"a file cannot be read within {_READ_WITHIN:g} s"
        if isinstance(result, SourceConfig):
            self._unreadable = None
            return result
        if result != self._unreadable:
            self._log.warning("secrets cannot be read again", error=result)
        self._unreadable = result
        return config

    def _derived(self, config: SourceConfig, time: float) -> Auth:
        auth = config.codec.authorize(config.source, time)
        if self._refused is not None and auth.token == self._refused.token:
            # Two tokens of the same second are equal. A token of the second before is valid too, and differs.
            earlier = config.codec.authorize(config.source, time - 1)
            return earlier if earlier.covers(time) else auth
        return auth


async def _read_again(config: SourceConfig) -> SourceConfig | str:
    """Returns an error as text instead of raising it, since nobody may be waiting any more."""
    try:
        return await in_thread(reread_files, config)
    except (ConfigError, OSError) as error:
        return str(error)
