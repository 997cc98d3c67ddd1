"""
Tencent Chat, ``get_appid_group_list``: the ids of an app's audio-video groups (AVChatRoom), without counts.

Source: Tencent Cloud Chat, "Getting All Groups in an App" (2025-10-23): one call a second, up to 10,000 ids a page.
Tencent refuses a reply of over 1 MB (10018), so a page has 5,000 ids, and half as many after such a refusal. The total
counts the app's groups; where it counts groups of other types as well, no pass is ever complete, and an absence from
the list means nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from exporter.model import Auth, Failure, Request, Stamp
from exporter.vendors import tencent
from exporter.vendors.lists import ListPass, Page, PagedPass
from exporter.vendors.replies import LARGE_LIST, TWICE, UNDOCUMENTED, count, failed_call, read, repeats, vendor_code

if TYPE_CHECKING:
    from exporter.vendors.tencent_im import TencentImSource

PAGE_SIZE: Final = 5_000
_TOO_LARGE: Final = "10018"
_MOST_CURSOR: Final = 2**64


class GetAppidGroupList:
    """How the list is read."""

    tells_users = False
    answers_all = False
    tells_new = False
    page_size = PAGE_SIZE
    default_interval = 30.0

    def limit(self, source: TencentImSource) -> float:  # noqa: ARG002 the same for every app
        return 1.0

    def budget_key(self, source: TencentImSource) -> str:
        return f"tencent_im.list:{source.sdk_app_id}"

    def unavailable(self, source: TencentImSource) -> str | None:  # noqa: ARG002 every region has it
        return None

    def begin(self, source: TencentImSource, now: float, since: float | None, lookback: float) -> ListPass:  # noqa: ARG002 always whole
        return PagedPass(_Pager(source))


class _Pager:
    unsupported: frozenset[str] = frozenset()

    def __init__(self, source: TencentImSource, group_type: str = "AVChatRoom") -> None:
        self._source = source
        self._group_type = group_type
        self._limit = PAGE_SIZE
        self._next = 0
        self._seen: set[int] = {0}

    def request(self, auth: Auth, stamp: Stamp) -> Request:
        body = {"Limit": self._limit, "Next": self._next, "GroupType": self._group_type}
        base_url = tencent.base_url(self._source, self._source.region)
        return tencent.post(self._source, base_url, auth, "group_open_http_svc/get_appid_group_list", body, stamp)

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> Page | Failure:
        answer = read(body, _WHOLE, _ENVELOPE)
        code = vendor_code(answer.ErrorCode) if answer else None
        if failure := failed_call(code, _CODES, status, headers):
            if failure.code == _TOO_LARGE:
                self._limit = max(1, self._limit // 2)
            return failure
        if not isinstance(answer, _GroupList) or answer.ActionStatus != "OK":
            return UNDOCUMENTED
        entries = answer.GroupIdList or []
        if repeats(body, (b'"GroupId"',), len(entries), LARGE_LIST) or repeats(body, _ONCE, 1, LARGE_LIST):
            return TWICE
        cursor = _cursor(answer.Next)
        return UNDOCUMENTED if cursor is None else self._page(entries, cursor, count(answer.TotalCount))

    def _page(self, entries: list[_Group], cursor: int, total: int | None) -> Page:
        rooms = dict.fromkeys(entry.GroupId for entry in entries if entry.GroupId)
        flaw = None
        if total is None:
            flaw = "the reply does not say how many groups there are"
        elif total < len(rooms):
            flaw = f"a page names {len(rooms)} groups and says that there are {total}"
        elif any(not entry.GroupId for entry in entries):
            flaw = "a group of the list has no id"
        elif cursor in self._seen and cursor:
            flaw = "the list leads back to a page that was read already"
        last = cursor in self._seen
        self._seen.add(cursor)
        self._next = cursor
        return Page(rooms, last, total, flaw)


def _cursor(value: object) -> int | None:
    """Where the next page begins; 0 if there is none, ``None`` if it cannot be read."""
    if value is None:
        return 0
    number = vendor_code(value) if isinstance(value, str) else value
    return number if type(number) is int and 0 <= number < _MOST_CURSOR else None


class _Group(msgspec.Struct):
    GroupId: str


class _GroupList(msgspec.Struct):
    ActionStatus: Any = "OK"
    ErrorCode: Any = None
    TotalCount: Any = None
    GroupIdList: list[_Group] | None = None
    Next: Any = None


class _Envelope(msgspec.Struct):
    ErrorCode: Any = None


_ONCE: Final = (b'"TotalCount"', b'"GroupIdList"', b'"Next"')
_WHOLE: Final = msgspec.json.Decoder(_GroupList)
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)

_CODES: Final[Mapping[int | str, Failure]] = {
    **tencent.COMMON_CODES,
    **tencent.LIST_CODES,
}
