"""Verifies Volcengine's Signature V4."""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from urllib.parse import parse_qsl, quote

_AUTHORIZATION = re.compile(
    r"HMAC-SHA256 +Credential=(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)/request"
    r", *SignedHeaders=(?P<headers>[a-z0-9;-]+), *Signature=(?P<signature>[0-9a-f]{64})"
)
_ACCESS_KEY = re.compile(r"Credential=([^/,\s]+)/")


@dataclass(frozen=True, slots=True)
class Authorization:
    """The parsed Authorization header."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str


def parse_authorization(header: str) -> Authorization | None:
    """Parse the header; None if it does not follow the documents."""
    found = _AUTHORIZATION.fullmatch(header)
    if found is None:
        return None
    return Authorization(
        found["key"],
        found["date"],
        found["region"],
        found["service"],
        tuple(found["headers"].split(";")),
        found["signature"],
    )


def claimed_access_key(header: str) -> str:
    """The access key in an Authorization header, even if the rest is invalid; empty if there is none."""
    found = _ACCESS_KEY.search(header)
    return found[1] if found else ""


def canonical_query(query: str) -> str:
    """
    The query in the form that is signed: sorted by name, then by value; everything but letters, digits and `-_.~` is
    percent-encoded (RFC 3986).

    Raises:
        ValueError: The query's bytes are not UTF-8.
    """
    pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
    return "&".join(
        f"{name}={value}" for name, value in sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in pairs)
    )


def canonical_request(
    method: str, query: str, headers: Mapping[str, str], signed_headers: tuple[str, ...], body: bytes
) -> str:
    """
    The canonical request, which the signature covers.

    Args:
        query: Raw, as received.
        headers: Looked up without regard to case; the ports 80 and 443 are cut from the host.
    """
    lines = "".join(f"{name}:{_header(headers, name)}\n" for name in signed_headers)
    return f"{method}\n/\n{canonical_query(query)}\n{lines}\n{';'.join(signed_headers)}\n{sha256(body).hexdigest()}"


def signature(secret_access_key: str, authorization: Authorization, x_date: str, canonical: str) -> str:
    """The expected signature: 64 hex digits."""
    scope = f"{authorization.date}/{authorization.region}/{authorization.service}/request"
    text = f"HMAC-SHA256\n{x_date}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    key = _signing_key(secret_access_key, authorization.date, authorization.region, authorization.service)
    return hmac.digest(key, text.encode(), "sha256").hex()


@lru_cache(maxsize=1024)
def _signing_key(secret_access_key: str, date: str, region: str, service: str) -> bytes:
    key = secret_access_key.encode()
    for step in (date, region, service, "request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return key


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "").strip()
    return re.sub(r":(80|443)$", "", value) if name == "host" else value
