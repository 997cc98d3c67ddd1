"""
Sources on the status page: well, in trouble, and many of them.
"""

from __future__ import annotations

import pytest

from exporter.model import FailureKind, Room
from exporter.states import SourceState
from tests.web.page.pages import items, limited, link, page, said, text
from tests.web.site import Budget, Clock, Site


async def test_a_source_that_is_well(site: Site) -> None:
    """
    State, users, rooms by state, achieved and wanted interval, calls lately against the limit: one line.
    """
    source = site.watch("live", ["a", "b"])
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

    assert ["live zego_rtc ok 1,234 1 fresh, 1 held 10 s wanted 10 s 2 of 10 none"] == html.rows("sources")
    (bar,) = html.find("rect", class_="filled")
    assert "20.0%" == bar.attributes["width"]
    assert said(html).startswith("All is well 2 rooms known")


async def test_a_shared_budget(site: Site) -> None:
    """
    Where several sources draw on one limit, none of them can have it all: each row says so.
    """
    for source in ("live", "chat", "alone"):
        site.watch(source, ["a"])
    site.telemetry.sources["chat"].budget = "live"

    rows = (await page(site)).rows("sources")

    shared = " limit 10, shared by 2 sources none"
    assert [shared, shared, " limit 10 none"] == [row.partition("wanted 10 s")[2] for row in rows]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (SourceState.CIRCUIT_OPEN, "one trial call at a time"),
        (SourceState.UNAUTHORIZED, "check the credentials"),
        (SourceState.MISCONFIGURED, "refuses the app or the service"),
    ],
)
async def test_a_source_that_is_down(site: Site, state: SourceState, words: str) -> None:
    """
    It stands before every room: for how long, why in the vendor's words, how many rooms, and what to do.
    """
    site.watch("fine", limited("x"))
    site.watch("live", ["a", "b"]).state = state
    site.read("live", {"a": 1})
    site.fail("live", FailureKind.UNAUTHORIZED, ["a"], "the signature is not valid")
    site.pass_time(95)
    site.read("fine", {"x": 999})

    html = await page(site)

    source, room = items(html)
    status = str(state).replace("_", " ")
    assert source.startswith(f"down 1 min 35 s live zego_rtc, {status} ")
    assert "The signature is not valid (4711) all 2 rooms unknown What to do about live" in source
    assert room.startswith("2.5 × critical x fine")
    assert f"live zego_rtc {status} for 1 min 35 s unknown 2 unknown not read" in html.rows("sources")[0]
    assert words in html.rows("sources")[0]
    assert said(html).startswith("1 room above critical, 1 of 2 sources down 2 of 3 rooms unknown")
    assert "1 critical, 1 source down · Live rooms" == html.find("title")[0].text.strip()
    assert "?source=live&state=unknown#rooms" == link(html, "all 2 rooms unknown")


async def test_numbers_agree(site: Site) -> None:
    """
    Verdict, figures, list of what needs attention and table of sources count the same sources.
    """
    for name in ("a", "b", "c", "d", "e"):
        site.watch(name, ["x"])
        site.read(name, {"x": 1})
    for name in ("c", "d"):
        site.telemetry.sources[name].state = SourceState.CIRCUIT_OPEN
    site.telemetry.sources["e"].clock = Clock(skew=903.0, shift=0.0)

    html = await page(site)

    assert "2 of 5 sources down 1 of 5 sources with a problem" == said(html)
    assert "Sources answering 3 of 5 2 down 1 with a problem" in text(html.find("section", id="overview")[0])
    assert ["down", "down", "clock"] == [item.split()[0] for item in items(html)]
    assert ["c", "d", "e", "a", "b"] == [row.split()[0] for row in html.rows("sources")]


async def test_a_source_without_rooms(site: Site) -> None:
    """
    A typo in a rooms file's pattern, or the only file gone, leaves nothing to poll: that is a problem, not a start.
    """
    site.watch("typo", [])
    site.watch("gone", ["a", "b"])
    await site.server.sample()
    site.table["gone"].forget(["a", "b"])
    site.pass_time(60)

    html = await page(site)

    assert said(html).startswith("no room is watched, 2 of 2 sources with a problem")
    assert [
        "no rooms 1 min typo zego_rtc It watches no rooms: neither the config nor a rooms file lists any.",
        "no rooms 0 s gone zego_rtc It watches no rooms any more; there were 2.",
    ] == items(html)


async def test_many_sources_in_trouble(site: Site) -> None:
    """
    Four are shown, those with the most rooms, so that rooms come into sight; the others are counted.
    """
    for index in range(7):
        site.watch(f"s{index}", [f"r{room}" for room in range(index + 1)]).state = SourceState.CIRCUIT_OPEN

    html = await page(site)

    assert ["s6", "s5", "s4", "s3"] == [item.split(" zego_rtc")[0].split()[-1] for item in items(html)[:4]]
    assert "3 more sources with a problem" == items(html)[4]
    assert "7 of 7 sources down" in said(html)


async def test_healthy_sources_take_little_place(site: Site) -> None:
    """
    With dozens of sources, those that are well are folded behind the first dozen, and none in trouble is.
    """
    for index in range(20):
        site.watch(f"s{index:02d}", ["x"])
        site.read(f"s{index:02d}", {"x": 1})
    site.telemetry.sources["s19"].state = SourceState.CIRCUIT_OPEN

    html = await page(site)

    folded = [
        row
        for row in html.find("tr")
        if any(of.startswith("details") for of in row.path) and row.attributes.get("data-key")
    ]
    assert "8 more sources, all of them well" in [text(summary) for summary in html.find("summary")]
    assert [f"s{index:02d}" for index in range(11, 19)] == [row.attributes["data-key"] for row in folded]


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

    assert ["live zego_rtc ok 1 1 fresh wanted 10 s limit 10, allowed 9 none"] == html.rows("sources")
    assert said(html).startswith("All is well")


async def test_a_source_without_success(site: Site) -> None:
    """
    A source that is ok by its state but has not answered for two intervals does not count as ok.
    """
    site.watch("live", ["a"])
    site.read("live", {"a": 1})
    site.pass_time(25)

    html = await page(site)

    assert "0" == html.find("data", id="sources-answering")[0].text
    assert items(html)[0].startswith("down 25 s live zego_rtc, no answer No call has succeeded for 25 s.")


async def test_rooms_that_are_never_read(site: Site) -> None:
    """
    A new room waits for its first reading; one that waits longer than a reading may be old is called unknown.
    """
    site.watch("live", ["a", "b"])
    site.read("live", {"a": 1})
    await site.server.sample()
    site.pass_time(30)
    site.read("live", {"a": 1})
    early = await page(site)
    site.pass_time(1)
    late = await page(site)

    assert said(early).startswith("1 of 2 rooms not read yet")
    assert said(late).startswith("1 of 2 rooms unknown, 1 of 1 source with a problem")
    assert items(late)[0].startswith("rooms unknown 31 s live zego_rtc 1 of its 2 rooms is unknown.")


async def test_rooms_that_come_and_go_all_the_time(site: Site) -> None:
    """
    Where there always is a room that was just added, each of them has its time.
    """
    site.watch("live", ["r0"])
    for index in range(20):
        site.table["live"].watch([Room(f"r{index + 1}")])
        site.read("live", {f"r{room}": 1 for room in range(index + 1)})
        site.pass_time(5)
        await site.server.sample()

    assert "1 of 21 rooms not read yet" == said(await page(site))


async def test_recent_failures(site: Site) -> None:
    """
    The last failure is in sight, and all of them can be unfolded, newest first, with the rooms that they hit.
    """
    site.watch("live", ["a"])
    for index in range(12):
        site.fail("live", FailureKind.TRANSIENT, [f"room {index}"], f"failure {index}")
        site.pass_time(1)

    html = await page(site)

    told = [text(item) for item in html.find("li") if "section#sources" in item.path]
    assert "live: transient failure 1 s ago" in [text(summary) for summary in html.find("summary")]
    assert [f"room {index}" for index in range(11, 3, -1)] == [item.rpartition("; ")[2].rstrip(")") for item in told]
    assert "1 s ago transient failure: failure 11 (4711; room 11)" == told[0]


async def test_a_source_that_another_replica_polls(site: Site) -> None:
    """
    It has a row that says so, and counts neither as down nor as read too late; its rooms are not here.
    """
    site.watch("live", ["a"])
    site.read("live", {"a": 3})
    source = site.watch("other", ["b"])
    source.polled, source.hidden = lambda: False, True
    site.table.hide({"other"})
    site.pass_time(5)

    html = await page(site)
    rows = html.rows("sources")

    assert "All is well 1 room known · no room has a threshold" in said(html)
    assert said(html).endswith("1 source answering · 1 source polled by other replicas")
    assert "other zego_rtc elsewhere not here shown there" in rows[1]
    assert "Sources answering 1 of 1" in text(html.find("section", id="overview")[0])


async def test_a_standby_is_well(site: Site) -> None:
    """
    A replica that polls nothing now has nothing to warn of.
    """
    source = site.watch("other", ["b"])
    source.polled, source.hidden = lambda: False, True
    site.table.hide({"other"})
    site.pass_time(100)

    assert said(await page(site)).startswith("All is well")
