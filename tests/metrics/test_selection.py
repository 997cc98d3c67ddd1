"""
Which rooms are published: step by step beside what the rules say of each room alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exporter.metrics import selection
from exporter.metrics.selection import HOLD, NEAR, TROUBLED, Reason, Selection, clearly_fuller
from exporter.model import Publish

ROOMS = [f"room-{number}" for number in range(12)]


class Fullest:
    """A selection of the fullest, and what it was told."""

    def __init__(self, top: int | None = None, min_users: int = 0) -> None:
        self.selection = Selection(Publish(top, min_users))
        self.users: dict[str, int | None] = {}
        self.published: set[str] = set()
        self.changes = 0

    def read(self, now: float, limit: float = math.inf, **rooms: int) -> set[str]:
        """Read these rooms. Returns which are published then."""
        for room, users in rooms.items():
            self.selection.read(room, self.users.get(room), users, limit, now)
            self.users[room] = users
        return self.seen()

    def lose(self, room: str) -> set[str]:
        """Nothing is known of a room any more."""
        self.selection.lose(room, self.users[room])
        self.users[room] = None
        return self.seen()

    def forget(self, room: str) -> set[str]:
        """It is no longer watched."""
        self.selection.forget(room, self.users.pop(room, None))
        return self.seen()

    def seen(self) -> set[str]:
        """The published rooms, as somebody knows who only follows the changes."""
        for room in self.selection.take_changes():
            published = room in self.selection
            self.changes += published is not (room in self.published)
            (self.published.add if published else self.published.discard)(room)
        return self.published


def rank_after(readings: Sequence[tuple[float, int]]) -> int:
    """The rank of a room with these readings since it took its place."""
    rank, below_since = readings[0][1], None
    for now, users in readings[1:]:
        if users >= rank:
            rank, below_since = users, None
        elif below_since is None:
            below_since = now
        elif now - below_since >= HOLD:
            rank, below_since = users, None
    return rank


class SelectionBesideModel(RuleBasedStateMachine):
    """
    Rooms are read, lost, refused, described and forgotten, in any order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.fullest = Fullest(top=3, min_users=2)
        self.readings: dict[str, list[tuple[float, int]]] = {}
        """Of each room with a place, since it took it."""
        self.near: dict[str, list[tuple[float, bool]]] = {}
        self.troubled: set[str] = set()
        self.own: set[str] = set()

    def chosen(self) -> Selection:
        """The selection itself."""
        return self.fullest.selection

    @rule(room=st.sampled_from(ROOMS), users=st.integers(0, 40), limit=st.sampled_from([10.0, 30.0, math.inf]))
    def read(self, room: str, users: int, limit: float) -> None:
        """A reading."""
        places = dict(self.chosen()._places)
        ranks = {place: rank_after(read) for place, read in self.readings.items()}
        self.fullest.read(self.now, limit, **{room: users})
        near = users > 0 and users >= NEAR * limit
        if near:
            self.near[room] = []
        elif room in self.near:
            self.near[room].append((self.now, False))
            if self.now - self.near[room][0][0] >= HOLD:
                del self.near[room]
        self._follow(places, room, users, ranks)

    def _follow(self, before: Mapping[str, object], room: str, users: int, ranks: dict[str, int]) -> None:
        now_placed = self.chosen()._places
        if room in before:
            self.readings[room].append((self.now, users))
            ranks[room] = rank_after(self.readings[room])
        came = [self.fullest.users[other] or 0 for other in now_placed if other not in before]
        for gone in before.keys() - now_placed.keys():
            assert clearly_fuller(2, ranks[gone]) or clearly_fuller(max(came, default=-1), ranks[gone])
            del self.readings[gone]
        for other in now_placed.keys() - before.keys():
            self.readings[other] = [(self.now, self.fullest.users[other] or 0)]

    @rule(room=st.sampled_from(ROOMS))
    def lose(self, room: str) -> None:
        """Nothing is known of it."""
        if self.fullest.users.get(room) is not None:
            self.fullest.lose(room)

    @rule(room=st.sampled_from(ROOMS), begins=st.booleans())
    def trouble(self, room: str, begins: bool) -> None:
        """It is in trouble, or out of it."""
        self.chosen().trouble(room, begins=begins)
        (self.troubled.add if begins else self.troubled.discard)(room)

    @rule(room=st.sampled_from(ROOMS), has=st.booleans())
    def describe(self, room: str, has: bool) -> None:
        """Somebody writes thresholds of its own, or removes them."""
        self.chosen().own(room, has=has)
        (self.own.add if has else self.own.discard)(room)

    @rule(room=st.sampled_from(ROOMS))
    def forget(self, room: str) -> None:
        """It goes."""
        before = dict(self.chosen()._places)
        self.fullest.forget(room)
        self.troubled.discard(room)
        self.own.discard(room)
        self.near.pop(room, None)
        self.readings.pop(room, None)
        for other in self.chosen()._places.keys() - before.keys():
            self.readings[other] = [(self.now, self.fullest.users[other] or 0)]

    @rule(seconds=st.sampled_from([1.0, 10.0, HOLD / 2, HOLD]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @invariant()
    def it_is_as_the_rules_say(self) -> None:
        """Who is published, who has a place, and that nobody without is clearly fuller."""
        chosen, users = self.chosen(), self.fullest.users
        assert self.own | self.near.keys() | self.troubled | self.readings.keys() == self.fullest.seen()
        assert {room: rank_after(read) for room, read in self.readings.items()} == {
            room: place.rank for room, place in chosen._places.items()
        }
        assert 3 >= len(chosen._places)
        without = [known for room, known in users.items() if known is not None and room not in chosen._places]
        candidates = [known for known in without if known >= 2]
        if len(chosen._places) < 3:
            assert [] == candidates
        else:
            lowest = min(place.rank for place in chosen._places.values())
            assert [] == [known for known in candidates if clearly_fuller(known, lowest)]


TestSelectionBesideModel = SelectionBesideModel.TestCase
TestSelectionBesideModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_room_takes_a_place_only_if_it_is_clearly_fuller() -> None:
    """
    By more than a tenth. What is close to the last place does not take turns with it.
    """
    rooms = Fullest(top=2)

    assert {"a", "b"} == rooms.read(0.0, a=50, b=40)
    assert {"a", "b"} == rooms.read(1.0, c=44)
    assert {"a", "c"} == rooms.read(2.0, c=45)
    assert {"a", "c"} == rooms.read(3.0, b=49)


def test_a_room_that_emptied_is_published_for_five_minutes_more() -> None:
    """
    Alerts see its fall. Then the next one takes its place.
    """
    rooms = Fullest(top=1)
    rooms.read(0.0, a=5_000, b=40)

    assert {"a"} == rooms.read(600.0, a=0)
    assert {"a"} == rooms.read(600.0 + HOLD - 1, a=0)
    assert {"b"} == rooms.read(600.0 + HOLD, a=0)


def test_a_room_that_fills_again_keeps_its_place() -> None:
    """
    A short fall, such as a reconnect of everybody, costs nothing.
    """
    rooms = Fullest(top=1)
    rooms.read(0.0, a=100, b=40)

    for minute in range(0, 3600, 60):
        assert {"a"} == rooms.read(float(minute), a=0 if minute % 240 else 100)


def test_nothing_known_is_no_reason_to_leave() -> None:
    """
    In an outage every room keeps its place, until it is read again.
    """
    rooms = Fullest(top=2)
    rooms.read(0.0, a=50, b=40, c=30)
    rooms.lose("a")
    rooms.lose("c")

    assert {"a", "b"} == rooms.lose("b")
    assert {"a", "b"} == rooms.read(10_000.0, a=1)


def test_min_users_alone() -> None:
    """
    Every room with so many users, however many there are; one that falls below leaves when it is clearly below.
    """
    rooms = Fullest(min_users=10)

    assert {"a", "b"} == rooms.read(0.0, a=10, b=500, c=9)
    rooms.read(1.0, a=9, b=8)
    assert {"a"} == rooms.read(1.0 + HOLD, a=9, b=8)
    assert {"a", "c"} == rooms.read(2.0 + HOLD, c=10)


def test_empty_rooms_give_way_to_any_other() -> None:
    """
    They fill places that nobody else needs.
    """
    rooms = Fullest(top=1)

    assert {"a"} == rooms.read(0.0, a=0)
    assert {"b"} == rooms.read(1.0, b=1)
    assert {"b"} == rooms.read(2.0, c=2)


def test_a_room_near_its_threshold_needs_no_place() -> None:
    """
    From half of the threshold on, until five minutes after it was last as full.
    """
    rooms = Fullest(top=1)
    rooms.read(0.0, full=9_999)

    assert {"full"} == rooms.read(0.0, limit=800, a=399)
    assert {"full", "a"} == rooms.read(1.0, limit=800, a=400)
    assert {"full", "a"} == rooms.read(2.0, limit=800, a=0)
    assert {"full", "a"} == rooms.read(1.0 + HOLD, limit=800, a=0)
    assert Reason.THRESHOLD is rooms.selection.reason("a")
    assert {"full"} == rooms.read(2.0 + HOLD, limit=800, a=0)
    assert {"full"} == rooms.read(3.0 + HOLD, limit=0, a=0)


def test_a_hundred_rooms_in_trouble_are_named() -> None:
    """
    Of more no further one begins; when they are a hundred again, all are.
    """
    chosen = Selection(Publish(top=1))
    rooms = [f"room-{number}" for number in range(TROUBLED + 2)]
    for room in rooms:
        chosen.trouble(room, begins=True)
    named = [room for room in rooms if room in chosen]
    chosen.trouble(rooms[-1], begins=False)
    still = [room for room in rooms if room in chosen]
    chosen.trouble(rooms[0], begins=False)

    assert rooms[:TROUBLED] == named == still
    assert rooms[1 : TROUBLED + 1] == [room for room in rooms if room in chosen]


def test_few_changes_while_nothing_happens(monkeypatch) -> None:
    """
    A thousand rooms of much the same size, whose counts go up and down by a few: nobody changes places after the start.
    """
    monkeypatch.setattr(selection, "_STALE_ENTRIES", 4)
    rooms = Fullest(top=100)
    for round_ in range(60):
        rooms.read(10.0 * round_, **{f"r{number}": 100 + (7 * number + 3 * round_) % 10 for number in range(1_000)})
        if round_ == 0:
            rooms.changes = 0

    assert 100 == len(rooms.published)
    assert 0 == rooms.changes
