"""
What is said before any call about how often rooms can be read is what polling then does.
"""

from __future__ import annotations

from statistics import median
from typing import Any

import pytest

from exporter.polling.load import BudgetLoad, FoundLoad, budget_loads, found_loads
from tests.polling.house import House, parsed, source
from tests.polling.virtual_time import in_virtual_time


def load_of(*sources: dict[str, Any]) -> BudgetLoad:
    """The load of the only budget of these sources."""
    (load,) = budget_loads((config, len(config.rooms)) for config in parsed(*sources))
    return load


@pytest.mark.parametrize(
    ("api", "rooms", "kept", "fits"),
    [
        ("zego_rtc", 950, 10.0, True),
        ("zego_rtc", 1000, 10.26, True),
        ("zego_rtc", 1500, 15.39, False),
        ("zego_zim", 150, 10.0, True),
        ("tencent_im", 1500, 10.0, True),
        ("tencent_live", 2000, 40.0, True),
        ("volcengine_rtc", 350, 10.0, True),
        ("volcengine_rtc", 500, 12.83, False),
        ("zego_rtc", 0, 10.0, True),
    ],
)
def test_interval_that_a_budget_can_keep(api: str, rooms: int, kept: float, fits: bool) -> None:
    """
    The wanted interval, or the time that it takes to use a slot for every batch.
    """
    load = load_of(source(api, rooms))

    assert kept == pytest.approx(load.sources[0].kept_interval, rel=0.005)
    assert fits == load.fits


@pytest.mark.parametrize(
    ("limit", "rooms", "kept", "fits"), [("2.5", 240, 2.45, True), ("2.5", 270, 2.45, False), ("0.5", 49, 0.494, True)]
)
def test_limit_that_is_no_whole_number(limit: str, rooms: int, kept: float, fits: bool) -> None:
    """
    A little less than any limit is kept, and what needs less than that fits.
    """
    load = load_of(source("zego_rtc", rooms, rate_limit=limit))

    assert float(limit) == load.allowed
    assert kept == pytest.approx(load.kept, abs=0.005)
    assert fits == load.fits


@pytest.mark.parametrize(
    ("keys", "kept"),
    [({}, 46.2), ({"interval": "60s"}, 180.0), ({"interval": "1s", "timeout": "40s", "rate_limit": "100"}, 41.5)],
)
def test_staleness_by_default(keys: dict[str, str], kept: float) -> None:
    """
    Three times the interval that can be kept, or as much as lets a reading outlive a failed poll.
    """
    (member,) = load_of(source("zego_rtc", 1500, **keys)).sources

    assert kept == pytest.approx(member.max_staleness, rel=0.005)


@in_virtual_time
async def test_sources_of_different_intervals() -> None:
    """
    The longest overdue room is next, so rooms of all intervals are late by the same time, and that time is foreseen.
    """
    often = source("volcengine_rtc", 100, name="often")
    seldom = source("volcengine_rtc", 1000, name="seldom", interval="20s", app_id="662")
    load = load_of(often, seldom)
    async with House(often, seldom) as house:
        await house.passes(150)

        for member in load.sources:
            seen = median(house.gaps(member.config.name, since=60))
            assert member.kept_interval == pytest.approx(seen, rel=0.03)
        assert not load.fits
        assert 60.0 == pytest.approx(load.needed)


def found(api: str, **discovery: object) -> FoundLoad:
    """The load of a source whose rooms find themselves."""
    configs = parsed(source(api, 0, discovery={"vendor_list": {}, **discovery}))
    (load,) = found_loads((config, 0) for config in configs)
    return load


@pytest.mark.parametrize(
    ("api", "calls", "needed", "allowed"),
    [
        ("zego_rtc", 10, 10 / 30, 10),
        ("tencent_im", 1, 1 / 30, 0.5),
        ("tencent_live", 100, 100 / 30, 5),
        ("volcengine_rtc", 20, 1 / 30 + 20 / 3600, 5),
    ],
)
def test_calls_of_a_vendors_list(api: str, calls: int, needed: float, allowed: float) -> None:
    """
    Passes over a list cost a call for each page, on a budget of the list's own; Volcengine is asked for everything once
    an hour, and in between for what is new.
    """
    lists = found(api, max_rooms=2_000).lists

    assert lists
    assert (calls, allowed, f"{api}.list") == (lists.calls, lists.allowed, lists.budget.partition(":")[0])
    assert needed == pytest.approx(lists.needed)
    assert lists.fits


def test_list_that_is_too_long_for_its_interval() -> None:
    """
    A list whose passes take longer than their interval says so.
    """
    lists = found("tencent_live", max_rooms=20_000).lists

    assert lists
    assert not lists.fits
    assert 200 < lists.seconds < 210


def test_polls_of_all_rooms_that_may_be_found() -> None:
    """
    Rooms that are not there yet count as well: with all of them, rooms are read as often as the budget can.
    """
    assert found("zego_rtc", max_rooms=900).source.fits
    load = found("zego_rtc", max_rooms=2_000).source
    assert 20.5 == pytest.approx(load.kept_interval, abs=0.1)
    assert not load.fits
    assert () == found_loads((config, 5) for config in parsed(source("zego_rtc", 5)))
