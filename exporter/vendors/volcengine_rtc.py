"""
Volcengine RTC, ``GetRoomOnlineUsers``: users and invisible users of one room, and whether the room exists.

Source: Volcengine RTC OpenAPI 2023-11-01, "GetRoomOnlineUsers" and "Common error codes". Volcengine lists at most
    10,000
invisible users. It does not document whether the totals have the same limit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import Field

from exporter.model import Auth, Failure, Reading, Reply, Request, Stamp
from exporter.vendors import volcengine
from exporter.vendors.callbacks import Callbacks
from exporter.vendors.codec import RoomIdRule
from exporter.vendors.lists import Lists
from exporter.vendors.replies import (
    CONTRADICTION,
    IMPOSSIBLE_COUNT,
    NO_COUNT,
    UNDOCUMENTED,
    by_status,
    count,
    read,
    repeats,
)
from exporter.vendors.source import Documented, Secret, SecretForm, Source, matching
from exporter.vendors.volcengine_callbacks import VolcengineCallbacks
from exporter.vendors.volcengine_rtc_list import ListRoomInfo

SECRET_ACCESS_KEY: Final = SecretForm(
    "(?!AK(?:LT|TP))[!-~]{20,}",
    "Volcengine's secret access keys have 20 characters or more",
    {"AK(?:LT|TP).*": "which begins as an access key id does, its other half"},
)


class VolcengineRtcSource(Source):
    """
    A Volcengine RTC app, and the access key of an account that may call ``GetRoomOnlineUsers`` for it.

    Overseas regions begin with ``ap-``. Volcengine's documentation calls the region of Singapore both
    ``ap-southeast-1`` and ``ap-singapore-1``. ``session_token`` belongs to temporary credentials (STS).
    """

    api: Literal["volcengine_rtc"]
    app_id: Annotated[str, matching(r"[!-~]{1,64}", "an AppId as Volcengine's console shows it")] = Field(
        description="AppId, text"
    )
    access_key_id: Annotated[str, matching(r"[!-~]{1,256}", "an access key id, such as AKLT…")] = Field(
        description="Access key id"
    )
    secret_access_key: Annotated[Secret, SECRET_ACCESS_KEY] = Field(description="The access key's other half")
    session_token: Secret | None = Field(None, description="Of temporary credentials (STS)")
    region: Annotated[
        str,
        matching(r"[a-z0-9]+(-[a-z0-9]+){1,5}", "a region such as cn-north-1"),
        Documented(("cn-north-1", "ap-southeast-1", "ap-singapore-1")),
    ] = Field("cn-north-1", description="The signature's region; `ap-…` also picks the overseas address")


class VolcengineRtc:
    api = "volcengine_rtc"
    vendor = "volcengine"
    source_model: type[Source] = VolcengineRtcSource
    batch_size = 1
    default_interval = 10.0
    room_ids = RoomIdRule(
        max_bytes=128, alphabet=re.compile(r"[A-Za-z0-9@._-]+", re.ASCII), described="letters, digits and @ . _ -"
    )
    tells_admin_users = False
    tells_invisible_users = True
    tells_existence = True
    lists: Lists | None = ListRoomInfo()
    callbacks: Callbacks | None = VolcengineCallbacks()

    def default_limit(self, source: VolcengineRtcSource) -> float:  # noqa: ARG002 the same for every account
        return 40.0

    def base_url(self, source: VolcengineRtcSource) -> str:
        if source.base_url:
            return source.base_url
        overseas = source.region.startswith("ap-")
        return "https://open-ap-singapore-1.volcengineapi.com" if overseas else "https://rtc.volcengineapi.com"

    def budget_key(self, source: VolcengineRtcSource) -> str:  # noqa: ARG002 an account's apps share one limit
        return "volcengine_rtc"

    def app_key(self, source: VolcengineRtcSource) -> str:
        return f"volcengine:{source.access_key_id}"

    def rooms_key(self, source: VolcengineRtcSource) -> str:
        # Every call contains the region, so a gateway may route by it even if the address stays the same.
        return f"volcengine_rtc {source.app_id} {source.region} {self.base_url(source)}"

    def authorize(self, source: VolcengineRtcSource, now: float) -> Auth:
        return volcengine.authorize(source, now)

    def request(self, source: VolcengineRtcSource, auth: Auth, rooms: Sequence[str], stamp: Stamp) -> Request:
        """
        Ask Volcengine for the users of a room.

        The newer ``Property`` parameter is not used: with it, the limit is 1 call per second instead of 40.

        Raises:
            ValueError: More than one room, or none.
        """
        if len(rooms) != 1:
            raise ValueError(f"GetRoomOnlineUsers takes one room, not {len(rooms)}")
        parameters = {
            "Action": "GetRoomOnlineUsers",
            "Version": "2023-11-01",
            "AppId": source.app_id,
            "RoomId": rooms[0],
        }
        return volcengine.get(source, self.base_url(source), auth, parameters, stamp)

    def reply(self, rooms: Sequence[str], status: int, headers: Mapping[str, str], body: bytes) -> Reply | Failure:
        answer = read(body, _WHOLE, _ENVELOPE)
        if answer and (error := answer.ResponseMetadata.Error):
            return volcengine.failure(error, status, headers)
        if failure := by_status(status, headers):
            return failure
        if not isinstance(answer, _RoomOnlineUsers):
            return UNDOCUMENTED
        outcome = CONTRADICTION if repeats(body, _READ, 1) else _outcome(answer.Result)
        return outcome if isinstance(outcome, Failure) else Reply({rooms[0]: outcome})


class _Result(msgspec.Struct):
    RoomExists: Any = None
    TotalUser: Any = None
    TotalInvisibleUser: Any = None


class _Envelope(msgspec.Struct):
    ResponseMetadata: volcengine.Metadata


class _RoomOnlineUsers(msgspec.Struct):
    ResponseMetadata: volcengine.Metadata
    Result: _Result


_READ: Final = (b'"Result"', b'"RoomExists"', b'"TotalUser"', b'"TotalInvisibleUser"')
_WHOLE: Final = msgspec.json.Decoder(_RoomOnlineUsers)
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


def _outcome(result: _Result) -> Reading | Failure:
    if result.RoomExists is False:
        # Then the reply has no other data.
        return CONTRADICTION if count(result.TotalUser) else Reading(users=0, exists=False, missing=True)
    if result.RoomExists is not True:
        return UNDOCUMENTED
    users = count(result.TotalUser)
    if users is None:
        return NO_COUNT
    if result.TotalInvisibleUser is None:
        return Reading(users, exists=True)
    invisible_users = count(result.TotalInvisibleUser)
    if invisible_users is None or invisible_users > users:
        return IMPOSSIBLE_COUNT
    return Reading(users, invisible_users=invisible_users, exists=True)
