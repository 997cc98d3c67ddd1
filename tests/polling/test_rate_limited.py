"""
Too many calls, says the vendor: the pace is lowered in proportion, and slowly comes back.
"""

from __future__ import annotations

import pytest

from exporter.model import FailureKind
from exporter.polling.pace import Sent
from exporter.states import SourceState
from exporter.vendors import APIS
from tests.polling.answers import (
    RATE_LIMITED,
    Answer,
    always,
    fails,
)
from tests.polling.house import House, named, source
from tests.polling.vendor import SlidingSecond
from tests.polling.virtual_time import in_virtual_time, until

PACED = [api for api, codec in APIS.items() if not (codec.lists and codec.lists.answers_all)]
"""Where one call answers for all rooms, no number of rooms makes use of the whole limit."""


def reject_next(house: House, api: str, calls: int) -> None:
    """Let the vendor reject so many calls from now on."""
    rejections = iter([fails(api, RATE_LIMITED[api])] * calls)
    house.vendor.answer = lambda call: next(rejections, None)


@pytest.mark.parametrize("api", PACED)
@in_virtual_time
async def test_rate_limited_once(api: str) -> None:
    """
    One rejection lowers the budget's pace by a tenth, and its rooms are asked again soon; five minutes later all is as
    before.
    """
    rooms = 600 if api == "zego_rtc" else 60
    async with House(source(api, rooms, rate_limit=4, interval="10s", max_staleness="1m")) as house:
        (budget,) = house.budgets.values()
        await house.passes(20)
        reject_next(house, api, 1)
        await house.passes(2)
        assert 0.9 * budget.limit == budget.pace
        assert {FailureKind.RATE_LIMITED: 1} == house.failed(api)
        since = house.now
        await house.passes(20)
        assert 0.9 * budget.limit == pytest.approx(len(house.writes(api, since=since)) / 20, rel=0.05)
        assert {"fresh": rooms} == house.states(api)

        await house.passes(300)
        assert budget.limit == budget.pace
        assert SourceState.OK == house.state(api)


@pytest.mark.parametrize("api", PACED)
@in_virtual_time
async def test_rate_limited_halves_the_pace_until_it_has_climbed_back(api: str) -> None:
    """
    Two rejections among ten calls halve it; nine tenths are back after forty seconds, all after five minutes more.
    """
    rooms = 600 if api == "zego_rtc" else 60
    async with House(source(api, rooms, rate_limit=4, interval="10s", max_staleness="1m")) as house:
        (budget,) = house.budgets.values()
        await house.passes(20)
        reject_next(house, api, 2)
        await house.passes(2)
        assert 0.5 * budget.limit == budget.pace
        since = house.now
        await house.passes(8)
        assert 0.5 * budget.limit == pytest.approx(len(house.writes(api, since=since)) / 8, rel=0.1)

        await house.passes(35)
        assert 0.9 * budget.limit == pytest.approx(budget.pace)
        await house.passes(300)
        assert budget.limit == budget.pace
        assert SourceState.OK == house.state(api)


@in_virtual_time
async def test_rate_limited_calls_that_were_under_way_do_not_halve_again() -> None:
    """
    A slow vendor rejects a second's worth of calls at once: that is one episode, though each of them is counted.
    """
    async with House(source("zego_rtc", 950)) as house:
        (budget,) = house.budgets.values()
        await house.passes(20)
        house.vendor.latency = lambda: 0.9
        house.vendor.answer = always(fails("zego_rtc", 206))
        await house.passes(0.95)
        house.vendor.answer = lambda call: None
        await house.passes(3)

        assert 5.0 == budget.pace
        assert 8 <= house.failed("zego_rtc")[FailureKind.RATE_LIMITED] <= 10


@in_virtual_time
async def test_rate_limited_pace_has_a_floor_and_comes_back_from_it() -> None:
    """
    While the vendor turns everything away a tenth of the limit goes on; once it does not, nine tenths are back within
    95 s.
    """
    async with House(source("zego_rtc", 950)) as house:
        (budget,) = house.budgets.values()
        house.vendor.answer = always(fails("zego_rtc", 206))
        await house.passes(60)
        assert 1.0 == budget.pace
        assert 10 == pytest.approx(len(house.writes(since=50)), abs=1)

        house.vendor.answer = lambda call: None
        await house.passes(95)
        assert 9.0 == budget.pace
        assert {"fresh": 950} == house.states("zego_rtc")


@in_virtual_time
async def test_rate_limited_room_does_not_slow_the_app() -> None:
    """
    ZEGO's 207 is the limit of one room: its batch waits, the budget keeps its pace.
    """
    async with House(source("zego_rtc", 100)) as house:
        (budget,) = house.budgets.values()
        await house.passes(20)
        bad = named(100)[0]
        house.vendor.answer = lambda call: fails("zego_rtc", 207) if bad in call.rooms else None
        await house.passes(20)
        assert budget.limit == budget.pace
        assert {"held": 10, "fresh": 90} == house.states("zego_rtc")

        house.vendor.answer = lambda call: None
        await house.passes(11)
        assert {"fresh": 100} == house.states("zego_rtc")


@pytest.mark.parametrize(("asked", "kept"), [("30", 30), ("7200", 300)])
@in_virtual_time
async def test_rate_limited_with_retry_after(asked: str, kept: int) -> None:
    """
    The vendor's wish for silence is granted to the whole budget, for five minutes at most.
    """
    async with House(source("zego_rtc", 950), source("zego_rtc", 9, name="other")) as house:
        await house.passes(20)
        house.vendor.answer = always(Answer(b"", 429, {"retry-after": asked}))
        await house.passes(0.5)
        house.vendor.answer = lambda call: None
        since = house.now
        await house.passes(kept + 10)

        assert kept - 1 <= house.writes(since=since)[0] - since <= kept + 1


@pytest.mark.parametrize(("asked", "kept"), [("30", 30), ("7200", 300)])
@in_virtual_time
async def test_unavailable_with_retry_after(asked: str, kept: int) -> None:
    """
    A vendor that is down for one source and says for how long is left alone by that source, for five minutes at most;
    the others of its budget go on, as fast as before.
    """
    async with House(source("zego_rtc", 90), source("zego_rtc", 90, name="other")) as house:
        (budget,) = house.budgets.values()
        await house.passes(20)
        unavailable = Answer(b"", 503, {"retry-after": asked})
        house.vendor.answer = lambda call: unavailable if call.source == "zego_rtc" else None
        await until(lambda: bool(house.failed("zego_rtc")), within=2)
        house.vendor.answer = lambda call: None
        since = house.now
        await house.passes(kept - 1)
        assert budget.limit == budget.pace
        assert 10.5 > max(house.gaps("other", since=10))

        await house.passes(12)
        silent_until, *_ = house.writes("zego_rtc", since=since + 0.1)
        assert kept == pytest.approx(silent_until - since, abs=1)
        assert {"fresh": 90} == house.states("zego_rtc")


@pytest.mark.parametrize(
    ("share", "hours"),
    [(0.5, 0.5), *(pytest.param(share, 3, marks=pytest.mark.soak) for share in (0.1, 0.3, 0.5, 0.7))],
)
@in_virtual_time
async def test_rate_limited_by_a_rival(share: float, hours: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Somebody else takes part of the quota for hours: our calls settle near what is left, at least 85 % of it are used,
    and there are fewer than 30 rejection episodes an hour.
    """
    async with House(source("zego_rtc", 1500)) as house:
        (budget,) = house.budgets.values()
        house.vendor.limits[budget.name] = SlidingSecond(10, house.loop.time(), rival=10 * share)
        episodes: list[bool] = []
        lower = budget.pacer.rejected

        def rejected(call: Sent, now: float, retry_after: float | None = None) -> bool:
            episodes.append(lower(call, now, retry_after))
            return episodes[-1]

        monkeypatch.setattr(budget.pacer, "rejected", rejected)
        await house.passes(3600 * hours)

        accepted = sum(call.good for call in house.vendor.calls)
        assert 0.85 * 3600 * hours * 10 * (1 - share) <= accepted
        assert 30 * hours > sum(episodes)
