"""ZEGO's gateway: `DescribeUserNum` and `DescribeRoomList` of RTC, and `QueryRoomUserList` of ZIM."""

import hmac
import itertools
import re
from collections.abc import Mapping
from dataclasses import replace
from hashlib import md5

import msgspec

from exporter.simulator import room_ids, user_lists
from exporter.simulator.apps import Credentials, ZegoApp
from exporter.simulator.clock import Clock
from exporter.simulator.codes import CODES
from exporter.simulator.exchange import Answered, Ask, Received, Refusal, Reply
from exporter.simulator.nonces import Nonces
from exporter.simulator.outlook import Outlook

MOST_ROOMS = 10
TOLERANCE = 600
"""Largest difference of a timestamp from the vendor's clock, in seconds."""

_APIS = {"DescribeUserNum": "zego_rtc", "DescribeRoomList": "zego_rtc", "QueryRoomUserList": "zego_zim"}
_LARGEST_APP_ID = 2**32 - 1
_MOST_PER_PAGE = 500
_MOST_LISTED = 200
_NONCE = re.compile(r"[0-9a-fA-F]{16}")
_WHOLE = re.compile(r"[0-9]{1,19}")


class ZegoGateway:
    """Both products have the address, the signature and the gateway's codes in common. Other codes differ."""

    def __init__(self, credentials: Credentials, clock: Clock, *, strict_ids: bool) -> None:
        self._credentials, self._clock, self._strict_ids = credentials, clock, strict_ids
        self._nonces: dict[str, Nonces] = {}
        self._request_ids = itertools.count(7840039829955402142)

    def read(self, received: Received) -> Ask | None:
        """All requests for `/` that Volcengine, which uses the same path, has not taken."""
        if received.path != "/":
            return None
        action, app = received.param("Action"), received.param("AppId")
        api = _APIS.get(action, "zego_rtc")
        known = app if app in self._credentials.zego else ""
        limit = _limit(api, action, received)
        rooms = tuple(dict.fromkeys(received.values("RoomId[]" if api == "zego_rtc" else "RoomId")))
        lists = action == "DescribeRoomList"
        return Ask(received, api, action, app=known, limit=limit, holder=known, rooms=rooms, lists=lists)

    def check(self, ask: Ask, now: float) -> Refusal | None:
        """The checks of the gateway in the documented order, then those of the product."""
        return (
            _check_form(ask)
            or _check_timestamp(ask, now)
            or self._check_app(ask)
            or self._check_signature(ask)
            or self._check_parameters(ask)
        )

    def answer(self, ask: Ask, outlook: Outlook) -> Reply:
        """The counts; for a ZIM room also a page of its users; or a page of the list of rooms."""
        if ask.action == "DescribeRoomList":
            return self._room_list(ask, outlook)
        return self._user_num(ask, outlook) if ask.api == "zego_rtc" else self._user_list(ask, outlook)

    def refuse(self, ask: Ask, refusal: Refusal) -> Reply:
        """The HTTP status is 200; the code is in the body."""
        message = refusal.message or CODES[ask.api].messages.get(refusal.code, "failed")
        document = {"Code": int(refusal.code), "Message": message, "RequestId": self._request_id()}
        return Reply(refusal.status or 200, msgspec.json.encode(document), refusal.code)

    def _check_app(self, ask: Ask) -> Refusal | None:
        app = self._credentials.zego.get(ask.param("AppId"))
        if app is None:
            return Refusal("100000011")
        if not app.server_secret:
            return Refusal("100000010")
        if not app.production and ask.param("IsTest") != "true":
            return Refusal("100000016")
        return None if ask.api in app.services else Refusal("100000017")

    def _check_signature(self, ask: Ask) -> Refusal | None:
        app = self._credentials.zego[ask.param("AppId")]
        nonce = ask.param("SignatureNonce")
        if not hmac.compare_digest(
            signature(app, nonce, ask.param("Timestamp")).encode(), ask.param("Signature").encode()
        ):
            return Refusal("100000005")
        if ask.app not in self._nonces:
            self._nonces[ask.app] = Nonces(self._clock)
        nonces = self._nonces[ask.app]
        return (
            None
            if nonces.spend(int(nonce, 16))
            else Refusal("100000005", "invalid signature: SignatureNonce was used before")
        )

    def _check_parameters(self, ask: Ask) -> Refusal | None:
        if ask.action == "DescribeRoomList":
            return _check_page(ask)
        if ask.api == "zego_rtc":
            given = ask.received.values("RoomId[]")
            if not 1 <= len(given) <= MOST_ROOMS:
                return Refusal("2", f"RoomId[]: 1 to {MOST_ROOMS} rooms, not {len(given)}")
            if any(room_ids.too_long(ask.api, room) for room in given):
                return Refusal("3")
            sound = all(room_ids.well_formed(ask.api, room, strict=self._strict_ids) for room in given)
            return None if sound else Refusal("2", "RoomId[]: invalid room id")
        if len(ask.rooms) != 1 or not room_ids.well_formed(ask.api, ask.rooms[0], strict=self._strict_ids):
            return Refusal("660000002", "RoomId: invalid parameter")
        if ask.param("Mode") not in ("", "0", "1"):
            return Refusal("660000002", "Mode: 0 or 1")
        for name in ("NextFlag", "Limit"):
            if ask.param(name) and not _WHOLE.fullmatch(ask.param(name)):
                return Refusal("660000002", f"{name}: not a number")
        return None

    def _user_num(self, ask: Ask, outlook: Outlook) -> Reply:
        answered = []
        for room in ask.rooms:
            state = outlook.state("zego_rtc", room)
            answered.append(Answered(room, state.users, state.admin, None, None))
        counts = [
            {"RoomId": room, "UserCount": users, "AdminUserCount": admin} for room, users, admin, _, _ in answered
        ]
        return self._success({"Data": {"UserCountList": counts}}, *answered)

    def _room_list(self, ask: Ask, outlook: Outlook) -> Reply:
        """The rooms with users, the fullest first. The order changes with the users, so rooms move between pages."""
        rooms = outlook.crowded("zego_rtc")
        size = int(ask.param("PageSize") or 100)
        page = outlook.trouble.page(rooms, (int(ask.param("PageIndex") or 1) - 1) * size, size)
        listed = [{"RoomId": room, "UserCount": users} for room, users in page]
        return self._success({"Data": {"TotalCount": outlook.trouble.total(rooms), "RoomList": listed}})

    def _user_list(self, ask: Ask, outlook: Outlook) -> Reply:
        (room,) = ask.rooms
        state = outlook.state("zego_zim", room)
        if not state.exists:
            return replace(
                self.refuse(ask, Refusal("660300001")), answered=(Answered(room, 0, None, None, exists=False),)
            )
        if not state.users:
            return replace(self.refuse(ask, Refusal("660300008")), answered=(Answered(room, 0, None, None, None),))
        limit = min(int(ask.param("Limit") or _MOST_PER_PAGE), _MOST_PER_PAGE)
        page = int(ask.param("NextFlag") or 0)
        first, last = page * limit, min((page + 1) * limit, state.users)
        more = limit > 0 and last < state.users
        reverse_of = state.users if ask.param("Mode") == "1" else None
        users = user_lists.objects("UserId", "UserName", first=first, last=last, reverse_of=reverse_of)
        document = {"Count": state.users, "NextFlag": str(page + 1) if more else "0", "UserList": users}
        return self._success(document, Answered(room, state.users, None, None, exists=True))

    def _success(self, document: Mapping[str, object], *answered: Answered) -> Reply:
        envelope = {"Code": 0, "Message": "success", "RequestId": self._request_id()}
        return Reply(200, msgspec.json.encode(envelope | dict(document)), "0", answered)

    def _request_id(self) -> str:
        return str(next(self._request_ids))


def signature(app: ZegoApp, nonce: str, timestamp: str) -> str:
    """The expected value of `Signature`: 32 lowercase hex digits."""
    return md5(f"{app.app_id}{nonce}{app.server_secret}{timestamp}".encode(), usedforsecurity=False).hexdigest()


def _check_form(ask: Ask) -> Refusal | None:
    app_id, nonce = ask.param("AppId"), ask.param("SignatureNonce")
    if ask.received.params is None:
        return Refusal("2" if ask.api == "zego_rtc" else "660000002", "the query is not UTF-8")
    if not ask.action:
        return Refusal("100000006")
    if ask.action not in _APIS or ask.received.method != "GET":
        return Refusal("100000007")
    if not _WHOLE.fullmatch(app_id) or int(app_id) > _LARGEST_APP_ID:
        return Refusal("100000001")
    if not nonce:
        return Refusal("100000008")
    if not ask.param("Signature"):
        return Refusal("100000009")
    if not ask.param("SignatureVersion"):
        return Refusal("100000013")
    if ask.param("SignatureVersion") != "2.0":
        return Refusal("100000014")
    if ask.param("IsTest") not in ("", "true", "false"):
        return Refusal("2" if ask.api == "zego_rtc" else "660000002", "IsTest: true or false")
    return None if _NONCE.fullmatch(nonce) else Refusal("100000008", "SignatureNonce: not 16 hex digits")


def _check_timestamp(ask: Ask, now: float) -> Refusal | None:
    timestamp = ask.param("Timestamp")
    if not timestamp:
        return Refusal("100000002")
    if not _WHOLE.fullmatch(timestamp):
        return Refusal("100000003")
    return None if abs(int(timestamp) - now) <= TOLERANCE else Refusal("100000004")


def _limit(api: str, action: str, received: Received) -> str:
    """The name of the limit that the call counts for. A project in the test environment has one for all of RTC's."""
    if api == "zego_rtc" and received.param("IsTest") == "true":
        return "zego_rtc/test"
    return "zego_rtc/DescribeRoomList" if action == "DescribeRoomList" else api


def _check_page(ask: Ask) -> Refusal | None:
    for name, most in (("PageIndex", 10**6), ("PageSize", _MOST_LISTED)):
        text = ask.param(name)
        if text and not (_WHOLE.fullmatch(text) and 1 <= int(text) <= most):
            return Refusal("2", f"{name}: 1 to {most}")
    return None
