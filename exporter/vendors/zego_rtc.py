"""
ZEGO RTC, ``DescribeUserNum``: users and admin users of up to ten rooms.

Source: ZEGOCLOUD Server APIs v2, "Get the number of in-room users" (2024-08-08), and "Return codes".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from pydantic import Field

from exporter.model import Auth, Failure, FailureKind, Reading, Reply, Request, Stamp
from exporter.vendors import zego
from exporter.vendors.callbacks import Callbacks
from exporter.vendors.codec import RoomIdRule
from exporter.vendors.lists import Lists
from exporter.vendors.replies import (
    CONTRADICTION,
    IMPOSSIBLE_COUNT,
    LOWER_RATE_LIMIT,
    NO_COUNT,
    OMITTED,
    UNDOCUMENTED,
    code_table,
    count,
    failed_call,
    read,
    repeats,
    vendor_code,
)
from exporter.vendors.source import Flag, Source
from exporter.vendors.zego_callbacks import RTC_EVENTS, ZegoCallbacks
from exporter.vendors.zego_rtc_list import DescribeRoomList


class ZegoRtcSource(zego.ZegoSource):
    """
    Rooms of ZEGO's audio and video product.

    ``is_test`` is for projects created up to 2021-11-16, which have their own test environment. Other projects must not
    use it.
    """

    api: Literal["zego_rtc"]
    is_test: Flag = Field(default=False, description="Ask the project's test environment")


class ZegoRtc:
    api = "zego_rtc"
    vendor = "zego"
    source_model: type[Source] = ZegoRtcSource
    batch_size = 10
    default_interval = 10.0
    room_ids = RoomIdRule(
        max_bytes=128,
        alphabet=re.compile(r"[0-9A-Za-z~!@#$%^&*()_+=\-`;',.<>/\\’]+", re.ASCII),
        described="digits, letters and ~ ! @ # $ % ^ & * ( ) _ + = - ` ; ' ’ , . < > / \\",
    )
    tells_admin_users = True
    tells_invisible_users = False
    tells_existence = False
    lists: Lists | None = DescribeRoomList()
    callbacks: Callbacks | None = ZegoCallbacks(RTC_EVENTS)

    def default_limit(self, source: ZegoRtcSource) -> float:
        return 1.0 if source.is_test else 10.0

    def base_url(self, source: ZegoRtcSource) -> str:
        return zego.base_url("rtc", source)

    def budget_key(self, source: ZegoRtcSource) -> str:
        return f"zego_rtc:{source.app_id}{':test' if source.is_test else ''}"

    def app_key(self, source: ZegoRtcSource) -> str:
        return zego.app_key(source)

    def rooms_key(self, source: ZegoRtcSource) -> str:
        environment = "test" if source.is_test else "production"
        return f"zego_rtc {source.app_id} {environment} {self.base_url(source)}"

    def authorize(self, source: ZegoRtcSource, now: float) -> Auth:  # noqa: ARG002 the secret itself never ages
        return zego.authorize(source)

    def request(self, source: ZegoRtcSource, auth: Auth, rooms: Sequence[str], stamp: Stamp) -> Request:
        """
        Ask ZEGO how many users are in up to ten rooms.

        Raises:
            ValueError: More than ten rooms, or none.
        """
        if not 1 <= len(rooms) <= self.batch_size:
            raise ValueError(f"DescribeUserNum takes 1 to {self.batch_size} rooms, not {len(rooms)}")
        parameters = "&".join([f"RoomId%5B%5D={zego.encoded(room)}" for room in rooms])
        if source.is_test:
            parameters = f"IsTest=true&{parameters}"
        return zego.get(source, self.base_url(source), auth, "DescribeUserNum", parameters, stamp)

    def reply(self, rooms: Sequence[str], status: int, headers: Mapping[str, str], body: bytes) -> Reply | Failure:
        answer = read(body, _WHOLE, _ENVELOPE)
        code = vendor_code(answer.Code) if answer else None
        if code in _NO_SUCH_ROOM and len(rooms) == 1:
            # ZEGO destroys empty rooms, so this does not prove that the room never existed.
            return Reply({rooms[0]: Reading(users=0, missing=True)})
        if failure := failed_call(code, _CODES, status, headers):
            return failure
        if not isinstance(answer, _UserNum):
            return UNDOCUMENTED
        entries = answer.Data if isinstance(answer.Data, list) else answer.Data.UserCountList
        return CONTRADICTION if repeats(body, _READ, len(entries)) else _outcomes(rooms, entries)


class _Room(msgspec.Struct):
    RoomId: str
    UserCount: Any = None
    AdminUserCount: Any = None


class _Data(msgspec.Struct):
    UserCountList: list[_Room]


class _Envelope(msgspec.Struct):
    Code: Any = None


class _UserNum(msgspec.Struct):
    # ZEGO's table describes Data as a list of rooms. Its example and its OpenAPI file show an object with the list.
    Data: _Data | list[_Room]
    Code: Any = None


_READ: Final = (b'"RoomId"', b'"UserCount"', b'"AdminUserCount"')
_WHOLE: Final = msgspec.json.Decoder(_UserNum)
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


def _outcomes(rooms: Sequence[str], entries: Iterable[_Room]) -> Reply:
    outcomes: dict[str, Reading | Failure] = dict.fromkeys(rooms, OMITTED)
    unrequested = 0
    for entry in entries:
        earlier = outcomes.get(entry.RoomId)
        if earlier is None:
            unrequested += 1
            continue
        outcome = _outcome(entry)
        outcomes[entry.RoomId] = outcome if earlier is OMITTED or earlier == outcome else CONTRADICTION
    return Reply(outcomes, unrequested)


def _outcome(entry: _Room) -> Reading | Failure:
    users = count(entry.UserCount)
    if users is None:
        return NO_COUNT
    if entry.AdminUserCount is None:
        return Reading(users)
    admin_users = count(entry.AdminUserCount)
    if admin_users is None or admin_users > users:
        return IMPOSSIBLE_COUNT
    # ZEGO answers 0 for a room that does not exist, so existence stays unknown.
    return Reading(users, admin_users)


_NO_SUCH_ROOM: Final = frozenset({104, 5024, 50001})

_CODES: Final[Mapping[int | str, Failure]] = {
    **zego.GATEWAY_CODES,
    **code_table(FailureKind.RATE_LIMITED, dict.fromkeys((7, 206), f"the app called too often; {LOWER_RATE_LIMIT}")),
    207: Failure(FailureKind.RATE_LIMITED, "207", "one of these rooms was asked for too often", one_room=True),
    **code_table(
        FailureKind.TRANSIENT,
        {
            1: "ZEGO failed without saying why",
            8: "ZEGO could not decode the request",
            154: "ZEGO could not get the list of users",
            5018: "the state of a room was just changing",
        },
    ),
    **code_table(
        FailureKind.REFUSED,
        {
            2: "ZEGO takes no such room id: check the ids of these rooms",
            3: "a room id is too long: check the ids of these rooms",
            **dict.fromkeys(_NO_SUCH_ROOM, "one of these rooms does not exist: the exporter asks for each alone"),
        },
    ),
    **code_table(
        FailureKind.MISCONFIGURED, {9: "the app has no permission for this call: ask ZEGO's support to grant it"}
    ),
}
