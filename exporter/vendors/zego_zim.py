"""
ZEGO ZIM (in-app chat), ``QueryRoomUserList``: users of one room, and whether it exists.

Source: ZEGOCLOUD ZIM Server APIs, "Obtain information about users in a room", and "Return codes" of the chat product.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from exporter.model import Auth, Failure, FailureKind, Reading, Reply, Request, Stamp
from exporter.vendors import zego
from exporter.vendors.callbacks import Callbacks
from exporter.vendors.codec import RoomIdRule
from exporter.vendors.lists import Lists
from exporter.vendors.replies import (
    CONTRADICTION,
    LOWER_RATE_LIMIT,
    NO_COUNT,
    code_table,
    count,
    failed_call,
    read,
    repeats,
    vendor_code,
)
from exporter.vendors.source import Source
from exporter.vendors.zego_callbacks import ZIM_EVENTS, ZegoCallbacks


class ZegoZimSource(zego.ZegoSource):
    """Rooms of ZEGO's chat product."""

    api: Literal["zego_zim"]


class ZegoZim:
    api = "zego_zim"
    vendor = "zego"
    source_model: type[Source] = ZegoZimSource
    batch_size = 1
    default_interval = 10.0
    room_ids = RoomIdRule(
        max_bytes=32,
        alphabet=re.compile(r"[0-9A-Za-z!#$%&()+\-:;<=.>?@\[\]^_{}|~]+", re.ASCII),
        described="digits, letters and ! # $ % & ( ) + - : ; < = . > ? @ [ ] ^ _ { } | ~",
    )
    tells_admin_users = False
    tells_invisible_users = False
    tells_existence = True
    lists: Lists | None = None
    callbacks: Callbacks | None = ZegoCallbacks(ZIM_EVENTS)

    def default_limit(self, source: ZegoZimSource) -> float:  # noqa: ARG002 the same for every app
        return 20.0

    def base_url(self, source: ZegoZimSource) -> str:
        return zego.base_url("zim", source)

    def budget_key(self, source: ZegoZimSource) -> str:
        return f"zego_zim:{source.app_id}"

    def app_key(self, source: ZegoZimSource) -> str:
        return zego.app_key(source)

    def rooms_key(self, source: ZegoZimSource) -> str:
        return f"zego_zim {source.app_id} {self.base_url(source)}"

    def authorize(self, source: ZegoZimSource, now: float) -> Auth:  # noqa: ARG002 the secret itself never ages
        return zego.authorize(source)

    def request(self, source: ZegoZimSource, auth: Auth, rooms: Sequence[str], stamp: Stamp) -> Request:
        """
        Ask ZEGO for the first user of a room. Every page contains the total. A page of 0 users is not documented.

        Raises:
            ValueError: More than one room, or none.
        """
        if len(rooms) != 1:
            raise ValueError(f"QueryRoomUserList takes one room, not {len(rooms)}")
        parameters = f"RoomId={zego.encoded(rooms[0])}&Mode=0&Limit=1"
        return zego.get(source, self.base_url(source), auth, "QueryRoomUserList", parameters, stamp)

    def reply(self, rooms: Sequence[str], status: int, headers: Mapping[str, str], body: bytes) -> Reply | Failure:
        answer = read(body, _DECODER, _DECODER)
        code = vendor_code(answer.Code) if answer else None
        if code in _NOT_A_FAILURE:
            return Reply({rooms[0]: _NOT_A_FAILURE[code]})
        if failure := failed_call(code, _CODES, status, headers):
            return failure
        if repeats(body, _READ, 1):
            return CONTRADICTION
        users = count(answer.Count) if answer else None
        return NO_COUNT if users is None else Reply({rooms[0]: Reading(users, exists=True)})


class _RoomUserList(msgspec.Struct):
    Code: Any = None
    Count: Any = None


_READ: Final = (b'"Count"',)
_DECODER: Final = msgspec.json.Decoder(_RoomUserList)

_NOT_A_FAILURE: Final[Mapping[int | str | None, Reading]] = {
    660300001: Reading(users=0, exists=False, missing=True),
    # The room is empty and ZEGO is about to destroy it. ZEGO does not say whether it still exists.
    660300008: Reading(users=0),
}

_CODES: Final[Mapping[int | str, Failure]] = {
    **zego.GATEWAY_CODES,
    **code_table(
        FailureKind.RATE_LIMITED,
        dict.fromkeys((7, 660300005, 660300006), f"the app called too often; {LOWER_RATE_LIMIT}"),
    ),
    **code_table(
        FailureKind.TRANSIENT,
        {
            1: "ZEGO is busy",
            105001: "ZEGO's database failed",
            660000001: "ZEGO's chat server failed",
            660000003: "ZEGO's chat server failed",
            660300007: "ZEGO could not look the room up",
        },
    ),
    **code_table(
        FailureKind.UNAUTHORIZED,
        {3: "ZEGO could not authenticate the call: check app_id, server_secret and this machine's clock"},
    ),
    **code_table(FailureKind.REFUSED, dict.fromkeys((2, 660000002), "ZEGO takes no such room id: check the room's id")),
}
