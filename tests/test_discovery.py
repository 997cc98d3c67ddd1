"""
Rooms find themselves, from the config to a scrape: the whole exporter in virtual time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from exporter.config.discovery import HttpSdConfig
from exporter.config.rooms import Defaults
from exporter.inquiry import Inquiry
from exporter.model import Failure, Room
from exporter.rooms.members import Life
from exporter.rooms.provider import Listing, Origin, Result
from exporter.rooms.roster import Roster
from exporter.vendors.callbacks import Change, Hint
from exporter.vendors.codec import RoomIdRule
from tests.polling.answers import BAD_GATEWAY, Answer
from tests.polling.house import House, source
from tests.polling.vendor import Call
from tests.polling.virtual_time import in_virtual_time

URL = "https://backend.example/rooms"
HTTP_SD: dict[str, Any] = {"http_sd": [{"url": URL}]}
MISSING = Answer({"ActionStatus": "FAIL", "ErrorCode": 10010, "ErrorInfo": ""})


@dataclass
class World:
    """What is really there, and what backend and list say of it."""

    rooms: dict[str, int] = field(default_factory=dict)
    named: list[Room] | None = field(default_factory=list)
    listed: list[str] | None = field(default_factory=list)
    asked: int = 0
    hangs: bool = False
    named_at: dict[str, list[Room] | None] = field(default_factory=dict)
    """By URL, where it is not ``named``."""

    def answer(self, call: Call) -> Answer | Failure | None:
        """The vendor's reply."""
        if call.rooms:
            return None if call.rooms[0] in self.rooms else MISSING
        if self.listed is None:
            return BAD_GATEWAY
        ids = [{"GroupId": room} for room in self.listed]
        return Answer({"ActionStatus": "OK", "ErrorCode": 0, "TotalCount": len(ids), "GroupIdList": ids, "Next": 0})

    def backend(
        self, config: HttpSdConfig, rule: RoomIdRule, defaults: Defaults, monotonic: Callable[[], float]
    ) -> Backend:
        """The provider of an http_sd endpoint."""
        return Backend(config, monotonic, self)


class Backend:
    """A backend that names rooms, without a network."""

    origin = Origin.HTTP_SD

    def __init__(self, config: HttpSdConfig, monotonic: Callable[[], float], world: World) -> None:
        self.name = config.name
        self.interval = config.refresh_interval
        self.closed = False
        self._url = config.url
        self._monotonic = monotonic
        self._world = world

    async def refresh(self) -> Listing:
        """Ask once."""
        self._world.asked += 1
        if self._world.hangs:
            await asyncio.sleep(1e6)
        named = self._world.named_at.get(self._url, self._world.named)
        if named is None:
            return Listing(Result.FAILED, self._monotonic(), error="found status 500; accepted: 200")
        return Listing(Result.COMPLETE, self._monotonic(), {room.id: room for room in named})

    async def aclose(self) -> None:
        """The end."""
        self.closed = True


def house(world: World, *sources: dict[str, Any]) -> House:
    """The exporter in front of this world."""
    made = House(*sources, make_http_sd=world.backend)
    made.vendor.answer = world.answer
    made.vendor.users = lambda room: world.rooms.get(room, 0)
    return made


def im(discovery: dict[str, Any] | None, *rooms: str, **keys: Any) -> dict[str, Any]:
    """One source of Tencent IM."""
    found = {"discovery": discovery} if discovery is not None else {}
    return source("tencent_im", rooms, **found, **keys)


def roster(of: House) -> Roster:
    """That of the only source."""
    discovery = of.exporter.sources.running["tencent_im"].discovery
    assert discovery is not None
    return discovery.roster


def published(of: House) -> dict[str, int | None]:
    """The rooms of a scrape, with their users."""
    table = of.tables["tencent_im"]
    return dict(zip(table, table.users_of(table), strict=True))


def added(of: House) -> dict[str, int]:
    """How many rooms were counted as found, by who named them."""
    figures = of.telemetry.discovery("tencent_im")
    assert figures
    return dict(figures.added)


@in_virtual_time
async def test_rooms_that_a_backend_names_come_and_go() -> None:
    """
    Within a refresh and a poll; labels arrive with them, and the config's own rooms stay.
    """
    world = World({"own": 1, "a": 5, "b": 7}, [Room("a", (("event", "launch"),))])
    async with house(world, im(HTTP_SD, "own")) as exporter:
        await exporter.passes(2)
        assert {"own": 1, "a": 5} == published(exporter)
        assert (("event", "launch"),) == exporter.tables["tencent_im"].rooms_of(["a"])[0].labels

        world.named = [Room("b")]
        await exporter.passes(11)
        assert {"own": 1, "b": 7} == published(exporter)
        assert {"own", "b"} == set(exporter.pollers["tencent_im"].planner._tickets)


@in_virtual_time
async def test_a_backend_that_fails_takes_no_room_away() -> None:
    """
    The log tells of it once, and once that it is well again.
    """
    world = World({"a": 5}, [Room("a")])
    async with house(world, im(HTTP_SD)) as exporter:
        await exporter.passes(5)
        world.named = None
        await exporter.passes(300)
        assert {"a": 5} == published(exporter)
        world.named = [Room("a")]
        await exporter.passes(20)

    lines = [line for line in exporter.log.lines if line.event.startswith("list ")]
    assert [("warning", "list not complete, the last one counts"), ("info", "list complete again")] == [
        (line.level, line.event) for line in lines
    ]


@in_virtual_time
async def test_a_list_that_fails_is_told_once() -> None:
    """
    One line when it begins, with the vendor's code and what it means, and one when it is over.
    """
    world = World({"a": 5}, listed=["a"])
    async with house(world, im({"vendor_list": {"interval": "30s"}})) as exporter:
        await exporter.passes(5)
        world.listed = None
        await exporter.passes(300)
        assert {"a": 5} == published(exporter)
        world.listed = ["a"]
        await exporter.passes(60)

    failed, well = [line for line in exporter.log.lines if "list" in line.values]
    assert ("list not complete, the last one counts", "vendor_list", 1) == (
        failed.event,
        failed.values["list"],
        failed.values["rooms"],
    )
    assert str(failed.values["error"]).startswith("transient (http_502): ")
    assert "list complete again" == well.event


@in_virtual_time
async def test_a_found_room_is_published_with_its_first_reading() -> None:
    """
    A candidate that the vendor does not know never shows, and its end is seen as missing before it is gone.
    """
    world = World({"a": 5}, listed=["a", "ghost"])
    async with house(world, im({"vendor_list": {"interval": "30s"}})) as exporter:
        await exporter.passes(3)
        assert {"a": 5} == published(exporter)
        assert Life.CANDIDATE is roster(exporter).life("ghost")

        world.rooms, world.listed = {}, []
        await exporter.passes(25)
        assert {"a": 0} == published(exporter)
        assert {"missing": 1} == exporter.states("tencent_im")

        await exporter.passes(80)
        assert {} == published(exporter)


@in_virtual_time
async def test_nothing_is_dropped_while_vendor_and_list_are_down() -> None:
    """
    Rooms turn unknown, and are there again with the first reply.
    """
    world = World({"a": 5, "b": 6}, listed=["a", "b"])
    async with house(world, im({"vendor_list": {"interval": "30s"}})) as exporter:
        await exporter.passes(5)
        exporter.vendor.answer = lambda _: BAD_GATEWAY
        await exporter.passes(1200)
        assert {"unknown": 2} == exporter.states("tencent_im")

        exporter.vendor.answer = world.answer
        await exporter.passes(90)
        assert {"a": 5, "b": 6} == published(exporter)


@in_virtual_time
async def test_a_callback_brings_a_room_at_once_and_its_end_next() -> None:
    """
    It is published by the poll that the callback causes.
    """
    world = World({"a": 5})
    async with house(world, im({"vendor_list": {"interval": "10m"}})) as exporter:
        await exporter.passes(5)
        exporter.exporter.sources.hinted("tencent_im", Hint("a", Change.CREATED))
        exporter.exporter.sources.hinted("tencent_im", Hint("forged", Change.CREATED))
        await exporter.passes(0.5)
        assert {"a": 5} == published(exporter)

        await exporter.passes(2)
        world.rooms = {}
        exporter.exporter.sources.hinted("tencent_im", Hint("a", Change.DESTROYED))
        await exporter.passes(0.5)
        assert {"missing": 1} == exporter.states("tencent_im")
        await exporter.passes(62)
        assert {} == published(exporter)
        assert set() == set(roster(exporter))


@in_virtual_time
async def test_an_idle_room_is_polled_rarely() -> None:
    """
    Every ``idle_interval`` once it was empty for ``idle_after``, and every interval again when somebody comes; what is
    known of it is published all the while.
    """
    world = World({"a": 0}, listed=["a"])
    discovery = {"vendor_list": {"interval": "30s"}, "idle_after": "60s", "idle_interval": "40s"}
    async with house(world, im(discovery)) as exporter:
        await exporter.passes(120)
        before = len([call for call in exporter.vendor.calls if call.rooms])
        for _ in range(80):
            await exporter.passes(5)
            assert {"fresh": 1} == exporter.states("tencent_im")
        assert 9 <= len([call for call in exporter.vendor.calls if call.rooms]) - before <= 11

        world.rooms = {"a": 3}
        await exporter.passes(50)
        before = len([call for call in exporter.vendor.calls if call.rooms])
        await exporter.passes(100)
        assert 9 <= len([call for call in exporter.vendor.calls if call.rooms]) - before <= 11


@in_virtual_time
async def test_found_rooms_with_a_cadence() -> None:
    """
    They are learnt like others, none is unknown while quiet ones wait for `longest`, and a callback makes its room
    important.
    """
    rooms = [f"room-{number:03}" for number in range(300)]
    world = World(dict.fromkeys(rooms, 0), listed=rooms)
    keys = {"cadence": {"longest": "120s"}, "rate_limit": 5}
    async with house(world, im({"vendor_list": {"interval": "30s"}}, **keys)) as exporter:
        await exporter.passes(120)
        for _ in range(60):
            world.rooms["room-007"] = round(exporter.now * 10) % 5000
            await exporter.passes(10)
            assert {"fresh": 300} == exporter.states("tencent_im")
        planner = exporter.pollers["tencent_im"].planner
        quiet = planner.own_interval("room-100")
        assert 10.0 == planner.own_interval("room-007") < 0.25 * quiet

        exporter.exporter.sources.hinted("tencent_im", Hint("room-100", Change.MEMBERS))
        await exporter.passes(30)
        assert planner.own_interval("room-100") < 0.5 * quiet


@in_virtual_time
async def test_a_reload_keeps_what_was_found() -> None:
    """
    Providers with the same config go on, without being asked anew; readings stay.
    """
    world = World({"own": 1, "a": 5, "b": 6}, [Room("a")], ["b"])
    discovery = {**HTTP_SD, "vendor_list": {"interval": "30s"}}
    async with house(world, im(discovery, "own")) as exporter:
        await exporter.passes(5)
        asked, kept = world.asked, roster(exporter)
        await exporter.load(im(discovery, "own", interval="5s"))
        assert {"own": 1, "a": 5, "b": 6} == published(exporter)
        assert (asked, kept) == (world.asked, roster(exporter))

        await exporter.load(im({**discovery, "exclude": ["b"]}, "own"))
        assert {"own": 1, "a": 5} == published(exporter)

        await exporter.load(im({"vendor_list": {"interval": "30s"}}, "own"))
        assert {"own": 1} == published(exporter)


@in_virtual_time
async def test_an_endpoint_keeps_its_rooms_whatever_its_number() -> None:
    """
    Others are added before it and removed, while it cannot be reached itself: its rooms stay, and only theirs go.
    """
    first, second, third = (f"https://backend.example/{number}" for number in range(3))
    world = World({"a": 1, "b": 2, "c": 3}, None)
    world.named_at = {first: [Room("a")], second: [Room("b")], third: [Room("c")]}

    def at(*urls: str) -> dict[str, Any]:
        return im({"http_sd": [{"url": url} for url in urls]})

    async with house(world, at(first, second)) as exporter:
        await exporter.passes(5)
        assert {"a": 1, "b": 2} == published(exporter)
        world.named_at[second] = None

        await exporter.load(at(second))
        await exporter.passes(12)
        assert {"b": 2} == published(exporter)

        await exporter.load(at(third, first, second))
        assert 2 == published(exporter)["b"]
        await exporter.passes(30)
        assert {"a": 1, "b": 2, "c": 3} == published(exporter)
        assert ["http_sd/3"] == [each.provider for each in roster(exporter).named("b")]

        await exporter.load(at(second, third))
        await exporter.passes(12)
        assert {"b": 2, "c": 3} == published(exporter)
        assert {"http_sd", "http_sd/2"} < roster(exporter).registers.keys()
        assert 4 == len(roster(exporter).registers)


@in_virtual_time
async def test_counters_do_not_go_down_when_an_endpoint_goes() -> None:
    """
    Or Prometheus would see a restart, and count everything anew.
    """
    world = World({"a": 1}, [Room("a")])
    first, second = ({"url": f"https://backend.example/{number}"} for number in range(2))
    async with house(world, im({"http_sd": [first, second]})) as exporter:
        await exporter.passes(25)
        await exporter.load(im({"http_sd": [second]}))
        discovery = exporter.exporter.sources.running["tencent_im"].discovery
        assert discovery is not None
        figures = discovery.figures()
        assert world.asked == figures.refreshes["http_sd", "complete"] > 4
        assert world.asked == figures.durations["http_sd"].buckets[-1][1]


@in_virtual_time
async def test_a_room_that_moves_from_the_config_to_a_file_keeps_its_reading() -> None:
    """
    And back: it is the operator's all the time.
    """
    world = World({"own": 1, "a": 5}, [Room("a")])
    with TemporaryDirectory() as folder:
        file = Path(folder) / "rooms.txt"
        file.write_text("own\n")
        async with house(world, im(HTTP_SD, "own")) as exporter:
            await exporter.passes(5)
            await exporter.load(im(HTTP_SD, rooms_files=[str(file)]))
            assert {"own": 1, "a": 5} == published(exporter)
            await exporter.load(im(HTTP_SD, "own"))
            assert {"own": 1, "a": 5} == published(exporter)


@in_virtual_time
async def test_rooms_are_incomplete_until_everybody_has_answered_and_been_polled() -> None:
    """
    After a start: a backend that is away, candidates without a poll. Then never again, whoever fails.
    """
    world = World({"a": 5, "b": 6}, None, ["b"])
    async with house(world, im({**HTTP_SD, "vendor_list": {"interval": "30s"}})) as exporter:
        inquiry = Inquiry(exporter.exporter.sources, "exporter.yml")
        await exporter.passes(5)
        assert "http_sd has not answered yet" == inquiry.incomplete("tencent_im")

        world.named = [Room("a")]
        await exporter.passes(12)
        assert {"a": 5, "b": 6} == published(exporter)
        assert inquiry.incomplete("tencent_im") is None

        world.named = world.listed = None
        await exporter.passes(120)
        assert inquiry.incomplete("tencent_im") is None
    world = World({}, [Room("a")], ["b"])
    async with house(world, im({"vendor_list": {"interval": "30s"}})) as exporter:
        inquiry = Inquiry(exporter.exporter.sources, "exporter.yml")
        exporter.vendor.answer = lambda call: BAD_GATEWAY if call.rooms else world.answer(call)
        await exporter.passes(5)
        assert "1 of them have not been polled yet" == inquiry.incomplete("tencent_im")
        await exporter.passes(60)
        assert inquiry.incomplete("tencent_im") is None


@in_virtual_time
async def test_discovery_is_switched_on_and_off_without_a_gap() -> None:
    """
    The config's own rooms keep their readings, and what was found goes with the key.
    """
    world = World({"own": 1, "other": 2, "a": 5}, [Room("a")])
    async with house(world, im(None, "own", "other")) as exporter:
        await exporter.passes(5)
        await exporter.load(im(HTTP_SD, "own"))
        assert 1 == published(exporter)["own"]
        assert "other" not in published(exporter)
        await exporter.passes(2)
        assert {"own": 1, "a": 5} == published(exporter)

        await exporter.load(im(None, "own"))
        assert {"own": 1} == published(exporter)
        asked = world.asked
        await exporter.passes(60)
        assert (asked, {"own": 1}) == (world.asked, published(exporter))


@in_virtual_time
async def test_another_app_is_another_set_of_rooms() -> None:
    """
    What was found belongs to the app that it was found in.
    """
    world = World({"a": 5}, listed=["a"])
    async with house(world, im({"vendor_list": {"interval": "30s"}})) as exporter:
        await exporter.passes(5)
        world.listed = []
        await exporter.load(im({"vendor_list": {"interval": "30s"}}, sdk_app_id=1400000001))
        await exporter.passes(5)
        assert {} == published(exporter)


@in_virtual_time
async def test_the_metrics_tell_of_discovery_and_only_where_there_is_some() -> None:
    """
    Who names how many, in which state they are, and what was not taken.
    """
    world = World({"a": 5}, [Room("a"), Room("x" * 49)], ["a", "ghost"])
    plain = {**im(None, "own"), "name": "plain"}
    async with house(world, im({**HTTP_SD, "vendor_list": {"interval": "30s"}, "max_rooms": 10}), plain) as exporter:
        await exporter.passes(5)
        exporter.telemetry.freeze(exporter.loop.time())
        families = exporter.telemetry.registry.collect()
        samples = {
            (each.name, frozenset(each.labels.items())): each.value for all_ in families for each in all_.samples
        }

    def of(name: str, **labels: str) -> float | None:
        own = {"vendor": "tencent", "api": "tencent_im", "source": "tencent_im"}
        return samples.get((name, frozenset({**own, **labels}.items())))

    assert 1 == of("rtc_discovery_rooms", origin="http_sd")
    assert 2 == of("rtc_discovery_rooms", origin="vendor_list")
    assert (1, 1) == (
        of("rtc_discovery_state_rooms", state="candidate"),
        of("rtc_discovery_state_rooms", state="active"),
    )
    assert 10 == of("rtc_discovery_rooms_limit")
    assert 1 == of("rtc_discovery_rooms_rejected_total", reason="invalid_id")
    assert 1 == of("rtc_discovery_refreshes_total", origin="vendor_list", result="complete")
    assert 0 == of("rtc_discovery_rooms_dropped_total", reason="missing")
    assert of("rtc_discovery_last_success_timestamp_seconds", origin="http_sd")
    assert of("rtc_discovery_interval_seconds", origin="http_sd")
    assert not [name for name, labels in samples if "discovery" in name and ("source", "plain") in labels]


@in_virtual_time
async def test_rooms_that_were_there_before_discovery_are_no_increase() -> None:
    """
    What a list names when it is first read is not counted as found; what it names later is.
    """
    world = World({"a": 5, "b": 5}, None, None)
    async with house(world, im(None, "own")) as exporter:
        await exporter.passes(30)
        await exporter.load(im({**HTTP_SD, "vendor_list": {"interval": "30s"}}, "own"))
        assert {"config": 0, "http_sd": 0, "vendor_list": 0} == added(exporter)
        world.named = [Room("a")]
        await exporter.passes(40)
        world.listed = ["a", "b"]
        await exporter.passes(60)
        assert {"config": 0, "http_sd": 0, "vendor_list": 0} == added(exporter)
        assert {"own", "a", "b"} == set(published(exporter))

        world.listed, world.named = ["a", "b", "c"], [Room("a"), Room("d")]
        await exporter.passes(60)
        assert {"config": 0, "http_sd": 1, "vendor_list": 1} == added(exporter)


@in_virtual_time
async def test_another_endpoint_is_no_increase() -> None:
    """
    A reload adds one: the rooms that its first list names were there before.
    """
    world = World({"a": 1, "b": 2, "c": 3})
    first, second = (f"https://backend.example/{number}" for number in range(2))
    world.named_at = {first: [Room("a")], second: [Room("b")]}
    async with house(world, im({"http_sd": [{"url": first}]})) as exporter:
        await exporter.passes(25)
        await exporter.load(im({"http_sd": [{"url": first}, {"url": second}]}))
        await exporter.passes(25)
        assert {"a": 1, "b": 2} == published(exporter)
        assert {"http_sd": 0} == added(exporter)

        world.named_at[second] = [Room("b"), Room("c")]
        await exporter.passes(25)
        assert {"http_sd": 1} == added(exporter)


@in_virtual_time
async def test_a_room_that_moves_to_another_endpoint_has_no_gap() -> None:
    """
    Though the endpoint that has it no longer is read before the one that has it now; and one that neither has goes as
    soon as both were asked.
    """
    world = World({"a": 1, "b": 2})
    first, second = (f"https://backend.example/{number}" for number in range(2))
    both = im({"http_sd": [{"url": first}, {"url": second, "refresh_interval": "20s"}]})
    world.named_at = {first: [Room("a"), Room("b")], second: []}
    async with house(world, both) as exporter:
        await exporter.passes(5)
        world.named_at[first] = []
        await exporter.passes(12)
        world.named_at[second] = [Room("a")]
        for _ in range(30):
            assert "a" in published(exporter)
            await exporter.passes(1)
        assert {"a": 1} == published(exporter)


@in_virtual_time
async def test_endpoints_that_change_their_addresses_keep_their_rooms() -> None:
    """
    Two become one at another address, and one becomes two: no room has a gap, whoever names it afterwards.
    """
    world = World({"a": 1, "b": 2, "c": 3})
    world.named = [Room("a"), Room("b")]

    def at(*numbers: int) -> dict[str, Any]:
        return im({"http_sd": [{"url": f"https://backend.example/{number}"} for number in numbers]})

    async with house(world, at(1, 2)) as exporter:
        await exporter.passes(5)
        for numbers in ((3,), (4, 5), (6, 7), (8,)):
            await exporter.load(at(*numbers))
            for _ in range(4):
                assert {"a": 1, "b": 2} == published(exporter)
                await exporter.passes(5)
        world.named = None
        await exporter.load(at(9))
        world.named_at["https://backend.example/9"] = [Room("b")]
        await exporter.passes(15)
        assert {"b": 2} == published(exporter)


@in_virtual_time
async def test_each_provider_tells_how_its_last_refresh_went() -> None:
    """
    Rooms that it names, when it last did, and why not since; and when an id was last rejected. A backend that fails
    keeps its rooms.
    """
    world = World({"a": 5, "b": 5}, [Room("a"), Room("b")], ["a"])
    keys = {**HTTP_SD, "vendor_list": {"interval": "30s"}, "max_rooms": 1}
    async with house(world, im(keys, "own")) as exporter:
        await exporter.passes(5)
        began = exporter.loop.time()
        well = exporter.telemetry.discovery("tencent_im")
        world.named = None
        await exporter.passes(60)
        failed = exporter.telemetry.discovery("tencent_im")
        ahead = exporter.exporter.clock.unix() - exporter.loop.time()

    assert well
    assert failed
    assert ["config", "http_sd", "vendor_list"] == [each.origin for each in well.providers]
    assert ["complete", "complete"] == [each.result for each in well.providers[1:]]
    assert [None, None] == [well.providers[0].interval, well.providers[0].result]
    http_sd = failed.providers[1]
    assert ("failed", "found status 500; accepted: 200") == (http_sd.result, http_sd.error)
    assert http_sd.last_success
    assert began > http_sd.last_success - ahead
    assert well.providers[1].rooms == http_sd.rooms
    assert 30 == failed.providers[2].interval
    assert failed.rejected_at["max_rooms"] - ahead >= began - 60
    assert exporter.telemetry.discovery("another") is None


@in_virtual_time
async def test_it_is_known_who_named_a_room_and_since_when() -> None:
    """
    For the view of a room.
    """
    world = World({"a": 5}, [Room("a")], ["a"])
    async with house(world, im({**HTTP_SD, "vendor_list": {"interval": "30s"}})) as exporter:
        await exporter.passes(5)
        origin = Inquiry(exporter.exporter.sources, "exporter.yml").origin("tencent_im", "a")

    assert origin is not None
    assert ("http_sd", ["http_sd", "vendor_list"]) == (str(origin), [each.provider for each in origin.named])
    assert all(0 <= exporter.clock.unix() - each.since <= 6 for each in origin.named)


@in_virtual_time
async def test_a_world_that_opens_and_closes_rooms_by_the_minute_is_followed() -> None:
    """
    With backend, list that lags and skips, and callbacks that are lost, late and forged: every room is published soon,
    and gone soon after its end; none that never was, and none that is there is missed in between.
    """
    chance = random.Random(7)
    world = World({"own": 1}, None, [])
    opened: dict[str, float] = {}
    closed: dict[str, float] = {}
    seen: dict[str, float] = {}
    gone: dict[str, float] = {}
    discovery = {"vendor_list": {"interval": "30s"}, "linger": "30s"}
    async with house(world, im(discovery, "own")) as exporter:
        sources = exporter.exporter.sources
        history: list[list[str]] = []
        for second in range(600):
            await exporter.passes(1)
            now = exporter.now
            if second % 3 == 0:
                room = f"room-{second}"
                opened[room], world.rooms[room] = now, chance.randrange(4)
                if chance.random() < 0.8:
                    sources.hinted("tencent_im", Hint(room, Change.CREATED, None, exporter.clock.unix()))
                sources.hinted("tencent_im", Hint(f"forged-{second}", Change.CREATED))
                if len(world.rooms) > 40:
                    ended = chance.choice([each for each in world.rooms if each != "own"])
                    del world.rooms[ended]
                    closed[ended] = now
                    if chance.random() < 0.8:
                        sources.hinted("tencent_im", Hint(ended, Change.DESTROYED, None, exporter.clock.unix()))
                sources.hinted("tencent_im", Hint(chance.choice([*world.rooms]), Change.DESTROYED))
            history.append([each for each in world.rooms if chance.random() < 0.97])
            world.listed = None if chance.random() < 0.2 else history[-min(len(history), 15)]
            shown = set(published(exporter))
            for each in shown - seen.keys():
                seen[each] = now
            for each in seen.keys() - shown - gone.keys():
                gone[each] = now
            assert "own" in shown
            assert not [each for each in shown if each.startswith("forged")]
            assert not [each for each in gone if each in world.rooms], "a room that is there was dropped"

    last = exporter.now - 120
    waits = [seen.get(room, 1e9) - at for room, at in opened.items() if at < last and closed.get(room, 1e9) > at + 60]
    goings = [gone.get(room, 1e9) - at for room, at in closed.items() if room in seen and at < last]
    assert 0.99 * len(waits) <= len([wait for wait in waits if wait <= 30 + 15 + 10])
    assert 0.7 * len(waits) <= len([wait for wait in waits if wait <= 3])
    assert 0.99 * len(goings) <= len([going for going in goings if going <= 30 + 20 + 2])
    assert len(goings) > 50


@in_virtual_time
async def test_the_lists_counts_are_readings_where_they_are_wanted() -> None:
    """
    From the first pass on, and rooms are then not polled besides.
    """
    listed = {"Code": 0, "Data": {"TotalCount": 1, "RoomList": [{"RoomId": "a", "UserCount": 7}]}}
    discovery = {"vendor_list": {"interval": "5s", "counts": "true"}}
    async with House(source("zego_rtc", [], discovery=discovery)) as exporter:
        exporter.vendor.answer = lambda call: None if call.rooms else Answer(listed)
        await exporter.passes(3)
        table = exporter.tables["zego_rtc"]
        assert [7] == table.users_of(["a"])
        figures = exporter.telemetry.discovery("zego_rtc")
        assert figures
        assert [True] == [each.counts for each in figures.providers]
        await exporter.passes(60)
        assert [7] == table.users_of(["a"])
        arrival = table.view("a", exporter.loop.time()).arrival
        assert arrival
        assert arrival.listed
        assert 2 >= len([call for call in exporter.vendor.calls if call.rooms])


@in_virtual_time
async def test_a_backend_with_another_address_is_asked_at_once() -> None:
    """
    Even if the one before does not answer.
    """
    world = World({"a": 5, "b": 6}, [Room("a")])
    async with house(world, im(HTTP_SD)) as exporter:
        await exporter.passes(5)
        world.hangs = True
        await exporter.passes(10)
        world.hangs, world.named = False, [Room("b")]
        await exporter.load(im({"http_sd": [{"url": URL + "/2", "refresh_interval": "1h"}]}))
        await exporter.passes(2)
        assert {"b": 6} == published(exporter)
