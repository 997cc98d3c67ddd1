"""
The client side: the config file with which ``rtc-room-exporter healthy`` reaches a protected port.

The file has the keys ``basic_auth`` and ``tls_config`` of a scrape config of Prometheus. promtool takes the same file
with ``--http.config.file``.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import Field

from exporter.config.validation import Keys
from exporter.vendors.source import Flag
from exporter.web.security.files import Files
from exporter.web.security.schema import Text
from exporter.web.security.tls import Refused, load_authorities, load_chain

_SECRET_KEYS: Final = frozenset({"password", "key"})
_LOGIN: Final = "basic_auth"
_TLS: Final = "tls_config"


class BasicAuth(Keys):
    """``basic_auth``."""

    username: Text
    password: Text | None = Field(None, repr=False)
    password_file: Text | None = None


class TlsClient(Keys):
    """``tls_config``."""

    ca: Text | None = Field(None, repr=False)
    ca_file: Text | None = None
    cert: Text | None = Field(None, repr=False)
    cert_file: Text | None = None
    key: Text | None = Field(None, repr=False)
    key_file: Text | None = None
    server_name: Text | None = None
    insecure_skip_verify: Flag = False


class ClientFile(Keys):
    """The keys of the file."""

    basic_auth: BasicAuth | None = None
    tls_config: TlsClient | None = None


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """
    Args:
        login: User and password.
        context: TLS settings; ``None`` for the default ones with the system's authorities.
        server_name: Name in the server's certificate, if it is not the URL's host.
    """

    login: tuple[str, str] | None = field(default=None, repr=False)
    context: ssl.SSLContext | None = None
    server_name: str | None = None


def load_client_config(path: Path) -> ClientConfig:
    """
    Load a client config file. Blocks.

    Raises:
        ConfigError: Lists every problem of the file.
    """
    files = Files(path, _SECRET_KEYS)
    written = files.written(ClientFile)
    login = _login(written.basic_auth, files) if written.basic_auth else None
    context = _context(written.tls_config, files) if written.tls_config else None
    files.problems.raise_any()
    return ClientConfig(login, context, written.tls_config.server_name if written.tls_config else None)


def _login(written: BasicAuth, files: Files) -> tuple[str, str] | None:
    if (written.password is None) is (written.password_file is None):
        files.problems.add((_LOGIN,), "no password, or two", "one of password and password_file")
        return None
    if written.password_file is None:
        return written.username, written.password or ""
    content = files.read(_LOGIN, "password_file", written.password_file)
    try:
        return written.username, (content or b"").decode().strip()  # as Prometheus takes it
    except UnicodeDecodeError:
        files.problems.add((_LOGIN, "password_file"), "a file that is not UTF-8", "a password in UTF-8")
        return None


def _context(written: TlsClient, files: Files) -> ssl.SSLContext | None:
    pem = {name: files.read_pem(_TLS, written, name) for name in ("ca", "cert", "key")}
    if (pem["cert"] is None) is not (pem["key"] is None):
        files.problems.add((_TLS,), "a certificate without a key, or a key without one", "both or none")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if written.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        if pem["ca"] is None:
            context.load_default_certs()
        else:
            load_authorities(context, "ca", pem["ca"])
        if pem["cert"] is not None and pem["key"] is not None:
            load_chain(context, pem["cert"], pem["key"])
    except Refused as refused:
        files.refuse(_TLS, written, refused)
        return None
    return context
