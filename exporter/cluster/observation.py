"""
Who may call on which budget. Pure: the caller brings the time, and carries requests to the engine and back.

Theory of operation
===================

**Problem.** A vendor cannot check who calls: it counts all replicas together. So two replicas must never call on one
budget within the same second, whatever happens: a process that stands still for a minute and goes on, a network that
swallows answers, a Redis that restarts empty or fails over to a copy that lacks the last writes.

**Idea.** A lease that both sides measure with their own clocks. Every tenth of a lease each replica makes one exchange
with the engine, which raises its *beat* by one.

* *The holder* notes when it **sent** a request. If the reply confirms that the record of a budget names it, it may
  write calls until ``sent + lease - margin``, and no longer.
* *The claimant* notes when it **received** a beat for the first time. If the beat has stood still for one whole lease
  since, it may claim the holder's budgets. The engine carries out a claim only if record and beat still are what the
  claimant saw.

Proof: the holder's last renewal was sent before the engine carried it out, and the claimant received that beat after
that. So the claim comes at least ``lease`` after the holder's ``sent``, and the holder stopped ``margin`` earlier. If
the holder beats in between, the claim fails. Worked example with a lease of 5 s: the margin is 1.17 s. A sends its last
request at 0.00 s and writes calls until 3.83 s at the latest. B receives A's beat at 0.01 s at the earliest, claims at
5.01 s, and calls at once: the vendor saw at least 1.18 s of silence.

The margin is 1.07 s (the vendor's second, and delays on the way) and 2 % of the lease, for clocks whose rates differ by
1 % each from the true one.

**Eras.** The proof holds within one history of the engine's data. A reply names the *era*: the run of the server and a
random number stored with the data. After another era is seen, all observations begin anew, and for one lease a replica
claims nothing (it is not *settled*). All that it may do then is to write the records of budgets again that it still
holds. Whoever held a budget in an earlier era and did not get to do so has stopped by the end of that lease.

**What cannot be read.** An entry may come from a later version of the exporter, or from another program. A replica
whose entry cannot be read gets no budget. A budget whose record cannot be read is never claimed: nobody knows who calls
on it.

**Answers that are lost.** A request may be carried out although its answer never arrives, or arrives late. A late
request is refused, since a later beat was carried out before. A budget whose record names this replica although it does
not hold it (its lease ran out meanwhile, or the answer to its claim was lost) is taken back with a new token. Without
this rule nobody could claim it, as this replica's heart beats.

**Hand-over.** ``assignment`` says who shall hold each budget. A holder lets go of budgets that another replica shall
have, at most a tenth of its own in an exchange. A budget that was let go is claimed at once by the replica that shall
have it, and after half a lease by any other.

**When this is wrong.** If the engine splits in two and both halves accept writes, both halves may have a holder. Redis
closes this with ``min-replicas-to-write``. If a hypervisor stops a guest together with its clocks, the guest does not
notice for what is left of its lease.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from exporter.cluster.assignment import Unit, assign
from exporter.cluster.exchange import How, Member, Owner, Refusal, Reply, Request, Write
from exporter.cluster.protocols import SILENCE, Inheritance

_RATES: Final = 0.02
"""Most by which the rates of two clocks differ."""

EXCHANGES_IN_LEASE: Final = 10
_PROVED_BEATS: Final = 3
_HANDED_OVER: Final = 0.1
_FALLBACK: Final = 0.5
_MEETING: Final = 0.2
_FORGOTTEN_AFTER: Final = 10.0

EARLY: Final = 0.15
"""Seconds before the lease ends at which the replica itself lets go: before the kernel would end it."""


def writes_for(lease: float) -> float:
    """Seconds after a confirmed request was sent for which its replica may write calls."""
    return lease - SILENCE - _RATES * lease


_Parsed = TypeVar("_Parsed", Member, Owner)


@dataclass(slots=True)
class _Seen(Generic[_Parsed]):
    """
    A value as this replica has seen it.

    Args:
        value: Empty: there is none.
        parsed: The same, unless there is none, or it cannot be read.
        since: Monotonic time at which it was first received.
        changes: How often it has changed while process and config stayed the same.
    """

    value: str
    parsed: _Parsed | None
    since: float
    changes: int = 0


@dataclass(frozen=True, slots=True)
class Gain:
    """A budget that this replica holds from now on."""

    how: How
    inheritance: Inheritance
    state: str | None


@dataclass(frozen=True, slots=True)
class Changes:
    """
    What a reply means for this replica's budgets.

    Args:
        renewed: Whether all held budgets are held until ``Observer.until``.
        lost: Budgets that were held and that somebody else has now.
        again: Whether the next exchange should follow at once.
    """

    renewed: bool = False
    gained: Mapping[str, Gain] = field(default_factory=dict)
    lost: Sequence[str] = ()
    again: bool = False


class Observer:
    """
    What one replica knows of the others, and what it may do.

    Args:
        replica: Its name, unique in the cluster.
        incarnation: Random, another one for each process.
        lease: Seconds.

    Attributes:
        config: Hash of the parts of the config that replicas must agree on.
        budgets: Those of the config.
        every_room: Whether this replica publishes every room.
        address: Where it listens; for people.
        lease: Seconds.
        held: Tokens of the budgets that this replica may call on before ``until``.
        until: Monotonic time at which every lease of this replica ends.
        refused: Whether another process beats under this replica's name.
    """

    def __init__(self, replica: str, incarnation: str, lease: float, address: str = "") -> None:
        self.replica = replica
        self.config = ""
        self.budgets: set[str] = set()
        self.every_room = False
        self.address = address
        self.held: dict[str, int] = {}
        self.until = -math.inf
        self.refused = False
        self.era = ""
        self._incarnation = incarnation
        self.lease = lease
        self._beat = 0
        self._era_since = math.inf
        self._members: dict[str, _Seen[Member]] = {}
        self._records: dict[str, _Seen[Owner]] = {}
        self._units: Sequence[Unit] = ()
        self._letting_go: set[str] = set()
        self._releases: dict[str, str] = {}
        self._ran_out: dict[str, float] = {}
        self._tried: dict[str, Write] = {}
        self._wish: dict[str, str] = {}
        self._planned_for: tuple[set[str], Sequence[Unit]] = (set(), ())

    def use(self, units: Sequence[Unit], config: str) -> None:
        """
        Follow this config from now on.

        Args:
            units: Its budgets.
            config: Hash of the parts of the config that replicas must agree on.
        """
        self._units, self.config = units, config
        self.budgets = {budget for unit in units for budget in unit.budgets}

    # What others ask

    def settled(self, now: float) -> bool:
        """Whether this replica has followed the engine for a whole lease, so that it may claim."""
        return now - self._era_since >= self.lease

    @property
    def unreadable(self) -> Sequence[str]:
        """Budgets of the config whose records another version of the exporter wrote, or another program."""
        seen = ((budget, self._records.get(budget)) for budget in self.budgets)
        return sorted(budget for budget, record in seen if record and record.value and record.parsed is None)

    def owners(self) -> dict[str, Owner]:
        """Who holds each budget, as of the last reply."""
        return {budget: seen.parsed for budget, seen in self._records.items() if seen.parsed}

    def members(self) -> dict[str, tuple[Member, float]]:
        """Every replica, and since when its present beat is known."""
        return {name: (seen.parsed, seen.since) for name, seen in self._members.items() if seen.parsed}

    def wished(self, budget: str) -> str | None:
        """Who shall hold a budget."""
        return self._wish.get(budget)

    def alive(self, now: float) -> dict[str, Member]:
        """Replicas that have beaten within a lease, this one included."""
        return {
            name: member
            for name, (member, since) in self.members().items()
            if now - since < self.lease or (name == self.replica and not self.refused)
        }

    def grants(self, budget: str) -> bool:
        """Whether this replica may call on a budget, and is not about to let go of it."""
        return budget in self.held and budget not in self._letting_go

    def record(self, budget: str) -> str | None:
        """The record of a budget that this replica holds, as the engine has it; shown when readings are written."""
        seen = self._records.get(budget)
        return seen.value if seen and budget in self.held and self._is_mine(seen.parsed) else None

    @property
    def has_rival(self) -> bool:
        """Whether the other process under this replica's name is at work. An earlier one that was killed is not."""
        own = self._members.get(self.replica)
        return self.refused and own is not None and own.changes > 0

    # What changes

    def request(self, now: float, states: Mapping[str, str] | None = None, *, leave: bool = False) -> Request:
        """
        The next request. Note the time just before it is sent.

        Args:
            states: Of some held budgets, for the case that this replica dies.
            leave: This is the last one.
        """
        self.expire(now)
        self._beat += 1
        self._plan(now)
        own = self._members.get(self.replica)
        replaces = own.value if own and self.refused and self._stood_still(own, now) else ""
        member = Member(self._beat, self._incarnation, self.config, self.settled(now), self.every_room, self.address)
        writes = [*self._restored(), *self._released()]
        if not leave and (claims := self._claims_now(now)):
            self._tried |= {claim.budget: claim for claim in claims}
            writes += claims
        saved = {budget: state for budget, state in (states or {}).items() if budget in self.held}
        forget = {} if leave else self._dead(now)
        return Request(self.era, self.replica, member, replaces, writes, saved, forget, leave)

    def replied(self, request: Request, sent: float, now: float, reply: Reply) -> Changes:
        """
        Take in a reply.

        Args:
            sent: Monotonic time just before the request was sent.
            now: Monotonic time at which the reply was received.
        """
        if reply.era != self.era:
            self.era, self._era_since = reply.era, now
            self._members.clear()
            self._records.clear()
            self._tried.clear()
        self._note(reply, now)
        self.expire(now)
        if reply.refusal is not None:
            return self._refused(reply)
        self.refused = False
        until = sent + writes_for(self.lease)
        claimed = {write.budget: write for write in request.writes if not write.release}
        gained: dict[str, Gain] = {}
        confirmed: dict[str, int] = {}
        for budget, owner in self._mine().items():
            write = claimed.get(budget)
            if self.held.get(budget) == owner.token or (write and write.how is How.RESTORED and budget in self.held):
                confirmed[budget] = owner.token
            elif (
                write is not None and budget not in self.held and write.how is not How.RESTORED and now < until - EARLY
            ):
                gained[budget] = self._gain(write, now, reply.states.get(budget))
                confirmed[budget] = owner.token
        lost = [budget for budget in self.held if budget not in confirmed]
        self._letting_go.difference_update(lost)
        self.held = confirmed
        self.until = max(self.until, until) if confirmed else self.until
        for budget in gained:
            self._tried.pop(budget, None)
        mine = self._mine()
        self._ran_out = {budget: at for budget, at in self._ran_out.items() if budget in mine and budget not in gained}
        self._plan(now)
        return Changes(bool(confirmed), gained, lost, again=not request.leave and bool(self._claims_now(now)))

    def failed(self) -> None:
        """A request was not answered."""
        if self.era.startswith(":"):
            # The engine does not tell its runs apart, and may be another one when it answers again.
            self.era = ""

    def expire(self, now: float) -> Sequence[str]:
        """Hold nothing any more if the lease ends within 0.15 s. Returns what was held."""
        if now < self.until - EARLY or not self.held:
            return ()
        expired = [*self.held]
        self._ran_out |= dict.fromkeys(expired, now)
        self.held = {}
        return expired

    def to_hand_over(self, now: float) -> Sequence[str]:
        """
        Held budgets that another replica shall have, or that the config has no more, and that this one shall let go of
        now. They are held until ``released``, but no longer granted.
        """
        candidates = {name for name in self.alive(now) if self._members[name].changes >= _PROVED_BEATS}
        most = max(1, int(_HANDED_OVER * len(self.held)))
        chosen = [budget for budget in self.held if budget not in self.budgets and budget not in self._letting_go]
        # All replicas settle at nearly the same time after data was lost; wait until they know it of each other.
        met = now - self._era_since >= (1 + _MEETING) * self.lease
        for unit in self._units if met else ():
            budgets = [budget for budget in unit.budgets if budget in self.held and budget not in self._letting_go]
            wished = self._wish.get(budgets[0]) if budgets else None
            if wished is not None and wished != self.replica and wished in candidates and len(chosen) < most:
                chosen += budgets
        self.let_go(chosen)
        return chosen

    def let_go(self, budgets: Iterable[str]) -> None:
        """These budgets are about to be let go of."""
        self._letting_go.update(budgets)

    def released(self, states: Mapping[str, str]) -> None:
        """Nothing of these budgets is under way any more. They become free with the next exchange."""
        for budget, state in states.items():
            self.held.pop(budget, None)
            self._releases[budget] = state
            self._letting_go.discard(budget)

    # How

    def _note(self, reply: Reply, now: float) -> None:
        for budget in self.budgets | reply.records.keys():
            _see(self._records, budget, reply.records.get(budget, ""), Owner.parse, now)
        owners = {owner.replica for owner in self.owners().values() if owner.replica}
        for name in self._members.keys() | reply.members.keys() | owners:
            _see(self._members, name, reply.members.get(name, ""), Member.parse, now)

    def _refused(self, reply: Reply) -> Changes:
        own = self._members.get(self.replica)
        if reply.refusal is Refusal.LATE and own is not None and own.parsed:
            self._beat = max(self._beat, own.parsed.beat)
        self.refused = reply.refusal is Refusal.NAME
        lost = [*self.held] if self.refused else []
        if self.refused:
            self.held = {}
            self._letting_go.clear()
            self._ran_out.clear()
        return Changes(lost=lost, again=not self.refused)

    def _plan(self, now: float) -> None:
        """Who shall hold what: among settled replicas with this one's config."""
        able = {
            name
            for name, member in self.alive(now).items()
            if member.config == self.config and member.settled and name != self.replica
        }
        if self.settled(now) and not self.refused:
            able.add(self.replica)
        if (able, self._units) == self._planned_for:
            return
        self._planned_for = able, self._units
        places = assign({unit.name: unit.load for unit in self._units}, sorted(able)) if able else {}
        self._wish = {budget: places[unit.name] for unit in self._units if places for budget in unit.budgets}

    def _mine(self) -> dict[str, Owner]:
        return {budget: owner for budget, owner in self.owners().items() if self._is_mine(owner)}

    def _is_mine(self, owner: Owner | None) -> bool:
        return owner is not None and owner.replica == self.replica and owner.incarnation == self._incarnation

    def _restored(self) -> Iterable[Write]:
        """Records of held budgets that the engine has lost."""
        for budget in self.held:
            seen = self._records.get(budget)
            if seen is None or not self._is_mine(seen.parsed):
                yield Write(budget, seen.value if seen else "", how=How.RESTORED)

    def _released(self) -> Iterable[Write]:
        for budget, state in [*self._releases.items()]:
            seen = self._records.get(budget)
            if seen is None or not self._is_mine(seen.parsed):
                del self._releases[budget]
            else:
                yield Write(budget, seen.value, release=True, state=state)

    def _claims_now(self, now: float) -> Sequence[Write]:
        return [*self._claims(now)] if self.settled(now) and not self.refused else ()

    def _claims(self, now: float) -> Iterable[Write]:
        for budget in self.budgets - self.held.keys() - self._releases.keys() - self._letting_go:
            seen = self._records.get(budget)
            if seen is not None and (claim := self._claim(budget, seen, now)):
                yield claim

    def _claim(self, budget: str, seen: _Seen[Owner], now: float) -> Write | None:
        owner = seen.parsed
        if self._is_mine(owner):
            return self._back(budget, seen)
        if owner is None and seen.value:
            return None
        how, free_since, holder, member = How.RELEASED, seen.since, "", ""
        since = seen.since
        if owner is None:
            # A little later than after a silence, so that replicas that start together know of each other.
            how, free_since = How.FIRST, seen.since + (1 + _MEETING) * self.lease
        elif owner.replica:
            beat = self._members[owner.replica]
            how = How.EXPIRED
            if beat.parsed is None or beat.parsed.incarnation == owner.incarnation:
                holder, member, since = owner.replica, beat.value, max(seen.since, beat.since)
                free_since = since + self.lease
            # Otherwise another process has taken over the name, which proves that this one has stopped.
        patience = 0.0 if self._wish.get(budget) == self.replica else _FALLBACK * self.lease
        if now < free_since + patience:
            return None
        return Write(budget, seen.value, holder=holder, member=member, how=how, since=since)

    def _back(self, budget: str, seen: _Seen[Owner]) -> Write:
        """Take back a budget whose record names this replica."""
        tried = self._tried.get(budget)
        if budget not in self._ran_out and tried is not None and tried.how is not None:
            return Write(budget, seen.value, how=tried.how, since=tried.since)  # only the answer was lost
        since = self._ran_out.get(budget, math.inf)
        return Write(budget, seen.value, how=How.BACK, since=since)

    def _gain(self, write: Write, now: float, state: str | None) -> Gain:
        age = max(0.0, now - write.since)
        if write.how is How.BACK:
            # Its own pace knows its last calls, and nobody else has called since, if this is known to be its own.
            return Gain(How.BACK, Inheritance(None, age, silent=math.isfinite(write.since)), None)
        silent = write.how in (How.FIRST, How.EXPIRED) or age >= SILENCE
        return Gain(write.how or How.BACK, Inheritance(None, age, silent), state)

    def _stood_still(self, seen: _Seen[Member], now: float) -> bool:
        return self.settled(now) and now - seen.since >= self.lease

    def _dead(self, now: float) -> dict[str, str]:
        """Entries of replicas that are gone for long and named by no record."""
        owners = {owner.replica for owner in self.owners().values()}
        return {
            name: seen.value
            for name, seen in self._members.items()
            if seen.value and name not in owners and name != self.replica
            if now - seen.since >= _FORGOTTEN_AFTER * self.lease
        }


def _see(
    known: dict[str, _Seen[_Parsed]], name: str, value: str, parse: Callable[[str], _Parsed | None], now: float
) -> None:
    seen = known.get(name)
    if seen is None:
        known[name] = _Seen(value, parse(value), now)
    elif seen.value != value:
        before, seen.value, seen.parsed, seen.since = seen.parsed, value, parse(value), now
        seen.changes = seen.changes + 1 if _same_process(before, seen.parsed) else 0


def _same_process(one: Member | Owner | None, other: Member | Owner | None) -> bool:
    """Whether two entries of a replica are of one process with one config."""
    if not isinstance(one, Member) or not isinstance(other, Member):
        return False
    return (one.incarnation, one.config) == (other.incarnation, other.config)
