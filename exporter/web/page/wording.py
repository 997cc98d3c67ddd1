"""Texts of the status page: numbers, durations and states in words. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from exporter.metrics.selection import Reason
from exporter.model import FailureKind
from exporter.states import RoomState, SourceState, Why

_NOTABLE_SKEW: Final = 2.0
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_NAMED: Final = 3

LEVELS: Final = {"ok": "ok", "waiting": "waiting", "warning": "with a problem", "bad": "down"}
TROUBLES: Final = {
    "unauthorized": "unauthorized",
    "misconfigured": "misconfigured",
    "circuit_open": "circuit open",
    "silent": "no answer",
    "orphaned": "not polled",
    "empty": "no rooms",
    "nothing_found": "finds no rooms",
    "unknown": "rooms unknown",
    "list_old": "list is old",
    "full": "rooms left out",
    "slowed": "slowed down",
    "late": "late",
    "refused": "rooms refused",
    "clock": "clock differs",
}
EXPLANATIONS: Final = {
    SourceState.CIRCUIT_OPEN: "Its calls keep failing; one trial call at a time, until one succeeds.",
    SourceState.UNAUTHORIZED: "The vendor refuses the signature: check the credentials. One trial call a minute.",
    SourceState.MISCONFIGURED: "The vendor refuses the app or the service as a whole. One trial call a minute.",
}
KINDS: Final = {
    FailureKind.RATE_LIMITED: "rate limited",
    FailureKind.TRANSIENT: "transient failure",
    FailureKind.UNAUTHORIZED: "unauthorized",
    FailureKind.MISCONFIGURED: "misconfigured",
    FailureKind.REFUSED: "room refused",
    FailureKind.MALFORMED: "malformed reply",
}
ROOM_STATES: Final = {
    RoomState.FRESH: "The last poll gave a reading.",
    RoomState.HELD: "The last poll failed. The reading before it is not too old yet, so it is still published.",
    RoomState.MISSING: "The vendor says that there is no such room.",
    RoomState.UNKNOWN: "There is no reading, or it is too old. Only the fact that the room is watched is published.",
    RoomState.REFUSED: "The vendor refuses calls for this room: its id is not valid, or it belongs to somebody else.",
}
PUBLISHED: Final = {
    Reason.OWN: "It has thresholds or labels of its own.",
    Reason.THRESHOLD: "It is at half of its threshold or more, or was within the last five minutes.",
    Reason.TROUBLE: "Nothing is known of it.",
    Reason.USERS: "It is among the fullest, or was within the last five minutes.",
    None: "Other rooms are fuller. It counts in the sums and sizes of its source.",
}

WHYS: Final = {
    Why.SUFFICES: "as all rooms are while the budget suffices",
    Why.IDLE: "since it has been empty for long",
    Why.NEW: "since it is new and not known well yet",
    Why.DISTURBED: "since something happened to it a moment ago",
    Why.NEAR: "since a threshold is near",
    Why.QUIET: "since nothing happens in it",
    Why.FAST: "since its users change fast",
    Why.UNUSUAL: "since it is far from what it usually holds",
    Why.LARGE: "since it is large",
    Why.SIZE: "like rooms of its size",
}
"""The end of the sentence ``wanted every 10 s, …``."""


def count(number: int) -> str:
    """``12,345``."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """``1 room``, ``2,000 rooms``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def decimal(number: float) -> str:
    """One digit after the point below 100: ``0.3``, ``9.5``, ``10``, ``1,200``."""
    return f"{number:,.1f}".removesuffix(".0") if abs(number) < 100 else f"{number:,.0f}"


def share(of_threshold: float) -> str:
    """Users as a share of a threshold: ``< 1 %``, ``92 %``, ``1.4 ×``, ``12 ×``."""
    if 0 < of_threshold < 0.005:
        return "< 1 %"
    if of_threshold < 1:
        return f"{min(99, round(100 * of_threshold))} %"
    return f"{of_threshold:.1f} ×" if of_threshold < 9.95 else f"{of_threshold:,.0f} ×"


def signed(number: int) -> str:
    """``+120``, ``−7``."""
    return f"{'+' if number >= 0 else '−'}{abs(number):,}"


def moment(unix: float) -> datetime:
    """A Unix time as UTC, in whole seconds."""
    return datetime.fromtimestamp(unix, UTC).replace(microsecond=0)


def since(unix: float, now: float) -> str:
    """A time of today without its date, another one with it: ``14:03:12 UTC``, ``2026-11-21 14:03 UTC``."""
    then, today = moment(unix), moment(now)
    return f"{then:%H:%M:%S} UTC" if then.date() == today.date() else f"{then:%Y-%m-%d %H:%M} UTC"


def duration(seconds: float) -> str:
    """``0.4 s``, ``42 s``, ``3 min 20 s``, ``5 h 10 min``, ``3 d 4 h``."""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{decimal(seconds)} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return _two(whole, _MINUTE, "min", 1, "s")
    if whole < _DAY:
        return _two(whole, _HOUR, "h", _MINUTE, "min")
    return _two(whole, _DAY, "d", _HOUR, "h")


def clock(skew: float | None, shift: float) -> str | None:
    """
    A remark on the clocks; ``None`` while they agree.

    Args:
        skew: Our clock minus the vendor's, in seconds, accurate to one second.
        shift: Seconds subtracted from the timestamps of calls.
    """
    sentences = []
    if skew is not None and abs(skew) >= _NOTABLE_SKEW:
        sentences.append(f"Our clock is {duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} the vendor's.")
    if shift:
        sentences.append("Stamping calls with the vendor's time.")
    return " ".join(sentences) or None


def named(names: Sequence[str]) -> str:
    """The first three names, and the number of the others: ``lobby, stage, 7 and 12 more``."""
    first = ", ".join(names[:_NAMED])
    more = len(names) - _NAMED
    return f"{first} and {count(more)} more" if more > 0 else first


def _two(whole: int, large: int, large_name: str, small: int, small_name: str) -> str:
    rest = whole % large // small
    return f"{whole // large} {large_name} {rest} {small_name}" if rest else f"{whole // large} {large_name}"
