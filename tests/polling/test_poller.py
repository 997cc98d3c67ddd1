"""
A source's life: rooms come and go, configs are reloaded, clocks jump, and it ends in good order.
"""

from __future__ import annotations

import random

import pytest

from exporter.states import SourceState
from tests.polling.answers import BAD_GATEWAY, HANGS, RESET, always, refuses
from tests.polling.house import House, named, source
from tests.polling.virtual_time import in_virtual_time, until


@in_virtual_time
async def test_reload_of_the_same_config_costs_no_call() -> None:
    """
    Readings, due times and states stay: nobody can tell from the calls that somebody reloaded.
    """
    config = source("zego_rtc", 500)
    async with House(config) as house:
        await house.passes(60)
        for _ in range(20):
            await house.load(config)
            assert {"fresh": 500} == house.states("zego_rtc")
            await house.passes(1.3)

        assert 10.5 >= max(house.gaps("zego_rtc", since=20))
        assert 9.9 <= min(house.gaps("zego_rtc", since=20))


@in_virtual_time
async def test_reload_keeps_an_open_circuit() -> None:
    """
    A reload earns a source in trouble one trial, not a fresh start.
    """
    config = source("zego_rtc", 500)
    async with House(config) as house:
        house.vendor.answer = always(BAD_GATEWAY)
        await house.passes(60)
        assert SourceState.CIRCUIT_OPEN == house.state("zego_rtc")
        since = house.now
        await house.load(config)
        await house.passes(4)

        assert 1 == len(house.writes(since=since))
        assert SourceState.CIRCUIT_OPEN == house.state("zego_rtc")


@in_virtual_time
async def test_shorter_interval_takes_effect_at_once() -> None:
    """
    After a reload no room waits for its old due time.
    """
    async with House(source("zego_rtc", 100, interval="60s")) as house:
        await house.passes(90)
        await house.load(source("zego_rtc", 100, interval="5s"))
        since = house.now
        await house.passes(30)

        assert 5.3 >= max(house.gaps("zego_rtc", since=since))
        assert all(arrivals[-1] - house.began >= since + 24 for arrivals in house.arrivals_of("zego_rtc").values())


@in_virtual_time
async def test_removed_room_is_gone_though_its_call_is_under_way() -> None:
    """
    A reading that arrives for a room no longer watched is published by nobody, and its batchmates' is.
    """
    async with House(source("zego_rtc", 10)) as house:
        house.vendor.latency = lambda: 2.0
        await house.passes(2)
        await house.watch("zego_rtc", named(10)[1:])
        await house.passes(2)

        assert {"fresh": 9} == house.states("zego_rtc")
        assert named(10)[0] not in house.tables["zego_rtc"]


@pytest.mark.parametrize("jump", [-7200.0, -30.0, 30.0, 7200.0, 86_400.0 * 400])
@in_virtual_time
async def test_wall_clock_may_jump(jump: float) -> None:
    """
    Polling, ages and states go by the monotonic clock; only what is stamped follows the wall clock.
    """
    apis = ("zego_rtc", "tencent_im", "volcengine_rtc")
    async with House(*(source(api, 50) for api in apis)) as house:
        await house.passes(30)
        house.wall_ahead += jump
        await house.passes(30)
        house.wall_ahead -= jump
        await house.passes(30)

        for api in apis:
            assert 10.6 >= max(house.gaps(api))
            assert {"fresh": 50} == house.states(api)
            assert not house.failed(api)


@in_virtual_time
async def test_source_that_stops_lets_its_calls_end_and_records_nothing() -> None:
    """
    No call begins any more, those under way end, the connections are closed, and its app forgets it.
    """
    async with House(source("zego_rtc", 500)) as house:
        house.vendor.latency = lambda: 1.5
        await house.passes(3.2)
        poller = house.pollers["zego_rtc"]
        begin, fresh = house.now, house.states("zego_rtc")["fresh"]
        poller.stop()
        await poller.drain(within=3.5)
        calls = len(house.vendor.calls)
        assert 1.5 >= house.now - begin
        assert all(call.good for call in house.vendor.calls)
        assert fresh == house.states("zego_rtc")["fresh"]
        await house.passes(5)
        assert calls == len(house.vendor.calls)
        assert not poller._app.healths
        assert house.clients[0].retired


@in_virtual_time
async def test_source_that_stops_waits_for_no_hanging_call() -> None:
    """
    After so many seconds running calls are ended.
    """
    async with House(source("zego_rtc", 500, timeout="20s")) as house:
        house.vendor.answer = always(HANGS)
        await house.passes(3)
        begin = house.now
        house.pollers["zego_rtc"].stop()
        await house.pollers["zego_rtc"].drain(within=3.5)

        assert 3.5 == pytest.approx(house.now - begin, abs=0.1)
        assert not house.pollers["zego_rtc"]._tasks


@in_virtual_time
async def test_first_call_has_ended_however_it_did() -> None:
    """
    Readiness waits for an answer, not for a good one.
    """
    async with House(source("zego_rtc", 500, timeout="2s")) as house:
        house.vendor.answer = always(HANGS)
        poller = house.pollers["zego_rtc"]
        await house.passes(2.5)
        assert not poller.first_call_ended
        await until(lambda: poller.first_call_ended, within=1)


@in_virtual_time
async def test_calls_are_counted_as_they_were_written() -> None:
    """
    The source's and the budget's counters say what the vendor saw, retries included.
    """
    chance = random.Random(2)
    async with House(source("zego_zim", 60, name="a"), source("zego_zim", 30, name="b")) as house:
        house.vendor.answer = lambda call: BAD_GATEWAY if chance.random() < 0.2 else None
        await house.passes(60.5)
        house.vendor.answer = lambda call: None
        await house.passes(1)
        (budget,) = house.budgets.values()
        seen = {name: len(house.vendor.of(name)) for name in "ab"}
        assert seen == {name: house.telemetry.sources[name].calls for name in "ab"}
        assert sum(seen.values()) == budget.calls
        failed = sum(not call.good for call in house.vendor.calls)
        assert failed == sum(sum(house.failed(name).values()) for name in "ab")


@in_virtual_time
async def test_rooms_that_come_and_go_leave_nothing_behind() -> None:
    """
    Thirty generations of fifty rooms, many of them failing or refused: the source remembers those of today.
    """
    chance = random.Random(2)
    async with House(source("volcengine_rtc", 50)) as house:
        poller = house.pollers["volcengine_rtc"]
        house.vendor.latency = lambda: 0.8
        for generation in range(30):
            rooms = named(50, prefix=f"generation-{generation}")
            await house.watch("volcengine_rtc", rooms)
            refuse = refuses(set(rooms[:10]))
            house.vendor.answer = lambda call, refuse=refuse: BAD_GATEWAY if chance.random() < 0.3 else refuse(call)  # type: ignore[misc]  # bound now
            await house.passes(2.1)
        await house.passes(1)

        assert 50 >= len(poller._attempts)
        assert 10 >= len(poller._refusals._times)
        assert 50 == len(poller.planner) == len(poller.table)
        assert 5_000 > sum(map(len, poller.planner._lanes))
        assert set(poller._attempts) | set(poller._refusals._times) <= set(poller.table)


@in_virtual_time
async def test_bug_while_no_connection_can_be_opened_loses_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whatever is raised between taking a room's turn and planning its next one, the room is asked again.
    """
    async with House(source("zego_rtc", 25)) as house:
        await house.passes(15)
        house.vendor.unreachable = RESET
        (client,) = house.clients
        client.lose(client._ready)
        poller = house.pollers["zego_rtc"]
        await until(lambda: min(poller.planner.dues()) <= house.loop.time(), within=15)
        with monkeypatch.context() as patch:
            patch.setattr(poller._journal, "failed", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                poller.not_connected(RESET, house.loop.time())
        house.vendor.unreachable = None
        await house.passes(60)

        assert {"fresh": 25} == house.states("zego_rtc")


@in_virtual_time
async def test_a_source_whose_rooms_are_all_idle_is_up():
    """
    Its calls are as far apart as they should be.
    """
    async with House(source("zego_rtc", 3)) as house:
        await house.passes(30)
        poller = house.pollers["zego_rtc"]
        poller.planner.slow_down(named(3), 60.0)
        for _ in range(30):
            await house.passes(10)
            assert poller.stats.figures(house.clock.monotonic()).up
        house.vendor.answer = always(BAD_GATEWAY)
        await house.passes(130)
        assert not poller.stats.figures(house.clock.monotonic()).up
