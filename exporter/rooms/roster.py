"""
The roster: which rooms of one source are polled and which are published, by what providers, callbacks and polls say.

Theory of operation
===================

The problem. A list, a callback or a backend names rooms, and each of them is wrong at times: lists lag and skip, a
callback can be forged, a backend is down. A poll of the vendor is the only word that counts, but polls fail, and one of
them may be odd. Nobody may see a room that was never there; a room that is there may not vanish; a room that is gone
may not stay.

The idea. Naming is not knowing. Every id has a life::

     named by list or callback       a poll confirms              a sign of its end        confirmed, and linger is over
    ──────────────────────────► candidate ──────────► active ─────────────► leaving ──────────────► gone (tombstone)
                                   │ not confirmed                            │ a poll says that it is there
                                   └─────────► gone                           └─────────► active

A candidate is polled and not published. *Operator's rooms*, which config, files or http_sd name, begin as active and
go only when none of these names them any more; the rest of the rules is for *found rooms*, which only the vendor's list
or a callback names.

* A found room is confirmed by a poll that says that it exists or has users. ZEGO RTC says 0 users both of an empty room
  and of one that never was, so there two list passes together with a poll will do as well.
* It is gone when ``drop_after`` good polls in a row say so; one is enough if a callback told of its end before. For
  ZEGO RTC these are polls with 0 users that span 100 s while the last list lacks it, or two of them after a callback.
  Failed polls say nothing.
* It stays published, as missing, for ``linger`` from the first such poll, so that a scrape sees its end. It is polled
  meanwhile, and comes back if a poll says so.
* Absence from the vendor's list is a reason to look (``leaving``, polled now), never a reason to drop. Partial and
  failed passes are no reason for anything.
* A tombstone keeps late callbacks and slow lists from bringing it back: only a newer session, a newer event, or a list
  pass that began after its end does.
* After a start nothing found is dropped before one pass over the list was complete.

A worked example, ``drop_after`` 2, ``linger`` 60 s, polls every 10 s::

    t = 0    callback: created             candidate, polled at once
    t = 0.3  poll: exists, 0 users         active, published with 0 users
    t = 900  callback: destroyed           leaving, polled at once
    t = 900.3  poll: does not exist        one is enough after that callback: will go at 960.3, published as missing
    t = 930  list pass that began at 890 names it: nothing changes, it is known
    t = 960.3  gone; tombstone until 1560
    t = 980  list pass that began at 950 names it: ignored, it began before the end
    t = 1000 callback: created, session of the old life, delivered late: ignored
    t = 1010 callback: created, a new session: candidate again

Why not simpler. Publishing what a list names shows closed rooms for as long as the list lags, and lets anybody who can
send a callback make series. Dropping what a list lacks makes graphs blink, since lists that are sorted by users skip
rooms at the borders of pages.

When this is wrong. A vendor that says "does not exist" twice in a row of a room that is there makes it vanish until a
list or a callback names it again. A room of ZEGO RTC that stays empty for 100 s and is not listed is dropped.

Everything here is pure: the caller brings the time, in monotonic seconds, and takes the ``Changes`` that result. Work
on many rooms is a generator of steps of 500 rooms, between which others may run and other inputs may come.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from exporter.config.discovery import DiscoveryConfig
from exporter.config.rooms import NO_DEFAULTS, Defaults
from exporter.model import ROOMS_AT_A_TIME, Failure, FailureKind, Reading, Room, in_parts
from exporter.rooms.admission import MOST_FOUND, Allowance, Filter, Rejection
from exporter.rooms.members import Changes, Life, Member, Naming, Reason, Register, Tombstone
from exporter.rooms.moves import LONGEST_WAIT, Moves
from exporter.rooms.provider import Listing, Origin, Result
from exporter.vendors.callbacks import Change, Hint
from exporter.vendors.codec import RoomIdRule

OPERATORS: Final = frozenset({Origin.CONFIG, Origin.FILES, Origin.HTTP_SD})
"""Who speaks for the operator: what they name is watched at once, and until they name it no longer."""
CALLBACKS: Final = "callbacks"
"""The name of the provider that callbacks are."""

PREDECESSOR: Final = "predecessor"
"""The name of the provider that another replica is."""

_RANK: Final = {origin: rank for rank, origin in enumerate(Origin)}
_HEARTBEATS: Final = 100.0
"""Seconds that ZEGO RTC may take to notice that the last user's heartbeat is gone."""
_ENOUGH_PASSES: Final = 2
_ABSENCES: Final = 2
_GOOD_POLLS: Final = 2
_GIVEN_UP: Final = 10
"""A candidate that no poll could be made of is given up after so many probations."""
_CLOSED_KEPT: Final = 1_000
_NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Terms:
    """
    What API, source and budget allow.

    Args:
        tells_existence: Whether the API says if a room exists.
        interval: Seconds from one poll of a room to the next.
        hinted_polls: Rooms per second that may be polled because of callbacks.
        defaults: Labels and thresholds of rooms that have none of their own.
    """

    rule: RoomIdRule
    tells_existence: bool
    interval: float
    hinted_polls: float
    defaults: Defaults = NO_DEFAULTS


@dataclass(frozen=True, slots=True)
class Named:
    """A provider that names a room; ``since`` is monotonic seconds."""

    provider: str
    origin: Origin
    since: float


class Roster:
    """
    One source's rooms.

    Args:
        now: Monotonic seconds, as everywhere here.

    Attributes:
        registers: What each provider names, by its name.
        lives: How many rooms there are in each state.
        added: How many rooms came, by who named them first. What a provider's first listing names was there before.
        dropped: How many went.
        rejected: How many ids were not taken; the same id again with each listing that names it.
        rejected_at: When an id was last not taken, in monotonic seconds.
    """

    def __init__(self, config: DiscoveryConfig, terms: Terms, now: float) -> None:
        self.registers: dict[str, Register] = {}
        self.lives = dict.fromkeys(Life, 0)
        self.added = dict.fromkeys(Origin, 0)
        self.dropped = dict.fromkeys(Reason, 0)
        self.rejected = dict.fromkeys(Rejection, 0)
        self.rejected_at: dict[Rejection, float] = {}
        self._members: dict[str, Member] = {}
        self._tombstones: dict[str, Tombstone] = {}
        self._closed: dict[str, tuple[str, float | None]] = {}
        self._refused: dict[str, float] = {}
        self._moves = Moves()
        self._timers: list[tuple[float, str]] = []
        self._changes = Changes()
        self._operated = self._by_hint = 0
        self._began = now
        self._config = config
        self._terms = terms
        self._tune(now)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, room_id: object) -> bool:
        return room_id in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    @property
    def buried(self) -> int:
        """How many rooms are remembered as gone."""
        return len(self._tombstones)

    def life(self, room_id: str) -> Life | None:
        """The state of a room; ``None`` if it is not watched."""
        member = self._members.get(room_id)
        return member.life if member else None

    def named(self, room_id: str) -> list[Named]:
        """Who names a room, and since when: the operator's providers first."""
        return [
            Named(register.name, register.origin, naming.since)
            for register in self.registers.values()
            if (naming := register.named.get(room_id))
        ]

    def is_operated(self, room_id: str) -> bool:
        """Whether an operator's provider names this room."""
        member = self._members.get(room_id)
        return member is not None and member.operated

    def is_by_hint(self, room_id: str) -> bool:
        """Whether this is a candidate that a callback brought, and nothing else."""
        member = self._members.get(room_id)
        return member is not None and member.by_hint

    def is_configured(self, room_id: str) -> bool:
        """Whether the config or its files name this room."""
        exact = (Origin.CONFIG, Origin.FILES)
        return any(room_id in each.named for each in self.registers.values() if each.origin in exact)

    def endpoints_of(self, room_id: str) -> dict[str, Room]:
        """The operator's endpoints that name this room, and what they say of it."""
        registers = [each for each in self.registers.values() if each.origin is Origin.HTTP_SD]
        return {each.name: naming.room for each in registers if (naming := each.named.get(room_id))}

    def drain(self) -> Changes:
        """The changes since the last call."""
        changes, self._changes = self._changes, Changes()
        return changes

    # Inputs

    def listed(self, provider: str, origin: Origin, listing: Listing, now: float) -> Iterator[None]:
        """
        Take over what a provider names, step by step; one listing of a provider at a time.
        """
        register = self._register(provider, origin)
        result = listing.result
        register.results[listing.result] += 1
        register.last_result, register.error, register.warning = listing.result, listing.error, listing.warning
        if result in (Result.FAILED, Result.UNSUPPORTED):
            yield from self._part(self._moves.asked(provider, listing.began), now)
            return
        register.passes += 1
        number = register.passes
        if result is Result.COMPLETE:
            # First, as what is gone makes place for what is new: a list may hold max_rooms rooms each time.
            for room_ids in in_parts(tuple(register.named)):
                for room_id in room_ids:
                    naming = register.named.get(room_id)
                    if naming is not None and room_id not in listing.rooms:
                        self._miss(register, room_id, naming, now)
                yield
        for rooms in in_parts(listing.rooms.values()):
            for room in rooms:
                self._name(register, room, number, listing.began, now)
            yield
        yield from self._part(self._moves.asked(provider, listing.began), now)
        if result is Result.COMPLETE:
            register.last_complete = now
        register.last_success = now

    def dropped_provider(self, provider: str, now: float) -> Iterator[None]:
        """This provider is no longer configured: what nobody else names goes."""
        register = self.registers.get(provider)
        if register is None:
            return
        for room_ids in in_parts(tuple(register.named)):
            for room_id in room_ids:
                if register.named.pop(room_id, None) is not None:
                    self._lose(register, room_id, now)
            yield
        if not register.named:
            del self.registers[provider]
        if register.origin not in OPERATORS:
            # And rooms that the list had lost already, and that were there all the same.
            for room_ids in in_parts(tuple(self._members)):
                for room_id in room_ids:
                    if room_id in self._members and room_id not in self._moves and not self.named(room_id):
                        self._drop(room_id, _reason(register.origin), now)
                yield

    def rename(self, before: Mapping[str, str]) -> None:
        """
        Providers go on under new names.

        Args:
            before: Their present names by the new ones. Who has one of these and none of his own any more is no longer
                configured; what he names stays until ``dropped_provider``.
        """
        after = {old: new for new, old in before.items()}
        renamed: dict[str, Register] = {}
        for register in self.registers.values():
            name = after.get(register.name, register.name)
            while register.name not in after and (name in before or name in renamed):
                name += "/removed"
            register.name = name
            renamed[name] = register
        self.registers = renamed

    def outdated(self, now: float) -> list[str]:
        """Providers whose list is older than their ``max_age``, so that it counts no longer."""
        ages = {each.name: each.max_age for each in self._config.http_sd if each.max_age is not None}
        return [
            name
            for name, most in ages.items()
            if (register := self.registers.get(name))
            and register.named
            and now - (self._began if register.last_success is None else register.last_success) > most
        ]

    def outdate(self, provider: str, now: float) -> Iterator[None]:
        """The list of this provider counts no longer; it stays configured."""
        register = self.registers[provider]
        for room_ids in in_parts(tuple(register.named)):
            for room_id in room_ids:
                if register.named.pop(room_id, None) is not None:
                    self._reconsider(room_id, _reason(register.origin), now)
            yield

    def hinted(self, hint: Hint, now: float) -> None:
        """A callback says something of a room: at most it is polled."""
        member = self._members.get(hint.room_id)
        if member is None:
            self._hinted_anew(hint, now)
            return
        if hint.change is not Change.DESTROYED and not self._is_late(member, hint):
            self._name_by_hint(member, now)
            if hint.change is Change.MEMBERS and member.destroyed and hint.at is not None:
                # After its end somebody came: it was opened again. Volcengine has no other callback of that.
                self._begin_anew(member, hint)
        if hint.change is Change.CREATED:
            self._reopened(member, hint, now)
        elif hint.change is Change.DESTROYED:
            self._closing(member, hint, now)
        else:
            self._bring(member, now, urgent=False)
        if hint.at is not None:
            member.last_event = max(hint.at, member.last_event or hint.at)

    def polled(
        self, readings: Mapping[str, Reading], failures: Mapping[str, Failure], began: float, now: float
    ) -> None:
        """
        What one call said.

        Args:
            failures: Rooms that gave no reading; they say nothing, unless the vendor refused them.
            began: When it was sent.
        """
        for room_id, reading in readings.items():
            member = self._members.get(room_id)
            if member is not None and began >= member.provable:
                self._refused.pop(room_id, None)
                self._read(member, reading, began, now)
        for room_id, failure in failures.items():
            if failure.kind is FailureKind.REFUSED and room_id in self._members and not self.is_operated(room_id):
                self._refused.setdefault(room_id, now)
        if readings and self._refused:
            # The source works, so it is these rooms that are refused.
            for room_id, since in tuple(self._refused.items()):
                if began >= since:
                    self._drop(room_id, Reason.REFUSED, now)

    def tick(self, now: float) -> bool:
        """Apply the time limits to some rooms; return whether others are still to be looked at."""
        for _ in range(ROOMS_AT_A_TIME):
            if not self._timers or self._timers[0][0] > now:
                return False
            self._review(heapq.heappop(self._timers)[1], now)
        return True

    def reconfigure(self, config: DiscoveryConfig, terms: Terms, now: float) -> Iterator[None]:
        """Go on under another config."""
        self._config, self._terms = config, terms
        self._tune(now)
        yield from self._part(self._moves.configured(each.name for each in config.http_sd), now)
        for room_ids in in_parts(tuple(self._members)):
            for room_id in room_ids:
                self._judge_anew(room_id, now)
            yield

    # Hand-over to another replica of a cluster, and from it

    def begin(self, now: float) -> None:
        """This replica finds rooms from now on: nothing found is dropped before a list was read once."""
        self._began = now
        for register in self.registers.values():
            register.last_success = register.last_complete = None

    def inherited(self, rooms: Mapping[str, Mapping[str, Room]], now: float) -> None:
        """
        Another replica watches these rooms, and knows that they are there. Some hundred at a time.

        Args:
            rooms: For each, the endpoints of the operator that name it, and with which labels and thresholds. They name
                it here as well, until they are asked.
        """
        for room_id, named in rooms.items():
            member = self._members.get(room_id)
            if member is None and (len(self._members) >= self._config.max_rooms or self._filter.objection(room_id)):
                continue
            if named:
                self._name_by_endpoints(room_id, named, now)
                member = self._members.get(room_id)
            if member is not None and member.operated:
                if not named and not self.is_configured(room_id):
                    self._keep(member, now)  # the last endpoint has just ceased to name it
                continue
            room = Room(room_id)
            self._register(PREDECESSOR, Origin.PREDECESSOR).named[room_id] = Naming(room, now, 0)
            self._is_there(member or self._join(room, Origin.PREDECESSOR, now, now, counted=False), now)

    def _name_by_endpoints(self, room_id: str, named: Mapping[str, Room], now: float) -> None:
        others = False
        for endpoint in self._config.http_sd:
            room, register = named.get(endpoint.name), self._register(endpoint.name, Origin.HTTP_SD)
            naming, member = register.named.get(room_id), self._members.get(room_id)
            if room is None:
                others = register.named.pop(room_id, None) is not None or others
            elif naming is None:
                register.named[room_id] = Naming(room, now, 0)
                if member is None:
                    self._join(room, Origin.HTTP_SD, now, now, counted=False)
                else:
                    member.confirmed = True
                    self._reconsider(room_id, None, now)
            elif naming.room != room:
                naming.room, others = room, True
        member = self._members.get(room_id)
        if others and member is not None:
            self._relabel(member)

    def gone_elsewhere(self, room_ids: Iterable[str]) -> None:
        """Another replica, which watches them, says that these rooms are gone. Those that the config names stay."""
        for room_id in room_ids:
            if room_id in self._members and not self.is_configured(room_id):
                for register in self.registers.values():
                    register.named.pop(room_id, None)
                self._forget(room_id)

    def release_predecessor(self, now: float) -> Iterator[None]:
        """
        Every list was read once since another replica handed over: what it alone named is judged by polls from now on.

        Where neither list nor callbacks find rooms, the operator named it until now, and it goes at once.
        """
        register = self.registers.pop(PREDECESSOR, None)
        for room_ids in in_parts(tuple(register.named) if register else ()):
            for room_id in room_ids:
                member = self._members.get(room_id)
                if member is None or self.named(room_id):
                    continue
                if self._config.vendor_list is None and self._config.callbacks is None:
                    self._drop(room_id, Reason.HTTP_SD, now)
                    continue
                if self._config.vendor_list is not None:
                    member.listed_out = True
                    self._enter(member, Life.LEAVING)
                self._bring(member, now, urgent=False)
            yield

    def hand_over(self, now: float, *, keep: bool) -> Iterator[None]:
        """
        Another replica finds the rooms from now on: forget what was found here, and count nothing.

        Args:
            keep: Keep what is published, since what the other one finds is published here, too.
        """
        kept = {Origin.CONFIG, Origin.FILES} | ({Origin.HTTP_SD} if keep else set())
        self.registers = {name: each for name, each in self.registers.items() if each.origin in kept}
        for known in (self._tombstones, self._closed, self._refused):
            known.clear()
        for room_ids in in_parts(tuple(self._members)):
            for room_id in room_ids:
                member = self._members.get(room_id)
                if member is None:
                    continue
                if self.named(room_id):  # by the config, or it was inherited meanwhile
                    self._relabel(member)
                elif keep and member.published:
                    self._keep(member, now)
                else:
                    self._forget(room_id)
            yield

    def _keep(self, member: Member, now: float) -> None:
        for register in self.registers.values():
            register.named.pop(member.room.id, None)
        self._register(PREDECESSOR, Origin.PREDECESSOR).named[member.room.id] = Naming(member.room, now, 0)
        self._operated -= member.operated
        member.operated = False
        self._is_there(member, now)
        self._relabel(member)

    def _forget(self, room_id: str) -> None:
        member = self._members.pop(room_id)
        self._refused.pop(room_id, None)
        self.lives[member.life] -= 1
        self._operated -= member.operated
        self._no_hint_alone(member)
        self._changes.remove(room_id, published=member.published)

    # Providers

    def _tune(self, now: float) -> None:
        config, terms = self._config, self._terms
        self._filter = Filter(config, terms.rule)
        rate = config.new_rooms_per_minute
        self._new = Allowance(rate / 60, max(1, rate), now)
        # One half of what callbacks may cost is for candidates, which are polled every interval, and one for polls that
        # are brought forward.
        hinted = terms.hinted_polls / 2
        self._hints = Allowance(hinted, max(2.0, hinted * terms.interval), now)
        self._most_by_hint = max(1.0, hinted * terms.interval)
        self._own = Defaults(terms.defaults.labels, terms.defaults.thresholds)

    def _register(self, provider: str, origin: Origin) -> Register:
        register = self.registers.get(provider)
        if register is None:
            self.registers[provider] = register = Register(provider, origin)
            ranked = sorted(self.registers.values(), key=lambda each: _RANK[each.origin])
            self.registers = {each.name: each for each in ranked}
        return register

    def _name(self, register: Register, room: Room, number: int, began: float, now: float) -> None:
        room_id = room.id
        naming = register.named.get(room_id)
        if naming is not None:
            known = self._members[room_id]
            if naming.absent:
                self._spare(known, register.origin)
            naming.passes += naming.seen != number
            naming.seen, naming.absent = number, 0
            if room != naming.room:
                naming.room = room
                self._relabel(known)
            if known.life is Life.CANDIDATE:
                self._confirm_by_list(known, now)
            return
        if register.origin is not Origin.CONFIG and register.origin is not Origin.FILES:
            if self._is_buried(room_id, register.origin, began, now):
                return
            rejection = self._rejection(room_id, register.origin, now)
            if rejection is not None:
                self._reject(rejection, now)
                return
        register.named[room_id] = Naming(room, now, number)
        member = self._members.get(room_id)
        if member is None:
            self._join(room, register.origin, now, began, counted=number > 1)
        else:
            member.listed_out = member.listed_out and register.origin is not Origin.VENDOR_LIST
            self._reconsider(room_id, None, now)
            self._spare(member, register.origin)

    def _spare(self, member: Member, origin: Origin) -> None:
        """The list names a room of ZEGO RTC again that is to go, as it was empty and not listed."""
        if member.verdict is not None and origin is Origin.VENDOR_LIST and not self._terms.tells_existence:
            self._forget_doubts(member)
            self._enter(member, Life.ACTIVE)

    def _miss(self, register: Register, room_id: str, naming: Naming, now: float) -> None:
        """A complete listing does not name this room any more."""
        if register.origin in OPERATORS:
            del register.named[room_id]
            self._lose(register, room_id, now)
            return
        naming.absent += 1
        if naming.absent < _ABSENCES:
            return
        del register.named[room_id]
        member = self._members[room_id]
        if not member.operated:
            member.listed_out = True
            if member.life is Life.ACTIVE:
                self._enter(member, Life.LEAVING)
            self._bring(member, now, urgent=False)

    def _lose(self, register: Register, room_id: str, now: float) -> None:
        """A provider of the operator's, or one that is configured no longer, names this room no more."""
        others = frozenset(each.name for each in self._config.http_sd) - {register.name}
        if register.origin is Origin.HTTP_SD and others and not self.named(room_id):
            self._moves.begin(room_id, others, now)
            self._at(now + LONGEST_WAIT, room_id)
        else:
            self._reconsider(room_id, _reason(register.origin), now)

    def _part(self, room_ids: Iterator[str], now: float) -> Iterator[None]:
        """These rooms have waited for nothing."""
        for part in in_parts(tuple(room_ids)):
            for room_id in part:
                if room_id in self._moves:
                    self._drop(room_id, Reason.HTTP_SD, now)
            yield

    def _reject(self, rejection: Rejection, now: float) -> None:
        self.rejected[rejection] += 1
        self.rejected_at[rejection] = now

    def _rejection(self, room_id: str, origin: Origin, now: float) -> Rejection | None:
        objection = self._filter.objection(room_id)
        if objection is not None or room_id in self._members:
            return objection
        found = len(self._members) - self._operated
        if len(self._members) >= self._config.max_rooms or (origin is not Origin.HTTP_SD and found >= MOST_FOUND):
            return Rejection.MAX_ROOMS
        if origin is Origin.HTTP_SD:
            return None
        if origin is Origin.CALLBACKS and self._by_hint >= self._most_by_hint:
            return Rejection.RATE
        if origin is Origin.VENDOR_LIST and not self._is_settled(now):
            return None  # after a start everything that is there is taken
        return None if self._new.take(now) else Rejection.RATE

    def _is_buried(self, room_id: str, origin: Origin, began: float, now: float) -> bool:
        tombstone = self._tombstones.get(room_id)
        if tombstone is None or origin is Origin.HTTP_SD or now >= tombstone.until:
            return False
        return began <= tombstone.at or now < tombstone.quiet_until

    def _is_settled(self, now: float) -> bool:
        """
        Whether the vendor's list has been read once since the start, if one is configured. Before that, an absence
        proves nothing, but for ``forget_after`` at most.
        """
        lists = [each for each in self.registers.values() if each.origin is Origin.VENDOR_LIST]
        listed = any(each.last_complete is not None or each.results[Result.UNSUPPORTED] for each in lists)
        return listed or self._config.vendor_list is None or now - self._began >= self._config.forget_after

    # Lives

    def _join(self, room: Room, origin: Origin, now: float, provable: float, *, counted: bool) -> Member:
        tombstone = self._tombstones.pop(room.id, None)
        operated = origin in OPERATORS
        member = Member(room, Life.ACTIVE if operated else Life.CANDIDATE, now, provable, operated=operated)
        member.futile = tombstone.futile if tombstone else 0
        self._members[room.id] = member
        self.lives[member.life] += 1
        self.added[origin] += counted
        self._operated += operated
        if not operated:
            self._at(now + self._config.probation, room.id)
            if origin is Origin.CALLBACKS:
                member.by_hint = True
                self._by_hint += 1
        member.room = self._merged(room.id)
        self._changes.show(member.room, published=operated)
        return member

    def _reconsider(self, room_id: str, reason: Reason | None, now: float) -> None:
        """
        Other providers name this room than before.

        Args:
            reason: Why it goes if nobody does.
        """
        member = self._members[room_id]
        origins = [each.origin for each in self.registers.values() if room_id in each.named]
        if origins:
            self._moves.end(room_id)
        if not origins and reason is not None:
            self._drop(room_id, reason, now)
            return
        operated = not OPERATORS.isdisjoint(origins)
        if operated != member.operated:
            member.operated = operated
            self._operated += 1 if operated else -1
            self._forget_doubts(member)
            if operated:
                self._refused.pop(room_id, None)
                self._enter(member, Life.ACTIVE)
            elif not member.confirmed:
                member.found, member.provable, member.good = now, now, 0
                self._enter(member, Life.CANDIDATE)
                self._at(now + self._config.probation, room_id)
        if origins != [Origin.CALLBACKS]:
            self._no_hint_alone(member)
        self._relabel(member)

    def _judge_anew(self, room_id: str, now: float) -> None:
        """The filter, or the defaults, may be other ones."""
        if room_id not in self._members:
            return
        if self._filter.objection(room_id) is not None:
            for register in self.registers.values():
                if register.origin not in (Origin.CONFIG, Origin.FILES):
                    register.named.pop(room_id, None)
            self._reconsider(room_id, Reason.LIST, now)
        if (member := self._members.get(room_id)) is not None:
            self._relabel(member)

    def _enter(self, member: Member, life: Life) -> None:
        if life is member.life:
            return
        was_published = member.published
        self.lives[member.life] -= 1
        self.lives[life] += 1
        member.life = life
        if life is not Life.CANDIDATE:
            self._no_hint_alone(member)
        if life is not Life.ACTIVE:
            self._set_idle(member, idle=False)
        if member.published and not was_published:
            self._changes.publish[member.room.id] = member.room
        elif was_published and not member.published:
            self._changes.hide(member.room.id)

    def _drop(self, room_id: str, reason: Reason, now: float) -> None:
        member = self._members.pop(room_id)
        self._refused.pop(room_id, None)
        self._moves.end(room_id)
        for register in self.registers.values():
            register.named.pop(room_id, None)
        self.lives[member.life] -= 1
        self._operated -= member.operated
        self._no_hint_alone(member)
        self.dropped[reason] += 1
        self._changes.remove(room_id, published=member.published)
        if member.published:
            self._changes.lifetimes.append(max(0.0, (member.gone_since if member.gone_polls else now) - member.found))
        config = self._config
        futile = member.futile + 1 if reason is Reason.UNCONFIRMED else 0
        quiet = min(config.forget_after, config.probation * 2.0 ** min(futile - 1, 20)) if futile else 0.0
        quiet = config.refused_for if reason is Reason.REFUSED else quiet
        until = now + max(config.forget_after, quiet)
        self._tombstones[room_id] = Tombstone(now, now + quiet, until, member.session, member.last_event, futile)
        self._at(until, room_id)
        if len(self._tombstones) > max(MOST_FOUND, config.max_rooms):
            del self._tombstones[next(iter(self._tombstones))]

    def _at(self, due: float, room_id: str) -> None:
        heapq.heappush(self._timers, (due, room_id))

    def _review(self, room_id: str, now: float) -> None:
        """Something about this room may be due."""
        tombstone = self._tombstones.get(room_id)
        if tombstone is not None and now >= tombstone.until:
            del self._tombstones[room_id]
        member = self._members.get(room_id)
        if self._moves.is_over(room_id, now):
            self._drop(room_id, Reason.HTTP_SD, now)
            return
        if member is None or member.operated:
            return
        if member.verdict is not None:
            reason, due = member.verdict
            if now >= due:
                self._drop(room_id, reason, now)
        elif member.life is Life.CANDIDATE:
            self._review_candidate(member, now)

    def _review_candidate(self, member: Member, now: float) -> None:
        probation = self._config.probation
        age = now - member.found
        if age < probation:
            return  # found anew, and reviewed then
        if room_refused := member.room.id in self._refused:
            self._drop(member.room.id, Reason.REFUSED, now)
        elif age >= _GIVEN_UP * probation or (member.good >= _GOOD_POLLS and not self._awaits_list(member)):
            self._drop(member.room.id, Reason.UNCONFIRMED, now)
        if not room_refused and member.room.id in self._members:
            self._at(now + max(1.0, probation / 6), member.room.id)

    def _awaits_list(self, member: Member) -> bool:
        """Whether another pass over the list can still confirm this candidate."""
        naming = self._listing(member.room.id)
        return not self._terms.tells_existence and naming is not None and not naming.absent

    def _listing(self, room_id: str) -> Naming | None:
        lists = (each for each in self.registers.values() if each.origin is Origin.VENDOR_LIST)
        return next((naming for each in lists if (naming := each.named.get(room_id))), None)

    # Polls

    def _read(self, member: Member, reading: Reading, began: float, now: float) -> None:
        member.good += 1
        if reading.users > 0 or reading.exists:
            self._is_there(member, began)
        elif reading.missing or reading.exists is False or not self._terms.tells_existence:
            self._is_gone(member, began, now)
        self._watch_emptiness(member, reading, now)

    def _is_there(self, member: Member, began: float) -> None:
        if began < member.hinted:
            return  # it was there before the callback that told of its end
        member.confirmed, member.destroyed, member.futile = True, False, 0
        self._forget_doubts(member)
        if member.life is not Life.ACTIVE:
            self._enter(member, Life.ACTIVE)

    def _is_gone(self, member: Member, began: float, now: float) -> None:
        if not member.gone_polls:
            member.gone_since = now
        member.gone_polls += 1
        if member.operated or member.verdict is not None:
            return
        if member.life is Life.CANDIDATE:
            if member.destroyed and began >= member.hinted:
                self._drop(member.room.id, Reason.UNCONFIRMED, now)
            else:
                self._confirm_by_list(member, now)
        elif self._is_settled(now) and self._is_proven_gone(member, began, now):
            reason = Reason.MISSING if self._terms.tells_existence else Reason.IDLE
            due = member.gone_since + self._config.linger
            member.verdict = (Reason.LIST if member.listed_out else reason), due
            self._enter(member, Life.LEAVING)
            self._at(max(now, due), member.room.id)

    def _is_proven_gone(self, member: Member, began: float, now: float) -> bool:
        told = member.destroyed and began >= member.hinted
        if self._terms.tells_existence:
            return member.gone_polls >= (1 if told else self._config.drop_after)
        if told:
            return member.gone_polls >= _GOOD_POLLS
        naming = self._listing(member.room.id)
        if naming is not None and not naming.absent:
            return False
        return member.gone_polls >= self._config.drop_after and now - member.gone_since >= _HEARTBEATS

    def _confirm_by_list(self, member: Member, now: float) -> None:
        if self._terms.tells_existence or not member.good or member.destroyed:
            return
        naming = self._listing(member.room.id)
        if naming is not None and naming.passes >= _ENOUGH_PASSES:
            self._is_there(member, now)

    def _forget_doubts(self, member: Member) -> None:
        member.gone_polls, member.verdict, member.listed_out = 0, None, False

    def _watch_emptiness(self, member: Member, reading: Reading, now: float) -> None:
        if reading.users:
            member.empty_since = None
            self._set_idle(member, idle=False)
            return
        if member.empty_since is None:
            member.empty_since = now
        after = self._config.idle_after
        if after and not member.idle and member.life is Life.ACTIVE and now - member.empty_since >= after:
            self._set_idle(member, idle=not self.is_configured(member.room.id))

    def _set_idle(self, member: Member, *, idle: bool) -> None:
        if idle is not member.idle and member.room.id in self._members:
            member.idle = idle
            self._changes.pace(member.room.id, idle=idle)

    # Callbacks

    def _hinted_anew(self, hint: Hint, now: float) -> None:
        """A callback about a room that is not watched."""
        room_id, tombstone = hint.room_id, self._tombstones.get(hint.room_id)
        if hint.change is Change.DESTROYED:
            if tombstone is not None:
                tombstone.last_event = max(hint.at or 0.0, tombstone.last_event or 0.0) or None
                tombstone.session = hint.session or tombstone.session
            self._remember_closed(hint)
            return
        if tombstone is not None and (now < tombstone.quiet_until or _is_of(tombstone, hint)):
            return
        if self._was_closed(hint):
            return
        rejection = self._rejection(room_id, Origin.CALLBACKS, now)
        if rejection is not None:
            self._reject(rejection, now)
            return
        room = Room(room_id)
        self._register(CALLBACKS, Origin.CALLBACKS).named[room_id] = Naming(room, now, 0)
        member = self._join(room, Origin.CALLBACKS, now, now, counted=True)
        member.session, member.last_event = hint.session, hint.at
        if hint.change is Change.CREATED:
            member.opened = hint.at

    def _name_by_hint(self, member: Member, now: float) -> None:
        room_id, named = member.room.id, self._register(CALLBACKS, Origin.CALLBACKS).named
        if room_id not in named and self._filter.objection(room_id) is None:
            named[room_id] = Naming(member.room, now, 0)
            self._reconsider(room_id, None, now)

    def _reopened(self, member: Member, hint: Hint, now: float) -> None:
        if self._is_late(member, hint):
            return
        if self._was_closed(hint):
            # Its end came first, and comes into force now.
            member.session, member.opened = hint.session, hint.at
            self._closing(member, Hint(hint.room_id, Change.DESTROYED, hint.session, None), now)
            return
        if hint.session != member.session or hint.session is None:
            self._begin_anew(member, hint)
        self._bring(member, now, urgent=True)

    def _begin_anew(self, member: Member, hint: Hint) -> None:
        """A new life: what polls said was of the old one."""
        member.session, member.opened, member.destroyed = hint.session, hint.at, False
        if member.verdict is not None or member.gone_polls:
            self._forget_doubts(member)

    def _closing(self, member: Member, hint: Hint, now: float) -> None:
        other = None not in (hint.session, member.session) and hint.session != member.session
        before = hint.at is not None and member.opened is not None and hint.at <= member.opened
        if before and (other or hint.session is None or member.session is None):
            return  # the end of an earlier life
        if other:
            self._remember_closed(hint)
        else:
            member.destroyed = True
            member.hinted = now
            self._register(CALLBACKS, Origin.CALLBACKS).named.pop(hint.room_id, None)
            if member.life is Life.ACTIVE and not member.operated:
                self._enter(member, Life.LEAVING)
        self._bring(member, now, urgent=True)

    def _is_late(self, member: Member, hint: Hint) -> bool:
        """Whether a callback tells of an earlier life than the one that is known."""
        if hint.session is not None and hint.session == member.session:
            return member.destroyed
        newest = member.last_event if member.destroyed else member.opened
        return hint.at is not None and newest is not None and hint.at <= newest

    def _remember_closed(self, hint: Hint) -> None:
        if hint.session is not None:
            self._closed.pop(hint.room_id, None)
            self._closed[hint.room_id] = hint.session, hint.at
            if len(self._closed) > _CLOSED_KEPT:
                del self._closed[next(iter(self._closed))]

    def _was_closed(self, hint: Hint) -> bool:
        """Whether the end of the life that begins came before its beginning."""
        closed = self._closed.get(hint.room_id)
        return closed is not None and closed[0] == hint.session

    def _bring(self, member: Member, now: float, *, urgent: bool) -> None:
        """Have a room polled now, at most once per interval; what is not urgent leaves half of the allowance."""
        if now - member.brought < self._terms.interval:
            return
        if self._hints.take(now, 0.0 if urgent else self._hints.most / 2):
            member.brought = now
            self._changes.now[member.room.id] = None

    def _no_hint_alone(self, member: Member) -> None:
        """This is no candidate of callbacks alone."""
        if member.by_hint:
            member.by_hint = False
            self._by_hint -= 1

    # Labels

    def _relabel(self, member: Member) -> None:
        room = self._merged(member.room.id)
        if room != member.room:
            member.room = room
            self._changes.show(room, published=member.published)

    def _merged(self, room_id: str) -> Room:
        """Labels and thresholds as the operator's providers have them, the first of them first."""
        merged = NO_DEFAULTS
        for register in self.registers.values():
            naming = register.named.get(room_id) if register.origin in OPERATORS else None
            if naming is not None:
                own = Defaults(naming.room.labels, naming.room.thresholds)
                merged = own if merged is NO_DEFAULTS else merged.over(own)
        merged = self._own if merged is NO_DEFAULTS else merged.over(self._terms.defaults)
        return Room(room_id, merged.labels, merged.thresholds)


def _is_of(tombstone: Tombstone, hint: Hint) -> bool:
    """Whether a callback tells of the life that has ended."""
    if hint.session is not None and hint.session == tombstone.session:
        return True
    return hint.at is not None and tombstone.last_event is not None and hint.at <= tombstone.last_event


def _reason(origin: Origin) -> Reason:
    """Why a room goes that a provider does not name any more."""
    return Reason(origin.value) if origin in OPERATORS else Reason.LIST
