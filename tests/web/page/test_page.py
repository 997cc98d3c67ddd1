"""
The status page as HTML; what a browser makes of it is tested in ``tests/e2e``.
"""

from __future__ import annotations

import asyncio
import gc
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model import FailureKind, Reading, Room, Thresholds
from exporter.web import connections
from tests.web.page.html import Html
from tests.web.page.pages import matching, page, said, text
from tests.web.site import Site


async def test_rooms_and_their_thresholds(site: Site) -> None:
    """
    Those farthest above their threshold first; users against warning and critical, and the word for what is exceeded.
    """
    limits = Thresholds(warning=800, critical=950)
    watched = [Room(name, thresholds=limits) for name in ("calm", "full", "over", "silent")]
    site.watch("live", [*watched, Room("free"), Room("party", (("event", "launch"),), Thresholds(critical=50))])
    site.read("live", {"calm": 800, "full": 801, "over": 1_900, "free": 5, "party": 50})
    site.pass_time(4)

    html = await page(site)

    assert [
        "over live 1,900 2.0 × above critical 800 / 950 fresh 4 s",
        "party event=launch live 50 1.0 × 50 fresh 4 s",
        "full live 801 84 % above warning 800 / 950 fresh 4 s",
        "calm live 800 84 % 800 / 950 fresh 4 s",
        "free live 5 none fresh 4 s",
        "silent live unknown 800 / 950 unknown –",
    ] == html.rows("rooms")
    filled = [bar.attributes["width"] for bar in html.find("rect", class_="filled") if "div#room-list" in bar.path]
    assert ["100.0%", "80.0%", "67.45%", "67.37%"] == filled


async def test_all_states_of_rooms(site: Site) -> None:
    """
    Each state has its word in the table, and the legend explains it.
    """
    source = site.watch("im", ["fresh", "held", "missing", "refused", "unknown"], api="tencent_im")
    site.read("im", {"fresh": 1, "held": 2, "missing": Reading(0, exists=False, missing=True)})
    source.table.fail("held")
    source.table.refuse("refused")

    html = await page(site, "/?order=room")

    states = ["fresh", "held", "missing", "refused", "unknown"]
    badges = [badge.text for badge in html.find("span", class_="badge") if "div#room-list" in badge.path]
    assert states == badges
    assert set(states) == {text(name) for name in html.find("dt")}


async def test_searching_without_javascript(site: Site) -> None:
    """
    The form is a plain GET; the page that comes shows the matches and keeps what was asked for.
    """
    site.watch("live", ["Lobby 1", "lobby 2", "stage"])
    site.watch("chat", ["lobby"])
    site.read("live", {"lobby 2": 5})

    html = await page(site, "/?q=LOBBY&source=live&state=unknown&order=room&utm=1")

    assert ["Lobby 1 live unknown none unknown –"] == html.rows("rooms")
    assert "1 room unknown of live with “LOBBY” Show all rooms" == matching(html)
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
    path = "/?q=room&order=room"
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
    assert ["?q=room&order=room#rooms"] == [link.attributes["href"] for link in first]


async def test_no_match(site: Site) -> None:
    """
    A search without matches says so and leaves the rest of the page alone.
    """
    site.watch("live", ["a"])

    html = await page(site, "/?q=zzz")

    assert "No room matches." in html.find("div", id="room-list")[0].text
    assert 1 == len(html.rows("sources"))


@pytest.mark.parametrize("query", ["source=gone", "state=sad", "order=age", "above=all", "after=x", "after=x&before=y"])
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
    assert "#main" == html.find("a", class_="skip")[0].attributes["href"]
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
            return await page(site, "/?order=room")

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


async def test_a_hundred_thousand_rooms(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    With 100,000 rooms, a third of them above a threshold, each list takes less than 100 ms of work, and no more than
    10 ms of it at a time.
    """
    monkeypatch.setattr(connections, "_BURST", 1_000.0)  # who asks without a pause must wait
    for source in ("a", "b", "c", "d", "e"):
        rooms = [f"room-{index:05d}" for index in range(20_000)]
        labels = [(("event", f"launch {index}"),) for index in range(9)]
        site.watch(source, [Room(name, labels[index % 9], Thresholds(700, 950)) for index, name in enumerate(rooms)])
        site.read(source, {room: index * 7919 % 1_000 for index, room in enumerate(rooms)})
    await site.server.sample()
    lists = {
        "/": "100,000 rooms",
        "/?order=users": "100,000 rooms",
        "/?above=warning": "29,900 rooms above warning",
        "/?q=event%3Dlaunch%203": "11,110 rooms with “event=launch 3”",
        "/?state=unknown&order=room": "No room matches.",
    }
    for path, words in lists.items():
        html = await page(site, path)
        works, holds = [], []
        for _ in range(5):
            asked, begun = asyncio.create_task(site.get(path)), time.thread_time()
            longest = 0.0
            while not asked.done():
                before = time.thread_time()
                await asyncio.sleep(0)
                longest = max(longest, time.thread_time() - before)
            works.append(time.thread_time() - begun)
            holds.append(longest)

        assert matching(html).startswith(words)
        assert "29,900 rooms above a threshold in all" in said(html)
        assert 0.100 > min(works), path
        assert 0.010 > min(holds), path


async def test_values_of_a_page_do_not_wait_for_the_garbage_collector(site: Site) -> None:
    """
    They may be those of a thousand sources, and go when the page is sent.
    """
    site.watch("live", [f"room {number}" for number in range(100)])
    await page(site)
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            await site.get("/")

        assert 200 > gc.collect()
    finally:
        gc.enable()
