"""
A loaded web config, with the contents of all its files at the time of loading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exporter.config.errors import Problems
from exporter.config.files import read_bytes
from exporter.web.security.files import LARGEST_FILE, Files
from exporter.web.security.schema import SECRET_KEYS, RateLimit, TlsServer, WebFile
from exporter.web.security.tls import Refused, ServerContext, server_context
from exporter.web.security.users import cost

_SLOW_COST: Final = 14
"""From this cost on, a comparison takes a second or more."""
_TLS: Final = "tls_server_config"
TLS: Final = "TLS"
"""This protection hides the traffic, but keeps nobody out."""


@dataclass(frozen=True, slots=True)
class WebConfig:
    """
    Args:
        files: Contents of all files that were read, by path.
        tls: The keys from which ``context`` was made; ``None`` for plain HTTP.
        users: bcrypt hashes by user name, both as bytes.
        headers: Headers for every answer.
        warnings: Accepted settings that look like mistakes, one line each.
        empty: Whether the file has no document.
    """

    files: Mapping[Path, bytes] = field(default_factory=dict, repr=False)
    tls: TlsServer | None = None
    context: ServerContext | None = field(default=None, repr=False)
    users: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    rate_limit: RateLimit = field(default_factory=RateLimit)
    warnings: tuple[str, ...] = ()
    empty: bool = True

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return "https" if self.tls else "http"

    @property
    def guards(self) -> tuple[str, ...]:
        """The protections of the port, in words. Empty if everybody who can connect can read everything."""
        return tuple(
            words
            for words, holds in (
                (TLS, self.tls is not None),
                ("client certificates", self.tls is not None and _requires_certificates(self.tls)),
                ("passwords", bool(self.users)),
            )
            if holds
        )

    @property
    def lets_in_anybody(self) -> bool:
        """Whether neither a password nor a client certificate is required."""
        return not self.users and not (self.tls and _requires_certificates(self.tls))

    def is_current(self) -> bool:
        """
        Whether no file has changed since. Blocks.

        Raises:
            ValueError: A file cannot be read.
        """
        return all(read_bytes(path, LARGEST_FILE) == content for path, content in self.files.items())


def load_web_config(path: Path) -> WebConfig:
    """
    Load a web config file. Blocks: call it in a thread while a loop runs.

    Raises:
        ConfigError: Lists every problem of the file.
    """
    files = Files(path, SECRET_KEYS)
    written = files.written(WebFile)
    context = _read_tls(written, files)
    files.problems.raise_any()
    return WebConfig(
        files=files.held,
        tls=written.tls_server_config,
        context=context,
        users={name.encode(): hashed.encode() for name, hashed in written.basic_auth_users.items()},
        headers=written.http_server_config.headers.to_send(),
        rate_limit=written.rate_limit,
        warnings=tuple(_warnings(written, files.problems)),
        empty=files.empty,
    )


def _read_tls(written: WebFile, files: Files) -> ServerContext | None:
    """The TLS context; ``None`` without TLS, or after adding to the problems."""
    tls = written.tls_server_config
    if tls is None:
        return None
    contradictions = tls.contradictions(http2=written.http_server_config.http2)
    for key, (found, accepted) in contradictions.items():
        files.problems.add((_TLS, key) if key else (_TLS,), found, accepted)
    pem = {name: files.read_pem(_TLS, tls, name) for name in ("cert", "key", "client_ca")}
    certificate, private_key, authorities = pem["cert"], pem["key"], pem["client_ca"]
    if contradictions or certificate is None or private_key is None or (authorities is None and tls.client_ca_file):
        return None
    try:
        return server_context(tls, certificate, private_key, authorities)
    except Refused as refused:
        files.refuse(_TLS, tls, refused)
        return None


def _requires_certificates(tls: TlsServer) -> bool:
    return tls.client_auth_type == "RequireAndVerifyClientCert" or tls.client_allowed_sans is not None


def _warnings(written: WebFile, problems: Problems) -> list[str]:
    warnings = []
    if written.tls_server_config is None and written.basic_auth_users:
        where = problems.locate(("basic_auth_users",))
        warnings.append(f"{where}: passwords without tls_server_config cross the network in the clear")
    for name, hashed in written.basic_auth_users.items():
        if (steps := cost(hashed.encode())) >= _SLOW_COST:
            where = problems.locate(("basic_auth_users", name))
            seconds = 0.06 * 2 ** (steps - 10)
            warnings.append(f"{where}: a hash of cost {steps}: about {seconds:.0f} s for each password; 10 is usual")
    if written.rate_limit.interval and not written.rate_limit.burst:
        warnings.append(f"{problems.locate(('rate_limit', 'burst'))}: a burst of 0 refuses every request")
    if "http2" in written.http_server_config.model_fields_set and written.http_server_config.http2:
        where = problems.locate(("http_server_config", "http2"))
        warnings.append(f"{where}: this exporter speaks HTTP/1.1 alone, which every client of HTTP/2 speaks as well")
    return warnings
