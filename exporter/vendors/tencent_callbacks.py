"""
Tencent's callbacks: ``Group.*`` of Chat, ``Live.*`` of Live.

The signature stands in the query and covers the time alone. There is no nonce: whoever has seen one request can make
others for a minute. Nothing says that a lost request is sent again.

Source: Tencent Chat "Webhook Overview", "After a Group Is Created", "After a Group Is Disbanded", "Group member
status changes"; Tencent Live "After Creating a Room", "After Destroying a Room", "After Member State Changed".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from exporter.vendors.callback_bodies import (
    hashed,
    matches,
    milliseconds,
    number_of,
    read_form,
    read_object,
    replay_key,
    room_of,
    text_of,
)
from exporter.vendors.callbacks import Change, Event, Hint, Refusal, Request
from exporter.vendors.tencent import TencentSource

IM_EVENTS: Final = {
    "Group.CallbackAfterCreateGroup": Change.CREATED,
    "Group.CallbackAfterGroupDestroyed": Change.DESTROYED,
    "Group.CallbackOnMemberStateChange": Change.MEMBERS,
}
LIVE_EVENTS: Final = {
    "Live.CallbackAfterCreateRoom": Change.CREATED,
    "Live.CallbackAfterDestroyRoom": Change.DESTROYED,
    "Live.CallbackAfterMemberStateChanged": Change.MEMBERS,
}
_ROOMS: Final = "AVChatRoom"
"""The type of group that is a live room."""
_SDK_APP_ID: Final = ("SdkAppid", "SdkAppId")
"""Both are in the vendor's pages."""


class TencentCallbacks:
    """
    Callbacks of one of Tencent's products.

    Args:
        events: By command.
    """

    default_max_age = 60.0
    reply = b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}'
    reply_type = "application/json"

    def __init__(self, events: Mapping[str, Change]) -> None:
        self._events = events

    def read(
        self, source: TencentSource, secrets: Sequence[str], request: Request, *, max_age: float, now: float
    ) -> Event | Refusal:
        query = read_form(request.query)
        if query is None or all(name in query for name in _SDK_APP_ID):
            return Refusal.MALFORMED
        time, sign = text_of(query, "RequestTime"), text_of(query, "Sign")
        if not time or not matches(sign, (_sign(token, time) for token in secrets if token)):
            return Refusal.BAD_SIGNATURE
        sent_at = number_of(query, "RequestTime")
        if sent_at is None or abs(now - sent_at) > max_age:
            return Refusal.TOO_OLD
        if str(source.sdk_app_id) not in (query.get(name) for name in _SDK_APP_ID):
            return Refusal.WRONG_APP
        return self._event(query, request.body, float(sent_at))

    def _event(self, query: Mapping[str, str], body: bytes, sent_at: float) -> Event | Refusal:
        document, command = read_object(body), query.get("CallbackCommand")
        if document is None or not command or document.get("CallbackCommand", command) != command:
            return Refusal.MALFORMED
        # The same event of the same second says nothing new; without a nonce there is nothing else to tell by.
        key = replay_key(query["RequestTime"], query["Sign"], command, body)
        change = self._events.get(command)
        if change is None:
            return Event("other", key, sent_at)
        if not _is_of_a_room(command, document):
            return Event(command, key, sent_at)
        hint = _hint(change, document)
        return Refusal.MALFORMED if hint is None else Event(command, key, sent_at, (hint,))


def _sign(token: str, time: str) -> str:
    return hashed("sha256", (token.encode(errors="surrogatepass"), time.encode()))


def _is_of_a_room(command: str, document: Mapping[str, Any]) -> bool:
    """Whether it is of a live room, and not of a group of another type. A change of members names no type."""
    if not command.startswith("Group."):
        return True
    kind = document.get("Type")
    return kind == _ROOMS or (kind is None and command == "Group.CallbackOnMemberStateChange")


def _hint(change: Change, document: Mapping[str, Any]) -> Hint | None:
    info = document.get("RoomInfo")
    details = info if isinstance(info, dict) else {}
    room_id = room_of(document, "GroupId") or room_of(document, "RoomId") or room_of(details, "RoomId")
    if room_id is None:
        return None
    at = milliseconds(document, "EventTime")
    if at is None and change is Change.CREATED:
        created = number_of(details, "CreateTime")
        at = None if created is None else float(created)
    return Hint(room_id, change, at=at)
