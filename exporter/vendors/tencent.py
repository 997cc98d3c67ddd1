"""
The common parts of Tencent's chat and live APIs: app, UserSig, address, request and the common codes.

Sources: "RESTful API Overview", "Generating UserSig" and "Error Codes" of Tencent Cloud Chat; tls-sig-api-v2 1.1.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, cast
from urllib.parse import quote

import msgspec
from pydantic import Field

from exporter.model import Auth, Failure, FailureKind, Request, Stamp
from exporter.vendors.replies import LOWER_RATE_LIMIT, code_table
from exporter.vendors.source import AppNumber, Secret, SecretForm, Source, matching

USER_SIG_SECONDS: Final = 48 * 3600
"""A UserSig is valid for two days and is replaced after one, so it does not expire during a day of failures."""

HOSTS: Final[Mapping[str, str]] = {
    "china": "console.tim.qq.com",
    "singapore": "adminapisgp.im.qcloud.com",
    "seoul": "adminapikr.im.qcloud.com",
    "tokyo": "adminapijpn.im.qcloud.com",
    "frankfurt": "adminapiger.im.qcloud.com",
    "mumbai": "adminapiind.im.qcloud.com",
    "silicon_valley": "adminapiusa.im.qcloud.com",
    "jakarta": "adminapiidn.im.qcloud.com",
}
ImRegion = Literal["china", "singapore", "seoul", "tokyo", "frankfurt", "mumbai", "silicon_valley", "jakarta"]
LiveRegion = Literal["china", "singapore", "silicon_valley", "jakarta"]

SECRET_KEY: Final = SecretForm(
    "[0-9A-Fa-f]{64}",
    "Tencent's SDKSecretKey has 64 hex digits",
    {
        "AKID[0-9A-Za-z]+": "which begins as an API key's SecretId (CAM) does, and that is none of a Chat app",
        "[0-9A-Za-z]{32}": "which is the length of an API key's SecretKey (CAM), and that is none of a Chat app",
        "eJ[0-9A-Za-z*_-]+": "which begins as a UserSig does, and those the exporter makes by itself",
    },
)


class TencentSource(Source):
    """
    A Tencent app: its SDKAppID, one of its administrators, and the SDKSecretKey of its console page.

    The administrator must exist in the app. The REST API accepts calls of administrators only.
    """

    sdk_app_id: AppNumber = Field(description="SDKAppID, a number")
    identifier: Annotated[str, matching(r"[^\x00-\x1f\x7f]{1,128}", "an administrator's UserID")] = Field(
        description="UserID of one of the app's administrators"
    )
    secret_key: Annotated[Secret, SECRET_KEY] = Field(description="SDKSecretKey")


def base_url(source: TencentSource, region: ImRegion) -> str:
    return source.base_url or f"https://{HOSTS[region]}"


def app_key(source: TencentSource) -> str:
    return f"tencent:{source.sdk_app_id}"


def authorize(source: TencentSource, now: float) -> Auth:
    """A UserSig that is replaced a day before it expires."""
    issued = int(now)
    token = user_sig(source.sdk_app_id, source.secret_key.reveal(), source.identifier, issued, USER_SIG_SECONDS)
    return Auth(token, valid_from=issued, renew_at=issued + USER_SIG_SECONDS / 2)


def user_sig(sdk_app_id: int, key: str, identifier: str, issued: int, expire: int) -> str:
    """
    A UserSig: the signature that identifies a user of an app to Tencent.

    Args:
        key: The SDKSecretKey as text, as the console shows it. It looks like hex, but must not be decoded.
        issued: Unix seconds.
        expire: Seconds after ``issued``.
    """
    content = f"TLS.identifier:{identifier}\nTLS.sdkappid:{sdk_app_id}\nTLS.time:{issued}\nTLS.expire:{expire}\n"
    digest = hmac.digest(key.encode(), content.encode(), hashlib.sha256)
    document = {
        "TLS.ver": "2.0",
        "TLS.identifier": identifier,
        "TLS.sdkappid": sdk_app_id,
        "TLS.expire": expire,
        "TLS.time": issued,
        "TLS.sig": base64.b64encode(digest).decode(),
    }
    packed = base64.b64encode(zlib.compress(json.dumps(document).encode()))
    return packed.decode().translate(_URL_SAFE)


_URL_SAFE = str.maketrans("+/=", "*-_")


def post(
    source: TencentSource, base_url: str, auth: Auth, command: str, body: Mapping[str, Any], stamp: Stamp
) -> Request:
    """
    A POST of a JSON body.

    Args:
        command: Service and command, such as ``group_open_http_svc/get_online_member_num``.
    """
    token = cast(str, auth.token)
    return Request(
        method="POST",
        base_url=base_url,
        target=(
            f"/v4/{command}?sdkappid={source.sdk_app_id}&identifier={quote(source.identifier, safe='')}"
            f"&usersig={quote(token, safe='')}&random={int(stamp.nonce[:8], 16)}&contenttype=json"
        ),
        headers={"Content-Type": "application/json"},
        body=msgspec.json.encode(body),
        secrets=(token, source.secret_key.reveal()),
    )


_ONE_APP = "check sdk_app_id, identifier and secret_key, which must be of one app, and this machine's clock"

COMMON_CODES: Final[Mapping[int | str, Failure]] = {
    **code_table(
        FailureKind.RATE_LIMITED,
        dict.fromkeys((10006, 60007, 60011, 60018, 60019), f"the app called too often; {LOWER_RATE_LIMIT}"),
    ),
    **code_table(
        FailureKind.TRANSIENT,
        {
            10002: "an internal error of Tencent's",
            10018: "the reply would be larger than Tencent sends",
            60008: "Tencent ran out of time",
            60013: "Tencent could not read an answer of its own",
            60014: "Tencent ran out of time looking up the administrator",
            70169: "Tencent ran out of time",
            70202: "Tencent ran out of time",
            70500: "an internal error of Tencent's",
            91000: "an internal error of Tencent's",
        },
    ),
    **code_table(
        FailureKind.UNAUTHORIZED,
        {
            10008: f"the signature was not accepted: {_ONE_APP}",
            60004: f"identifier or UserSig is wrong: {_ONE_APP}",
            60005: f"identifier or UserSig is wrong: {_ONE_APP}",
            70001: "the UserSig has expired; if a new one is refused too, set this machine's clock",
            70002: "no UserSig arrived: check base_url and proxy, which must keep the query",
            70003: f"the UserSig is not valid: {_ONE_APP}",
            70005: f"the UserSig is not valid: {_ONE_APP}",
            70009: f"the UserSig is not valid: {_ONE_APP}",
            70013: f"the UserSig is another user's: {_ONE_APP}",
            70014: f"the UserSig is another app's: {_ONE_APP}",
            70016: "Tencent has no such key: copy secret_key again from Tencent's console",
            70052: "the UserSig is no longer valid; if a new one is refused too, check identifier",
        },
    ),
    70050: Failure(
        FailureKind.UNAUTHORIZED,
        "70050",
        f"the UserSig failed so often that Tencent stopped checking it: {_ONE_APP}",
        cool_down=60.0,
    ),
    **code_table(
        FailureKind.MISCONFIGURED,
        {
            10003: "Tencent has no such command here: check base_url and region",
            10011: "the request's body did not arrive as it was sent: check proxy",
            10012: "no such account: set identifier to one of the app's administrators",
            10019: "no such account: set identifier to one of the app's administrators",
            10026: "this API is switched off for the app: ask Tencent's support to switch it on",
            10059: "the app's package does not have this API: buy a larger one in Tencent's console",
            60002: "the request did not arrive as it was sent: check base_url and proxy",
            60003: "the request's body did not arrive as it was sent: check proxy",
            60006: "Tencent knows no such SDKAppID here: check sdk_app_id and region",
            60009: "Tencent has no such API here: check base_url and region",
            60010: "only an administrator may call this API: set identifier to one of the app's administrators",
            60012: "no SDKAppID arrived: check base_url and proxy, which must keep the query",
            60015: "the request's body did not arrive as it was sent: check proxy",
            60016: "the app is disabled: look it up in Tencent's console, or ask Tencent's support",
            60017: "the app may not call: look it up in Tencent's console, or ask Tencent's support",
            60020: "the app's package has expired: renew it in Tencent's console",
            60021: "this machine's IP address may not call: add it to the app's list in Tencent's console",
            70020: "Tencent knows no such SDKAppID here: check sdk_app_id and region",
            70051: "the administrator's account is blocked: set identifier to another one",
            70107: "no such account: set identifier to one of the app's administrators",
            70402: "a parameter is not valid: check identifier and sdk_app_id",
            70403: "only an administrator may call this API: set identifier to one of the app's administrators",
        },
    ),
    **code_table(
        FailureKind.REFUSED,
        {
            10004: "Tencent takes no such room id: check the room's id",
            10007: "groups of this type cannot be asked: only audio-video groups (AVChatRoom) count who is online",
            10015: "Tencent takes no such group id: check the room's id",
        },
    ),
}
LIST_CODES: Final[Mapping[int | str, Failure]] = code_table(
    FailureKind.MISCONFIGURED,
    dict.fromkeys((10004, 10007, 10010, 10015), "Tencent takes no such request for a page of its list"),
)
"""The meaning of a single room's codes in the reply to a list call."""
MISSING: Final = 10010
"""The code of a group that does not exist, or has been disbanded."""
