"""
The status page of the real command in a real browser.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from tests.e2e.browser import Chromium, accessibility_faults, chromium
from tests.e2e.process import ExporterProcess
from tests.e2e.vendors import Vendors
from tests.programs import find_program
from tests.web.finding import CALLBACKS, HTTP_SD, VENDOR_LIST, finds
from tests.web.site import UNIX, Site

pytestmark = [pytest.mark.needs_program("chromium"), pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

HOSTILE = [
    "<script>window.hacked = 1</script>",
    "'\"><img src=x onerror=alert(1)>",
    "</bdi></th></tr></table>",
    "{{ 7 * 7 }}",
    "\u202egpj.exe",
    "  two  spaces  ",
    "直播间 ☃",
    "x" * 128,
]


@dataclass(frozen=True)
class Stage:
    """
    The real command, the vendors that it polls, and a browser.
    """

    vendors: Vendors
    exporter: ExporterProcess
    browser: Chromium

    async def set_users(self, users: dict[str, int]) -> None:
        """
        Give rooms of `zego_rtc` these users from now on.
        """
        orders = [{"api": "zego_rtc", "room": room, "do": "set", "users": count} for room, count in users.items()]
        await self.vendors.post("rooms", orders)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """
    130 rooms of one API, eight of them with hostile names, and a source whose vendor does not answer.
    """
    config = tmp_path_factory.mktemp("page") / "exporter.yml"
    program = find_program("chromium")
    assert program
    async with Vendors(rooms={"zego_rtc": 122, "tencent_im": 20}) as vendors:
        await vendors.post("faults", {"kind": "status", "apis": ["tencent_im"], "status": 503})
        rooms = [*HOSTILE, *vendors.world.room_ids("zego_rtc")]
        thresholds = {"warning": 100, "critical": 200}
        rtc = {"rooms": rooms, "interval": "3s", "thresholds": thresholds}
        config.write_text(vendors.config(zego_rtc=rtc, tencent_im={"interval": "3s"}), encoding="utf-8")
        async with ExporterProcess(config) as exporter, chromium(program) as browser:
            await published(exporter, len(rooms))
            yield Stage(vendors, exporter, browser)


async def published(exporter: ExporterProcess, rooms: int) -> None:
    """
    Wait until so many rooms have a number.
    """
    for _ in range(100):
        if len(await exporter.rooms()) == rooms:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"not every room has a number: {exporter.log}")


async def refresh(page: Page) -> None:
    """
    Let the page's own clock reach its next refresh, and wait for what that brings.
    """
    async with page.expect_response(lambda response: response.url == page.url):
        await page.clock.fast_forward(5_000)
    await page.evaluate("new Promise(requestAnimationFrame)")


async def test_nothing_to_complain_about(stage: Stage):
    """
    The page loads and refreshes itself without an error or a warning in the console.
    """
    stage.browser.complaints.clear()
    async with stage.browser.page(stage.exporter.url) as page:
        for _ in range(3):
            await refresh(page)

    assert [] == stage.browser.complaints


async def test_counts_change_without_reload_and_equal_the_metrics(stage: Stage):
    """
    What the vendor says reaches the open page by itself, and it is what /metrics says.
    """
    rooms = dict.fromkeys([*HOSTILE, *stage.vendors.world.room_ids("zego_rtc")], 17)
    async with stage.browser.page(f"{stage.exporter.url}/?q=%E2%98%83") as page:
        await page.evaluate("window.loadedOnce = true")
        await stage.set_users({**rooms, HOSTILE[6]: 4_321})

        await expect(page.locator("#room-list td.users data")).to_have_attribute("value", "4321")
        total = str(17 * (len(rooms) - 1) + 4_321)
        await expect(page.locator("#users-now")).to_have_attribute("value", total)

        published = await stage.exporter.rooms()
        assert 4_321 == published["zego_rtc", HOSTILE[6]].users
        assert int(total) == sum(samples.users for samples in published.values())
        assert await page.evaluate("window.loadedOnce")
        await expect(page.locator("#room-list strong.level-critical")).to_contain_text(["above critical"])


async def test_hostile_names_are_text(stage: Stage):
    """
    Room ids stand on the page letter by letter, and none of them does anything.
    """
    stage.browser.complaints.clear()
    async with stage.browser.page(f"{stage.exporter.url}/?order=room") as page:
        ids = page.locator("#room-list bdi.id")
        shown = await ids.evaluate_all("all => all.map(id => id.textContent)")
        while await page.locator("a[rel=next]").count():
            await turn(page, "Next")
            shown += await ids.evaluate_all("all => all.map(id => id.textContent)")

        assert sorted(HOSTILE) == sorted(set(HOSTILE) & set(shown))
        assert 150 == len(shown)
        assert 0 == await page.locator("#room-list img").count()
        assert await page.evaluate("window.hacked === undefined")

    assert [] == stage.browser.complaints


async def turn(page: Page, link: str) -> None:
    """
    Follow a link of the pager and wait until another page of rooms is there.
    """
    before = await page.locator(".pager .position").inner_text()
    await page.get_by_role("link", name=link, exact=True).click()
    await expect(page.locator(".pager .position")).not_to_have_text(before)


async def test_paging(stage: Stage):
    """
    Links lead through all rooms and back without a reload; the address and the focus follow.
    """
    async with stage.browser.page(f"{stage.exporter.url}/?order=room") as page:
        position = page.locator(".pager .position")
        await page.evaluate("window.loadedOnce = true")
        await expect(position).to_have_text("1 to 50 of 150 rooms")
        await turn(page, "Next")
        await expect(position).to_have_text("51 to 100 of 150 rooms")
        await expect(page.locator("#announcement")).to_have_text("51 to 100 of 150 rooms")
        await expect(page.get_by_role("link", name="Next", exact=True)).to_be_focused()
        await turn(page, "Next")
        await expect(position).to_have_text("101 to 150 of 150 rooms")
        await turn(page, "Previous")
        await expect(position).to_have_text("51 to 100 of 150 rooms")
        await page.go_back()
        await expect(position).to_have_text("101 to 150 of 150 rooms")
        await turn(page, "First")
        await expect(position).to_have_text("1 to 50 of 150 rooms")
        assert await page.evaluate("window.loadedOnce")


async def test_searching_while_typing(stage: Stage):
    """
    Matches come while one types, are announced, can be bookmarked, and stay when the page refreshes itself.
    """
    async with stage.browser.page(stage.exporter.url) as page:
        field = page.get_by_label("Search")
        await field.press_sequentially("WINDOW.hacked")
        await expect(page.locator("#room-list bdi.id")).to_have_text([HOSTILE[0]])
        await expect(page.locator("#announcement")).to_have_text("1 to 1 of 1 room")
        await expect(page).to_have_url(f"{stage.exporter.url}/?q=WINDOW.hacked&order=share")

        await refresh(page)
        await expect(field).to_be_focused()
        await expect(field).to_have_value("WINDOW.hacked")

        await field.fill("no such room")
        await expect(page.locator("#matching-words")).to_have_text("No room matches.")
        await field.fill("")
        await page.get_by_label("Source", exact=True).select_option("tencent_im")
        await expect(page.locator(".pager .position")).to_have_text("1 to 20 of 20 rooms")
        await page.get_by_label("State", exact=True).select_option("fresh")
        await expect(page.locator("#matching-words")).to_have_text("No room matches.")


async def test_a_source_in_trouble(stage: Stage):
    """
    Why there are no numbers stands before everything else, and in the table; unfolded details stay open while the page
    refreshes.
    """
    async with stage.browser.page(stage.exporter.url) as page:
        row = page.locator("table.sources tr", has_text="tencent_im").last
        await expect(row).to_contain_text("circuit open")
        await expect(page.locator(".item").first).to_contain_text("down")
        await expect(page.locator(".item").first).to_contain_text("all 20 rooms unknown")
        await row.locator("summary").click()
        await refresh(page)
        await expect(row.locator("details li").first).to_be_visible()


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (375, 667)])
async def test_what_needs_attention_is_in_sight(stage: Stage, width: int, height: int):
    """
    Without scrolling, on a desk and on a phone: the verdict, the source that is down, and the worst room.
    """
    worst = stage.vendors.world.room_ids("zego_rtc")[5]
    rooms = [*HOSTILE, *stage.vendors.world.room_ids("zego_rtc")]
    await stage.set_users({**dict.fromkeys(rooms, 17), worst: 1_260})
    async with stage.browser.page(stage.exporter.url, width=width) as page:
        await page.set_viewport_size({"width": width, "height": height})
        room = page.locator(".item.room").first
        await expect(room).to_contain_text("6.3 ×")
        await expect(room.get_by_role("link")).to_have_text(worst)
        for part in (page.locator("#verdict-words"), page.locator(".item").first, room):
            box = await part.bounding_box()
            assert box
            assert box["y"] + box["height"] <= height
        assert (await page.title()).endswith(" critical, 1 source down · Live rooms")
        await expect(page.locator("#verdict-words")).to_contain_text("1 of 2 sources down")
        assert "static/icon-bad.svg" == await page.locator("#icon").get_attribute("href")


async def test_a_count_leads_to_its_list(stage: Stage):
    """
    A number of the verdict shows the rooms that it counts, without leaving the page; the form and the address follow.
    """
    async with stage.browser.page(stage.exporter.url) as page:
        await page.evaluate("window.loadedOnce = true")
        link = page.locator("#verdict a", has_text="rooms unknown")
        await link.click()
        await expect(page.locator("#matching-words")).to_have_text("20 rooms unknown")
        await expect(page.get_by_label("State", exact=True)).to_have_value("unknown")
        await expect(page.locator("#rooms-title")).to_be_focused()
        assert page.url.endswith("/?state=unknown#rooms")
        await page.get_by_role("link", name="Show all rooms").click()
        await expect(page.locator("#matching-words")).to_have_text("150 rooms")
        assert await page.evaluate("window.loadedOnce")


async def test_the_view_of_a_room(stage: Stage):
    """
    One step from the list: count, state, next poll, origin, and a curve that grows while one looks.
    """
    stage.browser.complaints.clear()
    await stage.set_users({HOSTILE[0]: 900})
    async with stage.browser.page(f"{stage.exporter.url}/?q=window.hacked") as page:
        await expect(page.locator("#room-list td.users data")).to_have_attribute("value", "900")
        await page.locator("#room-list a", has_text="hacked").click()
        await expect(page.locator("#room-title")).to_have_text(HOSTILE[0])
        await expect(page.locator(".headline")).to_have_text("900 users: 4.5 × its critical threshold of 200")
        await expect(page.locator("#facts")).to_contain_text("exporter.yml")
        await expect(page.locator("#facts")).to_contain_text("wanted every 3 s")
        await stage.set_users({HOSTILE[0]: 950})
        for _ in range(2):
            await page.wait_for_timeout(3_000)
            await refresh(page)
        await expect(page.locator("#users")).to_have_text("950")
        await expect(page.locator(".chart")).to_be_visible()
        await expect(page.locator("#calls tbody tr").first).to_contain_text("950 users")

    assert [] == stage.browser.complaints


async def test_pausing(stage: Stage):
    """
    A reader may stop the figures from moving, and let them go on.
    """
    async with stage.browser.page(stage.exporter.url) as page:
        pause = page.locator("#pause")
        await pause.click()
        await expect(pause).to_have_attribute("aria-pressed", "true")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.clock.fast_forward(60_000)
        await page.wait_for_timeout(200)
        assert [] == asked
        async with page.expect_response(page.url):
            await pause.click()
        await refresh(page)


async def test_an_exporter_that_does_not_answer(stage: Stage):
    """
    Old figures are called old, and no longer so once the exporter is back.
    """

    async def lost(route: Route) -> None:
        await route.abort()

    async with stage.browser.page(stage.exporter.url) as page:
        silence = page.locator("#silence")
        title = await page.title()
        await expect(silence).to_be_hidden()
        told = await page.locator("#as-of time").inner_text()
        await page.route("**/*", lost)
        await page.clock.fast_forward(5_000)
        await expect(silence).to_contain_text(f"No answer since {told}")
        await expect(page.locator("#announcement")).to_contain_text("Everything on this page is from that time")
        await page.unroute_all()
        await refresh(page)
        await expect(silence).to_be_hidden()
        assert title == await page.title()
        assert "gone" not in await page.evaluate("document.documentElement.className")


async def test_a_dead_exporter_cannot_be_missed(stage: Stage):
    """
    Killed while somebody reads the end of the page: the news is in sight there, in the title and in the icon, in the
    exporter's time zone; everything else is grey, and can still be read.
    """
    async with ExporterProcess(stage.exporter.config_file) as exporter, stage.browser.page(exporter.url) as page:
        await page.locator("footer").scroll_into_view_if_needed()
        told = await page.locator("#as-of time").inner_text()
        await exporter.stop(signal.SIGKILL)
        await page.clock.fast_forward(5_000)
        silence = page.locator("#silence")
        await expect(silence).to_be_in_viewport()
        await expect(silence).to_contain_text(f"No answer since {told}")
        assert told.endswith(" UTC")
        assert f"No answer since {told} · Live rooms" == await page.title()
        assert (await page.locator("#icon").get_attribute("href") or "").endswith("static/icon-gone.svg")
        ink = await page.evaluate("getComputedStyle(document.querySelector('#verdict-words')).color")
        assert max(channels := [int(of) for of in re.findall(r"\d+", ink)]) - min(channels) < 20
        assert [] == await accessibility_faults(page)


async def test_a_machine_that_slept(stage: Stage):
    """
    Figures that nobody could refresh for a while are called old before the next answer comes.
    """

    async def slow(route: Route) -> None:
        await asyncio.sleep(1)
        await route.continue_()

    async with stage.browser.page(stage.exporter.url) as page:
        await page.route("**/*", slow)
        await page.clock.fast_forward(3_600_000)
        await expect(page.locator("#silence")).to_contain_text("60 min ago")


async def test_without_javascript(stage: Stage):
    """
    Figures, search and paging are all there without scripts.
    """
    async with stage.browser.page(stage.exporter.url, javascript=False) as page:
        await expect(page.locator("#users-now")).to_be_visible()
        await expect(page.locator("#pause")).to_be_hidden()
        await page.get_by_role("link", name="Next", exact=True).click()
        await expect(page.locator(".pager .position")).to_have_text("51 to 100 of 150 rooms")
        await page.get_by_label("Search").fill("window.hacked")
        await page.get_by_role("button", name="Show").click()
        await expect(page.locator("#room-list bdi.id")).to_have_text([HOSTILE[0]])


async def test_by_keyboard(stage: Stage):
    """
    The first stop of the Tab key leads past the header; every control can be reached and shows that it has the focus.
    """
    async with stage.browser.page(stage.exporter.url) as page:
        await page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Skip to the verdict")
        await expect(skip).to_be_focused()
        await expect(skip).to_be_in_viewport()
        await page.keyboard.press("Enter")
        await expect(page.locator("#main")).to_be_focused()
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.closest('#verdict') !== null")
        await page.locator("#search-text").focus()
        stops = []
        for _ in range(5):
            await page.keyboard.press("Tab")
            stops.append(await page.evaluate("document.activeElement.name || document.activeElement.localName"))
            assert "none" != await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")

        assert ["source", "above", "state", "order", "button"] == stops


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize(
    "path", ["/", "/rooms/zego_rtc/{{%207%20*%207%20}}", "/rooms/zego_rtc/gone", "/docs", "/docs/metrics"]
)
async def test_everyone_can_read_it(stage: Stage, path: str, width: int, scheme: Literal["light", "dark"]):
    """
    axe-core finds no accessibility fault at all, light and dark, on a desk and on a phone; nothing sticks out sideways.
    """
    async with stage.browser.page(f"{stage.exporter.url}{path}", width=width, scheme=scheme) as page:
        for details in await page.locator("summary:visible").all():
            await details.click()

        assert [] == await accessibility_faults(page)
        assert width == await page.evaluate("document.documentElement.scrollWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
async def test_everyone_can_read_where_rooms_come_from(stage: Stage, width: int, scheme: Literal["light", "dark"]):
    """
    Lists that are well, old, never read or too long: no accessibility fault, nothing sticks out, no complaint.
    """
    error = "the endpoint https://backend.internal/rooms/live?" + "x" * 300 + " answered 503"
    old = replace(HTTP_SD, last_success=UNIX - 600, result="failed", error=error)
    never = replace(VENDOR_LIST, last_success=None, result="unsupported", error="the vendor must activate it")
    async with Site() as site:
        for source in ("live", "chat"):
            site.watch(source, ["a"])
        finds(site, "chat", providers=(old, never, CALLBACKS))
        finds(site, "live", rejected={"max_rooms": 2}, rejected_at={"max_rooms": UNIX}, limit=33)
        await site.server.sample()
        site.pass_time(61)
        complaints = len(stage.browser.complaints)
        async with stage.browser.page(site.server.url, width=width, scheme=scheme) as page:
            await expect(page.locator(".found")).to_have_count(2)
            assert [] == await accessibility_faults(page)
            assert width == await page.evaluate("document.documentElement.scrollWidth")
    assert [] == stage.browser.complaints[complaints:]
