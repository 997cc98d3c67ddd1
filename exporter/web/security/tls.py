"""
Server-side TLS: makes a context from a web config, and adds to handshakes what Python's ``ssl`` lacks.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Final, cast

from exporter.web.security.schema import CIPHERS, CURVES, TlsServer

_VERSIONS: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_OLD_CIPHERS: Final = ("ECDHE+AESGCM", "ECDHE+CHACHA20", "ECDHE+AES", "!aNULL")
_FOR_OLD_VERSIONS: Final = "@SECLEVEL=0"
"""OpenSSL 3 allows TLS 1.0 and 1.1 only at this security level."""

_TO_PLAIN_HTTP: Final = b"Client sent an HTTP request to an HTTPS server.\n"
_HTTP_ANSWER: Final = (
    b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_TO_PLAIN_HTTP), _TO_PLAIN_HTTP)
)


class Refused(Exception):
    """
    A certificate or a key cannot be used.

    Args:
        key: ``cert``, ``key`` or ``client_ca``.
    """

    def __init__(self, key: str, found: str, accepted: str) -> None:
        super().__init__(key, found, accepted)
        self.key = key
        self.found = found
        self.accepted = accepted


class Handshake(ssl.SSLObject):
    """
    The TLS state of one connection, with three additions to asyncio's TLS.

    - When a handshake fails, asyncio and uvloop close the connection before they send the TLS alert with the reason.
      So a failure is first reported as ``SSLWantReadError``, which makes them send pending bytes, the alert among them.
      The next call raises the real error.
    - A client that speaks plain HTTP gets an HTTP answer that says so.
    - A client certificate without an allowed name ends the connection before a request is read.
    """

    _context: ServerContext
    _outgoing: ssl.MemoryBIO
    _failure: ssl.SSLError | None = None

    def begin(self, context: ServerContext, outgoing: ssl.MemoryBIO) -> None:
        """Set up the object. This cannot be ``__init__``: ``ssl`` makes such objects without calling it."""
        self._context = context
        self._outgoing = outgoing

    def do_handshake(self) -> None:
        """
        Raises:
            SSLWantReadError: More bytes must be exchanged.
            SSLError: The handshake has failed; the alert is already sent.
        """
        if self._failure is not None:
            raise self._failure
        began = perf_counter()
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._failure = error
            self._context.failed(error)
            if error.reason == "HTTP_REQUEST":
                self._outgoing.write(_HTTP_ANSWER)
            if not self._outgoing.pending:
                raise
            raise ssl.SSLWantReadError(error.reason) from error
        finally:
            self._context.worked(perf_counter() - began)
        self._check_names()

    def _check_names(self) -> None:
        allowed = self._context.allowed_names
        if allowed is not None and allowed.isdisjoint(_names(self.getpeercert())):
            error = ssl.SSLCertVerificationError("the client's certificate has none of client_allowed_sans")
            self._context.failed(error)
            raise error


class ServerContext(ssl.SSLContext):
    """
    The TLS context of a server.

    Attributes:
        allowed_names: A client certificate must have one of these names; ``None`` accepts any verified certificate.
        failed: Called for each failed handshake.
        worked: Called with the seconds that each step of a handshake took.
    """

    sslobject_class = Handshake
    allowed_names: frozenset[str] | None = None
    failed: Callable[[ssl.SSLError], None] = staticmethod(lambda _: None)
    worked: Callable[[float], None] = staticmethod(lambda _: None)

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **kwargs: Any) -> Handshake:
        """As ``SSLContext.wrap_bio``."""
        handshake = cast(Handshake, super().wrap_bio(incoming, outgoing, *args, **kwargs))  # sslobject_class says so
        handshake.begin(self, outgoing)
        return handshake


def server_context(tls: TlsServer, cert: bytes, key: bytes, client_ca: bytes | None) -> ServerContext:
    """
    Make a context.

    Args:
        cert: In PEM form, like ``key`` and ``client_ca``.

    Raises:
        Refused: A certificate or a key cannot be used.
    """
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.min_version]
    context.maximum_version = _VERSIONS[tls.max_version]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    _set_ciphers(context, tls)
    for curve in tls.curve_preferences:
        context.set_ecdh_curve(CURVES[curve])
    context.set_alpn_protocols(["http/1.1"])
    load_chain(context, cert, key)
    if tls.verifies_clients:
        _verify_clients(context, tls, client_ca)
    return context


def _set_ciphers(context: ServerContext, tls: TlsServer) -> None:
    chosen = [name for suite in tls.cipher_suites if (name := CIPHERS[suite])]
    old = tls.min_version < "TLS12"
    if tls.cipher_suites and not chosen:
        # All chosen suites are of TLS 1.3, so older versions must not be spoken.
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    elif chosen or old:
        context.set_ciphers(":".join([*(chosen or _OLD_CIPHERS), *([_FOR_OLD_VERSIONS] if old else [])]))


def _verify_clients(context: ServerContext, tls: TlsServer, client_ca: bytes | None) -> None:
    required = tls.client_auth_type == "RequireAndVerifyClientCert"
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    # As in Go, each certificate of client_ca is trusted, even if it is not a root.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if client_ca is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    else:
        load_authorities(context, "client_ca", client_ca)
    if tls.client_allowed_sans is not None:
        context.allowed_names = frozenset(tls.client_allowed_sans)


def load_authorities(context: ssl.SSLContext, key: str, pem: bytes) -> None:
    """
    Trust these certificates.

    Args:
        key: The key of the web config that names them.

    Raises:
        Refused: The text contains no certificate.
    """
    try:
        # PEM is ASCII, but comments between the certificates may be anything.
        context.load_verify_locations(cadata=pem.decode("ascii", errors="ignore"))
    except (ssl.SSLError, ValueError):
        raise Refused(key, "no certificate", "certificates in PEM form") from None


def load_chain(context: ssl.SSLContext, cert: bytes, key: bytes) -> None:
    """
    Use this certificate, followed by the intermediate certificates of its chain.

    Raises:
        Refused: The certificate or the key cannot be used.
    """
    load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "cert", cert)

    def no_pass_phrase() -> str:
        # Without this, OpenSSL asks on the terminal.
        raise Refused("key", "a key that needs a pass phrase", "a key without one, in PEM form")

    try:
        with _as_file(cert) as cert_file, _as_file(key) as key_file:
            context.load_cert_chain(cert_file, key_file, no_pass_phrase)
    except ssl.SSLError as error:
        match error.reason:
            case "KEY_VALUES_MISMATCH" | "KEY_TYPE_MISMATCH":
                raise Refused("key", "the key of another certificate", "the certificate's own key") from None
            case "EE_KEY_TOO_SMALL" | "CA_MD_TOO_WEAK" | "CA_KEY_TOO_SMALL" as reason:
                weak = str(reason).lower().replace("_", " ")
                raise Refused("cert", f"a certificate that OpenSSL refuses ({weak})", "a stronger one") from None
            case _:
                raise Refused("key", "no private key", "the certificate's private key in PEM form") from None


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """The path of an in-memory file: ``ssl`` can load a private key from a file only."""
    if not hasattr(os, "memfd_create"):
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name
        return
    number = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(number), "wb") as file:
            file.write(content)
        yield f"/proc/self/fd/{number}"
    finally:
        os.close(number)


def _names(certificate: Any) -> Iterator[str]:
    """The names in a verified certificate, as Go writes them: DNS, e-mail, URI and IP addresses."""
    for kind, name in (certificate or {}).get("subjectAltName", ()):
        if kind == "IP Address":
            yield str(ipaddress.ip_address(name.strip()))
        elif kind in ("DNS", "email", "URI"):
            yield name
