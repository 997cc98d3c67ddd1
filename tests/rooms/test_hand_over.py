"""
The roster of one replica after that of another one: nothing lost, nothing false.
"""

from __future__ import annotations

from typing import Any

import pytest

from exporter.model import Room
from exporter.rooms.members import Life, Reason
from exporter.rooms.provider import Origin
from exporter.rooms.roster import PREDECESSOR
from tests.rooms.test_roster import GONE, THERE, House


class Successor(House):
    """A replica that takes over."""

    def inherits(self, *rooms: str) -> None:
        """The one before knew these rooms."""
        self.roster.inherited({room: {} for room in rooms}, self.now)
        self.apply()

    def begins(self) -> None:
        """It polls from now on."""
        self.roster.begin(self.now)
        self.apply()

    def has_listed(self) -> None:
        """Everybody has answered."""
        for _ in self.roster.release_predecessor(self.now):
            self.apply()
        self.apply()

    def hands_over(self, *, keep: bool = False) -> None:
        """Another replica polls from now on."""
        for _ in self.roster.hand_over(self.now, keep=keep):
            self.apply()
        self.apply()


def successor(api: str = "tencent_im", **settings: Any) -> Successor:
    """One that has inherited ``r``."""
    house = Successor(api, **settings)
    house.inherits("r")
    house.begins()
    return house


@pytest.mark.parametrize("api", ["tencent_im", "zego_rtc"])
def test_an_inherited_room_is_published_at_once(api: str) -> None:
    """
    Somebody has confirmed it already; it counts neither as found nor as new.
    """
    house = successor(api)

    assert {"r"} == house.polled == house.published.keys()
    assert Life.ACTIVE is house.roster.life("r")
    assert 0 == sum(count for origin, count in house.roster.added.items() if origin is not Origin.PREDECESSOR)


def test_an_inherited_room_that_a_list_names_is_the_lists() -> None:
    """
    Its own provider takes the place of the predecessor, and its end is judged as ever.
    """
    house = successor()
    house.lists(Origin.VENDOR_LIST, ["r"])
    house.has_listed()
    assert ["vendor_list"] == [each.provider for each in house.roster.named("r")]
    assert Life.ACTIVE is house.roster.life("r")

    for _ in range(2):
        house.poll({"r": GONE})
    house.later(61)
    assert {} == house.published
    assert 1 == house.roster.dropped[Reason.MISSING]


def test_an_inherited_room_that_a_list_lacks_is_polled_and_stays_if_it_is_there() -> None:
    """
    A list may skip rooms; a poll knows.
    """
    house = successor()
    house.lists(Origin.VENDOR_LIST, [])
    house.has_listed()
    assert Life.LEAVING is house.roster.life("r")
    assert {"r"} == house.changes.now.keys() | house.published.keys()

    house.poll({"r": THERE})
    house.later(3_600)
    assert {"r"} == house.published.keys()
    assert Life.ACTIVE is house.roster.life("r")


def test_before_a_list_was_read_nothing_inherited_goes() -> None:
    """
    As after any start; its end shows as missing meanwhile.
    """
    house = successor()
    for _ in range(5):
        house.poll({"r": GONE})
        house.later(10)
    assert {"r"} == house.published.keys()

    house.lists(Origin.VENDOR_LIST, [])
    house.has_listed()
    house.poll({"r": GONE})
    house.later(61)
    assert {} == house.published


def test_where_only_the_operator_names_rooms_what_he_no_longer_names_goes() -> None:
    """
    The predecessor may have had it from a list that is older.
    """
    house = successor(lists=False)
    house.lists(Origin.HTTP_SD, ["s"])
    house.has_listed()

    assert {"s"} == house.published.keys() == house.polled


def test_a_candidate_is_confirmed_by_what_the_predecessor_knew() -> None:
    """
    A callback may have named it here before.
    """
    house = Successor()
    house.hint("r")
    assert Life.CANDIDATE is house.roster.life("r")
    house.inherits("r")

    assert {"r"} == house.published.keys()


def test_an_inherited_id_that_the_filter_refuses_is_not_taken() -> None:
    """
    Replicas may have different configs for a while.
    """
    house = Successor(max_rooms=2)
    house.lists(Origin.CONFIG, ["own"])
    house.inherits("\x00", "r", "s")

    assert {"own", "r"} == house.published.keys()


def test_who_hands_over_keeps_the_rooms_of_its_config_alone() -> None:
    """
    What lists, callbacks and backends have named is the other one's now, and nothing is counted as dropped.
    """
    house = Successor(callbacks=None)
    house.lists(Origin.CONFIG, ["own"])
    house.lists(Origin.HTTP_SD, [Room("own", (("event", "launch"),)), "backend"])
    house.lists(Origin.VENDOR_LIST, ["found", "candidate"])
    house.poll({"found": THERE})
    labels = [house.published["own"].labels]
    house.hands_over()

    assert {"own"} == house.published.keys() == house.polled
    assert [(("event", "launch"),), ()] == [*labels, house.published["own"].labels]
    assert {"config"} == house.roster.registers.keys()
    assert {0} == set(house.roster.dropped.values())
    assert {Life.CANDIDATE: 0, Life.ACTIVE: 1, Life.LEAVING: 0} == house.roster.lives


def test_who_hands_over_and_goes_on_publishing_keeps_what_was_there() -> None:
    """
    Until the other one says that a room is gone; candidates are forgotten.
    """
    house = Successor()
    house.lists(Origin.CONFIG, ["own"])
    house.lists(Origin.HTTP_SD, ["backend"])
    house.lists(Origin.VENDOR_LIST, ["found", "candidate"])
    house.poll({"found": THERE})
    house.hands_over(keep=True)
    assert {"own", "backend", "found"} == house.published.keys() == house.polled
    assert {"config", "http_sd", PREDECESSOR} == house.roster.registers.keys()

    house.roster.gone_elsewhere(["own", "backend", "nobody"])
    house.apply()
    assert {"own", "found"} == house.published.keys() == house.polled
    assert 1 == house.roster._operated


def test_what_is_inherited_while_the_rest_is_forgotten_stays() -> None:
    """
    A budget may come back while thousands of rooms are still being forgotten.
    """
    rooms = [f"r{number:03}" for number in range(600)]
    house = Successor(max_rooms=1_000)
    house.lists(Origin.VENDOR_LIST, rooms)
    house.poll(dict.fromkeys(rooms, THERE))
    steps = house.roster.hand_over(house.now, keep=False)
    next(steps)
    house.inherits(rooms[0], rooms[-1])
    assert [None] == [*steps]
    house.apply()

    assert {rooms[0], rooms[-1]} == house.published.keys() == house.polled


def test_a_room_that_was_dropped_here_comes_back_if_the_other_one_knows_it() -> None:
    """
    A tombstone is no reason to doubt the replica that polls.
    """
    house = Successor()
    house.lists(Origin.VENDOR_LIST, ["r"])
    house.poll({"r": THERE})
    for _ in range(2):
        house.poll({"r": GONE})
    house.later(61)
    assert {} == house.published
    house.hands_over()
    house.inherits("r")

    assert {"r"} == house.published.keys()
