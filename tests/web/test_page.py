"""
The status page as HTML; what a browser makes of it is tested in ``tests/e2e``.
"""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model import FailureKind, Reading, Room, Thresholds
from exporter.states import SourceState
from tests.web.html import Html
from tests.web.site import Budget, Clock, Site


async def page(site: Site, path: str = "/", status: int = 200) -> Html:
    """
    The parsed page.
    """
    response, body = await site.get(path)
    assert (status, "text/html; charset=utf-8") == (response.status, response.headers["Content-Type"])
    return Html(body.decode())


async def test_nothing_configured(site: Site) -> None:
    """
    An exporter without sources says so.
    """
    html = await page(site)

    assert ["There are no sources in the config."] == html.rows("sources")
    assert "No sources are configured" in html.find("section", id="overview")[0].text
    assert "No rooms are watched yet." in html.find("div", id="room-list")[0].text
    assert "Live rooms" == html.find("title")[0].text.strip()


async def test_totals(site: Site) -> None:
    """
    Users now, rooms watched and sources that are ok, as numbers that a script can read too.
    """
    site.watch("live", ["a", "b", "c"])
    site.watch("chat", ["x"], api="zego_zim")
    site.read("live", {"a": 1_200, "b": 34})

    html = await page(site)

    def total(name: str) -> tuple[str | None, str]:
        (data,) = html.find("data", id=name)
        return data.attributes["value"], data.text

    assert ("1234", "1,234") == total("users-now")
    assert ("4", "4") == total("rooms-watched")
    assert ("1", "1") == total("sources-ok")
    assert "1,234 users · Live rooms" == html.find("title")[0].text.strip()


async def test_unknown_is_said_and_not_shown_as_zero(site: Site) -> None:
    """
    Before the first reading there is no number of users anywhere.
    """
    site.watch("live", ["a"])

    html = await page(site)

    assert [] == html.find("data", id="users-now")
    assert ["live zego_rtc waiting unknown 1 unknown wanted 10 s limit 10 none"] == html.rows("sources")
    assert ["a live unknown none unknown –"] == html.rows("rooms")


async def test_a_source_that_is_well(site: Site) -> None:
    """
    State, users, rooms by state, achieved and wanted interval, calls lately against the limit.
    """
    source = site.watch("live", ["a", "b", "c"])
    budget = site.telemetry.budgets["live"]
    assert isinstance(budget, Budget)
    source.gaps([10.2], site.now)
    for calls in (0, 20):
        budget.calls = calls
        await site.server.sample()
        site.pass_time(5)
    site.read("live", {"a": 1_200, "b": 34})
    source.table.fail("b")

    html = await page(site)

    assert ["live zego_rtc ok 1,234 1 fresh, 1 held, 1 unknown 10 s wanted 10 s 2 of 10 none"] == html.rows("sources")
    (bar,) = html.find("rect", class_="filled")
    assert "20.0%" == bar.attributes["width"]
    assert "Everything is as it should be" in html.find("section", id="overview")[0].text


async def test_a_shared_budget(site: Site) -> None:
    """
    Where several sources draw on one limit, none of them can have it all: each row says so.
    """
    for source in ("live", "chat", "alone"):
        site.watch(source, ["a"])
    site.telemetry.sources["chat"].budget = "live"

    rows = (await page(site)).rows("sources")

    shared = " limit 10 budget live, shared by 2 sources none"
    assert [shared, shared, " limit 10 none"] == [row.partition("wanted 10 s")[2] for row in rows]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (SourceState.CIRCUIT_OPEN, "one trial call at a time"),
        (SourceState.UNAUTHORIZED, "check the credentials"),
        (SourceState.MISCONFIGURED, "refuses the app or the service"),
    ],
)
async def test_a_source_in_trouble(site: Site, state: SourceState, words: str) -> None:
    """
    What is wrong stands above everything else, in words, with the last failure and its age in the table.
    """
    site.watch("fine", ["x"])
    site.read("fine", {"x": 1})
    site.watch("live", ["a"]).state = state
    site.fail("live", FailureKind.UNAUTHORIZED, ["a"], "the signature is not valid")
    site.pass_time(5)

    html = await page(site)

    (trouble,) = [item for item in html.find("li", class_="level-bad") if "section#overview" in item.path]
    assert trouble.text.startswith("live ")
    assert words in trouble.text
    assert f"{str(state).replace('_', ' ')} unknown" in html.rows("sources")[1]
    assert html.rows("sources")[1].endswith("unauthorized 5 s ago the signature is not valid (4711)")
    assert "1 source in trouble" in html.find("title")[0].text


async def test_some_of_many_bad_rooms_files_are_named(site: Site) -> None:
    """
    When a folder of thousands of files cannot be read, the page stays a page.
    """
    site.telemetry.rooms_files = {f"rooms/{number:04}.yml": False for number in range(5_000)}

    html = await page(site)

    *named, rest = [item.text for item in html.find("li") if "rooms file" in item.text]
    assert [f"rooms/{number:04}.yml" for number in range(10)] == [text.split()[4] for text in named]
    assert "Configuration Neither could 4990 more rooms files." == rest


async def test_everything_else_that_may_be_wrong(site: Site) -> None:
    """
    A slowed budget, a source that falls behind, clocks that differ, a config and a rooms file that could not be read.
    """
    source = site.watch("live", ["a"])
    site.read("live", {"a": 1})
    budget = site.telemetry.budgets["live"]
    assert isinstance(budget, Budget)
    budget.pace = 5.0
    source.gaps([14.0], site.now)
    source.clock = Clock(skew=903.0, shift=903.0)
    site.telemetry.config_loaded(1.0)
    site.telemetry.config_refused()
    site.telemetry.rooms_files = {"rooms/good.yml": True, "rooms/<bad>.yml": False}

    html = await page(site)

    config, file, trouble = [item.text for item in html.find("li") if "section#overview" in item.path][-3:]
    assert "the config of before is in use" in config
    assert "The rooms file rooms/<bad>.yml could not be read; its list of before is in use." in file
    assert (
        "live Slowed down to 5 calls per second, since the vendor said that it was too fast. "
        "Its rooms are read every 14 s instead of every 10 s. "
        "Our clock is 15 min 3 s ahead of the vendor's. Stamping calls with the vendor's time."
    ) == trouble


async def test_the_last_tenth_of_a_budget_is_no_news(site: Site) -> None:
    """
    After a rejection the pace stays at nine tenths for a while: shown, but nothing to look at.
    """
    site.watch("live", ["a"])
    site.read("live", {"a": 1})
    budget = site.telemetry.budgets["live"]
    assert isinstance(budget, Budget)
    budget.pace = 9.0

    html = await page(site)

    assert ["live zego_rtc ok 1 1 fresh wanted 10 s limit 10, allowed now 9 none"] == html.rows("sources")
    assert "Everything is as it should be" in html.find("section", id="overview")[0].text


async def test_a_source_without_success(site: Site) -> None:
    """
    A source that is ok by its state but has not answered for two intervals does not count as ok.
    """
    site.watch("live", ["a"])
    site.read("live", {"a": 1})
    site.pass_time(25)

    html = await page(site)

    assert "0" == html.find("data", id="sources-ok")[0].text
    assert "No call succeeded for 25 s." in html.find("section", id="overview")[0].text


async def test_recent_failures(site: Site) -> None:
    """
    The last failure is in sight, those before it can be unfolded, newest first, with the rooms that they hit.
    """
    site.watch("live", ["a"])
    for index in range(12):
        site.fail("live", FailureKind.TRANSIENT, [f"room {index}"], f"failure {index}")
        site.pass_time(1)

    html = await page(site)

    items = [item.text for item in html.find("li") if "section#sources" in item.path]
    assert [f"room {index}" in item for index, item in zip(range(10, 3, -1), items, strict=True)] == [True] * 7
    assert "transient failure 2 s ago: failure 10 (4711; room 10)" == items[0]


async def test_rooms_and_their_thresholds(site: Site) -> None:
    """
    The fullest first; users against warning and critical, and the word for what is exceeded.
    """
    limits = Thresholds(warning=800, critical=950)
    watched = [Room(name, thresholds=limits) for name in ("calm", "full", "over", "silent")]
    site.watch("live", [*watched, Room("free"), Room("party", (("event", "launch"),), Thresholds(critical=50))])
    site.read("live", {"calm": 800, "full": 801, "over": 1_900, "free": 5, "party": 50})
    site.pass_time(4)

    html = await page(site)

    assert [
        "over live 1,900 above critical 800 / 950 fresh 4 s",
        "full live 801 above warning 800 / 950 fresh 4 s",
        "calm live 800 800 / 950 fresh 4 s",
        "party event=launch live 50 50 fresh 4 s",
        "free live 5 none fresh 4 s",
        "silent live unknown 800 / 950 unknown –",
    ] == html.rows("rooms")
    filled = [bar.attributes["width"] for bar in html.find("rect", class_="filled") if "div#room-list" in bar.path]
    assert ["100.0%", "67.45%", "67.37%", "80.0%"] == filled


async def test_all_states_of_rooms(site: Site) -> None:
    """
    Each state has its word in the table, and the legend explains it.
    """
    source = site.watch("im", ["fresh", "held", "missing", "refused", "unknown"], api="tencent_im")
    site.read("im", {"fresh": 1, "held": 2, "missing": Reading(0, exists=False, missing=True)})
    source.table.fail("held")
    source.table.refuse("refused")

    html = await page(site, "/?sort=room")

    states = ["fresh", "held", "missing", "refused", "unknown"]
    badges = [badge.text for badge in html.find("span", class_="badge") if "div#room-list" in badge.path]
    assert states == badges
    assert set(states) == {name.text for name in html.find("dt")}


async def test_searching_without_javascript(site: Site) -> None:
    """
    The form is a plain GET; the page that comes shows the matches and keeps what was asked for.
    """
    site.watch("live", ["Lobby 1", "lobby 2", "stage"])
    site.watch("chat", ["lobby"])
    site.read("live", {"lobby 2": 5})

    html = await page(site, "/?q=LOBBY&source=live&state=unknown&sort=room&utm=1")

    assert ["Lobby 1 live unknown none unknown –"] == html.rows("rooms")
    assert "LOBBY" == html.find("input", name="q")[0].attributes["value"]
    chosen = [
        option.attributes.get("value", option.text) for option in html.find("option") if "selected" in option.attributes
    ]
    assert ["live", "unknown", "room"] == chosen


async def test_paging_without_javascript(site: Site) -> None:
    """
    Links lead on and back through all rooms, and keep the search.
    """
    site.watch("live", [f"room {index:03d}" for index in range(120)] + ["other"])
    seen, positions = [], []
    path = "/?q=room&sort=room"
    html = Html("")
    while path:
        html = await page(site, path)
        seen += [row.partition(" live")[0] for row in html.rows("rooms")]
        positions.append(html.find("p", class_="position")[-1].text)
        onward = html.find("a", rel="next")
        path = f"/{onward[0].attributes['href']}" if onward else ""
    back = await page(site, f"/{html.find('a', rel='prev')[0].attributes['href']}")
    first = [link for link in html.find("a") if link.text == "First"]

    assert [f"room {index:03d}" for index in range(120)] == seen
    assert ["1 to 50 of 120 rooms", "51 to 100 of 120 rooms", "101 to 120 of 120 rooms"] == positions
    assert "51 to 100 of 120 rooms" == back.find("p", class_="position")[-1].text
    assert ["?q=room&sort=room#rooms"] == [link.attributes["href"] for link in first]


async def test_no_match(site: Site) -> None:
    """
    A search without matches says so and leaves the rest of the page alone.
    """
    site.watch("live", ["a"])

    html = await page(site, "/?q=zzz")

    assert "No room matches." in html.find("div", id="room-list")[0].text
    assert 1 == len(html.rows("sources"))


@pytest.mark.parametrize("query", ["source=gone", "state=sad", "sort=age", "after=x", "after=x&before=y"])
async def test_a_bad_query_is_told_on_the_page(site: Site, query: str) -> None:
    """
    A query that cannot be answered is a 400 that still shows the sources.
    """
    site.watch("live", ["a"])

    html = await page(site, f"/?{query}", status=400)

    assert "; accepted: " in html.find("p", id="matching")[0].text
    assert 1 == len(html.rows("sources"))


async def test_it_needs_nothing_from_elsewhere(site: Site) -> None:
    """
    Every resource comes from the exporter itself, by a relative address: the page works behind a proxy's prefix too.
    """
    site.watch("live", ["a"])

    html = await page(site)

    addresses = [element.attributes.get(name) for element in html.elements for name in ("href", "src", "action")]
    for address in filter(None, addresses):
        assert not address.startswith(("/", "http:", "https:", "data:"))
        if not address.startswith(("#", "?")):
            response, _ = await site.get(f"/{address}")
            assert 200 == response.status


async def test_it_can_be_read_by_everyone(site: Site) -> None:
    """
    A language, a title, a way past the header, captions, headers with a scope, labels for every field.
    """
    site.watch("live", ["a"])

    html = await page(site)

    assert "en" == html.find("html")[0].attributes["lang"]
    assert "#overview" == html.find("a", class_="skip")[0].attributes["href"]
    assert len(html.find("table")) == len(html.find("caption")) == 2
    assert all(header.attributes.get("scope") in ("col", "row") for header in html.find("th"))
    fields = [*html.find("input"), *html.find("select")]
    assert {field.attributes["id"] for field in fields} == {label.attributes["for"] for label in html.find("label")}
    assert ["status"] == [element.attributes["role"] for element in html.find("p", id="announcement")]


HOSTILE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        "'\"><img src=x onerror=alert(1)>",
        "{{ 7 * 7 }}{% raw %}",
        "--><!--",
        "</bdi></th></table>",
        "&lt;b&gt;",
        "\u202egpj.exe",
        "javascript:alert(1)",
        "%3Cb%3E",
        "  leading and trailing  ",
    ]
)


def served(rooms: list[str], source: str, label: str) -> Html:
    """
    The page of a site whose every name is somebody's choice.
    """

    async def get() -> Html:
        async with Site() as site:
            site.watch(source, [Room(room, (("label", label),)) for room in rooms])
            site.read(source, dict.fromkeys(rooms, 1))
            site.fail(source, FailureKind.REFUSED, rooms, label)
            site.fail(source, FailureKind.REFUSED, rooms, label)
            return await page(site, "/?sort=room")

    return asyncio.run(get())


@settings(max_examples=40, deadline=None)
@given(rooms=st.sets(HOSTILE, min_size=1, max_size=3), source=HOSTILE, label=HOSTILE)
def test_names_are_text_and_nothing_else(rooms: set[str], source: str, label: str) -> None:
    """
    Whatever rooms, sources and labels are called, the page has the same elements, and shows the names as they are.
    """
    html = served(sorted(rooms), source, label)
    harmless = served([f"r{index}" for index in range(len(rooms))], "source", "label")

    assert [element.tag for element in harmless.elements] == [element.tag for element in html.elements]
    assert [set(element.attributes) for element in harmless.elements] == [set(of.attributes) for of in html.elements]
    assert sorted(rooms) == [room.text for room in html.find("bdi", class_="id")]


async def test_a_hundred_thousand_rooms(site: Site) -> None:
    """
    With 100,000 rooms the page takes less than 100 ms of work, and no more than 10 ms of it at a time.
    """
    for source in ("a", "b", "c", "d", "e"):
        rooms = [f"room-{index:05d}" for index in range(20_000)]
        site.watch(source, rooms)
        site.read(source, {room: index * 7919 % 1_000 for index, room in enumerate(rooms)})
    html = await page(site)

    works, holds = [], []
    for _ in range(5):
        asked, begun = asyncio.create_task(site.get("/")), time.thread_time()
        longest = 0.0
        while not asked.done():
            before = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)
        works.append(time.thread_time() - begun)
        holds.append(longest)

    assert 50 == len(html.rows("rooms"))
    assert all(" 999 " in row for row in html.rows("rooms"))
    assert "1 to 50 of 100,000 rooms" == html.find("p", class_="position")[-1].text
    assert 0.100 > min(works)
    assert 0.010 > min(holds)
