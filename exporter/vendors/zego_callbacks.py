"""
ZEGO's callbacks: ``room_create``, ``room_close``, ``room_login``, ``room_logout`` of RTC; ``room_create``,
``room_destroy``, ``room_enter``, ``room_exit`` of ZIM.

The signature covers neither event nor room: whoever has seen one request can make others until its time is over. The
pages call the body JSON that must be URL-decoded, and the samples on them read form fields, so all three are accepted.
Both products call an event ``room_create``; which of them it is, only the address tells that it was sent to.

Source: ZEGOCLOUD Server callbacks, "Room created", "Room closed", "Log in to a room", "Log out of a room", "Signature
verification" (2026-06-29); ZIM "Callbacks", "Room".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_plus

from exporter.vendors.callback_bodies import (
    is_signed,
    milliseconds,
    read_form,
    read_object,
    replay_key,
    room_of,
    text_of,
    unix_time,
)
from exporter.vendors.callbacks import Change, Event, Hint, Refusal, Request
from exporter.vendors.zego import ZegoSource

_FORM: Final = re.compile(rb"(?:^|&)event=")


@dataclass(frozen=True, slots=True)
class _Kind:
    """
    Args:
        session: The field that names this life of the room.
        at: The field that tells when it happened, in milliseconds.
    """

    change: Change
    session: str = ""
    at: str = ""


RTC_EVENTS: Final[Mapping[str, _Kind]] = {
    "room_create": _Kind(Change.CREATED, "room_session_id", "room_create_time"),
    "room_close": _Kind(Change.DESTROYED, "room_session_id", "room_close_time"),
    "room_login": _Kind(Change.MEMBERS, "room_seq", "login_time"),
    "room_logout": _Kind(Change.MEMBERS, "room_seq", "logout_time"),
}
# ZIM tells no session, and no time but the request's own.
ZIM_EVENTS: Final[Mapping[str, _Kind]] = {
    "room_create": _Kind(Change.CREATED),
    "room_destroy": _Kind(Change.DESTROYED),
    "room_enter": _Kind(Change.MEMBERS),
    "room_exit": _Kind(Change.MEMBERS),
}


class ZegoCallbacks:
    """
    Callbacks of one of ZEGO's products.

    Args:
        events: By name.
    """

    # A retry, up to 62 s later, may carry the first attempt's time, and ZEGO's own API takes clocks 10 minutes off.
    default_max_age = 600.0
    reply = b"ok"
    reply_type = "text/plain"

    def __init__(self, events: Mapping[str, _Kind]) -> None:
        self._events = events

    def read(
        self, source: ZegoSource, secrets: Sequence[str], request: Request, *, max_age: float, now: float
    ) -> Event | Refusal:
        fields = _fields(request.body)
        if fields is None:
            return Refusal.MALFORMED
        timestamp, nonce = text_of(fields, "timestamp"), text_of(fields, "nonce")
        if not timestamp or not nonce:
            return Refusal.BAD_SIGNATURE
        if not is_signed(text_of(fields, "signature"), (timestamp, nonce), secrets, "sha1"):
            return Refusal.BAD_SIGNATURE
        sent_at = unix_time(fields, "timestamp")
        if sent_at is None or abs(now - sent_at) > max_age:
            return Refusal.TOO_OLD
        if text_of(fields, "appid") != str(source.app_id):
            return Refusal.WRONG_APP
        return self._event(fields, timestamp, nonce, sent_at)

    def _event(self, fields: Mapping[str, Any], timestamp: str, nonce: str, sent_at: float) -> Event | Refusal:
        name = text_of(fields, "event")
        if not name:
            return Refusal.MALFORMED
        room_id = room_of(fields, "room_id")
        key = replay_key(timestamp, nonce, name, room_id or "")
        kind = self._events.get(name)
        if kind is None:
            return Event("other", key, sent_at)
        if room_id is None:
            return Refusal.MALFORMED
        session = text_of(fields, kind.session) or None
        return Event(name, key, sent_at, (Hint(room_id, kind.change, session, milliseconds(fields, kind.at)),))


def _fields(body: bytes) -> Mapping[str, Any] | None:
    """The fields of a body in each of its three forms. JSON is taken as it is: decoded, a ``+`` would be another."""
    if body.lstrip(b" \t\r\n").startswith(b"{"):
        return read_object(body)
    if _FORM.search(body):
        return read_form(body)
    try:
        return read_object(unquote_plus(body.decode(), errors="strict"))
    except ValueError:
        return None
