"""
Asks a running exporter whether it is healthy or ready, for the health check of a container.
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from exporter.config.urls import read_base_url
from exporter.errors import UserError

if TYPE_CHECKING:
    from exporter.web.security.client import ClientConfig

TIMEOUT: Final = 4.0
"""Seconds within which the exporter must answer."""
_LONGEST: Final = 200


async def ask_health(url: str, client: ClientConfig | None = None, path: str = "/-/healthy") -> None:
    """
    Ask an exporter's ``/-/healthy``.

    Args:
        url: Scheme, host and port of the exporter.
        client: Credentials and TLS settings for a guarded port.
        path: ``/-/healthy`` or ``/-/ready``.

    Raises:
        UserError: There is no answer within 4 s, or it is not HTTP 200.
    """
    try:
        asked = f"{read_base_url(url, allow_http=True).rstrip('/')}{path}"
    except ValueError as error:
        raise UserError(
            f"--url: found {url!r}; accepted: scheme, host and port, as in http://127.0.0.1:9877"
        ) from error
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(asked, allow_redirects=False, **_options(client)) as response,
        ):
            status, body = response.status, await response.content.read(_LONGEST)
    except (aiohttp.ClientError, OSError) as error:
        raise UserError(f"GET {asked}: {_reason(error)}") from error
    if status != 200:
        first_line = "".join(filter(str.isprintable, body.decode(errors="replace").partition("\n")[0]))
        raise UserError(f"GET {asked}: HTTP {status}: {first_line or 'nothing more is said'}")


def _options(client: ClientConfig | None) -> dict[str, Any]:
    """Options of aiohttp for a guarded port."""
    if client is None:
        return {}
    options: dict[str, Any] = {}
    if client.login is not None:
        options["headers"] = {"Authorization": aiohttp.encode_basic_auth(*client.login)}
    if client.context is not None:
        options["ssl"] = client.context
    if client.server_name is not None:
        options["server_hostname"] = client.server_name
    return options


def _reason(error: Exception) -> str:
    """Why there is no answer, in words for people."""
    match error:
        case TimeoutError():
            return f"no answer within {TIMEOUT:g} s"
        case aiohttp.ClientConnectorDNSError():
            return "the host's name cannot be resolved"
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError() as refused):
            return f"its certificate is not accepted: {refused.verify_message}"
        case aiohttp.ClientSSLError():
            return "no TLS connection can be made"
        case aiohttp.ClientConnectorError(os_error=OSError(errno=int() as number)) if number > 0:
            return f"cannot connect: {os.strerror(number)}"
        case OSError() if reason := _refusal(error):
            return f"it refuses the TLS connection: {reason}"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | OSError():
            return "the connection ended before the answer did"
        case _:
            return "the answer is not HTTP"


def _refusal(error: BaseException | None) -> str | None:
    """The TLS alert that the server sent, such as ``certificate required``; ``None`` if it sent none."""
    while error is not None:
        if isinstance(error, ssl.SSLError) and error.reason and "_ALERT_" in error.reason:
            return error.reason.partition("_ALERT_")[2].replace("_", " ").lower()
        error = error.__cause__ or error.__context__
    return None
