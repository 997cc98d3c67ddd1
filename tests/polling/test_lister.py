"""
Passes over vendors' lists of rooms, in virtual time.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import parse_qsl, urlsplit

import pytest

from exporter.clock import Clock
from exporter.config import SourceConfig
from exporter.config.discovery import VendorListConfig
from exporter.metrics.room import Arrival
from exporter.model import Failure, FailureKind, Reading
from exporter.polling.budget import Budget, Timer
from exporter.polling.client import Client, Opener
from exporter.polling.health import App
from exporter.polling.lister import LONGEST_PASS, Lister
from exporter.rooms.provider import Listing, Result
from tests.polling.answers import BAD_GATEWAY, HANGS, RESET, Answer, fails
from tests.polling.house import EPOCH, Line, LogLines, parsed, source, worst_window
from tests.polling.vendor import Call, FakeClient, Vendor
from tests.polling.virtual_time import in_virtual_time
from tests.polling.wire import config_for, on_each_loop, serving, write
from tests.vendors.test_lists import LISTED, PAGES, calls, live, zego

HOUR = 3_600.0


def raised(error: Exception) -> None:
    """No test expects one."""
    raise error


class Bench:
    """
    Listers in front of a scripted vendor.

    ``async with`` gives the bench; at its end everything is closed.
    """

    def __init__(self, api: str = "zego_rtc", *, rate_limit: float = 10.0, **settings: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        nonces = itertools.count()
        self.clock = Clock(
            self.loop.time,
            lambda: EPOCH + self.loop.time() - self.began,
            random.Random(1).uniform,
            lambda: f"{next(nonces):016x}",
        )
        self.vendor = Vendor(self.clock.unix)
        self.timer = Timer(self.clock, raised)
        self.log = LogLines()
        self.app = App()
        self.clients: list[FakeClient] = []
        self.read: list[tuple[Mapping[str, Reading], Arrival]] = []
        self.api = api
        self.settings = VendorListConfig(
            **{
                "interval": 30.0,
                "full_interval": HOUR,
                "lookback": 86_400.0,
                "rate_limit": rate_limit,
                "budget": f"{api}.list",
                **settings,
            }
        )
        self.budget = Budget(self.settings.budget, rate_limit, self.clock, self.timer)
        self.listers: list[Lister] = []
        self.lister = self.another()

    def another(self, **keys: Any) -> Lister:
        """One more lister, on the same budget and of the same app."""
        lister = Lister(
            self.config(**keys),
            self.settings,
            self.budget,
            self.app,
            self.make_client,
            self.clock,
            self.log,
            lambda readings, arrival: self.read.append((readings, arrival)),
        )
        self.listers.append(lister)
        return lister

    def config(self, folder: Path = Path("/nowhere"), **keys: Any) -> SourceConfig:
        """The source."""
        (config,) = parsed(source(self.api, **keys), folder=folder)
        return config

    def make_client(self, config: SourceConfig, opener: Opener, clock: Clock) -> Client:
        """In the place of sockets."""
        self.clients.append(FakeClient(config, opener, clock, self.vendor))
        return cast(Client, self.clients[-1])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for lister in self.listers:
            await lister.aclose()

    @property
    def now(self) -> float:
        """Seconds since the bench began."""
        return self.loop.time() - self.began

    @property
    def writes(self) -> list[float]:
        """When calls were written, in seconds since the bench began."""
        return [call.at - self.began for call in self.vendor.calls]

    @property
    def warnings(self) -> list[Line]:
        """The warnings in the log."""
        return [line for line in self.log.lines if line.level == "warning"]

    def answers(self, *answers: Answer | Failure | dict[str, Any]) -> None:
        """Answer one call after the other so, and all further ones as the last."""
        left = [answer if isinstance(answer, Answer | Failure) else Answer(answer) for answer in answers]
        self.vendor.answer = lambda _: left.pop(0) if len(left) > 1 else left[0]

    def lists(self, rooms: list[str]) -> None:
        """List these ZEGO rooms, 200 a page."""

        def answer(call: Call) -> Answer:
            end = 200 * int(asked(call)["PageIndex"])
            return Answer(zego(dict.fromkeys(rooms[end - 200 : end], 3), len(rooms)))

        self.vendor.answer = answer


def asked(call: Call) -> dict[str, Any]:
    """What a call asked for."""
    request = call.request
    return json.loads(request.body) if request.body else dict(parse_qsl(urlsplit(request.target).query))


def named(count: int) -> list[str]:
    """So many rooms."""
    return [f"room-{number}" for number in range(count)]


def seen(listing: Listing) -> tuple[Result, set[str]]:
    """How a refresh ended, and the rooms that it named."""
    return listing.result, set(listing.rooms)


@pytest.mark.parametrize("api", LISTED)
@in_virtual_time
async def test_rooms_of_one_pass(api: str) -> None:
    """
    A pass names the rooms of the list, with the source's own labels and thresholds.
    """
    async with Bench(api) as bench:
        bench.answers(PAGES[api](["a", "b"]))

        listing = await bench.lister.refresh()

        assert (Result.COMPLETE, {"a", "b"}) == seen(listing)
        assert listing.error is None
        assert 1 == len(bench.vendor.calls)
        labelled = bench.another(labels={"tier": "gold"}, thresholds={"warning": 5})
        room = (await labelled.refresh()).rooms["a"]
        assert (("tier", "gold"),) == room.labels
        assert 5 == room.thresholds.warning


@in_virtual_time
async def test_pages_follow_each_other_at_the_lists_own_limit() -> None:
    """
    Fifty pages at ten a second take five seconds and one: no slot is lost, and no second has more than ten.
    """
    async with Bench(rate_limit=10) as bench:
        bench.lists(named(10_000))
        bench.vendor.latency = lambda: 0.08

        listing = await bench.lister.refresh()

        assert (Result.COMPLETE, 10_000) == (listing.result, len(listing.rooms))
        assert 50 == len(bench.vendor.calls)
        assert 10 >= worst_window(bench.writes)
        assert 5.03 == pytest.approx(bench.writes[-1] - bench.writes[0], rel=0.02)


@pytest.mark.parametrize(("limit", "listers"), [(1, 2), (0.5, 1), (2.5, 3), (5, 4), (20, 5)])
@in_virtual_time
async def test_budget_is_kept_and_used(limit: float, listers: int) -> None:
    """
    Listers that share a budget use 95 % of its slots while they have pages to ask for, and never more than its limit
    within any second (2.5 a second are 3 in 1.2 s), whatever replies take, fail or break.
    """
    async with Bench(rate_limit=limit) as bench:
        chance = random.Random(7)
        bench.vendor.latency = lambda: chance.uniform(0.01, 0.15)
        bench.lists(named(200_000))
        well = bench.vendor.answer

        def answer(call: Call) -> Answer | Failure | None:
            return RESET if chance.random() < 0.02 else well(call)

        bench.vendor.answer = answer
        for _ in range(listers - 1):
            bench.another()
        passes = [asyncio.create_task(lister.refresh()) for lister in bench.listers]

        await asyncio.sleep(60)

        for each in passes:
            each.cancel()
        await asyncio.gather(*passes, return_exceptions=True)
        burst = math.ceil(limit)
        assert burst >= worst_window(bench.writes, burst / limit + 0.02)
        assert 0.95 * limit * 58.9 <= len(bench.writes)


@in_virtual_time
async def test_partial_pass() -> None:
    """
    A pass that lacks rooms names those that it has, and says that it is not complete and why.
    """
    async with Bench() as bench:
        bench.answers(zego({"a": 1}, 2))

        listing = await bench.lister.refresh()

        assert (Result.PARTIAL, {"a"}) == seen(listing)
        assert "the vendor has 2 rooms, and its pages named 1" == listing.error


@pytest.mark.parametrize("failure", [BAD_GATEWAY, RESET, Answer(b"{"), fails("zego_rtc", 206), HANGS])
@in_virtual_time
async def test_page_that_fails_by_chance_is_asked_for_again(failure: Answer | Failure) -> None:
    """
    A page that fails is asked for again, and the pass goes on where it was.
    """
    async with Bench() as bench:
        rooms = named(300)
        bench.answers(
            zego(dict.fromkeys(rooms[:200], 1), 300), failure, failure, zego(dict.fromkeys(rooms[200:], 1), 300)
        )

        listing = await bench.lister.refresh()

        assert (Result.COMPLETE, set(rooms)) == seen(listing)
        assert ["1", "2", "2", "2"] == [asked(call)["PageIndex"] for call in bench.vendor.calls]


@in_virtual_time
async def test_page_that_goes_on_failing_ends_the_pass() -> None:
    """
    After six times the pass ends: as failed if nothing was read, else with the rooms that it named. The log has no
    line of it: whoever asked for the pass tells how it ended.
    """
    async with Bench() as bench:
        bench.answers(BAD_GATEWAY)
        listing = await bench.lister.refresh()

        assert (Result.FAILED, set()) == seen(listing)
        assert (listing.error or "").startswith("transient (http_502): ")
        assert 6 == len(bench.vendor.calls)
        assert not bench.warnings

        bench.answers(zego(dict.fromkeys(named(200), 1), 300), BAD_GATEWAY)
        assert (Result.PARTIAL, set(named(200))) == seen(await bench.lister.refresh())


@in_virtual_time
async def test_calls_that_were_too_fast_slow_the_budget_down() -> None:
    """
    A rejection lowers the pace of the list's budget, and what the vendor asks for by Retry-After is kept.
    """
    async with Bench() as bench:
        bench.answers(fails("zego_rtc", 206, 429, {"Retry-After": "20"}), zego({"a": 1}, 1))

        assert Result.COMPLETE is (await bench.lister.refresh()).result

        first, second = bench.writes
        assert 20 <= second - first < 21
        assert bench.budget.pace < bench.budget.limit


@in_virtual_time
async def test_vendor_that_asks_for_silence() -> None:
    """
    A vendor in trouble is left alone for as long as it asks.
    """
    async with Bench() as bench:
        bench.answers(Answer(b"", 503, {"Retry-After": "40"}), zego({"a": 1}, 1))

        assert Result.COMPLETE is (await bench.lister.refresh()).result
        assert 40 <= bench.writes[1] - bench.writes[0] < 41


@in_virtual_time
async def test_refused_signature_is_made_afresh_once() -> None:
    """
    A refused signature is made anew at once; if that is refused, too, the pass has failed in the vendor's words, and no
    call is made for a minute.
    """
    async with Bench() as bench:
        bench.answers(fails("zego_rtc", 100000005))
        listing = await bench.lister.refresh()

        assert Result.FAILED is listing.result
        assert "server_secret" in (listing.error or "")
        assert 2 == len(bench.vendor.calls)

        await asyncio.sleep(30)
        assert listing.error == (await bench.lister.refresh()).error
        assert 2 == len(bench.vendor.calls)

        await asyncio.sleep(31)
        await bench.lister.refresh()
        assert 3 == len(bench.vendor.calls)


@in_virtual_time
async def test_secret_that_was_mended(tmp_path: Path) -> None:
    """
    When a signature is refused the file of the secret is read again, and the pass begins anew with what it holds now.
    """
    secret = tmp_path / "secret"
    secret.write_text("0" * 32, encoding="utf-8")
    async with Bench() as bench:
        lister = bench.another(folder=tmp_path, server_secret_file="secret")
        good = bench.config().codec

        def answer(call: Call) -> Answer:
            new = "f" * 32 in call.request.secrets
            return Answer(zego({"a": 1}, 1)) if new else fails("zego_rtc", 100000005)

        bench.vendor.answer = answer
        secret.write_text("f" * 32, encoding="utf-8")

        assert good.lists
        assert (Result.COMPLETE, {"a"}) == seen(await lister.refresh())
        assert 2 == len(bench.vendor.calls)


@in_virtual_time
async def test_codes_that_echo_a_secret_are_redacted() -> None:
    """
    What a vendor sends back of what it was sent stands in no error and no line of the log.
    """
    async with Bench() as bench:
        bench.vendor.answer = lambda call: fails("zego_rtc", asked(call)["Signature"])

        listing = await bench.lister.refresh()

        printed = f"{listing.error} {bench.log.lines}"
        assert "<redacted>" in printed
        assert not [call for call in bench.vendor.calls if asked(call)["Signature"] in printed]


@in_virtual_time
async def test_misconfigured_app() -> None:
    """
    What only a person can mend ends the pass at once.
    """
    async with Bench() as bench:
        bench.answers(fails("zego_rtc", 100000011))

        listing = await bench.lister.refresh()

        assert Result.FAILED is listing.result
        assert "misconfigured (100000011): ZEGO has no configuration for this app: check app_id" == listing.error
        assert 1 == len(bench.vendor.calls)


@pytest.mark.parametrize("code", [9, 100000007, 100000017])
@in_virtual_time
async def test_list_that_is_not_activated(code: int) -> None:
    """
    It is told once, and asked for again after an hour; then rooms are listed as if nothing had been.
    """
    async with Bench() as bench:
        bench.answers(fails("zego_rtc", code))
        for _ in range(100):
            listing = await bench.lister.refresh()
            assert (Result.UNSUPPORTED, set()) == seen(listing)
            assert "ask its support" in (listing.error or "")
            await asyncio.sleep(30)
            if bench.now < HOUR:
                assert 1 == len(bench.vendor.calls)

        assert ["rooms cannot be listed"] == [line.event for line in bench.warnings]
        bench.lists(["a"])
        await asyncio.sleep(HOUR)
        assert (Result.COMPLETE, {"a"}) == seen(await bench.lister.refresh())
        assert "rooms can be listed again" == bench.log.lines[-1].event


@in_virtual_time
async def test_region_without_a_list() -> None:
    """
    Where a region has no list, that is told once and without a call.
    """
    async with Bench("volcengine_rtc") as bench:
        lister = bench.another(region="ap-singapore-1")

        results = {(await lister.refresh()).result for _ in range(3)}

        assert {Result.UNSUPPORTED} == results
        assert ([], 1) == (bench.vendor.calls, len(bench.warnings))


@in_virtual_time
async def test_empty_list_is_read_twice() -> None:
    """
    A list that is suddenly empty is read once more before it is believed; one that is not empty then is.
    """
    async with Bench() as bench:
        bench.lists(named(11))
        await bench.lister.refresh()
        bench.answers(zego({}, 0), zego({"a": 1}, 1))
        assert (Result.COMPLETE, {"a"}) == seen(await bench.lister.refresh())

        bench.lists(named(11))
        await bench.lister.refresh()
        bench.answers(zego({}, 0))
        assert (Result.COMPLETE, set()) == seen(await bench.lister.refresh())
        assert 6 == len(bench.vendor.calls)

        await bench.lister.refresh()
        assert 7 == len(bench.vendor.calls)


@in_virtual_time
async def test_only_what_is_new_between_full_passes() -> None:
    """
    Volcengine is asked for a whole day once an hour, in between for what was created since the last pass. Such a pass
    names what is new, and says nothing of an absence, without an error.
    """
    async with Bench("volcengine_rtc") as bench:
        bench.answers(calls([("a", False)]))
        assert (Result.COMPLETE, {"a"}) == seen(await bench.lister.refresh())
        await asyncio.sleep(30)

        listing = await bench.lister.refresh()

        assert (Result.PARTIAL, {"a"}) == seen(listing)
        assert listing.error is None
        await asyncio.sleep(HOUR)
        assert Result.COMPLETE is (await bench.lister.refresh()).result
        starts = [asked(call)["StartTime"] for call in bench.vendor.calls]
        assert ["2023-11-13T22:13:20Z", "2023-11-14T22:12:20Z", "2023-11-13T23:13"] == [*starts[:2], starts[2][:16]]


@in_virtual_time
async def test_whole_lists_are_complete_each_time() -> None:
    """
    A list that cannot be asked for what is new is whole in every pass.
    """
    async with Bench("tencent_live") as bench:
        bench.answers(live(["a"]))

        assert [Result.COMPLETE] * 3 == [(await bench.lister.refresh()).result for _ in range(3)]


@in_virtual_time
async def test_pass_without_an_end() -> None:
    """
    A pass that takes longer than ten minutes ends with what it has.
    """
    async with Bench(rate_limit=0.1) as bench:
        bench.lists(named(50_000))

        listing = await bench.lister.refresh()

        assert Result.PARTIAL is listing.result
        assert "the pass took longer than 600 s" == listing.error
        assert LONGEST_PASS == pytest.approx(bench.now, abs=1)


@in_virtual_time
async def test_counts_are_handed_on_page_by_page() -> None:
    """
    With ``counts`` each page's users go on with the time of that page, marked as the list's; without, none do.
    """
    async with Bench(counts=True) as bench:
        bench.lists(named(300))
        await bench.lister.refresh()

        (first, early), (second, late) = bench.read
        assert (200, 100) == (len(first), len(second))
        assert Reading(3) == first["room-0"]
        assert early.monotonic < late.monotonic
        assert early.listed
    async with Bench(counts=False) as bench:
        bench.lists(named(300))
        await bench.lister.refresh()
        assert [] == bench.read


@pytest.mark.parametrize("api", ["tencent_im", "tencent_live", "volcengine_rtc"])
@in_virtual_time
async def test_lists_without_users_hand_on_nothing(api: str) -> None:
    """
    What other lists tell of users is none, whatever the config says.
    """
    async with Bench(api, counts=True) as bench:
        bench.answers(PAGES[api](["a"]))

        await bench.lister.refresh()

        assert [] == bench.read


@in_virtual_time
async def test_no_connection() -> None:
    """
    A vendor that cannot be reached fails the pass in words.
    """
    async with Bench() as bench:
        bench.vendor.unreachable = Failure(FailureKind.TRANSIENT, "connect", "refused")

        listing = await bench.lister.refresh()

        assert (Result.FAILED, "transient (connect): refused") == (listing.result, listing.error)
        assert bench.now > 1


@in_virtual_time
async def test_app_that_must_be_silent() -> None:
    """
    When Tencent stops checking an app's signatures, nobody calls with them for a minute, and a lister keeps to it.
    """
    async with Bench("tencent_im") as bench:
        other = bench.another()
        bench.answers(fails("tencent_im", 70050), PAGES["tencent_im"](["a"]))
        first = asyncio.create_task(bench.lister.refresh())
        await asyncio.sleep(2)

        await other.refresh()
        await first

        assert [60 <= later - bench.writes[0] < 63 for later in bench.writes[1:]] == [True, True]


@in_virtual_time
async def test_stop_in_the_middle_of_a_pass() -> None:
    """
    A lister that is stopped makes no further call, hands on nothing, and its pass ends as failed at once.
    """
    async with Bench(counts=True) as bench:
        bench.lists(named(2_000))
        under_way = asyncio.create_task(bench.lister.refresh())
        await asyncio.sleep(1.3)
        made, read = len(bench.vendor.calls), len(bench.read)
        assert made > 1

        await bench.lister.aclose()

        assert Result.FAILED is (await under_way).result
        await asyncio.sleep(10)
        assert (made, read) == (len(bench.vendor.calls), len(bench.read))
        assert Result.FAILED is (await bench.lister.refresh()).result
        assert not bench.app.healths


@in_virtual_time
async def test_refresh_that_is_cancelled() -> None:
    """
    Whoever cancels a refresh ends its pass: no further call is made.
    """
    async with Bench() as bench:
        bench.lists(named(2_000))
        under_way = asyncio.create_task(bench.lister.refresh())
        await asyncio.sleep(1.3)
        under_way.cancel()
        await asyncio.wait({under_way})
        made = len(bench.vendor.calls)
        await asyncio.sleep(10)

        assert made == len(bench.vendor.calls)
        assert Result.COMPLETE is (await bench.lister.refresh()).result


@in_virtual_time
async def test_reload_in_the_middle_of_a_pass() -> None:
    """
    A new limit holds for the rest of the pass; a new secret begins it anew.
    """
    async with Bench(rate_limit=2) as bench:
        bench.lists(named(4_000))
        under_way = asyncio.create_task(bench.lister.refresh())
        await asyncio.sleep(3)
        faster = replace(bench.settings, rate_limit=20.0, interval=7.0)
        bench.budget.change_limit(20.0)
        bench.lister.reconfigure(bench.config(), faster, bench.budget, bench.app, None)
        await asyncio.sleep(0.5)
        pages = [int(asked(call)["PageIndex"]) for call in bench.vendor.calls]
        assert pages == sorted(set(pages))
        assert 7.0 == bench.lister.interval

        bench.lister.reconfigure(bench.config(server_secret="f" * 32), faster, bench.budget, bench.app, None)

        assert (Result.COMPLETE, 4_000) == ((listing := await under_way).result, len(listing.rooms))
        begun = [call for call in bench.vendor.calls if asked(call)["PageIndex"] == "1"]
        assert [False, True] == ["f" * 32 in call.request.secrets for call in begun]


@in_virtual_time
async def test_reload_ends_what_is_held() -> None:
    """
    After a reload a list that was not activated is asked for at once.
    """
    async with Bench() as bench:
        bench.answers(fails("zego_rtc", 9), zego({"a": 1}, 1))
        await bench.lister.refresh()

        bench.lister.reconfigure(bench.config(), bench.settings, bench.budget, bench.app, None)

        assert Result.COMPLETE is (await bench.lister.refresh()).result


@in_virtual_time
async def test_source_without_a_list() -> None:
    """
    A lister of an API without a list is a mistake.
    """
    async with Bench() as bench:
        bench.api = "zego_zim"
        with pytest.raises(ValueError, match="zego_zim has no list"):
            bench.another()


@on_each_loop
async def test_pass_over_sockets() -> None:
    """
    Over real connections, which the vendor closes after every second reply, a pass asks for each page once.
    """
    rooms = named(700)
    pages: list[int] = []

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        page = int(dict(parse_qsl(server.requests[number].split()[1].decode()))["PageIndex"])
        pages.append(page)
        body = json.dumps(zego(dict.fromkeys(rooms[200 * page - 200 : 200 * page], 1), len(rooms))).encode()
        close = b"Connection: close\r\n" if page % 2 else b""
        await write(writer, b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (close, len(body), body))

    clock = Clock()
    budget = Budget("zego_rtc.list", 50.0, clock, Timer(clock, raised), since=clock.monotonic() - 2)
    settings = VendorListConfig(30.0, HOUR, 86_400.0, 50.0, "zego_rtc.list")
    async with serving(answer) as (server, base_url):
        lister = Lister(config_for(base_url), settings, budget, App(), Client, clock, LogLines())
        listing = await lister.refresh()
        await lister.aclose()

    assert (Result.COMPLETE, set(rooms)) == seen(listing)
    assert [1, 2, 3, 4] == pages


@in_virtual_time
async def test_pace_learns_from_replies() -> None:
    """
    Each reply tells the pace when its call arrived, and connections are kept ready as the list's own limit wants them.
    """
    async with Bench(rate_limit=4) as bench:
        bench.lists(named(600))
        bench.vendor.latency = lambda: 0.3
        await bench.lister.refresh()

        assert [True] * 3 == [call.answered for call in bench.budget.pacer._log]
        assert [(4, "zego_rtc.list")] == [(client.config.rate_limit, client.config.budget) for client in bench.clients]
        assert not bench.budget._bidders


@in_virtual_time
async def test_reply_after_the_stop_is_handed_to_nobody() -> None:
    """
    A reply that comes after the lister was stopped says nothing any more, but the pace hears that it was too fast.
    """
    async with Bench(counts=True) as bench:
        bench.lists(["a"])
        bench.vendor.latency = lambda: 2.0
        under_way = asyncio.create_task(bench.lister.refresh())
        await asyncio.sleep(2)
        bench.lister.stop()
        await asyncio.sleep(3)

        assert 1 == len(bench.vendor.calls)
        assert [] == bench.read
        assert Result.FAILED is (await under_way).result

        slow = bench.another()
        bench.answers(fails("zego_rtc", 206))
        under_way = asyncio.create_task(slow.refresh())
        await asyncio.sleep(1)
        slow.stop()
        await asyncio.sleep(3)
        assert bench.budget.pace < bench.budget.limit


@in_virtual_time
async def test_clock_that_is_off() -> None:
    """
    Where the clocks differ by an hour, a refused signature is made with the vendor's time, and spans of time are the
    vendor's.
    """
    async with Bench("volcengine_rtc") as bench:
        bench.vendor.clock_ahead = HOUR

        def answer(call: Call) -> Answer:
            known = call.request.headers["X-Date"] > "20231114T230000Z"
            return Answer(calls([])) if known else fails("volcengine_rtc", "InvalidTimestamp")

        bench.vendor.answer = answer

        assert Result.COMPLETE is (await bench.lister.refresh()).result
        await asyncio.sleep(30)
        await bench.lister.refresh()
        assert "2023-11-14T23:13" == asked(bench.vendor.calls[-1])["EndTime"][:16]


@in_virtual_time
async def test_pass_goes_on_with_another_budget() -> None:
    """
    A reload that gives the list another budget does not begin a pass anew: its other pages come from there.
    """
    async with Bench(rate_limit=2) as bench:
        bench.lists(named(2_000))
        under_way = asyncio.create_task(bench.lister.refresh())
        await asyncio.sleep(3)
        before = bench.budget.calls
        budget = Budget("other", 10, bench.clock, bench.timer)
        settings = replace(bench.settings, rate_limit=10.0, budget="other")

        bench.lister.reconfigure(bench.config(), settings, budget, bench.app, None)

        assert Result.COMPLETE is (await under_way).result
        assert (before, 10 - before) == (bench.budget.calls, budget.calls)
