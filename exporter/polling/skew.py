"""
The vendor's clock beside ours, as far as the Date headers of its replies tell, and the time that calls are stamped
with.

Vendors refuse stamps that are minutes off. Calls are stamped with our own time until a signature is refused while the
clocks differ by over a minute; from then on with the vendor's time, until the clocks agree again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exporter.vendors.http_date import http_date

NOTABLE_SKEW: Final = 60.0
_GREATEST_SKEW: Final = 25 * 3600.0


class ClockSkew:
    """
    One source's view of the vendor's clock.

    Attributes:
        skew: Our clock minus the vendor's in seconds, ± 1 s; ``None`` before a reply told.
        shift: Seconds that are taken off the stamps of calls.
    """

    def __init__(self) -> None:
        self.skew: float | None = None
        self.shift = 0.0
        self._following = False

    def measure(self, headers: Mapping[str, str], arrived: float) -> bool:
        """
        Compare the clocks.

        Args:
            arrived: Unix seconds at which the reply arrived.

        Returns:
            Whether calls were stamped with the vendor's time and are no longer, since the clocks agree.
        """
        date = http_date(headers.get("date", ""))
        if date is None or abs(arrived - date) > _GREATEST_SKEW:
            return False
        # The header is cut to the second, so on average the vendor's clock is half a second further.
        self.skew = round(arrived - date - 0.5, 1)
        followed, self._following = self._following, self._following and self.notable
        self.shift = self.skew if self._following else 0.0
        return followed and not self._following

    def follow(self) -> bool:
        """
        A signature was refused: stamp calls with the vendor's time from now on, if the clocks differ notably.

        Returns:
            Whether stamps are other than before.
        """
        if self._following or not self.notable:
            return False
        self._following = True
        self.shift = self.skew or 0.0
        return True

    def drop(self) -> None:
        """Nothing can be signed with this shift: stamp calls with our own time."""
        self._following = False
        self.skew = None
        self.shift = 0.0

    @property
    def notable(self) -> bool:
        """Whether the clocks differ by over a minute."""
        return self.skew is not None and abs(self.skew) > NOTABLE_SKEW
