"""
Readings as they travel between replicas, and their ages on the way.

A reading carries the moment of its arrival by the *engine's* clock, since no two replicas share another one. That clock
may step. So ages are taken in a way that errs on the old side: a reading may be taken for older than it is, never for
younger. Each replica knows how far the engine's clock is from its own from every exchange, and for an age it uses the
largest distance that it has seen within the last ten minutes.

Worked example: the engine's clock is set back by 60 s. A reading of 5 s ago then seems to come from 55 s in the future.
The replica remembers the distance of before, and takes its age for 5 s; that of readings written since for 60 s more.
"""

from __future__ import annotations

from collections import deque
from typing import Annotated, Final

import msgspec

from exporter.cluster.protocols import NO_MORE, More, Record
from exporter.model import Reading

_VERSION: Final = 1
_REMEMBERED: Final = 600.0

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError)
"""Raised for data of another version, or of another program. Text that is not UTF-8 raises the second one."""

_encode = msgspec.msgpack.Encoder().encode


_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Packed(msgspec.Struct, array_like=True, gc=False):
    """How a record travels. ``arrived`` is in milliseconds of the engine's clock."""

    version: int
    users: _Count | None
    admin_users: _Count | None
    invisible_users: _Count | None
    exists: bool | None
    missing: bool
    arrived: int
    unix: float
    more: More = NO_MORE


_decode = msgspec.msgpack.Decoder(_Packed).decode


class ServerTime:
    """How the engine's clock runs, seen from this replica's."""

    def __init__(self) -> None:
        self._least: float | None = None
        self._most: deque[tuple[float, float]] = deque()  # falling distances, each with the time of its observation

    @property
    def known(self) -> bool:
        return self._least is not None

    def note(self, time: int, sent: float, received: float) -> None:
        """
        The engine's clock said so.

        Args:
            time: Milliseconds.
            sent: Monotonic time before the request was sent.
            received: Monotonic time after the reply was received.
        """
        self._least = time / 1000 - received
        most = time / 1000 - sent
        while self._most and self._most[-1][1] <= most:
            self._most.pop()
        self._most.append((received, most))
        while self._most[0][0] < received - _REMEMBERED:
            self._most.popleft()

    def stamp(self, at: float) -> int:
        """This monotonic time in milliseconds of the engine's clock, or a little earlier."""
        return int((at + (self._least or 0.0)) * 1000)

    def age(self, stamp: int, now: float) -> float:
        """Seconds since this time of the engine's clock, or more."""
        return max(0.0, now + self._most[0][1] - stamp / 1000)


def pack(record: Record, arrived: int) -> bytes:
    """
    A record of a watched room.

    Args:
        arrived: Milliseconds of the engine's clock.
    """
    reading = record.reading
    packed = (
        (_VERSION, None, None, None, None, False, arrived, record.unix)
        if reading is None
        else (
            _VERSION,
            reading.users,
            reading.admin_users,
            reading.invisible_users,
            reading.exists,
            reading.missing,
            arrived,
            record.unix,
        )
    )
    return _encode(packed if record.more is NO_MORE else (*packed, record.more))


def unpack(room: str, data: bytes, time: ServerTime, now: float) -> Record | None:
    """The record; ``None`` if another version of the exporter wrote it in another way."""
    try:
        packed = _decode(data)
    except UNREADABLE:
        return None
    if packed.version != _VERSION:
        return None
    users, reading = packed.users, None
    if users is not None:
        reading = Reading(users, packed.admin_users, packed.invisible_users, packed.exists, packed.missing)
    return Record(room, reading, time.age(packed.arrived, now), packed.unix, more=packed.more)
