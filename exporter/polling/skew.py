"""
The difference between the vendor's clock and ours, and the time with which calls are stamped.

Theory of operation
===================

**Problem.** A signature covers the time of the call. Vendors refuse a time that is minutes away from their own clock,
ZEGO for instance more than ten minutes. A machine whose clock is wrong would get no reading at all.

**Idea.** Each reply has a ``Date`` header, so each reply, also a refusal, tells the vendor's time. The skew is the
arrival time minus that date, minus half a second, since the header leaves out fractions of a second. Calls are stamped
with our own time until the vendor refuses a signature while the skew is over 60 s. From then on they are stamped with
the vendor's time (our time minus the skew of the latest reply), until the skew is 60 s or less.

Worked example: our clock is 12 minutes ahead. A refusal arrives at 12:12:00.3 of our clock with ``Date`` 12:00:00. The
skew is 720.3 - 0.5 = 719.8 s. The next call, at 12:12:05 of our clock, is stamped with 12:00:05. Later somebody sets
our clock right. The next reply shows a skew near 0, and calls are stamped with our own time again.

**Why simpler is not enough.** To stamp every call with the vendor's time would make each call depend on a header that
any proxy can set. A wrong ``Date`` would then break signatures that our own clock makes right.

**When this is wrong.** The skew is known to about 1 s, and a slow way back adds to it. A proxy or gateway may write its
own ``Date``. A date over 25 hours away is taken for nonsense and ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exporter.vendors.http_date import http_date

NOTABLE_SKEW: Final = 60.0
_GREATEST_SKEW: Final = 25 * 3600.0


class ClockSkew:
    """
    The clock of one source's vendor.

    Attributes:
        skew: Our clock minus the vendor's in seconds, ± 1 s; ``None`` before the first reply with a date.
        shift: Seconds to subtract from our time to stamp a call; 0 unless calls follow the vendor's clock.
    """

    def __init__(self) -> None:
        self.skew: float | None = None
        self.shift = 0.0
        self._following = False

    def measure(self, headers: Mapping[str, str], arrived: float) -> bool:
        """
        Compare the clocks by a reply.

        Args:
            headers: Of the reply; their names in lower case, or in a mapping that ignores case.
            arrived: Unix seconds at which the reply arrived.

        Returns:
            Whether calls go back to our own time because the clocks agree again.
        """
        date = http_date(headers.get("date", ""))
        if date is None or abs(arrived - date) > _GREATEST_SKEW:
            return False
        # The header leaves out fractions of a second: on average, the vendor's clock is half a second ahead of it.
        self.skew = round(arrived - date - 0.5, 1)
        followed, self._following = self._following, self._following and self.notable
        self.shift = self.skew if self._following else 0.0
        return followed and not self._following

    def follow(self) -> bool:
        """
        The vendor refused a signature: follow the vendor's clock if the clocks differ by over a minute.

        Returns:
            Whether this changed how calls are stamped.
        """
        if self._following or not self.notable:
            return False
        self._following = True
        self.shift = self.skew or 0.0
        return True

    def drop(self) -> None:
        """The vendor's time makes signing fail: stamp calls with our own time again."""
        self._following = False
        self.skew = None
        self.shift = 0.0

    @property
    def notable(self) -> bool:
        """Whether the clocks differ by over a minute."""
        return self.skew is not None and abs(self.skew) > NOTABLE_SKEW
