"""
Lists that lag, skip, repeat, lie, fail and end nowhere: the whole exporter in virtual time, API by API.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.polling.house import EPOCH, House, source, worst_window
from tests.polling.listing_vendor import LIMITS, ListingVendor, Trap, broken, busy, down, garbled
from tests.polling.virtual_time import in_virtual_time

APIS = ("zego_rtc", "tencent_im", "tencent_live", "volcengine_rtc")
HOUR = 3_600.0
OPEN = 24
"""Rooms at the beginning: several pages where they are short."""

INTERVAL, POLL, LINGER = 20.0, 20.0, 10.0
HEARTBEATS = 110.0


class Watcher:
    """
    A world that opens and closes rooms, an exporter that has only the list to find them, and somebody who compares.
    """

    def __init__(self, api: str, exporter: House, vendor: ListingVendor, seed: int = 3) -> None:
        self.api, self.exporter, self.vendor = api, exporter, vendor
        self.seen: dict[int, float] = {}
        self.gone: dict[int, float] = {}
        self.faults: list[str] = []
        self._dice = random.Random(seed)
        self._names = (f"room-{number}" for number in range(10**6))
        self._shown: set[str] = set()
        self._closed: deque[str] = deque(maxlen=50)

    @property
    def shown(self) -> set[str]:
        """The rooms of a scrape, the operator's own left out."""
        return {*self.exporter.tables[self.api]} - {"own"}

    def begin(self, rooms: int) -> None:
        """So many rooms are open already, for up to an hour."""
        for _ in range(rooms):
            self.vendor.open(next(self._names), EPOCH + self.exporter.now - self._dice.uniform(60, HOUR))

    async def live(self, seconds: int, opens: float = 0.3) -> None:
        """So many rooms open and close a second; one in five of them had been open before."""
        for _ in range(seconds):
            if self._dice.random() < opens:
                again = self._closed and self._dice.random() < 0.2
                self.vendor.open(self._closed.popleft() if again else next(self._names))
                ended = self._dice.choice([*self.vendor.rooms()])
                self.vendor.close(ended)
                self._closed.append(ended)
            await self.exporter.passes(1)
            self.look()

    def look(self) -> None:
        """Hold a scrape against the world."""
        now, shown, rooms = EPOCH + self.exporter.now, self.shown, self.vendor.rooms()
        ever = {life.room for life in self.vendor.lives}
        self.faults += [f"{room} never was" for room in shown - ever]
        for life in rooms.values():
            if life.room in shown and life.number not in self.seen:
                # Of a room that is opened again while its end is still shown, nobody can know before the next pass.
                if not self._reopened(life.room) or now > life.opened + INTERVAL + POLL:
                    self.seen[life.number] = now
            elif life.room in shown:
                continue
            elif life.number in self.seen:
                self.faults.append(f"{life.room} is lost")
        for life in self.vendor.lives:
            if life.closed <= now and life.room not in shown and life.room not in rooms:
                self.gone.setdefault(life.number, now)
        assert "own" in self.exporter.tables[self.api]

    def late(self, bound: float) -> list[str]:
        """Rooms that were open for so many seconds while the exporter ran, and were not published within them."""
        found = []
        for life in self.vendor.lives[1:]:
            due = max(EPOCH, life.opened) + bound + (INTERVAL + POLL if self._reopened(life.room) else 0)
            if min(life.closed, EPOCH + self.exporter.now) > due < self.seen.get(life.number, math.inf):
                found.append(life.room)
        return found

    def staying(self, bound: float) -> list[str]:
        """Rooms that closed and were still published so many seconds later, unless they were opened again before."""
        now = EPOCH + self.exporter.now
        return [
            life.room
            for life in self.vendor.lives
            if life.number in self.seen
            and life.closed + bound < now
            and not self._reopened(life.room)
            and self.gone.get(life.number, math.inf) > life.closed + bound
        ]

    def _reopened(self, room: str) -> bool:
        return len([life for life in self.vendor.lives if life.room == room]) > 1

    def judge(self) -> None:
        """What must hold whatever a list does."""
        assert [] == self.faults
        assert [] == self.vendor.offences
        limit = LIMITS[self.api] / 2
        burst = math.ceil(limit)
        assert burst >= worst_window(self.vendor.listed, burst / limit + 0.02)


@asynccontextmanager
async def watching(api: str, trap: Trap, **keys: Any) -> AsyncIterator[Watcher]:
    """The exporter in front of this list, with a room of its config that is always there."""
    settings = {"vendor_list": {"interval": f"{INTERVAL:g}s"}, "linger": f"{LINGER:g}s", "max_rooms": 2_000, **keys}
    house = House(source(api, ["own"], interval=f"{POLL:g}s", discovery=settings))
    vendor = ListingVendor(api, lambda: EPOCH + house.now)
    vendor.trap = trap
    vendor.open("own", EPOCH - HOUR)
    house.vendor.answer = lambda call: vendor.answer(call.request.target, call.request.body)
    watcher = Watcher(api, house, vendor)
    watcher.begin(OPEN)
    async with house:
        yield watcher


def gone_within(api: str) -> float:
    """Seconds until a closed room must be gone, once the list was read as a whole or a minute is over."""
    return LINGER + 2 * POLL + 3 + (HEARTBEATS if api == "zego_rtc" else 0)


TRAPS = {
    "well": Trap(short=9),
    "lags": Trap(lag=30, short=9),
    "moves": Trap(moves=True, short=9),
    "total too high": Trap(total=7, short=9),
    "total too low": Trap(total=-7, short=9),
    "empty page": Trap(empty=2, short=9),
    "endless": Trap(endless=True, short=9),
    "busy": Trap(fails={0: busy}, chance=0.4, short=9),
    "one page is down": Trap(fails={2: down}, short=9),
    "some pages are garbled": Trap(fails={0: garbled}, chance=0.3, short=9),
    "some connections break": Trap(fails={0: broken}, chance=0.3, short=9),
    "all is down": Trap(fails={0: down}),
    "blind": Trap(blind=True, short=9),
    "narrow": Trap(most=20, short=9),
}
HIDING = {"one page is down", "all is down", "blind", "moves"}
"""Traps that keep rooms from being listed for longer than one interval."""
BY_NUMBER = {"zego_rtc", "volcengine_rtc"}
"""Their pages have numbers, so that what is on an empty page, or behind the total, is not to be had."""
SLOW = {"busy", "some pages are garbled", "some connections break"}
"""Traps that make a pass longer."""


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("trap", TRAPS)
@in_virtual_time
async def test_a_list_that_cannot_be_trusted(api: str, trap: str) -> None:
    """
    No room is shown that never was, none that is open is lost, those that close are gone in time, no limit is exceeded,
    and what the list names is published soon after.
    """
    at_fault = TRAPS[trap]
    async with watching(api, at_fault, forget_after="1m") as world:
        await world.live(220)
        await world.live(30, opens=0)
        world.judge()
        figures = world.exporter.telemetry.discovery(api)
        assert figures
        lag = at_fault.lag + (20 if api == "volcengine_rtc" else 0)
        if api != "zego_rtc" or figures.refreshes["vendor_list", "complete"] > 1:
            # An empty room of ZEGO's is kept until a whole list lacks it.
            assert [] == world.staying(max(60, gone_within(api)) + lag)
        soon = INTERVAL + 20 + lag
        soon += INTERVAL if api == "zego_rtc" else 0  # two passes must name an empty room
        soon += 40 if api == "tencent_im" else 0  # a page takes two seconds
        soon += 60 if trap in SLOW else 0
        if trap not in HIDING and (api not in BY_NUMBER or trap not in ("empty page", "total too low")):
            assert [] == world.late(soon)
        assert world.seen or trap == "all is down"


@in_virtual_time
async def test_a_list_that_is_activated_an_hour_later() -> None:
    """
    ZEGO is asked twice in that hour, it is told once, and then every room is found.
    """
    async with watching("zego_rtc", Trap(closed_until=EPOCH + HOUR - 100)) as world:
        for _ in range(6):
            await world.exporter.passes(595)
            assert set() == world.shown
        assert 1 == len(world.vendor.listed)
        await world.exporter.passes(120)
        assert {*world.vendor.rooms()} - {"own"} == world.shown
    events = [line.event for line in world.exporter.log.lines]
    assert [1, 1, 0] == [
        events.count(event)
        for event in ("rooms cannot be listed", "rooms can be listed again", "list not complete, the last one counts")
    ]


@in_virtual_time
async def test_more_calls_than_volcengine_lists() -> None:
    """
    A day of six hundred calls, of which it lists at most twenty of a span, with a hundred of them within ten minutes:
    the span is halved until every call is listed, and the pass is complete.
    """
    async with watching("volcengine_rtc", Trap(most=20)) as world:
        for number in range(600):
            opened = EPOCH - (600 * number / 100 if number < 100 else 140 * number)
            world.vendor.open(f"call-{number}", opened)
            if number % 10:
                world.vendor.close(f"call-{number}")
        await world.exporter.passes(120)
        world.look()
        world.judge()
        figures = world.exporter.telemetry.discovery("volcengine_rtc")
        assert figures
        assert 1 == figures.refreshes["vendor_list", "complete"]
        assert 0 == figures.refreshes["vendor_list", "failed"]
        assert {*world.vendor.rooms()} - {"own"} == world.shown


@in_virtual_time
async def test_a_room_of_volcengine_that_is_opened_again() -> None:
    """
    It has a new call under the same id: it is published again once the list names that call and a poll confirms it, and
    not before. The ended calls of the same id do no harm.
    """
    async with watching("volcengine_rtc", Trap()) as world:
        world.vendor.open("again")
        await world.exporter.passes(60)
        for _ in range(3):
            assert "again" in world.shown
            world.vendor.close("again")
            await world.exporter.passes(80)
            assert "again" not in world.shown
            world.vendor.open("again")
            await world.exporter.passes(15)
            assert "again" not in world.shown
            await world.exporter.passes(45)
        assert "again" in world.shown
        world.judge()


@pytest.mark.parametrize("api", APIS)
@in_virtual_time
async def test_a_limit_that_others_use_up(api: str) -> None:
    """
    While every list call is refused the list's pace falls and nothing is lost; once the others are gone it comes back.
    """
    async with watching(api, Trap(short=9)) as world:
        await world.live(60)
        (budget,) = [each for name, each in world.exporter.telemetry.budgets.items() if ".list" in name]
        full = budget.pace
        world.vendor.trap = Trap(fails={0: busy})
        before = len(world.vendor.listed)
        await world.live(120)
        assert budget.pace < full
        assert len(world.vendor.listed) - before < 60
        world.vendor.trap = Trap(short=9)
        await world.live(60)
        await world.live(60, opens=0)
        world.judge()
        assert {*world.vendor.rooms()} - {"own"} <= world.shown
