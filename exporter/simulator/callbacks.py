"""
The vendors' callbacks: bodies and signatures.

The signatures of ZEGO and Tencent cover a timestamp only: anybody who saw one callback can send another body with its
signature. Volcengine's signature covers the content.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha1, sha256
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote, urlencode

from exporter.simulator.events import Event

Form = Literal["json", "urlencoded", "form"]
"""How ZEGO writes a body: its page says JSON that is to be URL-decoded, its samples read a form."""

RETRIES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "zego_rtc": (2.0, 4.0, 8.0, 16.0, 32.0),
        "zego_zim": (2.0, 4.0, 8.0, 16.0, 32.0),
        "tencent_im": (),
        "tencent_live": (),
        "volcengine_rtc": (1.0, 2.0),
    }
)
"""
Seconds from one attempt to the next. Volcengine documents two more attempts and no pauses; Tencent documents no other
attempt after something has happened.
"""

TIMEOUTS: Mapping[str, float] = MappingProxyType(
    {"zego_rtc": 5.0, "zego_zim": 5.0, "tencent_im": 2.0, "tencent_live": 2.0, "volcengine_rtc": 5.0}
)
"""Seconds that a receiver has for its answer. ZEGO documents none."""


@dataclass(frozen=True, slots=True)
class Message:
    """A callback: the query to add to the URL, and the body."""

    query: str
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Letterhead:
    """
    The fields of a callback that are not the event's.

    Attributes:
        now: Unix seconds of the first attempt.
        number: A number that is used once; nonces and event ids are made of it.
        form: The format of ZEGO's body.
    """

    secret: str
    now: float
    number: int
    form: Form = "json"


def write(event: Event, letterhead: Letterhead) -> Message:
    """The callback of an event."""
    return _WRITERS[event.api](event, letterhead)


def _zego_rtc(event: Event, head: Letterhead) -> Message:
    name = {"open": "room_create", "close": "room_close", "join": "room_login", "leave": "room_logout"}[event.what]
    if event.what in ("open", "close"):
        told: dict[str, object] = {"appid": int(event.app), "timestamp": int(head.now)}
        told |= {"room_id": event.room, "room_session_id": event.session, "id_name": _user(head)}
        if event.what == "open":
            told["room_create_time"] = _milliseconds(event.at)
        else:
            told |= {"close_reason": 0, "room_close_time": _milliseconds(event.at)}
        return _zego(name, told, head)
    # Of logins every value is text.
    told = {"appid": event.app, "timestamp": str(int(head.now)), "room_id": event.room, "room_name": event.room}
    told |= {"room_seq": str(event.session), "user_account": _user(head), "user_nickname": _user(head)}
    told |= {"session_id": str(head.number), "user_role": "1", "user_update_seq": "1"}
    told["login_time"] = _milliseconds(event.opened if event.what == "leave" else event.at)
    if event.what == "leave":
        told |= {"logout_time": _milliseconds(event.at), "reason": "0"}
    return _zego(name, told, head)


def _zego_zim(event: Event, head: Letterhead) -> Message:
    name = {"open": "room_create", "close": "room_destroy", "join": "room_enter", "leave": "room_exit"}[event.what]
    told: dict[str, object] = {"appid": event.app, "timestamp": int(head.now), "room_id": event.room}
    told["operator_account"] = _user(head)
    if event.what == "open":
        told |= {"room_name": event.room, "attributes": []}
    elif event.what == "close":
        told["user_ids"] = [_user(head)]
    elif event.what == "leave":
        told |= {"exit_type": "Quit", "exit_user_ids": [_user(head)]}
    return _zego(name, told, head)


def _zego(name: str, told: Mapping[str, object], head: Letterhead) -> Message:
    nonce = f"{head.number:06d}"
    signed = "".join(sorted([head.secret, str(told["timestamp"]), nonce]))
    signature = sha1(signed.encode(), usedforsecurity=False).hexdigest()
    document = {"event": name, **told, "nonce": nonce, "signature": signature}
    if head.form == "form":
        values = {key: value if isinstance(value, str) else json.dumps(value) for key, value in document.items()}
        return Message("", "application/x-www-form-urlencoded", urlencode(values).encode())
    text = json.dumps(document, ensure_ascii=False)
    return Message("", "application/json", (quote(text, safe="") if head.form == "urlencoded" else text).encode())


def _tencent_im(event: Event, head: Letterhead) -> Message:
    told: dict[str, object] = {"GroupId": event.room, "EventTime": _milliseconds(event.at)}
    if event.what in ("open", "close"):
        command = "Group.CallbackAfterCreateGroup" if event.what == "open" else "Group.CallbackAfterGroupDestroyed"
        told |= {"Type": "AVChatRoom", "Owner_Account": _user(head), "Name": event.room}
        told["MemberList"] = [{"Member_Account": _user(head)}]
        if event.what == "open":
            told |= {"Operator_Account": _user(head), "UserDefinedDataList": []}
        return _tencent(command, told, event, head)
    online = event.what == "join"
    told |= {"EventType": "Online" if online else "Offline", "EventCause": "Join" if online else "Quit"}
    told["MemberList"] = [{"Member_Account": _user(head)}]
    return _tencent("Group.CallbackOnMemberStateChange", told, event, head)


def _tencent_live(event: Event, head: Letterhead) -> Message:
    told: dict[str, object] = {"Operator_Account": _user(head), "EventTime": int(event.at * 1000)}
    if event.what == "open":
        info = {"RoomId": event.room, "RoomName": event.room, "RoomType": "Live", "Owner_Account": _user(head)}
        told["RoomInfo"] = {**info, "CreateTime": int(event.at), "IsPublicVisible": True}
        return _tencent("Live.CallbackAfterCreateRoom", told, event, head)
    told["RoomId"] = event.room
    if event.what == "close":
        told["EventType"] = "DestroyByUser"
        return _tencent("Live.CallbackAfterDestroyRoom", told, event, head)
    online = event.what == "join"
    told |= {"EventType": "Online" if online else "Offline", "EventCause": "Enter" if online else "Leave"}
    told["MemberList"] = [{"Member_Account": _user(head)}]
    return _tencent("Live.CallbackAfterMemberStateChanged", told, event, head)


def _tencent(command: str, told: Mapping[str, object], event: Event, head: Letterhead) -> Message:
    moment = str(int(head.now))
    query = {
        "SdkAppid": event.app,
        "CallbackCommand": command,
        "contenttype": "json",
        "ClientIP": "203.0.113.7",
        "OptPlatform": "RESTAPI",
        "Sign": sha256(f"{head.secret}{moment}".encode()).hexdigest(),
        "RequestTime": moment,
    }
    body = json.dumps({"CallbackCommand": command, **told}, ensure_ascii=False).encode()
    return Message(urlencode(query), "application/json", body)


def _volcengine(event: Event, head: Letterhead) -> Message:
    """No event tells of a room's creation: its first user joins."""
    name = {"open": "UserJoinRoom", "close": "RoomDestroy", "join": "UserJoinRoom", "leave": "UserLeaveRoom"}
    data = {"RoomId": event.room} if event.what == "close" else {"RoomId": event.room, "UserId": _user(head)}
    moment = datetime.fromtimestamp(event.at, UTC)
    document = {
        "EventType": name[event.what],
        "EventData": json.dumps(data, ensure_ascii=False),
        "EventTime": f"{moment:%Y-%m-%dT%H:%M:%S.%f}000Z",
        "EventId": f"event-{head.number:08d}",
        "AppId": event.app,
        "Version": "2020-12-01",
        "Nonce": f"{head.number % 10_000:04d}",
    }
    signed = "".join(sorted([*document.values(), head.secret], key=str.encode))
    document["Signature"] = sha256(signed.encode()).hexdigest()
    return Message("", "application/json", json.dumps(document, ensure_ascii=False).encode())


_WRITERS: Mapping[str, Callable[[Event, Letterhead], Message]] = MappingProxyType(
    {
        "zego_rtc": _zego_rtc,
        "zego_zim": _zego_zim,
        "tencent_im": _tencent_im,
        "tencent_live": _tencent_live,
        "volcengine_rtc": _volcengine,
    }
)


def _user(head: Letterhead) -> str:
    """A user's id, which nobody should find anywhere else."""
    return f"callback-user-{head.number:06d}"


def _milliseconds(unix: float) -> str:
    return str(int(unix * 1000))
