"""
A cluster on the status page: its replicas, and sources that another one polls.
"""

from __future__ import annotations

from exporter.model import FailureKind
from exporter.states import SourceState
from tests.web.cluster import HERE, OTHER, cluster
from tests.web.page.html import Html
from tests.web.page.pages import items, page, said, text
from tests.web.site import Site


def tile(html: Html) -> str:
    """
    The tile of the replicas.
    """
    return text(html.find("div", id="cluster-tile")[0])


def cards(html: Html) -> list[str]:
    """
    What is said of each replica.
    """
    return [text(card) for card in html.find("li", class_="found")]


async def test_without_a_cluster_the_page_says_nothing_of_one(site: Site) -> None:
    """
    No tile, no owner, no link.
    """
    site.watch("live", ["a"])
    site.read("live", {"a": 1})

    html = await page(site)

    assert [] == html.find("div", id="cluster-tile") + html.find("h3", id="cluster")
    assert not [row for row in html.rows("sources") if "held" in row or "elsewhere" in row]
    assert "cluster as JSON" not in (await site.text("/"))


async def test_replicas_and_what_they_hold(site: Site) -> None:
    """
    How many are alive, what this one holds, and when it last heard of each other.
    """
    site.cluster = cluster({"live": HERE, "chat": OTHER, "im": OTHER})

    html = await page(site)

    assert "Replicas 2 this one holds 1 of 3 budgets" == tile(html)
    assert [
        "exporter-0 this replica Holds 1 budget",
        "exporter-1 10.0.0.2:9877 Holds 2 budgets Heard 0.2 s ago",
    ] == cards(html)


async def test_a_source_that_another_replica_polls_is_no_problem(site: Site) -> None:
    """
    Its rooms are not unknown, and its silence here is no failure: the other replica's page tells how it is.
    """
    site.watch("live", ["a"])
    site.read("live", {"a": 7})
    site.watch("chat", []).state = SourceState.CIRCUIT_OPEN
    site.fail("chat", FailureKind.TRANSIENT)
    site.cluster = cluster({"live": HERE, "chat": OTHER})
    await site.server.sample()
    site.pass_time(9)
    await site.server.sample()

    html = await page(site)

    live, chat = html.rows("sources")
    assert (
        "All is well 1 room known · no room has a threshold · 1 source answering · 1 source polled by other replicas"
        == (said(html))
    )
    assert [] == items(html)
    assert live.startswith("live zego_rtc ok held here 7 1 fresh")
    assert chat.startswith("chat zego_rtc elsewhere at exporter-1 not here shown there")
    assert "Sources answering 1 of 1 1 elsewhere" in text(html.find("section", id="overview")[0])


async def test_how_often_another_replica_reads_is_not_known_here(site: Site) -> None:
    """
    A source that was polled here until a while ago shows neither the gap since then, nor that nobody calls.
    """
    chat = site.watch("chat", ["a"])
    for _ in range(2):
        site.read("chat", {"a": 7})
        await site.server.sample()
        site.pass_time(700)
    chat.polled = lambda: False
    site.cluster = cluster({"chat": OTHER})

    html = await page(site)

    assert "wanted 10 s limit 10" in html.rows("sources")[0]


async def test_a_replica_without_budgets_is_well(site: Site) -> None:
    """
    A standby that has nothing to do does not complain that it watches no rooms.
    """
    site.watch("live", [])
    site.cluster = cluster({"live": OTHER})

    assert said(await page(site)).startswith("All is well")


async def test_nobody_polls_a_source(site: Site) -> None:
    """
    While a lease ends that is expected; after a minute the source counts as down, with a runbook.
    """
    site.watch("live", ["a"]).polled = lambda: False
    site.cluster = cluster({"live": None})
    await site.server.sample()
    before = await page(site)
    site.pass_time(60)

    html = await page(site)

    assert "1 of 1 source not heard of yet" in said(before)
    assert "1 of 1 source down" in said(html)
    assert "1 held by nobody" in tile(html)
    assert items(html)[0].startswith("down 1 min live zego_rtc, not polled No replica may poll it")
    assert "docs/runbooks#rtcbudgetorphaned" in {each.attributes.get("href") for each in html.find("a")}


async def test_redis_does_not_answer(site: Site) -> None:
    """
    A warning while the lease lasts, and bad when nothing is held any more; why, and what follows.
    """
    site.watch("live", ["a"])
    site.read("live", {"a": 1})
    site.cluster = cluster({"live": HERE}, connected=False, error="no answer within 1.5 s")
    held = await page(site)
    site.cluster = cluster({"live": HERE}, connected=False, error="no answer within 1.5 s", until=-0.1)

    html = await page(site)

    assert said(held).startswith("not connected to Redis")
    assert "No answer within 1.5 s. It goes on until its lease of 5 s ends" in items(held)[0]
    assert ["level-warning"] == html_level(held)
    assert ["level-bad"] == html_level(html)
    assert "It makes no calls until it is connected again" in items(html)[0]
    assert "Replicas 2 this one holds 0 of 1 budget not connected 1 held by nobody" == tile(html)


def html_level(html: Html) -> list[str]:
    """
    How bad the verdict is.
    """
    return [name for name in html.find("section", id="verdict")[0].classes if name.startswith("level-")]


async def test_replicas_with_different_configs(site: Site) -> None:
    """
    During a rollout that is expected, so it is a warning; a replica that is gone does not count.
    """
    site.watch("live", ["a"])
    site.read("live", {"a": 1})
    site.cluster = cluster({"live": HERE}, configs=("0123abcd", "ffff0000"))
    alive = await page(site)
    site.cluster = cluster({"live": HERE}, configs=("0123abcd", "ffff0000"), silent=9)

    html = await page(site)

    assert said(alive).startswith("replicas with different configs")
    assert "exporter-1 has another config than exporter-0." in items(alive)[0]
    assert said(html).startswith("All is well")
    assert "Replicas 1 of 2 this one holds 1 of 1 budget" == tile(html)
    assert "Silent for 9 s" in cards(html)[1]


async def test_a_replica_that_is_refused(site: Site) -> None:
    """
    Two replicas of one name: the second one polls nothing, and says why.
    """
    site.cluster = cluster({"live": OTHER}, refused="another replica has the name exporter-0")

    html = await page(site)

    assert said(html).startswith("this replica takes no budgets")
    assert "nother replica has the name exporter-0." in items(html)[0]


async def test_a_budget_that_nobody_can_take(site: Site) -> None:
    """
    A replica that holds some budgets and cannot take another one does not seem to hold none.
    """
    site.cluster = cluster({"live": HERE}, refused="another version has written who holds b1")

    html = await page(site)

    assert said(html).startswith("this replica does not take every budget")


async def test_who_polls_a_room(site: Site) -> None:
    """
    The view of a room names the replica; of a room that is not shown here it says where to look.
    """
    site.watch("live", ["a"])
    site.read("live", {"a": 1})
    site.cluster = cluster({"live": HERE})
    here = await site.text("/rooms/live/a")
    site.cluster = cluster({"live": OTHER})

    html = await page(site, "/rooms/live/b", status=404)

    assert "<bdi>exporter-0</bdi> (this one)" in here
    assert "This room is not watched by live here Replica exporter-1 polls live and shows its rooms." in said(html)
