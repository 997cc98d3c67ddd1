"""
Volcengine RTC, ``ListRoomInfo``: the calls of an app that were created in a span of time, those under way among them.

Source: Volcengine RTC OpenAPI 2023-11-01, "ListRoomInfo" (2024-10-14): ten calls a second for an account, up to 100
entries a page, 20 s behind. The account's policy needs ``rtc:ListRoomInfo`` besides ``rtc:GetRoomOnlineUsers``. It is
served in mainland China only.

A room has an entry for each of its calls, and is live if one of them has not ended. The list goes by the time of
creation, so a full pass looks back for ``lookback``, at most a day in each query and 14 days in all: a room that has
been open for longer is not found. Between full passes a pass asks for what was created since the last one, and 60 s
before. ``HasMore`` is not "there is another page" but "too many calls match": then the span is halved.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from exporter.model import Auth, Failure, Request, Stamp
from exporter.vendors import volcengine
from exporter.vendors.lists import PAGES_WITHOUT_NEWS, ListPass, Page, PagedPass
from exporter.vendors.replies import LARGE_LIST, TWICE, UNDOCUMENTED, by_status, count, read, repeats

if TYPE_CHECKING:
    from exporter.vendors.volcengine_rtc import VolcengineRtcSource

PAGE_SIZE: Final = 100
_DAY: Final = 86_400
_LONGEST_LOOKBACK: Final = 14 * _DAY
_OVERLAP: Final = 60
_MOST_SPLITS: Final = 256
_ADDRESS: Final = "https://rtc.volcengineapi.com"


class ListRoomInfo:
    """How the list is read."""

    tells_users = False
    answers_all = False
    tells_new = True
    page_size = PAGE_SIZE
    default_interval = 30.0

    def limit(self, source: VolcengineRtcSource) -> float:  # noqa: ARG002 the same for every account
        return 10.0

    def budget_key(self, source: VolcengineRtcSource) -> str:  # noqa: ARG002 an account's apps share one limit
        return "volcengine_rtc.list"

    def unavailable(self, source: VolcengineRtcSource) -> str | None:
        overseas = source.region.startswith("ap-")
        return "Volcengine lists rooms in mainland China only, not in overseas regions" if overseas else None

    def begin(self, source: VolcengineRtcSource, now: float, since: float | None, lookback: float) -> ListPass:
        until = int(now)
        start = until - int(lookback) if since is None else int(since) - _OVERLAP
        # A second in hand: the oldest moment that may be asked for moves while pages are read.
        oldest = until - _LONGEST_LOOKBACK + _OVERLAP
        return PagedPass(_Pager(source, max(min(start, until - 1), oldest), until))


class _Pager:
    """
    Reads span after span, the newest first.

    Args:
        start: Unix seconds, as ``until``.
    """

    unsupported = frozenset({"InvalidActionOrVersion", "100008"})  # as BytePlus may answer

    def __init__(self, source: VolcengineRtcSource, start: int, until: int) -> None:
        self._source = source
        ends = range(until, start, -_DAY)
        self._spans = [(max(start, end - _DAY), end) for end in reversed(ends)]  # the last one is next
        self._splits = 0
        self._begin_span()

    def _begin_span(self) -> None:
        self._page_number = 1
        self._size = PAGE_SIZE
        self._without_news = 0
        self._calls: set[str] = set()
        self._total: int | None = None

    def request(self, auth: Auth, stamp: Stamp) -> Request:
        start, end = self._spans[-1]
        parameters = {
            "Action": "ListRoomInfo",
            "Version": "2023-11-01",
            "AppId": self._source.app_id,
            # Z and no offset, whose plus sign would be a space to whoever does not encode it.
            "StartTime": _time(start),
            "EndTime": _time(end),
            "PageNum": str(self._page_number),
            "PageSize": str(PAGE_SIZE),
        }
        return volcengine.get(self._source, self._source.base_url or _ADDRESS, auth, parameters, stamp)

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> Page | Failure:
        answer = read(body, _WHOLE, _ENVELOPE)
        if answer and (error := answer.ResponseMetadata.Error):
            return volcengine.failure(error, status, headers)
        if failure := by_status(status, headers):
            return failure
        if not isinstance(answer, _RoomInfo):
            return UNDOCUMENTED
        entries = answer.Result.RoomList or []
        if repeats(body, _EACH, len(entries), LARGE_LIST) or repeats(body, _ONCE, 1, LARGE_LIST):
            return TWICE
        total, size = count(answer.Result.Total), count(answer.Result.PageSize)
        self._size = min(self._size, size or PAGE_SIZE)  # less, if Volcengine gives less than it is asked for
        return UNDOCUMENTED if total is None else self._page(entries, total, has_more=answer.Result.HasMore)

    def _page(self, entries: list[_Call], total: int, *, has_more: bool) -> Page:
        rooms = dict.fromkeys(entry.RoomId for entry in entries if entry.RoomId and not entry.IsFinished)
        flaw = None if all(entry.RoomId for entry in entries) else "a call of the list has no room id"
        if has_more and self._split():
            return Page(rooms, last=False, flaw=flaw, goes_on=True)
        if has_more:
            flaw = "more calls match than Volcengine lists, however short the span of time"
        known = len(self._calls)
        self._calls.update(
            entry.CallId if isinstance(entry.CallId, str) else f"{self._page_number} {number}"
            for number, entry in enumerate(entries)
        )
        self._total = total if self._total is None else self._total
        self._without_news = 0 if len(self._calls) > known else self._without_news + 1
        ended = self._page_number * self._size >= total or self._without_news >= PAGES_WITHOUT_NEWS
        if ended and len(self._calls) < min(self._total, total):
            flaw = flaw or f"Volcengine has {min(self._total, total)} calls, and its pages named {len(self._calls)}"
        self._page_number += 1
        if ended:
            self._spans.pop()
            self._begin_span()
        return Page(rooms, last=not self._spans, flaw=flaw, goes_on=True)

    def _split(self) -> bool:
        """Halve the span that is being read; whether that can be done."""
        start, end = self._spans[-1]
        if end - start < 2 or self._splits >= _MOST_SPLITS:
            return False
        self._splits += 1
        middle = (start + end) // 2
        self._spans[-1:] = [(start, middle), (middle, end)]
        self._begin_span()
        return True


def _time(unix: int) -> str:
    return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%dT%H:%M:%SZ}"


class _Call(msgspec.Struct):
    RoomId: str
    IsFinished: bool
    CallId: Any = None


class _Calls(msgspec.Struct):
    Total: Any = None
    HasMore: bool = False
    PageSize: Any = None
    RoomList: list[_Call] | None = None


class _Envelope(msgspec.Struct):
    ResponseMetadata: volcengine.Metadata


class _RoomInfo(msgspec.Struct):
    ResponseMetadata: volcengine.Metadata
    Result: _Calls


_EACH: Final = (b'"RoomId"', b'"IsFinished"', b'"CallId"')
_ONCE: Final = (b'"Result"', b'"Total"', b'"HasMore"', b'"RoomList"', b'"PageSize"')
_WHOLE: Final = msgspec.json.Decoder(_RoomInfo)
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
