"""Volcengine's gateway: `GetRoomOnlineUsers` and `ListRoomInfo`, version 2023-11-01."""

import hmac
import itertools
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256

import msgspec

from exporter.simulator import room_ids, signature_v4, user_lists
from exporter.simulator.apps import Credentials
from exporter.simulator.clock import Clock
from exporter.simulator.codes import CODES, VOLCENGINE_NUMBERS
from exporter.simulator.exchange import Answered, Ask, Received, Refusal, Reply
from exporter.simulator.outlook import Outlook
from exporter.simulator.signature_v4 import Authorization

VERSION = "2023-11-01"
TOLERANCE = 900
"""Largest difference of X-Date from the vendor's clock, in seconds."""

REGIONS = ("cn-north-1", "ap-singapore-1", "ap-southeast-1")
MOST_INVISIBLE = 10_000
"""Most invisible users that a reply lists. Their total has no limit."""

_ACTIONS = ("GetRoomOnlineUsers", "ListRoomInfo")
_X_DATE = re.compile(r"\d{8}T\d{6}Z")
_MUST_SIGN = ("host", "x-content-sha256", "x-date")
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", re.ASCII)
_PER_PAGE, _MOST_PER_PAGE = 20, 100
_LONGEST_SPAN, _LONGEST_AGO = 86_400, 14 * 86_400


class VolcengineGateway:
    """An access key stands for an account. All apps of an account share one limit."""

    def __init__(self, credentials: Credentials, clock: Clock, *, strict_ids: bool) -> None:
        self._credentials, self._clock, self._strict_ids = credentials, clock, strict_ids
        self._request_ids = itertools.count(1)

    def read(self, received: Received) -> Ask | None:
        """A request for `/` with a Version, or with an Authorization of this vendor."""
        authorization = received.headers.get("Authorization", "")
        if received.path != "/" or not (received.values("Version") or authorization.startswith("HMAC-SHA256")):
            return None
        action, app = received.param("Action"), received.param("AppId")
        limit = "volcengine_rtc"
        if action == "ListRoomInfo":
            limit = "volcengine_rtc/ListRoomInfo"
        elif received.values("Property"):
            limit = "volcengine_rtc/property"
        access_key = signature_v4.claimed_access_key(authorization)
        return Ask(
            received=received,
            api="volcengine_rtc",
            action=action,
            app=app if app in self._credentials.volcengine else "",
            limit=limit,
            holder=access_key if access_key in self._credentials.access_keys else "",
            rooms=tuple(received.values("RoomId")),
            lists=action == "ListRoomInfo",
        )

    def check(self, ask: Ask, now: float) -> Refusal | None:
        """Check the signature, then the parameters."""
        return self._check_signature(ask, now) or self._check_parameters(ask, now)

    def answer(self, ask: Ask, outlook: Outlook) -> Reply:
        """The users of one room, or a page of the app's rooms."""
        return self._online_users(ask, outlook) if ask.action == "GetRoomOnlineUsers" else self._room_info(ask, outlook)

    def refuse(self, ask: Ask, refusal: Refusal) -> Reply:
        """Codes of the gateway have their own HTTP status; codes of the product come with 200."""
        message = refusal.message or CODES[ask.api].messages.get(refusal.code, "failed")
        prefix = refusal.code.partition(".")[0]
        number, status = VOLCENGINE_NUMBERS.get(prefix, (0, 200))
        error = {"CodeN": number, "Code": refusal.code, "Message": message}
        documented = status if prefix == refusal.code else 200
        document = {"ResponseMetadata": self._metadata(ask) | {"Error": error}}
        return Reply(refusal.status or documented, msgspec.json.encode(document), refusal.code)

    def _check_signature(self, ask: Ask, now: float) -> Refusal | None:
        headers = ask.received.headers
        header, x_date = headers.get("Authorization", ""), headers.get("X-Date", "")
        if not header:
            return Refusal("MissingAuthenticationToken")
        if not x_date:
            return Refusal("MissingRequestInfo", "X-Date is missing")
        if not _on_time(x_date, now):
            return Refusal("InvalidTimestamp")
        authorization = signature_v4.parse_authorization(header)
        if authorization is None:
            return Refusal("MissingSignature")
        if authorization.access_key_id not in self._credentials.access_keys:
            return Refusal("InvalidAccessKey")
        return _check_scope(ask, authorization, x_date) or self._check_match(ask, authorization, x_date)

    def _check_match(self, ask: Ask, authorization: Authorization, x_date: str) -> Refusal | None:
        try:
            canonical = signature_v4.canonical_request(
                ask.received.method,
                ask.received.query,
                ask.received.headers,
                authorization.signed_headers,
                ask.received.body,
            )
        except ValueError:
            return Refusal("SignatureDoesNotMatch", "the query is not UTF-8")
        secret = self._credentials.access_keys[authorization.access_key_id]
        expected = signature_v4.signature(secret, authorization, x_date, canonical)
        return None if hmac.compare_digest(expected, authorization.signature) else Refusal("SignatureDoesNotMatch")

    def _check_parameters(self, ask: Ask, now: float) -> Refusal | None:
        if ask.action not in _ACTIONS or ask.param("Version") != VERSION or ask.received.method != "GET":
            return Refusal("InvalidActionOrVersion")
        if not ask.param("AppId"):
            return Refusal("MissingParameter", "AppId is missing")
        app = self._credentials.volcengine.get(ask.param("AppId"))
        if app is None:
            return Refusal("InvalidParameter.NotExistAppId")
        if app.access_key_id != ask.holder:
            return Refusal("AccessDenied.NoPermissionForApp")
        if ask.action == "ListRoomInfo":
            return _check_paging(ask, now)
        if not ask.param("RoomId"):
            return Refusal("MissingParameter", "RoomId is missing")
        if len(ask.rooms) != 1 or not room_ids.well_formed(ask.api, ask.rooms[0], strict=self._strict_ids):
            return Refusal("InvalidParameter.IllegalRoomID")
        return None

    def _online_users(self, ask: Ask, outlook: Outlook) -> Reply:
        (room,) = ask.rooms
        state = outlook.state("volcengine_rtc", room)
        if not state.exists:
            return self._success(ask, {"RoomExists": False}, Answered(room, 0, None, None, exists=False))
        result = {
            "TotalUser": state.users,
            "TotalInvisibleUser": state.invisible,
            "VisibleUserList": user_lists.ids(0, state.users - state.invisible),
            "InvisibleUserList": user_lists.ids(state.users - state.invisible, state.users)
            if state.invisible <= MOST_INVISIBLE
            else user_lists.ids(0, MOST_INVISIBLE),
            "RoomExists": True,
        }
        return self._success(ask, result, Answered(room, state.users, None, state.invisible, exists=True))

    def _room_info(self, ask: Ask, outlook: Outlook) -> Reply:
        """The calls that began in the span, those that have ended among them, the first first."""
        calls = outlook.lives("volcengine_rtc", *_span(ask))
        size = int(ask.param("PageSize") or _PER_PAGE)
        number = int(ask.param("PageNum") or 1)
        # Not "there is another page" but "more calls match than can be listed".
        has_more = outlook.trouble.most is not None and len(calls) > outlook.trouble.most
        page = [
            {
                "CallId": f"{room}-{opened:.6f}",
                "RoomId": room,
                "IsFinished": closed is not None,
                "CreatedTime": _time(opened),
                "DestroyTime": "" if closed is None else _time(closed),
                "ActiveUserNum": outlook.listed_users("volcengine_rtc", room) if closed is None else 0,
            }
            for room, opened, closed in outlook.trouble.page(calls[: outlook.trouble.most], (number - 1) * size, size)
        ]
        total = outlook.trouble.total(calls)
        result = {"Total": total, "HasMore": has_more, "PageNum": number, "PageSize": size, "RoomList": page}
        return self._success(ask, result)

    def _success(self, ask: Ask, result: Mapping[str, object], *answered: Answered) -> Reply:
        document = {"ResponseMetadata": self._metadata(ask), "Result": result}
        return Reply(200, msgspec.json.encode(document), "0", answered)

    def _metadata(self, ask: Ask) -> dict[str, object]:
        authorization = signature_v4.parse_authorization(ask.received.headers.get("Authorization", ""))
        return {
            "RequestId": f"20240102030405{next(self._request_ids):018d}",
            "Action": ask.action,
            "Version": ask.param("Version"),
            "Service": "rtc",
            "Region": authorization.region if authorization else REGIONS[0],
        }


def _on_time(x_date: str, now: float) -> bool:
    if not _X_DATE.fullmatch(x_date):
        return False
    try:
        signed = datetime.fromisoformat(x_date).timestamp()
    except ValueError:
        return False
    return abs(signed - now) <= TOLERANCE


def _check_scope(ask: Ask, authorization: Authorization, x_date: str) -> Refusal | None:
    headers, signed = ask.received.headers, authorization.signed_headers
    if authorization.service != "rtc" or authorization.region not in REGIONS or authorization.date != x_date[:8]:
        return Refusal("SignatureDoesNotMatch", "the scope is not this service, a known region and the day of X-Date")
    if missing := [name for name in _must_sign(headers) if name not in signed]:
        return Refusal("SignatureDoesNotMatch", f"SignedHeaders lack {', '.join(missing)}")
    if list(signed) != sorted(set(signed)):
        return Refusal("SignatureDoesNotMatch", "SignedHeaders are not sorted")
    if headers.get("X-Content-Sha256", "") != sha256(ask.received.body).hexdigest():
        return Refusal("SignatureDoesNotMatch", "X-Content-Sha256 is not the hash of the body")
    return None


def _must_sign(headers: Mapping[str, str]) -> tuple[str, ...]:
    return (*_MUST_SIGN, "x-security-token") if "X-Security-Token" in headers else _MUST_SIGN


def _check_paging(ask: Ask, now: float) -> Refusal | None:
    for name, default, most in (("PageNum", "1", 10**6), ("PageSize", str(_PER_PAGE), _MOST_PER_PAGE)):
        text = ask.param(name) or default
        if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
            return Refusal("InvalidParameter", f"{name}: 1 to {most}")
    for name in ("StartTime", "EndTime"):
        if not ask.param(name):
            return Refusal("MissingParameter", f"{name} is missing")
        if not _RFC_3339.fullmatch(ask.param(name)):
            return Refusal("InvalidParameter", f"{name}: not a moment as in RFC 3339")
    try:
        start, end = _span(ask)
    except ValueError:
        return Refusal("InvalidParameter", "StartTime, EndTime: no such moment")
    if not start <= end <= start + _LONGEST_SPAN:
        return Refusal("InvalidParameter", "StartTime to EndTime: a day at most")
    return Refusal("InvalidParameter", "StartTime: 14 days back at most") if start < now - _LONGEST_AGO else None


def _span(ask: Ask) -> tuple[float, float]:
    start, end = (datetime.fromisoformat(ask.param(name)).timestamp() for name in ("StartTime", "EndTime"))
    return start, end


def _time(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
