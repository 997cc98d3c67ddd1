"""
Volcengine RTC, ``GetRoomOnlineUsers``: users and invisible users of one room, and whether the room exists.

Source: Volcengine RTC OpenAPI 2023-11-01, "GetRoomOnlineUsers" and "Common error codes". Volcengine lists at most
    10,000
invisible users. It does not document whether the totals have the same limit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, cast

import msgspec
from pydantic import Field

from exporter.model import Auth, Failure, FailureKind, Reading, Reply, Request, Stamp
from exporter.vendors import volcengine
from exporter.vendors.codec import RoomIdRule
from exporter.vendors.replies import (
    CONTRADICTION,
    IMPOSSIBLE_COUNT,
    NO_COUNT,
    UNDOCUMENTED,
    by_code,
    by_status,
    count,
    printable_code,
    read,
    repeats,
    vendor_code,
)
from exporter.vendors.source import Documented, Secret, SecretForm, Source, matching

_SERVICE: Final = "rtc"
_DAY: Final = 86_400.0

SECRET_ACCESS_KEY: Final = SecretForm(
    "(?!AK(?:LT|TP))[!-~]{20,}",
    "Volcengine's secret access keys have 20 characters or more",
    {"AK(?:LT|TP).*": "which begins as an access key id does, its other half"},
)


class VolcengineRtcSource(Source):
    """
    A Volcengine RTC app, and the access key of an account that may call ``GetRoomOnlineUsers`` for it.

    Overseas regions begin with ``ap-``. Volcengine's documentation calls the region of Singapore both
    ``ap-southeast-1`` and ``ap-singapore-1``. ``session_token`` belongs to temporary credentials (STS).
    """

    api: Literal["volcengine_rtc"]
    app_id: Annotated[str, matching(r"[!-~]{1,64}", "an AppId as Volcengine's console shows it")] = Field(
        description="AppId, text"
    )
    access_key_id: Annotated[str, matching(r"[!-~]{1,256}", "an access key id, such as AKLT…")] = Field(
        description="Access key id"
    )
    secret_access_key: Annotated[Secret, SECRET_ACCESS_KEY] = Field(description="The access key's other half")
    session_token: Secret | None = Field(None, description="Of temporary credentials (STS)")
    region: Annotated[
        str,
        matching(r"[a-z0-9]+(-[a-z0-9]+){1,5}", "a region such as cn-north-1"),
        Documented(("cn-north-1", "ap-southeast-1", "ap-singapore-1")),
    ] = Field("cn-north-1", description="The signature's region; `ap-…` also picks the overseas address")


class VolcengineRtc:
    api = "volcengine_rtc"
    vendor = "volcengine"
    source_model: type[Source] = VolcengineRtcSource
    batch_size = 1
    default_interval = 10.0
    room_ids = RoomIdRule(
        max_bytes=128, alphabet=re.compile(r"[A-Za-z0-9@._-]+", re.ASCII), described="letters, digits and @ . _ -"
    )
    tells_admin_users = False
    tells_invisible_users = True
    tells_existence = True

    def default_limit(self, source: VolcengineRtcSource) -> float:  # noqa: ARG002 the same for every account
        return 40.0

    def base_url(self, source: VolcengineRtcSource) -> str:
        if source.base_url:
            return source.base_url
        overseas = source.region.startswith("ap-")
        return "https://open-ap-singapore-1.volcengineapi.com" if overseas else "https://rtc.volcengineapi.com"

    def budget_key(self, source: VolcengineRtcSource) -> str:  # noqa: ARG002 an account's apps share one limit
        return "volcengine_rtc"

    def app_key(self, source: VolcengineRtcSource) -> str:
        return f"volcengine:{source.access_key_id}"

    def rooms_key(self, source: VolcengineRtcSource) -> str:
        # Every call contains the region, so a gateway may route by it even if the address stays the same.
        return f"volcengine_rtc {source.app_id} {source.region} {self.base_url(source)}"

    def authorize(self, source: VolcengineRtcSource, now: float) -> Auth:
        """The signing key of the UTC day. It is valid until midnight."""
        midnight = now // _DAY * _DAY
        date = f"{datetime.fromtimestamp(midnight, UTC):%Y%m%d}"
        key = volcengine.signing_key(source.secret_access_key.reveal(), date, source.region, _SERVICE)
        return Auth(key, valid_from=midnight, renew_at=midnight + _DAY)

    def request(self, source: VolcengineRtcSource, auth: Auth, rooms: Sequence[str], stamp: Stamp) -> Request:
        """
        Ask Volcengine for the users of a room.

        The newer ``Property`` parameter is not used: with it, the limit is 1 call per second instead of 40.

        Raises:
            ValueError: More than one room, or none.
        """
        if len(rooms) != 1:
            raise ValueError(f"GetRoomOnlineUsers takes one room, not {len(rooms)}")
        base_url = self.base_url(source)
        query = volcengine.canonical_query(
            {"Action": "GetRoomOnlineUsers", "Version": "2023-11-01", "AppId": source.app_id, "RoomId": rooms[0]}
        )
        session_token = source.session_token.reveal() if source.session_token else None
        signed = volcengine.sign(
            query,
            volcengine.signed_host(base_url),
            access_key_id=source.access_key_id,
            key=cast(bytes, auth.token),
            region=source.region,
            service=_SERVICE,
            date=f"{datetime.fromtimestamp(int(stamp.time), UTC):%Y%m%dT%H%M%SZ}",
            session_token=session_token,
        )
        return Request(
            method="GET",
            base_url=base_url,
            target=f"/?{query}",
            headers=signed.headers,
            secrets=(
                signed.authorization,
                signed.signature,
                source.secret_access_key.reveal(),
                *([session_token] if session_token else []),
            ),
        )

    def reply(self, rooms: Sequence[str], status: int, headers: Mapping[str, str], body: bytes) -> Reply | Failure:
        answer = read(body, _WHOLE, _ENVELOPE)
        if answer and (error := answer.ResponseMetadata.Error):
            return _error(error, status, headers)
        if failure := by_status(status, headers):
            return failure
        if not isinstance(answer, _RoomOnlineUsers):
            return UNDOCUMENTED
        outcome = CONTRADICTION if repeats(body, _READ, 1) else _outcome(answer.Result)
        return outcome if isinstance(outcome, Failure) else Reply({rooms[0]: outcome})


class _Error(msgspec.Struct):
    Code: Any = None
    CodeN: Any = None


class _Metadata(msgspec.Struct):
    Error: _Error | None = None


class _Result(msgspec.Struct):
    RoomExists: Any = None
    TotalUser: Any = None
    TotalInvisibleUser: Any = None


class _Envelope(msgspec.Struct):
    ResponseMetadata: _Metadata


class _RoomOnlineUsers(msgspec.Struct):
    ResponseMetadata: _Metadata
    Result: _Result


_READ: Final = (b'"Result"', b'"RoomExists"', b'"TotalUser"', b'"TotalInvisibleUser"')
_WHOLE: Final = msgspec.json.Decoder(_RoomOnlineUsers)
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


def _outcome(result: _Result) -> Reading | Failure:
    if result.RoomExists is False:
        # Then the reply has no other data.
        return CONTRADICTION if count(result.TotalUser) else Reading(users=0, exists=False, missing=True)
    if result.RoomExists is not True:
        return UNDOCUMENTED
    users = count(result.TotalUser)
    if users is None:
        return NO_COUNT
    if result.TotalInvisibleUser is None:
        return Reading(users, exists=True)
    invisible_users = count(result.TotalInvisibleUser)
    if invisible_users is None or invisible_users > users:
        return IMPOSSIBLE_COUNT
    return Reading(users, invisible_users=invisible_users, exists=True)


def _error(error: _Error, status: int, headers: Mapping[str, str]) -> Failure:
    """The failure for an error, also with HTTP 200. Code comes before CodeN, and CodeN before the HTTP status."""
    code = vendor_code(error.Code) or vendor_code(error.CodeN)
    if code is None:
        return by_status(status, headers) or UNDOCUMENTED
    return by_code(code, _known(str(code)), status, headers)


def _known(code: str) -> Failure | None:
    for prefix, number, kind, words in _CODES:
        if code.startswith(prefix) or code == number:
            return Failure(kind, printable_code(code), words)
    return None


_SLOW_DOWN = "the account called too often, with all its apps together; lower rate_limit if others call this API"
_KEYS = "check access_key_id and secret_access_key, which must be one pair"
_PROXY = "check base_url and proxy"
_INCOMPLETE = f"the request arrived incomplete: {_PROXY}"
_GRANT = "the account may not call this API for this app: grant it RTC in Volcengine's access control (IAM)"

_SERVICE_KEYS = "the access key is that of one of Volcengine's own services: use one of the account that has the app"

# The first entry counts whose text begins Code, or whose number equals the code, for replies that have only CodeN.
_CODES: Final[tuple[tuple[str, str, FailureKind, str], ...]] = (
    ("FlowLimitExceeded", "100018", FailureKind.RATE_LIMITED, _SLOW_DOWN),
    ("AccountFlowLimitExceeded", "100027", FailureKind.RATE_LIMITED, _SLOW_DOWN),
    ("UndefinedError", "100001", FailureKind.TRANSIENT, "an internal error of Volcengine's"),
    ("InternalError", "100014", FailureKind.TRANSIENT, "an internal error of Volcengine's"),
    ("InternalServiceTimeout", "100016", FailureKind.TRANSIENT, "Volcengine ran out of time"),
    ("InternalServiceError", "", FailureKind.TRANSIENT, "an internal error of Volcengine's"),
    ("ServiceUnavailable", "100019", FailureKind.TRANSIENT, "the service is unavailable for a while"),
    ("FailToConnect", "100015", FailureKind.TRANSIENT, "Volcengine's gateway could not reach the service"),
    (
        "InvalidTimestamp",
        "100006",
        FailureKind.UNAUTHORIZED,
        "the signature's time is not accepted: set this machine's clock",
    ),
    ("InvalidAccessKey", "100009", FailureKind.UNAUTHORIZED, f"Volcengine knows no such access key: {_KEYS}"),
    ("InvalidClientTokenId", "", FailureKind.UNAUTHORIZED, f"Volcengine knows no such access key: {_KEYS}"),
    ("SignatureDoesNotMatch", "100010", FailureKind.UNAUTHORIZED, f"the signature is wrong: {_KEYS}, and region"),
    ("MissingSignature", "100005", FailureKind.UNAUTHORIZED, f"no signature arrived: {_PROXY}"),
    ("MissingAuthenticationToken", "100003", FailureKind.UNAUTHORIZED, f"no signature arrived: {_PROXY}"),
    (
        "InvalidSecretToken",
        "100026",
        FailureKind.UNAUTHORIZED,
        "the session token is wrong or has expired: get a new one, with the pair of keys that comes with it",
    ),
    ("InvalidCredential", "", FailureKind.UNAUTHORIZED, f"the credential is not accepted: {_KEYS}, and region"),
    ("InvalidAuthorization", "", FailureKind.UNAUTHORIZED, f"the signature did not arrive as it was sent: {_PROXY}"),
    ("LackPolicy", "100012", FailureKind.MISCONFIGURED, _GRANT),
    ("LackProjectPolicy", "", FailureKind.MISCONFIGURED, f"{_GRANT}, in the app's project"),
    ("AccessDenied", "100013", FailureKind.MISCONFIGURED, _GRANT),
    ("ServiceShouldCallSelfApi", "100011", FailureKind.MISCONFIGURED, _SERVICE_KEYS),
    ("InnerApiNeedAccountInfo", "", FailureKind.MISCONFIGURED, _SERVICE_KEYS),
    ("ServiceNotFound", "100007", FailureKind.MISCONFIGURED, "RTC is not served here: check base_url and region"),
    ("MethodNotAllowed", "100020", FailureKind.MISCONFIGURED, f"GET is not allowed here: {_PROXY}"),
    (
        "InvalidActionOrVersion",
        "100008",
        FailureKind.MISCONFIGURED,
        "GetRoomOnlineUsers is not served here: check base_url and region",
    ),
    ("MissingParameter", "100002", FailureKind.MISCONFIGURED, _INCOMPLETE),
    ("MissingRequestInfo", "100004", FailureKind.MISCONFIGURED, _INCOMPLETE),
    (
        "InvalidParameter.IllegalRoomID",
        "",
        FailureKind.REFUSED,
        "Volcengine takes no such room id: check the room's id",
    ),
    ("InvalidParameter", "", FailureKind.MISCONFIGURED, "a parameter is not valid: check app_id"),
)
