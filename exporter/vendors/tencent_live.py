"""
Tencent Live (TUILiveKit), ``get_member_list``: number of people in one live room, and whether the room exists.

Source: Tencent RTC, "Get Room Member List" (2026-04; the edition of 2024-12-11 omits RoomId, which is mandatory).
Tencent updates the list every 40 s, and it names at most 1,000 people. So only the count is read, and not the list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from pydantic import Field

from exporter.model import Auth, Failure, FailureKind, Reading, Reply, Request, Stamp
from exporter.vendors import tencent
from exporter.vendors.callbacks import Callbacks
from exporter.vendors.codec import RoomIdRule
from exporter.vendors.lists import Lists
from exporter.vendors.replies import (
    CONTRADICTION,
    LOWER_RATE_LIMIT,
    NO_COUNT,
    UNDOCUMENTED,
    code_table,
    count,
    failed_call,
    read,
    repeats,
    vendor_code,
)
from exporter.vendors.source import Source
from exporter.vendors.tencent_callbacks import LIVE_EVENTS, TencentCallbacks
from exporter.vendors.tencent_live_list import GetRoomList


class TencentLiveSource(tencent.TencentSource):
    """Rooms of Tencent's live product, which is served in fewer regions than its chat."""

    api: Literal["tencent_live"]
    region: tencent.LiveRegion = Field("china", description="Where the app was deployed")


class TencentLive:
    api = "tencent_live"
    vendor = "tencent"
    source_model: type[Source] = TencentLiveSource
    batch_size = 1
    default_interval = 40.0
    room_ids = RoomIdRule(
        max_bytes=48, alphabet=re.compile(r"[\x20-\x7e]+", re.ASCII), described="printable ASCII characters"
    )
    tells_admin_users = False
    tells_invisible_users = False
    tells_existence = True
    lists: Lists | None = GetRoomList()
    callbacks: Callbacks | None = TencentCallbacks(LIVE_EVENTS)

    def default_limit(self, source: TencentLiveSource) -> float:  # noqa: ARG002 the same for every app
        return 200.0

    def base_url(self, source: TencentLiveSource) -> str:
        return tencent.base_url(source, source.region)

    def budget_key(self, source: TencentLiveSource) -> str:
        return f"tencent_live:{source.sdk_app_id}"

    def app_key(self, source: TencentLiveSource) -> str:
        return tencent.app_key(source)

    def rooms_key(self, source: TencentLiveSource) -> str:
        return f"tencent_live {source.sdk_app_id} {self.base_url(source)}"

    def authorize(self, source: TencentLiveSource, now: float) -> Auth:
        return tencent.authorize(source, now)

    def request(self, source: TencentLiveSource, auth: Auth, rooms: Sequence[str], stamp: Stamp) -> Request:
        """
        Ask Tencent for the first page of a room's members. The reply contains the total.

        Raises:
            ValueError: More than one room, or none.
        """
        if len(rooms) != 1:
            raise ValueError(f"get_member_list takes one room, not {len(rooms)}")
        body = {"RoomId": rooms[0], "Next": ""}
        command = "live_engine_http_srv/get_member_list"
        return tencent.post(source, self.base_url(source), auth, command, body, stamp)

    def reply(self, rooms: Sequence[str], status: int, headers: Mapping[str, str], body: bytes) -> Reply | Failure:
        answer = read(body, _WHOLE, _ENVELOPE)
        code = vendor_code(answer.ErrorCode) if answer else None
        if code in _MISSING:
            return Reply({rooms[0]: Reading(users=0, exists=False, missing=True)})
        if failure := failed_call(code, _CODES, status, headers):
            return failure
        if not isinstance(answer, _MemberList) or answer.ActionStatus != "OK":
            return UNDOCUMENTED
        if repeats(body, _READ, 1):
            return CONTRADICTION
        users = count(answer.Response.MemberCount)
        return NO_COUNT if users is None else Reply({rooms[0]: Reading(users, exists=True)})


class _Members(msgspec.Struct):
    MemberCount: Any = None


class _Envelope(msgspec.Struct):
    ErrorCode: Any = None


class _MemberList(msgspec.Struct):
    Response: _Members
    ActionStatus: Any = "OK"
    ErrorCode: Any = None


_READ: Final = (b'"Response"', b'"MemberCount"')
_WHOLE: Final = msgspec.json.Decoder(_MemberList)
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)

_MISSING: Final = frozenset({tencent.MISSING, 100004})

_CODES: Final[Mapping[int | str, Failure]] = {
    **tencent.COMMON_CODES,
    **code_table(FailureKind.RATE_LIMITED, {100012: f"the app called too often; {LOWER_RATE_LIMIT}"}),
    **code_table(FailureKind.TRANSIENT, {100001: "an internal error of Tencent's"}),
    **code_table(
        FailureKind.REFUSED,
        {
            100002: "Tencent takes no such room id: check the room's id",
            100005: "the administrator has no permission for this room: check the room's id",
            100006: "this is not a live room: only live rooms can be asked",
            100015: "rooms of this type cannot be asked: check the room's id",
        },
    ),
    **code_table(
        FailureKind.MISCONFIGURED,
        {
            100007: "the app has no package with live rooms: buy one in Tencent's console",
            100013: "the app is over the limit of its package: buy a larger one in Tencent's console",
        },
    ),
}
