"""
What the cluster asks of the sources of this process, and what it tells them. ``exporter.shared`` implements both
protocols.

::

    observation (pure) ◄── exchange ──► Redis
        │ held until, gained, lost, wished
        ▼
    cluster ── gain, renew, let_go, lose ──► Budgets      the right to call, budget by budget
        └───── drain, inherit, follow ─────► Readings     what rooms said last, source by source
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import msgspec

from exporter.cluster.status import ClusterStatus
from exporter.config import Config
from exporter.metrics.cluster_stats import ClusterFigures
from exporter.model import Reading, Room

SILENCE: Final = 1.07
"""
Seconds at the end of a lease in which its holder writes no call: the vendor's second, 24 ms for delays on the way, and
5 % of a lease of 5 s for clocks that run at different rates. So the next holder need not wait.
"""


@dataclass(frozen=True, slots=True)
class Inheritance:
    """
    What the earlier holder of a budget left.

    Args:
        state: What ``Budgets.state`` returned there; ``None`` if it is lost, or if there was no earlier holder.
        age: Seconds since that, never more than have passed.
        silent: Whether at least ``SILENCE`` has passed since the earlier holder's last write: after an expired lease,
            and where nobody held the budget. If not, ``state`` has the last writes.
    """

    state: Mapping[str, object] | None
    age: float
    silent: bool


SOURCE: Final = ""
"""The room of the record that is about a source as a whole."""


class More(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    What the records of some rooms tell besides a reading. It travels in this order; later versions may add to its end.

    Args:
        max_age: Seconds for which the reading may be published; ``None``: as long as those of its source.
        listed: Whether the vendor's list told the reading.
        refused: How often in a row the vendor has refused the room; 0: it does not.
        candidate: A callback named the room, and no poll has confirmed it yet.
        user_seconds: Of the room or the source: summed up, and published at most.
        cadence: What its importance is made of (``Importance.knowledge``).
        named: Endpoints of the operator that name it, with the labels and thresholds that they give.
    """

    max_age: float | None = None
    listed: bool = False
    refused: int = 0
    candidate: bool = False
    user_seconds: tuple[float, float] | None = None
    cadence: tuple[float, float, int] | None = None
    named: Mapping[str, Room] = {}


NO_MORE: Final = More()


class Record(msgspec.Struct, frozen=True, gc=False):
    """
    What a replica tells of a room.

    Args:
        reading: The last one; ``None``: there is none.
        age: Seconds since the reply arrived, when the record was drained or is inherited. Without a reading: since the
            record was made.
        unix: Unix time of its arrival as the holder published it (``rtc_room_reading_timestamp_seconds``).
        watched: False: the room is watched no longer.
    """

    room: str
    reading: Reading | None
    age: float
    unix: float
    watched: bool = True
    more: More = NO_MORE

    @classmethod
    def gone(cls, room: str) -> Record:
        """This room is watched no longer."""
        return cls(room, None, 0.0, 0.0, watched=False)


class Budgets(Protocol):
    """
    The budgets of this process' config. Times are those of ``exporter.clock.monotonic`` (suspend included).

    In a cluster no budget is held at first, and an unheld budget grants no slot.
    """

    def needed(self) -> Mapping[str, float]:
        """
        Calls per second that each budget needs; 0 where no room is watched.

        Found rooms count only where the budget is held: other replicas do not know them all.
        """

    def ties(self) -> Sequence[frozenset[str]]:
        """Budgets that belong together since a source draws on all of them: each budget in exactly one set."""

    def gain(self, budget: str, until: float, inheritance: Inheritance) -> None:
        """
        Hold this budget. No call may be written at or after ``until``.

        A budget that was gained before and not lost since, such as one that this replica takes back after its lease
        ran out, keeps everything; ``inheritance`` counts all the same.
        """

    def renew(self, until: Mapping[str, float]) -> None:
        """These held budgets are held until then."""

    def state(self, budget: str) -> Mapping[str, object]:
        """What the next holder needs, as JSON: ages of the last writes, the pace and its falls. At most some kB."""

    async def let_go(self, budgets: Sequence[str]) -> Mapping[str, Mapping[str, object]]:
        """
        Grant no more slots, wait at most 1 s for what is under way, and return the state of each.

        The next ``drain`` has their last readings; from then on they are lost, as by ``lose``.
        """

    def lose(self, budget: str) -> None:
        """Somebody else holds this budget from now on. A lease that only runs out needs no call."""

    def fenced_calls(self) -> int:
        """Calls that were not written since the lease of their budget had just run out; counted since the start."""


class Readings(Protocol):
    """
    The rooms of this process' sources. Sources go by keys, which ``sources`` tells.

    ``inherit`` and ``follow`` take some hundred records at a time; let other tasks run between two calls. Where
    readings are inherited, ``inherit`` comes before ``gain``: rooms without a reading are polled at once.
    """

    def serve(self, *, every_room: bool) -> None:
        """
        Publish every room, or (at first) those of held budgets only.

        Args:
            every_room: ``serve: all``.
        """

    def drain(self) -> Mapping[str, Sequence[Record]]:
        """
        What has changed since the last call, by source: sources of held budgets only, at most some thousand rooms.
        """

    def everything(self, source: str) -> Iterator[Sequence[Record]]:
        """All rooms of a source that have a reading, some hundred at a time. Empty for a source that is not there."""

    def inherit(self, source: str, records: Sequence[Record]) -> None:
        """Take over the readings of a source whose budget this process gains. Younger own readings stay."""

    def follow(self, source: str, records: Sequence[Record]) -> None:
        """Take over the readings of a source that another replica polls (``serve: all``)."""

    def follow_only(self, source: str, rooms: Container[str]) -> None:
        """Another replica watches these rooms of a source, and no others: forget what it had found besides."""

    def leave(self, source: str, *, elsewhere: bool) -> None:
        """
        Whether another replica still polls this source, although its budget is held here: by an earlier config, which
        has it on another budget.
        """

    def sources(self, budget: str) -> Sequence[str]:
        """
        Keys of the sources whose rooms are polled on this budget. Another app has another key under the same name.
        """

    def hints(self) -> Sequence[tuple[str, str, Mapping[str, object]]]:
        """Callbacks since the last call for sources that another replica polls: source, room, and what is in them."""

    def hint(self, source: str, room: str, hint: Mapping[str, object]) -> None:
        """A callback that another replica received, for a source of a budget held here."""


class Cluster(Protocol):
    """The cluster, as ``app`` starts and stops it."""

    @property
    def answered(self) -> bool:
        """Whether the engine has ever answered."""

    async def start(self) -> None:
        """Take part from now on. This does not wait for the engine."""

    async def stop(self) -> None:
        """Let go of every budget and leave, within some 1.2 s, and end every task."""

    def check(self, config: Config) -> None:
        """
        Raises:
            ConfigError: A reload cannot put this config in use.
        """

    def use(self, config: Config) -> None:
        """Follow a reloaded config, once the sources do."""

    def status(self) -> ClusterStatus:
        """What this replica knows of its cluster."""

    def figures(self) -> ClusterFigures:
        """The same in numbers, for the metrics."""


MakeCluster: TypeAlias = Callable[[Budgets, Readings], Cluster]
