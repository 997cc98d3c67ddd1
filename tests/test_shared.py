"""
Replicas of a cluster share budgets: one polls, the others wait, and whoever takes over goes on where the other was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import sin
from typing import Any, Final

import pytest

from exporter.metrics.room import Arrival
from exporter.model import Failure, FailureKind, Reading
from tests.polling.answers import fails, refuses
from tests.polling.house import House, named, source, worst_window
from tests.polling.virtual_time import in_virtual_time, until
from tests.replicas import LEASE, Engine, Replica

TIMEOUT = Failure(FailureKind.TRANSIENT, "timeout", "no reply")


@asynccontextmanager
async def pair(
    *sources: dict[str, Any], every_room: bool = False, engine: Engine | None = None
) -> AsyncIterator[tuple[Replica, Replica]]:
    """A replica that holds everything, and one that waits."""
    engine = engine or Engine()
    async with Replica(engine, *sources, every_room=every_room) as holder:
        await holder.passes(0.01)
        async with Replica(engine, *sources, vendor=holder.vendor, every_room=every_room) as other:
            await holder.passes(1.0)
            yield holder, other


def calls_of(replica: House) -> int:
    """How many calls a replica has written."""
    return sum(budget.calls for budget in replica.budgets.values())


@in_virtual_time
async def test_a_replica_without_the_budget_makes_no_call_and_opens_no_connection() -> None:
    """
    It is ready all the same, and polls in the minute that the other one does.
    """
    async with pair(source("zego_rtc", 100)) as (holder, other):
        await other.passes(60)

        assert 0 == calls_of(other)
        assert 0 == other.clients[0]._ready
        assert 0 < calls_of(holder)
        assert not other.lines("warning")
        assert other.exporter._why_unready() is None


@in_virtual_time
async def test_without_an_engine_nobody_calls_and_the_process_is_not_ready() -> None:
    """
    At a start the engine is away: no call, until it answers.
    """
    engine = Engine(away=True)
    async with Replica(engine, source("zego_rtc", 10)) as replica:
        await replica.passes(30)
        assert 0 == calls_of(replica)
        assert "the cluster's engine has not answered" == replica.exporter._why_unready()

        engine.away = False
        await replica.passes(1)
        assert 0 < calls_of(replica)
        assert replica.exporter._why_unready() is None


@pytest.mark.parametrize("ending", ["let go", "killed"])
@pytest.mark.parametrize("limit", [100, 7.5, 1.3, 0.1])
def test_a_hand_over_at_full_load_keeps_the_limit(ending: str, limit: float) -> None:
    """
    Whatever second is looked at, both together call no more than one may; and the next one begins soon.
    """

    @in_virtual_time
    async def keeps() -> None:
        async with pair(source("tencent_im", 1_100, rate_limit=limit, interval="10s")) as (holder, other):
            period = max(1.0, -(-limit // 1) / limit)
            await holder.passes(max(5.0, 1.2 * period))
            began = other.now
            if ending == "let go":
                await holder.cluster.stop()
                soon = 1.0
            else:
                holder.dies()
                soon = LEASE + 0.6
            calls = len(holder.vendor.calls)
            await other.passes(soon + 3 * period)
            since = [call.at - other.began - began for call in holder.vendor.calls[calls:]]

            assert since[0] <= (soon if limit > 10 else soon + period)
            assert worst_window([call.at for call in holder.vendor.calls], period + 0.02) <= -(-limit // 1)

    keeps()


@in_virtual_time
async def test_the_first_call_after_a_sigterm_comes_within_a_second() -> None:
    """
    The whole process ends as it does at SIGTERM: the other one calls while its last calls may still be under way.
    """
    engine = Engine()
    sources = source("zego_rtc", 2_000, rate_limit=100)
    async with Replica(engine, sources) as holder:
        await holder.passes(5)
        async with Replica(engine, sources, vendor=holder.vendor) as other:
            await other.passes(3)
            holder.vendor.latency = lambda: 2.5
            await other.passes(3)
            holder.vendor.latency = lambda: 0.05
            calls, signalled = len(holder.vendor.calls), other.now
            ending = asyncio.create_task(holder.exporter.stop())
            await until(lambda: calls_of(other) > 0, within=2.0, step=0.01)
            assert 1.0 >= other.now - signalled - 0.02
            await other.passes(3)
            await ending
            assert 100 >= worst_window([call.at for call in holder.vendor.calls])
            assert calls < len(holder.vendor.calls)


@in_virtual_time
async def test_inherited_rooms_are_due_by_the_age_of_their_readings() -> None:
    """
    The next replica reads each room an interval after its last reading: there is no rush of calls.
    """
    async with pair(source("zego_rtc", 300, rate_limit=100, interval="30s")) as (holder, other):
        await holder.passes(200)
        before = len([at for at in holder.writes() if at >= holder.now - 30])
        calls = len(holder.vendor.calls)
        await holder.cluster.stop()
        await other.passes(30)

        assert 30 == before
        assert 29 <= len(holder.vendor.calls) - calls <= 31
        gaps = [at - before for at, before in _across(holder, other)]
        assert 300 == len(gaps)
        assert 26 < min(gaps)
        assert 32 > max(gaps)


def _across(holder: House, other: House) -> list[tuple[float, float]]:
    """The first reading of each room here, and the last one there."""
    last = {room: moments[-1] for room, moments in holder.arrivals_of("zego_rtc").items()}
    return [
        (next(at for at in ats if at > last[room]), last[room]) for room, ats in other.arrivals_of("zego_rtc").items()
    ]


@in_virtual_time
async def test_a_reading_keeps_its_age_and_its_time_across_a_hand_over() -> None:
    """
    What was read 20 s ago is published until it is 30 s old, with the time at which it arrived.
    """
    async with pair(source("zego_rtc", 10, interval="60s", max_staleness="100s")) as (holder, other):
        await holder.passes(20)
        users, read = await holder.rooms(), await holder.rooms("rtc_room_reading_timestamp_seconds")
        other.vendor.answer = lambda _: TIMEOUT
        holder.dies()
        await other.passes(LEASE + 1)

        assert 10 == len(users)
        assert users == await other.rooms()
        assert read == await other.rooms("rtc_room_reading_timestamp_seconds")
        assert 10 == other.pollers["zego_rtc"].stats.inherited

        await other.passes(100 - 28)
        assert users == await other.rooms()
        await other.passes(5)
        assert {} == await other.rooms()
        assert {"unknown": 10} == other.states("zego_rtc")


@in_virtual_time
async def test_each_room_is_published_once() -> None:
    """
    ``serve: own``: state here or there, counters of calls on both.
    """
    async with pair(source("zego_rtc", 10), source("tencent_im", 3)) as (holder, other):
        await holder.passes(20)
        await holder.cluster.let_go([holder.pollers["tencent_im"].budget.name])
        holder.cluster.claims = False
        await other.passes(2)
        here, there = await holder.scrape(), await other.scrape()

        of_source = {"up", "state", "rooms", "users", "achieved_interval_seconds", "last_success_timestamp_seconds"}
        of_source |= {"clock_skew_seconds", "oldest_reading_timestamp_seconds"}
        of_room = ("users", "info", "reading_timestamp_seconds")
        state = {f"rtc_source_{name}" for name in of_source} | {f"rtc_room_{name}" for name in of_room}
        assert {"zego_rtc"} == {name for metric, name in here if metric in state}
        assert {"tencent_im"} == {name for metric, name in there if metric in state}
        assert state == {metric for metric, _ in here if metric in state}
        for name in ("zego_rtc", "tencent_im"):
            for metric in ("rtc_source_calls_total", "rtc_source_call_duration_seconds_count"):
                assert (metric, name) in here
                assert (metric, name) in there
        budget = holder.pollers["tencent_im"].budget.name
        assert (0.0, 1.0) == (here["rtc_budget_held", budget], there["rtc_budget_held", budget])


@in_virtual_time
async def test_every_replica_may_publish_every_room() -> None:
    """
    ``serve: all``: with their ages, and no longer than a reading may be published.
    """
    async with pair(source("zego_rtc", 10, interval="10s"), every_room=True) as (holder, other):
        await holder.passes(25)
        assert 10 == len(await holder.rooms())
        assert await holder.rooms() == await other.rooms()
        read = "rtc_room_reading_timestamp_seconds"
        assert await holder.rooms(read) == await other.rooms(read)
        samples = await other.scrape()
        assert 30.0 == samples["rtc_source_users", "zego_rtc"]
        assert ("rtc_source_up", "zego_rtc") not in samples

        other.cluster.claims = False
        holder.dies()
        await other.passes(30 - 11)
        assert 10 == len(await other.rooms())
        await other.passes(15)
        assert {} == await other.rooms()


@in_virtual_time
async def test_who_has_followed_goes_on_without_a_rush() -> None:
    """
    ``serve: all``: no gap at all, and rooms are due by their readings' ages.
    """
    async with pair(source("zego_rtc", 200, rate_limit=100, interval="20s"), every_room=True) as (holder, other):
        await holder.passes(70)
        calls = len(holder.vendor.calls)
        holder.dies()
        for _ in range(12):
            await other.passes(2)
            assert 200 == len(await other.rooms())

        assert 20 <= len(holder.vendor.calls) - calls <= 30


@in_virtual_time
async def test_a_lease_that_runs_out_between_slot_and_write_keeps_the_call_back() -> None:
    """
    The process stood still in between: the call is not written but counted, and its rooms are not lost.
    """
    async with pair(source("zego_rtc", 10, interval="2s")) as (holder, other):
        other.cluster.claims = False
        poller = holder.pollers["zego_rtc"]
        await holder.passes(5)
        calls, signed = len(holder.vendor.calls), poller._signing.request

        def freeze(*args: Any) -> Any:
            poller.budget._held_until = holder.loop.time()
            return signed(*args)

        poller._signing.request = freeze  # type: ignore[method-assign, assignment]
        holder.cluster.cut_off()
        await holder.passes(30)
        assert calls == len(holder.vendor.calls)
        assert 1 == holder.cluster.budgets.fenced_calls()
        poller._signing.request = signed  # type: ignore[method-assign]

        poller.budget.hold(holder.loop.time() + 100)
        await holder.passes(3)
        assert calls < len(holder.vendor.calls)
        assert {"fresh": 10} == holder.states("zego_rtc")
        assert len(holder.vendor.calls) == poller.stats.calls


@in_virtual_time
async def test_a_lease_that_ran_out_is_no_loss() -> None:
    """
    The engine is away for longer than a lease: no call, but the rooms stay published; then it goes on at once.
    """
    engine = Engine()
    async with pair(source("zego_rtc", 100, max_staleness="60s"), engine=engine) as (holder, other):
        other.cluster.claims = False
        await holder.passes(20)
        engine.away = True
        await holder.passes(LEASE)
        calls = len(holder.vendor.calls)
        await holder.passes(15)
        samples = await holder.scrape()

        assert calls == len(holder.vendor.calls)
        assert 100 == len(await holder.rooms())
        assert ("rtc_source_up", "zego_rtc") not in samples
        assert 0.0 == samples["rtc_budget_held", holder.pollers["zego_rtc"].budget.name]

        engine.away = False
        await holder.passes(3)
        assert calls < len(holder.vendor.calls)
        assert [] == holder.lines("warning")


@in_virtual_time
async def test_the_last_readings_travel_along() -> None:
    """
    Calls under way get half a second, and what they read is drained after the budget was let go.
    """
    async with pair(source("zego_rtc", 10, interval="10s")) as (holder, other):
        holder.vendor.latency = lambda: 0.4
        await until(lambda: bool(holder.pollers["zego_rtc"].calls_under_way), within=20, step=0.01)
        began = holder.now
        other.cluster.claims = False
        await holder.cluster.stop()

        assert 0.3 < holder.now - began < 0.5
        (records,) = holder.cluster.engine.rooms.values()
        assert 10 == len(records)
        assert holder.arrivals["zego_rtc", "room-00000"][-1] == pytest.approx(holder.loop.time(), abs=0.01)
        ages = [record.age for record, _ in records.values()]
        assert 0.01 > max(ages)


@in_virtual_time
async def test_a_hand_over_does_not_wait_for_a_slow_vendor() -> None:
    """
    After half a second the budget goes, whether replies have come or not.
    """
    async with pair(source("zego_rtc", 10, interval="10s")) as (holder, _):
        holder.vendor.latency = lambda: 4.5
        await until(lambda: bool(holder.pollers["zego_rtc"].calls_under_way), within=20, step=0.01)
        began = holder.now
        await holder.cluster.stop()

        assert pytest.approx(0.5, abs=0.05) == holder.now - began


@in_virtual_time
async def test_a_reload_lets_go_of_what_is_gone_and_claims_what_is_new() -> None:
    """
    A source that comes is polled by whoever gets its budget, and one that goes leaves the budget to others.
    """
    zego, im = source("zego_rtc", 10), source("tencent_im", 3)
    async with pair(zego) as (holder, other):
        other.cluster.claims = False
        await holder.load(zego, im)
        await holder.passes(2)
        assert {"fresh": 3} == holder.states("tencent_im")

        await holder.load(im)
        gone = [name for name in holder.cluster._until if name not in holder.cluster.budgets.needed()]
        assert 1 == len(gone)
        await holder.cluster.let_go(gone)
        state = holder.cluster.engine.leases[gone[0]].state
        assert state is not None
        assert state["writes"]


@in_virtual_time
async def test_a_renamed_budget_is_claimed_anew() -> None:
    """
    The lease is for the name: under another one somebody else may hold it.
    """
    zego = source("zego_rtc", 10, budget="one")
    async with pair(zego) as (holder, other):
        other.cluster.claims = holder.cluster.claims = False
        await holder.passes(5)
        calls = len(holder.vendor.calls)
        await holder.load({**zego, "budget": "another"})
        await holder.passes(15)
        assert calls == len(holder.vendor.calls)

        holder.cluster.claims = True
        await holder.passes(5)
        assert calls < len(holder.vendor.calls)


@in_virtual_time
async def test_readings_of_another_app_are_not_inherited() -> None:
    """
    Whose rooms they are is part of a source's key: the same room of another app is another room.
    """
    async with pair(source("zego_rtc", 10)) as (holder, other):
        await holder.passes(20)
        await other.load(source("zego_rtc", 10, app_id=7))
        other.vendor.answer = lambda _: TIMEOUT
        holder.dies()
        await other.passes(LEASE + 2)

        assert 0 < len(other.cluster.gained)
        assert {} == await other.rooms()


@in_virtual_time
async def test_what_budgets_need_and_how_they_belong_together() -> None:
    """
    Calls per second for as many rooms; a source's list belongs to its polls, and a budget can hold no more than it has.
    """
    listed = {"vendor_list": {"interval": "30s"}}
    sources = (
        source("zego_rtc", 300, interval="10s", budget="polls"),
        source("tencent_im", 400, interval="10s", budget="im", rate_limit=20, discovery=listed),
        source("tencent_live", 0, budget="live"),
    )
    async with Replica(Engine(away=True), *sources) as replica:
        needed, ties = replica.cluster.budgets.needed(), replica.cluster.budgets.ties()
        assert 3.0 == needed["polls"]
        assert 19.0 < needed["im"] < 20.0
        assert 0.0 == needed["live"]
        (lists,) = needed.keys() - {"polls", "im", "live"}
        assert 0 < needed[lists] < 1
        assert {frozenset({"polls"}), frozenset({"live"}), frozenset({"im", lists})} == set(ties)
        assert 3 == len(ties)


@in_virtual_time
async def test_a_cluster_that_cannot_leave_does_not_hold_up_the_end() -> None:
    """
    Whatever its engine does, the process ends.
    """
    replica = Replica(Engine(), source("zego_rtc", 10))

    async def hangs() -> None:
        await asyncio.sleep(1e6)

    await replica.__aenter__()
    await replica.passes(1)
    replica.cluster.cut_off()
    replica.cluster.stop = hangs  # type: ignore[method-assign]
    began = replica.now
    await replica.exporter.stop()

    assert 6.0 > replica.now - began
    assert [TimeoutError] == [type(error) for error in replica.jobs.errors]


@in_virtual_time
async def test_a_silence_that_the_vendor_wants_goes_on() -> None:
    """
    Tencent forbids an app calls for five minutes; the next replica keeps to it.
    """
    async with pair(source("tencent_im", 10)) as (holder, other):
        await holder.passes(5)
        holder.pollers["tencent_im"].health.silence(holder.loop.time() + 100)
        calls = len(holder.vendor.calls)
        await holder.cluster.stop()
        await other.passes(98)
        assert calls == len(holder.vendor.calls)

        await other.passes(4)
        assert calls < len(holder.vendor.calls)


@in_virtual_time
async def test_a_lowered_pace_is_published_by_its_holder_alone() -> None:
    """
    It goes on at the next replica, and no alert looks at what the last one remembers.
    """
    async with pair(source("tencent_im", 100)) as (holder, other):
        await holder.passes(5)
        budget = holder.pollers["tencent_im"].budget
        budget.pacer.rejected(budget.pacer._log[-1], holder.loop.time())
        holder.cluster.claims = False
        await holder.cluster.let_go([budget.name])
        await other.passes(1)
        here, there = await holder.scrape(), await other.scrape()

        pace, limit = "rtc_budget_pace_calls_per_second", "rtc_budget_limit_calls_per_second"
        assert (pace, budget.name) not in here
        assert there[limit, budget.name] * 0.9 == there[pace, budget.name]


USER_SECONDS: Final[dict[str, Any]] = {"families": ["users", "reading_timestamp", "info", "user_seconds"]}


@pytest.mark.parametrize("every_room", [False, True])
@pytest.mark.parametrize("ending", ["let go", "killed"])
def test_user_seconds_go_on_at_the_next_replica(ending: str, every_room: bool) -> None:
    """
    Of each room and of the source; nobody publishes less than was published before, and at the end as much as one
    process alone.
    """

    @in_virtual_time
    async def go_on() -> None:
        totals, of_source = "rtc_room_user_seconds_total", ("rtc_source_user_seconds_total", "zego_rtc")
        async with pair(source("zego_rtc", 20, interval="10s", **USER_SECONDS), every_room=every_room) as (
            holder,
            other,
        ):
            await holder.passes(65)
            before, whole = await holder.rooms(totals), (await holder.scrape())[of_source]
            assert 20 == len(before)
            assert all(3 * 40 <= seconds <= 3 * 65 for seconds in before.values())
            if every_room:
                assert before == await other.rooms(totals)
                assert whole == (await other.scrape())[of_source]
            if ending == "let go":
                await holder.cluster.stop()
            else:
                holder.dies()
            least = before
            for _ in range(20):
                await other.passes(1)
                now = await other.rooms(totals)
                if now:
                    assert all(now[room] >= seconds for room, seconds in least.items())
                    least = now
            await other.passes(45)

            after, total = await other.rooms(totals), (await other.scrape())[of_source]
            assert all(3 * 50 <= after[room] - seconds <= 3 * 80 for room, seconds in before.items())
            assert whole < total
            assert total == pytest.approx(sum(after.values()), abs=0.02)

    go_on()


@in_virtual_time
async def test_nothing_is_added_while_nobody_could_read_a_room() -> None:
    """
    The last reading was too old before the next replica made its first one.
    """
    metric = "rtc_room_user_seconds_total"
    async with pair(source("zego_rtc", 3, interval="10s", **USER_SECONDS)) as (holder, other):
        other.cluster.claims = False
        await holder.passes(65)
        before = await holder.rooms(metric)
        holder.dies()
        await other.passes(300)
        other.cluster.claims = True
        await other.passes(12)

        assert all(0 <= total - before[room] <= 3 * 11 for room, total in (await other.rooms(metric)).items())


@in_virtual_time
async def test_refused_rooms_stay_refused_at_the_next_replica() -> None:
    """
    It asks for each alone when the vendor may be asked again, so no batch fails because of them.
    """
    async with pair(source("zego_rtc", 20, interval="10s"), every_room=True) as (holder, other):
        bad = named(20)[3]
        holder.vendor.answer = refuses({bad})
        await holder.passes(30)
        assert {"fresh": 19, "refused": 1} == holder.states("zego_rtc") == other.states("zego_rtc")
        failed = sum(other.pollers["zego_rtc"].stats.failed_calls.values())
        calls = len(holder.vendor.calls)
        holder.dies()
        await other.passes(LEASE + 20)

        assert {"fresh": 19, "refused": 1} == other.states("zego_rtc")
        assert failed == sum(other.pollers["zego_rtc"].stats.failed_calls.values())
        holder.vendor.answer = lambda _: None
        await other.passes(60)
        assert {"fresh": 20} == other.states("zego_rtc")
        alone = [call for call in holder.vendor.calls[calls:] if call.rooms == (bad,)]
        assert 1 == len(alone)


@in_virtual_time
async def test_a_missing_room_is_asked_alone_at_the_next_replica_too() -> None:
    """
    ZEGO may refuse a batch because of it.
    """
    async with pair(source("zego_rtc", 50, interval="10s")) as (holder, other):
        gone = named(50)[7]
        holder.vendor.answer = lambda call: fails("zego_rtc", 104) if gone in call.rooms else None
        await holder.passes(60)
        assert {"fresh": 49, "missing": 1} == holder.states("zego_rtc")
        calls = len(holder.vendor.calls)
        await holder.cluster.stop()
        await other.passes(30)

        assert {"fresh": 49, "missing": 1} == other.states("zego_rtc")
        assert {1} == {len(call.rooms) for call in holder.vendor.calls[calls:] if gone in call.rooms}


@pytest.mark.parametrize("every_room", [False, True])
def test_importance_is_inherited(every_room: bool) -> None:
    """
    Quiet rooms stay quiet, with readings that are older than those of others may be; important ones are read as often
    as before. Nothing is withdrawn, and there is no rush that would hold them up.
    """

    @in_virtual_time
    async def inherited() -> None:
        rooms, busy = named(600), set(named(80))
        of = source("zego_rtc", rooms, rate_limit=1, interval="10s", cadence={"longest": "10m"})
        async with pair(of, every_room=every_room) as (holder, other):
            holder.vendor.users = lambda room: (
                int(200 + 80 * sin(other.now / 7 + int(room[-3:]))) if room in busy else 1
            )
            await holder.passes(300)
            before = sum(len(busy & {*call.rooms}) for call in holder.vendor.of("zego_rtc", holder.loop.time() - 100))
            holder.dies()
            least = 600
            for _ in range(60):
                await other.passes(1)
                shown = len(await other.rooms())
                least = min(least, shown or least)
            after = sum(len(busy & {*call.rooms}) for call in other.vendor.of("zego_rtc", other.loop.time() - 50))
            planners = [replica.pollers["zego_rtc"].planner for replica in (holder, other)]

            assert 600 == least
            assert before / 2 <= 1.2 * after
            assert all(100 < planner.own_interval(rooms[-1]) for planner in planners)

    inherited()


@in_virtual_time
async def test_readings_grow_too_old_everywhere_at_the_same_time() -> None:
    """
    ``serve: all`` with a cadence: a reading of an important room counts for a shorter time than one of a quiet room.
    """
    rooms = named(600)
    of = source("zego_rtc", rooms, rate_limit=1, interval="10s", cadence={"longest": "10m"})
    async with pair(of, every_room=True) as (holder, other):
        holder.vendor.users = lambda room: int(200 + 80 * sin(other.now / 7)) if room < rooms[80] else 1
        await holder.passes(250)
        holder.vendor.answer = lambda _: TIMEOUT
        await holder.passes(100)

        shown = await other.rooms()
        assert (await holder.rooms()).keys() == shown.keys()
        assert 300 < len(shown) < 600


@in_virtual_time
async def test_a_source_that_moves_to_another_budget_has_one_poller() -> None:
    """
    The replica that has reloaded holds the new budget, and waits while the other one polls the source on the former.
    """
    stay = source("zego_rtc", 5, name="stay", budget="new", interval="2s")
    before, after = (source("zego_rtc", 5, name="moved", budget=budget, interval="2s") for budget in ("former", "new"))
    async with pair(stay, before) as (holder, other):
        await holder.cluster.let_go(["new"])
        holder.cluster.claims = other.cluster.claims = False
        other.cluster.claims = True
        await other.passes(1)
        other.cluster.claims = False
        assert ({"former"}, {"new"}) == ({*holder.cluster._until}, {*other.cluster._until})

        await other.load(stay, after)
        await other.passes(20)
        assert 0 == other.pollers["moved"].stats.calls
        assert [] == [name for metric, name in await other.scrape() if (metric, name) == ("rtc_room_users", "moved")]

        await holder.load(stay, after)
        await holder.passes(1)
        calls = holder.pollers["moved"].stats.calls
        other.cluster.readings.leave(other.cluster.readings.sources("new")[1], elsewhere=False)
        await other.passes(10)
        assert calls == holder.pollers["moved"].stats.calls
        assert 0 < other.pollers["moved"].stats.calls
        assert ("rtc_room_users", "moved") in await other.scrape()


@in_virtual_time
async def test_counts_of_a_list_are_told_from_polls_everywhere() -> None:
    """
    ``read_by`` in the JSON of either replica.
    """
    async with pair(source("zego_rtc", 3), every_room=True) as (holder, other):
        await holder.passes(1)
        arrival = Arrival(holder.loop.time(), holder.clock.unix(), listed=True)
        holder.pollers["zego_rtc"].read_elsewhere({named(3)[0]: Reading(9)}, arrival)
        await other.passes(1)
        rows = [other.tables["zego_rtc"].row(room) for room in named(3)]

        assert [True, False, False] == [row.batch.arrival.listed for row in rows if row and row.batch]
