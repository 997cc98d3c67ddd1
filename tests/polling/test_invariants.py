"""
What must hold of polling, checked on the moments at which requests were written and readings arrived.
"""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from exporter.vendors import APIS
from tests.polling.answers import BAD_GATEWAY, fails
from tests.polling.house import House, named, source, worst_window
from tests.polling.virtual_time import VirtualLoop, in_virtual_time, until

MIX = (
    source("zego_rtc", 950),
    source("zego_zim", 150),
    source("tencent_im", 1500),
    source("tencent_live", 2000),
    source("volcengine_rtc", 350),
)
LIMITS = {"zego_rtc": 10, "zego_zim": 20, "tencent_im": 200, "tencent_live": 200, "volcengine_rtc": 40}


@in_virtual_time
async def test_1_readings_are_one_interval_apart() -> None:
    """
    The documented load, all five APIs at once: every room is read within one interval and a second, no gap is ever
    longer than the interval and 10 %, and in steady state none is more than 5 % off.
    """
    chance = random.Random(5)
    async with House(*MIX) as house:
        house.vendor.latency = lambda: chance.uniform(0.03, 0.15)
        await house.passes(62)

        for name, limit in LIMITS.items():
            interval = 40 if name == "tencent_live" else 10
            table = house.tables[name]
            assert all(arrivals[0] - house.began <= interval + 1.5 for arrivals in house.arrivals_of(name).values())
            assert {"fresh": len(table)} == house.states(name)
            assert 1.1 * interval >= max(house.gaps(name))
            steady = house.gaps(name, since=0 if interval == 40 else 20)
            assert 0.95 * interval <= min(steady)
            assert max(steady) <= 1.05 * interval
            assert limit >= worst_window(house.writes(name))


@pytest.mark.parametrize("jitter", [0.0, 1.0])
@in_virtual_time
async def test_1_slow_replies_do_not_stretch_the_interval(jitter: float) -> None:
    """
    Replies may overtake each other: on average rooms are read one interval apart all the same.
    """
    chance = random.Random(5)
    async with House(source("zego_rtc", 700)) as house:
        house.vendor.latency = lambda: 0.05 + chance.uniform(0, jitter)
        await house.passes(250)

        gaps = sorted(house.gaps("zego_rtc", since=150))
        assert 10.0 == pytest.approx(gaps[len(gaps) // 2], rel=0.005)
        assert max(gaps) <= 10.5 + jitter


@pytest.mark.parametrize("api", APIS)
@in_virtual_time
async def test_2_new_room_is_read_within_a_second(api: str) -> None:
    """
    A room that is watched from now on waits neither for its source's next interval nor for the scheduler.
    """
    rooms = named(50)
    async with House(source(api, rooms)) as house:
        await house.passes(30.77)
        await house.watch(api, [*rooms, "new"])
        await house.passes(1)

        assert 1 == len(house.arrivals[api, "new"])


@in_virtual_time
async def test_2_new_source_of_a_running_budget_is_read_within_a_second() -> None:
    """
    The silence of a first second is that of a budget, not of each of its sources.
    """
    async with House(source("zego_rtc", 50)) as house:
        await house.passes(30)
        await house.load(source("zego_rtc", 50), source("zego_rtc", ["new"], name="second"))
        await house.passes(1)

        assert {"fresh": 1} == house.states("second")


@pytest.mark.parametrize("rooms", [1, 9, 10, 11, 50, 99, 101])
@in_virtual_time
async def test_3_batches_are_full(rooms: int) -> None:
    """
    50 rooms of zego_rtc cost 5 calls an interval, not 6; however they are distributed after a hundred intervals.
    """
    async with House(source("zego_rtc", rooms)) as house:
        await house.passes(200)
        since = house.now
        await house.passes(1000)

        once = -(-rooms // 10)
        assert 96 * once - 1 <= len(house.writes(since=since)) <= 100 * once + 1


@in_virtual_time
async def test_3_batches_stay_full_while_rooms_come_and_go() -> None:
    """
    Rooms that are created one by one do not leave a trail of batches of one.
    """
    async with House(source("zego_rtc", 1)) as house:
        for size in range(1, 101):
            await house.watch("zego_rtc", named(size))
            await house.passes(1.3)
        await house.passes(60)
        for size in range(100, 49, -1):
            await house.watch("zego_rtc", named(100)[:size])
            await house.passes(1.3)
        await house.passes(60)
        since = house.now
        await house.passes(300)

        assert 30 * 5 + 1 >= len(house.writes(since=since))


@pytest.mark.parametrize("connecting", [0.0, 0.15])
@in_virtual_time
async def test_4_every_slot_is_used_and_all_ages_stretch_alike(connecting: float) -> None:
    """
    1,500 rooms of one zego_rtc app are 150 % of its budget: at least 97 % of the slots are used, also where every call
    needs a new connection, and all rooms are read within 10 % of 15 s.
    """
    chance = random.Random(5)
    async with House(source("zego_rtc", 1500)) as house:
        house.vendor.latency = lambda: chance.uniform(0.03, 0.15)
        house.vendor.connecting = lambda: chance.uniform(0.0, connecting)
        await house.passes(31)
        since = house.now
        await house.passes(120)

        writes = house.writes(since=since)
        assert 0.97 * 10 * 120 <= len(writes)
        assert 10 >= worst_window(house.writes())
        assert all(13.5 <= gap <= 16.5 for gap in house.gaps("zego_rtc", since=since))


@in_virtual_time
async def test_4_stalls_of_the_loop_cost_no_slot() -> None:
    """
    A loop that stands still for 30 ms every second uses its slots all the same.
    """
    async with House(source("tencent_im", 2500)) as house:
        loop = house.loop
        assert isinstance(loop, VirtualLoop)
        await house.passes(5)
        since = house.now
        for _ in range(15):
            await house.passes(0.97)
            loop.stall(0.03)

        writes = house.writes()
        assert 0.97 * 200 * 15 <= len([at for at in writes if at >= since])
        assert 200 >= worst_window(writes)


@in_virtual_time
async def test_4_connections_that_come_late_leave_no_queue_behind() -> None:
    """
    For four seconds no connection can be made: what waited is written as fast as allowed, and then calls are as quick
    as before, though every slot is wanted.
    """
    async with House(source("zego_rtc", 1500)) as house:
        await house.passes(30)
        back = house.loop.time() + 4
        house.vendor.connecting = lambda: max(0.0, back - house.loop.time())
        await house.passes(4)
        house.vendor.connecting = lambda: 0.0
        await house.passes(40)
        failed = house.failed("zego_rtc")
        noted = house.telemetry.sources["zego_rtc"]
        before = noted.figures(house.now).call_durations.seconds
        calls = len(house.writes())
        await house.passes(30)

        took = noted.figures(house.now).call_durations.seconds - before
        assert 0.3 >= took / (len(house.writes()) - calls)
        assert failed == house.failed("zego_rtc")


@in_virtual_time
async def test_4_sources_of_one_budget_share_its_slots_by_need() -> None:
    """
    The room that is due first is next, whichever source it belongs to: ages of both sources are alike.
    """
    async with House(source("zego_zim", 100, name="few"), source("zego_zim", 300, name="many")) as house:
        await house.passes(45)
        since = house.now
        await house.passes(120)

        assert 0.97 * 20 * 120 <= len(house.writes(since=since))
        assert all(18 <= gap <= 23 for name in ("few", "many") for gap in house.gaps(name, since=since))


@in_virtual_time
async def test_5_never_more_than_the_limit_through_a_reload() -> None:
    """
    Limit, interval, rooms and sources change while every slot is wanted and calls fail: no 1.02 s hold more writes
    than the limit that holds at their end.
    """
    chance = random.Random(5)
    async with House(source("zego_rtc", 1500)) as house:
        house.vendor.latency = lambda: chance.uniform(0.01, 1.5)
        house.vendor.connecting = lambda: chance.uniform(0.0, 0.5) * (chance.random() < 0.3)
        house.vendor.answer = lambda call: BAD_GATEWAY if chance.random() < 0.1 else None
        limits = []
        for limit in (10, 20, 4, 10, 7, 30, 10):
            await house.load(
                source("zego_rtc", 100 * limit, rate_limit=limit, interval=f"{limit}s", max_staleness="2m"),
                *[source("zego_rtc", 30, name="second", rate_limit=limit)] * (limit % 4 == 0),
            )
            limits.append((house.now, limit))
            await house.passes(7.3)

        writes = house.writes()
        for (begin, limit), (end, _) in pairwise([*limits, (house.now, 0)]):
            straddling = limits[max(0, limits.index((begin, limit)) - 1)][1]
            of_its_time = [at for at in writes if begin <= at < end]
            assert limit >= worst_window(of_its_time)
            assert max(limit, straddling) >= worst_window([at for at in writes if begin - 1.02 <= at < end])


@in_virtual_time
async def test_5_restarted_source_keeps_to_its_budget() -> None:
    """
    Changed credentials restart a source; what the old one wrote still counts.
    """
    async with House(source("zego_rtc", 1500)) as house:
        await house.passes(20)
        for secret in ("first", "second", "third"):
            await house.load(source("zego_rtc", 1500, server_secret=secret))
            await house.passes(0.4)
        await house.passes(10)

        writes = house.writes()
        assert 10 >= worst_window(writes)
        assert 0.97 * 10 * 29 <= len(writes)


@in_virtual_time
async def test_5_new_process_makes_no_call_in_its_first_second() -> None:
    """
    It may share that second with the process that it replaces.
    """
    async with House(*MIX) as house:
        await house.passes(3)

        assert dict.fromkeys(LIMITS, True) == {name: 1.02 <= house.writes(name)[0] <= 1.1 for name in LIMITS}


@in_virtual_time
async def test_6_source_in_trouble_costs_the_others_nothing() -> None:
    """
    One vendor hangs, one is down and one rejects everything: the two others' readings come as if nothing was.
    """
    async with House(
        *MIX[:2], *MIX[4:], source("zego_zim", 50, name="other", app_id=7), source("tencent_im", 40)
    ) as house:
        await house.passes(20)
        answers = {"zego_rtc": BAD_GATEWAY, "zego_zim": fails("zego_zim", 660300005)}
        house.vendor.answer = lambda call: answers.get(call.source)
        since = house.now
        await house.passes(40)

        for name in ("volcengine_rtc", "other", "tencent_im"):
            assert not house.failed(name)
            assert 10.6 >= max(house.gaps(name, since=since - 10))


@in_virtual_time
async def test_7_calls_leave_at_a_steady_rate_after_the_first_pass() -> None:
    """
    The first pass goes as fast as the budget allows; a few minutes later every second sees about as many calls.
    """
    async with House(source("volcengine_rtc", 100)) as house:
        await until(lambda: house.states("volcengine_rtc") == {"fresh": 100}, within=4)
        await house.passes(300)
        since = house.now
        await house.passes(60)

        writes = house.writes(since=since)
        seconds = [sum(second <= at - since < second + 1 for at in writes) for second in range(60)]
        assert 7 <= min(seconds)
        assert max(seconds) <= 12
