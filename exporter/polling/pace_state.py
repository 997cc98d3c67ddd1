"""
A pace, as one process hands it to the next one: as JSON, with ages instead of times.

Each process has a monotonic clock of its own, so times mean nothing to another one. Ages are rounded down, since a call
that counts as younger than it is can only make the next call leave later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

MOST_WRITES: Final = 10_000

Seconds = Annotated[float, msgspec.Meta(ge=-10.0, le=1e9)]
"""An age. Below 0: in the future."""
Rate = Annotated[float, msgspec.Meta(gt=0.0, le=1e6)]


class FallState(msgspec.Struct, frozen=True):
    """
    The fall of the pace after rejections. See ``pace``.

    Args:
        halved: Age; ``None``: the pace was not halved.
        called: Whether a call was written since the pace last climbed; ``None``: it has not climbed since it fell.
    """

    initial: Rate
    previous: Rate
    lowered: Seconds
    climbed: Seconds
    halved: Seconds | None = None
    called: bool | None = None


class PaceState(msgspec.Struct, frozen=True):
    """
    What the next process needs to go on.

    Args:
        since: Age of the moment since which nobody else has called.
        writes: Ages of the last calls, the newest last. Empty where they no longer matter.
        slot: Age of the last slot; ``None`` before the first.
        pause: Seconds for which no call is allowed yet.
        rejected: Of recent calls that were rejected: how many calls ago they were written.
    """

    limit: Rate
    pace: Rate
    since: Seconds
    writes: Annotated[list[Seconds], msgspec.Meta(max_length=MOST_WRITES)] = []
    slot: Seconds | None = None
    pause: Annotated[float, msgspec.Meta(ge=0.0, le=1e4)] = 0.0
    rejected: Annotated[list[int], msgspec.Meta(max_length=MOST_WRITES)] = []
    fall: FallState | None = None

    def builtins(self) -> dict[str, Any]:
        """The same, of plain objects, for JSON."""
        state: dict[str, Any] = msgspec.to_builtins(self)
        return state


def read_pace_state(state: Mapping[str, object]) -> PaceState | None:
    """What ``PaceState.builtins`` wrote; ``None`` if it is something else, such as from a later version."""
    try:
        return msgspec.convert(dict(state), PaceState)
    except (msgspec.ValidationError, TypeError, ValueError):
        return None


def age(now: float, at: float) -> float:
    """The age of a moment, in whole milliseconds, rounded down."""
    return math.floor((now - at) * 1000) / 1000
