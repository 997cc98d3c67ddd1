"""
What the oracle takes for true, and what it does not.
"""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from exporter.simulator import SEVERAL_APPS, Clock, Settings, Worlds
from tests.e2e.call_book import Budget, CallBook
from tests.e2e.disturbances import Span
from tests.e2e.oracle import Oracle, Timeline, Watched
from tests.e2e.process import RoomSamples
from tests.e2e.vendors import Vendors

FIRST, SECOND = SEVERAL_APPS.ids()["zego"]


class Log:
    """
    The vendors without a process: their settings, their worlds, and a call log that tests write.
    """

    def __init__(self) -> None:
        self.settings = Settings(apps=SEVERAL_APPS, rooms={})
        self.now = 1_000.0
        self.worlds = Worlds(self.settings, Clock(time=lambda: self.now))
        self.calls = CallBook(self._page)
        self._entries: list[dict[str, Any]] = []

    def answer(self, app: str, *, took: float = 0.01, room: str = "lobby") -> None:
        """
        A call of this app that was received now is answered so many seconds later.
        """
        self._entries.append(
            {
                "api": "zego_rtc",
                "app": app,
                "limit": "zego_rtc",
                "holder": app,
                "received": self.now,
                "received_monotonic": self.now,
                "answered": self.now + took,
                "counts": [{"room": room}],
            }
        )
        self.now += took

    async def _page(self, _: str, since: int, limit: int) -> dict[str, Any]:
        calls = self._entries[since : since + limit]
        return {"lost": 0, "calls": calls, "next": since + len(calls)}


@pytest.fixture
def log():
    """
    The lobby holds 5 users in the first app and 8 in the second.
    """
    log = Log()
    log.worlds.of("zego_rtc", FIRST).set("zego_rtc", "lobby", 5)
    log.worlds.of("zego_rtc", SECOND).set("zego_rtc", "lobby", 8)
    log.now += 100
    return log


def watching(app: str, *rooms: str) -> Watched:
    """
    A source of `zego_rtc` that asks this app.
    """
    return Watched("zego_rtc", app, frozenset(rooms or ("lobby",)), max_staleness=30.0, timeout=2.0)


async def judged(log: Log, timeline: Timeline, users: int, *, read_at: float | None = None, scraped: float = 0.0):
    """
    What is wrong with a scrape that shows so many users in the lobby.
    """
    read_at = log.now if read_at is None else read_at
    values = {"rtc_room_users": float(users), "rtc_room_reading_timestamp_seconds": read_at}
    rooms = {("s", "lobby"): RoomSamples("zego_rtc", "s", "lobby", values)}
    at = scraped or log.now
    return await Oracle(cast(Vendors, log), timeline).violations(rooms, at, at + 0.01)


async def test_a_number_that_the_app_told_is_true(log):
    """
    What the asked app held when it answered passes, and any other number does not.
    """
    log.answer(FIRST)

    assert [] == await judged(log, Timeline({"s": watching(FIRST)}), 5)
    (fault,) = await judged(log, Timeline({"s": watching(FIRST)}), 6)
    assert f"but app {FIRST} held [[5]] users" in fault


async def test_another_apps_number_is_false(log):
    """
    The same room's number in another app is false, even if that app was asked at the same moment.
    """
    log.answer(FIRST)
    log.answer(SECOND)

    assert [] == await judged(log, Timeline({"s": watching(SECOND)}), 8)
    (fault,) = await judged(log, Timeline({"s": watching(SECOND)}), 5)
    assert f"app {SECOND} held [[8]] users" in fault


async def test_a_number_that_nobody_asked_this_app_for_is_false(log):
    """
    A right guess is no reading: calls to other apps and calls that ended long ago do not vouch for it.
    """
    log.worlds.of("zego_rtc", SECOND).set("zego_rtc", "lobby", 5)
    log.answer(SECOND)
    (fault,) = await judged(log, Timeline({"s": watching(FIRST)}), 5)
    assert f"app {FIRST} was not asked" in fault

    log.answer(FIRST)
    log.now += 10
    assert await judged(log, Timeline({"s": watching(FIRST)}), 5)


async def test_a_number_is_judged_by_the_call_that_told_it(log):
    """
    A room that changed before the call was received, or after it was answered, did not hold that number in between.
    """
    log.answer(FIRST)
    log.now += 1
    log.worlds.of("zego_rtc", FIRST).set("zego_rtc", "lobby", 9)

    assert [] == await judged(log, Timeline({"s": watching(FIRST)}), 5)
    assert await judged(log, Timeline({"s": watching(FIRST)}), 9)


async def test_what_a_reply_tells_beside_the_users_is_judged_too(log):
    """
    A wrong number of admin users is a fault, whatever the number of users.
    """
    log.answer(FIRST)
    values = {"rtc_room_users": 5.0, "rtc_room_admin_users": 1.0, "rtc_room_reading_timestamp_seconds": log.now}
    rooms = {("s", "lobby"): RoomSamples("zego_rtc", "s", "lobby", values)}

    oracle = Oracle(cast(Vendors, log), Timeline({"s": watching(FIRST)}))

    assert await oracle.violations(rooms, log.now, log.now)


async def test_old_numbers_and_strangers_are_faults(log):
    """
    A reading beyond its source's staleness, a room that is not watched, a source that is not there.
    """
    log.answer(FIRST)

    assert ["s 'lobby': 31.0 s old"] == await judged(log, Timeline({"s": watching(FIRST)}), 5, scraped=log.now + 31)
    assert ["s 'lobby': not watched"] == await judged(log, Timeline({"s": watching(FIRST, "stage")}), 5)
    assert ["s 'lobby': no source of this name is in the config"] == await judged(log, Timeline({}), 5)


def test_what_is_left_of_other_configs_is_a_stranger(log):
    """
    A source that is not in the config, a room that is shown though it is not watched, and one that is not shown.
    """
    text = (
        'rtc_room_info{vendor="zego",api="zego_rtc",source="s",room="lobby"} 1\n'
        'rtc_room_info{vendor="zego",api="zego_rtc",source="s",room="\\"gone\\""} 1\n'
        'rtc_source_up{vendor="zego",api="zego_rtc",source="removed"} 1\n'
    )

    def strangers(*rooms: str) -> list[str]:
        timeline = Timeline({"s": watching(FIRST, *rooms)})
        return Oracle(cast(Vendors, log), timeline).strangers(text, log.now, log.now)

    assert ["removed: not in the config"] == strangers("lobby", '"gone"')
    assert [
        "removed: not in the config",
        "s '\"gone\"': not watched, but shown",
        "s 'stage': watched, but not shown",
    ] == strangers("lobby", "stage")


@pytest.mark.parametrize(
    ("published", "watched", "known", "faults"),
    [
        (1, 2, 2, []),
        (2, 2, 2, ["s: 1 of 2 published rooms shown, of 2 and not 2 watched"]),
        (1, 3, 2, ["s: 1 of 1 published rooms shown, of 3 and not 2 watched"]),
        (1, 2, 3, ["s: 1 of 1 published rooms shown, of 2 and not 2 watched"]),
    ],
)
def test_rooms_without_series_are_counted(log, published, watched, known, faults):
    """
    A source that publishes one of its two rooms says so, watches two, and knows no more than that.
    """
    text = (
        'rtc_room_info{vendor="zego",api="zego_rtc",source="s",room="lobby"} 1\n'
        f'rtc_source_published_rooms{{source="s"}} {published}\n'
        f'rtc_source_rooms{{source="s",state="fresh"}} {watched - 1}\n'
        'rtc_source_rooms{source="s",state="unknown"} 1\n'
        'rtc_source_room_sizes{source="s",le="0"} 1\n'
        f'rtc_source_room_sizes{{source="s",le="+Inf"}} {known}\n'
    )
    oracle = Oracle(cast(Vendors, log), Timeline({"s": watching(FIRST, "lobby", "stage")}))

    assert faults == oracle.miscounted(text, log.now, log.now)


async def test_rooms_of_either_config_are_shown_while_a_reload_is_under_way(log, monkeypatch):
    """
    A rooms file may be read before the config that came with it: the old app's number of a new room passes until the
    reload is done.
    """
    monkeypatch.setattr(time, "time", lambda: log.now)
    timeline = Timeline({"s": watching(FIRST, "stage")})
    timeline.order({"s": watching(SECOND, "lobby")})
    log.now += 0.1
    log.answer(FIRST)
    assert [] == await judged(log, timeline, 5)

    timeline.done()
    log.now += 0.1
    assert await judged(log, timeline, 5)


async def test_either_side_of_a_reload_is_true_until_it_is_done(log, monkeypatch):
    """
    Between the order and its end the old app's number passes as well as the new one's; then the new one's alone.
    """
    monkeypatch.setattr(time, "time", lambda: log.now)
    timeline = Timeline({"s": watching(FIRST)})
    log.answer(FIRST)
    log.answer(SECOND)
    assert await judged(log, timeline, 8)

    timeline.order({"s": watching(SECOND)})
    assert [] == [*await judged(log, timeline, 8), *await judged(log, timeline, 5)]

    log.now += 0.1
    timeline.done()
    log.now += 0.1
    assert [] == await judged(log, timeline, 8)
    (fault,) = await judged(log, timeline, 5)
    assert f"app {SECOND}" in fault


async def test_a_budget_is_held_to_the_limit_of_its_day(log):
    """
    Ten calls a second are allowed, then six, then ten again; a second across a change may hold the larger number.
    """
    budget, calls = Budget("zego_rtc", FIRST), log.calls
    calls.change_limit(budget, 6, at=2_000.0)
    calls.change_limit(budget, 10, at=3_000.0)

    assert [10, 10, 6, 10, 10] == [
        calls.allowed(budget, Span(start, start + 1)) for start in (1_000.0, 1_999.5, 2_000.5, 2_999.5, 3_000.5)
    ]
    for _ in range(7):
        log.answer(FIRST)
    await calls.read()
    assert not any(calls.overfull().values())
    log.now = 2_500.0
    for _ in range(7):
        log.answer(FIRST)
    await calls.read()
    ((second,),) = calls.overfull().values()
    assert (7, 6) == (second.calls, second.allowed)
