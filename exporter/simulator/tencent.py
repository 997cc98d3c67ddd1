"""Tencent's gateway: `get_online_member_num` of IM, `get_member_list` of Live, and their lists of rooms."""

import itertools
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from zlib import crc32

import msgspec

from exporter.simulator import room_ids, user_lists, usersig
from exporter.simulator.apps import Credentials
from exporter.simulator.clock import Clock
from exporter.simulator.codes import CODES
from exporter.simulator.exchange import Answered, Ask, Received, Refusal, Reply
from exporter.simulator.outlook import Outlook

MOST_MEMBERS = 1000
"""Most members that the list of a live room contains."""

MOST_FAILURES, COOL_DOWN = 30, 60.0
"""After 30 wrong UserSigs of an app within 60 s, all its calls are refused for 60 s (code 70050)."""

_ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "/v4/group_open_http_svc/get_online_member_num": "tencent_im",
        "/v4/million_group_open_http_svc/get_online_member_num": "tencent_im",
        "/v4/group_open_http_svc/get_appid_group_list": "tencent_im",
        "/v4/live_engine_http_srv/get_member_list": "tencent_live",
        "/v4/live_engine_http_srv/get_room_list": "tencent_live",
    }
)
_UINT32 = re.compile(r"[0-9]{1,10}")
_ROOM_FIELDS = {"get_online_member_num": "GroupId", "get_member_list": "RoomId"}
_MEMBERS_PER_PAGE = 100
_GROUPS_PER_PAGE = 10_000
_ROOMS_PER_PAGE = 20
_LARGEST_REPLY = 10**6
_NEXT = re.compile(r"([1-9][0-9]{0,5})-sim")


class TencentGateway:
    """IM and Live have the address, the UserSig and the public codes in common. Other codes differ."""

    def __init__(self, credentials: Credentials, clock: Clock, *, strict_ids: bool) -> None:
        self._credentials, self._clock, self._strict_ids = credentials, clock, strict_ids
        self._request_ids = itertools.count(1)
        self._failures: dict[str, deque[float]] = {}
        self._cooling: dict[str, float] = {}
        self._answers: Mapping[str, Callable[[Ask, Outlook], Reply]] = MappingProxyType(
            {
                "get_online_member_num": self._online_member_num,
                "get_member_list": self._member_list,
                "get_appid_group_list": self._group_list,
                "get_room_list": self._room_list,
            }
        )

    def read(self, received: Received) -> Ask | None:
        """All requests below `/v4/` are for Tencent."""
        if not received.path.startswith("/v4/"):
            return None
        app = received.param("sdkappid")
        known = app if app in self._credentials.tencent else ""
        action = received.path.rpartition("/")[2]
        default = "tencent_live" if received.path.startswith("/v4/live_engine_http_srv/") else "tencent_im"
        api = _ACTIONS.get(received.path, default)
        try:
            document = msgspec.json.decode(received.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            document = None
        room = document.get(_ROOM_FIELDS.get(action)) if isinstance(document, dict) else None
        rooms = (room,) if isinstance(room, str) else ()
        lists = action not in _ROOM_FIELDS and received.path in _ACTIONS
        limit = f"{api}/{action}" if lists else api
        return Ask(
            received, api, action, app=known, limit=limit, holder=known, rooms=rooms, document=document, lists=lists
        )

    def check(self, ask: Ask, now: float) -> Refusal | None:
        """The common checks, the last of them that of the UserSig; then the checks of the call."""
        return self._check_url(ask) or self._check_usersig(ask, now) or self._check_body(ask)

    def answer(self, ask: Ask, outlook: Outlook) -> Reply:
        """The number of a room's users, or a page of a list."""
        return self._answers[ask.action](ask, outlook)

    def refuse(self, ask: Ask, refusal: Refusal) -> Reply:
        """The HTTP status is always 200."""
        message = refusal.message or CODES[ask.api].messages.get(refusal.code, "failed")
        document = {"ActionStatus": "FAIL", "ErrorCode": int(refusal.code), "ErrorInfo": message}
        return Reply(refusal.status or 200, msgspec.json.encode(document), refusal.code)

    def _check_url(self, ask: Ask) -> Refusal | None:
        sdk_app_id = ask.param("sdkappid")
        if ask.received.path not in _ACTIONS:
            return Refusal("60009")
        if ask.received.method != "POST":
            return Refusal("60002", "the request method must be POST")
        if not sdk_app_id:
            return Refusal("60012")
        if not _UINT32.fullmatch(sdk_app_id):
            return Refusal("60006")
        if ask.param("contenttype") != "json":
            return Refusal("60002", "contenttype must be json")
        if not _UINT32.fullmatch(ask.param("random")) or int(ask.param("random")) >= 2**32:
            return Refusal("60002", "random must be an unsigned 32-bit integer")
        if not ask.param("identifier"):
            return Refusal("60005")
        return None if ask.app else Refusal("70020")

    def _check_usersig(self, ask: Ask, now: float) -> Refusal | None:
        """After too many failures, even a correct UserSig is refused for a while."""
        moment = self._clock.monotonic()
        if moment < self._cooling.get(ask.app, moment):
            return Refusal("70050")
        refusal = self._verify(ask, now)
        if refusal is not None:
            failures = self._failures.setdefault(ask.app, deque(maxlen=MOST_FAILURES))
            failures.append(moment)
            if len(failures) == MOST_FAILURES and moment - failures[0] < COOL_DOWN:
                self._cooling[ask.app] = moment + COOL_DOWN
                failures.clear()
        return refusal

    def _verify(self, ask: Ask, now: float) -> Refusal | None:
        app, identifier, text = self._credentials.tencent[ask.app], ask.param("identifier"), ask.param("usersig")
        if not text:
            return Refusal("70002")
        try:
            sig = usersig.unpack(text)
        except ValueError as error:
            return Refusal("70003", f"the UserSig cannot be verified: {error}")
        if sig.sdk_app_id != app.sdk_app_id:
            return Refusal("70014")
        if sig.identifier != identifier:
            return Refusal("70013")
        if not sig.signed_with(app.secret_key):
            return Refusal("70009")
        if sig.expire <= 0 or now >= sig.time + sig.expire:
            return Refusal("70001")
        return None if identifier == app.identifier else Refusal("60010")

    def _check_body(self, ask: Ask) -> Refusal | None:
        parameter = "10004" if ask.api == "tencent_im" else "100002"
        if ask.document is None:
            return Refusal("60003")
        if not isinstance(ask.document, dict):
            return Refusal("60015")
        if ask.action in _ROOM_FIELDS and not ask.rooms:
            return Refusal(parameter, f"{_ROOM_FIELDS[ask.action]} is missing or not a string")
        if any(not room_ids.well_formed(ask.api, room, strict=self._strict_ids) for room in ask.rooms):
            return Refusal("10015" if ask.api == "tencent_im" else "100002")
        if ask.action == "get_online_member_num" and _in_wrong_service(ask):
            return Refusal("10007")
        if ask.api == "tencent_live" and not isinstance(ask.document.get("Next"), str):
            return Refusal(parameter, "Next is missing or not a string")
        return None

    def _online_member_num(self, ask: Ask, outlook: Outlook) -> Reply:
        (room,) = ask.rooms
        state = outlook.state("tencent_im", room)
        if not state.exists:
            return self._missing(ask, "10010")
        return _success({"OnlineMemberNum": state.users}, Answered(room, state.users, None, None, exists=True))

    def _member_list(self, ask: Ask, outlook: Outlook) -> Reply:
        (room,) = ask.rooms
        state = outlook.state("tencent_live", room)
        first = _offset(_field(ask, "Next"))
        if not state.exists:
            return self._missing(ask, "100004")
        if first is None:
            return self.refuse(ask, Refusal("100002", "Next is not one that was given"))
        listed = min(state.users, MOST_MEMBERS)
        last = min(first + _MEMBERS_PER_PAGE, listed)
        response = {
            "Next": f"{last}-sim" if last < listed else "",
            "MemberCount": state.users,
            "MemberList": user_lists.objects("Member_Account", first=first, last=last),
        }
        return _success(self._response(response), Answered(room, state.users, None, None, exists=True))

    def _group_list(self, ask: Ask, outlook: Outlook) -> Reply:
        first, limit, group_type = _field(ask, "Next"), _field(ask, "Limit"), _field(ask, "GroupType")
        first, limit = first or 0, _GROUPS_PER_PAGE if limit is None else limit
        if type(first) is not int or type(limit) is not int or first < 0 or not 0 < limit <= _GROUPS_PER_PAGE:
            return self.refuse(ask, Refusal("10004", f"Next: a number; Limit: 1 to {_GROUPS_PER_PAGE}"))
        groups = [room for room in outlook.rooms("tencent_im") if group_type in (None, _group_type(room))]
        page = outlook.trouble.page(groups, first, limit)
        following = first + limit if first + limit < len(groups) else 0
        total = outlook.trouble.total(groups)
        reply = _success({"TotalCount": total, "GroupIdList": [{"GroupId": room} for room in page], "Next": following})
        return reply if len(reply.body) <= _LARGEST_REPLY else self.refuse(ask, Refusal("10018"))

    def _room_list(self, ask: Ask, outlook: Outlook) -> Reply:
        first, count = _offset(_field(ask, "Next")), _field(ask, "Count")
        if first is None or type(count) is not int or not 0 < count <= _ROOMS_PER_PAGE:
            return self.refuse(ask, Refusal("100002", f"Next: one that was given; Count: 1 to {_ROOMS_PER_PAGE}"))
        # ViewCount counts all who ever entered; it is not the number of users.
        views = sorted(((_entered(room), room) for room in outlook.rooms("tencent_live")), reverse=True)
        rooms = [
            {"RoomName": room, "RoomId": room, "Owner_Account": "owner", "ActivityStatus": 1, "ViewCount": entered}
            for entered, room in outlook.trouble.page(views, first, count)
        ]
        more = first + count < len(views)
        return _success(self._response({"Next": f"{first + count}-sim" if more else "", "RoomList": rooms}))

    def _missing(self, ask: Ask, code: str) -> Reply:
        return replace(self.refuse(ask, Refusal(code)), answered=(Answered(ask.rooms[0], 0, None, None, exists=False),))

    def _response(self, response: Mapping[str, object]) -> dict[str, object]:
        """Live puts into `Response` what IM has at the top level."""
        return {"RequestId": f"Id-sim-O-Seq-{next(self._request_ids)}", "Response": response}


def _field(ask: Ask, name: str) -> object:
    return ask.document.get(name) if isinstance(ask.document, dict) else None


def _group_type(room: str) -> str:
    """The type of a group. Communities have ids with a prefix, and a service of their own."""
    return "Community" if room.startswith("@TGS#_") else "AVChatRoom"


def _in_wrong_service(ask: Ask) -> bool:
    for_communities = ask.received.path.startswith("/v4/million_group_open_http_svc/")
    return for_communities is not (_group_type(ask.rooms[0]) == "Community")


def _entered(room: str) -> int:
    return crc32(room.encode(errors="surrogatepass")) % 100_000


def _offset(following: object) -> int | None:
    """The start of the page with this `Next`; None if no reply contains such a `Next`."""
    if following == "":
        return 0
    found = _NEXT.fullmatch(following) if isinstance(following, str) else None
    return int(found[1]) if found else None


def _success(document: Mapping[str, object], *answered: Answered) -> Reply:
    envelope = {"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0}
    return Reply(200, msgspec.json.encode(envelope | dict(document)), "0", answered)
