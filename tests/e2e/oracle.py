"""
The oracle: is every number that a scrape shows one that the world held when the vendor was asked?

A reading is true if the world held its value at some moment between the sending of the call, less the API's own data
lag, and the arrival of the reply. When the call was sent is taken from the simulator's call log.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from tests.e2e.process import RoomSamples
from tests.e2e.vendors import Vendors

ON_THE_WAY = 0.1
"""Seconds that a request may take from our side of the loopback to the simulator's clock."""

_PAGE = 10_000


class Oracle:
    """
    Judges scrapes against the simulated vendors' world.
    """

    def __init__(self, vendors: Vendors) -> None:
        self._vendors = vendors
        self._asked: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._heard = 0

    async def violations(
        self, rooms: Mapping[tuple[str, str], RoomSamples], scraped: float, max_staleness: Mapping[str, float]
    ) -> list[str]:
        """
        What is wrong with the rooms of a scrape, in words.

        Args:
            scraped: Unix time at which the scrape was asked for.
            max_staleness: Seconds by source.
        """
        await self._listen()
        wrong = []
        for samples in rooms.values():
            if scraped - samples.read_at > max_staleness[samples.source]:
                wrong.append(f"{samples.api} {samples.room!r}: {scraped - samples.read_at:.1f} s old")
            elif fault := self._fault(samples):
                wrong.append(f"{samples.api} {samples.room!r}: {fault}")
        return wrong

    def _fault(self, samples: RoomSamples) -> str | None:
        world, read_at = self._vendors.world, samples.read_at
        sent = max((at for at in self._asked[samples.api, samples.room] if at <= read_at + 0.001), default=None)
        if sent is None:
            return "never asked for"
        lag = self._vendors.settings.refresh_of(samples.api)
        held = world.values(samples.api, samples.room, sent - lag - ON_THE_WAY, read_at)
        if samples.users not in held:
            return f"{samples.users} users, but the world held {sorted(held)}"
        exists = samples.values.get("rtc_room_exists")
        if exists == 0 and samples.users != 0:
            return f"{samples.users} users in a room that does not exist"
        return None

    async def _listen(self) -> None:
        while True:
            page = await self._vendors.get("calls", since=self._heard, limit=_PAGE)
            assert page["lost"] == 0, "the call log forgot calls before they were read"
            for call in page["calls"]:
                for room in call["rooms"]:
                    asked = self._asked[call["api"], room]
                    asked.append(call["received"])
                    del asked[:-20]
            self._heard = page["next"]
            if len(page["calls"]) < _PAGE:
                return


class Gaps:
    """
    The times between two readings of a room, as scrapes show them; each reading counts once.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], float] = {}
        self.by_api: dict[str, list[float]] = defaultdict(list)

    def see(self, rooms: Iterable[RoomSamples]) -> None:
        """Take in one scrape."""
        for samples in rooms:
            key = samples.source, samples.room
            last = self._last.get(key)
            if last is not None and samples.read_at > last:
                self.by_api[samples.api].append(samples.read_at - last)
            self._last[key] = samples.read_at
