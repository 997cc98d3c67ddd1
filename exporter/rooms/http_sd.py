"""
Rooms that the operator's own backend names, by Prometheus' HTTP service discovery.

What it promises:

* A request is the one that Prometheus makes: GET, ``Accept: application/json``,
  ``X-Prometheus-Refresh-Interval-Seconds``, ``User-Agent``; its time-out is the refresh interval.
* A reply is accepted if Prometheus accepts it: status 200 and no other, content type ``application/json`` with no
  charset or UTF-8, and a body as ``target_groups`` reads it. The whole list counts each time: a room that is no longer
  on it is gone, and ``[]`` takes all of them away. So a backend that has lost its data must answer 500 and not ``[]``.
* A refresh that fails says so in ``Listing.error`` and names no rooms; whoever asked keeps the rooms from before. The
  error is one line: scheme, host and port, what was found, what is accepted. No path, no query, no word of the body.
* Password, credentials, certificates and keys that stand in files are read again before each request.
* At most ten redirects are followed. Once a redirect leads to another scheme, host or port, no password, no header
  ``Authorization``, no client certificate and no ``server_name`` goes along any more, not even on the way back. A user
  and password in the URL of a redirect are not used.
* Neither the body as it comes nor the body unpacked from gzip may be larger than ``max_body``; what is larger is not
  kept in memory. Unpacking and reading happen in a thread.
* A backend that gives an ``ETag`` may answer 304 and send no body while its list stays the same.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import aiohttp
from aiohttp import hdrs
from aiohttp.http_exceptions import HttpProcessingError
from pydantic_core import PydanticCustomError
from yarl import URL

from exporter import __version__
from exporter.blocking import in_thread
from exporter.clock import monotonic as since_boot
from exporter.config.discovery import HttpSdConfig
from exporter.config.files import read_bytes
from exporter.config.rooms import Defaults
from exporter.config.secrets import LARGEST_CA_FILE, read_certificates, renewed
from exporter.config.validation import words
from exporter.model import Room
from exporter.resolver import Resolver
from exporter.rooms.provider import Listing, Origin, Result
from exporter.rooms.target_groups import TargetGroupsError, read_target_groups
from exporter.vendors.codec import RoomIdRule

MOST_REDIRECTS: Final = 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OK: Final = 200
_NOT_MODIFIED: Final = 304
_CONTENT_TYPE: Final = re.compile(r'application/json(;[\t\n\f\r ]*charset=("utf-8"|utf-8))?', re.ASCII | re.IGNORECASE)
_SHOWN_TYPE: Final = re.compile(r"[a-z]{1,15}/[a-z0-9.+-]{1,40}(; ?charset=[a-z0-9-]{1,20})?", re.ASCII | re.IGNORECASE)
_ETAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,1000}"', re.ASCII)
_GZIP: Final = frozenset({"gzip", "x-gzip"})
_GZIP_WINDOW: Final = 31
_ENDED: Final = "the exporter asks no longer"
_PIECE: Final = 64 * 1024
_UNPACKED: Final = 256 * 1024

_Tls: TypeAlias = tuple[ssl.SSLContext | bool, ssl.SSLContext | bool]
"""How to speak TLS with the configured server, and with one that a redirect leads to."""


class _RefusedError(Exception):
    """A refused reply: the error says what was found and what is accepted."""

    def __init__(self, found: str, accepted: str) -> None:
        super().__init__(f"found {found}; accepted: {accepted}")


@dataclass(frozen=True, slots=True)
class _Kept:
    """The last good list, and how its server knows it."""

    url: URL
    etag: str
    rooms: Mapping[str, Room]
    warning: str


class HttpSd:
    """
    The provider of one endpoint.

    Args:
        rule: For room ids.
        defaults: Labels and thresholds of the source.
    """

    origin = Origin.HTTP_SD

    def __init__(
        self,
        config: HttpSdConfig,
        rule: RoomIdRule,
        defaults: Defaults,
        monotonic: Callable[[], float] = since_boot,
    ) -> None:
        self.name = config.name
        self.interval = config.refresh_interval
        self._config = config
        self._rule = rule
        self._defaults = defaults
        self._monotonic = monotonic
        url = URL(config.url)
        self._user = None if url.raw_user is None and url.raw_password is None else (url.user or "", url.password or "")
        self._url = self._hop = url.with_user(None).with_fragment(None)
        self._resolver = Resolver(monotonic)
        self._session: aiohttp.ClientSession | None = None
        self._asking: asyncio.Task[tuple[Mapping[str, Room], str]] | None = None
        self._kept: _Kept | None = None
        self._closed = False
        self._tls_files: tuple[object, ...] | None = None
        self._tls: _Tls = (True, True)

    async def refresh(self) -> Listing:
        """Ask once."""
        began = self._monotonic()
        self._hop = self._url
        self._asking = asyncio.create_task(self._ask())
        try:
            rooms, warning = await self._asking
            return Listing(Result.COMPLETE, began, rooms, warning=warning or None)
        except asyncio.CancelledError:
            if not self._closed:
                raise
            error = _ENDED
        except (_RefusedError, TargetGroupsError) as refusal:
            error = str(refusal)
        except PydanticCustomError as refusal:  # of a secret's file
            accepted, found = words(refusal)
            error = f"found {found.replace('{}', 'something else')}; accepted: {accepted}"
        except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as failure:
            error = self._in_our_words(failure)
            if isinstance(failure, aiohttp.ClientConnectorError):
                self._resolver.forget()  # its server may stand elsewhere by now
        where = f"{self._hop.origin()}: " if self._hop.host else ""
        return Listing(Result.FAILED, began, error=f"{where}{error}")

    async def aclose(self) -> None:
        """End what is under way, and close connections."""
        self._closed = True
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        await self._resolver.close()

    async def _ask(self) -> tuple[Mapping[str, Room], str]:
        if self._closed:
            raise asyncio.CancelledError
        authorization = await in_thread(self._prepare)
        async with asyncio.timeout(self.interval):
            answer = await self._fetch(authorization)
        if answer is None and self._kept is not None:
            return self._kept.rooms, self._kept.warning
        body, encoding, etag = answer or (bytearray(), "", "")
        rooms, warning = await in_thread(self._read, body, encoding)
        self._kept = _Kept(self._hop, etag, rooms, warning) if _ETAG.fullmatch(etag) else None
        return rooms, warning

    async def _fetch(self, authorization: str | None) -> tuple[bytearray, str, str] | None:
        """Body, content encoding and entity tag of the reply; ``None``: the list is the one that is kept."""
        at_home = True
        for _ in range(MOST_REDIRECTS + 1):
            if _origin(self._hop) != _origin(self._url):
                at_home, authorization = False, None
            async with self._open().get(
                self._hop,
                headers=self._headers(authorization),
                allow_redirects=False,
                proxy=self._config.proxy,
                ssl=self._tls[0 if at_home else 1],
                server_hostname=self._config.server_name if at_home and self._hop.scheme == "https" else None,
            ) as response:
                if response.status in _REDIRECTS and self._config.follow_redirects:
                    self._hop = self._target(response)
                    continue
                if response.status == _NOT_MODIFIED and self._kept is not None and self._kept.url == self._hop:
                    return None
                encoding = self._checked(response)
                return await self._body(response), encoding, response.headers.get(hdrs.ETAG, "")
        raise _RefusedError(f"more than {MOST_REDIRECTS} redirects", f"at most {MOST_REDIRECTS}")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=self._resolver, use_dns_cache=False),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
            )
        return self._session

    def _headers(self, authorization: str | None) -> dict[str, str]:
        headers = {
            hdrs.ACCEPT: "application/json",
            hdrs.ACCEPT_ENCODING: "gzip",
            hdrs.USER_AGENT: f"rtc-room-exporter/{__version__}",
            "X-Prometheus-Refresh-Interval-Seconds": f"{self.interval!r}".removesuffix(".0"),
        }
        if authorization is not None:
            headers[hdrs.AUTHORIZATION] = authorization
        if self._kept is not None and self._kept.url == self._hop:
            headers[hdrs.IF_NONE_MATCH] = self._kept.etag
        return headers

    def _target(self, response: aiohttp.ClientResponse) -> URL:
        """Where a redirect leads, without a user: nobody but the config says who we are."""
        location = response.headers.get(hdrs.LOCATION, "")
        try:
            target = self._hop.join(URL(location)).with_user(None).with_fragment(None)
        except ValueError:
            target = URL()
        if not location or target.scheme not in ("http", "https") or not target.host:
            raise _RefusedError(f"status {response.status} without a usable Location", "a redirect to an http(s) URL")
        return target

    def _checked(self, response: aiohttp.ClientResponse) -> str:
        """The reply's content encoding, if the reply is one that counts."""
        if response.status != _OK:
            hint = " (see authorization, basic_auth, tls_config)" if response.status in (401, 403) else ""
            raise _RefusedError(f"status {response.status}", f"200{hint}")
        content_type = response.headers.get(hdrs.CONTENT_TYPE, "").strip()
        if not _CONTENT_TYPE.fullmatch(content_type):
            shown = content_type if _SHOWN_TYPE.fullmatch(content_type) else "that is not shown here"
            found = f"a content type {shown}" if content_type else "no content type"
            raise _RefusedError(found, "application/json, with charset utf-8 or without one")
        encoding = ",".join(response.headers.getall(hdrs.CONTENT_ENCODING, [])).strip().lower()
        if encoding not in _GZIP | {"", "identity"}:
            raise _RefusedError("another content encoding", "gzip, or none")
        if (response.content_length or 0) > self._config.max_body:
            raise self._too_large()
        return encoding

    async def _body(self, response: aiohttp.ClientResponse) -> bytearray:
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > self._config.max_body:
                raise self._too_large()
        return body

    def _too_large(self) -> _RefusedError:
        return _RefusedError(f"a body over {self._config.max_body:,} bytes", f"up to {self._config.max_body:,} bytes")

    def _read(self, body: bytearray, encoding: str) -> tuple[dict[str, Room], str]:
        """The rooms of a body. Blocks."""
        if encoding in _GZIP:
            body = self._unpacked(body)
        return read_target_groups(body, self._rule, self._defaults)

    def _unpacked(self, body: bytearray) -> bytearray:
        unpacked = bytearray()
        try:
            for piece in _inflated(body):
                unpacked += piece
                if len(unpacked) > self._config.max_body:
                    raise self._too_large()
        except (zlib.error, EOFError):
            raise _RefusedError("a damaged or incomplete body", "gzip, as its Content-Encoding says") from None
        return unpacked

    def _prepare(self) -> str | None:
        """The header ``Authorization``, with what the files hold now, as do the TLS contexts from here on. Blocks."""
        self._renew_tls()
        config = self._config
        if config.credentials is not None:
            return f"{config.authorization_type} {renewed(config.credentials).reveal()}"
        if config.username is not None:
            password = renewed(config.password).reveal() if config.password is not None else ""
            return _basic(config.username, password)
        return _basic(*self._user) if self._user else None

    def _renew_tls(self) -> None:
        config = self._config
        ca = read_certificates(Path(config.ca_file.file)).pem if config.ca_file else None
        files = (ca, _file(config.cert_file), _file(config.key_file))
        if files == self._tls_files:
            return
        if any(files) or config.insecure_skip_verify:
            own, other = _context(config, ca), _context(config, ca)
            if config.cert_file:
                _load_certificate(own, config.cert_file, config.key_file)
            self._tls = own, other
        self._tls_files = files

    def _in_our_words(self, failure: Exception) -> str:
        """Describe an error in our own words: the library's text may hold the URL."""
        if isinstance(failure, TimeoutError):
            return f"no complete reply within {self.interval:g} s, which is refresh_interval"
        return next((text for kind, text in _FAILURES if isinstance(failure, kind)), "the connection failed")


_FAILURES: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...]] = (
    (aiohttp.ClientConnectorCertificateError, "its certificate is not trusted: check ca_file and server_name"),
    (aiohttp.ClientConnectorDNSError, "its host name cannot be resolved"),
    (aiohttp.ClientProxyConnectionError, "the proxy cannot be reached"),
    (aiohttp.ClientHttpProxyError, "the proxy refused to connect us"),
    (aiohttp.ClientConnectorSSLError, "the TLS handshake failed: check tls_config"),
    (aiohttp.ClientConnectorError, "the connection is refused, or the host cannot be reached"),
    ((aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError), "the connection broke amid the reply"),
    ((HttpProcessingError, aiohttp.ClientResponseError), "found what is no HTTP; accepted: HTTP/1.1"),
    ((aiohttp.InvalidURL, ValueError), "a request cannot be sent there: check url, proxy and headers"),
)


def _inflated(body: bytearray) -> Iterator[bytes]:
    """
    What gzip has packed, piece by piece.

    Raises:
        zlib.error: It is no gzip.
        EOFError: It has no end.
    """
    member = zlib.decompressobj(_GZIP_WINDOW)
    for start in range(0, len(body), _PIECE):
        piece = bytes(body[start : start + _PIECE])
        while piece:
            if member.eof:  # files of gzip may stand one behind the other
                member = zlib.decompressobj(_GZIP_WINDOW)
            yield member.decompress(piece, _UNPACKED)
            piece = member.unused_data if member.eof else member.unconsumed_tail
    while not member.eof:
        rest = member.decompress(b"", _UNPACKED)
        if not rest and not member.eof:
            raise EOFError
        yield rest


def _origin(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.host, url.port


def _basic(username: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def _file(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return read_bytes(Path(path), LARGEST_CA_FILE)
    except ValueError as error:
        raise _RefusedError(
            f"cert_file or key_file that cannot be read ({error})", "readable files in PEM form"
        ) from None


def _context(config: HttpSdConfig, ca: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=ca)
    if config.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load_certificate(context: ssl.SSLContext, cert_file: str, key_file: str | None) -> None:
    try:
        # Without a password of some kind, OpenSSL asks on the terminal for that of an encrypted key.
        context.load_cert_chain(cert_file, key_file, password=lambda: "")
    except (OSError, ValueError):
        accepted = "a certificate and its own key in PEM form, without a pass phrase"
        raise _RefusedError("cert_file and key_file that do not fit", accepted) from None
