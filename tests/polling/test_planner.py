"""
Which rooms are due: full batches, one interval apart, longest overdue first, and never one forgotten.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exporter.model import Room
from exporter.polling.importance import Importance
from exporter.polling.planner import Entry, Lane, Planner
from tests.polling.house import named

NOW = 1_000.0
INTERVAL = 10.0


def planned(rooms: int, batch_size: int = 10, interval: float = INTERVAL) -> Planner:
    """A planner of so many rooms, all due now."""
    planner = Planner(batch_size, interval, lambda: NOW)
    planner.watch(map(Room, named(rooms)))
    return planner


def watch_exactly(planner: Planner, rooms: Iterable[str], now: float) -> None:
    """Let these rooms come and all others go, as a roster does."""
    planner._monotonic = lambda: now
    wanted = list(rooms)
    planner.watch(map(Room, wanted))
    planner.forget(planner._tickets.keys() - set(wanted))


def calls(planner: Planner, begin: float, seconds: float, slot: float = 0.0) -> Iterator[tuple[float, tuple[str, ...]]]:
    """
    Let every call succeed, and tell when each left and for which rooms.

    Args:
        slot: Seconds between two slots.
    """
    now = begin
    while (now := max(now, planner.due(Lane.REGULAR))) < begin + seconds:
        rooms = planner.take(Lane.REGULAR, now)
        planner.read(rooms, planner.phase(Lane.REGULAR, now))
        yield now, rooms
        now += slot


def test_rooms_that_were_read_elsewhere_are_due_an_interval_later() -> None:
    """
    What a list told of a room counts as its poll: it is due one interval after that, in the lane of regular polls.
    """
    planner = planned(3, batch_size=1)
    first, second, third = named(3)
    planner.retry([first], NOW - 1, 0.5, NOW)

    planner.read_elsewhere([first, second, "unwatched"], NOW + 2)

    assert (Lane.REGULAR, NOW + 2 + INTERVAL) == planner.next_poll(first) == planner.next_poll(second)
    assert (Lane.REGULAR, NOW) == planner.next_poll(third)
    assert [third] == [*planner.take(Lane.REGULAR, NOW + INTERVAL)]
    assert () == planner.take(Lane.REGULAR, NOW + INTERVAL)
    assert "unwatched" not in planner


def test_what_polls_know_counts_more_than_what_was_read_elsewhere() -> None:
    """
    A room whose call is under way waits for that, and one that was refused is still asked alone.
    """
    planner = planned(2, batch_size=1)
    refused, under_way = named(2)
    planner.take(Lane.REGULAR, NOW)
    planner.suspect([refused], NOW + 100)
    assert (under_way,) == planner.take(Lane.REGULAR, NOW)

    planner.read_elsewhere([refused, under_way], NOW)

    assert (Lane.SUSPECT, NOW + 100) == planner.next_poll(refused)
    assert planner.next_poll(under_way) is None


def test_reading_elsewhere_leaves_no_trace_in_memory() -> None:
    """
    Rooms that a list reads again and again take no more room in the plan than others.
    """
    planner = planned(1_000, batch_size=10)
    for second in range(30):
        planner.read_elsewhere(named(1_000), NOW + second)
        planner.dues()

    assert 100 >= sum(map(len, planner._lanes))


@pytest.mark.parametrize("cadence", [None, Importance(INTERVAL, 12 * INTERVAL)], ids=["one interval", "own intervals"])
def test_reading_elsewhere_leaves_no_trace_while_nothing_is_polled(cadence: Importance | None) -> None:
    """
    The vendor lists rooms for hours and cannot be asked for any: one that no list names stays due before the others.
    """
    planner = Planner(10, INTERVAL, lambda: NOW, cadence)
    planner.watch(map(Room, named(1_000)))
    for second in range(600):
        planner.read_elsewhere(named(1_000)[1:], NOW + second)
        planner.dues()

    assert 10_000 >= sum(map(len, planner._lanes))


@settings(max_examples=25, deadline=None)
@given(rooms=st.integers(1, 300), batch_size=st.integers(1, 50), slot=st.floats(0, 0.02))
def test_batches_are_full(rooms: int, batch_size: int, slot: float) -> None:
    """
    Rooms cost ⌈rooms / batch size⌉ calls an interval, in the first one and after a hundred.
    """
    planner = planned(rooms, batch_size)
    once = math.ceil(rooms / batch_size)

    first = list(calls(planner, NOW, once * slot + 1e-6, slot))
    assert once == len(first)
    assert set(named(rooms)) == {room for _, batch in first for room in batch}

    later = len(list(calls(planner, NOW + once * slot + 1e-6, 100 * INTERVAL, slot)))
    assert 96 * once - 1 <= later <= 100 * once + 1


@settings(max_examples=25, deadline=None)
@given(rooms=st.integers(1, 120), batch_size=st.integers(1, 12), seed=st.integers(0, 9))
def test_never_closer_than_an_interval(rooms: int, batch_size: int, seed: int) -> None:
    """
    A room is read again one interval later, at most 3 % after, and earlier only beside a room that is due.
    """
    planner = planned(rooms, batch_size)
    chance = random.Random(seed)
    last: dict[str, float] = {}

    for now, batch in calls(planner, NOW, 200.0, slot=chance.uniform(0, 0.01)):
        gaps = [now - last.get(room, -math.inf) for room in batch]
        assert max(gaps) >= INTERVAL - 1e-6
        assert max(gap for gap in [0.0, *gaps] if gap < math.inf) <= 1.03 * INTERVAL + 0.01 * rooms
        last.update(dict.fromkeys(batch, now))


@pytest.mark.parametrize("rooms", [3, 50, 77, 500, 950])
def test_due_times_spread_out(rooms: int) -> None:
    """
    However fast the first pass went, calls leave at a steady rate in the end.
    """
    planner = planned(rooms)
    list(calls(planner, NOW, 40 * INTERVAL, slot=0.102 if rooms > 500 else 0.005))

    moments = [now for now, _ in calls(planner, NOW + 40 * INTERVAL, 4 * INTERVAL, slot=0.005)]
    steady = INTERVAL / math.ceil(rooms / 10)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert max(gaps) <= 1.1 * steady + 0.03 * INTERVAL
    assert min(gaps) >= 0.9 * steady


def test_longest_overdue_first() -> None:
    """
    When there are too few slots, the room that has waited longest is next.
    """
    planner = planned(100, batch_size=1)
    rooms = [planner.take(Lane.REGULAR, NOW) for _ in range(100)]
    for age, room in enumerate(rooms):
        planner.read(room, NOW - age)

    assert (named(100)[99],) == planner.take(Lane.REGULAR, NOW + 100)
    assert (named(100)[98],) == planner.take(Lane.REGULAR, NOW + 100)


def test_new_room_is_due_at_once() -> None:
    """
    A room that is watched from now on does not wait for the others' turn.
    """
    planner = planned(50)
    list(calls(planner, NOW, 1.0))
    watch_exactly(planner, [*named(50), "new"], NOW + 2)

    assert NOW + 2 == planner.due(Lane.REGULAR)
    batch = planner.take(Lane.REGULAR, NOW + 2)
    assert "new" == batch[0]
    assert 10 == len(batch)


def test_room_no_longer_watched_is_not_asked() -> None:
    """
    It leaves the plan at once, also when a call for it is under way.
    """
    planner = planned(2, batch_size=1)
    gone, kept = named(2)
    assert (gone,) == planner.take(Lane.REGULAR, NOW)
    watch_exactly(planner, [kept], NOW)
    planner.read([gone], NOW)

    assert [(kept,), ()] == [planner.take(Lane.REGULAR, NOW + 99) for _ in range(2)]


def test_failed_room_is_asked_early_and_in_any_case_at_its_time() -> None:
    """
    A retry comes early; where no slot was left for it, the regular poll comes one interval after the last.
    """
    planner = planned(1)
    planner.take(Lane.REGULAR, NOW)
    planner.retry(named(1), NOW, delay=2.0, now=NOW + 1)

    assert NOW + 3 == planner.due(Lane.RETRY)
    assert NOW + 10 == planner.due(Lane.REGULAR)
    assert () == planner.take(Lane.RETRY, NOW + 2.9)
    assert tuple(named(1)) == planner.take(Lane.REGULAR, NOW + 10)
    assert math.inf == planner.due(Lane.RETRY)


def test_retry_that_would_come_late_is_left_out() -> None:
    """
    A delay beyond the regular poll's time earns no further call.
    """
    planner = planned(1)
    planner.take(Lane.REGULAR, NOW)
    planner.retry(named(1), NOW, delay=9.5, now=NOW + 1)

    assert math.inf == planner.due(Lane.RETRY)
    assert NOW + 10 == planner.due(Lane.REGULAR)


def test_suspect_is_asked_alone() -> None:
    """
    A refused room shares no batch until there is a reading of it.
    """
    planner = planned(10)
    suspect = planner.take(Lane.REGULAR, NOW)[0]
    planner.read(named(10)[1:], NOW)
    planner.suspect([suspect], NOW + 5)

    assert 9 == len(planner.take(Lane.REGULAR, NOW + 20))
    assert (suspect,) == planner.take(Lane.SUSPECT, NOW + 20)
    planner.read([suspect], NOW + 20)
    assert (suspect,) == planner.take(Lane.REGULAR, NOW + 30)


def test_shorter_interval_holds_at_once() -> None:
    """
    Rooms are due one new interval after their last reading; what is overdue stays overdue.
    """
    planner = planned(20, batch_size=10, interval=40.0)
    read = planner.take(Lane.REGULAR, NOW)
    planner.read(read, NOW)
    planner.change_interval(10.0, NOW + 5)

    assert set(named(20)) - set(read) == set(planner.take(Lane.REGULAR, NOW + 5))
    assert NOW + 10 == planner.due(Lane.REGULAR)


def test_longer_interval_holds_at_once() -> None:
    """
    No room is asked sooner than the new interval allows, and a room that was never read does not wait.
    """
    planner = planned(20, batch_size=10)
    read = planner.take(Lane.REGULAR, NOW)
    planner.read(read, NOW)
    planner.change_interval(60.0, NOW + 5)

    assert NOW == planner.due(Lane.REGULAR)
    planner.take(Lane.REGULAR, NOW + 5)
    assert NOW + 60 == planner.due(Lane.REGULAR)


def test_nothing_piles_up_while_calls_fail() -> None:
    """
    Two thousand rounds of failures and of rooms coming and going leave the plan as small as before.
    """
    planner = planned(50)
    now = NOW
    for turn in range(2_000):
        now += 1.0
        watch_exactly(planner, named(50, prefix=f"turn-{turn}"), now)
        for lane in Lane:
            while rooms := planner.take(lane, now):
                planner.retry(rooms, now, 0.5, now)
                planner.suspect(rooms[:1], now + 100)

    assert 5_000 > sum(len(heap) for heap in planner._lanes)


class AnyOrder(RuleBasedStateMachine):
    """
    Takes, readings, failures and changes of the room list in any order; a plain model tells where each room must be.
    """

    @initialize(batch_size=st.integers(1, 4), rooms=st.integers(0, 8))
    def begin(self, batch_size: int, rooms: int) -> None:
        """Watch a few rooms."""
        self.planner = Planner(batch_size, INTERVAL, lambda: NOW)
        self.now = NOW
        self.under_way: list[tuple[tuple[str, ...], float]] = []
        self.watched: set[str] = set()
        self.suspects: set[str] = set()
        self.watch(set(range(rooms)))

    @rule(rooms=st.sets(st.integers(0, 9), max_size=9))
    def watch(self, rooms: set[int]) -> None:
        """Watch other rooms."""
        ids = {f"room-{room}" for room in rooms}
        self.suspects &= ids
        self.watched = ids
        watch_exactly(self.planner, sorted(ids), self.now)

    @rule(seconds=st.floats(0, 15))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    @rule(lane=st.sampled_from(Lane))
    def take(self, lane: Lane) -> None:
        """Take a batch, if one is due."""
        due = self.planner.due(lane)
        batch = self.planner.take(lane, self.now)
        assert (due <= self.now) == bool(batch)
        if not batch:
            return
        assert set(batch) <= self.watched
        assert len(batch) == len(set(batch)) <= self.planner.batch_size
        if lane is Lane.SUSPECT:
            assert 1 == len(batch)
            assert set(batch) <= self.suspects
        else:
            assert not set(batch) & self.suspects
        self.under_way.append((batch, self.planner.phase(lane, self.now)))

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 99), how=st.sampled_from(["read", "half", "retry", "again", "suspect", "trust", "lost"]))
    def end(self, which: int, how: str) -> None:
        """End a call that is under way."""
        rooms, phase = self.under_way.pop(which % len(self.under_way))
        watched = {room for room in rooms if room in self.watched}
        match how:
            case "read":
                self.planner.read(rooms, phase)
                self.suspects -= watched
            case "half":
                half = len(rooms) // 2
                self.planner.read(rooms[:half], phase)
                self.suspects -= set(rooms[:half])
                self.planner.retry(rooms[half:], phase, 1.0, self.now)
            case "retry":
                self.planner.retry(rooms, phase, 3.0, self.now)
            case "again":
                self.planner.reschedule(rooms, self.now)
            case "suspect":
                self.planner.suspect(rooms, self.now + 20)
                self.suspects |= watched
            case "lost":
                self.planner.release(rooms, self.now + 10)
            case _:
                self.planner.reschedule(rooms, self.now)
                self.planner.clear_suspects(self.now)
                self.suspects.clear()

    @rule(interval=st.floats(1, 100))
    def change_interval(self, interval: float) -> None:
        """Keep to another interval."""
        self.planner.change_interval(interval, self.now)

    @invariant()
    def every_room_is_planned_or_under_way(self) -> None:
        """No room is forgotten, and none that went away is kept."""
        if not hasattr(self, "planner"):
            return
        assert len(self.watched) == len(self.planner)
        turns = {room: self.planner.next_poll(room) for room in self.watched}
        assert {room for room, ticket in self.planner._tickets.items() if not ticket} == {
            room for room, turn in turns.items() if turn is None
        }
        soonest = min([turn[1] for turn in turns.values() if turn], default=math.inf)
        assert soonest == min(self.planner.dues())
        assert self.suspects == self.planner._suspects
        standing = {
            room
            for lane, heap in zip(Lane, self.planner._lanes, strict=True)
            for entry in heap
            for room in self.planner._valid_rooms(entry)
        }
        under_way = {room for rooms, _ in self.under_way for room in rooms}
        assert standing <= self.watched <= standing | under_way


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_many_rooms_that_have_gone_are_dropped_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    To drop all entries of 100,000 rooms at once would take a tenth of a second. If those before them are still watched,
    they are met later, and then a question drops some thousands of them. A batch is empty meanwhile, and none is lost.
    """
    asked = 0
    is_valid = Planner._is_valid

    def counted(planner: Planner, entry: Entry) -> bool:
        nonlocal asked
        asked += 1
        return is_valid(planner, entry)

    monkeypatch.setattr(Planner, "_is_valid", counted)
    planner = Planner(10, 10.0, lambda: 5.0)
    rooms = [Room(f"{number}") for number in range(20_000)]
    planner.watch(rooms)
    most = 0
    for start in range(20, 10_020, 1_000):
        asked = 0
        planner.forget([room.id for room in rooms[start : start + 1_000]])
        most = max(most, asked)
    batches: list[tuple[str, ...]] = []
    while len(planner) > len(taken := [room for batch in batches for room in batch]):
        asked = 0
        batches.append(planner.take(Lane.REGULAR, 6.0))
        most = max(most, asked)

    assert most < 10_000
    assert {room.id for room in (*rooms[:20], *rooms[10_020:])} == {*taken}
    assert len(taken) == len({*taken})
