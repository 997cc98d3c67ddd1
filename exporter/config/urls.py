"""
Validates URLs: a vendor's base URL and a proxy's URL.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import Final

from yarl import URL

from exporter.config.validation import fault

BASE_URL_ACCEPTED: Final = "a URL such as https://rtc-api.zego.im: scheme, host, perhaps a port; no user, path or query"
HTTPS_ACCEPTED: Final = "https; http only on loopback (127.0.0.0/8, ::1, localhost) or with allow_http: true"
PROXY_ACCEPTED: Final = "a URL such as http://proxy:3128: scheme, perhaps user:password@, host, perhaps a port; no path"

_HIDDEN: Final = "a URL that is not shown, as it may hold a password"
_URL: Final = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<user>[^\s/?#@\\]*@)?"
    r"(?P<host>\[[0-9a-f:.]+\]|[0-9a-z](?:[0-9a-z._-]*[0-9a-z])?)"
    r"(?::(?P<port>[0-9]{1,5}))?/?",
    re.ASCII | re.IGNORECASE,
)
_HIGHEST_PORT: Final = 65535


def read_base_url(text: str, *, allow_http: bool) -> str:
    """
    The URL in lower case.

    Raises:
        PydanticCustomError: A ``ValueError``. It says what is accepted.
    """
    match = _match(text)
    if match is None or match["user"]:
        raise fault(BASE_URL_ACCEPTED, _HIDDEN if "@" in text else "{}")
    if match["scheme"].lower() == "http" and not (allow_http or is_loopback(match["host"])):
        raise fault(HTTPS_ACCEPTED)
    return text.lower()


def read_proxy(text: str) -> str:
    """
    The URL unchanged.

    Raises:
        PydanticCustomError: A ``ValueError``. It says what is accepted, and does not contain the URL.
    """
    try:
        usable = _match(text) is not None and URL(text).host is not None
    except ValueError:  # yarl refuses some characters, with the password in its message
        usable = False
    if not usable:
        raise fault(PROXY_ACCEPTED, _HIDDEN)
    return text


def is_loopback(host: str) -> bool:
    """Whether a URL's host is certainly this machine. Names other than ``localhost`` are not resolved."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _match(text: str) -> re.Match[str] | None:
    match = _URL.fullmatch(text)
    if match is None or not 0 < int(match["port"] or 1) <= _HIGHEST_PORT:
        return None
    if match["host"].startswith("["):
        try:
            IPv6Address(match["host"][1:-1])
        except ValueError:
            return None
    return match
