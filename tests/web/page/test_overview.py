"""
The verdict, what needs attention, and the figures beside it.
"""

from __future__ import annotations

from exporter.model import Reading, Room, Thresholds
from exporter.polling.importance import Importance
from exporter.states import SourceState
from tests.web.page.html import Element
from tests.web.page.pages import items, limited, link, matching, page, said, text
from tests.web.site import Budget, Clock, Site


async def test_nothing_configured(site: Site) -> None:
    """
    An exporter without sources says so, and not that all is well.
    """
    html = await page(site)

    assert ["There are no sources in the config."] == html.rows("sources")
    assert "no sources are configured" == said(html)
    assert "No rooms are watched yet." in html.find("div", id="room-list")[0].text
    assert "no sources · Live rooms" == html.find("title")[0].text.strip()


async def test_all_is_well(site: Site) -> None:
    """
    Rooms are known, none is above its threshold, every source answers: then, and only then, all is well.
    """
    site.watch("live", limited("a", "b"))
    site.read("live", {"a": 200, "b": 34})

    html = await page(site)

    assert "All is well 2 rooms known · none above its threshold · 1 source answering" == said(html)
    assert "All well · Live rooms" == html.find("title")[0].text.strip()
    assert "static/icon-ok.svg" == html.find("link", id="icon")[0].attributes["href"]
    assert [] == items(html)
    assert "Nothing needs attention. Closest to its threshold: a, at 50 %." in text(
        html.find("section", id="attention")[0]
    )


async def test_rooms_above_critical_are_the_verdict(site: Site) -> None:
    """
    Headline, title and icon say how many rooms are above critical, with links to them, though every source answers.
    """
    site.watch("live", limited("a", "b", "c"))
    site.read("live", {"a": 2_520, "b": 401, "c": 201})

    html = await page(site)

    assert "2 rooms above critical 3 rooms above a threshold in all" == said(html)
    assert "2 critical · Live rooms" == html.find("title")[0].text.strip()
    assert "static/icon-bad.svg" == html.find("link", id="icon")[0].attributes["href"]
    assert "?above=critical#rooms" == link(html, "2 rooms above critical")
    assert "?above=warning#rooms" == link(html, "3 rooms above a threshold in all")


async def test_counts_lead_to_lists_of_as_many_rooms(site: Site) -> None:
    """
    Whatever number one follows from the verdict, the list has that many rooms.
    """
    site.watch("live", limited(*(f"r{index}" for index in range(9))))
    site.watch("dark", limited("x", "y"))
    site.read("live", {f"r{index}": 100 * index for index in range(9)})
    site.pass_time(25)
    site.read("live", {f"r{index}": 100 * index for index in range(9)})
    site.read("dark", {})

    html = await page(site)

    counts = {text(of): of.attributes["href"] for of in html.find("a") if "section#verdict" in of.path}
    assert ["4 rooms above critical", "6 rooms above a threshold in all", "2 of 11 rooms not read yet"] == [*counts]
    for words, target in counts.items():
        listed = await page(site, f"/{target}".partition("#")[0])
        assert f"{words.split()[0]} rooms" == " ".join(matching(listed).split()[:2])


async def test_the_rooms_that_need_somebody(site: Site) -> None:
    """
    Those above critical first, by share of their threshold: how far, how many of how many, for how long, whither, and
    the way to the room's own view.
    """
    site.watch("live", [*limited("calm", "full", "small"), *limited("only", limits=Thresholds(warning=10))])
    site.watch("tiny", limited("t", limits=Thresholds(critical=10)))
    site.read("live", {"calm": 200, "full": 1_000, "small": 250, "only": 90})
    site.read("tiny", {"t": 63})
    await site.server.sample()
    for users in (1_010, 1_200):
        site.pass_time(15)
        site.read("live", {"full": users})
        await site.server.sample()
    site.read("tiny", {"t": 63})

    html = await page(site)

    assert [
        "6.3 × critical t tiny 63 of 10 users for 30 s",
        "3.0 × critical full live 1,200 of 400 users for 30 s, ↗ rising",
        "9.0 × warning only live 90 of 10 users for 30 s",
        "62 % of critical small live 250 of 400 users above warning for 30 s",
    ] == items(html)
    assert "rooms/tiny/t" == link(html, "t")


async def test_a_room_that_fell_silent_above_its_threshold(site: Site) -> None:
    """
    Nothing is known of it any more, so nothing says that it is below: it stays on the list, called what it is.
    """
    site.watch("live", limited("a", "b"))
    site.read("live", {"a": 640, "b": 1})
    site.pass_time(31)
    site.read("live", {"b": 1})

    html = await page(site)

    assert said(html).startswith("1 room above critical 1 of 2 rooms unknown")
    assert "1.6 × critical a live last known 640 of 400 users nothing heard for 31 s" == items(html)[-1]
    assert "a live unknown last 640 1.6 × above critical 200 / 400 unknown –" == html.rows("rooms")[0]


async def test_more_rooms_than_can_be_shown(site: Site) -> None:
    """
    The worst eight are shown, and a link leads to all of them.
    """
    site.watch("live", limited(*(f"r{index:02d}" for index in range(20))))
    site.read("live", {f"r{index:02d}": 401 + index for index in range(20)})

    html = await page(site)

    assert 9 == len(items(html))
    assert "1.1 × critical r19 live 420 of 400 users for 0 s" == items(html)[0]
    assert "?above=warning#rooms" == link(html, "All 20 rooms above a threshold")


async def test_totals(site: Site) -> None:
    """
    Users, rooms and sources as numbers that a script can read too; users of how many known rooms, if not of all.
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
    assert ("1", "1") == total("sources-answering")
    assert "Users now 1,234 of 2 known rooms out of 4: the others are not counted" in text(
        html.find("div", class_="users")[0]
    )


async def test_all_known_users_need_no_mark(site: Site) -> None:
    """
    When every room is known, the sum is one of all rooms.
    """
    site.watch("live", ["a", "b"])
    site.read("live", {"a": 1, "b": Reading(0, exists=False, missing=True)})

    html = await page(site)

    assert text(html.find("div", class_="users")[0]).startswith("Users now 1 in 2 rooms, all known")
    assert [] == html.find("strong", class_="partial")


async def test_an_outage_does_not_look_like_an_exodus(site: Site) -> None:
    """
    Where not all rooms were known, the curve of all users is drawn in another way, and the page says so.
    """
    site.watch("live", [f"r{index}" for index in range(4)])
    for rooms in (4, 4, 2, 2):
        site.read("live", {f"r{index}": 100 for index in range(rooms)})
        site.table.expire(site.now)
        await site.server.sample()
        site.pass_time(20)

    html = await page(site)

    trend = html.find("div", class_="users")[0]
    assert "200 to 400 in the last 1 min; dashed: not all rooms were known" in text(trend)
    drawn = {next(iter(path.classes)): path.attributes["d"] for path in html.find("path") if trend_of(path)}
    assert [0, 80, 160] == columns(drawn["line"])
    assert [160, 240] == columns(drawn["doubtful"])


def columns(path: str | None) -> list[float]:
    """
    How far from the left the points of a path are.
    """
    return [float(point.split()[0]) for point in (path or "").replace("M", "").split("L")]


def trend_of(element: Element) -> bool:
    """
    Whether this is a part of the curve of all users.
    """
    return "section#overview" in element.path and element.classes & {"line", "doubtful"} != set()


async def test_unknown_is_said_and_not_shown_as_zero(site: Site) -> None:
    """
    Before the first reading there is no number of users anywhere.
    """
    site.watch("live", ["a"])

    html = await page(site)

    assert [] == html.find("data", id="users-now")
    assert ["live zego_rtc waiting unknown 1 unknown wanted 10 s limit 10 none"] == html.rows("sources")
    assert ["a live unknown none unknown –"] == html.rows("rooms")
    assert "1 of 1 room not read yet, 1 of 1 source not heard of yet" == said(html)
    assert "static/icon-waiting.svg" == html.find("link", id="icon")[0].attributes["href"]


async def test_some_of_many_bad_rooms_files_are_named(site: Site) -> None:
    """
    When a folder of thousands of files cannot be read, the page stays a page.
    """
    site.telemetry.rooms_files = {f"rooms/{number:04}.yml": False for number in range(5_000)}

    html = await page(site)

    *named, rest = [of.text for of in html.find("p", class_="why") if "rooms file" in of.text]
    assert [f"rooms/{number:04}.yml" for number in range(10)] == [of.split()[3] for of in named]
    assert "The same holds for 4,990 more rooms files." == rest
    assert "5,000 rooms files not read" in said(html)


async def test_a_web_config_that_could_not_be_read_again(site: Site) -> None:
    """
    Until the new web config can be used, the page says that the old one still guards the port. It shows neither the
    path nor the mistake.
    """
    site.telemetry.web_config_ok = False
    refused = await page(site)
    site.telemetry.web_config_ok = True

    (told,) = items(refused)
    assert told.startswith(
        "exporter An old web config is in use The web config, or a file that it names, could not be read again. "
        "The previous one still guards the port. The log says what is wrong. What to do"
    )
    assert "an old web config is in use" in said(refused)
    assert [] == items(await page(site))


async def test_red_comes_before_amber(site: Site) -> None:
    """
    A source that is down and a room above critical stand above a config that was not reloaded: on a phone, the first
    screen shows what cannot wait.
    """
    source = site.watch("live", [Room("a", thresholds=Thresholds(warning=200, critical=400))])
    site.read("live", {"a": 4_000})
    source.state = SourceState.UNAUTHORIZED
    site.telemetry.config_loaded(1.0)
    site.telemetry.config_refused()

    down, room, config = items(await page(site))

    assert down.startswith("down ")
    assert room.startswith("10 × critical a ")
    assert config.startswith("exporter An old config is in use ")


async def test_a_file_whose_name_is_not_unicode(site: Site) -> None:
    """
    It gets a printable stand-in, and takes nothing else of the page away.
    """
    site.telemetry.rooms_files = {"rooms/chambre-\udce9.yml": False}

    assert "The rooms file rooms/chambre-\\udce9.yml is gone, or it cannot be read" in items(await page(site))[0]


async def test_everything_else_that_may_be_wrong(site: Site) -> None:
    """
    A slowed budget, a source that falls behind, clocks that differ, a refused room, a config and a rooms file that
    could not be read, a process that is not healthy.
    """
    source = site.watch("live", ["a", "b"])
    site.read("live", {"a": 1, "b": 2})
    source.table.refuse("b")
    budget = site.telemetry.budgets["live"]
    assert isinstance(budget, Budget)
    budget.pace = 5.0
    source.gaps([14.0], site.now)
    source.clock = Clock(skew=903.0, shift=903.0)
    await site.server.sample()
    passing = await page(site)
    site.pass_time(60)
    site.read("live", {"a": 1})
    source.gaps([14.0], site.now)
    site.telemetry.config_loaded(1.0)
    site.telemetry.config_refused()
    site.telemetry.rooms_files = {"rooms/good.yml": True, "rooms/<bad>.yml": False}
    site.why_unhealthy = "the sweep last ran 12 s ago"

    html = await page(site)

    assert not [item for item in items(passing) if "Slowed" in item or "instead of" in item]
    process, trouble, config, file = items(html)
    assert "exporter The exporter is not healthy the sweep last ran 12 s ago." == process
    assert "the previous config is in use" in config
    assert "The rooms file rooms/<bad>.yml is gone, or it cannot be read and its old list is used." in file
    assert trouble.startswith(
        "slowed down 1 min live zego_rtc "
        "Slowed down to 5 calls per second, since the vendor rejected calls as too many. "
        "Its rooms are read every 14 s instead of every 10 s. The vendor refuses 1 room. "
        "Our clock is 15 min 3 s ahead of the vendor's. Stamping calls with the vendor's time."
    )
    assert said(html).startswith("the exporter is not healthy ")


async def test_rooms_that_rise_and_fall_fastest(site: Site) -> None:
    """
    Five each, of all sources, with their users per minute and now; nothing is said while no room moves.
    """
    site.watch("live", [f"up-{number}" for number in range(6)])
    site.watch("shop", ["down", "gone"])
    site.read("live", {f"up-{number}": 10 for number in range(6)})
    site.read("shop", {"down": 900, "gone": 9_000})
    assert [] == (await page(site)).find("section", id="movers")
    site.pass_time(20)
    site.read("live", {f"up-{number}": 10 + 7 * number for number in range(6)})
    site.read("shop", {"gone": 1_000})
    site.pass_time(20)
    site.read("shop", {"down": 400})

    (section,) = (await page(site)).find("section", id="movers")

    assert (
        "Rising and falling ↗ Rising fastest users a minute, users now up-5 live +105 45 up-4 live +84 38"
        " up-3 live +63 31 up-2 live +42 24 up-1 live +21 17"
        " ↘ Falling fastest users a minute, users now gone shop −24,000 1,000 down shop −750 400"
    ) == text(section)


async def test_how_often_rooms_are_wanted_with_a_cadence(site: Site) -> None:
    """
    The shortest and the longest interval stand beside the achieved one.
    """
    site.watch("live", ["a"]).own_intervals = Importance(10.0, 120.0)

    assert "wanted 10 s to 2 min" in (await page(site)).rows("sources")[0]
