"""
A table in which some rooms have series and the others are only counted, beside one in which all have.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exporter.metrics.room import Arrival
from exporter.metrics.selection import Arrangement, Reason
from exporter.metrics.table import SIZES, SourceTable
from exporter.model import Family, Publish, Reading, Room, Severity, Thresholds
from exporter.states import RoomState
from tests.metrics.test_table import EPOCH, LABELS, STALENESS, Sample, arrival, samples
from tests.metrics.watching import watch_exactly

EVERYTHING = tuple(Family)
DEFAULTS = Thresholds(warning=30)


def arranged(table: SourceTable, arrangement: Arrangement) -> SourceTable:
    """The table, arranged in one go."""
    for _ in table.arrange(arrangement):
        pass
    return table


def table_of(*rooms: Room, top: int | None = None, **more: object) -> SourceTable:
    """A table of these rooms, of which the fullest have series."""
    publish = None if top is None else Publish(top)
    table = arranged(SourceTable(LABELS, STALENESS), Arrangement(publish, **more))  # type: ignore[arg-type]
    table.watch(rooms)
    return table


def shown(table: SourceTable) -> set[str]:
    """The rooms that a scrape names."""
    return {dict(labels)["room"] for _, labels, _ in samples(table)}


def of_rooms(found: Iterable[Sample], rooms: set[str]) -> set[Sample]:
    """The samples of these rooms."""
    return {sample for sample in found if dict(sample[1])["room"] in rooms}


IDS = [f"room-{number}" for number in range(7)]
arrangements = st.builds(
    Arrangement,
    st.builds(Publish, st.none() | st.integers(1, 4), st.sampled_from([0, 0, 2, 10])),
    st.just(EVERYTHING),
    st.just(()),
    st.sampled_from([Thresholds(), DEFAULTS]),
)
rooms = st.builds(
    Room, st.sampled_from(IDS), st.sampled_from([(), (("event", "x"),)]), st.sampled_from([Thresholds(), DEFAULTS])
)
readings = st.builds(Reading, st.integers(0, 60), st.none() | st.just(1), st.none(), st.none() | st.booleans())


class SomeBesideAll(RuleBasedStateMachine):
    """
    Whatever happens, happens to both.
    """

    def __init__(self) -> None:
        super().__init__()
        self.all = table_of(families=EVERYTHING)
        self.some = table_of(top=2, families=EVERYTHING)
        self.tables = (self.all, self.some)
        self.now = 100.0
        self.user_seconds = 0.0

    @rule(wanted=st.lists(rooms, max_size=7, unique_by=lambda room: room.id))
    def watch(self, wanted: list[Room]) -> None:
        """Rooms come and go."""
        for table in self.tables:
            watch_exactly(table, wanted)

    @rule(said=st.dictionaries(st.sampled_from(IDS), readings, max_size=5))
    def record(self, said: dict[str, Reading]) -> None:
        """A reply."""
        for room, reading in said.items():
            if room in self.all and (view := self.all.view(room, self.now)).age is not None:
                self.user_seconds += view.age * (reading.users + (view.users or 0)) / 2
        for table in self.tables:
            table.record(said, arrival(self.now))

    @rule(room=st.sampled_from(IDS), refused=st.booleans())
    def fail(self, room: str, refused: bool) -> None:
        """A call fails."""
        for table in self.tables:
            (table.refuse if refused else table.fail)(room)

    @rule()
    def forgive(self) -> None:
        """It was the source's fault."""
        for table in self.tables:
            table.forgive()

    @rule(seconds=st.sampled_from([1.0, 20.0, 31.0, 301.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        for table in self.tables:
            table.expire(self.now)

    @rule(arrangement=arrangements)
    def arrange(self, arrangement: Arrangement) -> None:
        """A reload."""
        arranged(self.some, arrangement)

    @invariant()
    def they_agree(self) -> None:
        """All sums are the same, and a room has all of its series or none."""
        for name in ("states", "users", "known", "unread", "limited", "with_threshold", "above"):
            assert getattr(self.all, name) == getattr(self.some, name), name
        assert self.all.sizes() == self.some.sizes()
        assert self.user_seconds == pytest.approx(self.some.user_seconds)
        assert self.user_seconds == pytest.approx(self.all.user_seconds)
        published = {room for room in self.some if self.some.view(room, self.now).published}
        assert of_rooms(samples(self.all), published) == samples(self.some)
        assert published == shown(self.some)
        assert len(published) == self.some.published
        for room in self.some:
            assert self.all.values(room) == self.some.values(room)
            state, view = self.some.state(room), self.some.view(room, self.now)
            assert (view.reason is not None) is view.published
            if room in self.some.above or state in (RoomState.UNKNOWN, RoomState.REFUSED):
                assert view.published, "above its threshold, or in trouble"

    @invariant()
    def sizes_are_exact(self) -> None:
        """Each class has the rooms that a look at every room finds."""
        users = sorted(known for known in self.all.users_of(self.all) if known is not None)
        assert [bisect_right(users, bound) for bound in SIZES] + [len(users)] == self.all.sizes()
        having = [room.thresholds.warning is not None for room in self.all.rooms_of(self.all)]
        assert {Severity.WARNING: sum(having), Severity.CRITICAL: 0} == self.all.with_threshold


TestSomeBesideAll = SomeBesideAll.TestCase
TestSomeBesideAll.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


def test_only_the_fullest_have_series() -> None:
    """
    The others are counted: the sum of users is that of all rooms.
    """
    table = table_of(*map(Room, "abc"), top=1)
    table.record({"a": Reading(3), "b": Reading(50), "c": Reading(4)}, arrival(1.0))

    assert {"b"} == shown(table)
    assert (57, 3, 1) == (table.users, table.known, table.published)
    assert 4 == table.view("c", 1.0).users


def test_a_room_with_something_of_its_own_always_has_series() -> None:
    """
    Labels or thresholds that are not those of the whole source; what all rooms have is nothing of its own.
    """
    default = Thresholds(warning=1_000)
    table = table_of(
        Room("full", (("team", "x"),), default),
        Room("labelled", (("event", "launch"), ("team", "x")), default),
        Room("limited", (("team", "x"),), Thresholds(warning=5)),
        Room("plain", (("team", "x"),), default),
        top=1,
        labels=(("team", "x"),),
        thresholds=default,
    )
    table.record({"full": Reading(50), "labelled": Reading(0), "limited": Reading(0), "plain": Reading(7)}, arrival(1))

    assert {"full", "labelled", "limited"} == shown(table)
    reasons = [table.view(room, 1.0).reason for room in ("full", "labelled", "plain")]
    assert [Reason.USERS, Reason.OWN, None] == reasons


def test_a_room_above_the_threshold_of_all_rooms_has_series() -> None:
    """
    However many rooms are fuller: it must alert. It has them before it is above, too, so that its rise can be seen.
    """
    table = table_of(Room("full"), Room("a", thresholds=DEFAULTS), top=1, thresholds=DEFAULTS)
    table.record({"full": Reading(900), "a": Reading(14)}, arrival(1.0))
    before = shown(table)
    table.record({"a": Reading(15)}, arrival(2.0))
    near = shown(table)
    table.record({"a": Reading(31)}, arrival(3.0))
    table.expire(1_000.0)

    assert {"full"} == before
    assert {"full", "a"} == near == shown(table)
    assert {"a"} == table.above.keys()


def test_changes_are_counted() -> None:
    """
    Each beginning and each end, also that of a room that is no longer watched.
    """
    table = table_of(*map(Room, "ab"), top=1)
    table.record({"a": Reading(10), "b": Reading(5)}, arrival(1.0))
    table.record({"b": Reading(50)}, arrival(2.0))
    table.forget(["b"])

    assert table.published == table.began - table.ceased == 1
    assert {"began": table.began, "ceased": table.ceased} == table.published_changes()
    assert {} == table_of(Room("a")).published_changes()


def test_a_reload_that_publishes_all_rooms_loses_no_reading() -> None:
    """
    And one that publishes few again; the lines of the others are gone.
    """
    table = table_of(*map(Room, "abc"), top=1)
    table.record({"a": Reading(3), "b": Reading(50), "c": Reading(4)}, arrival(1.0))
    few = samples(table)
    version = table.version
    arranged(table, Arrangement())
    every = samples(table)
    arranged(table, Arrangement(Publish(top=1)))

    assert few == samples(table)
    assert {"a", "b", "c"} == {dict(labels)["room"] for _, labels, _ in every}
    assert few == of_rooms(every, {"b"})
    assert table.version > version


def test_a_room_keeps_its_place_when_other_families_are_chosen() -> None:
    """
    A room that has emptied has it for five minutes, and a reload does not take that away.
    """
    table = table_of(*map(Room, "ab"), top=1)
    table.record({"a": Reading(50), "b": Reading(5)}, arrival(1.0))
    table.record({"a": Reading(0)}, arrival(2.0))
    arranged(table, Arrangement(Publish(top=1), (Family.USERS,), thresholds=DEFAULTS))

    assert {"a"} == shown(table)


def test_no_old_number_stays_while_other_families_are_chosen() -> None:
    """
    A reading that arrives between two steps takes away what it does not replace.
    """
    table = table_of(Room("a"), *[Room(f"room-{number}") for number in range(1_200)], top=1)
    table.record({"room-1100": Reading(5)}, arrival(1.0))
    steps = table.arrange(Arrangement(Publish(top=1), (Family.READING_TIMESTAMP,)))
    next(steps)
    table.record({"room-1100": Reading(9)}, arrival(2.0))

    assert not [value for name, labels, value in samples(table) if name == "rtc_room_users"]


def test_a_reload_that_is_cut_off_leaves_a_selection_that_works() -> None:
    """
    The steps that did not happen are made up for when rooms are read.
    """
    table = table_of(*[Room(f"room-{number}") for number in range(1_200)])
    steps = table.arrange(Arrangement(Publish(top=1)))
    next(steps)
    steps.close()
    table.record({"room-7": Reading(5)}, arrival(1.0))
    table.record({"room-1100": Reading(9)}, arrival(2.0))

    assert table.view("room-1100", 2.0).published


@pytest.mark.parametrize("family", [family for family in Family if family is not Family.USER_SECONDS])
def test_families_choose_the_series_of_a_room(family: Family) -> None:
    """
    One family alone has its series, and the sums are as ever.
    """
    table = table_of(Room("a", (), DEFAULTS), families=(family,))
    table.record({"a": Reading(3, 1, 2, exists=True)}, arrival(1.0))

    (name,) = {name for name, _, _ in samples(table)}
    assert name.removeprefix("rtc_room_").removesuffix("_seconds") == family
    assert 3 == table.users


def user_seconds(table: SourceTable) -> float | None:
    """Of room a, as a scrape tells."""
    return next((value for name, _, value in samples(table) if name == "rtc_room_user_seconds_total"), None)


def test_user_seconds_are_the_area_under_the_readings() -> None:
    """
    10 users that become 20 within ten seconds are 150 user-seconds. At first there are none.
    """
    table = table_of(Room("a"), families=EVERYTHING)
    table.record({"a": Reading(10)}, arrival(12.0))
    first = user_seconds(table)
    table.record({"a": Reading(20)}, arrival(22.0))

    assert (0, 150, 150) == (first, user_seconds(table), table.user_seconds)


def test_nothing_is_added_while_a_room_is_unknown() -> None:
    """
    The series is absent meanwhile, and goes on where it was; also if nobody swept before the next reading came.
    """
    table = table_of(Room("a"), families=EVERYTHING)
    table.record({"a": Reading(10)}, arrival(0.0))
    table.record({"a": Reading(10)}, arrival(10.0))
    table.expire(50.0)
    unknown = user_seconds(table), table.user_seconds
    table.record({"a": Reading(10)}, arrival(60.0))
    again = user_seconds(table)
    table.record({"a": Reading(10)}, arrival(60.0 + STALENESS + 1))
    later = user_seconds(table)

    assert [(None, 100), 100, 100] == [unknown, again, later]


def test_a_room_that_is_not_published_for_a_while_keeps_its_total() -> None:
    """
    It goes on being summed up while it is only counted.
    """
    table = table_of(*map(Room, "ab"), top=1, families=EVERYTHING)
    table.record({"a": Reading(10), "b": Reading(5)}, arrival(0.0))
    table.record({"a": Reading(10), "b": Reading(50)}, arrival(10.0))
    hidden = shown(table)
    table.record({"a": Reading(100)}, arrival(20.0))

    assert ({"b"}, {"a"}) == (hidden, shown(table))
    assert 10 * 10 + 55 * 10 == user_seconds(table)


def test_user_seconds_are_taken_over_elsewhere() -> None:
    """
    One number for each room and one for the source; rooms that are not watched there are ignored, and nothing falls.
    """
    table = table_of(*map(Room, "ab"), families=EVERYTHING)
    for moment in (0.0, 10.0):
        table.record({"a": Reading(10), "b": Reading(1)}, Arrival(moment, EPOCH))
    other = table_of(Room("a"), families=EVERYTHING)
    other.record({"a": Reading(10)}, arrival(0.0))
    other.go_on_from({"a": (100.0, 100.0), "b": (10.0, 10.0)})
    other.go_on_from_sum(110.0, 110.0)
    taken_over = user_seconds(other), other.told_user_seconds
    other.record({"a": Reading(10)}, arrival(10.0))
    assert [(100, 110), (200, 210)] == [taken_over, (user_seconds(other), other.told_user_seconds)]

    other.go_on_from({"a": (150.0, 150.0)})
    other.go_on_from_sum(160.0, 160.0)
    assert (200, 210) == (user_seconds(other), other.told_user_seconds)


def test_user_seconds_that_other_replicas_must_know_are_published_a_reading_later() -> None:
    """
    So that a replica that takes over never publishes less; a reading that another one made adds nothing.
    """
    table = table_of(Room("a"), families=EVERYTHING)
    table.changed = {}
    told = []
    for moment in (0.0, 10.0, 20.0):
        table.record({"a": Reading(10)}, Arrival(moment, EPOCH))
        told.append((user_seconds(table), table.told_user_seconds, table.user_seconds))
    assert [(0, 0, 0), (0, 0, 100), (100, 100, 200)] == told

    table.inherit({"a": Reading(10)}, Arrival(30.0, EPOCH))
    assert (100, 200) == (user_seconds(table), table.user_seconds)
    table.forget(["a"])
    assert 200 == table.told_user_seconds


def test_user_seconds_that_are_chosen_again_go_on() -> None:
    """
    Those of the source are still all that were ever summed up, as those of the room are.
    """
    table = table_of(Room("a"), families=EVERYTHING)
    for moment in (0.0, 10.0):
        table.record({"a": Reading(10)}, arrival(moment))
    arranged(table, Arrangement())
    off = user_seconds(table), table.user_seconds
    arranged(table, Arrangement(families=EVERYTHING))
    table.record({"a": Reading(10)}, arrival(20.0))

    assert (None, None) == off
    assert (200, 200, 200) == (user_seconds(table), table.told_user_seconds, table.user_seconds)


def test_no_user_seconds_unless_they_are_chosen() -> None:
    """
    Neither of rooms nor of the source.
    """
    table = table_of(Room("a"))
    table.record({"a": Reading(10)}, arrival(0.0))
    table.record({"a": Reading(10)}, arrival(10.0))

    assert (None, None) == (user_seconds(table), table.user_seconds)
