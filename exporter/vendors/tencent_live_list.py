"""
Tencent Live (TUILiveKit), ``get_room_list``: the app's live rooms, most entered first, without who is in them.

Source: Tencent RTC, "Get Room List": ten calls a second, up to 20 rooms a page. ``ViewCount`` counts every entry ever
and is not read. Rooms that are not public are probably left out, and a list that is sorted by a moving number repeats
rooms and skips some: an absence from it means little. There is no total to hold it against.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from exporter.model import Auth, Failure, FailureKind, Request, Stamp
from exporter.vendors import tencent
from exporter.vendors.lists import ListPass, Page, PagedPass
from exporter.vendors.replies import (
    LARGE_LIST,
    LOWER_RATE_LIMIT,
    TWICE,
    UNDOCUMENTED,
    code_table,
    failed_call,
    read,
    repeats,
    vendor_code,
)

if TYPE_CHECKING:
    from exporter.vendors.tencent_live import TencentLiveSource

PAGE_SIZE: Final = 20


class GetRoomList:
    """How the list is read."""

    tells_users = False
    answers_all = False
    tells_new = False
    page_size = PAGE_SIZE
    default_interval = 30.0

    def limit(self, source: TencentLiveSource) -> float:  # noqa: ARG002 the same for every app
        return 10.0

    def budget_key(self, source: TencentLiveSource) -> str:
        return f"tencent_live.list:{source.sdk_app_id}"

    def unavailable(self, source: TencentLiveSource) -> str | None:  # noqa: ARG002 every region has it
        return None

    def begin(self, source: TencentLiveSource, now: float, since: float | None, lookback: float) -> ListPass:  # noqa: ARG002 always whole
        return PagedPass(_Pager(source))


class _Pager:
    unsupported: frozenset[str] = frozenset()

    def __init__(self, source: TencentLiveSource) -> None:
        self._source = source
        self._next = ""
        self._seen = {""}

    def request(self, auth: Auth, stamp: Stamp) -> Request:
        base_url = tencent.base_url(self._source, self._source.region)
        body = {"Next": self._next, "Count": PAGE_SIZE}
        return tencent.post(self._source, base_url, auth, "live_engine_http_srv/get_room_list", body, stamp)

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> Page | Failure:
        answer = read(body, _WHOLE, _ENVELOPE)
        code = vendor_code(answer.ErrorCode) if answer else None
        if failure := failed_call(code, _CODES, status, headers):
            return failure
        if not isinstance(answer, _RoomList) or answer.ActionStatus != "OK":
            return UNDOCUMENTED
        entries, cursor = answer.Response.RoomList, answer.Response.Next
        if repeats(body, (b'"RoomId"',), len(entries), LARGE_LIST) or repeats(body, _ONCE, 1, LARGE_LIST):
            return TWICE
        flaw = None
        if any(not entry.RoomId for entry in entries):
            flaw = "a room of the list has no id"
        elif cursor and cursor in self._seen:
            flaw = "the list leads back to a page that was read already"
        last = cursor in self._seen
        self._seen.add(cursor)
        self._next = cursor
        return Page(dict.fromkeys(entry.RoomId for entry in entries if entry.RoomId), last, flaw=flaw)


class _Room(msgspec.Struct):
    RoomId: str


class _Rooms(msgspec.Struct):
    Next: str
    RoomList: list[_Room]


class _RoomList(msgspec.Struct):
    Response: _Rooms
    ActionStatus: Any = "OK"
    ErrorCode: Any = None


class _Envelope(msgspec.Struct):
    ErrorCode: Any = None


_ONCE: Final = (b'"Response"', b'"Next"', b'"RoomList"')
_WHOLE: Final = msgspec.json.Decoder(_RoomList)
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)

_CODES: Final[Mapping[int | str, Failure]] = {
    **tencent.COMMON_CODES,
    **tencent.LIST_CODES,
    **code_table(FailureKind.RATE_LIMITED, {100012: f"the app called too often; {LOWER_RATE_LIMIT}"}),
    **code_table(FailureKind.TRANSIENT, {100001: "an internal error of Tencent's"}),
    **code_table(
        FailureKind.MISCONFIGURED,
        {
            100007: "the app has no package with live rooms: buy one in Tencent's console",
            100013: "the app is over the limit of its package: buy a larger one in Tencent's console",
        },
    ),
}
