"""
How a source signs its calls, and what it tries when a signature is refused.

What a signature is made with is derived once and kept. When the vendor refuses it, the one explanation is a secret that
was changed and the other a clock that is wrong, so before every trial the files of the secrets are read again and the
vendor's clock, as the Date header of its replies tells it, is compared with ours. Every trial is signed anew even if
neither explains anything, and never with the very signature that was refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exporter.config import ConfigError, SourceConfig, reread_files
from exporter.model import Auth, Request, Stamp
from exporter.polling.caller import Exchange
from exporter.polling.clock import Clock
from exporter.polling.journal import Log
from exporter.vendors.http_date import http_date

_NOTABLE_SKEW: Final = 60.0


@dataclass(slots=True)
class ClockSkew:
    """
    How far our clock is from the vendor's.

    Args:
        skew: Our clock minus the vendor's in seconds; ``None`` if unknown.
        shift: The part of it that is taken off the stamps of calls.
    """

    skew: float | None = None
    shift: float = 0.0


class Signing:
    """
    Makes one source's requests.

    Args:
        skew: Where the clock's skew and the part of it that is taken off the stamps are kept.
    """

    def __init__(self, skew: ClockSkew, clock: Clock, log: Log) -> None:
        self._skew = skew
        self._clock = clock
        self._log = log
        self._auth: Auth | None = None
        self._refused: Auth | None = None
        self._unreadable: str | None = None

    def request(self, config: SourceConfig, rooms: Sequence[str]) -> Request:
        """The request that asks for these rooms, stamped and signed now."""
        stamp = Stamp(self._clock.unix() - self._skew.shift, self._clock.nonce())
        if self._auth is None or not self._auth.covers(stamp.time):
            self._auth = self._derived(config, stamp.time)
        return config.codec.request(config.source, self._auth, rooms, stamp)

    def forget(self) -> None:
        """Sign the next request with nothing that was derived before."""
        if self._auth is not None:
            self._refused, self._auth = self._auth, None

    def _derived(self, config: SourceConfig, time: float) -> Auth:
        auth = config.codec.authorize(config.source, time)
        if self._refused is not None and auth.token == self._refused.token:
            # Made in the same second, they are the same; one of a second ago is as good and another.
            earlier = config.codec.authorize(config.source, time - 1)
            return earlier if earlier.covers(time) else auth
        return auth

    async def mended(self, config: SourceConfig) -> SourceConfig:
        """The config with its secrets as the files hold them now; from now on stamps follow the vendor's clock."""
        self.forget()
        shift = self._wanted_shift()
        if self.skew_unheeded():
            self._skew.shift = shift
            self._tell_shift(shift)
        try:
            mended = await asyncio.to_thread(reread_files, config)
        except ConfigError as error:
            if str(error) != self._unreadable:
                self._log.warning("secrets cannot be read again", error=str(error))
            self._unreadable = str(error)
            return config
        self._unreadable = None
        return config if mended.source == config.source else mended

    def skew_unheeded(self) -> bool:
        """Whether stamps are more than a minute off the vendor's clock, as far as that is known."""
        return abs(self._wanted_shift() - self._skew.shift) > _NOTABLE_SKEW

    def measure_skew(self, came: Exchange) -> None:
        """Compare the clocks."""
        vendor = http_date(came.headers.get("date", ""))
        if vendor is not None:
            # The header is cut to the second, so on average the vendor's clock is half a second further.
            self._skew.skew = round(came.arrival.unix - vendor - 0.5, 1)

    def _wanted_shift(self) -> float:
        skew = self._skew.skew
        return skew if skew is not None and abs(skew) > _NOTABLE_SKEW else 0.0

    def _tell_shift(self, shift: float) -> None:
        if shift:
            self._log.warning(
                "signature refused and clock skew is large: stamping calls with the vendor's time", skew_seconds=shift
            )
        else:
            self._log.info("stamping calls with our own time again")
