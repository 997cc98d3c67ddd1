"""
Whatever aiohttp raises comes back as a failure in our own words.
"""

from __future__ import annotations

import asyncio
import inspect
import ssl
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from exporter.model import Failure, FailureKind, Request
from exporter.polling.caller import Caller, Exchange
from exporter.polling.clock import Clock

SECRET = "5ignature-n0b0dy-may-see"
REQUEST = Request(
    "GET",
    "https://rtc-api.zego.im",
    f"/?Action=DescribeUserNum&Signature={SECRET}",
    {"Authorization": SECRET},
    secrets=(SECRET,),
)
KEY = cast(ConnectionKey, SimpleNamespace(host=SECRET, port=443, ssl=True, is_ssl=True))
INFO = aiohttp.RequestInfo(URL(REQUEST.url), "GET", CIMultiDictProxy(CIMultiDict()), URL(REQUEST.url))


async def open_gate(slot: float) -> None:
    """A budget that is never used up."""


async def call_that_raises(error: BaseException, patch: pytest.MonkeyPatch) -> Exchange | Failure:
    """What becomes of a call when this is raised while it connects."""

    async def connect(*_: object, **__: object) -> NoReturn:
        raise error

    patch.setattr(aiohttp.TCPConnector, "connect", connect)
    caller = Caller(open_gate, Clock(), rate=10, timeout=5)
    try:
        return await caller.call(REQUEST)
    finally:
        await caller.aclose()


def arguments(kind: type[BaseException]) -> tuple[Any, ...]:
    """What an exception of aiohttp's is made with, a secret in all of it."""
    if issubclass(kind, aiohttp.ClientConnectorCertificateError):
        return KEY, ssl.SSLCertVerificationError(1, SECRET)
    if issubclass(kind, aiohttp.ServerFingerprintMismatch):
        return b"expected", b"got", SECRET, 443
    if issubclass(kind, aiohttp.ClientConnectorError):
        return KEY, OSError(1, SECRET)
    if issubclass(kind, aiohttp.ClientResponseError):
        return INFO, ()
    if issubclass(kind, OSError):
        return 1, SECRET
    return (SECRET,)


RAISED: list[type[BaseException]] = [
    kind
    for _, kind in inspect.getmembers(aiohttp, inspect.isclass)
    if issubclass(kind, aiohttp.ClientError) and not inspect.isabstract(kind)
]


@pytest.mark.parametrize(
    "kind", [*RAISED, TimeoutError, asyncio.TimeoutError, ssl.SSLError, ConnectionResetError, ValueError]
)
async def test_every_exception_is_a_failure_that_tells_no_secret(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    URLs carry signatures, and the library prints URLs: nothing of its texts comes through.
    """
    outcome = await call_that_raises(kind(*arguments(kind)), monkeypatch)

    assert isinstance(outcome, Failure)
    assert outcome.kind in {FailureKind.TRANSIENT, FailureKind.MISCONFIGURED, FailureKind.MALFORMED}
    assert SECRET not in f"{outcome} {outcome!r}"
    assert "zego" not in f"{outcome} {outcome!r}"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TimeoutError(), "timeout"),
        (aiohttp.ServerTimeoutError(), "timeout"),
        (aiohttp.ConnectionTimeoutError(), "timeout"),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "unknown")), "dns"),
        (aiohttp.ClientConnectorError(KEY, OSError(111, "refused")), "connect"),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError()), "tls"),
        (aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError()), "tls_certificate"),
        (aiohttp.ClientProxyConnectionError(KEY, OSError(111, "refused")), "proxy_connect"),
        (aiohttp.ClientHttpProxyError(INFO, (), status=407), "proxy_refused"),
        (aiohttp.ClientPayloadError(), "disconnected"),
        (aiohttp.ServerDisconnectedError(), "disconnected"),
        (aiohttp.ClientOSError(104, "reset"), "disconnected"),
        (aiohttp.ClientResponseError(INFO, ()), "not_http"),
        (aiohttp.InvalidURL("x"), "invalid_url"),
    ],
)
async def test_exceptions_are_told_apart(error: Exception, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An operator sees at which step a call failed.
    """
    outcome = await call_that_raises(error, monkeypatch)

    assert isinstance(outcome, Failure)
    assert code == outcome.code


async def test_cancellation_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A call that is ended at shutdown ends.
    """
    with pytest.raises(asyncio.CancelledError):
        await call_that_raises(asyncio.CancelledError(), monkeypatch)
