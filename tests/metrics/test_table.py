"""
The table of readings, step by step beside a model that could not be plainer.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics.room import Arrival
from exporter.metrics.table import SourceTable
from exporter.model import Reading, Room, Severity, Thresholds
from exporter.states import RoomState
from tests.metrics.watching import watch_exactly

LABELS = {"vendor": "zego", "api": "zego_rtc", "source": "live"}
STALENESS = 30.0
EPOCH = 1_700_000_000.0

Sample = tuple[str, frozenset[tuple[str, str]], float]


def samples(table: SourceTable) -> set[Sample]:
    """What a scrape would say, parsed by prometheus_client."""
    snapshot = table.snapshot()
    text = b"".join(line for column in range(8) for page in snapshot for line in page.columns[column]).decode()
    parsed = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found = {(sample.name, frozenset(sample.labels.items()), sample.value) for sample in parsed}
    assert len(found) == len(parsed), "a series is there twice"
    return found


def arrival(monotonic: float) -> Arrival:
    """A reply's arrival, on a wall clock that goes with the monotonic one."""
    return Arrival(monotonic, EPOCH + monotonic)


def table_of(*rooms: str) -> SourceTable:
    """A table that watches these rooms."""
    table = SourceTable(LABELS, STALENESS)
    watch_exactly(table, [Room(room) for room in rooms])
    return table


@dataclass
class Modelled:
    """All that is to be known of a watched room."""

    room: Room
    reading: Reading | None = None
    arrived: float | None = None
    """Of the last reading, even if it is too old to be published."""
    users: int | None = None
    """By the last reading, if that was above a threshold or is still published."""
    failed: bool = False
    refused: bool = False

    @property
    def severity(self) -> Severity | None:
        """The worst threshold that the last reading exceeds."""
        users = -1 if self.users is None else self.users
        for severity in (Severity.CRITICAL, Severity.WARNING):
            limit = getattr(self.room.thresholds, severity)
            if limit is not None and users > limit:
                return severity
        return None

    @property
    def state(self) -> RoomState:
        """The first that fits."""
        if self.refused:
            return RoomState.REFUSED
        if self.reading and self.reading.missing:
            return RoomState.MISSING
        if self.reading and not self.failed:
            return RoomState.FRESH
        return RoomState.HELD if self.reading else RoomState.UNKNOWN

    def age(self, now: float) -> float:
        """Of its last reading."""
        assert self.arrived is not None
        return now - self.arrived

    def samples(self) -> set[Sample]:
        """The samples of this room."""
        labels = frozenset([*LABELS.items(), ("room", self.room.id)])
        found: set[Sample] = {("rtc_room_info", labels | set(self.room.labels), 1.0)}
        for severity in ("warning", "critical"):
            if (threshold := getattr(self.room.thresholds, severity)) is not None:
                found.add(("rtc_room_users_threshold", labels | {("severity", severity)}, threshold))
        if self.reading:
            values = {
                "rtc_room_users": self.reading.users,
                "rtc_room_admin_users": self.reading.admin_users,
                "rtc_room_invisible_users": self.reading.invisible_users,
                "rtc_room_exists": self.reading.exists,
                "rtc_room_reading_timestamp_seconds": round(EPOCH - self.age(0.0), 3),
            }
            found |= {(name, labels, float(value)) for name, value in values.items() if value is not None}
        return found


IDS = ["a", 'q"uote', "back\\slash", "line\nbreak", "a b 12", "房间 🎥", "{} # 1"]
counts = st.integers(0, 2**53)
maybe = st.none() | counts
rooms = st.builds(
    Room,
    st.sampled_from(IDS),
    st.sampled_from([(), (("event", "launch"),), (("event", 'x"\\\n'), ("zone", ""))]),
    st.builds(Thresholds, maybe, maybe),
)
readings = st.builds(Reading, counts, maybe, maybe, st.none() | st.booleans(), st.booleans())
ids = st.sampled_from([*IDS, "never watched"])


class TableBesideModel(RuleBasedStateMachine):
    """
    Rooms come, are read, fail, are refused, grow old and go.
    """

    def __init__(self) -> None:
        super().__init__()
        self.table = SourceTable(LABELS, STALENESS)
        self.rooms: dict[str, Modelled] = {}
        self.now = 100.0

    @rule(wanted=st.lists(rooms, max_size=8, unique_by=lambda room: room.id))
    def watch(self, wanted: list[Room]) -> None:
        """Watch exactly these."""
        watch_exactly(self.table, wanted)
        kept = self.rooms
        self.rooms = {room.id: kept.get(room.id, Modelled(room)) for room in wanted}
        for room in wanted:
            modelled = self.rooms[room.id]
            modelled.room = room
            if not modelled.reading and not modelled.severity:
                modelled.users = None

    @rule(said=st.dictionaries(ids, readings, max_size=4), late=st.floats(0, 0.5))
    def record(self, said: dict[str, Reading], late: float) -> None:
        """Read some rooms; replies that arrive together may be recorded in another order."""
        arrived = self.now - late
        gaps = self.table.record(said, arrival(arrived))
        read = [room for room in said if room in self.rooms]
        before = [self.rooms[room].arrived for room in read]
        assert [arrived - earlier for earlier in before if earlier is not None] == gaps
        for room in read:
            self.rooms[room] = Modelled(self.rooms[room].room, said[room], arrived, said[room].users)

    @rule(room=ids)
    def fail(self, room: str) -> None:
        """Fail to read it."""
        self.table.fail(room)
        if room in self.rooms:
            self.rooms[room].failed = True

    @rule(room=ids)
    def refuse(self, room: str) -> None:
        """Have it refused."""
        self.table.refuse(room)
        if room in self.rooms:
            self.rooms[room].failed = self.rooms[room].refused = True

    @rule()
    def forgive(self) -> None:
        """Forgive them all."""
        self.table.forgive()
        for room in self.rooms.values():
            room.refused = False

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        """Let time pass, and sweep."""
        self.now += seconds
        self.table.expire(self.now)
        for room in self.rooms.values():
            if room.reading and room.age(self.now) > STALENESS:
                room.reading = None
                room.users = room.users if room.severity else None

    @invariant()
    def they_agree(self) -> None:
        """The table says what the model says, everywhere that it says it."""
        table, modelled = self.table, self.rooms
        read = [room for room in modelled.values() if room.reading]
        assert {sample for room in modelled.values() for sample in room.samples()} == samples(table)
        assert {state: sum(r.state is state for r in modelled.values()) for state in RoomState} == table.states
        assert sum(room.reading.users for room in read if room.reading) == table.users
        assert modelled.keys() == set(table)
        assert len(modelled) == len(table) == sum(table.states.values())
        assert [room.state for room in modelled.values()] == table.states_of(modelled)
        expected = [room.reading.users if room.reading else None for room in modelled.values()]
        assert expected == table.users_of(modelled)
        shares = [(room.users, room.room.thresholds.share(1) or 0.0) for room in modelled.values()]
        assert shares == table.shares_of(modelled)
        assert len(read) == table.known
        unread = [room for room in modelled.values() if room.arrived is None and room.state is RoomState.UNKNOWN]
        assert len(unread) == table.unread
        unread_ids = {room.room.id for room in unread}
        assert next((room_id for room_id in table if room_id in unread_ids), None) == table.first_unread()
        assert sum(room.room.thresholds != Thresholds() for room in modelled.values()) == table.limited
        above = {room_id: room.severity for room_id, room in modelled.items() if room.severity}
        assert above == {room_id: found.severity for room_id, found in table.above.items()}
        assert {severity: [*above.values()].count(severity) for severity in Severity} == table.exceeding()
        for room_id, room in modelled.items():
            view = table.view(room_id, self.now)
            age = room.age(self.now) if room.reading else None
            assert (room.room, room.state, age) == (view.room, view.state, view.age)
        assert bool(read) == (table.oldest_reading() is not None)


TestTableBesideModel = TableBesideModel.TestCase
TestTableBesideModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_states_in_their_order() -> None:
    """
    Refused before missing, missing before fresh and held, unknown when nothing is published.
    """
    table = table_of("a")
    seen = [table.state("a")]
    table.record({"a": Reading(3)}, arrival(0))
    seen.append(table.state("a"))
    table.fail("a")
    seen.append(table.state("a"))
    table.record({"a": Reading(0, exists=False, missing=True)}, arrival(1))
    table.fail("a")
    seen.append(table.state("a"))
    table.refuse("a")
    seen.append(table.state("a"))
    table.record({"a": Reading(3)}, arrival(2))
    seen.append(table.state("a"))

    assert ["unknown", "fresh", "held", "missing", "refused", "fresh"] == seen


@pytest.mark.parametrize(("age", "shown"), [(30.0, True), (30.001, False)])
def test_reading_is_published_until_it_is_too_old(age: float, shown: bool) -> None:
    """
    Up to ``max_staleness`` and not a moment longer; the room itself stays.
    """
    table = table_of("a")
    table.record({"a": Reading(3, 1, 2, exists=True)}, arrival(100))
    table.expire(100 + age)

    assert shown == ("rtc_room_users" in {name for name, _, _ in samples(table)})
    assert "rtc_room_info" in {name for name, _, _ in samples(table)}
    assert (RoomState.FRESH if shown else RoomState.UNKNOWN) == table.state("a")
    assert (3 if shown else 0) == table.users


def test_wall_clock_does_not_age_a_reading() -> None:
    """
    Ages are monotonic; only what is published of the moment is the wall clock's.
    """
    table = table_of("a", "b")
    table.record({"a": Reading(1)}, Arrival(100.0, EPOCH))
    table.record({"b": Reading(1)}, Arrival(110.0, EPOCH - 7200))
    table.expire(135.0)

    assert [RoomState.UNKNOWN, RoomState.FRESH] == table.states_of(["a", "b"])
    assert EPOCH - 7200 == table.oldest_reading()


def test_what_a_reading_no_longer_says_is_gone() -> None:
    """
    A value that was known and is not any more leaves no series behind.
    """
    table = table_of("a")
    table.record({"a": Reading(5, admin_users=1, invisible_users=2, exists=True)}, arrival(0))
    table.record({"a": Reading(5)}, arrival(1))

    names = {name for name, _, _ in samples(table)}
    assert {"rtc_room_users", "rtc_room_reading_timestamp_seconds", "rtc_room_info"} == names


def test_version_differs_whenever_a_line_does() -> None:
    """
    Otherwise a scrape would be served what was compressed before.
    """
    table = table_of("a")
    seen = [table.version]
    for step in (
        lambda: table.record({"a": Reading(5)}, arrival(0)),
        lambda: table.record({"a": Reading(5)}, arrival(1)),
        lambda: table.expire(1000.0),
        lambda: watch_exactly(table, [Room("a", (("event", "x"),))]),
        lambda: watch_exactly(table, []),
    ):
        step()
        seen.append(table.version)

    assert len(seen) == len(set(seen))
    table.expire(2000.0)
    assert seen[-1] == table.version


def test_readings_recorded_out_of_order_expire_in_time() -> None:
    """
    Of replies that arrive together the later one may be recorded first; neither is shown a moment too long.
    """
    table = table_of("a", "b")
    table.record({"b": Reading(1)}, arrival(100.2))
    table.record({"a": Reading(1)}, arrival(100.0))
    table.expire(130.1)

    assert [RoomState.UNKNOWN, RoomState.FRESH] == table.states_of(["a", "b"])


@pytest.mark.parametrize("turns", [500, pytest.param(10_000, marks=pytest.mark.soak)])
def test_rooms_that_went_away_leave_nothing_behind(turns: int) -> None:
    """
    Tens of thousands of rooms created, read and destroyed, a hundred at a time: the table is as small as at first.
    """
    table = SourceTable(LABELS, STALENESS)

    def turn(number: int) -> None:
        ids = [f"room-{number:06}-{place:02}" for place in range(100)]
        watch_exactly(table, [Room(room, (("event", room),), Thresholds(1, 2)) for room in ids])
        for start in range(0, 90, 10):
            read = dict.fromkeys(ids[start : start + 10], Reading(3, 1, 1, exists=True))
            table.record(read, arrival(number))
        table.refuse(ids[95])
        table.expire(number)
        if number % 7 == 0:
            table.snapshot()

    def size() -> int:
        return sum(page.length(column) for page in table.snapshot() for column in range(len(page.columns)))

    for number in range(20):
        turn(number)
    bytes_before = size()
    objects_before = len(gc.get_objects())
    for number in range(20, turns):
        turn(number)

    assert abs(size() - bytes_before) < 1_000
    assert len(gc.get_objects()) - objects_before < 1_000
    assert 100 == len(table) == len(table._rows)
    assert 9 == len(table._batches)
    assert 200 >= len(table.snapshot()[0].columns[0])

    watch_exactly(table, [])
    assert dict.fromkeys(RoomState, 0) == table.states
    assert (0, None, set()) == (table.users, table.oldest_reading(), samples(table))
    assert not table._batches
    assert not table._rows


def test_gap_is_told_across_an_expiry() -> None:
    """
    A room that is read more seldom than its readings may be shown has gaps all the same; one that was away has none.
    """
    table = table_of("a", "b")
    both = dict.fromkeys("ab", Reading(1))
    told = [table.record(both, arrival(100))]
    table.expire(140)
    told.append(table.record(both, arrival(195)))
    watch_exactly(table, [Room("a")])
    watch_exactly(table, [Room("a"), Room("b")])
    told.append(table.record(both, arrival(290)))

    assert [[], [95.0, 95.0], [95.0]] == told


LIMITS = Thresholds(warning=100, critical=200)


def above_after(*counts: tuple[float, int]) -> tuple[Severity, float] | None:
    """How far and since when a room is above its thresholds, after these counts at these times."""
    table = SourceTable(LABELS, STALENESS)
    table.watch([Room("a", thresholds=LIMITS)])
    for moment, users in counts:
        table.expire(moment)
        table.record({"a": Reading(users)}, arrival(moment))
    found = table.above.get("a")
    return (found.severity, found.since) if found else None


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([(1.0, 100)], None),
        ([(1.0, 101)], (Severity.WARNING, 1.0)),
        ([(1.0, 101), (2.0, 200)], (Severity.WARNING, 1.0)),
        ([(1.0, 101), (2.0, 201), (3.0, 300)], (Severity.CRITICAL, 2.0)),
        ([(1.0, 101), (2.0, 201), (3.0, 150)], (Severity.WARNING, 1.0)),
        ([(1.0, 101), (2.0, 201), (3.0, 150), (4.0, 201)], (Severity.CRITICAL, 4.0)),
        ([(1.0, 300), (2.0, 100)], None),
        ([(1.0, 300), (2.0, 100), (3.0, 300)], (Severity.CRITICAL, 3.0)),
        ([(1.0, 300), (99.0, 300)], (Severity.CRITICAL, 1.0)),
    ],
)
def test_since_when_a_room_is_above_its_thresholds(
    counts: list[tuple[float, int]], expected: tuple[Severity, float] | None
) -> None:
    """
    From the first reading above a threshold to the first that is not; hearing nothing for a while ends nothing.
    """
    assert expected == above_after(*counts)


def test_a_room_that_falls_silent_above_its_threshold_is_not_known_to_be_below() -> None:
    """
    Its count is withdrawn, and what was last known of it stays, until it is heard of again or no longer watched.
    """
    table = SourceTable(LABELS, STALENESS)
    table.watch([Room("a", thresholds=LIMITS)])
    table.record({"a": Reading(640)}, arrival(1.0))
    table.expire(100.0)

    view = table.view("a", 100.0)
    table.forget(["a"])

    assert (None, None, 99.0) == (view.users, view.age, view.silence)
    assert (640, 3.2) == (view.last_known, view.share)
    assert {} == table.above


def test_changed_thresholds_hold_at_once() -> None:
    """
    A reload that raises or lowers a threshold is not made to wait for the next reading.
    """
    table = table_of("a")
    table.record({"a": Reading(300)}, arrival(1.0))
    before = dict(table.above)
    table.watch([Room("a", thresholds=LIMITS)])
    lowered = table.above["a"]
    table.watch([Room("a", thresholds=Thresholds(critical=300))])

    assert {} == before == table.above
    assert (Severity.CRITICAL, 1.0, 300) == (lowered.severity, lowered.since, lowered.users)


def test_rooms_may_be_published_for_a_time_of_their_own() -> None:
    """
    Readings with a shorter time are withdrawn while older ones with a longer time stay, and newer readings count anew.
    """
    table = SourceTable({"source": "live"}, max_staleness=90.0)
    table.watch(map(Room, ("quiet", "busy", "plain")))
    table.record({"quiet": Reading(1)}, Arrival(0.0, 1000.0), 60.0)
    table.record({"plain": Reading(2)}, Arrival(1.0, 1001.0))
    table.record({"busy": Reading(3)}, Arrival(5.0, 1005.0), 30.0)
    known = []
    for now in (35.0, 35.1, 60.0, 60.1, 91.0, 91.1):
        table.expire(now)
        known.append(table.known)

    assert [3, 2, 2, 1, 1, 0] == known
    table.record({"busy": Reading(4)}, Arrival(100.0, 1100.0), 60.0)
    table.record({"busy": Reading(4)}, Arrival(110.0, 1110.0), 30.0)
    assert 1110.0 == table.oldest_reading()
    table.expire(140.1)
    assert table.oldest_reading() is None
