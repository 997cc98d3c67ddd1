"""
What Volcengine's APIs share: Signature V4 for a GET without a body, and the common error codes.

Sources: volcengine 1.0.229 (``SignerV4``); "Signature" and "Common error codes" of the Volcengine API documentation.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote, urlsplit

import msgspec

from exporter.model import Auth, Failure, FailureKind, Request, Stamp
from exporter.vendors.replies import UNDOCUMENTED, by_code, by_status, printable_code, vendor_code

if TYPE_CHECKING:
    from exporter.vendors.volcengine_rtc import VolcengineRtcSource

_SERVICE: Final = "rtc"
_DAY: Final = 86_400.0
EMPTY_BODY_SHA256: Final = hashlib.sha256(b"").hexdigest()


def authorize(source: VolcengineRtcSource, now: float) -> Auth:
    """The signing key of the UTC day, which is good until midnight."""
    midnight = now // _DAY * _DAY
    date = f"{datetime.fromtimestamp(midnight, UTC):%Y%m%d}"
    key = signing_key(source.secret_access_key.reveal(), date, source.region, _SERVICE)
    return Auth(key, valid_from=midnight, renew_at=midnight + _DAY)


def get(source: VolcengineRtcSource, base_url: str, auth: Auth, parameters: Mapping[str, str], stamp: Stamp) -> Request:
    """A signed GET of ``/`` with these parameters, not encoded yet."""
    query = canonical_query(parameters)
    session_token = source.session_token.reveal() if source.session_token else None
    signed = sign(
        query,
        signed_host(base_url),
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


@dataclass(frozen=True, slots=True)
class Signed:
    """
    A signed GET: the headers to send, and the two of their values that must be redacted.

    Args:
        signature: 64 hex digits, the end of ``authorization``.
    """

    headers: Mapping[str, str] = field(repr=False)
    authorization: str = field(repr=False)
    signature: str = field(repr=False)


def signing_key(secret_access_key: str, date: str, region: str, service: str) -> bytes:
    """
    The key that signs every call of one UTC day.

    Args:
        date: ``YYYYMMDD``.
    """
    key = secret_access_key.encode()
    for step in (date, region, service, "request"):
        key = hmac.digest(key, step.encode(), hashlib.sha256)
    return key


def canonical_query(parameters: Mapping[str, str]) -> str:
    """The query, sorted and encoded by RFC 3986 (a space is ``%20``). The request must send it exactly as signed."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(parameters.items()))


def signed_host(base_url: str) -> str:
    """The host to sign and to send: with its port, unless that is 80 or 443."""
    host = urlsplit(base_url).netloc
    return host.removesuffix(":80").removesuffix(":443")


def sign(
    query: str,
    host: str,
    *,
    access_key_id: str,
    key: bytes,
    region: str,
    service: str,
    date: str,
    session_token: str | None = None,
) -> Signed:
    """
    Sign a GET of ``/``.

    Args:
        query: Canonical, as ``canonical_query`` makes it.
        key: The signing key of ``date``'s day.
        date: ``YYYYMMDDTHHMMSSZ``, UTC.
        session_token: Of temporary credentials (STS). It is signed, too.
    """
    signed = {"host": host, "x-content-sha256": EMPTY_BODY_SHA256, "x-date": date}
    if session_token is not None:
        signed["x-security-token"] = session_token
    names = ";".join(signed)
    lines = "".join([f"{name}:{value}\n" for name, value in signed.items()])
    canonical_request = f"GET\n/\n{query}\n{lines}\n{names}\n{EMPTY_BODY_SHA256}"

    scope = f"{date[:8]}/{region}/{service}/request"
    digest = hashlib.sha256(canonical_request.encode()).hexdigest()
    signature = hmac.new(key, f"HMAC-SHA256\n{date}\n{scope}\n{digest}".encode(), hashlib.sha256).hexdigest()
    authorization = f"HMAC-SHA256 Credential={access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    headers = {_SENT_AS[name]: value for name, value in signed.items()}
    return Signed({**headers, "Authorization": authorization}, authorization, signature)


_SENT_AS: Final = {
    "host": "Host",
    "x-content-sha256": "X-Content-Sha256",
    "x-date": "X-Date",
    "x-security-token": "X-Security-Token",
}


class VendorError(msgspec.Struct):
    Code: Any = None
    CodeN: Any = None


class Metadata(msgspec.Struct):
    Error: VendorError | None = None


def failure(error: VendorError, status: int, headers: Mapping[str, str]) -> Failure:
    """HTTP 200 may carry an error as well; its Code tells more than its CodeN, and both more than the status."""
    code = vendor_code(error.Code) or vendor_code(error.CodeN)
    if code is None:
        return by_status(status, headers) or UNDOCUMENTED
    return by_code(code, _known(str(code)), status, headers)


def _known(code: str) -> Failure | None:
    for prefix, number, kind, words in CODES:
        if code.startswith(prefix) or code == number:
            return Failure(kind, printable_code(code), words)
    return None


_SLOW_DOWN = "the account called too often, with all its apps together; lower rate_limit if others call this API"
_KEYS = "check access_key_id and secret_access_key, which must be one pair"
_PROXY = "check base_url and proxy"
_INCOMPLETE = f"the request arrived incomplete: {_PROXY}"
_GRANT = "the account may not call this API for this app: grant it RTC in Volcengine's access control (IAM)"

_SERVICE_KEYS = "the access key is that of one of Volcengine's own services: use one of the account that has the app"

# Matched on the beginning of Code, the first that fits; the number is CodeN, for replies that hold nothing else.
CODES: Final[tuple[tuple[str, str, FailureKind, str], ...]] = (
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
        "this API is not served here: check base_url and region",
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
