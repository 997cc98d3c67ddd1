"""
The common parts of ZEGO's server APIs: app, address, signature and the gateway's codes.

Source: ZEGOCLOUD Server APIs v2, "Accessing Server APIs" and "Return codes".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, cast
from urllib.parse import quote

from pydantic import Field

from exporter.model import Auth, Failure, FailureKind, Request, Stamp
from exporter.vendors.replies import code_table
from exporter.vendors.source import AppNumber, Secret, SecretForm, Source

Region = Literal["unified", "sha", "hkg", "fra", "lax", "bom", "sgp"]

SERVER_SECRET: Final = SecretForm(
    "[0-9A-Za-z]{32}",
    "ZEGO's ServerSecret has 32 letters and digits",
    {"[0-9A-Za-z]{64}": "which is an AppSign's length"},
)

_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._~-]*").fullmatch


class ZegoSource(Source):
    """
    A ZEGO app: its AppID (uint32), and the ServerSecret of its console page.

    ``region`` chooses the nearest access point. Every access point knows every room.
    """

    app_id: AppNumber = Field(description="AppID, a number")
    server_secret: Annotated[Secret, SERVER_SECRET] = Field(description="ServerSecret")
    region: Region = Field("unified", description="Access point")


def base_url(product: Literal["rtc", "zim"], source: ZegoSource) -> str:
    suffix = "" if source.region == "unified" else f"-{source.region}"
    return source.base_url or f"https://{product}-api{suffix}.zego.im"


def app_key(source: ZegoSource) -> str:
    return f"zego:{source.app_id}"


def authorize(source: ZegoSource) -> Auth:
    """The ServerSecret itself, since each call has its own signature."""
    return Auth(source.server_secret.reveal())


def signature(app_id: int, nonce: str, server_secret: str, timestamp: int) -> str:
    """
    MD5 of the four concatenated values, in lower-case hex.

    ZEGO accepts a timestamp within ten minutes of its own clock. It accepts each nonce once.
    """
    return hashlib.md5(f"{app_id}{nonce}{server_secret}{timestamp}".encode(), usedforsecurity=False).hexdigest()


def get(source: ZegoSource, base_url: str, auth: Auth, action: str, parameters: str, stamp: Stamp) -> Request:
    """A signed GET. ``parameters`` is the rest of the query, already percent-encoded."""
    secret = cast(str, auth.token)
    timestamp = int(stamp.time)
    signed = signature(source.app_id, stamp.nonce, secret, timestamp)
    return Request(
        method="GET",
        base_url=base_url,
        target=(
            f"/?Action={action}&AppId={source.app_id}&SignatureNonce={stamp.nonce}&SignatureVersion=2.0"
            f"&Timestamp={timestamp}&Signature={signed}&{parameters}"
        ),
        secrets=(secret, signed),
    )


def encoded(room: str) -> str:
    """A room id, percent-encoded by RFC 3986 (a space is ``%20``)."""
    return room if _UNRESERVED(room) else quote(room, safe="")


GATEWAY_CODES: Final[Mapping[int | str, Failure]] = {
    **code_table(
        FailureKind.UNAUTHORIZED,
        {
            100000004: "the signature has expired: set this machine's clock, which may be ten minutes off at most",
            100000005: "the signature is wrong: copy server_secret again from this app_id's page in ZEGO's console",
            100000008: "no nonce arrived: check base_url and proxy, which must keep the query",
            100000009: "no signature arrived: check base_url and proxy, which must keep the query",
        },
    ),
    **code_table(FailureKind.TRANSIENT, {100000015: "an internal error of ZEGO's gateway"}),
    **code_table(
        FailureKind.MISCONFIGURED,
        {
            100000000: "ZEGO does not serve this host: check base_url and region",
            100000001: "the AppID is not one that ZEGO gives out: check app_id",
            100000002: "no timestamp arrived: check base_url and proxy, which must keep the query",
            100000003: "the timestamp did not arrive as it was sent: check base_url and proxy",
            100000006: "no action arrived: check base_url and proxy, which must keep the query",
            100000007: "the action is not known at this address: check base_url",
            100000010: "ZEGO has no ServerSecret for this app: check app_id, or get one in ZEGO's console",
            100000011: "ZEGO has no configuration for this app: check app_id",
            100000012: "ZEGO could not read the request: check proxy",
            100000013: "no signature version arrived: check base_url and proxy, which must keep the query",
            100000014: "signature version 2.0 is not supported at this address: check base_url",
            100000016: "the app is not configured for production: set is_test to true, or ask ZEGO to take it there",
            100000017: "the service is not enabled for this app: enable it in ZEGO's console",
        },
    ),
}
