"""
Reloads: all or nothing, one at a time, and no number of one app is ever published as another's.
"""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import pytest
import trustme
from prometheus_client import generate_latest

from exporter.app import Exporter, WebOptions
from exporter.config import Config, ConfigError
from exporter.polling.poller import Poller
from exporter.reload import Reloads, Running
from exporter.rooms import FileState, RoomsFiles, scans
from exporter.states import SourceState
from exporter.vendors import APIS
from tests.polling.answers import BAD_GATEWAY, UNAUTHORIZED, Answer, always, fails
from tests.polling.house import CREDENTIALS, House, LogLines, named, source
from tests.polling.test_unauthorized import signed_with
from tests.polling.vendor import Call
from tests.polling.virtual_time import in_virtual_time, until

ANOTHER_APP: dict[str, dict[str, Any]] = {
    "zego_rtc": {"app_id": 42},
    "zego_zim": {"app_id": 42},
    "tencent_im": {"sdk_app_id": 42},
    "tencent_live": {"sdk_app_id": 42},
    "volcengine_rtc": {"app_id": "661f"},
    "janus_videoroom": {"admin_path": "/another"},
}
ANOTHER_ADDRESS = {"base_url": "https://elsewhere.example"}
CHANGES = [
    *ANOTHER_APP.items(),
    *[(api, ANOTHER_ADDRESS) for api in APIS],
    ("zego_rtc", {"is_test": "true"}),
    ("tencent_im", {"region": "singapore"}),
]


@pytest.mark.parametrize(("api", "keys"), CHANGES)
@in_virtual_time
async def test_another_app_begins_with_nothing(api: str, keys: dict[str, Any]) -> None:
    """
    A source that goes over to another app, environment or address and cannot read it yet publishes nothing, not even
    what a call to the old one brings that was under way.
    """
    lobby = f"{api}{{room}}"
    async with House(source(api, ["lobby"], interval="10s")) as house:
        house.vendor.rooms = ["lobby"]
        house.vendor.users = lambda room: 119
        await house.passes(5)
        assert [119] == house.tables[api].users_of(["lobby"]), lobby
        house.vendor.latency = lambda: 2.0
        await until(lambda: house.vendor.calls[-1].ended != house.vendor.calls[-1].ended, within=15)
        house.vendor.answer = always(BAD_GATEWAY)
        await house.load(source(api, ["lobby"], interval="10s", **keys))

        assert [None] == house.tables[api].users_of(["lobby"])
        await house.passes(10)
        assert [None] == house.tables[api].users_of(["lobby"])
        assert {"unknown": 1} == house.states(api)


@pytest.mark.parametrize("api", APIS)
@in_virtual_time
async def test_other_credentials_of_the_same_app_change_nothing_else(api: str) -> None:
    """
    A new secret, proxy or identifier: readings stay, and no room is read sooner or later than it would have been.
    """
    (secret,) = [name for name in CREDENTIALS[api] if "secret" in name]
    async with House(source(api, 20, interval="20s")) as house:
        await house.passes(30)
        calls = len(house.vendor.calls)
        await house.load(source(api, 20, interval="20s", proxy="http://proxy:3128", **{secret: "another"}))
        assert {"fresh": 20} == house.states(api)
        assert 20 * 3 == sum(house.tables[api].users_of(named(20)))  # type: ignore[arg-type]  # all of them are known
        await house.passes(0.5)
        assert calls == len(house.vendor.calls)

        await house.passes(60)
        assert 19 <= min(house.gaps(api))
        assert max(house.gaps(api)) <= 21
        assert house.clients[0].retired
        assert not house.clients[-1].retired


@in_virtual_time
async def test_rooms_that_have_series_change_without_a_gap() -> None:
    """
    A reload publishes the fullest room alone, and all of them again: readings, sums and user-seconds go on.
    """
    families = {"families": ["users", "user_seconds"]}
    async with House(source("zego_rtc", 20, **families)) as house:
        house.vendor.users = lambda room: 1 + int(room.removeprefix("room-"))
        await house.passes(25)
        table, published = house.tables["zego_rtc"], []
        for publish in ({"top": 1}, None):
            before = table.users, table.user_seconds, len(house.vendor.calls)
            await house.load(source("zego_rtc", 20, **families, **({"publish": publish} if publish else {})))
            assert table is house.tables["zego_rtc"]
            assert before == (table.users, table.user_seconds, len(house.vendor.calls))
            published.append(b"".join(b"".join(page.columns[0]) for page in table.snapshot()).count(b"\n"))
            await house.passes(0.2)

    assert [1, 20] == published
    assert 0 < (table.user_seconds or 0)


@in_virtual_time
async def test_other_thresholds_of_all_rooms_publish_no_more_rooms() -> None:
    """
    A reload that changes what all rooms have: nothing of it is a room's own, so nobody gets or loses series meanwhile.
    A room that keeps what was everybody's has something of its own from then on.
    """
    keeps: Any = {"id": "keeps", "thresholds": {"warning": 800}}
    keys: dict[str, Any] = {"rooms": [*named(2000), keeps], "publish": {"top": 5}}
    async with House(source("zego_rtc", thresholds={"warning": 800}, **keys)) as house:
        house.vendor.users = lambda room: 99 if room < "room-00005" else 3
        await house.passes(40)
        table = house.tables["zego_rtc"]
        before = table.published, table.published_changes()
        await house.load(source("zego_rtc", thresholds={"warning": 900}, labels={"team": "x"}, **keys))

        assert 5 == before[0]
        assert (6, before[1]["began"] + 1, before[1]["ceased"]) == (
            table.published,
            *table.published_changes().values(),
        )
        assert table.view("keeps", 0.0).published


@in_virtual_time
async def test_mended_secret_is_tried_at_once_and_logged() -> None:
    """
    A reload that brings the right secret need not wait for the next trial, and the log says that all is well again.
    """
    async with House(source("zego_rtc", 10)) as house:
        house.vendor.answer = always(fails("zego_rtc", UNAUTHORIZED["zego_rtc"]))
        await house.passes(10)
        assert SourceState.UNAUTHORIZED == house.state("zego_rtc")
        house.vendor.answer = lambda call: None
        await house.load(source("zego_rtc", 10, server_secret="right"))
        await house.passes(1)

        assert SourceState.OK == house.state("zego_rtc")
        assert {"fresh": 10} == house.states("zego_rtc")
        assert "calls recovered" in [line.event for line in house.lines("info")]


@pytest.mark.parametrize("error", [OSError("a file that was there a moment ago"), KeyError("bug"), MemoryError()])
@in_virtual_time
async def test_whatever_goes_wrong_before_the_swap_changes_nothing(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The old config goes on whole, the failed reload is logged and counted, and the next one succeeds.
    """
    before = [source("zego_rtc", 10), source("zego_zim", 10)]
    after = [source("zego_rtc", 20, app_id=7), source("tencent_im", 10), source("volcengine_rtc", 5)]
    async with House(*before) as house:
        await house.passes(15)
        make = house._make_client
        monkeypatch.setattr(house.exporter.sources, "_make_client", failing_after(1, make, error))
        house._sources = tuple(after)
        reason = await house.exporter.reloads.ask()
        assert reason is not None
        assert {"zego_rtc", "zego_zim"} == house.pollers.keys() == house.telemetry.sources.keys() == house.tables.keys()
        assert kept(house)
        await house.passes(30)
        assert {"fresh": 10} == house.states("zego_rtc") == house.states("zego_zim")
        assert 10.6 >= max(house.gaps("zego_rtc"))

        monkeypatch.setattr(house.exporter.sources, "_make_client", make)
        await house.load(*after)
        assert not kept(house)
        await house.passes(30)
        assert {"fresh": 20} == house.states("zego_rtc")
        assert {"fresh": 10} == house.states("tencent_im")
        assert house.pollers.keys() == house.telemetry.sources.keys() == house.tables.keys()
        house.jobs.errors.clear()
        house.expected_errors = 1


def kept(house: House) -> bool:
    """Whether an older config is in use than the file's."""
    return house.telemetry.config_kept


def failing_after(calls: int, make: Any, error: Exception) -> Any:
    """Makes so many clients, then fails."""
    made = 0

    def make_or_fail(*arguments: Any) -> Any:
        nonlocal made
        made += 1
        if made > calls:
            raise error
        return make(*arguments)

    return make_or_fail


@in_virtual_time
async def test_error_of_one_source_keeps_no_other_from_changing_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    In the middle of the swap one source raises: every other one is polled as the new config says, and removed ones are
    gone.
    """
    names = ("gone", "broken", "tuned")
    sources = [source("zego_zim", 10, name=name, app_id=number) for number, name in enumerate(names, start=1)]
    async with House(*sources) as house:
        await house.passes(15)
        for name in ("gone", "broken"):
            step = "stop" if name == "gone" else "reconfigure"
            monkeypatch.setattr(house.pollers[name], step, failing_after(0, None, LookupError(name)))
        new = source("zego_zim", 10, name="new", app_id=4)
        await house.load(sources[1], {**sources[2], "interval": "5s", "rooms": named(30)}, new)
        await house.passes(40)

        assert {"broken", "tuned", "new"} == house.tables.keys() == house.telemetry.sources.keys()
        assert {"fresh": 30} == house.states("tuned")
        assert {"fresh": 10} == house.states("new") == house.states("broken")
        assert 5.3 >= max(house.gaps("tuned", since=25))
        assert ["gone", "broken"] == [str(error.args[0]) for error in house.jobs.errors]
        house.jobs.errors.clear()
        house.expected_errors = 2


@in_virtual_time
async def test_source_that_comes_back_polls_again() -> None:
    """
    Removed, added, removed and added: no ghost of it stays, and it is polled each time.
    """
    both = source("zego_rtc", 10), source("zego_zim", 10)
    async with House(*both) as house:
        for _ in range(3):
            await house.load(both[0])
            assert {"zego_rtc"} == house.tables.keys() == house.telemetry.sources.keys()
            assert {"zego_rtc:1234567890"} == house.telemetry.budgets.keys()
            await house.passes(2)
            await house.load(*both)
            await house.passes(4)
            assert {"fresh": 10} == house.states("zego_zim")


@in_virtual_time
async def test_newest_rooms_win_whoever_brings_them(tmp_path: Path) -> None:
    """
    A rooms file of thousands of rooms, a config and signals at the same moment: what is watched in the end is what the
    files say in the end, and all who show rooms agree at every moment.
    """
    file = tmp_path / "rooms.txt"
    many = named(3_000, prefix="old")
    file.write_text("\n".join(many))
    config = source("tencent_im", ["lobby"], rooms_files=["rooms.txt"])
    async with House(config, folder=tmp_path) as house:
        await house.passes(3)
        assert 3_001 == len(house.tables["tencent_im"])
        running = house.exporter.sources.running["tencent_im"]
        rooms = named(2_000, prefix="new")
        file.write_text("\n".join(rooms))
        scan = asyncio.create_task(house.exporter._scan())
        reloads = [house.exporter.reloads.begin() for _ in range(20)]
        house._sources = ({**config, "rooms": ["lobby", "stage"]},)
        while not (scan.done() and all(task.done() for task in reloads)):
            table = house.tables["tencent_im"]
            assert set(table) == running.watchlist.rooms.keys() == set(running.poller.planner._tickets)
            assert len(table) == len(table.users_of(table)) == len(table.states_of(table))
            await asyncio.sleep(0)

        assert {"lobby", "stage", *rooms} == set(house.tables["tencent_im"])
        await house.passes(4)
        assert {"lobby", "stage", *rooms} == set(house.tables["tencent_im"])


@in_virtual_time
async def test_higher_limit_is_used_at_once() -> None:
    """
    From one call a second to 200, with replies after 100 ms: connections are no bottleneck.
    """
    async with House(source("tencent_im", 4000, rate_limit=1, max_staleness="2m")) as house:
        house.vendor.latency = lambda: 0.1
        await house.passes(10)
        await house.load(source("tencent_im", 4000, rate_limit=200, max_staleness="2m"))
        await house.passes(2)
        since = house.now
        await house.passes(10)

        assert 0.97 * 200 * 10 <= len(house.writes(since=since))
        assert not house.failed("tencent_im")


@in_virtual_time
async def test_rotated_ca_file_is_used_after_a_reload(tmp_path: Path) -> None:
    """
    The path is the same, the certificates are not: connections are made anew, with what the file holds now.
    """
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    config = source("zego_rtc", 10, base_url="https://vendor.example", ca_file="ca.pem")
    async with House(config, folder=tmp_path) as house:
        await house.passes(3)
        await house.load(config)
        assert 1 == len(house.clients)
        trustme.CA().cert_pem.write_to_path(str(file))
        await house.load(config)

        assert 2 == len(house.clients)
        first, second = [client.config.source.ca_file for client in house.clients]
        assert first != second
        assert second is not None
        assert file.read_text() == second.pem
        assert {"fresh": 10} == house.states("zego_rtc")


@in_virtual_time
async def test_rotated_ca_file_is_used_by_the_next_trial(tmp_path: Path) -> None:
    """
    Whoever mends the file need not reload.
    """
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    config = source("zego_rtc", 10, base_url="https://vendor.example", ca_file="ca.pem")
    async with House(config, folder=tmp_path) as house:
        house.vendor.answer = always(Answer(b"", 404))
        await house.passes(10)
        assert SourceState.MISCONFIGURED == house.state("zego_rtc")
        trustme.CA().cert_pem.write_to_path(str(file))
        house.vendor.answer = lambda call: None if len(house.clients) > 1 else BAD_GATEWAY
        await house.passes(62)

        assert 2 == len(house.clients)
        assert SourceState.OK == house.state("zego_rtc")


@in_virtual_time
async def test_changed_budget_and_app_hold_at_once() -> None:
    """
    A source goes over to another budget and another access key: its rooms stay, and both limits are kept.
    """
    one = source("volcengine_rtc", 600, name="one", max_staleness="2m")
    two = source("volcengine_rtc", 600, name="two", max_staleness="2m")
    async with House(one, two) as house:
        await house.passes(20)
        moved = {**two, "budget": "own", "access_key_id": "AKLT2"}
        await house.load(one, moved)
        assert {"one", "two"} == house.pollers.keys()
        assert {"volcengine_rtc", "own"} == house.budgets.keys() == house.telemetry.budgets.keys()
        assert "own" == house.telemetry.sources["two"].budget
        await house.passes(3)
        since = house.now
        await house.passes(20)

        assert all(0.97 * 40 * 20 <= len(house.writes(name, since=since)) for name in ("one", "two"))
        house.vendor.answer = lambda call: cool_down(call) if call.source == "one" else None
        await house.passes(10)
        assert SourceState.OK == house.state("two")


def cool_down(call: Call) -> Answer:
    """An answer after which an app is unauthorized."""
    return fails(call.api, UNAUTHORIZED[call.api])


@pytest.mark.parametrize(("new", "calls"), [({"budget": "new"}, 0), ({"budget": "new", "app_id": 7}, 50)])
@in_virtual_time
async def test_budget_that_is_renamed_keeps_its_silence(new: dict[str, Any], calls: int) -> None:
    """
    A pause that the vendor asked for also counts under the budget's new name, but not if the source has another app.
    """
    one = source("zego_rtc", 500, name="one", budget="old", rate_limit=5)
    wait = fails("zego_rtc", 206, 429, {"Retry-After": "60"})
    async with House(one) as house:
        await house.passes(5)
        house.vendor.answer = always(wait)
        await house.passes(2)
        house.vendor.answer = lambda call: None
        await house.load({**one, **new})
        since = house.now
        await house.passes(50)

        assert {"new"} == house.budgets.keys()
        assert "new" == house.budgets["new"].name
        assert calls <= len(house.writes(since=since))
        assert bool(calls) == bool(house.writes(since=since))


@in_virtual_time
async def test_trial_that_is_under_way_at_a_reload_tells_nothing_of_the_new_secret() -> None:
    """
    It was signed with the old one: when it has failed, the next trial leaves at once.
    """
    async with House(source("zego_rtc", 10, server_secret="0ld")) as house:
        house.vendor.latency = lambda: 3.0
        house.vendor.answer = signed_with("n3w")
        await house.passes(5)
        assert SourceState.UNAUTHORIZED == house.state("zego_rtc")
        assert house.vendor.calls[-1].ended != house.vendor.calls[-1].ended, "a trial is under way"
        await house.load(source("zego_rtc", 10, server_secret="n3w"))
        await house.passes(6)

        assert SourceState.OK == house.state("zego_rtc")


@in_virtual_time
async def test_shorter_interval_holds_within_one_interval() -> None:
    """
    Rooms that were read once an hour are read within ten seconds, those that are asked alone as well.
    """
    async with House(source("zego_zim", 5, interval="1h"), source("zego_rtc", 1, interval="1h")) as house:
        house.vendor.answer = lambda call: fails("zego_rtc", 104) if call.api == "zego_rtc" else None
        await house.passes(60)
        await house.load(source("zego_zim", 5, interval="10s"), source("zego_rtc", 1, interval="10s"))
        since = house.loop.time()
        await house.passes(35)

        for name in ("zego_zim", "zego_rtc"):
            for moments in house.arrivals_of(name).values():
                assert 3 <= len([moment for moment in moments if moment > since]), name


@in_virtual_time
async def test_source_that_an_error_kept_from_starting_starts_at_the_next_reload(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    Whatever goes wrong between the swap and a source's start, neither it nor another source is left behind.
    """
    zego = source("zego_rtc", 10)
    async with House(zego) as house:
        await house.passes(5)
        monkeypatch.setattr("exporter.reload.budget_loads", failing_after(0, None, ZeroDivisionError()))
        await house.load(zego, source("zego_zim", 10))
        monkeypatch.undo()
        await house.passes(5)
        assert {"fresh": 10} == house.states("zego_zim")

        monkeypatch.setattr(Poller, "start", failing_after(0, None, KeyError("bug")))
        await house.load(zego, source("tencent_im", 10))
        monkeypatch.undo()
        await house.load(zego, source("tencent_im", 10))
        await house.passes(5)
        assert {"fresh": 10} == house.states("tencent_im")
        house.expected_errors = len(house.jobs.errors)
        house.jobs.errors.clear()


@in_virtual_time
async def test_nothing_is_reloaded_once_the_end_has_begun() -> None:
    """
    A signal that comes while running calls end starts no source that nobody would stop again.
    """
    house = House(source("zego_rtc", 10))
    await house.exporter.start()
    await house.passes(5)
    house.vendor.latency = lambda: 30.0
    await house.passes(8)
    stopping = asyncio.create_task(house.exporter.stop())
    await house.passes(0.1)
    calls = len(house.vendor.calls)
    house._sources = (source("zego_rtc", 10), source("zego_zim", 10))
    house.exporter.reload_soon()
    await stopping
    await house.passes(5)

    assert calls == len(house.vendor.calls)
    assert 1 == len(house.clients)


@in_virtual_time
async def test_rejection_that_comes_after_its_source_was_removed_is_heeded() -> None:
    """
    The source is gone; the vendor's limit, which others draw on, is not.
    """
    gone = source("zego_rtc", 500, name="gone", budget="shared", rate_limit=5)
    stays = source("zego_rtc", 500, name="stays", budget="shared", rate_limit=5, app_id=7)
    wait = fails("zego_rtc", 206, 429, {"Retry-After": "60"})
    async with House(gone, stays) as house:
        await house.passes(5)
        house.vendor.latency = lambda: 1.0
        house.vendor.answer = lambda call: wait if call.source == "gone" else None
        await house.passes(0.9)
        await house.load(stays)
        await house.passes(2)
        since = house.now
        await house.passes(50)

        assert not house.writes(since=since)


@in_virtual_time
async def test_file_that_is_read_too_late_opens_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A rotated CA file is still being read when its source is removed: nobody would close what it opened.
    """

    async def slowly(work: Any, *arguments: Any) -> Any:
        await asyncio.sleep(2)
        return work(*arguments)

    authority = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(authority)
    one, two = source("zego_rtc", 10, ca_file="ca.pem"), source("zego_zim", 1)
    async with House(one, two, folder=tmp_path) as house:
        house.vendor.answer = lambda call: fails("zego_rtc", 100000011) if call.api == "zego_rtc" else None
        await house.passes(5)
        monkeypatch.setattr("exporter.polling.signing.in_thread", slowly)
        trustme.CA().cert_pem.write_to_path(authority)
        tending = asyncio.create_task(house.pollers["zego_rtc"].maintain())
        await house.passes(1)
        await house.load(two)
        await tending

        assert 2 == len(house.clients)


async def test_reloads_share_the_next_one() -> None:
    """
    One runs, one waits for everybody who asked meanwhile; what is asked for once that one runs is a third.
    """
    runs: list[asyncio.Future[str | None]] = []

    async def reload() -> str | None:
        runs.append(asyncio.get_running_loop().create_future())
        return await runs[-1]

    reloads = Reloads(reload)
    first = asyncio.create_task(reloads.ask())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [asyncio.create_task(reloads.ask()) for _ in range(1_000)]
    await asyncio.sleep(0)
    assert 1 == len(runs)
    runs[0].set_result(None)
    assert await first is None
    for _ in range(5):
        await asyncio.sleep(0)
    assert 2 == len(runs)
    later = asyncio.create_task(reloads.ask())
    await asyncio.sleep(0)
    runs[1].set_result("a bad config")
    assert {"a bad config"} == set(await asyncio.gather(*rest))
    for _ in range(5):
        await asyncio.sleep(0)
    assert 3 == len(runs)
    runs[2].set_result(None)
    assert await later is None


async def test_config_that_was_asked_for_while_the_first_is_read_wins(tmp_path: Path) -> None:
    """
    The file changes and a signal comes while the first config is still being read: the newer one holds in the end.
    """
    began, go_on = threading.Event(), threading.Event()
    texts = iter(["first", "second"])
    loaded = []

    def load() -> Config:
        name = next(texts)
        if name == "first":
            began.set()
            go_on.wait(10)
        loaded.append(name)
        return Config(tmp_path, ())

    exporter = Exporter(load, "exporter.yml", WebOptions("127.0.0.1:0"), LogLines())
    starting = asyncio.create_task(exporter.start())
    await asyncio.to_thread(began.wait, 10)
    reload = exporter.reloads.begin()
    await asyncio.sleep(0.05)
    go_on.set()
    await starting
    await reload
    await exporter.stop()

    assert ["first", "second"] == loaded


@pytest.mark.parametrize("at_start", [True, False])
async def test_end_waits_for_no_file(tmp_path: Path, at_start: bool) -> None:
    """
    A config on a dead mount, at the start or at a reload: who wants the end gets it.
    """
    hanging = threading.Event()

    def load() -> Config:
        if at_start or loads:
            hanging.wait(20)
        loads.append(1)
        return Config(tmp_path, ())

    loads: list[int] = []
    exporter = Exporter(load, "exporter.yml", WebOptions("127.0.0.1:0"), LogLines())
    async with asyncio.timeout(5):
        starting = asyncio.create_task(exporter.start())
        if at_start:
            await asyncio.sleep(0.05)
            starting.cancel()
            await asyncio.wait({starting})
        else:
            await starting
            exporter.reload_soon()
            await asyncio.sleep(0.05)
        await exporter.stop()
    hanging.set()


async def test_files_that_hang_hold_up_no_reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    One source's rooms file is on a dead mount: a reload brings another source, and the first keeps its list, which is
    told to be old until the file answers.
    """
    answer = threading.Event()
    scan = RoomsFiles.scan

    def hang(files: RoomsFiles) -> bool:
        if files._config.name == "zego_rtc" and len(house_sources) > 1:
            answer.wait(20)
        return scan(files)

    monkeypatch.setattr(RoomsFiles, "scan", hang)
    monkeypatch.setattr(scans, "_HANGS_AFTER", 0.2)
    monkeypatch.setattr(scans, "_LOOK", 0.01)
    path = tmp_path / "rooms.txt"
    path.write_text("stage\n")
    house_sources = [source("zego_rtc", 1, rooms_files=["rooms.txt"])]
    async with House(*house_sources, folder=tmp_path) as house, asyncio.timeout(15):
        house_sources.append(source("zego_zim", 2))
        for _ in range(2):
            await house.load(*house_sources)
            assert ["room-00000", "stage"] == list(house.tables["zego_rtc"])
            assert ["room-00000", "room-00001"] == list(house.tables["zego_zim"])
            assert {str(path): False} == house.telemetry.rooms_files
        answer.set()
        while house.telemetry.rooms_files != {str(path): True}:
            await house.exporter._scan()
            await asyncio.sleep(0.01)

        told = [line.event for line in house.log.lines if line.event.startswith("rooms files")]
        assert ["rooms files hang", "rooms files answer again"] == told


@in_virtual_time
async def test_file_whose_name_is_no_text_spoils_no_scrape(tmp_path: Path) -> None:
    """
    A name of other bytes than UTF-8 is a label with stand-ins.
    """
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/chambre-\xe9.txt"))
    path.write_text("stage\n")  # noqa: ASYNC240  # a file of this test
    async with House(source("zego_rtc", 1, rooms_files=["*.txt"]), folder=tmp_path) as house:
        await house.passes(1)
        house.telemetry.freeze(house.loop.time())
        text = generate_latest(house.telemetry.registry).decode()

    assert rf'rtc_rooms_file_last_reload_successful{{file="{tmp_path}/chambre-\\xe9.txt"}} 1.0' in text


async def test_bad_config_is_told_and_the_old_one_kept(tmp_path: Path) -> None:
    """
    Whoever asked hears why, in the words of the config's problems.
    """

    def load() -> Config:
        if loads:
            raise ConfigError(["exporter.yml:3: found nothing; accepted: a name"])
        loads.append(1)
        return Config(tmp_path, ())

    loads: list[int] = []
    log = LogLines()
    exporter = Exporter(load, "exporter.yml", WebOptions("127.0.0.1:0"), log)
    await exporter.start()
    reason = await exporter.reloads.ask()
    await exporter.stop()

    assert "exporter.yml:3: found nothing; accepted: a name" == reason
    assert [reason] == [line.values["error"] for line in log.lines if line.level == "warning"]
    assert exporter.telemetry.config_kept


@in_virtual_time
async def test_thousands_of_rooms_files_are_told_of_once_each() -> None:
    """
    What follows from 5,000 files takes 5,000 steps, not as many squared.
    """
    looks = 0

    class Counted:
        """A file's state that counts how often it is looked at."""

        error = warning = gone_with = None

        @property
        def ok(self) -> bool:
            nonlocal looks
            looks += 1
            return True

    async with House(source("zego_rtc", 1)) as house:
        running: Running = house.exporter.sources.running["zego_rtc"]
        files = {f"rooms/{number}.txt": cast(FileState, Counted()) for number in range(5_000)}
        running.files.files = MappingProxyType(files)
        looks = 0
        await house.exporter.sources.follow_files()

        assert 5_000 == len(house.telemetry.rooms_files)
        assert 5_000 == looks


@in_virtual_time
async def test_rooms_that_cannot_be_taken_over_are_the_matter_of_their_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An error while one source's rooms come: the others have theirs, and everybody is polled.
    """
    async with House(source("zego_rtc", 10), source("zego_zim", 10)) as house:
        await house.passes(3)
        planner = house.pollers["zego_rtc"].planner
        monkeypatch.setattr(planner, "watch", failing_after(0, None, KeyError("bug")))
        await house.load(source("zego_rtc", 20), source("zego_zim", 20))
        await house.passes(15)

        assert {"fresh": 20} == house.states("zego_zim")
        assert 10 <= house.states("zego_rtc")["fresh"]
        assert {"source: zego_rtc"} == {note for error in house.jobs.errors for note in error.__notes__}
        house.expected_errors = len(house.jobs.errors)
        house.jobs.errors.clear()
