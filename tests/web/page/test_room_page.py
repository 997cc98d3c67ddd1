"""
The view of one room as HTML; what a browser makes of it is tested in ``tests/e2e``.
"""

from __future__ import annotations

import asyncio
import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics.selection import Arrangement
from exporter.model import FailureKind, Publish, Reading, Room, Thresholds
from exporter.states import SourceState, Why
from exporter.web.page.curves import COLLECTED_EVERY
from exporter.web.process import NamedBy, NextCall, Origin, OwnInterval, Turn
from tests.web.page.html import Html
from tests.web.page.pages import LIMITS, page, said, text
from tests.web.site import Site
from tests.web.test_api import fetch


def facts(html: Html) -> dict[str, str]:
    """
    What is known of the room, by name.
    """
    names = [text(element) for element in html.find("dt")]
    return dict(zip(names, [text(element) for element in html.find("dd")], strict=True))


def calls(html: Html) -> list[str]:
    """
    What the last calls said.
    """
    return [text(row) for row in html.find("tr") if "section#calls" in row.path][1:]


async def test_everything_about_a_room(site: Site) -> None:
    """
    Count against thresholds, how long above, rising or falling, state, age, next poll, why it is watched, labels.
    """
    room = Room("stage", (("event", "launch"),), LIMITS)
    site.watch("volc", [room], api="volcengine_rtc")
    site.next_call = NextCall(site.now + 53.0, Turn.REGULAR)
    site.origin = Origin("/etc/rooms/live.txt", 12)
    site.read("volc", {"stage": Reading(300)})
    await page(site, "/rooms/volc/stage")
    for users in (500, 2_520):
        site.pass_time(20)
        site.read("volc", {"stage": Reading(users, invisible_users=3, exists=True)})
        await site.server.sample()
    site.pass_time(4)

    html = await page(site, "/rooms/volc/stage")

    assert (
        "volc volcengine_rtc event=launch stage 2,520 users: 6.3 × its critical threshold of 400 "
        "Above critical for 24 s, ↗ rising (+2,220 in 40 s)"
    ) == said(html)
    assert {
        "Users": "2,520",
        "Thresholds": "warning 200, critical 400",
        "State": "fresh The last poll gave a reading.",
        "Last reading": "4 s ago, at 22:14:00 UTC",
        "Next poll": "in 9 s wanted every 10 s",
        "Watched because of": "/etc/rooms/live.txt:12",
        "Invisible users": "3",
        "Exists": "yes",
    } == facts(html)
    assert [
        "22:14:00 UTC 4 s ago 2,520 users",
        "22:13:40 UTC 24 s ago 500 users",
        "22:13:20 UTC 44 s ago 300 users",
    ] == calls(html)
    assert "6.3 × of threshold · stage · Live rooms" == text(html.find("title")[0])
    assert "../../static/icon-bad.svg" == html.find("link", id="icon")[0].attributes["href"]


async def test_the_curve_of_the_last_readings(site: Site) -> None:
    """
    A line with the thresholds that lie near it, told in words to whoever cannot see it.
    """
    site.watch("live", [Room("a", thresholds=Thresholds(warning=200, critical=5_000))])
    html = Html("")
    for users in (100, 250, 150):
        site.read("live", {"a": users})
        html = await page(site, "/rooms/live/a")
        site.pass_time(10)

    (chart,) = html.find("svg", class_="chart")
    assert "100 to 250 users in the last 20 s, 3 readings" == chart.attributes["aria-label"]
    assert ["100", "200", "warning 200"] == [text(mark) for mark in html.find("text")]
    (line,) = html.find("path", class_="line")
    assert 3 == len((line.attributes["d"] or "").replace("M", "L").split("L")[1:])


@pytest.mark.parametrize(
    ("thresholds", "offsets"),
    [
        (Thresholds(warning=390, critical=400), {"critical 400": "-5", "warning 390": "14"}),
        (Thresholds(warning=200, critical=400), {"critical 400": "-5", "warning 200": "-5"}),
        (Thresholds(warning=1, critical=2), {"critical 2": "-5", "warning 1": "-5"}),
    ],
)
async def test_label_of_a_threshold_keeps_clear_of_the_line_above(
    site: Site, thresholds: Thresholds, offsets: dict[str, str]
) -> None:
    """
    Where two thresholds are close, the label of the lower one stands below its line, unless the chart ends there.
    """
    site.watch("live", [Room("a", thresholds=thresholds)])
    html = Html("")
    for users in (200, 300):
        site.read("live", {"a": users})
        html = await page(site, "/rooms/live/a")
        site.pass_time(10)

    assert offsets == {text(mark): mark.attributes["dy"] for mark in html.find("text") if "tick" not in mark.classes}


async def test_the_curve_is_broken_where_nothing_was_known(site: Site) -> None:
    """
    No line is drawn across a time in which no reading was young enough to be published.
    """
    site.watch("live", ["a"])
    html = Html("")
    for seconds in (0, 10, 31, 10):
        site.pass_time(seconds)
        site.read("live", {"a": 5})
        html = await page(site, "/rooms/live/a")

    (line,) = html.find("path", class_="line")
    assert 2 == (line.attributes["d"] or "").count("M")


async def test_the_curve_of_readings_that_soon_are_stale(site: Site) -> None:
    """
    A source may let readings expire sooner than they are collected for curves: its curves have a line all the same.
    """
    site.watch("live", ["a"])
    site.table["live"].max_staleness = 3.0
    html = Html("")
    for _ in range(4):
        site.pass_time(COLLECTED_EVERY + 0.5)
        site.read("live", {"a": 5})
        html = await page(site, "/rooms/live/a")

    (line,) = html.find("path", class_="line")
    assert 1 == (line.attributes["d"] or "").count("M")


async def test_before_there_is_a_curve(site: Site) -> None:
    """
    A curve begins when somebody looks; until there are two readings, the page says why there is none.
    """
    site.watch("live", ["a"])
    site.read("live", {"a": 7})

    html = await page(site, "/rooms/live/a")

    assert "The curve begins with the second reading." in text(html.find("section", id="curve")[0])
    assert "live zego_rtc a 7 users" == said(html)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (NextCall(1_003.2, Turn.REGULAR), "in 3.2 s"),
        (NextCall(998.0, Turn.REGULAR), "due for 2 s, waiting for its turn"),
        (NextCall(None, Turn.REGULAR), "a call is under way"),
        (NextCall(1_000.5, Turn.RETRY), "in 0.5 s, since its last call failed"),
        (NextCall(1_100.0, Turn.ALONE), "in 1 min 40 s, alone, since the vendor refused it"),
        (NextCall(1_040.0, Turn.TRIAL), "its source is in trouble: one trial call in 40 s, for this room or another"),
        (NextCall(990.0, Turn.TRIAL), "its source is in trouble: one trial call now, for this room or another"),
    ],
)
async def test_when_it_is_polled_next(site: Site, call: NextCall, words: str) -> None:
    """
    In words, with the reason where it is not simply its turn.
    """
    site.watch("live", ["a"])
    site.next_call = call

    assert f"{words} wanted every 10 s" == facts(await page(site, "/rooms/live/a"))["Next poll"]


async def test_a_room_with_an_interval_of_its_own(site: Site) -> None:
    """
    The page tells it, and why it is as long as it is; the JSON API has it, too.
    """
    site.watch("live", ["a"])
    site.next_call = NextCall(1_040.0, Turn.REGULAR)
    site.own_interval = OwnInterval(47.0, Why.FAST)

    assert (
        "in 40 s wanted every 47 s, since its users change fast"
        == facts(await page(site, "/rooms/live/a"))["Next poll"]
    )
    assert 47.0 == (await fetch(site, "/api/v1/rooms"))["rooms"][0]["interval_seconds"]


async def test_what_is_not_known_is_left_out(site: Site) -> None:
    """
    Without word of the next poll and of the origin, nothing is made up.
    """
    site.watch("live", ["a"])

    assert {"Users", "Thresholds", "State", "Last reading"} == facts(await page(site, "/rooms/live/a")).keys()


async def test_a_count_of_the_list_is_told_as_one(site: Site) -> None:
    """
    It is no poll, and lacks admin users.
    """
    site.watch("live", ["a"])
    site.read("live", {"a": 7}, listed=True)

    html = await page(site, "/rooms/live/a")

    assert facts(html)["Last reading"].endswith("the count of the vendor's list, without admin users")


async def test_who_named_a_room_that_was_found(site: Site) -> None:
    """
    Every provider that does, and since when.
    """
    site.watch("live", ["a"])
    site.origin = Origin("http_sd", named=(NamedBy("http_sd", 1_699_999_940.0), NamedBy("callbacks", 1_699_999_970.0)))

    told = facts(await page(site, "/rooms/live/a"))

    assert "http_sd" == told["Watched because of"]
    assert "since 22:12:20 UTC" == told["Named by http_sd"]
    assert "since 22:12:50 UTC" == told["Named by callbacks"]


async def test_failed_calls_are_told_beside_those_that_succeeded(site: Site) -> None:
    """
    The newest first, with the vendor's reason; calls for other rooms do not matter here.
    """
    site.watch("live", ["a", "b"])
    site.read("live", {"a": 7})
    await page(site, "/rooms/live/a")
    site.pass_time(10)
    site.fail("live", FailureKind.TRANSIENT, ["a", "b"], "the vendor did not answer in time")
    site.fail("live", FailureKind.REFUSED, ["b"], "no such group")
    site.pass_time(5)

    told = calls(await page(site, "/rooms/live/a"))

    assert [
        "22:13:30 UTC 5 s ago transient failure: the vendor did not answer in time (4711)",
        "22:13:20 UTC 15 s ago 7 users",
    ] == told


@pytest.mark.parametrize(
    ("silent", "state", "level", "words"),
    [
        (0, SourceState.OK, "ok", "150 users: 38 % of its critical threshold of 400"),
        (
            31,
            SourceState.OK,
            "bad",
            "Unknown: nothing heard for 31 s Its source is down. No call has succeeded for 31 s.",
        ),
        (31, SourceState.UNAUTHORIZED, "bad", "Unknown: nothing heard for 31 s Its source is down. The vendor refuses"),
    ],
)
async def test_a_room_that_is_heard_of_and_one_that_is_not(
    site: Site, silent: float, state: SourceState, level: str, words: str
) -> None:
    """
    Unknown is never shown as 0, and the reason is the source's.
    """
    site.watch("live", [Room("a", thresholds=LIMITS)]).state = state
    site.read("live", {"a": 150})
    site.pass_time(silent)

    html = await page(site, "/rooms/live/a")

    assert said(html).startswith(f"live zego_rtc a {words}")
    assert f"../../static/icon-{level}.svg" == html.find("link", id="icon")[0].attributes["href"]
    assert ("unknown" if silent else "150") == facts(html)["Users"]


async def test_a_room_that_fell_silent_above_its_threshold(site: Site) -> None:
    """
    What was last known of it is said to be that, and no all-clear.
    """
    site.watch("live", [Room("a", thresholds=LIMITS), Room("b")])
    site.read("live", {"a": 640})
    site.pass_time(31)
    site.read("live", {"b": 1})

    html = await page(site, "/rooms/live/a")

    assert (
        "live zego_rtc a Unknown now; last known 640 users, 1.6 × its critical threshold of 400 "
        "Above critical for 31 s by its last reading; nothing has been heard for 31 s"
    ) in said(html)
    assert "../../static/icon-bad.svg" == html.find("link", id="icon")[0].attributes["href"]


async def test_other_rooms(site: Site) -> None:
    """
    One above warning, one that does not exist, one that is refused, one that waits for its first reading.
    """
    source = site.watch("im", [Room("w", thresholds=LIMITS), "m", "r", "n"], api="tencent_im")
    site.read("im", {"w": 300, "m": Reading(0, exists=False, missing=True)})
    source.table.refuse("r")

    assert "Above warning (200) for 0 s" in said(await page(site, "/rooms/im/w"))
    assert {
        "w": "im tencent_im w 300 users: 75 % of its critical threshold of 400",
        "m": "im tencent_im m The vendor says that there is no such room",
        "r": "im tencent_im r The vendor refuses this room",
        "n": "im tencent_im n Not read yet",
    } == {
        room: said(await page(site, f"/rooms/im/{room}")).partition(" Above")[0].partition(" Its")[0] for room in "wmrn"
    }


async def test_a_room_that_is_not_watched(site: Site) -> None:
    """
    It is not found, and the page says what may be the reason and how to look for it.
    """
    site.watch("live", ["a"])

    room = await page(site, "/rooms/live/stage", status=404)
    source = await page(site, "/rooms/gone/a%2Fb", status=404)

    assert said(room).startswith("stage This room is not watched by live Its id may be spelled differently")
    assert "There is no source of the name gone." in said(source)
    assert ["../../?q=a%2Fb#rooms"] == [of.attributes["href"] for of in source.find("a") if "Search" in of.text]


@pytest.mark.parametrize("room", ["a/b", "a?b#c", "..", "%2F", "+ +", "☃", "a//b", "%"])
async def test_any_room_has_an_address(site: Site, room: str) -> None:
    """
    Whatever characters its id has, the address that the list gives leads to the room, and so does its other form.
    """
    site.watch("li ve/1", [room])
    (address,) = [
        of.attributes["href"] for of in (await page(site)).find("a") if {"div#room-list", "th#"} <= {*of.path}
    ]

    for path in (address, f"rooms?source={quote('li ve/1', safe='')}&room={quote(room, safe='')}"):
        assert room == (await page(site, f"/{path}")).find("bdi", class_="id")[0].text


async def test_a_proxy_that_decodes_slashes(site: Site) -> None:
    """
    Some proxies turn ``%2F`` into a slash on the way; the room is found all the same.
    """
    site.watch("live", ["a/b"])

    assert "a/b" == (await page(site, "/rooms/live/a/b")).find("bdi", class_="id")[0].text


async def test_links_of_the_room(site: Site) -> None:
    """
    Everything that it needs lies two levels up, and so do the lists that it leads to.
    """
    site.watch("live", [Room("a", (("event", "launch"),), LIMITS)])
    site.read("live", {"a": 999})

    html = await page(site, "/rooms/live/a")

    addresses = [element.attributes.get(name) for element in html.elements for name in ("href", "src")]
    assert all(address.startswith(("../../", "#")) for address in filter(None, addresses))
    for address in filter(None, addresses):
        if address.startswith("../../"):
            response, _ = await site.get(f"/{address.removeprefix('../../')}")
            assert response.status in (200, 503)
    assert {"../../?q=event%3Dlaunch#rooms", "../../docs/runbooks#rtcroomabovethreshold"} <= {*addresses}


async def test_grafana_shows_the_same_room() -> None:
    """
    Where Grafana's address is known, the room's dashboard is one step away.
    """
    async with Site(grafana_url="https://grafana.example.org/") as site:
        site.watch("live", ["a/b"])
        room = await page(site, "/rooms/live/a%2Fb")
        status = await page(site, "/")

    assert "https://grafana.example.org/d/rtc-room?var-source=live&var-room=a%2Fb" in [
        of.attributes.get("href") for of in room.find("a", rel="noreferrer")
    ]
    assert ["https://grafana.example.org/d/rtc-occupancy"] == [
        of.attributes.get("href") for of in status.find("a", rel="noreferrer")
    ]


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30) | st.sampled_from(
    ["<script>alert(1)</script>", "'\"><img src=x onerror=alert(1)>", "{{ 7 * 7 }}", "</title></bdi>", "&lt;b&gt;"]
)


def served(room: str, source: str, label: str) -> Html:
    """
    The view of a room whose every name is somebody's choice.
    """

    async def get() -> Html:
        async with Site() as site:
            site.watch(source, [Room(room, (("label", label),), LIMITS)])
            site.origin = Origin(label)
            html = Html("")
            for users in (999, 998):
                site.read(source, {room: users})
                site.fail(source, FailureKind.TRANSIENT, [room], label)
                html = await page(site, f"/rooms?source={quote(source, safe='')}&room={quote(room, safe='')}")
                site.pass_time(1)
            return html

    return asyncio.run(get())


@settings(max_examples=30, deadline=None)
@given(room=NAMES, source=NAMES, label=NAMES)
def test_names_are_text_and_nothing_else(room: str, source: str, label: str) -> None:
    """
    Whatever room, source and label are called, the page has the same elements, and shows the names as they are.
    """
    html, harmless = served(room, source, label), served("room", "source", "label")

    assert [element.tag for element in harmless.elements] == [element.tag for element in html.elements]
    assert [set(element.attributes) for element in harmless.elements] == [set(of.attributes) for of in html.elements]
    assert room == html.find("bdi", class_="id")[0].text


async def test_a_room_among_a_hundred_thousand(site: Site) -> None:
    """
    The view of one room takes less than 10 ms of work, however many others there are.
    """
    rooms = [f"room-{index:05d}" for index in range(100_000)]
    site.watch("live", rooms)
    site.read("live", dict.fromkeys(rooms, 7))
    works = []
    for _ in range(5):
        before = time.thread_time()
        await site.get("/rooms/live/room-99999")
        works.append(time.thread_time() - before)

    assert 0.010 > min(works)


async def test_rooms_with_series_of_their_own_and_others(site: Site) -> None:
    """
    Where not all rooms are published, the page of a room says whether it is, and why; the source's row says how many.
    """
    source = site.watch("live", ["full", "small", "other"])
    for _ in source.table.arrange(Arrangement(Publish(top=1))):
        pass
    site.read("live", {"full": 812, "small": 3, "other": 4})

    full, small = [facts(await page(site, f"/rooms/live/{room}")) for room in ("full", "small")]
    (row,) = (await page(site)).rows("sources")

    assert "has series of its own It is among the fullest, or was within the last five minutes." == full["Series"]
    assert small["Series"].startswith("none, only counted Other rooms are fuller.")
    assert "3 fresh; 1 with series, 2 only counted" in row
