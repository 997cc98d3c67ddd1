"""How much is measured: enough for a verdict, or a first look."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """
    Args:
        rooms: How many are served where nothing else is said.
        scrapes: Of a fast server; slower ones are scraped less often.
        seconds: For what is measured over time.
        rounds: How often that is measured where what the machine's host takes shows: the median counts, or the worst.
        churned: Rooms that are created and destroyed.
    """

    rooms: int = 100_000
    scrapes: int = 100
    seconds: float = 30.0
    rounds: int = 3
    churned: int = 1_000_000

    @property
    def changed(self) -> int:
        """Rooms that are read between two scrapes."""
        return self.rooms // 10


FULL = Scale()
QUICK = Scale(rooms=100_000, scrapes=12, seconds=8.0, rounds=1, churned=100_000)
