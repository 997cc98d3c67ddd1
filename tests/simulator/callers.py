"""
How an honest client calls each API, for tests to call with and to tamper with.
"""

import base64
import hmac
import itertools
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import md5, sha256
from typing import Any
from urllib.parse import quote, urlencode

from exporter.simulator import SEVERAL_APPS

ZEGO = SEVERAL_APPS.zego[0]
TENCENT = SEVERAL_APPS.tencent[0]
VOLCENGINE = SEVERAL_APPS.volcengine[0]
JANUS = SEVERAL_APPS.janus[0]

_nonces = itertools.count(1)


@dataclass(frozen=True)
class Wire:
    """
    A request, ready to be sent.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def zego(
    action: str,
    rooms: Sequence[str],
    *,
    now: float,
    app_id: int = ZEGO.app_id,
    server_secret: str = ZEGO.server_secret,
    nonce: str | None = None,
    **params: str | None,
) -> Wire:
    """
    Signed the way of ZEGO's own sample. A parameter that is None is left out.
    """
    nonce = f"{next(_nonces):016x}" if nonce is None else nonce
    timestamp = str(int(now))
    given: dict[str, str | None] = {
        "Action": action,
        "AppId": str(app_id),
        "SignatureNonce": nonce,
        "Timestamp": timestamp,
        "Signature": md5(f"{app_id}{nonce}{server_secret}{timestamp}".encode()).hexdigest(),  # noqa: S324 - it is what ZEGO asks for
        "SignatureVersion": "2.0",
    }
    pairs = [(name, value) for name, value in (given | params).items() if value is not None]
    room_name = "RoomId[]" if action == "DescribeUserNum" else "RoomId"
    return Wire("GET", "/", urlencode([*pairs, *((room_name, room) for room in rooms)]))


def usersig(
    *,
    now: float,
    identifier: str = TENCENT.identifier,
    sdk_app_id: int = TENCENT.sdk_app_id,
    secret_key: str = TENCENT.secret_key,
    expire: int = 86400,
    **fields: object,
) -> str:
    """
    Packed the way of Tencent's own library.
    """
    content = f"TLS.identifier:{identifier}\nTLS.sdkappid:{sdk_app_id}\nTLS.time:{int(now)}\nTLS.expire:{expire}\n"
    sig = base64.b64encode(hmac.digest(secret_key.encode(), content.encode(), "sha256")).decode()
    document: dict[str, object] = {
        "TLS.ver": "2.0",
        "TLS.identifier": identifier,
        "TLS.sdkappid": sdk_app_id,
        "TLS.expire": expire,
        "TLS.time": int(now),
        "TLS.sig": sig,
    }
    return pack(json.dumps(document | fields).encode())


def pack(document: bytes) -> str:
    """
    What makes a UserSig of its JSON.
    """
    letters = base64.b64encode(zlib.compress(document)).decode()
    return letters.translate(str.maketrans("+/=", "*-_"))


def tencent(
    path: str, document: object, *, now: float, sig: str | None = None, body: bytes | None = None, **params: str | None
) -> Wire:
    """
    A REST call of Tencent's. A parameter that is None is left out.
    """
    given: dict[str, str | None] = {
        "sdkappid": str(TENCENT.sdk_app_id),
        "identifier": TENCENT.identifier,
        "usersig": usersig(now=now) if sig is None else sig,
        "random": str(next(_nonces)),
        "contenttype": "json",
    }
    query = urlencode({name: value for name, value in (given | params).items() if value is not None})
    headers = {"Content-Type": "application/json"}
    return Wire("POST", f"/v4/{path}", query, headers, json.dumps(document).encode() if body is None else body)


def volcengine(
    room: str | None,
    *,
    now: float,
    host: str,
    access_key: str = VOLCENGINE.access_key_id,
    secret_key: str = VOLCENGINE.secret_access_key,
    region: str = "cn-north-1",
    service: str = "rtc",
    x_date: str | None = None,
    scope_date: str | None = None,
    wire_query: str | None = None,
    signed_headers: Sequence[str] = ("host", "x-content-sha256", "x-date"),
    extra_headers: Mapping[str, str] | None = None,
    **params: str | None,
) -> Wire:
    """
    Signed the way of Volcengine's own library, for the canonical query; `wire_query` is what is sent instead.
    """
    x_date = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ") if x_date is None else x_date
    given: dict[str, str | None] = {
        "Action": "GetRoomOnlineUsers",
        "Version": "2023-11-01",
        "AppId": VOLCENGINE.app_id,
        "RoomId": room,
    }
    pairs = sorted((name, value) for name, value in (given | params).items() if value is not None)
    query = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)
    digest = sha256(b"").hexdigest()
    values = {"host": host, "x-content-sha256": digest, "x-date": x_date, **(extra_headers or {})}
    lines = "".join(f"{name}:{values[name]}\n" for name in signed_headers)
    canonical = f"GET\n/\n{query}\n{lines}\n{';'.join(signed_headers)}\n{digest}"
    scope = f"{x_date[:8] if scope_date is None else scope_date}/{region}/{service}/request"
    text = f"HMAC-SHA256\n{x_date}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    key = secret_key.encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    authorization = (
        f"HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={';'.join(signed_headers)}, Signature={signature}"
    )
    headers = {
        "Host": host,
        "X-Date": x_date,
        "X-Content-Sha256": digest,
        **(extra_headers or {}),
        "Authorization": authorization,
    }
    return Wire("GET", "/", query if wire_query is None else wire_query, headers)


def ask(api: str, rooms: Sequence[str], *, now: float, host: str, app: int = 0) -> Wire:
    """
    An honest call of any API, in the name of its vendor's app of that place in `SEVERAL_APPS`.
    """
    if api.startswith("zego"):
        return _ask_zego(api, rooms, now=now, app=app)
    if api == "janus_videoroom":
        return janus(janus_list(app=app), path=SEVERAL_APPS.janus[app].admin_path)
    (room,) = rooms
    if api.startswith("tencent"):
        return _ask_tencent(api, room, now=now, app=app)
    one = SEVERAL_APPS.volcengine[app]
    return volcengine(
        room,
        now=now,
        host=host,
        access_key=one.access_key_id,
        secret_key=one.secret_access_key,
        AppId=one.app_id,
    )


def janus(document: object, *, path: str = JANUS.admin_path, body: bytes | None = None, method: str = "POST") -> Wire:
    """
    A call of a Janus server's admin API.
    """
    headers = {"Content-Type": "application/json"}
    return Wire(method, path, "", headers, json.dumps(document).encode() if body is None else body)


def janus_list(*, app: int = 0, key: bool = True, **changes: object) -> dict[str, Any]:
    """
    What asks for every room; a change that is None is left out.
    """
    one = SEVERAL_APPS.janus[app]
    request = {"request": "list", **({"admin_key": one.admin_key} if key else {})}
    message = {
        "janus": "message_plugin",
        "transaction": str(next(_nonces)),
        "admin_secret": one.admin_secret,
        "plugin": "janus.plugin.videoroom",
        "request": request,
    }
    return {name: value for name, value in (message | changes).items() if value is not None}


def _ask_zego(api: str, rooms: Sequence[str], *, now: float, app: int) -> Wire:
    one = SEVERAL_APPS.zego[app]
    if api == "zego_rtc":
        return zego("DescribeUserNum", rooms, now=now, app_id=one.app_id, server_secret=one.server_secret)
    (room,) = rooms
    return zego("QueryRoomUserList", [room], now=now, app_id=one.app_id, server_secret=one.server_secret, Limit="1")


def _ask_tencent(api: str, room: str, *, now: float, app: int) -> Wire:
    one = SEVERAL_APPS.tencent[app]
    sig = usersig(now=now, identifier=one.identifier, sdk_app_id=one.sdk_app_id, secret_key=one.secret_key)
    if api == "tencent_im":
        service = "million_group_open_http_svc" if room.startswith("@TGS#_") else "group_open_http_svc"
        path, document = f"{service}/get_online_member_num", {"GroupId": room}
    else:
        path, document = "live_engine_http_srv/get_member_list", {"RoomId": room, "Next": ""}
    return tencent(path, document, now=now, sig=sig, sdkappid=str(one.sdk_app_id), identifier=one.identifier)


def counts(api: str, document: Any) -> dict[str, int] | int:
    """
    What a reply says: users by room for a batch, else of the one room.
    """
    if api == "zego_rtc":
        return {entry["RoomId"]: entry["UserCount"] for entry in document["Data"]["UserCountList"]}
    if api == "janus_videoroom":
        return {str(entry["room"]): entry["num_participants"] for entry in document["response"]["list"]}
    path = {
        "zego_zim": ["Count"],
        "tencent_im": ["OnlineMemberNum"],
        "tencent_live": ["Response", "MemberCount"],
        "volcengine_rtc": ["Result", "TotalUser"],
    }[api]
    for step in path:
        document = document[step]
    return int(document)


def code(document: Any) -> str:
    """
    The vendor's code in a reply; "0" for success.
    """
    if "ResponseMetadata" in document:
        return str(document["ResponseMetadata"].get("Error", {}).get("Code", "0"))
    if "janus" in document:
        error, response = document.get("error", {}), document.get("response", {})
        return str(error.get("code", response.get("error_code", "0")))
    return str(document["Code"] if "Code" in document else document["ErrorCode"])


def without_signature(wire: Wire) -> Wire:
    """
    The same request with no Authorization.
    """
    return replace(wire, headers={name: value for name, value in wire.headers.items() if name != "Authorization"})
