"""
A vendor whose list of rooms deserves no trust, and that is strict about what it is asked.

Rooms open and close in it at moments that a test chooses. It answers polls of them truthfully, and pages of its list as
its ``Trap`` says. What an exporter must not do is kept in ``offences``.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from exporter.model import Failure
from tests.polling.answers import BAD_GATEWAY, RATE_LIMITED, RESET, Answer, fails
from tests.vendors import examples

DAY: Final = 86_400.0
LIMITS: Final = {"zego_rtc": 20, "tencent_im": 1, "tencent_live": 10, "volcengine_rtc": 10}
"""Documented calls per second of the lists."""

_LARGEST: Final = {"zego_rtc": 200, "tencent_im": 10_000, "tencent_live": 20, "volcengine_rtc": 100}
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_LAGS: Final = {"volcengine_rtc": 20.0}
_LISTS: Final = re.compile(r"Action=(DescribeRoomList|ListRoomInfo)|/get_appid_group_list|/get_room_list")


@dataclass(frozen=True, slots=True)
class Trap:
    """
    What is wrong with a list.

    Args:
        lag: Seconds that it is behind, besides what is documented.
        moves: It is in another order with each call, so that pages repeat rooms and miss others.
        total: Added to the total that it tells.
        empty: This page, from 1, names no room; those after it do.
        endless: The last page is followed by empty ones for ever.
        short: Pages have so many rooms at most, whatever was asked for.
        fails: How each of these pages is answered instead, from 1; 0 stands for all.
        chance: With this probability; or as it should be.
        closed_until: Unix seconds until which the vendor has not activated the list.
        most: So many calls match at most; with more, Volcengine asks to narrow the query.
        blind: Leaves each room out of every other pass.
    """

    lag: float = 0.0
    moves: bool = False
    total: int = 0
    empty: int = 0
    endless: bool = False
    short: int = 0
    fails: Mapping[int, Callable[[str], Answer | Failure]] = field(default_factory=dict)
    chance: float = 1.0
    closed_until: float = 0.0
    most: int | None = None
    blind: bool = False


@dataclass(slots=True)
class Life:
    """A room from its opening to its end, in Unix seconds."""

    number: int
    room: str
    opened: float
    closed: float = float("inf")

    def is_open(self, at: float) -> bool:
        """Whether it is there at that moment."""
        return self.opened <= at < self.closed


class ListingVendor:
    """
    One app of one API.

    Args:
        unix: The time.
    """

    def __init__(self, api: str, unix: Callable[[], float], seed: int = 7) -> None:
        self.api = api
        self.trap = Trap()
        self.lives: list[Life] = []
        self.offences: list[str] = []
        self.listed: list[float] = []
        self.passes = 0
        self._unix = unix
        self._open: dict[str, Life] = {}
        self._dice = random.Random(seed)
        self._cursors: dict[object, int] = {}
        self._tokens = itertools.count(4_454_685_361)

    def open(self, room: str, at: float | None = None) -> Life:
        """A room opens, now or earlier."""
        assert room not in self._open
        life = self._open[room] = Life(len(self.lives), room, self._unix() if at is None else at)
        self.lives.append(life)
        return life

    def close(self, room: str) -> None:
        """It closes now."""
        self._open.pop(room).closed = self._unix()

    def rooms(self) -> dict[str, Life]:
        """Those that are open."""
        return dict(self._open)

    def users(self, room: str) -> int:
        """Users in a room: half of the rooms are empty."""
        return 3 * (self._open[room].number % 2) if room in self._open else 0

    def answer(self, target: str, body: bytes = b"") -> Answer | Failure:
        """The reply to a request."""
        asked = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
        given = json.loads(body) if body else asked
        if _LISTS.search(target):
            self.listed.append(self._unix())
            return self._list(given)
        rooms = [room for name, room in parse_qsl(urlsplit(target).query) if name in ("RoomId[]", "RoomId")]
        return self._poll(rooms or [given[key] for key in ("GroupId", "RoomId") if key in given])

    def _poll(self, rooms: Sequence[str]) -> Answer:
        (first, *_) = rooms
        missing = {"tencent_im": (10010, "FAIL"), "tencent_live": (100004, "FAIL")}.get(self.api)
        if missing and first not in self._open:
            return Answer({"ActionStatus": missing[1], "ErrorCode": missing[0], "ErrorInfo": ""})
        document = examples.success(self.api, tuple(rooms))
        if self.api == "zego_rtc":
            for entry in document["Data"]["UserCountList"]:
                entry |= {"UserCount": self.users(entry["RoomId"]), "AdminUserCount": 0}
        elif self.api == "tencent_im":
            document["OnlineMemberNum"] = self.users(first)
        elif self.api == "tencent_live":
            document["Response"]["MemberCount"] = self.users(first)
        else:
            users = {
                "TotalUser": self.users(first),
                "TotalInvisibleUser": 0,
                "VisibleUserList": [],
                "InvisibleUserList": [],
            }
            document["Result"] |= {**users, "RoomExists": first in self._open}
        return Answer(document)

    def _list(self, asked: Mapping[str, Any]) -> Answer | Failure:
        if self._unix() < self.trap.closed_until:
            return fails(self.api, 9)
        reader = {
            "zego_rtc": self._zego,
            "tencent_im": self._groups,
            "tencent_live": self._live,
            "volcengine_rtc": self._calls,
        }
        return reader[self.api](asked)

    def _page(
        self, number: int, first: int, size: int, lives: Sequence[Life]
    ) -> tuple[list[Life], int] | Answer | Failure:
        """A page that begins with room number ``first``, and where the next one begins; 0 after the last."""
        trap = self.trap
        self.passes += number == 1
        if number > 5_000:
            self.offences.append("it never stops to ask")
        bad = trap.fails.get(number, trap.fails.get(0))
        if bad is not None and self._dice.random() < trap.chance:
            return bad(self.api)
        size = min(size, trap.short or size)
        lives = list(lives)
        if trap.blind:
            lives = [life for life in lives if (life.number + self.passes) % 2]
        if trap.moves:
            # Neighbours change places between two calls.
            for place in range(self._dice.randrange(2), len(lives) - 1, 2):
                lives[place : place + 2] = reversed(lives[place : place + 2])
        page = lives[first : first + size]
        following = first + size if first + size < len(lives) or trap.endless else 0
        if number == trap.empty:
            return [], first or 1
        return page, following

    def _at(self) -> float:
        return self._unix() - self.trap.lag - _LAGS.get(self.api, 0.0)

    def _now_open(self) -> list[Life]:
        at = self._at()
        return [life for life in self.lives if life.is_open(at)]

    def _size(self, given: object) -> int:
        size = int(str(given))
        if not 1 <= size <= _LARGEST[self.api]:
            self.offences.append(f"a page of {size}")
        return size

    def _zego(self, asked: Mapping[str, str]) -> Answer | Failure:
        lives, number, size = self._now_open(), int(asked["PageIndex"]), self._size(asked["PageSize"])
        size = min(size, self.trap.short or size)
        page = self._page(number, (number - 1) * size, size, lives)
        if not isinstance(page, tuple):
            return page
        total = max(0, len(lives) + self.trap.total) + (number * size * 2 if self.trap.endless else 0)
        entries = [{"RoomId": life.room, "UserCount": self.users(life.room)} for life in page[0]]
        return Answer({"Code": 0, "Message": "success", "Data": {"TotalCount": total, "RoomList": entries}})

    def _cursor(self, given: object, start: object) -> tuple[int, int] | None:
        """Number of the page and of its first room."""
        if given == start:
            return 1, 0
        place = self._cursors.get(given)
        if place is None:
            self.offences.append(f"a cursor that was never given: {given!r}")
            return None
        return divmod(place, 1_000_000)

    def _give(self, number: int, following: int) -> int:
        """A cursor; 0 if there is no further page."""
        if not following:
            return 0
        cursor = next(self._tokens)
        self._cursors[cursor] = self._cursors[f"1693271355-{cursor}"] = (number + 1) * 1_000_000 + following
        return cursor

    def _groups(self, asked: Mapping[str, Any]) -> Answer | Failure:
        lives, place = self._now_open(), self._cursor(asked["Next"], 0)
        if place is None:
            return fails(self.api, 10004)
        page = self._page(place[0], place[1], self._size(asked["Limit"]), lives)
        if not isinstance(page, tuple):
            return page
        ids = [{"GroupId": life.room} for life in page[0]]
        total, cursor = max(0, len(lives) + self.trap.total), self._give(place[0], page[1])
        return Answer({"ActionStatus": "OK", "ErrorCode": 0, "TotalCount": total, "GroupIdList": ids, "Next": cursor})

    def _live(self, asked: Mapping[str, Any]) -> Answer | Failure:
        place = self._cursor(asked["Next"], "")
        if place is None:
            return fails(self.api, 100002)
        page = self._page(place[0], place[1], self._size(asked["Count"]), self._now_open())
        if not isinstance(page, tuple):
            return page
        rooms = [{"RoomId": life.room, "RoomName": "n", "ViewCount": 10**6, "CreateTime": 1} for life in page[0]]
        cursor = self._give(place[0], page[1])
        following = f"1693271355-{cursor}" if cursor else ""
        return Answer({"ActionStatus": "OK", "ErrorCode": 0, "Response": {"Next": following, "RoomList": rooms}})

    def _calls(self, asked: Mapping[str, str]) -> Answer | Failure:
        now, at = self._unix(), self._at()
        start, end = self._moment(asked["StartTime"]), self._moment(asked["EndTime"])
        if not start < end <= start + DAY or start < now - 14 * DAY or end > now + 1:
            self.offences.append(f"a span from {now - start:.0f} to {now - end:.0f} s ago")
            return fails(self.api, "InvalidParameter")
        lives = [life for life in self.lives if start <= life.opened < end and life.opened <= at]
        number, size = int(asked["PageNum"]), self._size(asked["PageSize"])
        size = min(size, self.trap.short or size)
        has_more = self.trap.most is not None and len(lives) > self.trap.most
        lives = lives[: self.trap.most]
        page = self._page(number, (number - 1) * size, size, lives)
        if not isinstance(page, tuple):
            return page
        rows = [
            {"CallId": f"c{life.number}", "RoomId": life.room, "IsFinished": life.closed <= at, "ActiveUserNum": 7}
            for life in page[0]
        ]
        total = max(0, len(lives) + self.trap.total) + (10**6 if self.trap.endless else 0)
        result = {"Total": total, "HasMore": has_more, "PageNum": number, "PageSize": size, "RoomList": rows}
        return Answer({"ResponseMetadata": {"RequestId": "1"}, "Result": result})

    def _moment(self, text: str) -> float:
        if not _MOMENT.fullmatch(text):
            self.offences.append(f"a moment {text!r}")
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


def busy(api: str) -> Answer | Failure:
    """Others use up the limit."""
    return fails(api, RATE_LIMITED[api])


def down(api: str) -> Answer | Failure:
    """Something on the way is in trouble."""
    return BAD_GATEWAY


def broken(api: str) -> Answer | Failure:
    """The connection breaks."""
    return RESET


def garbled(api: str) -> Answer | Failure:
    """The page is cut off."""
    return Answer(
        b'{"Code": 0, "ErrorCode": 0, "ResponseMetadata": {"RequestId": "1"}, "Data": {"TotalCount": 3, "Room'
    )
