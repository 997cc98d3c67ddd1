"""
Volcengine's Signature V4 for a GET request without a body.

Source: volcengine 1.0.229 (``SignerV4``); "Signature" of the Volcengine API documentation.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlsplit

EMPTY_BODY_SHA256: Final = hashlib.sha256(b"").hexdigest()


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
