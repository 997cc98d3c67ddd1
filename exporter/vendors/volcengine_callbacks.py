"""
Volcengine's callbacks: ``UserJoinRoom``, ``UserLeaveRoom``, the same of invisible users, ``RoomDestroy``.

No event tells that a room was created: a room becomes known when its first user joins. The signature covers all that
we read, but no published example of it can be reproduced, so it may differ from what the vendor sends.

Source: Volcengine RTC "Callbacks" (2024-11-26), where the nonce is called ``Nonce``; BytePlus RTC "Callback" and a page
of 2023, where it is called ``Noce``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from exporter.vendors.callback_bodies import is_signed, read_object, replay_key, room_of, text_of
from exporter.vendors.callbacks import Change, Event, Hint, Refusal, Request

EVENTS: Final = {
    "UserJoinRoom": Change.MEMBERS,
    "UserLeaveRoom": Change.MEMBERS,
    "InvisibleUserJoinRoom": Change.MEMBERS,
    "InvisibleUserLeaveRoom": Change.MEMBERS,
    "RoomDestroy": Change.DESTROYED,
}
_SIGNED: Final = ("EventType", "EventData", "EventTime", "EventId", "AppId", "Version")
_NONCES: Final = ("Nonce", "Noce")
_RFC_3339: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class VolcengineCallbacks:
    # The time is the event's, not the request's, and a request is sent up to three times.
    default_max_age = 600.0
    reply = b"ok"
    reply_type = "text/plain"

    def read(
        self, source: Any, secrets: Sequence[str], request: Request, *, max_age: float, now: float
    ) -> Event | Refusal:
        document = read_object(request.body)
        if document is None or all(name in document for name in _NONCES):
            return Refusal.MALFORMED
        parts = [text_of(document, name) for name in _SIGNED]
        nonce = next((text_of(document, name) for name in _NONCES if name in document), None)
        signed = [part for part in (*parts, nonce) if part]
        if len(signed) < len(_SIGNED) + 1:
            return Refusal.BAD_SIGNATURE
        if not is_signed(text_of(document, "Signature"), signed, secrets, "sha256"):
            return Refusal.BAD_SIGNATURE
        at = unix_seconds(str(text_of(document, "EventTime")))
        if at is None or abs(now - at) > max_age:
            return Refusal.TOO_OLD
        if text_of(document, "AppId") != source.app_id:
            return Refusal.WRONG_APP
        return _event(document, at)


def _event(document: Mapping[str, Any], at: float) -> Event | Refusal:
    # The number of the event, since the vendor sends an event again with what may be another nonce.
    key = replay_key(str(document["EventId"]))
    name = str(document["EventType"])
    change = EVENTS.get(name)
    if change is None:
        return Event("other", key, at)
    data = read_object(str(document["EventData"]))
    room_id = None if data is None else room_of(data, "RoomId")
    return Refusal.MALFORMED if room_id is None else Event(name, key, at, (Hint(room_id, change, at=at),))


def unix_seconds(text: str) -> float | None:
    """Unix seconds of a date and time as RFC 3339 has it, with up to nine decimals; ``None`` if it is none."""
    match = _RFC_3339.fullmatch(text)
    if match is None:
        return None
    day, time, fraction, zone = match.groups()
    try:
        whole = datetime.fromisoformat(f"{day}T{time}{zone.upper()}").timestamp()
    except (ValueError, OverflowError):
        return None
    return whole + float(f"0{fraction or ''}")
