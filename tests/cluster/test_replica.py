"""
Whole replicas in virtual time: budgets and readings change hands.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from exporter.clock import Clock
from exporter.cluster.deadman import Deadman
from exporter.cluster.exchange import EngineError
from exporter.cluster.protocols import Record
from exporter.cluster.readings import pack
from exporter.cluster.replica import Replica, config_hash
from exporter.config import Config, ConfigError, parse
from exporter.metrics.cluster_stats import Exchanged, Gained, Lost
from exporter.model import Reading
from tests.cluster.fakes import FakeEngine, FakeServer, FakeSources
from tests.config.configs import ENV, text
from tests.polling.house import LogLines
from tests.polling.virtual_time import in_virtual_time, until

LEASE = 5.0


class Timer(Deadman):
    """In the place of the kernel's timer: when it would end the process."""

    def __init__(self) -> None:
        self.ends_at: float | None = None

    def arm(self, seconds: float) -> None:
        """See ``Deadman``."""
        self.ends_at = asyncio.get_running_loop().time() + seconds

    def clear(self) -> None:
        """See ``Deadman``."""
        self.ends_at = None


@dataclass
class Process:
    """One process of the cluster."""

    replica: Replica
    sources: FakeSources
    engine: FakeEngine
    log: LogLines
    timer: Timer
    errors: list[Exception]

    def may_write(self) -> set[str]:
        """Budgets on which a call may be written now."""
        return {budget for budget in self.sources.until if self.sources.may_write(budget)}

    async def kill(self) -> None:
        """End it without a word, as SIGKILL does."""
        self.engine.cut = True
        for task in [*self.replica._tasks]:
            task.cancel()
        await asyncio.sleep(0)
        self.sources.until.clear()

    def events(self) -> list[str]:
        """What it has logged."""
        return [line.event for line in self.log.lines]


class House:
    """A cluster."""

    def __init__(self, budgets: int = 4, serve: str = "own") -> None:
        loop = asyncio.get_running_loop()
        self.clock = Clock(loop.time, lambda: loop.time() + 1e9)
        self.server = FakeServer(self.clock)
        self.config = config(budgets, serve)
        self.processes: list[Process] = []

    @property
    def budgets(self) -> set[str]:
        """All of them."""
        return {source.budget for source in self.config.sources}

    async def join(self, name: str, config: Config | None = None) -> Process:
        """Start a replica."""
        used = config or self.config
        sources = FakeSources(self.clock, {source.budget: [f"{source.name}@key"] for source in used.sources})
        engine, log, timer, errors = FakeEngine(self.server), LogLines(), Timer(), list[Exception]()
        made = Replica(
            used, name, engine, sources, sources, log, self.clock, lambda _, error: errors.append(error), deadman=timer
        )
        process = Process(made, sources, engine, log, timer, errors)
        self.processes.append(process)
        await made.start()
        return process

    def holders(self) -> dict[str, Sequence[Process]]:
        """Who may call on each budget."""
        return {budget: [each for each in self.processes if each.sources.may_write(budget)] for budget in self.budgets}

    async def settled(self, *, within: float = 30.0) -> None:
        """Wait until somebody holds each budget."""
        await until(lambda: all(self.holders().values()), within)

    async def balanced(self) -> None:
        """Wait until all know of each other, and each budget is where it shall be."""
        await asyncio.sleep(2 * LEASE)
        await until(
            lambda: all(
                len(holders) == 1
                and holders[0].replica.status().budgets[budget].wished == holders[0].replica._observer.replica
                for budget, holders in self.holders().items()
            ),
            60.0,
        )

    async def end(self) -> None:
        """Stop everything; nothing has gone wrong unseen."""
        for process in self.processes:
            await process.replica.stop()
            assert [] == process.errors


def config(budgets: int = 4, serve: str = "own", more: str = "") -> Config:
    """A config with so many sources, each with a budget of its own."""
    sources = "".join(text(f"rooms: [lobby]\nbudget: b{number}", name=f"s{number}") for number in range(budgets))
    keys = f"cluster: {{redis: {{url: redis://:pw@redis/0}}, lease: {LEASE:g}s, serve: {serve}{more}}}\n"
    return parse(f"sources:\n{sources}{keys}", Path("exporter.yml"), ENV)


@in_virtual_time
async def test_two_replicas_share_the_budgets():
    """
    Each budget is held by one of them, and both have some.
    """
    house = House(budgets=8)
    a, b = await house.join("a"), await house.join("b")

    await house.settled()
    await house.balanced()

    assert {1} == {len(holders) for holders in house.holders().values()}
    assert a.may_write()
    assert b.may_write()
    await house.end()


@in_virtual_time
async def test_after_a_kill_the_next_one_calls_within_a_lease():
    """
    And not before: the killed one's lease has run out.
    """
    house = House()
    a, b = await house.join("a"), await house.join("b")
    await house.balanced()
    killed = house.clock.monotonic()
    await a.kill()

    await until(lambda: b.may_write() == house.budgets, within=LEASE + 0.6, step=0.01)

    assert LEASE <= house.clock.monotonic() - killed + 0.51
    assert b.replica.stats.gained[Gained.EXPIRED]
    await b.replica.stop()


@in_virtual_time
async def test_an_expired_budget_is_silent_for_a_second():
    """
    What is inherited says so, and has the pace that was kept for this case.
    """
    house = House(budgets=1)
    a = await house.join("a")
    await house.settled()
    b = await house.join("b")
    await asyncio.sleep(3 * LEASE)
    holder, other = (a, b) if a.may_write() else (b, a)
    await holder.kill()

    await until(lambda: bool(other.may_write()), within=LEASE + 0.6)

    _, inherited = other.sources.gained[-1]
    assert inherited.silent
    assert {"pace": "b0"} == inherited.state
    assert LEASE <= inherited.age
    await other.replica.stop()


@in_virtual_time
async def test_who_leaves_hands_over_at_once():
    """
    SIGTERM: the next one calls within a moment, and has the last writes.
    """
    house = House()
    a, b = await house.join("a"), await house.join("b")
    await house.balanced()
    await a.replica.stop()

    took = await until(lambda: b.may_write() == house.budgets, within=1.0, step=0.01)

    assert 0.1 > took
    inherited = dict(b.sources.gained)
    handed = [budget for budget in inherited if inherited[budget].state == {"writes of": budget}]
    assert handed
    assert not any(inherited[budget].silent for budget in handed)
    assert {"b"} == house.server.register.data.members.keys()
    await b.replica.stop()


@in_virtual_time
async def test_readings_are_inherited():
    """
    The next holder publishes what the last one read, with its age; rooms that are gone are not.
    """
    house = House(budgets=1)
    a = await house.join("a")
    await house.settled()
    a.sources.read("s0@key", {"lobby": 7, "stage": 3})
    await asyncio.sleep(1.0)
    a.sources.read("s0@key", {"stage": None})
    await asyncio.sleep(1.0)
    b = await house.join("b")
    await asyncio.sleep(2 * LEASE)
    await a.replica.stop()

    await until(lambda: bool(b.may_write()), within=1.0)

    lobby = b.sources.rooms["s0@key"]["lobby"]
    assert {"lobby"} == b.sources.rooms["s0@key"].keys()
    assert lobby.reading is not None
    assert 7 == lobby.reading.users
    assert -0.3 <= lobby.age - (2 + 2 * LEASE) < 0.5
    await b.replica.stop()


@in_virtual_time
async def test_serve_all_follows_every_room():
    """
    A replica that publishes every room has the others' readings within half a second, and loses rooms with them.
    """
    house = House(budgets=1, serve="all")
    a, b = await house.join("a"), await house.join("b")
    await house.settled()
    holder, other = (a, b) if a.may_write() else (b, a)
    holder.sources.read("s0@key", {"lobby": 7, "stage": 2})
    await asyncio.sleep(0.5)
    first = {room: record.reading for room, record in other.sources.rooms["s0@key"].items()}
    holder.sources.read("s0@key", {"stage": None})
    await asyncio.sleep(0.5)

    assert other.sources.every_room
    assert [7, 2] == [reading.users for reading in first.values() if reading]
    assert {"lobby"} == other.sources.rooms["s0@key"].keys()
    await house.end()


@in_virtual_time
async def test_a_lost_message_heals():
    """
    What was published while nobody listened is read within a minute; rooms that went meanwhile go.
    """
    house = House(budgets=1, serve="all")
    a, b = await house.join("a"), await house.join("b")
    await house.settled()
    holder, other = (a, b) if a.may_write() else (b, a)
    holder.sources.read("s0@key", {"lobby": 7, "stage": 2})
    await asyncio.sleep(1.0)
    queues, house.server.listening["rooms"] = house.server.listening["rooms"], []
    holder.sources.read("s0@key", {"lobby": 8, "stage": None})
    await asyncio.sleep(1.0)
    house.server.listening["rooms"] = queues

    await asyncio.sleep(61.0)

    rooms = other.sources.rooms["s0@key"]
    assert {"lobby": 8} == {room: record.reading.users for room, record in rooms.items() if record.reading}
    await house.end()


@in_virtual_time
async def test_a_callback_reaches_the_holder_once():
    """
    Whoever receives it hands it to the replica that polls the source.
    """
    house = House(budgets=1)
    a, b = await house.join("a"), await house.join("b")
    await house.settled()
    holder, other = (a, b) if a.may_write() else (b, a)
    other.sources.callbacks.append(("s0@key", "lobby", {"change": "opened"}))

    await asyncio.sleep(1.0)

    assert [("s0@key", "lobby", {"change": "opened"})] == holder.sources.hinted
    assert [] == other.sources.hinted
    await house.end()


@in_virtual_time
async def test_a_callback_between_two_holders_waits():
    """
    While nobody polls the source, a callback is kept for two leases.
    """
    house = House(budgets=1)
    a = await house.join("a")
    a.sources.callbacks.append(("s0@key", "lobby", {"change": "opened"}))
    await asyncio.sleep(1.0)
    early = [*a.sources.hinted]
    await house.settled()
    await asyncio.sleep(0.5)

    assert [] == early
    assert [("s0@key", "lobby", {"change": "opened"})] == a.sources.hinted
    await house.end()


@in_virtual_time
async def test_a_short_outage_is_not_noticed():
    """
    While the lease holds, calls go on; the log tells of the outage once, and of its end.
    """
    house = House(budgets=1)
    a = await house.join("a")
    await house.settled()
    house.server.down = True
    await asyncio.sleep(2.5)
    during = a.may_write()
    house.server.down = False
    await asyncio.sleep(1.0)

    assert house.budgets == during == a.may_write()
    assert 1 == a.events().count("the cluster's engine does not answer")
    assert 1 == a.events().count("the cluster's engine answers again")
    assert 0 == a.replica.stats.lost[Lost.EXPIRED]
    await house.end()


@in_virtual_time
async def test_a_long_outage_pauses_calls_and_nothing_else():
    """
    Without an answer nobody calls when the lease has ended; afterwards the holder takes its budgets back at once.
    """
    house = House(budgets=1)
    a = await house.join("a")
    await house.settled()
    house.server.down = True
    await asyncio.sleep(LEASE)
    during, timer = a.may_write(), a.timer.ends_at
    house.server.down = False
    took = await until(lambda: bool(a.may_write()), within=LEASE)

    assert set() == during
    assert timer is None
    assert 1.1 > took
    assert [] == a.sources.lost
    assert a.sources.gained[-1][1].silent
    assert 1 == a.replica.stats.lost[Lost.EXPIRED]
    assert not a.replica.status().refused
    await house.end()


@in_virtual_time
async def test_a_timer_that_is_early_does_not_keep_the_lease():
    """
    Timers of uvloop fire up to a millisecond early. The lease is let go of all the same before the kernel would end
    the process, although no exchange comes to an end meanwhile.
    """
    house = House(budgets=1)
    a = await house.join("a")
    loop = asyncio.get_running_loop()
    with patch.object(loop, "call_later", lambda delay, *then: call_at(loop, delay - 0.001, *then)):
        await house.settled()
        await asyncio.sleep(1.0)
        house.server.down, house.server.delay = True, LEASE
        await asyncio.sleep(LEASE - 1.0)

    assert a.timer.ends_at is None
    assert "lease ended: no calls until the cluster's engine answers" in a.events()
    await house.end()


def call_at(loop: asyncio.AbstractEventLoop, delay: float, *then: Any) -> asyncio.TimerHandle:
    """What ``call_later`` does."""
    return loop.call_at(loop.time() + max(0.0, delay), *then)


@in_virtual_time
async def test_an_empty_engine_is_written_again():
    """
    FLUSHALL: no budget changes hands, no call pauses, and the readings are there again.
    """
    house = House(budgets=1)
    a, b = await house.join("a"), await house.join("b")
    await house.balanced()
    holder = a if a.may_write() else b
    holder.sources.rooms["s0@key"] = {}
    holder.sources.read("s0@key", {"lobby": 7})
    holder.sources.follow("s0@key", holder.sources.changed["s0@key"])
    await asyncio.sleep(1.0)
    house.server.register.flush()
    house.server.rooms.clear()
    gaps = 0
    for _ in range(200):
        await asyncio.sleep(0.05)
        gaps += not holder.may_write()

    assert 0 == gaps
    assert {"lobby", "\n"} == house.server.rooms["s0@key"].keys()
    await house.end()


@in_virtual_time
async def test_two_processes_of_one_name():
    """
    The second one takes no budget, says why, and takes over when the first has ended.
    """
    house = House(budgets=1)
    first = await house.join("a")
    await house.settled()
    second = await house.join("a")
    await asyncio.sleep(3 * LEASE)
    refused, held = second.replica.status().refused, second.may_write()
    await first.kill()
    await until(lambda: bool(second.may_write()), within=3 * LEASE)

    assert "another process is at work under this replica's name, a" == refused
    assert set() == held
    assert 1 == second.events().count("no budget is taken")
    await second.replica.stop()


@in_virtual_time
async def test_another_config_keeps_what_only_it_knows():
    """
    A replica whose config lacks a budget does not take it; budgets of another config's holder stay with it.
    """
    house = House(budgets=3)
    a = await house.join("a")
    await house.settled()
    b = await house.join("b", config(2))
    await asyncio.sleep(4 * LEASE)
    before = a.may_write()
    await a.replica.stop()
    await asyncio.sleep(2 * LEASE)

    assert house.budgets == before
    assert {"b0", "b1"} == b.may_write()
    await b.replica.stop()


@in_virtual_time
async def test_a_reload_may_change_serve_alone():
    """
    Another lease, or another engine, needs a restart, and the error says so.
    """
    house = House(budgets=1)
    a = await house.join("a")
    cluster = house.config.cluster
    assert cluster is not None
    slower = replace(house.config, cluster=replace(cluster, lease=10.0))

    with pytest.raises(ConfigError, match=r"cluster\.lease: changes with a restart only"):
        a.replica.check(slower)
    with pytest.raises(ConfigError, match="begins or ends with a restart only"):
        a.replica.check(replace(house.config, cluster=None))
    every = replace(house.config, cluster=replace(cluster, serve="all"))
    a.replica.check(every)
    a.replica.use(every)

    assert a.sources.every_room
    await house.end()


@in_virtual_time
async def test_the_kernels_timer_follows_the_lease():
    """
    It is set anew with every exchange, later than the lease, and taken away when nothing is held.
    """
    house = House(budgets=1)
    a = await house.join("a")
    before = a.timer.ends_at
    await house.settled()
    await asyncio.sleep(1.0)
    set_to = a.timer.ends_at
    lease = a.sources.until["b0"]
    await a.replica.stop()

    assert before is None
    assert set_to == lease
    assert a.timer.ends_at is None


@in_virtual_time
async def test_what_the_status_says():
    """
    Replicas with their ages, budgets with their owners.
    """
    house = House(budgets=2)
    a, _ = await house.join("a"), await house.join("b")
    await house.balanced()
    status = a.replica.status()

    assert {"a", "b"} == status.replicas.keys()
    assert 2 == sum(each.budgets for each in status.replicas.values())
    assert status.connected
    assert {"b0", "b1"} == status.budgets.keys()
    assert all(each.owner == each.wished for each in status.budgets.values())
    assert 1 > status.replicas["b"].silent
    assert {each.owner == "a" for each in status.budgets.values()} == {
        each.held_until is not None for each in status.budgets.values()
    }
    figures = a.replica.figures()
    assert ("a", "redis", True, 2) == (figures.replica, figures.engine, figures.connected, figures.replicas)
    assert figures.exchanges[Exchanged.ANSWERED]
    await house.end()


def test_config_hash_follows_what_replicas_must_agree_on():
    """
    Rooms and budgets count; the name of a replica does not; no secret is in it.
    """
    assert config_hash(config().sources) == config_hash(config(more=", replica: x").sources)
    assert config_hash(config().sources) != config_hash(config(3).sources)


@in_virtual_time
async def test_after_a_flush_every_budget_stays_where_it_is():
    """
    Replicas settle anew one after another, and none of them hands over anything for that.
    """
    house = House(budgets=8)
    for name in "abc":
        await house.join(name)
        await asyncio.sleep(0.2)
    await house.balanced()
    before = {budget: holders[0] for budget, holders in house.holders().items()}
    gained = [len(process.sources.gained) for process in house.processes]
    house.server.register.flush()
    await asyncio.sleep(3 * LEASE)

    assert before == {budget: holders[0] for budget, holders in house.holders().items()}
    assert gained == [len(process.sources.gained) for process in house.processes]
    await house.end()


@in_virtual_time
async def test_200_budgets_of_2000_calls_a_second_are_shared_out_evenly():
    """
    Four replicas hold 200 budgets of 1 to 19 calls per second; none has more than 1.25 × the mean, and when one is
    killed, none of the other three.
    """
    limits = {f"b{number}": 1 + number * 7 % 19 for number in range(200)}
    house = House()
    house.config = of_limits(limits)
    replicas = [await house.join(name) for name in "abcd"]
    await house.balanced()
    four = shares(limits, replicas)
    await replicas[0].kill()
    await house.balanced()
    three = shares(limits, replicas[1:])

    assert 1990 <= sum(limits.values()) <= 2010
    assert sum(limits.values()) == sum(four) == sum(three)
    assert max(four) <= 1.25 * sum(four) / 4
    assert max(three) <= 1.25 * sum(three) / 3
    house.processes.remove(replicas[0])
    await house.end()


def of_limits(limits: Mapping[str, int]) -> Config:
    """A config with these budgets, each of which may need all that it allows."""
    sources = "".join(
        text(f"rooms_files: [rooms/*.yml]\nbudget: {budget}\nrate_limit: {limit}", name=f"s-{budget}")
        for budget, limit in limits.items()
    )
    cluster = f"cluster: {{redis: {{url: redis://redis/0}}, lease: {LEASE:g}s}}\n"
    return parse(f"sources:\n{sources}{cluster}", Path("exporter.yml"), ENV)


def shares(limits: Mapping[str, int], replicas: Iterable[Process]) -> list[int]:
    """Calls per second of what each of them holds."""
    return [sum(limits[budget] for budget in each.may_write()) for each in replicas]


@pytest.mark.parametrize("ending", ["reloads", "dies"])
def test_a_source_that_moves_to_another_budget_is_polled_by_one_replica(ending):
    """
    The one that has reloaded waits for the other one, which still polls the source on the former budget: until that
    has reloaded, too, or has died.
    """

    @in_virtual_time
    async def moves():
        house = House(budgets=2)
        a, b = await house.join("a"), await house.join("b")
        await house.balanced()
        (former,), (later,) = a.may_write(), b.may_write()
        moved = f"s{former[1:]}@key"
        await asyncio.sleep(1.0)
        # What it has said when it held the budget itself counts no longer.
        b.replica._sharing._announced[moved] = former, "b|earlier|0"
        _move(b, moved, later)
        b.sources.elsewhere.add(moved)  # as the sources do by themselves
        b.replica.use(house.config)
        await asyncio.sleep(3 * LEASE)
        assert {moved} == b.sources.elsewhere

        if ending == "reloads":
            _move(a, moved, later)
            a.replica.use(house.config)
        else:
            await a.kill()
        took = await until(lambda: not b.sources.elsewhere, within=2 * LEASE + 1)
        assert took <= (1.0 if ending == "reloads" else 2 * LEASE + 1)
        assert set() == a.sources.elsewhere
        await house.end()

    moves()


@in_virtual_time
async def test_who_takes_over_a_budget_leaves_a_source_that_another_one_still_polls():
    """
    A replica that starts with a new config does not know that the source was on another budget before.
    """
    house = House(budgets=2)
    a, b = await house.join("a"), await house.join("b")
    await house.balanced()
    (former,), (later,) = a.may_write(), b.may_write()
    moved = f"s{former[1:]}@key"
    await asyncio.sleep(1.0)
    c = await house.join("c", config(3))
    _move(c, moved, later)
    c.replica.use(config(3))
    await b.replica.stop()
    house.processes.remove(b)
    a.replica._observer.budgets = {former}
    await until(lambda: later in c.may_write(), within=3 * LEASE)

    assert {moved} == c.sources.elsewhere
    await house.end()


def _move(process: Process, source: str, budget: str) -> None:
    sources = {name: [each for each in keys if each != source] for name, keys in process.sources._sources.items()}
    process.sources._sources = {**sources, budget: [*sources.get(budget, []), source]}


@in_virtual_time
async def test_a_callback_for_a_dead_holder_reaches_the_next_one():
    """
    The engine tells that nobody heard it, so it is kept.
    """
    house = House(budgets=1)
    a, b = await house.join("a"), await house.join("b")
    await house.settled()
    holder, other = (a, b) if a.may_write() else (b, a)
    await holder.kill()
    other.sources.callbacks.append(("s0@key", "lobby", {"change": "opened"}))
    await asyncio.sleep(1.0)
    early = [*other.sources.hinted]
    await asyncio.sleep(LEASE)

    assert [] == early
    assert [("s0@key", "lobby", {"change": "opened"})] == other.sources.hinted
    await house.end()


@in_virtual_time
async def test_a_budget_whose_record_cannot_be_read_is_not_taken():
    """
    Nobody knows who calls on it. The others are shared as ever, the page says why, and it goes on once it is deleted.
    """
    house = House(budgets=4)
    house.server.register.data.records["b0"] = "2|a later version|of the exporter"
    house.server.register.data.members["z"] = "garbage"
    a = await house.join("a")
    await asyncio.sleep(4 * LEASE)
    held, refused, events = a.may_write(), a.replica.status().refused, a.events()
    del house.server.register.data.records["b0"]
    await asyncio.sleep(2 * LEASE)

    assert {"b1", "b2", "b3"} == held
    assert refused == "another version of the exporter, or another program, has written who holds b0"
    assert 1 == events.count("budgets cannot be taken")
    assert house.budgets == a.may_write()
    assert a.replica.status().refused is None
    await house.end()


@in_virtual_time
async def test_an_overwritten_record_ends_the_right_to_call():
    """
    Something writes over the record of a held budget. Its holder stops, and the other budgets stay with it.
    """
    house = House(budgets=2)
    a = await house.join("a")
    await house.settled()
    house.server.register.data.records["b0"] = "garbage"
    await asyncio.sleep(0.6)

    assert {"b1"} == a.may_write()
    await house.end()


@pytest.mark.parametrize("state", ["no JSON", "[1]", '"abc"', "7"])
@in_virtual_time
async def test_a_state_that_cannot_be_read_is_none(state):
    """
    A budget whose last holder left something else is polled without knowing its pace.
    """
    house = House(budgets=1)
    data = house.server.register.data
    data.token, data.records["b0"], data.states["b0"] = 1, "||1", state
    a = await house.join("a")

    await house.settled()

    assert {"b0"} == a.may_write()
    assert a.sources.gained[-1][1].state is None
    await house.end()


@in_virtual_time
async def test_rooms_stay_while_a_lost_engine_is_filled_again():
    """
    ``serve: all``: what is not there after a loss of data is not gone.
    """
    house = House(budgets=1, serve="all")
    a, b = await house.join("a"), await house.join("b")
    await house.settled()
    holder, other = (a, b) if a.may_write() else (b, a)
    holder.sources.read("s0@key", {"lobby": 7})
    await asyncio.sleep(1.0)
    house.server.rooms.clear()
    house.server.register.flush()
    other.replica._rereading.soon()
    await asyncio.sleep(1.0)
    assert {"lobby"} == other.sources.rooms["s0@key"].keys()

    await asyncio.sleep(LEASE + 61.0)
    assert set() == other.sources.rooms["s0@key"].keys()
    await house.end()


@in_virtual_time
async def test_a_budget_is_polled_though_its_readings_cannot_be_taken_over(monkeypatch):
    """
    A bug in what takes over readings must not leave a budget held and silent.
    """
    house = House(budgets=1)
    house.server.rooms["s0@key"]["lobby"] = pack(Record("lobby", Reading(1), 0.0, 0.0), int(house.clock.unix() * 1000))
    a = await house.join("a")

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(a.sources, "inherit", fail)
    await house.settled()

    assert {"b0"} == a.may_write()
    assert ["a bug"] == [str(error) for error in a.errors]
    a.errors.clear()
    await house.end()


@pytest.mark.parametrize("call", ["write", "read", "listen"])
@in_virtual_time
async def test_readings_that_are_not_shared_are_told_once(monkeypatch, call):
    """
    The engine takes exchanges and refuses readings, for instance since its user may not read or subscribe.
    """

    async def refuse(*_: object) -> bool:
        raise EngineError(Exchanged.REFUSED, "NOPERM: forbidden")

    async def refuse_all(*_: object, **__: object) -> AsyncIterator[bool]:
        yield await refuse()

    monkeypatch.setattr(FakeEngine, call, refuse if call == "write" else refuse_all)
    house = House(budgets=1, serve="all")
    a, b = await house.join("a"), await house.join("b")
    await house.settled()
    for _ in range(5):
        a.sources.read("s0@key", {"lobby": 3})
        b.sources.read("s0@key", {"lobby": 3})
        await asyncio.sleep(LEASE)

    told = [process.events().count("the cluster's engine refuses to share readings") for process in (a, b)]
    assert 1 == max(told)
    await house.end()
