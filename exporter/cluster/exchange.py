"""
What a replica sends in one exchange with the engine, and what the engine answers.

The engine is a register that compares and sets. It decides nothing: each *write* of a request names the record that the
replica has seen, and is carried out only if the record is still that one. The engine carries out a whole request in one
step, or refuses it as a whole.

=================  =============================================================================
member             ``beat|incarnation|config|flags|address``, one entry for each replica's name
record of a budget ``replica|incarnation|token``; both names are empty once it was let go
era                identifies the history of the engine's data; another one after data may have been lost
=================  =============================================================================
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from exporter.metrics.cluster_stats import Exchanged

_SETTLED = "s"
_EVERY_ROOM = "a"
_MEMBER = re.compile(r"([0-9]{1,18})\|([^|]*)\|([^|]*)\|([^|]*)\|(.*)", re.DOTALL)
_OWNER = re.compile(r"([^|]*)\|([^|]*)\|([0-9]{1,18})")


class EngineError(Exception):
    """
    The engine did not answer, or refused. The text is for people and has no secrets.

    Args:
        result: Never ``ANSWERED``.
    """

    def __init__(self, result: Exchanged, words: str) -> None:
        super().__init__(words)
        self.result = result


class Refusal(StrEnum):
    """Why the engine carried out nothing of a request."""

    ERA = "era"
    """The replica does not know the engine's present data: it is new here, or data may have been lost."""
    NAME = "name"
    """Another process beats under the replica's name."""
    LATE = "late"
    """A later request of this replica was carried out before."""


@dataclass(frozen=True, slots=True)
class Member:
    """
    A replica, as it tells the others.

    Args:
        beat: Number of the exchange; each is higher than the one before.
        incarnation: Random, another one for each process.
        config: Hash of the parts of its config that replicas must agree on.
        settled: Whether it has followed the engine for a whole lease without a gap, so that it may claim.
        every_room: ``serve: all``: it wants the readings of all rooms.
        address: Where it listens; for people.
    """

    beat: int
    incarnation: str
    config: str
    settled: bool = False
    every_room: bool = False
    address: str = ""

    def __str__(self) -> str:
        flags = _SETTLED * self.settled + _EVERY_ROOM * self.every_room
        return f"{self.beat}|{self.incarnation}|{self.config}|{flags}|{self.address}"

    @classmethod
    def parse(cls, text: str) -> Member | None:
        """``None``: there is none, or another version of the exporter wrote it, or another program."""
        found = _MEMBER.fullmatch(text)
        if found is None:
            return None
        beat, incarnation, config, flags, address = found.groups()
        return cls(int(beat), incarnation, config, _SETTLED in flags, _EVERY_ROOM in flags, address)


@dataclass(frozen=True, slots=True)
class Owner:
    """
    Who holds a budget.

    Args:
        replica: Empty: it was let go, and may be claimed at once.
        token: Another one for each claim. Whoever writes readings shows it.
    """

    replica: str
    incarnation: str
    token: int

    def __str__(self) -> str:
        return f"{self.replica}|{self.incarnation}|{self.token}"

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """``None``: there is none, or another version of the exporter wrote it, or another program."""
        found = _OWNER.fullmatch(text)
        return cls(found[1], found[2], int(found[3])) if found else None


class How(StrEnum):
    """How a budget came to be free for the replica that claims it."""

    RELEASED = "released"
    EXPIRED = "expired"
    FIRST = "first"
    BACK = "back"
    """It is the replica's own: its lease ran out, or an answer was lost."""
    RESTORED = "restored"
    """The replica holds it, and the engine has lost the record."""


@dataclass(frozen=True, slots=True)
class Write:
    """
    One change of a budget's record, carried out only if it still is what the replica saw.

    Args:
        was: The record; empty: there was none.
        release: Let the budget go instead of holding it with a new token.
        holder: With ``member``: only if this replica's entry is still that one. Empty: whatever it is.
        state: With ``release``: what the next holder needs.
        how: For the replica itself, as ``since``.
        since: Monotonic time of this replica at which it first saw the budget free, or its holder silent.
    """

    budget: str
    was: str
    release: bool = False
    holder: str = ""
    member: str = ""
    state: str | None = None
    how: How | None = None
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """
    One exchange.

    Args:
        era: As in the last reply; empty before the first.
        replaces: Another process' entry under this replica's name, which may be overwritten; empty: none may.
        states: Of held budgets, for the case that this replica dies.
        forget: Entries of dead replicas that may be deleted if they are still these.
        leave: Delete this replica's own entry.
    """

    era: str
    replica: str
    member: Member
    replaces: str = ""
    writes: Sequence[Write] = ()
    states: Mapping[str, str] = field(default_factory=dict)
    forget: Mapping[str, str] = field(default_factory=dict)
    leave: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """
    The engine's answer: what it holds after the request was carried out, or refused.

    Args:
        time: Milliseconds of the engine's clock, for the ages of readings alone.
        states: Of the budgets that this request has claimed, where there are any.
    """

    era: str
    refusal: Refusal | None
    time: int
    members: Mapping[str, str]
    records: Mapping[str, str]
    states: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """
    What another replica has published.

    Args:
        channel: ``news``, ``rooms`` or ``hints``; empty: the subscription began (anew), and messages may be missing.
    """

    channel: str
    data: bytes = b""


class Engine(Protocol):
    """What a cluster needs of an engine. Every method may raise ``EngineError``: no answer, or a refusal."""

    async def exchange(self, request: Request) -> Reply:
        """Carry out a request; one that failed may have been carried out all the same, even later."""

    async def write(
        self,
        source: str,
        budget: str,
        record: str,
        rooms: Mapping[str, bytes],
        gone: Sequence[str],
        message: bytes | None,
    ) -> bool:
        """
        Write readings.

        Args:
            source: Key of the source.
            record: The budget's record as its holder has it.
            gone: Rooms that are watched no longer.
            message: For replicas that publish every room.

        Returns:
            Whether the record still is this one. If not, nothing was written.
        """

    def read(self, source: str) -> AsyncIterator[Mapping[str, bytes]]:
        """The readings of a source, some hundred at a time."""

    async def get(self, source: str, room: str) -> bytes | None:
        """One field of what ``read`` gives."""

    async def forget(self, source: str, rooms: Sequence[str]) -> None:
        """Delete readings that nobody can publish any more."""

    async def send(self, replica: str, data: bytes) -> bool:
        """Send a callback to one replica, once at most. Returns whether it was there to hear it."""

    def listen(self, replica: str, *, rooms: bool) -> AsyncIterator[Message]:
        """
        What other replicas publish from now on.

        Args:
            replica: This one, for callbacks.
            rooms: Readings, too.
        """

    async def about(self) -> str:
        """Name and version of the server: ``redis 7.0.15``; only the name if it does not tell."""

    async def aclose(self) -> None:
        """Close every connection."""
