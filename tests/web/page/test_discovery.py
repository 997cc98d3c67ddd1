"""
Where rooms come from, on the status page.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.web.finding import CALLBACKS, HTTP_SD, VENDOR_LIST, WELL, finds
from tests.web.page.html import Html
from tests.web.page.pages import items, link, page, said, text
from tests.web.site import UNIX, Site


def found(html: Html) -> list[str]:
    """
    What is said of each source whose rooms find themselves.
    """
    return [text(each) for each in html.find("li", class_="found")]


async def test_each_provider_is_shown(site: Site) -> None:
    """
    Who names how many rooms, how old its list is against its interval, how the last refresh ended; candidates, and what
    was left out and why.
    """
    site.watch("live", ["a"])
    site.watch("fixed", ["a"])
    finds(site, "live")

    html = await page(site)

    expected = (
        "live zego_rtc"
        " http_sd names 24 rooms Read 4 s ago, wanted every 10 s Last time read completely"
        " The vendor's list names 30 rooms Read 20 s ago, wanted every 30 s Last time read completely"
        " Callbacks name 3 rooms The last came 6 s ago; 12 genuine, 2 refused since the start"
        " 33 of at most 1,000 rooms, 2 candidates among them, which no poll has confirmed yet, 1 about to go"
        " Left out 5 times by include and exclude"
        " Gone since the start: 7 (the vendor says that they do not exist)"
    )
    assert [expected] == found(html)


async def test_a_list_whose_counts_are_readings_says_so(site: Site) -> None:
    """
    They lack admin users.
    """
    site.watch("live", ["a"])
    finds(site, "live", providers=(replace(VENDOR_LIST, counts=True),))

    (said_of_live,) = found(await page(site))

    assert "Last time read completely Its counts are readings, without admin users 33 of at most" in said_of_live


async def test_without_discovery_nothing_is_said_of_it(site: Site) -> None:
    """
    A source whose rooms are listed in files has no part in it, and without another one there is no such part.
    """
    site.watch("fixed", ["a"])

    assert [] == (await page(site)).find("h3", id="discovery")


@pytest.mark.parametrize(
    ("provider", "sentence", "words"),
    [
        (
            replace(HTTP_SD, last_success=UNIX - 51, result="failed", error="it answered 503"),
            "http_sd was last read 1 min 52 s ago: it answered 503.",
            "Last time not read; the last list counts: it answered 503",
        ),
        (
            replace(VENDOR_LIST, last_success=None, result="unsupported", error="ZEGO must activate it"),
            "The vendor's list was never read: ZEGO must activate it.",
            "Not read yet, wanted every 30 s Last time not to be had: the vendor asks to activate it first: ZEGO must",
        ),
    ],
    ids=["old", "never"],
)
async def test_an_old_list_needs_attention(site: Site, provider, sentence: str, words: str) -> None:
    """
    Once it is older than five intervals for a minute: which list, how old, why, and what to do. Rooms are well.
    """
    site.watch("live", ["a"])
    site.read("live", {"a": 1})
    finds(site, "live", providers=(provider, CALLBACKS))
    await site.server.sample()
    quiet = await page(site)
    site.pass_time(61)
    site.read("live", {"a": 1})

    html = await page(site)

    assert [] == items(quiet)
    (item,) = items(html)
    assert item.startswith(f"list is old 1 min 1 s live zego_rtc {sentence}")
    assert "docs/runbooks#rtcdiscoveryoutdated" == link(html, "What to do about live")
    assert words in found(html)[0]
    assert "1 of 1 source with a problem" == said(html)


async def test_a_full_source_needs_attention(site: Site) -> None:
    """
    For as long as ids are rejected for max_rooms, and five minutes more.
    """
    site.watch("live", ["a"])
    site.read("live", {"a": 1})
    finds(site, "live", rejected={"max_rooms": 2}, rejected_at={"max_rooms": UNIX}, limit=33)

    html = await page(site)
    site.pass_time(301)
    site.read("live", {"a": 1})

    (item,) = items(html)
    assert "It watches 33 rooms, as many as max_rooms allows; rooms that open now are left out." in item
    assert "docs/runbooks#rtcdiscoveryroomsrejected" == link(html, "What to do about live")
    assert "Left out 2 times for max_rooms: raise it, or narrow down with include" in found(html)[0]
    finds(site, "live", WELL, rejected={"max_rooms": 2}, rejected_at={"max_rooms": UNIX}, providers=(CALLBACKS,))
    assert [] == items(await page(site))


async def test_a_source_that_finds_nothing(site: Site) -> None:
    """
    No rooms file is to blame. That is said after a minute, as rooms may be about to open.
    """
    site.watch("live", [])
    empty = (replace(HTTP_SD, rooms=0), replace(CALLBACKS, rooms=0))
    finds(site, "live", providers=empty, lives={"candidate": 0, "active": 0, "leaving": 0})
    await site.server.sample()
    quiet = await page(site)
    site.pass_time(61)
    fresh = (replace(HTTP_SD, rooms=0, last_success=site.unix), *empty[1:])
    finds(site, "live", providers=fresh, lives={"candidate": 0, "active": 0, "leaving": 0})

    assert [] == items(quiet)
    (item,) = items(await page(site))
    assert "It finds no room: its lists and callbacks name none." in item


async def test_what_providers_say_is_text(site: Site) -> None:
    """
    An error may quote what an endpoint answered.
    """
    site.watch("live", ["a"])
    finds(site, "live", providers=(replace(HTTP_SD, result="partial", error="<b>no</b>"),))

    html = await page(site)

    assert "Last time read in part, so it takes no room away: <b>no</b>" in found(html)[0]
    assert [] == html.find("b")
