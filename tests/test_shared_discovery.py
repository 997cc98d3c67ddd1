"""
Rooms that find themselves, in a cluster: one replica asks for them, and the next one knows what it knew.
"""

from __future__ import annotations

from typing import Any

import pytest

from exporter.model import Room, Thresholds
from exporter.rooms.roster import PREDECESSOR
from exporter.vendors.callbacks import Change, Hint
from tests.polling.vendor import TIMEOUT
from tests.polling.virtual_time import in_virtual_time
from tests.replicas import LEASE, Engine, Replica
from tests.test_discovery import HTTP_SD, World, im, published, roster

LISTED: dict[str, Any] = {"vendor_list": {"interval": "30s"}}


class Pair:
    """Two replicas in front of one world, the first of which began to poll."""

    def __init__(self, world: World, source: dict[str, Any], *, every_room: bool = False) -> None:
        self.engine = Engine()
        self.holder = Replica(self.engine, source, every_room=every_room, make_http_sd=world.backend)
        self.other = Replica(
            self.engine, source, every_room=every_room, make_http_sd=world.backend, vendor=self.holder.vendor
        )
        self.holder.vendor.answer = world.answer
        self.holder.vendor.users = lambda room: world.rooms.get(room, 0)

    async def __aenter__(self) -> tuple[Replica, Replica]:
        await self.holder.__aenter__()
        await self.holder.passes(0.1)
        await self.other.__aenter__()
        return self.holder, self.other

    async def __aexit__(self, *_: object) -> None:
        await self.other.__aexit__()
        await self.holder.__aexit__()


@in_virtual_time
async def test_only_the_holder_asks_for_rooms() -> None:
    """
    Lists and backends alike; the other replica knows the rooms of its config, and shows none.
    """
    world = World({"own": 1, "a": 5, "b": 6}, [Room("a")], ["b"])
    async with Pair(world, im({**HTTP_SD, **LISTED}, "own")) as (holder, other):
        await holder.passes(95)
        asked, lists = world.asked, [call for call in holder.vendor.calls if not call.rooms]

        assert {"own": 1, "a": 5, "b": 6} == published(holder)
        assert 4 == len(lists)
        assert 10 == asked
        assert {"own": None} == published(other)
        assert {} == await other.rooms("rtc_room_info")
        assert not [name for name, _ in await other.scrape() if name == "rtc_discovery_rooms"]


@pytest.mark.parametrize("ending", ["let go", "killed"])
def test_found_rooms_are_inherited_without_a_gap(ending: str) -> None:
    """
    While list and backend cannot be reached, and when they can be again; a room that has gone meanwhile goes as usual.
    """

    @in_virtual_time
    async def inherited() -> None:
        world = World({"own": 1, "a": 5, "b": 6, "c": 7}, [Room("a")], ["b", "c"])
        async with Pair(world, im({**HTTP_SD, **LISTED}, "own")) as (holder, other):
            await holder.passes(40)
            world.named = world.listed = None
            if ending == "let go":
                await holder.cluster.stop()
            else:
                holder.dies()
            del world.rooms["c"]
            await other.passes(LEASE + 1.1)

            everything = {"own": 1, "a": 5, "b": 6, "c": 7}
            assert everything.keys() == (await other.rooms("rtc_room_info")).keys() == (await other.rooms()).keys()

            await other.passes(300)
            assert {"own": 1, "a": 5, "b": 6, "c": 0} == published(other), "no list was read since the start"
            assert {PREDECESSOR} == {each.provider for each in roster(other).named("b")}

            world.named, world.listed = [Room("a", (("event", "launch"),))], ["b"]
            await other.passes(200)
            assert {"own": 1, "a": 5, "b": 6} == published(other)
            assert PREDECESSOR not in roster(other).registers
            assert (("event", "launch"),) == other.tables["tencent_im"].rooms_of(["a"])[0].labels

            world.named, world.listed, world.rooms = [], [], {"own": 1}
            await other.passes(200)
            assert {"own": 1} == published(other)

    inherited()


@in_virtual_time
async def test_an_inherited_room_that_nobody_names_is_judged_by_polls() -> None:
    """
    The list may lag, and callbacks tell once: a room that is there stays.
    """
    world = World({"a": 5, "hinted": 6}, listed=["a"])
    async with Pair(world, im(LISTED)) as (holder, other):
        await holder.passes(5)
        holder.exporter.sources.hinted("tencent_im", Hint("hinted", Change.CREATED))
        await holder.passes(30)
        assert {"a": 5, "hinted": 6} == published(holder)

        await holder.cluster.stop()
        await other.passes(200)
        assert {"a": 5, "hinted": 6} == published(other)
        assert [] == roster(other).named("hinted")

        del world.rooms["hinted"]
        await other.passes(100)
        assert {"a": 5} == published(other)


@in_virtual_time
async def test_a_room_that_the_operator_has_removed_meanwhile_goes() -> None:
    """
    Where only a backend names rooms, its first answer counts.
    """
    world = World({"a": 5, "b": 6}, [Room("a"), Room("b")])
    async with Pair(world, im(HTTP_SD)) as (holder, other):
        await holder.passes(15)
        world.named = [Room("a")]
        await holder.cluster.stop()
        await other.passes(3)

        assert {"a": 5} == published(other)


@in_virtual_time
async def test_who_loses_a_source_forgets_what_it_had_found() -> None:
    """
    When it comes back, only what is there by then is shown; nothing is counted twice.
    """
    world = World({"own": 1, "a": 5, "b": 6}, listed=["a", "b"])
    async with Pair(world, im(LISTED, "own")) as (holder, other):
        await holder.passes(20)
        await holder.cluster.let_go([*holder.cluster._until])
        holder.cluster.claims = False
        await other.passes(2)
        assert {"own"} == published(holder).keys()
        assert {"own", "a", "b"} == published(other).keys()

        del world.rooms["a"]
        world.listed = ["b"]
        await other.passes(150)
        other.cluster.claims, holder.cluster.claims = False, True
        await other.cluster.let_go([*other.cluster._until])
        await holder.passes(2)
        assert {"own": 1, "b": 6} == published(holder)
        discovery = holder.exporter.sources.running["tencent_im"].discovery
        assert discovery is not None
        assert {0} == set(discovery.figures().added.values())
        assert {0} == set(discovery.figures().dropped.values())


@in_virtual_time
async def test_every_replica_shows_found_rooms() -> None:
    """
    ``serve: all``: they come and go on both, and the next holder goes on with them.
    """
    world = World({"own": 1, "a": 5, "b": 6}, listed=["a", "b"])
    async with Pair(world, im(LISTED, "own"), every_room=True) as (holder, other):
        await holder.passes(20)
        assert {"own": 1, "a": 5, "b": 6} == published(holder) == published(other)

        del world.rooms["a"]
        world.listed = ["b"]
        await holder.passes(150)
        assert {"own": 1, "b": 6} == published(holder) == published(other)

        holder.dies()
        for _ in range(30):
            await other.passes(1)
            assert {"own", "b"} == (await other.rooms()).keys()
        assert {"own": 1, "b": 6} == published(other)


@in_virtual_time
async def test_who_hands_over_goes_on_showing_found_rooms() -> None:
    """
    ``serve: all``: what it had found is what the next one found, until that says that a room is gone.
    """
    world = World({"own": 1, "a": 5, "b": 6}, [Room("b")], listed=["a"])
    async with Pair(world, im({**LISTED, **HTTP_SD}, "own"), every_room=True) as (holder, other):
        await holder.passes(20)
        holder.cluster.claims = False
        await holder.cluster.let_go([*holder.cluster._until])
        for _ in range(20):
            await holder.passes(1)
            assert {"own": 1, "a": 5, "b": 6} == published(holder)
        assert {"own": 1, "a": 5, "b": 6} == published(other)

        world.listed, world.rooms = [], {"own": 1}
        world.named = []
        await holder.passes(150)
        assert {"own": 1} == published(holder) == published(other)


@in_virtual_time
async def test_a_callback_reaches_the_replica_that_polls() -> None:
    """
    Whichever replica the vendor calls back; what is none is dropped.
    """
    world = World({"found": 5}, listed=[])
    async with Pair(world, im({"vendor_list": {"interval": "10m"}})) as (holder, other):
        await holder.passes(20)
        other.exporter.sources.hinted("tencent_im", Hint("found", Change.CREATED, "session", 5.0))
        await other.passes(2)

        assert {"found": 5} == published(holder)
        assert {} == published(other)
        member = roster(holder)._members["found"]
        assert ("session", 5.0) == (member.session, member.last_event)
        readings = holder.cluster.readings
        (key,) = readings.sources(holder.pollers["tencent_im"].budget.name)
        readings.hint(key, "room", {"change": "of a later version"})
        readings.hint("nobody", "room", {"change": "created"})
        assert "room" not in roster(holder)


@in_virtual_time
async def test_a_pass_over_the_list_ends_with_the_budget() -> None:
    """
    No page is asked for any more, nothing of it counts, and the log has no warning.
    """
    world = World({"a": 5}, listed=["a"])
    async with Pair(world, im(LISTED)) as (holder, other):
        holder.vendor.latency = lambda: 3.0
        await holder.passes(30.5)
        other.cluster.claims = False
        await holder.cluster.stop()
        calls = len(holder.vendor.calls)
        await holder.passes(100)

        assert calls == len(holder.vendor.calls)
        assert [] == holder.lines("warning")
        assert {} == published(holder)


@in_virtual_time
async def test_a_reload_keeps_what_was_inherited() -> None:
    """
    The predecessor is no provider that a config can drop.
    """
    world = World({"own": 1, "a": 5}, listed=None)
    world.listed = ["a"]
    async with Pair(world, im(LISTED, "own")) as (holder, other):
        await holder.passes(20)
        world.listed = None
        await holder.cluster.stop()
        await other.passes(5)
        await other.load(im(LISTED, "own", interval="8s"))
        await other.passes(60)

        assert {"own": 1, "a": 5} == published(other)


@pytest.mark.parametrize("every_room", [False, True])
@pytest.mark.parametrize("ending", ["let go", "killed"])
def test_what_a_backend_says_of_rooms_is_inherited(ending: str, every_room: bool) -> None:
    """
    Labels and thresholds that it alone names are there with the readings, also of a room that was never read, and stay
    while it cannot be reached. Its first answer counts.
    """

    @in_virtual_time
    async def inherited() -> None:
        event = (("event", "launch"),)
        rooms = [Room("a", event, Thresholds(3, 9)), Room("never", event), Room("own", event, Thresholds(7))]
        world = World({"own": 1, "a": 5}, rooms, ["a"])
        source = im({**HTTP_SD, **LISTED, "drop_after": 2}, "own")
        async with Pair(world, source, every_room=every_room) as (holder, other):
            holder.vendor.answer = lambda call: TIMEOUT if call.rooms == ("never",) else world.answer(call)
            await holder.passes(40)
            described = [*holder.tables["tencent_im"].rooms_of(["a", "never", "own"])]
            assert rooms == described
            world.named = world.listed = None
            if ending == "let go":
                await holder.cluster.stop()
            else:
                holder.dies()
            for _ in range(100):
                await other.passes(1)
                if other.pollers["tencent_im"].budget.held or every_room:
                    assert described == other.tables["tencent_im"].rooms_of(["a", "never", "own"])
                    assert {"a"} == {*other.tables["tencent_im"].above}
            assert ["http_sd"] == [each.provider for each in roster(other).named("never")]
            assert {0} == set(roster(other).added.values())

            world.named = [Room("a", thresholds=Thresholds(3))]
            world.listed = ["a"]
            await other.passes(60)
            assert [Room("a", thresholds=Thresholds(3)), Room("own")] == sorted(
                other.tables["tencent_im"].rooms_of(other.tables["tencent_im"]), key=lambda room: room.id
            )

    inherited()


@in_virtual_time
async def test_every_replica_follows_what_a_backend_says() -> None:
    """
    ``serve: all``: labels come and change, and a room that only the list names any more loses them.
    """
    rooms = [Room("a", (("event", "launch"),), Thresholds(3))]
    world = World({"a": 5}, rooms, ["a"])
    async with Pair(world, im({**HTTP_SD, **LISTED}), every_room=True) as (holder, other):
        tables = [replica.tables["tencent_im"] for replica in (holder, other)]
        await holder.passes(15)
        assert 2 * rooms == [table.rooms_of("a")[0] for table in tables]

        world.named = rooms = [Room("a", (("event", "repeat"),))]
        await holder.passes(15)
        assert 2 * rooms == [table.rooms_of("a")[0] for table in tables]

        world.named = []
        await holder.passes(15)
        assert 2 * [Room("a")] == [table.rooms_of("a")[0] for table in tables]
        assert {"a": 5} == published(holder) == published(other)


@pytest.mark.parametrize("ending", ["let go", "killed"])
def test_a_callback_is_not_lost_with_the_replica_that_heard_it(ending: str) -> None:
    """
    The vendor calls back once. No poll has confirmed the room yet when the replica ends.
    """

    @in_virtual_time
    async def kept() -> None:
        world = World({"found": 5}, listed=None)
        async with Pair(world, im(HTTP_SD)) as (holder, other):
            await holder.passes(20)
            holder.vendor.answer = lambda _: TIMEOUT
            holder.exporter.sources.hinted("tencent_im", Hint("found", Change.CREATED, "session", 5.0))
            await holder.passes(1)
            assert {} == published(holder)
            if ending == "let go":
                await holder.cluster.stop()
            else:
                holder.dies()
            holder.vendor.answer = world.answer
            await other.passes(LEASE + 2)
            assert {"found": 5} == published(other)

    kept()


@in_virtual_time
async def test_an_unconfirmed_callback_is_forgotten_everywhere() -> None:
    """
    No poll has confirmed the room: the next replica does not ask for it again.
    """
    world = World({}, listed=None)
    async with Pair(world, im(HTTP_SD)) as (holder, other):
        await holder.passes(20)
        holder.exporter.sources.hinted("tencent_im", Hint("forged", Change.CREATED, "session", 5.0))
        await holder.passes(2)
        assert ["forged"] == [*other.cluster.engine.rooms["tencent_im@" + _key(holder)]]
        await holder.passes(120)
        calls = len(holder.vendor.calls)
        await holder.cluster.stop()
        await other.passes(60)

        assert {} == other.cluster.engine.rooms["tencent_im@" + _key(holder)]
        assert calls == len(holder.vendor.calls)


def _key(replica: Replica) -> str:
    (budget,) = replica.budgets
    return replica.cluster.readings.sources(budget)[0].partition("@")[2]


@in_virtual_time
async def test_a_removal_that_was_missed_is_made_up_for() -> None:
    """
    ``serve: all``: when everything is read anew, what the other replica does not watch any more goes; a room of the
    config stays.
    """
    world = World({"own": 1, "a": 5, "b": 6}, [Room("b")], listed=["a"])
    async with Pair(world, im({**LISTED, **HTTP_SD}, "own"), every_room=True) as (holder, other):
        await holder.passes(20)
        holder.cluster.claims = False
        await holder.cluster.let_go([*holder.cluster._until])
        await other.passes(5)
        key = "tencent_im@" + _key(holder)
        assert {"own": 1, "a": 5, "b": 6} == published(holder)

        holder.cluster.readings.follow_only(key, {"a"})
        other.cluster.readings.follow_only(key, set())
        assert {"own": 1, "a": 5} == published(holder)
        assert {"own": 1, "a": 5, "b": 6} == published(other)
