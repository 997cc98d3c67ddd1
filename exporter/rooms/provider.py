"""
How rooms find themselves: providers name room ids, and the roster of a source decides which of them are watched.

::

    config, files, http_sd     the operator names rooms: they are watched at once
    vendor_list, callbacks     the vendor names rooms: candidates, which publish nothing until a poll confirms them

    provider ── Listing ──┐
    callback ── Hint ─────┼──► Roster (pure) ──► planner: polled rooms; table: published rooms
    poller ── readings ───┘

A list names, a poll knows. Two listings of one provider differ only in what the provider named; whether an absence
counts is decided by ``Listing.result``: an incomplete pass over a list proves nothing about the rooms that it lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol

from exporter.model import Room

NO_ROOMS: Final[Mapping[str, Room]] = MappingProxyType({})


class Origin(StrEnum):
    """Who names a room."""

    CONFIG = "config"
    FILES = "files"
    HTTP_SD = "http_sd"
    VENDOR_LIST = "vendor_list"
    CALLBACKS = "callbacks"
    PREDECESSOR = "predecessor"
    """Another replica of the cluster, which polled the source before."""


class Result(StrEnum):
    """How the refresh of a provider ended."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Listing:
    """
    The end of one refresh of a provider.

    Args:
        result: ``COMPLETE``: ``rooms`` are all rooms that the provider names. ``PARTIAL``: some of them; the others may
            or may not be there. Without an error nothing went wrong: only what is new was asked for. ``FAILED``,
            ``UNSUPPORTED``: ``rooms`` is empty and says nothing.
        began: Monotonic seconds at which the refresh began: the list is no newer than this.
        rooms: By id.
        error: Why it is not complete, in one line without secrets, user ids or text of users.
        warning: About accepted content that looks like a mistake, in one line.
    """

    result: Result
    began: float
    rooms: Mapping[str, Room] = field(default_factory=lambda: NO_ROOMS, repr=False)
    error: str | None = None
    warning: str | None = None


class Provider(Protocol):
    """
    Something that names rooms when it is asked. One object per source and configured provider.

    ``refresh`` is the body of a recurring job: it never raises for what the other side does, and two runs of it never
    overlap. Callbacks are no provider of this kind: they come unasked, one room at a time (``vendors.callbacks``).
    """

    origin: Origin
    name: str
    """Unique within the source and stable over reloads, without secrets: ``config``, ``files``, ``vendor_list``, or
    ``http_sd`` with a number where there are several."""
    interval: float
    """Seconds from one refresh to the next."""

    async def refresh(self) -> Listing:
        """Ask once."""

    async def aclose(self) -> None:
        """End what is under way, and close connections."""
