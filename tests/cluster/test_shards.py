"""
Shards divide a config: each source is polled by exactly one of them.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.cluster.shards import shard_of, shares
from exporter.model import Shard
from tests.polling.answers import Answer
from tests.polling.house import House, parsed, source
from tests.polling.virtual_time import in_virtual_time

Series = tuple[str, frozenset[tuple[str, str]]]

SEVERAL = [
    *(source("zego_rtc", [f"room-{n}"], name=f"zego {n}", app_id=1000 + n, interval="5s") for n in range(8)),
    source("tencent_im", ["lobby"], name="im", interval="5s", discovery={"max_rooms": 50, "vendor_list": {}}),
    source("tencent_live", ["stage"], name="live"),
    source("volcengine_rtc", ["a"], name="volcengine a", interval="5s", app_id="a"),
    source("volcengine_rtc", ["b"], name="volcengine b", interval="5s", app_id="b"),
]
LIST = {"ActionStatus": "OK", "ErrorCode": 0, "TotalCount": 1, "GroupIdList": [{"GroupId": "found"}], "Next": 0}
MOVING = ("_total", "_seconds")
OF_THE_PROCESS = ("process_", "python_", "rtc_exporter_", "rtc_source_call_duration", "rtc_discovery_refresh_duration")


async def scrape(house: House) -> str:
    """The body of /metrics, from the exporter's port."""
    async with aiohttp.ClientSession() as session, session.get(f"{house.exporter.web.url}/metrics") as response:
        return await response.text()


def series(text: str) -> dict[Series, float]:
    """Every series with its value. What each process has of its own is left out, and so are times and counters."""
    return {
        (sample.name, frozenset(sample.labels.items())): 0.0 if sample.name.endswith(MOVING) else sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.startswith(OF_THE_PROCESS)
    }


@pytest.mark.parametrize("total", [1, 2, 3])
@in_virtual_time
async def test_all_shards_together_are_the_whole(total: int) -> None:
    """
    /metrics of all shards, put together, has every series of one exporter that polls everything, with the same values,
    and none of them twice.
    """
    async with AsyncExitStack() as running:
        houses = [House(*SEVERAL), *(House(*SEVERAL, shard=Shard(ordinal, total)) for ordinal in range(total))]
        for house in houses:
            house.vendor.users = len
            house.vendor.answer = lambda call: None if call.rooms else Answer(LIST)
            await running.enter_async_context(house)
        await houses[0].passes(30)
        whole, *parts = [series(await scrape(house)) for house in houses]

    together: dict[Series, float] = {}
    for part in parts:
        assert set() == together.keys() & part.keys()
        together |= part
    assert whole == together
    assert {(f"zego {n}", f"room-{n}") for n in range(8)} <= {
        (labels["source"], labels["room"])
        for name, pairs in together
        if name == "rtc_room_users" and (labels := dict(pairs))
    }


@in_virtual_time
async def test_a_shard_says_which_it_is() -> None:
    """
    In its metrics, its JSON and its page; an exporter without shards says nothing of them.
    """
    answers = []
    for shard in (Shard(1, 2), None):
        async with House(*SEVERAL, shard=shard) as house, aiohttp.ClientSession(house.exporter.web.url) as session:
            metrics = await scrape(house)
            async with session.get("/api/v1/sources") as response:
                json = await response.json()
            async with session.get("/") as response:
                page = await response.text()
            answers.append((metrics, json, page))

    (metrics, json, page), (other_metrics, other_json, other_page) = answers
    assert 'rtc_exporter_total_shards{shard="1"} 2.0' in metrics
    assert {"ordinal": 1, "total": 2} == json["shard"]
    assert "shard 1 of 2" in page
    assert "rtc_exporter_total_shards{" not in other_metrics
    assert "shard" not in other_json
    assert "shard" not in other_page


@in_virtual_time
async def test_a_budget_is_held_by_who_polls_it() -> None:
    """
    `rtc_budget_held` is 1 for each budget of this shard, and absent for those of others.
    """
    async with AsyncExitStack() as running:
        held = []
        for ordinal in range(2):
            house = await running.enter_async_context(House(*SEVERAL, shard=Shard(ordinal, 2)))
            found = series(await scrape(house))
            held.append({key[1]: value for key, value in found.items() if key[0] == "rtc_budget_held"})

    assert {1.0} == {value for each in held for value in each.values()}
    assert 12 == len(held[0]) + len(held[1]) == len(held[0] | held[1])


@in_virtual_time
async def test_a_reload_divides_the_new_config() -> None:
    """
    After all shards have read a config with more sources, they are the whole again, as after a start with it.
    """
    more = [source("zego_rtc", [f"room-{n}"], name=f"more {n}", app_id=2000 + n) for n in range(6)]
    async with AsyncExitStack() as running:
        houses = [await running.enter_async_context(House(*SEVERAL, shard=Shard(n, 3))) for n in range(3)]
        for house in houses:
            await house.load(*SEVERAL, *more)
        polled = [{*house.pollers} for house in houses]

    expected = shares(parsed(*SEVERAL, *more), 3).values()
    assert [{name for unit in units for name in unit.sources} for units in expected] == polled
    assert len(SEVERAL) + len(more) == sum(map(len, polled))


@in_virtual_time
async def test_a_shard_without_a_source_runs_and_says_so() -> None:
    """
    There are more shards than budgets: those that are left over are ready, and log a warning.
    """
    only = source("zego_rtc", ["lobby"])
    (empty,) = [shard for shard, units in shares(parsed(only), 2).items() if not units]
    async with House(only, shard=empty) as house:
        await house.passes(15)
        metrics = await scrape(house)
        async with aiohttp.ClientSession(house.exporter.web.url) as session, session.get("/-/ready") as response:
            assert 200 == response.status

    assert "shard has no source" in [line.event for line in house.lines("warning")]
    assert {} == series(metrics)


@pytest.mark.parametrize(
    ("name", "ordinal"), [("0", 0), ("2", 2), ("02", 2), ("exporter-2", 2), ("rtc-room-exporter-1", 1), ("a.b-0", 0)]
)
def test_a_shard_is_named_by_ordinal_or_pod(name: str, ordinal: int) -> None:
    """
    The pods of a StatefulSet have its name, a hyphen and an ordinal.
    """
    assert Shard(ordinal, 3) == shard_of(name, 3)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("3", "too high; accepted: 0 to 2"),
        ("exporter-3", "too high; accepted: 0 to 2"),
        ("-1", "neither an ordinal"),
        ("exporter", "neither an ordinal nor a name such as exporter-0"),
        ("exporter2", "neither an ordinal"),
        ("exporter-", "neither an ordinal"),
        ("1.0", "neither an ordinal"),
        ("٢", "neither an ordinal"),
        ("", "neither an ordinal"),
    ],
)
def test_no_such_shard(name: str, said: str) -> None:
    """
    What is not an ordinal below the number of shards is refused, and the error says what is accepted.
    """
    with pytest.raises(ValueError, match=said):
        shard_of(name, 3)


def test_budgets_of_a_unit_are_never_divided() -> None:
    """
    Of 40 sources that share budgets in pairs, both of a pair are in the same shard, however many shards there are.
    """
    pairs: list[dict[str, Any]] = [
        source("zego_zim", 1, name=f"{side}{n}", budget=f"shared {n}") for n in range(20) for side in "ab"
    ]

    for total in (2, 5, 9):
        for units in shares(parsed(*pairs), total).values():
            assert all((f"a{unit.name[7:]}", f"b{unit.name[7:]}") == unit.sources for unit in units)
