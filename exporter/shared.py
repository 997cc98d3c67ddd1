"""
The sources of this process as one replica of a cluster: some are polled here, the others rest.

::

    cluster ── gain, renew, let_go, lose ──► SharedSources ──► Budget: slots until a moment
        │                                         ├──────────► Poller, Discovery: at work, or at rest
        └── drain, inherit, follow ─────────────► └──────────► SourceTable: readings in and out, shown or hidden

A source is polled here while the budget of its polls is *ours*: gained, and neither lost nor let go since. Its list
belongs to it, and is read here as well. A lease may run out while a budget is ours, when the engine of the cluster does
not answer. Then no call leaves, but the source stays at work and its readings are published until they are too old.

A source that a reload has moved to a budget of ours rests all the same while another replica still polls it on its
former budget.

Another replica polls the other sources. They keep their rooms of config and files here, open no connections and ask
nobody for rooms. They are hidden (``serve: own``), or show what the other replica has read (``serve: all``).

Readings travel under a *key*: the source's name, and a hash of whose rooms they are. So what a source read before its
app was changed is never taken for a reading of the new app's rooms.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict, deque
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from typing import Final

from exporter.clock import Clock
from exporter.cluster.protocols import NO_MORE, SILENCE, SOURCE, Inheritance, More, Record
from exporter.discovery import Discovery
from exporter.metrics.room import Arrival
from exporter.metrics.table import Table
from exporter.model import Reading, in_parts
from exporter.polling.budget import Budget, Timer
from exporter.polling.load import budget_loads, list_load
from exporter.polling.pace_state import read_pace_state
from exporter.polling.poller import Inherited
from exporter.reload import Running, Sources
from exporter.states import RoomState
from exporter.vendors.callbacks import Change, Hint

_UNDER_WAY: Final = 0.5
"""Seconds for which a budget that is let go waits for its calls: then the network knows what has arrived."""
_LONGEST_SILENCE: Final = 300.0
_MOST_DRAINED: Final = 5_000
_MOST_HINTS: Final = 1_000


class SharedSources:
    """
    The budgets and the rooms of this process, as the protocols of ``cluster`` want them.

    Args:
        sources: From now on nobody holds a budget that they make.
    """

    def __init__(self, sources: Sources, table: Table, timer: Timer, clock: Clock) -> None:
        self._sources = sources
        self._table = table
        self._timer = timer
        self._clock = clock
        self._ours: dict[str, Budget] = {}
        self._letting_go: set[str] = set()
        self._elsewhere: set[str] = set()
        self._budget_of: Mapping[str, str] = {}
        self._every_room = False
        self._by_budget: Mapping[str, Sequence[Running]] = {}
        self._by_key: Mapping[str, Running] = {}
        self._last_words: dict[str, list[Record]] = {}
        self._hints: deque[tuple[str, str, Mapping[str, object]]] = deque(maxlen=_MOST_HINTS)
        self._needed: tuple[object, Mapping[str, float]] = None, {}
        sources.shared = True
        sources.arrange = self._arrange
        sources.hand_on = self._hand_on

    # Budgets

    def needed(self) -> Mapping[str, float]:
        """See ``cluster.protocols.Budgets``."""
        running = [(each.config, _rooms(each)) for each in self._sources.running.values()]
        state = [(id(config), rooms) for config, rooms in running]
        if self._needed[0] != state:
            needed: defaultdict[str, float] = defaultdict(float)
            for budget in budget_loads(running):
                needed[budget.name] = min(budget.needed, budget.kept)
            for config, rooms in running:
                if (lists := list_load(config, rooms)) is not None:
                    needed[lists.budget] += lists.needed
            self._needed = state, {name: needed[name] for name in self._sources.budgets}
        return self._needed[1]

    def ties(self) -> Sequence[frozenset[str]]:
        """See ``cluster.protocols.Budgets``."""
        tied = {name: {name} for name in self._sources.budgets}
        for running in self._sources.running.values():
            lists = running.config.discovery.vendor_list if running.config.discovery else None
            if lists is not None and tied.get(lists.budget) is not tied.get(running.config.budget):
                both = tied[lists.budget] | tied[running.config.budget]
                tied.update(dict.fromkeys(both, both))
        return [*dict.fromkeys(map(frozenset, tied.values()))]

    def gain(self, budget: str, until: float, inheritance: Inheritance) -> None:
        """See ``cluster.protocols.Budgets``."""
        gained = self._sources.budgets.get(budget)
        if gained is None:
            return  # a reload has removed it meanwhile
        state = None if inheritance.state is None else read_pace_state(inheritance.state)
        gained.go_on(state, max(0.0, inheritance.age), SILENCE if inheritance.silent else 0.0)
        self._be_silent(inheritance)
        self._ours[budget] = gained
        self._letting_go.discard(budget)
        self._arrange_sources(self._by_budget.get(budget, ()))
        gained.hold(until)

    def renew(self, until: Mapping[str, float]) -> None:
        """See ``cluster.protocols.Budgets``."""
        for name, moment in until.items():
            if name in self._ours and name not in self._letting_go:
                self._ours[name].hold(moment)

    def state(self, budget: str) -> Mapping[str, object]:
        """See ``cluster.protocols.Budgets``. Nothing, if a reload has removed the budget before it was gained."""
        return self._state(budget, last=False) if budget in self._ours else {}

    async def let_go(self, budgets: Sequence[str]) -> Mapping[str, Mapping[str, object]]:
        """See ``cluster.protocols.Budgets``."""
        letting_go = {name: self._ours[name] for name in budgets if name in self._ours}
        self._letting_go |= letting_go.keys()
        for budget in letting_go.values():
            budget.hold(float("-inf"))
        under_way = [call for name in letting_go for call in self._calls_under_way(name)]
        if under_way:
            await asyncio.wait(under_way, timeout=_UNDER_WAY)
        states = {name: self._state(name, last=True) for name in letting_go.keys() & self._ours.keys()}
        for name in self._letting_go & states.keys():  # unless it was gained again meanwhile
            self._give_up(name)
        return states

    def lose(self, budget: str) -> None:
        """See ``cluster.protocols.Budgets``."""
        if budget in self._ours:
            self._ours[budget].hold(float("-inf"))
            self._give_up(budget, last_words=False)

    def fenced_calls(self) -> int:
        """See ``cluster.protocols.Budgets``."""
        return self._timer.fenced_calls

    # Readings

    def serve(self, *, every_room: bool) -> None:
        """See ``cluster.protocols.Readings``."""
        if every_room is not self._every_room:
            self._every_room = every_room
            self._arrange()

    def drain(self) -> Mapping[str, Sequence[Record]]:
        """See ``cluster.protocols.Readings``."""
        now, left = self._clock.monotonic(), _MOST_DRAINED
        drained, self._last_words = self._last_words, {}
        for key, running in self._by_key.items():
            changed = running.poller.table.changed
            if changed and left:
                rooms = [*islice(changed, left)]
                left -= len(rooms)
                for room in rooms:
                    del changed[room]
                drained.setdefault(key, []).extend(_records(running, rooms, now))
        return drained

    def everything(self, source: str) -> Iterator[Sequence[Record]]:
        """See ``cluster.protocols.Readings``."""
        running = self._by_key.get(source)
        for part in in_parts([*running.poller.table]) if running else ():
            yield _records(running, part, self._clock.monotonic()) if running else ()

    def inherit(self, source: str, records: Sequence[Record]) -> None:
        """See ``cluster.protocols.Readings``."""
        self._take(source, records, inherited=True)

    def follow(self, source: str, records: Sequence[Record]) -> None:
        """See ``cluster.protocols.Readings``."""
        running = self._by_key.get(source)
        if running is not None and not self.is_ours(running):
            self._take(source, records, inherited=False)

    def follow_only(self, source: str, rooms: Container[str]) -> None:
        """See ``cluster.protocols.Readings``."""
        running = self._by_key.get(source)
        if running is None or running.discovery is None or self.is_ours(running):
            return
        for part in in_parts([room for room in running.poller.table if room not in rooms]):
            running.discovery.forget(part)

    def leave(self, source: str, *, elsewhere: bool) -> None:
        """See ``cluster.protocols.Readings``."""
        if elsewhere is not (source in self._elsewhere):
            (self._elsewhere.add if elsewhere else self._elsewhere.discard)(source)
            self._arrange_sources([self._by_key[source]] if source in self._by_key else ())

    def sources(self, budget: str) -> Sequence[str]:
        """See ``cluster.protocols.Readings``."""
        return [_key(running) for running in self._by_budget.get(budget, ())]

    def hints(self) -> Sequence[tuple[str, str, Mapping[str, object]]]:
        """See ``cluster.protocols.Readings``."""
        hints = [*self._hints]
        self._hints.clear()
        return hints

    def hint(self, source: str, room: str, hint: Mapping[str, object]) -> None:
        """See ``cluster.protocols.Readings``."""
        running = self._by_key.get(source)
        if running is None or running.discovery is None or not self.is_ours(running):
            return
        session, at = hint.get("session"), hint.get("at")
        try:
            change = Change(str(hint.get("change")))
        except ValueError:
            return  # a later version may know more of them
        running.discovery.hinted(
            Hint(
                room,
                change,
                session if isinstance(session, str) else None,
                float(at) if isinstance(at, int | float) else None,
            )
        )

    # The process

    def holds(self, budget: str) -> bool:
        """Whether this process may call on this budget now."""
        known = self._sources.budgets.get(budget)
        return known is not None and known.held

    def is_ours(self, running: Running) -> bool:
        """Whether this process polls this source."""
        return running.config.budget in self._ours and _key(running) not in self._elsewhere

    def _hand_on(self, source_name: str, hint: Hint) -> bool:
        running = self._sources.running.get(source_name)
        if running is None or self.is_ours(running):
            return False
        values: dict[str, object] = {"change": hint.change.value}
        values |= {"session": hint.session} if hint.session is not None else {}
        values |= {"at": hint.at} if hint.at is not None else {}
        self._hints.append((_key(running), hint.room_id, values))
        return True

    def _state(self, budget: str, *, last: bool) -> dict[str, object]:
        now = self._clock.monotonic()
        waits = {_key(each): each.poller.health.may_call() - now for each in self._by_budget.get(budget, ())}
        silences = {key: min(seconds, _LONGEST_SILENCE) for key, seconds in waits.items() if 0.0 < seconds < math.inf}
        return {**self._ours[budget].state(last=last).builtins(), "silences": silences}

    def _be_silent(self, inheritance: Inheritance) -> None:
        """The vendor wanted silence, or was asked only now and then whether it works again."""
        silences = (inheritance.state or {}).get("silences")
        for key, seconds in silences.items() if isinstance(silences, dict) else ():
            running = self._by_key.get(key)
            if running is not None and isinstance(seconds, int | float):
                left = min(seconds, _LONGEST_SILENCE) - max(0.0, inheritance.age)
                running.poller.health.silence(self._clock.monotonic() + left)

    def _take(self, key: str, records: Sequence[Record], *, inherited: bool) -> None:
        running = self._by_key.get(key)
        if running is None:
            return
        poller, table, discovery = running.poller, running.poller.table, running.discovery
        if discovery is not None:
            _take_rooms(discovery, records)
        special = [each for each in records if each.more is not NO_MORE]
        if special:
            self._take_user_seconds(running, special, inherited=inherited)
        replies = _replies(records, self._clock.monotonic())
        if inherited:
            poller.inherit(replies)
        else:
            for reply in replies:
                table.inherit(reply.readings, reply.arrival, reply.max_age)
        if table.states[RoomState.REFUSED]:
            table.forgive([each.room for each in records if each.watched and not each.more.refused])
        self._take_states(running, special, inherited=inherited)

    @staticmethod
    def _take_states(running: Running, records: Iterable[Record], *, inherited: bool) -> None:
        """Refused rooms, and callbacks that no poll has confirmed yet."""
        poller, table, discovery = running.poller, running.poller.table, running.discovery
        for each in records:
            if not inherited and each.more.refused:
                table.refuse(each.room)
            elif each.more.refused:
                poller.inherit_refusal(each.room, each.more.refused, each.age)
            elif inherited and each.more.candidate and discovery is not None:
                discovery.hinted(Hint(each.room, Change.CREATED, None, None))

    @staticmethod
    def _take_user_seconds(running: Running, records: Iterable[Record], *, inherited: bool) -> None:
        """Who polls may publish all of them, since the other replicas know it."""
        table, rooms = running.poller.table, dict[str, tuple[float, float]]()
        for record in records:
            if record.more.user_seconds is not None:
                seconds, told = record.more.user_seconds
                rooms[record.room] = seconds, seconds if inherited else told
        whole = rooms.pop(SOURCE, None)
        if rooms:
            table.go_on_from(rooms)
        if whole is not None:
            table.go_on_from_sum(*whole)

    def _arrange(self) -> None:
        """Sources and budgets may be other ones than before."""
        by_budget: defaultdict[str, list[Running]] = defaultdict(list)
        for running in self._sources.running.values():
            by_budget[running.config.budget].append(running)
        self._by_budget = by_budget
        self._by_key = {_key(running): running for running in self._sources.running.values()}
        for name, budget in self._sources.budgets.items():
            before = self._ours.get(name, budget)
            if before is not budget:  # a reload removed it, and the next one brought it back
                budget.go_on(before.state(last=True), 0.0, 0.0)
                budget.hold(before.held_until)
                self._ours[name] = budget
        former = self._budget_of
        self._budget_of = {key: each.config.budget for key, each in self._by_key.items()}
        for key, name in self._budget_of.items():
            if former.get(key, name) not in (name, *self._ours):
                self._elsewhere.add(key)  # until the cluster knows better
        self._elsewhere &= self._by_key.keys()
        self._arrange_sources(self._sources.running.values())

    def _arrange_sources(self, sources: Iterable[Running]) -> None:
        """Let these sources work or rest."""
        for running in sources:
            ours, poller, stats = self.is_ours(running), running.poller, running.poller.stats
            stats.hidden = not (ours or self._every_room)
            if ours:
                if poller.table.changed is None:
                    poller.table.changed = {}
                poller.resume()
                if running.discovery is not None:
                    running.discovery.resume()
            else:
                poller.table.changed = None
                poller.rest()
                if running.discovery is not None:
                    running.discovery.rest(keep=self._every_room)
        self._table.hide(name for name, each in self._sources.running.items() if each.poller.stats.hidden)

    def _give_up(self, name: str, *, last_words: bool = True) -> None:
        self._ours.pop(name, None)
        self._letting_go.discard(name)
        resting = [each for each in self._by_budget.get(name, ()) if not self.is_ours(each)]
        for running in resting if last_words else ():
            table = running.poller.table
            if table.changed:
                records = _records(running, [*table.changed], self._clock.monotonic())
                self._last_words.setdefault(_key(running), []).extend(records)
        self._arrange_sources(resting)

    def _calls_under_way(self, budget: str) -> Collection[asyncio.Task[None]]:
        calls: list[asyncio.Task[None]] = []
        for running in self._sources.running.values():
            if running.config.budget == budget:
                calls += running.poller.calls_under_way
            lister = running.discovery.lister if running.discovery else None
            if lister is not None and lister.budget.name == budget:
                calls += lister.calls_under_way
        return calls


def _take_rooms(discovery: Discovery, records: Sequence[Record]) -> None:
    """Watch the rooms that the other replica has found, and no longer those that it has not any more."""
    discovery.forget([each.room for each in records if not each.watched])
    found = [each for each in records if each.watched and each.room != SOURCE and not each.more.candidate]
    discovery.inherit({each.room: each.more.named for each in found})


def _rooms(running: Running) -> int:
    files = len(running.files.rooms)
    return max(running.rooms, files) if running.discovery else files


def _key(running: Running) -> str:
    return f"{running.config.name}@{sha256(running.config.rooms_key.encode()).hexdigest()[:8]}"


def _records(running: Running, rooms: Iterable[str], now: float) -> list[Record]:
    """What is known of these rooms, and of the source they are of."""
    poller, discovery = running.poller, running.discovery
    table, cadence, named = poller.table, poller.planner.cadence, NO_MORE.named
    integrates = table.user_seconds is not None
    endpoints = discovery is not None and bool(discovery.settings.http_sd)
    plain = cadence is None and not integrates and not endpoints
    records = []
    for room in rooms:
        row = table.row(room)
        if row is None:
            candidate = discovery is not None and discovery.roster.is_by_hint(room)
            records.append(Record(room, None, 0.0, 0.0, more=More(candidate=True)) if candidate else Record.gone(room))
            continue
        batch, reading, more = row.batch, row.reading, NO_MORE
        if not plain or row.state is RoomState.REFUSED or (batch is not None and batch.arrival.listed):
            named = discovery.roster.endpoints_of(room) if discovery is not None and endpoints else named
            more = More(
                max_age=batch.max_age if batch else None,
                listed=batch is not None and batch.arrival.listed,
                refused=poller.refused(room) if row.state is RoomState.REFUSED else 0,
                user_seconds=(row.user_seconds, row.told_user_seconds) if integrates else None,
                cadence=cadence.knowledge(room) if cadence else None,
                named=named,
            )
        if batch is None:
            records.append(Record(room, None, 0.0, 0.0, more=more))
        else:
            records.append(Record(room, reading, now - batch.arrival.monotonic, batch.arrival.unix, more=more))
    if table.user_seconds is not None and records:
        records.append(
            Record(SOURCE, None, 0.0, 0.0, more=More(user_seconds=(table.user_seconds, table.told_user_seconds)))
        )
    return records


def _replies(records: Iterable[Record], now: float) -> list[Inherited]:
    """The readings by the replies that they came with, oldest first."""
    replies: dict[
        tuple[float, float | None, bool], tuple[float, dict[str, Reading], dict[str, tuple[float, float, int]]]
    ] = {}
    for record in records:
        if record.reading is not None:
            more = record.more
            key = record.unix, more.max_age, more.listed
            reply = replies.get(key)
            if reply is None or reply[0] < record.age:
                _, readings, cadence = reply or (0.0, {}, {})
                reply = replies[key] = record.age, readings, cadence
            reply[1][record.room] = record.reading
            if more.cadence is not None:
                reply[2][record.room] = more.cadence
    ordered = sorted(replies.items(), key=lambda reply: -reply[1][0])
    return [
        Inherited(readings, Arrival(now - age, unix, listed), max_age, cadence)
        for (unix, max_age, listed), (age, readings, cadence) in ordered
    ]
