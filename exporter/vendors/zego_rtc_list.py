"""
ZEGO RTC, ``DescribeRoomList``: the rooms of an app that have users, fullest first, with their users.

Source: ZEGOCLOUD's sample server for room lists (2022-06). It is in no public documentation of today, and ZEGO must
activate it for the app: ask its support. What it answers where it is not activated is not documented; three likely
codes are taken for that.

Pages are cut from a list that is sorted by a number that moves, so rooms repeat at page borders and are missed there.
``UserCount`` comes without the number of admin users, and neither its age nor whether it counts admin users is
documented. So it is no reading unless the config says so (``counts``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from exporter.model import Auth, Failure, FailureKind, Reading, Request, Stamp
from exporter.vendors import zego
from exporter.vendors.lists import ListPass, Page, PagedPass
from exporter.vendors.replies import (
    LARGE_LIST,
    LOWER_RATE_LIMIT,
    TWICE,
    UNDOCUMENTED,
    code_table,
    count,
    failed_call,
    read,
    repeats,
    vendor_code,
)

if TYPE_CHECKING:
    from exporter.vendors.zego_rtc import ZegoRtcSource

PAGE_SIZE: Final = 200


class DescribeRoomList:
    """How the list is read. The test environment has the limit that it has for other calls."""

    tells_users = True
    answers_all = False
    tells_new = False
    page_size = PAGE_SIZE
    default_interval = 30.0

    def limit(self, source: ZegoRtcSource) -> float:
        return 1.0 if source.is_test else 20.0

    def budget_key(self, source: ZegoRtcSource) -> str:
        return f"zego_rtc.list:{source.app_id}{':test' if source.is_test else ''}"

    def unavailable(self, source: ZegoRtcSource) -> str | None:  # noqa: ARG002 only a reply tells
        return None

    def begin(self, source: ZegoRtcSource, now: float, since: float | None, lookback: float) -> ListPass:  # noqa: ARG002 always whole
        return PagedPass(_Pager(source))


class _Pager:
    unsupported = frozenset({"9", "100000007", "100000017"})

    def __init__(self, source: ZegoRtcSource) -> None:
        self._source = source
        self._index = 1
        self._size = PAGE_SIZE

    def request(self, auth: Auth, stamp: Stamp) -> Request:
        source = self._source
        parameters = f"{'IsTest=true&' if source.is_test else ''}PageIndex={self._index}&PageSize={PAGE_SIZE}"
        return zego.get(source, zego.base_url("rtc", source), auth, "DescribeRoomList", parameters, stamp)

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> Page | Failure:
        answer = read(body, _WHOLE, _ENVELOPE)
        code = vendor_code(answer.Code) if answer else None
        if failure := failed_call(code, _CODES, status, headers):
            return failure
        if not isinstance(answer, _RoomList):
            return UNDOCUMENTED
        data = answer.Data or _Data()
        entries = data.RoomList or []
        if repeats(body, (b'"RoomId"', b'"UserCount"'), len(entries), LARGE_LIST) or repeats(
            body, _ONCE, 1, LARGE_LIST
        ):
            return TWICE
        return self._page(entries, 0 if data.TotalCount is None and not entries else count(data.TotalCount))

    def _page(self, entries: list[_Room], total: int | None) -> Page:
        rooms = _rooms(entries)
        if self._index == 1 and entries:
            self._size = min(PAGE_SIZE, len(entries))  # fewer, if ZEGO gives less than it is asked for
        last = total is None or self._index * self._size >= total
        self._index += 1
        return Page(rooms, last, total, _flaw(entries, rooms, total))


class _Room(msgspec.Struct):
    RoomId: str
    UserCount: Any = None


class _Data(msgspec.Struct):
    TotalCount: Any = None
    RoomList: list[_Room] | None = None


class _RoomList(msgspec.Struct):
    Code: Any = None
    Data: _Data | None = None


class _Envelope(msgspec.Struct):
    Code: Any = None


_ONCE: Final = (b'"Data"', b'"TotalCount"', b'"RoomList"')
_WHOLE: Final = msgspec.json.Decoder(_RoomList)
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


def _rooms(entries: list[_Room]) -> dict[str, Reading | None]:
    rooms: dict[str, Reading | None] = {}
    for entry in entries:
        users = count(entry.UserCount)
        # Presence in the list is no proof of existence in ZEGO's other replies, so existence stays unknown.
        reading = None if users is None else Reading(users)
        rooms[entry.RoomId] = reading if rooms.get(entry.RoomId, reading) == reading else None
    rooms.pop("", None)
    return rooms


def _flaw(entries: list[_Room], rooms: Mapping[str, object], total: int | None) -> str | None:
    if total is None:
        return "the reply does not say how many rooms there are"
    if total < len(rooms):
        return f"a page names {len(rooms)} rooms and says that there are {total}"
    return "a room of the list has no id" if any(not entry.RoomId for entry in entries) else None


_CODES: Final[Mapping[int | str, Failure]] = {
    **zego.GATEWAY_CODES,
    **code_table(FailureKind.RATE_LIMITED, dict.fromkeys((7, 206), f"the app called too often; {LOWER_RATE_LIMIT}")),
    **code_table(FailureKind.TRANSIENT, {1: "ZEGO failed without saying why", 8: "ZEGO could not decode the request"}),
    **code_table(
        FailureKind.MISCONFIGURED,
        {
            2: "ZEGO takes no such request for a page of its list",
            **dict.fromkeys(
                (9, 100000007, 100000017), "ZEGO does not list this app's rooms: ask its support for DescribeRoomList"
            ),
        },
    ),
}
