"""
Rooms of one source get intervals of their own, within two bounds, and all of them together fit the budget.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.room import Arrival
from exporter.model import NO_THRESHOLDS, Reading, Room, Thresholds
from exporter.polling.importance import Importance
from exporter.polling.load import budget_loads
from exporter.polling.planner import Lane, Planner
from exporter.simulator.audiences import audiences
from exporter.states import RoomState, Why
from tests.polling.house import House, named, parsed, source
from tests.polling.vendor import TIMEOUT
from tests.polling.virtual_time import in_virtual_time

INTERVAL, LONGEST = 10.0, 120.0


def read(importance: Importance, room: str, users: Callable[[float], float], thresholds: Thresholds) -> float:
    """Read a room every 20 s for ten minutes, and plan it; its own interval then."""
    for second in range(0, 600, 20):
        importance.learn([Room(room, thresholds=thresholds)], [round(users(second))], float(second))
    importance.balance(1.0, 60)
    return importance.own(room) or 0.0


@pytest.mark.parametrize(
    ("quick", "slow"),
    [
        ((lambda at: at, NO_THRESHOLDS), (lambda at: at / 50, NO_THRESHOLDS)),
        ((lambda _: 2000, NO_THRESHOLDS), (lambda _: 0, NO_THRESHOLDS)),
        ((lambda at: 90 + at % 3, Thresholds(warning=100)), (lambda at: 90 + at % 3, NO_THRESHOLDS)),
        ((lambda at: 90 + at % 3, Thresholds(1000, 100)), (lambda at: 90 + at % 3, Thresholds(1000))),
    ],
    ids=["changes fast", "is large", "is near its warning threshold", "is near its critical threshold"],
)
def test_important_rooms_are_read_more_often(quick, slow):
    """
    A room that changes faster, is larger, or is nearer to a threshold has a shorter interval than another one.
    """
    importance = Importance(INTERVAL, 600.0)

    assert read(importance, "quick", *quick) * 1.4 < read(importance, "slow", *slow)


def test_four_times_the_change_halves_the_interval():
    """
    The square-root rule: of two rooms that drift at rates of 1 to 4, at the intervals that they get.
    """
    importance = Importance(1.0, 1000.0)
    readings = {"slow": 0.0, "fast": 0.0}
    for _ in range(400):
        room = min(readings, key=lambda name: readings[name])
        at = readings[room]
        importance.learn([Room(room)], [round(at * (4000 if room == "fast" else 1000))], at)
        importance.balance(0.1, 2)
        readings[room] += importance.own(room) or 0.0

    assert 2.0 == pytest.approx((importance.own("slow") or 0) / (importance.own("fast") or 1), rel=0.25)


def test_new_and_disturbed_rooms_are_important():
    """
    Until readings tell otherwise: a room that was empty for long is read soon again after something happened to it.
    """
    importance = Importance(INTERVAL, LONGEST)
    quiet = read(importance, "quiet", lambda _: 0, NO_THRESHOLDS)
    importance.learn([Room("new")], [0], 600.0)
    importance.disturb(["quiet", "unknown"])
    levels = [level for _, level, _, _ in importance.plan(["quiet", "new"], 600.0)]

    assert levels[0] == levels[1]
    assert (importance.own("quiet") or 0) < quiet


@pytest.mark.parametrize(
    ("why", "users"),
    [
        (Why.QUIET, [0] * 40),
        (Why.NEAR, [280] * 40),
        (Why.FAST, [1000 + 500 * (number % 2) for number in range(40)]),
        (Why.UNUSUAL, [20] * 40 + [0] * 8),
        (Why.LARGE, [5000 + 10 * (number % 2) for number in range(40)]),
        (Why.SIZE, [8, 9] * 20),
        (Why.NEW, [5]),
    ],
)
def test_why_a_room_is_polled_as_often_as_it_is(why, users):
    """
    One reason, the decisive one.
    """
    importance = Importance(INTERVAL, 600.0)
    room = Room("a", thresholds=Thresholds(300))
    for number, count in enumerate(users):
        importance.learn([room], [count], 30.0 * number)
        importance.balance(1.0, 300)

    assert why is importance.why(room)
    importance.disturb(["a"])
    assert Why.DISTURBED is importance.why(room)
    importance.balance(1000.0, 300)
    assert Why.SUFFICES is importance.why(room)


def test_rooms_that_are_to_be_read_more_seldom():
    """
    A room that discovery calls idle waits for `idle_interval`, takes less of the budget, and is read like others when
    somebody comes.
    """
    now = 0.0
    importance = Importance(INTERVAL, LONGEST)
    planner = Planner(10, INTERVAL, lambda: now, importance)
    planner.watch(map(Room, named(100)))
    planner.slow_down(named(50), 1000.0)
    for _ in range(40):
        importance.balance(1.0, 100)
        for _ in range(10):
            batch = planner.take(Lane.REGULAR, now)
            importance.learn(map(Room, batch), [0] * len(batch), now)
            planner.read(batch, now)
        now += 60.0

    assert 1000.0 == planner.own_interval("room-00007")
    assert Why.IDLE is importance.why(Room("room-00007"))
    assert [50, 50] == importance.distribution([LONGEST / 2, LONGEST])
    planner.speed_up(["room-00007"])
    importance.learn([Room("room-00007")], [40], now)
    assert LONGEST >= planner.own_interval("room-00007")


def test_a_room_that_is_brought_forward_is_important():
    """
    As after a callback: it is asked next, and soon again.
    """
    now = 0.0
    importance = Importance(INTERVAL, LONGEST)
    planner = Planner(10, INTERVAL, lambda: now, importance)
    planner.watch(map(Room, named(100)))
    for _ in range(200):
        importance.balance(1.0, 100)
        batch = planner.take(Lane.REGULAR, now)
        importance.learn(map(Room, batch), [0] * len(batch), now)
        planner.read(batch, now)
        now += 10.0
    quiet = planner.own_interval("room-00007")
    planner.bring_forward(["room-00007"], now)

    assert 90.0 < quiet
    assert quiet > 3 * planner.own_interval("room-00007")
    assert "room-00007" in planner.take(Lane.REGULAR, now)


@in_virtual_time
async def test_what_a_list_says_is_learnt_too():
    """
    A room of which the vendor's list says that it fills is important at the next poll, and published for as long as
    its own interval says.
    """
    async with House(source("zego_rtc", 1000, rate_limit=1, cadence={"longest": "120s"})) as house:
        await house.passes(900)
        poller = house.pollers["zego_rtc"]
        before = poller.planner.own_interval("room-00001")
        now = poller._clock.monotonic()
        poller.read_elsewhere({"room-00001": Reading(900)}, Arrival(now, 0.0))

        assert before > 3 * poller.planner.own_interval("room-00001")
        assert [900] == house.tables["zego_rtc"].users_of(["room-00001"])
        lane, due = poller.planner.next_poll("room-00001") or (None, 0.0)
        assert (Lane.REGULAR, True) == (lane, due - now <= before / 3)


@given(
    sizes=st.lists(st.integers(0, 20_000), min_size=1, max_size=60),
    rises=st.lists(st.integers(0, 500), min_size=60, max_size=60),
    readings=st.floats(0.05, 10.0),
    longest=st.floats(10.0, 1000.0),
)
def test_the_sum_fits_the_budget_and_the_clamp_holds(sizes, rises, readings, longest):
    """
    Whatever the rooms do: no interval is out of bounds, and the sum is the budget's unless the bounds forbid it.
    """
    importance = Importance(INTERVAL, longest)
    rooms = [str(number) for number in range(len(sizes))]
    for at in (0.0, 30.0, 60.0):
        users = [size + round(rise * at / 60) for size, rise in zip(sizes, rises, strict=False)]
        importance.learn(map(Room, rooms), users, at)
    importance.balance(readings, len(rooms))
    own = [importance.own(room) or 0.0 for room in rooms]

    assert all(INTERVAL <= interval <= longest for interval in own)
    demand = sum(1 / interval for interval in own)
    assert demand <= max(readings, len(rooms) / longest) * 1.001
    if demand > len(rooms) / longest * 1.001:
        assert demand >= min(readings, len(rooms) / INTERVAL) * 0.75
    counts = importance.distribution([INTERVAL, longest, float("inf")])
    assert [sum(interval <= bound for interval in own) for bound in (INTERVAL, longest, float("inf"))] == counts


@given(actions=st.lists(st.tuples(st.sampled_from("tersfdwn"), st.integers(0, 29)), max_size=120))
def test_no_room_is_lost_or_asked_twice(actions):
    """
    However calls end, and whatever comes and goes: each watched room is planned once, or bound by one call.
    """
    now = 0.0
    importance = Importance(INTERVAL, LONGEST)
    planner = Planner(4, INTERVAL, lambda: now, importance)
    planner.watch(Room(str(number)) for number in range(30))
    for action, number in actions:
        now += 3.0
        room = str(number)
        batch = planner.take(Lane.SPARE if action == "e" else Lane.REGULAR, now) if action in "ters" else ()
        assert len(batch) == len(set(batch)) <= 4
        if action in "te":
            importance.learn(map(Room, batch), [number * int(each) for each in batch], now)
        steps: dict[str, Callable[[], None]] = {
            "t": partial(planner.read, batch, now),
            "e": partial(planner.read, batch, now),
            "r": partial(planner.retry, batch, now, 1.0, now),
            "s": partial(planner.suspect, batch, now),
            "f": partial(planner.forget, [room]),
            "d": partial(planner.reschedule, [room], now),
            "w": partial(planner.watch, [Room(room)]),
            "n": partial(importance.balance, number / 10, len(planner)),
        }
        steps[action]()
        planner.release(batch, now)

    now += 10_000.0
    taken: list[str] = []
    for lane in (Lane.REGULAR, Lane.SUSPECT):
        while batch := planner.take(lane, now):
            taken += batch
    assert sorted(str(number) for number in range(30) if str(number) in planner) == sorted(taken)


def poll(rooms: int, seconds: float, readings: float, crowd_at: float) -> tuple[dict[str, list[float]], Planner]:
    """Virtual time: rooms of one budget, one of which begins to change fast. Returns the times of all readings."""
    traces = audiences(3, rooms, seconds)
    importance = Importance(INTERVAL, LONGEST)
    now, times = 0.0, defaultdict[str, list[float]](list)
    planner = Planner(10, INTERVAL, lambda: now, importance)
    planner.watch(Room(str(number)) for number in range(rooms))
    steps = round(seconds * readings / 10)
    for step in range(steps):
        now = step * 10 / readings
        if not step % 2:
            importance.balance(readings, rooms)
        batch = planner.take(Lane.REGULAR, now) or planner.take(Lane.SPARE, now)
        for room in batch:
            times[room].append(now)
            users = traces[int(room)].at(now) if room != "0" else max(0, round(20 * (now - crowd_at)))
            importance.learn([Room(room)], [users], now)
        planner.read(batch, now)
    return times, planner


def test_a_crowd_is_followed_and_nobody_waits_longer_than_longest():
    """
    Ten times the rooms that the budget can read every interval: once a crowd is seen its room is read every interval,
    and no other room is ever older than `longest` and a tenth.
    """
    times, planner = poll(rooms=1000, seconds=1500.0, readings=10.0, crowd_at=800.0)

    seen = next(at for at in times["0"] if at > 800.0)
    gaps = [after - before for before, after in pairwise(times["0"]) if before > seen + 30.0]
    assert INTERVAL * 1.1 >= median(gaps)
    assert INTERVAL * 1.5 >= max(gaps)
    oldest = max(after - before for of_room in times.values() for before, after in pairwise(of_room) if before > 100.0)
    assert oldest <= LONGEST * 1.1
    assert INTERVAL == planner.own_interval("0")


def test_the_budget_is_used_and_the_factor_settles():
    """
    No slot is unused, no room is late, and the factor changes little.
    """
    times, planner = poll(rooms=1000, seconds=1500.0, readings=10.0, crowd_at=1e9)
    importance = planner.cadence

    assert importance is not None
    assert importance.late < 2.0
    assert 1500 * 10 == sum(map(len, times.values()))
    before = planner.own_interval("1")
    for _ in range(20):
        importance.balance(10.0, 1000)
    assert before == pytest.approx(planner.own_interval("1"), rel=0.25)


def test_only_rooms_that_were_read_are_asked_early():
    """
    A room may use a spare slot from a quarter of its interval on, but not within the shortest interval. One whose call
    has failed waits for its retry, and one that was taken early is not due twice.
    """
    importance = Importance(INTERVAL, LONGEST)
    planner = Planner(10, INTERVAL, lambda: 0.0, importance)
    planner.watch(map(Room, named(20)))
    importance.balance(0.1, 20)
    quiet, failed = planner.take(Lane.REGULAR, 0.0), planner.take(Lane.REGULAR, 0.0)
    for at in (0.0, 500.0, 1000.0):
        importance.learn(map(Room, quiet), [0] * 10, at)
    importance.balance(0.1, 20)
    planner.read(quiet, 1000.0)
    planner.retry(failed, 1000.0, 5.0, 1000.0)

    assert LONGEST == planner.own_interval(quiet[0])
    assert 1000.0 + LONGEST / 4 == planner.due(Lane.SPARE)
    assert () == planner.take(Lane.SPARE, 1000.0 + LONGEST / 4 - 1)
    assert set(failed) == set(planner.take(Lane.RETRY, 1005.0))
    assert set(quiet) == set(planner.take(Lane.SPARE, 1000.0 + LONGEST / 4))
    assert [(), ()] == [planner.take(lane, 2000.0) for lane in (Lane.SPARE, Lane.REGULAR)]


def test_a_room_of_which_nothing_is_known_is_not_published_for_longer_than_quiet_ones():
    """
    As one that is not polled any more when the reply to its last call arrives; idle rooms are read every hour.
    """
    importance = Importance(INTERVAL, LONGEST)
    importance.rare = {"idle": 3600.0}
    importance.learn([Room("idle"), Room("quiet")], [0, 0], 0.0)
    importance.balance(0.01, 2)
    idle, unknown = importance.max_ages(["idle", "unknown"], 30.0)

    assert 3 * 3600 <= idle
    assert 3 * LONGEST <= unknown <= 3 * LONGEST * 1.42


@pytest.mark.parametrize("lane", [Lane.REGULAR, Lane.SPARE])
def test_a_room_that_comes_back_at_once_is_asked_once(lane):
    """
    A room that is gone for a moment and read anew has one place among those that it was read with before.
    """
    importance = Importance(INTERVAL, LONGEST)
    planner = Planner(3, INTERVAL, lambda: 0.0, importance)
    for at, rooms in ((0.0, ["stays", "returns"]), (1.0, ["returns", "new", "newer"])):
        planner.forget(["returns"])
        planner.watch(map(Room, rooms))
        importance.balance(0.01, 4)
        assert rooms == [*planner.take(Lane.REGULAR, at)]
        importance.learn([Room("returns")], [5], at)
        planner.read(rooms[:2] if at == 0.0 else rooms[:1], at)

    assert ("stays", "returns") == planner.take(lane, LONGEST * 1.1)


def test_nothing_piles_up_behind_rooms_that_wait_for_a_spare_slot():
    """
    There is no spare slot for an hour, and a room that is to be read once in that time waits for one: those that are
    read meanwhile leave nothing behind it.
    """
    importance = Importance(INTERVAL, LONGEST)
    planner = Planner(1, INTERVAL, lambda: 0.0, importance)
    planner.watch(map(Room, named(200)))
    planner.slow_down(named(1), 3600.0)
    for second in range(3600):
        importance.balance(1.0, 200)
        planner.dues()
        batch = planner.take(Lane.REGULAR, float(second))
        importance.learn(map(Room, batch), [3] * len(batch), float(second))
        planner.read(batch, float(second))

    assert 2_000 > sum(map(len, planner._lanes))


@in_virtual_time
async def test_no_slot_is_unused_from_the_start():
    """
    Rooms that become known together fall due together. There are ten times as many as the limit can serve, so no slot
    is idle in between.
    """
    async with House(source("zego_rtc", 4000, rate_limit=20, interval="5s", cadence={"longest": "60s"})) as house:
        house.vendor.users = lambda room: 1 + int(room[-3:]) % 50 * (round(house.now / 7) % 5)
        await house.passes(2)
        for _ in range(10):
            before = len(house.vendor.calls)
            await house.passes(10)
            assert 10 * 20 * 0.97 <= len(house.vendor.calls) - before


def test_a_budget_that_suffices_makes_no_difference():
    """
    Every room is read every interval, in the same batches at the same times as without a cadence.
    """
    reads = []
    for importance in (Importance(INTERVAL, LONGEST), None):
        planner = Planner(10, INTERVAL, lambda: 0.0, importance)
        planner.watch(Room(str(number)) for number in range(95))
        polled: list[tuple[float, tuple[str, ...]]] = []
        for step in range(1000):
            now = step * 0.1
            if importance is not None and not step % 20:
                importance.balance(10.0, 95)
            if batch := planner.take(Lane.REGULAR, now) or planner.take(Lane.SPARE, now):
                if importance is not None:
                    importance.learn(map(Room, batch), [int(room) * step for room in batch], now)
                planner.read(batch, planner.phase(Lane.REGULAR, now))
                polled.append((now, batch))
        reads.append(polled)

    assert reads[1] == reads[0]


def test_shares_of_a_budget():
    """
    A source without a cadence gets all that it needs; the others share the rest, and first what each needs for
    `longest`.
    """
    plain = source("zego_rtc", 300, name="plain")
    first = source("zego_rtc", 1000, name="first", cadence={"longest": "50s"})
    second = source("zego_rtc", 2000, name="second", cadence={"longest": "200s"})
    (load,) = budget_loads((config, len(config.rooms)) for config in parsed(plain, first, second))
    shares = {each.config.name: each.share for each in load.sources}

    assert load.fits
    assert 3.0 == pytest.approx(shares["plain"])
    assert 2.0 <= shares["first"]
    assert 1.0 <= shares["second"]
    assert load.kept == pytest.approx(sum(shares.values()))


@pytest.mark.parametrize(("longest", "fits"), [("2m", True), ("1m", False)])
def test_check_tells_whether_longest_can_hold(longest, fits):
    """
    10,000 rooms cannot be read once a minute with ten calls per second of ten rooms each, but every two minutes.
    """
    (load,) = budget_loads(
        (config, len(config.rooms)) for config in parsed(source("zego_rtc", 10_000, cadence={"longest": longest}))
    )

    assert fits == load.fits


@in_virtual_time
async def test_rooms_have_intervals_and_ages_of_their_own():
    """
    The whole exporter: busy rooms are read every interval and quiet ones every `longest`; when the vendor fails, busy
    rooms become unknown first, and quiet ones when their own time is over.
    """
    async with House(source("zego_rtc", 1000, rate_limit=1, cadence={"longest": "120s"})) as house:
        busy, quiet = "room-00007", "room-00001"
        house.vendor.users = lambda room: 3 + round(house.now * 50) if room == busy else 3
        await house.passes(900)
        planner, table = house.pollers["zego_rtc"].planner, house.tables["zego_rtc"]
        gaps = house.gaps_of("zego_rtc", busy, since=600.0)

        assert INTERVAL == planner.own_interval(busy)
        assert INTERVAL * 1.2 >= median(gaps)
        assert 100.0 < planner.own_interval(quiet) <= LONGEST
        house.vendor.answer = lambda call: TIMEOUT
        await house.passes(60)
        assert RoomState.UNKNOWN is table.state(busy)
        assert [None, 3] == table.users_of([busy, quiet])
        await house.passes(600)
        assert RoomState.UNKNOWN is table.state(quiet)


@in_virtual_time
async def test_no_room_becomes_unknown_while_others_are_read_for_the_first_time():
    """
    The first pass takes 103 s, and a large room, which is to be read every interval, waits for it and stays published.
    """
    large = {"id": "large", "thresholds": {"warning": 20_000}}
    rooms: list[Any] = [large, *named(999)]
    async with House(source("zego_rtc", rooms, rate_limit=1, cadence={"longest": "150s"})) as house:
        house.vendor.users = lambda room: 20_000 if room == "large" else 3
        await house.passes(2)
        published = set()
        for _ in range(30):
            await house.passes(5)
            house.states("zego_rtc")  # which withdraws what is too old
            published.update(house.tables["zego_rtc"].users_of(["large"]))

        assert {20_000} == published
        assert 1000 == house.tables["zego_rtc"].known


@in_virtual_time
async def test_a_cadence_comes_and_goes_with_a_reload():
    """
    Readings stay, and rooms that waited for `longest` are due an interval from then at the latest.
    """
    with_cadence = source("zego_rtc", 100, rate_limit=1, cadence={"longest": "120s"})
    async with House(with_cadence) as house:
        await house.passes(300)
        await house.load(source("zego_rtc", 100, rate_limit=1))
        planner = house.pollers["zego_rtc"].planner
        dues = [due for _, due in filter(None, map(planner.next_poll, house.tables["zego_rtc"]))]
        now = house.pollers["zego_rtc"]._clock.monotonic()

        assert planner.cadence is None
        assert INTERVAL + 1.0 >= max(dues) - now
        assert 100 == house.tables["zego_rtc"].known
        await house.load(with_cadence)
        await house.passes(120)
        assert 120.0 == getattr(planner.cadence, "longest", None)


def test_the_order_stays_when_a_cadence_ends():
    """
    All rooms are due within an interval then, the important ones before the quiet ones.
    """
    planner = Planner(1, INTERVAL, lambda: 0.0, Importance(INTERVAL, LONGEST))
    planner.watch(map(Room, ("quiet", "important")))
    planner.reschedule(["quiet"], 100.0)
    planner.reschedule(["important"], 15.0)
    planner.change_cadence(None, 0.0)

    assert [("important",), ("quiet",)] == [planner.take(Lane.REGULAR, INTERVAL) for _ in range(2)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"cadence": {"longest": "200s"}}, {"cadence": {"longest": "200s"}, "interval": "5s"}),
        ({}, {"cadence": {"longest": "200s"}}),
    ],
    ids=["another interval", "a cadence begins"],
)
@in_virtual_time
async def test_no_room_becomes_unknown_by_a_reload(before, after):
    """
    Important rooms, whose readings count for half a minute, do not wait behind all the quiet ones.
    """
    async with House(source("zego_rtc", 1000, rate_limit=1, **before)) as house:
        house.vendor.users = lambda room: 1000 + round(house.now * 20) if room.endswith("50") else 3
        await house.passes(501)
        await house.load(source("zego_rtc", 1000, rate_limit=1, **after))
        for _ in range(20):
            await house.passes(5)
            assert {"fresh": 1000} == house.states("zego_rtc")


@in_virtual_time
async def test_a_budget_of_one_call_in_five_seconds_is_used():
    """
    A room is late by half of that on average, and no slot is given up for it.
    """
    async with House(source("zego_rtc", 200, rate_limit=0.2, cadence={"longest": "150s"})) as house:
        house.vendor.users = lambda room: 3 + round(house.now * int(room[5:])) % 30
        await house.passes(1500)

        assert 0.9 * 0.2 * 600 <= len(house.writes(since=900.0))
