"""
Whatever comes in whatever order, the roster's promises hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from exporter.config.discovery import DiscoveryConfig, VendorListConfig
from exporter.model import Failure, FailureKind, Reading, Room
from exporter.rooms.members import Life
from exporter.rooms.provider import Listing, Origin, Result
from exporter.rooms.roster import Roster, Terms
from exporter.vendors import APIS
from exporter.vendors.callbacks import Change, Hint

IDS = [f"r{number}" for number in range(9)]
OPERATORS = (Origin.CONFIG, Origin.FILES, Origin.HTTP_SD)
LISTS = {origin.value: origin for origin in (*OPERATORS, Origin.VENDOR_LIST)}
MAX_ROOMS = 6
NEW_PER_MINUTE = 4

ids = st.sampled_from(IDS)
some_ids = st.lists(ids, unique=True, max_size=9)


class Machine(RuleBasedStateMachine):
    """A world of nine rooms, of which providers, callbacks and polls tell the truth or not."""

    api: ClassVar[str] = "tencent_im"

    def __init__(self) -> None:
        super().__init__()
        codec = APIS[self.api]
        lists = VendorListConfig(30.0, 3600.0, 86_400.0, 1.0, "list")
        config = DiscoveryConfig(
            max_rooms=MAX_ROOMS,
            new_rooms_per_minute=NEW_PER_MINUTE,
            exclude=(re.compile("r8"),),
            drop_after=2 if codec.tells_existence else 3,
            idle_after=40.0,
            vendor_list=lists,
        )
        self.now = 1000.0
        terms = Terms(codec.room_ids, codec.tells_existence, interval=10.0, hinted_polls=1.0)
        self.roster = Roster(config, terms, self.now)
        self.polled: set[str] = set()
        self.published: set[str] = set()
        self.operated: dict[str, set[str]] = {name: set() for name in LISTS}
        self.proven: dict[str, float] = {}
        self.shown_since: dict[str, float] = {}
        self.hidden_at: dict[str, float] = {}
        self.brought: dict[str, float] = {}
        self.joined: list[float] = []
        self.uncounted = 0

    @initialize(rooms=some_ids)
    def start(self, rooms: list[str]) -> None:
        """The config comes first."""
        self.list_rooms("config", Result.COMPLETE, rooms, 0.0)

    @rule(provider=st.sampled_from([*LISTS]), result=st.sampled_from([*Result]), rooms=some_ids, age=st.floats(0, 40))
    def list_rooms(self, provider: str, result: Result, rooms: list[str], age: float) -> None:
        """A provider names rooms, or fails to."""
        if provider in ("config", "files"):
            result = Result.COMPLETE
        named = {room: Room(room) for room in rooms} if result in (Result.COMPLETE, Result.PARTIAL) else {}
        listing = Listing(result, self.now - age, named)
        before = set(self.roster)
        for _ in self.roster.listed(provider, LISTS[provider], listing, self.now):
            self.apply()
        self.apply()
        came = set(self.roster) - before
        if self.roster.registers[provider].passes == 1:
            self.uncounted += len(came) if named or result is Result.COMPLETE else 0
        if provider not in ("config", "files"):
            assert not came or len(self.roster) <= MAX_ROOMS
            assert "r8" not in came
        if result is Result.COMPLETE:
            self.operated[provider] = set()
        if provider in self.operated and provider != "vendor_list":
            self.operated[provider] |= {
                room for room in named if any(each.provider == provider for each in self.roster.named(room))
            }
            if provider in ("config", "files"):
                assert set(named) == self.operated[provider]

    @rule(
        room=ids,
        change=st.sampled_from([*Change]),
        session=st.sampled_from([None, "s1", "s2"]),
        at=st.none() | st.integers(0, 50),
    )
    def call_back(self, room: str, change: Change, session: str | None, at: int | None) -> None:
        """A callback comes, true or forged."""
        before, published = set(self.roster), set(self.published)
        self.roster.hinted(Hint(room, change, session, at), self.now)
        self.apply()
        came = set(self.roster) - before
        if came:
            assert len(self.roster) <= MAX_ROOMS
            self.joined.append(self.now)
        assert before <= set(self.roster)
        assert published == self.published
        recent = [at for at in self.joined if at > self.now - 60]
        assert len(recent) <= 2 * NEW_PER_MINUTE

    @rule(
        rooms=st.dictionaries(ids, st.sampled_from(["there", "empty", "gone", "failed", "refused"])),
        age=st.floats(0, 15),
    )
    def poll(self, rooms: dict[str, str], age: float) -> None:
        """A call ends."""
        self._poll(rooms, age)

    def _poll(self, rooms: dict[str, str], age: float = 0.0) -> None:
        tells = APIS[self.api].tells_existence
        readings, failures = {}, {}
        for room, said in rooms.items():
            if said == "there":
                readings[room] = Reading(3, exists=True if tells else None)
            elif said == "empty":
                readings[room] = Reading(0, exists=True if tells else None)
            elif said == "gone":
                readings[room] = Reading(0, exists=False if tells else None, missing=tells)
            else:
                kind = FailureKind.REFUSED if said == "refused" else FailureKind.TRANSIENT
                failures[room] = Failure(kind, "1", "no")
        for room, reading in readings.items():
            if room in self.polled and (reading.users or reading.exists):
                self.proven[room] = max(self.now - age, self.proven.get(room, 0.0))
        before = set(self.published)
        self.roster.polled(readings, failures, self.now - age, self.now)
        self.apply(polled=set(readings))
        vanished = before - self.published
        if not readings:
            assert not vanished

    @rule(seconds=st.sampled_from([0.5, 10.0, 35.0, 61.0, 700.0]))
    def pass_time(self, seconds: float) -> None:
        """Nothing happens for a while."""
        self.now += seconds
        while self.roster.tick(self.now):
            self.apply()
        self.apply()

    def apply(self, polled: Iterable[str] = ()) -> None:
        """What whoever polls and shows makes of the changes."""
        changes = self.roster.drain()
        for room in changes.unpublish:
            self.published.discard(room)
            self.hidden_at[room] = self.now
        self.polled.difference_update(changes.unpoll)
        self.polled.update(changes.poll)
        for room in changes.publish:
            if room not in self.published and not self.roster.is_operated(room):
                self._check_proof(room, polled)
            self.published.add(room)
        for room in changes.now:
            assert self.now - self.brought.get(room, -100.0) >= 10.0 or room not in self.brought
            self.brought[room] = self.now
        for room in changes.unpoll:
            self.brought.pop(room, None)
        assert self.polled == set(self.roster)
        assert self.published == {room for room in self.roster if self.roster.life(room) is not Life.CANDIDATE}
        assert changes.now.keys() | changes.slower.keys() <= self.polled

    def _check_proof(self, room: str, polled: Iterable[str]) -> None:
        """A found room is published because a poll, made since it was last hidden, said that it is there."""
        since_hidden = self.proven.get(room, -1.0) >= self.hidden_at.get(room, 0.0)
        by_list = not APIS[self.api].tells_existence and any(
            each.origin is Origin.VENDOR_LIST for each in self.roster.named(room)
        )
        assert since_hidden or by_list, (room, polled)

    @invariant()
    def operators_rooms_are_published(self) -> None:
        """What the operator names is there, whatever vendor, callbacks and polls say."""
        named = set().union(*(self.operated[origin.value] for origin in OPERATORS))
        assert named <= self.published

    @invariant()
    def numbers_agree(self) -> None:
        """What is told of the roster is what it is."""
        assert sum(self.roster.lives.values()) == len(self.roster)
        came = sum(self.roster.added.values()) + self.uncounted
        assert came - sum(self.roster.dropped.values()) == len(self.roster)

    def teardown(self) -> None:
        """When every room but the operator's is closed, and everybody tells the truth, nothing else stays."""
        named = set().union(*(self.operated[origin.value] for origin in OPERATORS))
        for _ in range(90):
            self.now += 10.0
            self.list_rooms("vendor_list", Result.COMPLETE, [], 0.0)
            self._poll(dict.fromkeys(self.polled, "gone"))
            self.pass_time(0.5)
        assert named == set(self.roster) == self.published
        self.now += 4000.0
        self.pass_time(0.5)
        assert 0 == self.roster.buried


class ZegoMachine(Machine):
    """The same where 0 users may be an empty room or none."""

    api = "zego_rtc"


TestWithExistence = Machine.TestCase
TestWithoutExistence = ZegoMachine.TestCase
TestWithExistence.settings = TestWithoutExistence.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
