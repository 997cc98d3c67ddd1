"""
What "resolved" means, and what is no reason to fire: alerts on promtool in courses that are theirs alone.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from exporter.states import SourceState
from tests.rules.scraped import DOWN, Exporter, Firing, Labels, Room, Source, Targets, complaints, phases
from tests.rules.scraped import with_rooms as rooms_of
from tests.rules.scraped import with_source as source_of
from tests.rules.troubles import HEALTHY, OF_SOURCE

pytestmark = pytest.mark.needs_program("promtool")

ABOVE = {**OF_SOURCE, "room": "lobby", "severity": "critical"}
FULL = rooms_of(HEALTHY, "im", lobby=Room(640, thresholds={"critical": 400}))
DARK = rooms_of(HEALTHY, "im", lobby=Room(None, thresholds={"critical": 400}))
LAG = 25.0
"""Seconds from what happens to the next evaluation after the next scrape."""

KEPT = 60.0
"""Seconds for which an alert on a threshold goes on after a reading below it, so that it does not flutter."""


def run(folder: Path, *course: tuple[float, Exporter | Targets | None], **expected: list[Firing]) -> str:
    """
    What promtool complains of; a lone exporter is the target "a".
    """
    targets = [(at, {"a": one} if one is None or isinstance(one, Exporter) else one) for at, one in course]
    return "".join(complaints(folder, phases(*targets), alert, parts) for alert, parts in expected.items())


def fires(since: float, until: float, labels: Labels = ABOVE) -> Firing:
    """
    All the time, the last second excluded.
    """
    return Firing(since, until - 1, labels)


def silent(since: float, until: float) -> Firing:
    """
    All the time.
    """
    return Firing(since, until, None)


def test_a_room_stays_above_its_threshold_while_it_is_unknown(tmp_path):
    """
    For two hours nothing is known of it; then a reading below the threshold comes, and that ends the alert.
    """
    known = 300 + 7200
    complained = run(
        tmp_path,
        (0, FULL),
        (300, DARK),
        (known, HEALTHY),
        RtcRoomAboveThreshold=[fires(60 + LAG, known), silent(known + KEPT + LAG, known + 300)],
    )

    assert "" == complained


@pytest.mark.parametrize(
    "end",
    [
        rooms_of(HEALTHY, "im", lobby=Room(400, thresholds={"critical": 400})),
        rooms_of(HEALTHY, "im", lobby=Room(0, exists=False, thresholds={"critical": 400})),
        rooms_of(HEALTHY, "im", lobby=Room(640, thresholds={"critical": 700})),
        rooms_of(HEALTHY, "im", lobby=Room(640)),
        source_of(HEALTHY, "im", rooms={"yard": Room(20)}),
    ],
    ids=["at the threshold", "closed", "threshold raised", "threshold taken away", "not watched"],
)
def test_what_ends_an_alert_on_a_threshold(end, tmp_path):
    """
    A fresh reading that is not above it, the end of the room, another threshold, or nobody who watches the room.
    """
    complained = run(
        tmp_path,
        (0, FULL),
        (300, end),
        RtcRoomAboveThreshold=[fires(60 + LAG, 299), silent(300 + KEPT + LAG, 600)],
    )

    assert "" == complained


def test_a_source_that_a_reload_takes_away_is_held_for_two_minutes(tmp_path):
    """
    It might have been handed over to another exporter. Then its alerts resolve, since the exporter is there without it.
    """
    without = replace(HEALTHY, sources={"other": HEALTHY.sources["other"]})
    complained = run(
        tmp_path,
        (0, FULL),
        (300, without),
        RtcRoomAboveThreshold=[fires(60 + LAG, 300 + 100), silent(300 + 120 + KEPT + LAG, 900)],
    )

    assert "" == complained


def test_a_source_that_a_restart_takes_away_resolves_soon_after_it(tmp_path):
    """
    An exporter that is back for two minutes without the source does not watch it any more.
    """
    without = replace(HEALTHY, sources={"other": HEALTHY.sources["other"]}, started=600.0)
    complained = run(
        tmp_path,
        (0, FULL),
        (300, DOWN),
        (600, without),
        RtcRoomAboveThreshold=[fires(60 + LAG, 600 + 100), silent(600 + 130 + KEPT + LAG, 1200)],
    )

    assert "" == complained


def test_a_room_that_crosses_just_before_the_exporter_dies_is_reported(tmp_path):
    """
    It waits its minute like any other; a room that was below its threshold never fires.
    """
    complained = run(
        tmp_path,
        (0, HEALTHY),
        (300, FULL),
        (320, DOWN),
        RtcRoomAboveThreshold=[silent(0, 359), fires(360 + LAG, 3600)],
    )

    assert "" == complained


def test_a_room_that_has_emptied_is_not_held(tmp_path):
    """
    When the exporter dies within the minute for which the alert goes on after the last reading, it ends all the same.
    """
    complained = run(
        tmp_path,
        (0, FULL),
        (300, HEALTHY),
        (330, DOWN),
        RtcRoomAboveThreshold=[fires(60 + LAG, 300), silent(300 + KEPT + LAG, 1200)],
    )

    assert "" == complained


def test_a_new_process_that_takes_up_its_rooms_slowly_is_no_all_clear(tmp_path):
    """
    In the first scrape after a restart a source may lack its rooms, and the first readings may take minutes.
    """
    new = replace(DARK, started=320.0)
    complained = run(
        tmp_path,
        (0, FULL),
        (300, DOWN),
        (320, source_of(new, "im", rooms={}, crowd=0)),
        (340, new),
        (600, replace(FULL, started=320.0)),
        RtcRoomAboveThreshold=[fires(60 + LAG, 900)],
    )

    assert "" == complained


def test_a_restart_of_half_a_minute_fires_nothing(tmp_path):
    """
    A healthy exporter that is away for less than that, and knows nothing for a moment when it is back, is no alert.
    """
    back = 330.0
    unread = source_of(HEALTHY, "im", up=False, achieved=None, crowd=0, dark=300, rooms={"lobby": Room(None)})
    complained = run(
        tmp_path,
        (0, source_of(HEALTHY, "im", crowd=300)),
        (302, DOWN),
        (back, replace(unread, started=back)),
        (back + 30, replace(source_of(HEALTHY, "im", crowd=300), started=back)),
        **{
            alert: [silent(0, 900)]
            for alert in (
                "RtcExporterDown",
                "RtcSourceDown",
                "RtcRoomUnknown",
                "RtcManyRoomsUnknown",
                "RtcWatchedRoomsHalved",
                "RtcSourceWithoutRooms",
                "RtcSourceUsersHalved",
                "RtcRoomUsersHalved",
            )
        },
    )

    assert "" == complained


def test_a_source_that_is_down_stays_so_until_a_call_succeeds(tmp_path):
    """
    That the vendor answers again, and lets nobody in, is another alert beside it and not the end of this one.
    """
    labels = {**OF_SOURCE, "severity": "critical"}
    down = source_of(HEALTHY, "im", up=False, state=SourceState.CIRCUIT_OPEN)
    refused = source_of(HEALTHY, "im", up=False, state=SourceState.UNAUTHORIZED)
    complained = run(
        tmp_path,
        (0, HEALTHY),
        (300, down),
        (600, refused),
        (900, HEALTHY),
        RtcSourceDown=[silent(0, 359), fires(360 + LAG, 900, labels), silent(900 + LAG, 1200)],
        RtcSourceUnauthorized=[silent(0, 659), fires(660 + LAG, 900, labels), silent(900 + LAG, 1200)],
    )

    assert "" == complained


def test_a_closed_room_is_no_mass_disconnect(tmp_path):
    """
    By the vendor's word there is no such room any more: neither the room nor its source lost half of its users.
    """
    closed = rooms_of(HEALTHY, "im", hall=Room(0, exists=False))
    labels = {**OF_SOURCE, "room": "hall", "severity": "info"}
    complained = run(
        tmp_path,
        (0, HEALTHY),
        (300, closed),
        RtcRoomClosed=[silent(0, 299), fires(315 + LAG, 600, labels)],
        RtcRoomUsersHalved=[silent(0, 900)],
        RtcSourceUsersHalved=[silent(0, 900)],
    )

    assert "" == complained


def test_a_room_that_is_only_counted_from_now_on_is_neither_unknown_nor_empty(tmp_path):
    """
    Where a source publishes its fullest rooms, the series of a room end when others are fuller, and begin again.
    """
    rooms = {name: room for name, room in HEALTHY.sources["im"].rooms.items() if name != "hall"}
    counted = source_of(HEALTHY, "im", rooms=rooms, crowd=HEALTHY.sources["im"].crowd + 1)
    silence = [silent(0, 900)]
    complained = run(
        tmp_path,
        (0, HEALTHY),
        (300, counted),
        (600, HEALTHY),
        RtcRoomUnknown=silence,
        RtcRoomClosed=silence,
        RtcRoomUsersHalved=silence,
        RtcSourceUsersHalved=silence,
        RtcWatchedRoomsHalved=silence,
    )

    assert "" == complained


SCHOOL = Exporter(sources={"im": Source(rooms={f"class {number}": Room(30) for number in range(20)})})
"""Twenty rooms of thirty people, none of which is large enough for an alert of its own."""


def classes(change: Room, *numbers: int) -> Exporter:
    """
    The school with some of its rooms changed.
    """
    return rooms_of(SCHOOL, "im", **{f"class {number}": change for number in numbers})


def test_many_small_rooms_that_empty_at_once_are_a_fall_of_their_source(tmp_path):
    """
    Two thirds of twenty times thirty people leave, and no room held a hundred.
    """
    complained = run(
        tmp_path,
        (0, SCHOOL),
        (300, classes(Room(10), *range(20))),
        RtcSourceUsersHalved=[silent(0, 299), fires(315 + LAG, 700, {**OF_SOURCE, "severity": "critical"})],
        RtcRoomUsersHalved=[silent(0, 900)],
    )

    assert "" == complained


@pytest.mark.parametrize(
    "then",
    [
        classes(Room(0, exists=False), *range(15)),
        classes(Room(None), 0),
        classes(Room(None), *range(15)),
        Exporter(sources={"im": Source(rooms={"class 0": Room(30)})}),
        classes(Room(60), *range(10)),
    ],
    ids=["closed", "one unknown", "most unknown", "not watched", "more people"],
)
def test_what_is_no_fall_of_a_source(then, tmp_path):
    """
    Rooms that are closed, unknown or no longer watched have not lost their people in a disconnect.
    """
    assert "" == run(tmp_path, (0, SCHOOL), (300, then), RtcSourceUsersHalved=[silent(0, 900)])


def test_people_who_change_rooms_have_not_left(tmp_path):
    """
    Every room empties once, into another one.
    """
    odd, even = range(1, 20, 2), range(0, 20, 2)
    first = rooms_of(classes(Room(0), *odd), "im", **{f"class {number}": Room(60) for number in even})
    second = rooms_of(classes(Room(0), *even), "im", **{f"class {number}": Room(60) for number in odd})
    complained = run(
        tmp_path, (0, first), (300, second), (420, first), (540, second), RtcSourceUsersHalved=[silent(0, 900)]
    )

    assert "" == complained


def test_the_largest_room_turning_unknown_is_no_fall_of_its_source(tmp_path):
    """
    One room of twenty holds most of the people; that nothing is known of it says nothing of them.
    """
    crowded = rooms_of(SCHOOL, "im", stage=Room(5000))
    complained = run(
        tmp_path,
        (0, crowded),
        (300, rooms_of(crowded, "im", stage=Room(None))),
        RtcSourceUsersHalved=[silent(0, 900)],
        RtcRoomUsersHalved=[silent(0, 900)],
    )

    assert "" == complained


def test_one_of_three_exporters_is_down(tmp_path):
    """
    Its job has one alert, whose target may vanish meanwhile; with the third exporter back it resolves.
    """
    labels = {"job": "rtc-room-exporter", "severity": "critical"}
    others = {"b": Exporter(), "c": Exporter()}
    complained = run(
        tmp_path,
        (0, {"a": HEALTHY, **others}),
        (300, {"a": DOWN, **others}),
        (600, {"a": replace(HEALTHY, started=600.0), **others}),
        RtcExporterDown=[silent(0, 344), fires(345 + LAG, 600, labels), silent(600 + LAG, 900)],
        RtcWatchdog=[fires(15, 900, {"severity": "none"})],
    )

    assert "" == complained


def test_all_exporters_of_a_job_vanish_from_the_targets(tmp_path):
    """
    First they are down, then gone: one alert, which does not end between.
    """
    labels = {"job": "rtc-room-exporter", "severity": "critical"}
    complained = run(
        tmp_path,
        (0, HEALTHY),
        (300, DOWN),
        (600, {}),
        RtcExporterDown=[silent(0, 344), fires(345 + LAG, 3500, labels)],
    )

    assert "" == complained


def test_a_pod_that_replaces_another_is_no_dead_exporter(tmp_path):
    """
    With or without a minute in which both are there.
    """
    new = replace(HEALTHY, started=300.0)
    complained = run(
        tmp_path,
        (0, {"a": HEALTHY}),
        (300, {"a": HEALTHY, "b": new}),
        (360, {"b": new}),
        (600, {}),
        (620, {"c": replace(HEALTHY, started=610.0)}),
        RtcExporterDown=[silent(0, 900)],
        RtcRoomUnknown=[silent(0, 900)],
        RtcRoomUsersHalved=[silent(0, 900)],
        RtcSourceUsersHalved=[silent(0, 900)],
    )

    assert "" == complained


def test_an_alert_on_a_threshold_knows_no_instance_when_two_publish_at_once(tmp_path):
    """
    A graceful overlap: the sums of rooms are not doubled, and the room is above its threshold once.
    """
    many = source_of(FULL, "im", dark=60)
    complained = run(
        tmp_path,
        (0, {"a": many, "b": many}),
        RtcRoomAboveThreshold=[fires(60 + LAG, 600)],
        RtcManyRoomsUnknown=[silent(0, 600)],
    )

    assert "" == complained
