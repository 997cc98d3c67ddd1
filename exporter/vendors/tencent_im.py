"""
Tencent Chat, ``get_online_member_num``: number of people online in one audio-video group (AVChatRoom), and whether the
group exists.

Source: Tencent Cloud Chat, "Getting the Number of Online Users in an Audio-Video Group" (2022-12-16). Tencent updates
the number every 10 s. Web users may appear in it up to 20 s late.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import BeforeValidator, Field

from exporter.model import Auth, Failure, Reading, Reply, Request, Stamp
from exporter.vendors import tencent
from exporter.vendors.callbacks import Callbacks
from exporter.vendors.codec import RoomIdRule
from exporter.vendors.lists import Lists
from exporter.vendors.replies import (
    CONTRADICTION,
    NO_COUNT,
    UNDOCUMENTED,
    count,
    failed_call,
    read,
    repeats,
    vendor_code,
)
from exporter.vendors.source import Source
from exporter.vendors.tencent_callbacks import IM_EVENTS, TencentCallbacks
from exporter.vendors.tencent_im_list import GetAppidGroupList


class TencentImSource(tencent.TencentSource):
    """
    Groups of Tencent's chat product.

    ``india`` is another name of ``mumbai``.
    """

    api: Literal["tencent_im"]
    region: Annotated[tencent.ImRegion, BeforeValidator(lambda name: "mumbai" if name == "india" else name)] = Field(
        "china", description="Where the app was deployed"
    )


class TencentIm:
    api = "tencent_im"
    vendor = "tencent"
    source_model: type[Source] = TencentImSource
    batch_size = 1
    default_interval = 10.0
    room_ids = RoomIdRule(
        max_bytes=48, alphabet=re.compile(r"[\x20-\x7e]+", re.ASCII), described="printable ASCII characters"
    )
    tells_admin_users = False
    tells_invisible_users = False
    tells_existence = True
    lists: Lists | None = GetAppidGroupList()
    callbacks: Callbacks | None = TencentCallbacks(IM_EVENTS)

    def default_limit(self, source: TencentImSource) -> float:  # noqa: ARG002 the same for every app
        return 200.0

    def base_url(self, source: TencentImSource) -> str:
        return tencent.base_url(source, source.region)

    def budget_key(self, source: TencentImSource) -> str:
        return f"tencent_im:{source.sdk_app_id}"

    def app_key(self, source: TencentImSource) -> str:
        return tencent.app_key(source)

    def rooms_key(self, source: TencentImSource) -> str:
        return f"tencent_im {source.sdk_app_id} {self.base_url(source)}"

    def authorize(self, source: TencentImSource, now: float) -> Auth:
        return tencent.authorize(source, now)

    def request(self, source: TencentImSource, auth: Auth, rooms: Sequence[str], stamp: Stamp) -> Request:
        """
        Ask Tencent how many people are online in a group.

        Raises:
            ValueError: More than one room, or none.
        """
        if len(rooms) != 1:
            raise ValueError(f"get_online_member_num takes one room, not {len(rooms)}")
        # Communities have their own service. Only their ids begin like this.
        service = "million_group_open_http_svc" if rooms[0].startswith("@TGS#_") else "group_open_http_svc"
        command = f"{service}/get_online_member_num"
        return tencent.post(source, self.base_url(source), auth, command, {"GroupId": rooms[0]}, stamp)

    def reply(self, rooms: Sequence[str], status: int, headers: Mapping[str, str], body: bytes) -> Reply | Failure:
        answer = read(body, _DECODER, _DECODER)
        code = vendor_code(answer.ErrorCode) if answer else None
        if code == tencent.MISSING:
            return Reply({rooms[0]: Reading(users=0, exists=False, missing=True)})
        if failure := failed_call(code, tencent.COMMON_CODES, status, headers):
            return failure
        if answer is None or answer.ActionStatus != "OK":
            return UNDOCUMENTED
        if repeats(body, _READ, 1):
            return CONTRADICTION
        users = count(answer.OnlineMemberNum)
        return NO_COUNT if users is None else Reply({rooms[0]: Reading(users, exists=True)})


class _OnlineMemberNum(msgspec.Struct):
    ActionStatus: Any = "OK"
    ErrorCode: Any = None
    OnlineMemberNum: Any = None


_READ: Final = (b'"OnlineMemberNum"',)
_DECODER: Final = msgspec.json.Decoder(_OnlineMemberNum)
