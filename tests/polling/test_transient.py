"""
Calls that failed by chance: asked again with backoff, and not at all for a while if none succeeds.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import pytest

from exporter.model import Failure, FailureKind
from exporter.polling.planner import Lane
from exporter.states import SourceState
from tests.polling.answers import (
    BAD_GATEWAY,
    HANGS,
    RESET,
    Answer,
    always,
    fails,
)
from tests.polling.house import House, named, source, whole_gaps
from tests.polling.virtual_time import in_virtual_time, until


@pytest.mark.parametrize("answer", [BAD_GATEWAY, HANGS, RESET, fails("zego_rtc", 100000015), fails("zego_rtc", 154)])
@in_virtual_time
async def test_transient_room_is_asked_again_with_backoff(answer: Answer | Failure) -> None:
    """
    A failed batch is asked again after full-jitter exponential backoff, at the latest when its next poll is due, while
    the others go on; its reading stays published, and the first success ends it.
    """
    async with House(source("zego_rtc", 50, interval="60s", timeout="1s")) as house:
        await house.passes(30)
        bad = named(50)[0]
        house.vendor.answer = lambda call: answer if bad in call.rooms else None
        await house.passes(40)
        batches = [call for call in house.vendor.calls if bad in call.rooms and call.at - house.began > 30]
        delays = [later.at - earlier.at for earlier, later in pairwise(batches)]
        assert 4 <= len(delays)
        assert all(delay <= 1.1 + 0.5 * 2**attempt for attempt, delay in enumerate(delays))
        assert {"held": 10, "fresh": 40} == house.states("zego_rtc")
        assert SourceState.OK == house.state("zego_rtc")

        house.vendor.answer = lambda call: None
        await house.passes(61)
        assert {"fresh": 50} == house.states("zego_rtc")


@in_virtual_time
async def test_transient_call_that_may_still_arrive_holds_its_place() -> None:
    """
    Its time-out is no sign that the vendor never gets it: while nobody acknowledges ten calls, the eleventh waits.
    """
    async with House(source("zego_rtc", 2_000, timeout="1s")) as house:
        house.vendor.answer = lambda call: HANGS
        house.vendor.arrives_by = lambda call: math.inf
        await house.passes(5)
        assert {FailureKind.TRANSIENT: 10} == house.failed("zego_rtc")
        house.vendor.arrives_by = lambda call: call.at + 8
        await house.passes(8)

        assert 10 < len(house.writes("zego_rtc"))
        assert 8 + 1.024 <= house.writes("zego_rtc")[10] - house.writes("zego_rtc")[0]


@in_virtual_time
async def test_transient_backoff_never_exceeds_the_interval() -> None:
    """
    However long it goes on, a failing room is asked at least once an interval.
    """
    async with House(source("zego_zim", 20)) as house:
        bad = named(20)[7]
        house.vendor.answer = lambda call: BAD_GATEWAY if bad in call.rooms else None
        await house.passes(600)

        moments = [call.at for call in house.vendor.calls if bad in call.rooms]
        assert 10.5 >= max(later - earlier for earlier, later in pairwise(moments))
        assert 120 >= len(moments)


@in_virtual_time
async def test_transient_retries_take_a_fifth_of_the_slots_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where every slot is wanted, rooms that keep failing do not crowd out the others.
    """
    async with House(source("volcengine_rtc", 600)) as house:
        bad = set(named(600)[::2])
        house.vendor.answer = lambda call: BAD_GATEWAY if bad.intersection(call.rooms) else None
        await house.passes(30)
        planner = house.pollers["volcengine_rtc"].planner
        lanes = Counter[Lane]()
        take = planner.take

        def counted(lane: Lane, now: float) -> tuple[str, ...]:
            lanes[lane] += 1
            return take(lane, now)

        monkeypatch.setattr(planner, "take", counted)
        since = house.now
        await house.passes(120)

        slots = lanes.total()
        assert 0.97 * 40 * 120 <= slots
        # One may have been earned before.
        assert 0.18 * slots <= lanes[Lane.RETRY] <= 0.2 * slots + 1
        assert 20 >= max(gap for room in set(named(600)) - bad for gap in house.gaps_of("volcengine_rtc", room, since))


@pytest.mark.parametrize("answer", [BAD_GATEWAY, HANGS, RESET])
@in_virtual_time
async def test_transient_failures_alone_open_the_circuit(answer: Answer | Failure) -> None:
    """
    After five failures in a row and five seconds without a success only trials are made, 5 s apart at first and 60 s at
    last; the first success closes the circuit, and every room is read again within an interval.
    """
    async with House(source("zego_rtc", 900, timeout="1s")) as house:
        await house.passes(30)
        house.vendor.answer = always(answer)
        await until(lambda: house.state("zego_rtc") is SourceState.CIRCUIT_OPEN, within=7)
        assert 5 <= house.now - 30
        opened = house.now
        await house.passes(2)
        before = len(house.vendor.calls)
        await house.passes(300)
        trials = house.writes(since=opened + 1.2)
        assert [5, 10, 20, 40, 60, 60, 60] == pytest.approx(whole_gaps([opened, *trials]), abs=1.1)
        assert len(trials) == len(house.vendor.calls) - before
        assert {"unknown": 900} == house.states("zego_rtc")

        house.vendor.answer = lambda call: None
        took = await until(lambda: house.state("zego_rtc") is SourceState.OK, within=62)
        assert took <= 61
        await house.passes(10)
        assert {"fresh": 900} == house.states("zego_rtc")


@in_virtual_time
async def test_transient_failures_with_a_success_between_open_no_circuit() -> None:
    """
    A vendor of which one call in ten succeeds is polled on.
    """
    async with House(source("zego_rtc", 500)) as house:
        turn = iter(range(10**9))
        house.vendor.answer = lambda call: None if next(turn) % 10 == 0 else BAD_GATEWAY
        opened = []
        for _ in range(120):
            await house.passes(1)
            opened.append(house.state("zego_rtc"))

        assert {SourceState.OK} == set(opened)


@in_virtual_time
async def test_transient_failures_of_a_quiet_source_open_no_circuit_too_soon() -> None:
    """
    Four failures are not five: a source of one room that fails now and then stays ok.
    """
    async with House(source("zego_zim", 1)) as house:
        await house.passes(15)
        attempts = len(house.vendor.calls)
        house.vendor.answer = lambda call: BAD_GATEWAY if len(house.vendor.calls) < attempts + 5 else None
        await house.passes(60)

        assert 4 == house.failed("zego_zim")[FailureKind.TRANSIENT]
        assert not [line for line in house.log.lines if line.event == "source is in trouble"]
        assert {"fresh": 1} == house.states("zego_zim")


@in_virtual_time
async def test_transient_connections_that_cannot_be_opened_are_failed_calls() -> None:
    """
    They cost no slot, are tried once a second, open the circuit as other failures do, and are counted as calls that
    were never written; once the vendor can be reached every room is read again.
    """
    async with House(source("zego_rtc", 900)) as house:
        await house.passes(30)
        house.vendor.keeps_connections = False
        house.vendor.unreachable = Failure(FailureKind.TRANSIENT, "connect", "nobody listens")
        since, stats = house.now, house.telemetry.sources["zego_rtc"]
        before = stats.calls
        took = await until(lambda: house.state("zego_rtc") is SourceState.CIRCUIT_OPEN, within=8)
        assert 5 <= took
        written, failed = len(house.writes(since=since)), house.failed("zego_rtc")[FailureKind.TRANSIENT]
        assert 5 <= failed <= 8
        assert stats.calls - before == written + failed
        (budget,) = house.budgets.values()
        assert len(house.vendor.calls) == budget.calls
        assert 10 <= house.states("zego_rtc")["held"]
        await house.passes(60)
        assert {"unknown": 900} == house.states("zego_rtc")
        assert 12 >= house.failed("zego_rtc")[FailureKind.TRANSIENT]

        house.vendor.unreachable = None
        await until(lambda: house.state("zego_rtc") is SourceState.OK, within=62)
        await house.passes(11)
        assert {"fresh": 900} == house.states("zego_rtc")


@in_virtual_time
async def test_transient_connection_that_could_not_be_kept_ready_is_no_failure() -> None:
    """
    The vendor takes no new connection for a while, but keeps those that there are: nothing fails.
    """
    async with House(source("zego_rtc", 500)) as house:
        await house.passes(30)
        house.vendor.unreachable = Failure(FailureKind.TRANSIENT, "connect", "too many connections")
        house.clients[0].lose(2)
        await house.passes(30)

        assert not house.failed("zego_rtc")
        assert 10.6 >= max(house.gaps("zego_rtc"))
