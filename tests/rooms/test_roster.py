"""
Which rooms are watched and published, rule by rule.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from exporter.config.discovery import DiscoveryConfig, HttpSdConfig, VendorListConfig
from exporter.config.rooms import Defaults
from exporter.model import Failure, FailureKind, Reading, Room, Thresholds
from exporter.rooms.admission import Rejection
from exporter.rooms.members import Changes, Life, Reason
from exporter.rooms.provider import Listing, Origin, Result
from exporter.rooms.roster import Roster, Terms
from exporter.vendors import APIS
from exporter.vendors.callbacks import Change, Hint

LIST = VendorListConfig(30.0, 3600.0, 86_400.0, 1.0, "list")
THERE = Reading(3, exists=True)
EMPTY = Reading(0, exists=True)
GONE = Reading(0, exists=False, missing=True)
REFUSED = Failure(FailureKind.REFUSED, "1", "no")
FAILED = Failure(FailureKind.TRANSIENT, "timeout", "no reply")


class House:
    """A roster, its time, and what it says is polled and published."""

    def __init__(self, api: str = "tencent_im", *, lists: bool = True, **settings: Any) -> None:
        codec = APIS[api]
        terms = Terms(codec.room_ids, codec.tells_existence, 10.0, settings.pop("hinted_polls", 100.0))
        after = 2 if codec.tells_existence else 3
        config = {"max_rooms": 100, "drop_after": after, "vendor_list": LIST if lists else None, **settings}
        self.now = 1000.0
        self.terms = terms
        self.config = DiscoveryConfig(**config)
        self.roster = Roster(self.config, terms, self.now)
        self.polled: set[str] = set()
        self.published: dict[str, Room] = {}
        self.changes = Changes()

    def lists(
        self, origin: Origin, rooms: Iterable[str | Room], *, ago: float = 0.0, name: str = "", **of: Any
    ) -> None:
        """A provider's refresh ends."""
        named = {room.id: room for room in (Room(each) if isinstance(each, str) else each for each in rooms)}
        listing = Listing(of.pop("result", Result.COMPLETE), self.now - ago, named, **of)
        for _ in self.roster.listed(name or origin.value, origin, listing, self.now):
            pass
        self.apply()

    def hint(
        self, room: str, change: Change = Change.CREATED, session: str | None = None, at: float | None = None
    ) -> None:
        """A callback comes."""
        self.roster.hinted(Hint(room, change, session, at), self.now)
        self.apply()

    def poll(self, readings: Mapping[str, Reading] | None = None, ago: float = 0.0, **failures: Failure) -> None:
        """A call ends."""
        self.roster.polled(readings or {}, failures, self.now - ago, self.now)
        self.apply()

    def later(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        while self.roster.tick(self.now):
            pass
        self.apply()

    def apply(self) -> None:
        """What whoever polls and publishes makes of it."""
        self.changes = changes = self.roster.drain()
        for room in changes.unpublish:
            self.published.pop(room, None)
        self.polled.difference_update(changes.unpoll)
        self.polled.update(changes.poll)
        self.published.update(changes.publish)


def active(api: str = "tencent_im", **settings: Any) -> House:
    """A house with one found room, which a poll has confirmed."""
    house = House(api, **settings)
    house.lists(Origin.VENDOR_LIST, ["r"])
    house.poll({"r": Reading(3, exists=True if house.terms.tells_existence else None)})
    assert {"r"} == house.published.keys()
    return house


# Rule 1: a candidate is confirmed by a poll


def test_what_a_list_names_is_polled_and_published_once_a_poll_confirms_it() -> None:
    """
    Until then it has no series; the vendor's word that it exists is enough, be it empty.
    """
    house = House()

    house.lists(Origin.VENDOR_LIST, ["r"])
    assert ({"r"}, {}) == (house.polled, house.published)

    house.poll({"r": EMPTY})
    assert {"r"} == house.published.keys()


def test_a_poll_from_before_a_room_was_named_confirms_nothing() -> None:
    """
    Its reply may tell of an earlier life.
    """
    house = House()
    house.lists(Origin.VENDOR_LIST, ["r"])

    house.poll({"r": THERE}, ago=1.0)

    assert {} == house.published


def test_what_the_list_itself_counted_confirms_a_room() -> None:
    """
    Its pages arrive while the pass goes on, after the pass began.
    """
    house = House("zego_rtc")
    house.lists(Origin.VENDOR_LIST, ["r"], ago=5.0)

    house.poll({"r": Reading(2)}, ago=4.0)

    assert {"r"} == house.published.keys()


def test_a_candidate_that_no_poll_confirms_is_dropped_after_probation() -> None:
    """
    It takes a minute and two good polls; the failed ones do not count.
    """
    house = House()
    house.hint("r")
    house.poll({"r": GONE})
    house.poll(r=FAILED)

    house.later(61)
    assert {"r"} == house.polled

    house.poll({"r": GONE})
    house.later(11)
    assert set() == house.polled
    assert 1 == house.roster.dropped[Reason.UNCONFIRMED]


def test_a_candidate_is_given_up_if_no_poll_succeeds_for_ten_probations() -> None:
    """
    Else forged rooms would stay for as long as a vendor is down.
    """
    house = House()
    house.hint("r")

    house.later(590)
    assert {"r"} == house.polled

    house.later(25)
    assert set() == house.polled


def test_where_zero_users_may_be_no_room_two_list_passes_confirm() -> None:
    """
    ZEGO RTC: an empty room is published if two passes named it and a poll gave a reading.
    """
    house = House("zego_rtc")
    house.lists(Origin.VENDOR_LIST, ["r"])
    house.poll({"r": Reading(0)})
    assert {} == house.published

    house.lists(Origin.VENDOR_LIST, ["r"])
    assert {"r"} == house.published.keys()


def test_what_the_operator_names_is_published_at_once() -> None:
    """
    Config, files and http_sd need no confirmation.
    """
    for origin in (Origin.CONFIG, Origin.FILES, Origin.HTTP_SD):
        house = House()
        house.lists(origin, ["r"])
        assert {"r"} == house.published.keys()


# Rules 2 and 3: gone after two good polls, published as missing for a while


def test_a_room_is_gone_after_two_good_polls_and_stays_for_linger() -> None:
    """
    One odd reply drops nothing; a scrape sees the 0 of a room that has ended.
    """
    house = active()
    house.poll({"r": GONE})
    assert Life.ACTIVE is house.roster.life("r")

    house.later(10)
    house.poll({"r": GONE})
    assert Life.LEAVING is house.roster.life("r")

    house.later(49)
    assert {"r"} == house.published.keys()

    house.later(1)
    assert ({}, set()) == (house.published, house.polled)
    assert 1 == house.roster.dropped[Reason.MISSING]
    assert [0.0] == house.changes.lifetimes


def test_a_room_that_comes_back_while_it_lingers_stays() -> None:
    """
    It is polled all the while.
    """
    house = active()
    house.poll({"r": GONE})
    house.poll({"r": GONE})

    house.poll({"r": THERE})
    house.later(600)

    assert {"r"} == house.published.keys()


def test_one_poll_is_enough_after_a_callback_told_of_the_end() -> None:
    """
    But not a poll that was sent before the callback came.
    """
    house = active()
    house.later(10)
    house.hint("r", Change.DESTROYED)
    assert ["r"] == [*house.changes.now]

    house.poll({"r": GONE}, ago=1.0)
    assert house.roster._members["r"].verdict is None

    house.poll({"r": GONE})
    house.later(60)
    assert {} == house.published


@pytest.mark.parametrize(("at", "stays"), [(99.0, False), (100.0, False), (101.0, True)])
def test_who_comes_after_the_end_begins_another_life(at: float, stays: bool) -> None:
    """
    Where no callback tells that a room was opened again, as at Volcengine. What was sent before the end, and late, does
    not count.
    """
    house = active("volcengine_rtc", linger=5.0)
    house.later(10)
    house.hint("r", Change.DESTROYED, at=100.0)
    house.poll({"r": GONE})
    house.hint("r", Change.MEMBERS, at=at)
    house.later(6)
    assert stays is ("r" in house.published)

    if stays:
        for _ in range(2):
            house.poll({"r": GONE})
        house.later(6)
    assert {} == house.published


def test_a_forged_end_drops_nothing() -> None:
    """
    The poll that it causes says that the room is there.
    """
    house = active()
    house.hint("r", Change.DESTROYED)
    assert Life.LEAVING is house.roster.life("r")

    house.poll({"r": THERE})
    assert Life.ACTIVE is house.roster.life("r")

    house.poll({"r": GONE})
    assert house.roster._members["r"].verdict is None


# Rule 4: where 0 users may be no room


def test_zero_users_end_a_room_only_after_a_hundred_seconds_outside_the_list() -> None:
    """
    ZEGO RTC takes that long to notice that the last user is gone.
    """
    house = active("zego_rtc")
    for _ in range(12):
        house.later(10)
        house.poll({"r": Reading(0)})
    assert house.roster._members["r"].verdict is None

    house.lists(Origin.VENDOR_LIST, ["other"])
    house.poll({"r": Reading(0)})
    house.later(0)

    assert "r" not in house.published
    assert 1 == house.roster.dropped[Reason.IDLE]


@pytest.mark.parametrize("passes", [1, 2])
def test_an_empty_room_that_the_list_names_again_stays(passes: int) -> None:
    """
    It was to go when ``linger`` is over, as it was empty and not listed: it was opened again.
    """
    house = active("zego_rtc", linger=300.0)
    for _ in range(12):
        house.later(10)
        house.poll({"r": Reading(0)})
    for _ in range(passes):
        house.lists(Origin.VENDOR_LIST, ["other"])
        house.poll({"r": Reading(0)})
    assert Life.LEAVING is house.roster.life("r")

    house.lists(Origin.VENDOR_LIST, ["r", "other"])
    assert Life.ACTIVE is house.roster.life("r")

    house.later(400)
    assert "r" in house.published


def test_zero_users_twice_end_a_room_of_which_a_callback_told() -> None:
    """
    The signature does not cover the body, so one poll would be little.
    """
    house = active("zego_rtc")
    house.later(10)
    house.hint("r", Change.DESTROYED)
    house.poll({"r": Reading(0)})
    assert house.roster._members["r"].verdict is None

    house.poll({"r": Reading(0)})
    house.later(60)
    assert {} == house.published


# Rule 5: absence from a list is a reason to look


def test_absence_from_two_complete_passes_brings_a_poll_and_nothing_else() -> None:
    """
    Lists lag, skip and hide rooms.
    """
    house = active()
    house.lists(Origin.VENDOR_LIST, [], result=Result.PARTIAL)
    house.lists(Origin.VENDOR_LIST, [], result=Result.FAILED)
    house.lists(Origin.VENDOR_LIST, [])
    assert Life.ACTIVE is house.roster.life("r")

    house.lists(Origin.VENDOR_LIST, [])
    assert (Life.LEAVING, ["r"]) == (house.roster.life("r"), [*house.changes.now])

    house.poll({"r": THERE})
    house.later(3600)
    assert Life.ACTIVE is house.roster.life("r")


def test_a_poll_from_before_a_callback_does_not_disprove_it() -> None:
    """
    The room may have been there when it was sent.
    """
    house = active()
    house.later(10)
    house.hint("r", Change.DESTROYED)

    house.poll({"r": THERE}, ago=1.0)
    house.poll({"r": GONE})
    house.later(60)

    assert {} == house.published


# Rules 6 and 7: the operator's word


def test_what_http_sd_names_no_longer_is_gone_at_once() -> None:
    """
    That is http_sd's contract; a failed refresh keeps the last list.
    """
    house = House()
    house.lists(Origin.HTTP_SD, ["r", "s"])
    house.lists(Origin.HTTP_SD, [], result=Result.FAILED)
    assert {"r", "s"} == house.published.keys()

    house.lists(Origin.HTTP_SD, ["s"])
    assert {"s"} == house.published.keys() == house.polled
    assert 1 == house.roster.dropped[Reason.HTTP_SD]


def test_a_room_is_kept_while_any_provider_names_it() -> None:
    """
    If only the vendor does, a poll must have confirmed it to be published.
    """
    house = House()
    house.lists(Origin.HTTP_SD, ["r", "s"])
    house.lists(Origin.VENDOR_LIST, ["r", "s"])
    house.poll({"r": THERE})

    house.lists(Origin.HTTP_SD, [])

    assert ({"r", "s"}, {"r"}) == (house.polled, {*house.published})


def test_a_room_between_two_endpoints_waits_for_the_other() -> None:
    """
    Until the other was asked since, whatever came of it, and for a minute at most.
    """
    house = House(http_sd=tuple(HttpSdConfig(f"http_sd/{number}", "http://localhost") for number in (1, 2)))

    def lists(number: int, rooms: list[str], **of: Any) -> None:
        house.lists(Origin.HTTP_SD, rooms, name=f"http_sd/{number}", **of)

    lists(1, ["r", "s", "t"])
    lists(2, [])
    house.later(5)
    lists(1, ["s", "t"])
    lists(2, [], ago=3)
    assert "r" in house.published
    lists(2, [], result=Result.FAILED)
    assert {"s", "t"} == house.published.keys()

    lists(1, ["t"])
    house.later(5)
    lists(2, ["s"])
    house.later(70)
    assert {"s", "t"} == house.published.keys() == house.polled

    lists(1, [])
    house.later(59)
    assert "t" in house.published
    house.later(1)
    assert {"s"} == house.published.keys() == house.polled
    assert 2 == house.roster.dropped[Reason.HTTP_SD]


@pytest.mark.parametrize("origin", [Origin.CONFIG, Origin.FILES, Origin.HTTP_SD])
def test_polls_and_lists_never_drop_what_the_operator_names(origin: Origin) -> None:
    """
    It is shown as missing or refused.
    """
    house = House()
    house.lists(origin, ["r", "s"])
    for _ in range(20):
        house.lists(Origin.VENDOR_LIST, ["s"])
        house.poll({"r": GONE, "s": THERE})
        house.poll({"s": THERE}, r=REFUSED)
        house.later(60)

    assert {"r", "s"} == house.published.keys()
    assert 2 == house.roster.lives[Life.ACTIVE]


def test_labels_of_the_operators_first_provider_win() -> None:
    """
    Config before files before http_sd, label by label; the source's own hold where none has them.
    """
    house = House()
    terms = Terms(house.terms.rule, True, 10.0, 1.0, Defaults((("team", "live"),), Thresholds(5, 9)))
    house.roster = Roster(house.config, terms, house.now)
    house.lists(Origin.HTTP_SD, [Room("r", (("event", "sd"), ("place", "sd")), Thresholds(warning=2))])
    house.lists(Origin.FILES, [Room("r", (("event", "file"),))])

    assert Room("r", (("event", "file"), ("place", "sd"), ("team", "live")), Thresholds(2, 9)) == house.published["r"]

    house.lists(Origin.FILES, [])
    assert (("event", "sd"), ("place", "sd"), ("team", "live")) == house.published["r"].labels


# Rule 8: failures


def test_failed_polls_never_drop_a_room() -> None:
    """
    A vendor's outage must not wipe rooms.
    """
    house = active()
    for _ in range(100):
        house.later(60)
        house.poll(r=FAILED)

    assert {"r"} == house.published.keys()


def test_a_refused_room_is_dropped_for_an_hour_once_the_source_is_seen_to_work() -> None:
    """
    If every room is refused it is the source that is at fault.
    """
    house = active()
    house.poll(r=REFUSED)
    house.later(600)
    assert {"r"} == house.published.keys()

    house.lists(Origin.VENDOR_LIST, ["r", "s"])
    house.poll({"s": THERE})
    assert {"s"} == house.published.keys()

    house.later(3599)
    house.lists(Origin.VENDOR_LIST, ["r", "s"])
    assert {"s"} == house.polled

    house.later(1)
    house.lists(Origin.VENDOR_LIST, ["r", "s"])
    assert {"r", "s"} == house.polled


# Rule 9: tombstones


def ended(**hints: Any) -> House:
    """A house whose found room has gone."""
    house = active()
    if hints:
        house.hint("r", Change.CREATED, **hints)
    house.poll({"r": GONE})
    house.poll({"r": GONE})
    house.later(60)
    assert set() == house.polled
    return house


def test_a_list_pass_brings_a_room_back_only_if_it_began_after_its_end() -> None:
    """
    A slow pass names rooms that have ended meanwhile.
    """
    house = ended()
    house.later(10)
    house.lists(Origin.VENDOR_LIST, ["r"], ago=10.0)
    assert set() == house.polled

    house.lists(Origin.VENDOR_LIST, ["r"], ago=9.0)
    assert ({"r"}, {}) == (house.polled, house.published)


@pytest.mark.parametrize(
    ("session", "at", "back"), [("s1", 50.0, False), ("s2", 7.0, False), ("s2", 8.5, True), (None, 8.0, False)]
)
def test_a_late_callback_of_the_old_life_does_not_bring_it_back(session: str | None, at: float, back: bool) -> None:
    """
    A newer session, or a newer event, does.
    """
    house = ended(session="s1", at=8.0)

    house.hint("r", Change.CREATED, session, at)

    assert back == ("r" in house.polled)


def test_a_room_that_is_named_in_vain_is_tried_ever_more_rarely() -> None:
    """
    A list that names rooms which no poll confirms must not cost a tenth of the budget.
    """
    house = House()
    tried = 0
    for _ in range(360):
        if "r" not in house.polled:
            house.lists(Origin.VENDOR_LIST, ["r"])
            tried += "r" in house.polled
        house.poll({"r": GONE})
        house.later(10)

    assert 4 <= tried <= 10


def test_tombstones_are_forgotten() -> None:
    """
    Memory stays flat however many rooms open and close.
    """
    house = ended()
    assert 1 == house.roster.buried

    house.later(600)
    assert 0 == house.roster.buried


# Rule 10: idle rooms


def test_an_empty_found_room_is_polled_rarely_until_somebody_comes() -> None:
    """
    Tencent Live keeps them for half an hour.
    """
    house = active(idle_after=300.0)
    house.poll({"r": EMPTY})
    house.later(300)
    house.poll({"r": EMPTY})
    assert ["r"] == [*house.changes.slower]

    house.poll({"r": THERE})
    assert ["r"] == [*house.changes.faster]


# Rule 11: the start


def test_nothing_is_dropped_before_the_first_complete_pass() -> None:
    """
    A restart must not make a gap.
    """
    house = House()
    house.lists(Origin.VENDOR_LIST, ["r"], result=Result.PARTIAL)
    house.poll({"r": THERE})
    for _ in range(5):
        house.poll({"r": GONE})
    house.later(60)
    assert {"r"} == house.published.keys()

    house.lists(Origin.VENDOR_LIST, ["r"])
    house.poll({"r": GONE})
    house.later(0)
    assert {} == house.published


def test_what_is_there_at_the_start_is_taken_as_fast_as_it_comes() -> None:
    """
    Only what comes later is bounded per minute.
    """
    house = House(new_rooms_per_minute=2)
    house.lists(Origin.VENDOR_LIST, [f"a{number}" for number in range(50)])
    house.lists(Origin.VENDOR_LIST, [f"b{number}" for number in range(50)])

    assert 52 == len(house.polled)
    assert 48 == house.roster.rejected[Rejection.RATE]


# Caps


def test_a_list_of_other_rooms_takes_the_place_of_the_one_before() -> None:
    """
    What is gone from a complete list makes place for what is new on it, be there ``max_rooms`` of both.
    """
    house = House(max_rooms=3)
    house.lists(Origin.HTTP_SD, ["a", "b", "c"])
    house.lists(Origin.HTTP_SD, ["c", "d", "e"])
    assert {"c", "d", "e"} == house.published.keys()
    assert 0 == house.roster.rejected[Rejection.MAX_ROOMS]


def test_at_the_cap_known_rooms_stay_and_new_ones_are_rejected() -> None:
    """
    Those of config and files are watched all the same.
    """
    house = House(max_rooms=3)
    house.lists(Origin.HTTP_SD, ["a", "b", "c", "d"])
    house.lists(Origin.VENDOR_LIST, ["e"])
    house.lists(Origin.CONFIG, ["f"])

    assert {"a", "b", "c", "f"} == house.polled
    assert 2 == house.roster.rejected[Rejection.MAX_ROOMS]


def test_ids_that_do_not_fit_are_rejected() -> None:
    """
    By the operator's filter, which matches as a whole, or by the API's rule.
    """
    house = House(include=(re.compile("live_.*"),), exclude=(re.compile("live_x"),))

    house.lists(Origin.HTTP_SD, ["live_1", "live_x", "alive_1", "live_\x00", "live_" + "x" * 100])

    assert {"live_1"} == house.polled
    assert (2, 2) == (house.roster.rejected[Rejection.FILTER], house.roster.rejected[Rejection.INVALID_ID])


def test_callbacks_cannot_bring_more_candidates_than_their_share_allows() -> None:
    """
    However many are forged: a tenth of what can be polled in an interval, and another for polls brought forward.
    """
    house = House(hinted_polls=2.0)

    for number in range(100):
        house.hint(f"r{number}")

    assert 10 == len(house.polled)
    assert 90 == house.roster.rejected[Rejection.RATE]


def test_a_room_is_brought_forward_once_per_interval() -> None:
    """
    A thousand users that enter are one reason to look.
    """
    house = active()
    brought = 0
    for _ in range(1000):
        house.hint("r", Change.MEMBERS)
        brought += len(house.changes.now)
        house.now += 0.02

    assert 2 == brought


# Providers that vanish or grow old


def test_rooms_go_with_the_provider_that_alone_named_them() -> None:
    """
    Taking http_sd or the list out of the config takes its rooms out.
    """
    house = active()
    house.lists(Origin.HTTP_SD, ["s", "t"])
    house.lists(Origin.CONFIG, ["t"])

    for provider in ("vendor_list", "http_sd"):
        for _ in house.roster.dropped_provider(provider, house.now):
            pass
    house.apply()

    assert {"t"} == house.published.keys() == house.polled


def test_a_list_that_is_too_old_counts_no_longer_where_that_is_configured() -> None:
    """
    Without max_age it counts for ever.
    """
    house = House(http_sd=(HttpSdConfig("http_sd", "http://localhost", max_age=60.0),))
    house.lists(Origin.HTTP_SD, ["s"])
    house.later(60)
    assert [] == house.roster.outdated(house.now)

    house.later(1)
    assert ["http_sd"] == house.roster.outdated(house.now)
    for _ in house.roster.outdate("http_sd", house.now):
        house.apply()
    assert {} == house.published


def test_another_filter_takes_known_rooms_out() -> None:
    """
    A reload that excludes rooms means those that are there, too.
    """
    house = active()
    config = DiscoveryConfig(max_rooms=100, exclude=(re.compile("r"),))
    for _ in house.roster.reconfigure(config, house.terms, house.now):
        pass
    house.apply()

    assert {} == house.published


# ZEGO's way to keep a list of rooms by callbacks, as its document has it


@pytest.mark.parametrize(
    ("events", "live"),
    [
        ([("create", "s2", 3000), ("create", "s1", 1000), ("close", "s1", 2000)], True),
        ([("create", "s1", 1000), ("close", "s1", 2000)], False),
        ([("close", "s1", 2000), ("create", "s1", 1000)], False),
        ([("create", "s1", 1000), ("close", "s2", 4000), ("create", "s2", 3000)], False),
        ([("create", "s1", 1000), ("create", "s2", 3000)], True),
        ([("create", "s1", 1000), ("create", "s2", 3000), ("close", "s1", 2000)], True),
        ([("create", "s2", 3000), ("close", "s1", 3500)], True),
    ],
)
def test_callbacks_in_any_order_tell_which_life_is_the_last(events: list[tuple[str, str, float]], live: bool) -> None:
    """
    Those of an earlier life change nothing, and an end that comes before its beginning is not forgotten.
    """
    house = House()
    for kind, session, at in events:
        house.hint("r", Change.CREATED if kind == "create" else Change.DESTROYED, session, at)

    member = house.roster._members.get("r")
    assert live == (member is not None and not member.destroyed)


def test_a_hundred_thousand_rooms_are_taken_over_in_short_steps() -> None:
    """
    No step holds up the event loop.
    """
    house = House(max_rooms=200_000)
    named = {f"room_{number}": Room(f"room_{number}") for number in range(100_000)}
    longest, steps = list[float](), 0
    began = last = time.thread_time()  # what others do on this machine does not count
    listing = Listing(Result.COMPLETE, house.now, named)
    for _ in range(2):
        for _ in house.roster.listed("http_sd", Origin.HTTP_SD, listing, house.now):
            assert len(house.roster.drain().poll) <= 500
            longest.append(time.thread_time() - last)
            last = time.thread_time()
            steps += 1

    assert 200 + 400 == steps, "the second time it is compared with the first"
    assert sorted(longest)[-5] < 0.03, "but for the garbage collector, which has more to do in a test"
    assert last - began < 5


# And what is easily forgotten


def test_found_rooms_have_a_limit_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whatever ``max_rooms`` is: http_sd's rooms do not count for it.
    """
    monkeypatch.setattr("exporter.rooms.roster.MOST_FOUND", 2)
    house = House()
    house.lists(Origin.HTTP_SD, ["a", "b", "c"])

    house.lists(Origin.VENDOR_LIST, ["d", "e", "f"])

    assert {"a", "b", "c", "d", "e"} == house.polled


def test_a_reading_that_was_asked_for_before_a_refusal_convicts_nobody() -> None:
    """
    The source may have begun to refuse everything in between.
    """
    house = active()
    house.lists(Origin.VENDOR_LIST, ["r", "s"])
    house.later(10)
    house.poll(r=REFUSED)

    house.poll({"s": THERE}, ago=5.0)

    assert {"r", "s"} == house.polled


def test_three_quick_polls_with_zero_users_are_not_enough() -> None:
    """
    The last user's heartbeat may only have been late.
    """
    house = House("zego_rtc", lists=False)
    house.hint("r")
    house.poll({"r": Reading(3)})
    for _ in range(9):
        house.later(10)
        house.poll({"r": Reading(0)})
    assert house.roster._members["r"].verdict is None

    house.later(25)
    house.poll({"r": Reading(0)})
    assert house.roster._members["r"].verdict is not None


def test_an_empty_candidate_waits_for_the_second_pass_over_the_list() -> None:
    """
    Where only that can confirm it, however long a pass takes.
    """
    house = House("zego_rtc")
    house.lists(Origin.VENDOR_LIST, ["r"])
    for _ in range(9):
        house.poll({"r": Reading(0)})
        house.later(10)
    assert {"r"} == house.polled

    house.lists(Origin.VENDOR_LIST, ["r"])
    assert {"r"} == house.published.keys()


def test_a_new_life_does_not_end_with_the_old_one() -> None:
    """
    A room that is opened again while it lingers is not dropped for what polls said of the life before.
    """
    house = active()
    house.hint("r", Change.CREATED, "s1", 1.0)
    house.poll({"r": GONE})
    house.poll({"r": GONE})
    house.later(59)

    house.hint("r", Change.CREATED, "s2", 2.0)
    house.later(10)

    assert {"r"} == house.published.keys()


def test_polls_that_callbacks_bring_forward_are_bounded() -> None:
    """
    However many rooms they are about; that somebody came or went leaves half of the allowance for more urgent things.
    """
    house = House(hinted_polls=2.0)
    rooms = [f"r{number}" for number in range(50)]
    house.lists(Origin.VENDOR_LIST, rooms)
    brought = {}
    for change in (Change.MEMBERS, Change.DESTROYED):
        brought[change] = 0
        for room in rooms:
            house.hint(room, change)
            brought[change] += len(house.changes.now)

    assert {Change.MEMBERS: 5, Change.DESTROYED: 5} == brought


def test_it_is_told_that_the_list_missed_a_room_first() -> None:
    """
    The reason of its end is then the list.
    """
    house = active()
    for _ in range(2):
        house.lists(Origin.VENDOR_LIST, [])
        house.poll({"r": GONE})
    house.later(60)

    assert 1 == house.roster.dropped[Reason.LIST]


def test_rooms_of_config_and_files_are_never_idle() -> None:
    """
    The operator wants them every interval; those of http_sd may be.
    """
    house = House(idle_after=60.0)
    house.lists(Origin.CONFIG, ["a"])
    house.lists(Origin.HTTP_SD, ["b"])
    house.poll({"a": EMPTY, "b": EMPTY})
    house.later(60)
    house.poll({"a": EMPTY, "b": EMPTY})

    assert ["b"] == [*house.changes.slower]


def test_a_callback_of_its_end_leaves_the_operator_the_last_word() -> None:
    """
    A room that http_sd names no longer goes at once, if callbacks told of its end before.
    """
    house = House()
    house.lists(Origin.HTTP_SD, ["r"])
    house.hint("r", Change.MEMBERS)
    house.hint("r", Change.DESTROYED)
    assert Life.ACTIVE is house.roster.life("r")

    house.lists(Origin.HTTP_SD, [])
    assert set() == house.polled
