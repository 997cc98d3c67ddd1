"""
One source of every API, and what its vendor answers when all is well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from exporter.model import Auth, Failure, Reading, Reply, Request, Stamp
from exporter.vendors import APIS
from exporter.vendors.source import Secret, Source

NOW: Final = 1_700_000_000.0
STAMP: Final = Stamp(NOW, "0123456789abcdef")

CREDENTIALS: Final[Mapping[str, Mapping[str, Any]]] = {
    "zego_rtc": {"app_id": "1234567890", "server_secret": Secret("0123456789abcdef0123456789abcdef")},
    "zego_zim": {"app_id": "1234567890", "server_secret": Secret("0123456789abcdef0123456789abcdef")},
    "tencent_im": {
        "sdk_app_id": "1400000000",
        "identifier": "administrator",
        "secret_key": Secret("5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e"),
    },
    "tencent_live": {
        "sdk_app_id": "1400000000",
        "identifier": "administrator",
        "secret_key": Secret("5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e"),
    },
    "volcengine_rtc": {
        "app_id": "661e000000000000000543cf",
        "access_key_id": "AKLTEXAMPLEaccesskeyid0000000000",
        "secret_access_key": Secret("RXhhbXBsZVNlY3JldEtleUV4YW1wbGVTZWNyZXQ9PQ=="),
    },
    "janus_videoroom": {"admin_secret": Secret("example-admin-secret")},
}

ODD_ROOM_IDS: Final = (
    "a b",
    "a+b",
    "a/b?c=d&RoomId=e#f",
    "100%",
    "%41",
    "~_.-*!()",
    "\"quoted\" 'twice'",
    "back\\slash",
    "房间 1+2/~*",
    "émoji 🎥",
    "@TGS#a6I4ZUUGO",
    "@TGS#_@TGS#cQVLVHIM62CJ",
    "</script><b>",
)


for codec in APIS.values():
    # Built here and not in the first test that needs it, which may have a deadline.
    codec.source_model.model_rebuild()


def source(api: str, **changes: object) -> Source:
    """A source as the config makes it: scalars are text."""
    return APIS[api].source_model.model_validate({"name": "test", "api": api, **CREDENTIALS[api], **changes})


def auth(api: str, now: float = NOW, **changes: object) -> Auth:
    """What a source's calls are signed with."""
    return APIS[api].authorize(source(api, **changes), now)


def request(api: str, *rooms: str, stamp: Stamp = STAMP, **changes: object) -> Request:
    """What asks for these rooms, or else for one called lobby."""
    codec, asked = APIS[api], source(api, **changes)
    return codec.request(asked, codec.authorize(asked, stamp.time), rooms or ("lobby",), stamp)


def reply(
    api: str, document: object, *rooms: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> Reply | Failure:
    """What a codec makes of a reply, given as bytes or as what is to be written in JSON."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return APIS[api].reply(rooms or ("lobby",), status, headers or {}, body)


def outcome(
    api: str, document: object, *rooms: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> Reading | Failure:
    """What a reply says of the only room, or of the call."""
    answer = reply(api, document, *rooms, status=status, headers=headers)
    if isinstance(answer, Failure):
        return answer
    (only,) = answer.rooms.values()
    return only


def success(api: str, rooms: Sequence[str] = ("lobby",), users: object = 3, part: object = 1) -> dict[str, Any]:
    """A vendor's reply in full, with all that this exporter does not read."""
    match api:
        case "zego_rtc":
            counts = [{"RoomId": room, "UserCount": users, "AdminUserCount": part} for room in rooms]
            return {"Code": 0, "Message": "success", "RequestId": "784003982", "Data": {"UserCountList": counts}}
        case "zego_zim":
            people = [{"UserId": "aaa", "UserName": "UserA"}]
            return {"Code": 0, "Message": "success", "Count": users, "NextFlag": "1", "UserList": people}
        case "tencent_im":
            return {"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0, "OnlineMemberNum": users}
        case "tencent_live":
            members = {"Next": "", "MemberCount": users, "MemberList": [{"Member_Account": "brennan1"}]}
            return {"ErrorCode": 0, "ErrorInfo": "", "ActionStatus": "OK", "RequestId": "r-1", "Response": members}
        case "janus_videoroom":
            listed = [{"room": room, "description": "tandy", "num_participants": users} for room in rooms]
            return {"janus": "success", "transaction": "t", "response": {"videoroom": "success", "list": listed}}
        case _:
            result = {
                "TotalUser": users,
                "TotalInvisibleUser": part,
                "VisibleUserList": ["normal_user_1"],
                "InvisibleUserList": ["silent_user_1"],
                "RoomExists": True,
            }
            return {"ResponseMetadata": {"RequestId": "2023", "Service": "rtc"}, "Result": result}


def failure(api: str, code: object) -> dict[str, Any]:
    """A vendor's reply when it fails with this code."""
    match api:
        case "zego_rtc":
            return {"Code": code, "Message": "failed", "RequestId": "784003982", "Data": None}
        case "zego_zim":
            return {"Code": code, "Message": "failed", "RequestId": "784003982"}
        case "tencent_im" | "tencent_live":
            return {"ActionStatus": "FAIL", "ErrorInfo": "failed", "ErrorCode": code}
        case "janus_videoroom":
            return {"janus": "error", "transaction": "t", "error": {"code": code, "reason": "failed"}}
        case _:
            return {"ResponseMetadata": {"RequestId": "2023", "Error": {"Code": code, "Message": "failed"}}}
