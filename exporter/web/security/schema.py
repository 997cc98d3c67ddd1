"""
The keys of a web config file, as the Prometheus exporter-toolkit defines them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from exporter.config.validation import Keys, fault
from exporter.vendors.source import Flag, duration, matching

SECRET_KEYS: Final = frozenset({"key", "basic_auth_users"})

TlsVersionName = Literal["TLS10", "TLS11", "TLS12", "TLS13"]

CIPHERS: Final = {
    "TLS_AES_128_GCM_SHA256": None,
    "TLS_AES_256_GCM_SHA384": None,
    "TLS_CHACHA20_POLY1305_SHA256": None,
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
"""OpenSSL's names of Go's cipher suites; ``None`` for the suites of TLS 1.3: neither Python nor Go can choose them."""

CURVES: Final = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
"""OpenSSL's names of Go's curves."""

VERIFYING: Final = ("VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
_CLIENT_AUTH_TYPES: Final = ("NoClientCert", *VERIFYING)
_UNVERIFIED: Final = ("RequestClientCert", "RequireClientCert", "RequireAnyClientCert")

_HTTP2_CIPHERS: Final = ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")

_BCRYPT: Final = r"\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}"
_BCRYPT_ACCEPTED: Final = (
    "a bcrypt hash of 60 characters that begins with $2y$, $2b$ or $2a$, such as htpasswd -nBC 10 prints"
)
_USERS_ACCEPTED: Final = "names of users without a colon, each with its bcrypt hash"


def _some(text: str) -> str:
    if not text:
        raise fault("a value, or no such key", "nothing")
    return text


def _one_of(names: Iterable[str]) -> AfterValidator:
    return matching("|".join(names), ", ".join(names))


def _verified(value: str) -> str:
    if value in _UNVERIFIED:
        accepted = ", ".join(_CLIENT_AUTH_TYPES)
        raise fault(f"{accepted}; Python cannot ask for a certificate without verifying it")
    return value


def _one_curve(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > 1:
        raise fault("one curve, as Python cannot be told several; without the key, OpenSSL's own choice", "a list")
    return value


def _users(value: dict[str, str]) -> dict[str, str]:
    for name in value:
        if not name or ":" in name:
            raise fault(_USERS_ACCEPTED, "a name with a colon" if name else "a hash without a name")
    return value


Text = Annotated[str, AfterValidator(_some)]
Hash = Annotated[str, matching(_BCRYPT, _BCRYPT_ACCEPTED)]
HeaderText = Annotated[str, matching(r"[ -~]*", "printable ASCII in one line")]


class TlsServer(Keys):
    """``tls_server_config``."""

    cert: Text | None = Field(None, repr=False)
    cert_file: Text | None = None
    key: Text | None = Field(None, repr=False)
    key_file: Text | None = None
    client_ca: Text | None = Field(None, repr=False)
    client_ca_file: Text | None = None
    client_auth_type: Annotated[Text, AfterValidator(_verified), _one_of(_CLIENT_AUTH_TYPES)] = "NoClientCert"
    client_allowed_sans: Annotated[tuple[Text, ...], Field(min_length=1, max_length=1000)] | None = None
    min_version: TlsVersionName = "TLS12"
    max_version: TlsVersionName = "TLS13"
    cipher_suites: Annotated[tuple[Annotated[Text, _one_of(CIPHERS)], ...], Field(max_length=100)] = ()
    prefer_server_cipher_suites: Flag = True
    curve_preferences: Annotated[
        tuple[Annotated[Text, _one_of(CURVES)], ...], Field(max_length=100), AfterValidator(_one_curve)
    ] = ()

    @property
    def verifies_clients(self) -> bool:
        """Whether certificates of clients are verified."""
        return self.client_auth_type in VERIFYING

    def contradictions(self, *, http2: bool) -> dict[str, tuple[str, str]]:
        """Keys that contradict each other: found and accepted, by key."""
        found: dict[str, tuple[str, str]] = {}
        for name in ("cert", "key", "client_ca"):
            inline, file = getattr(self, name), getattr(self, f"{name}_file")
            if inline is not None and file is not None:
                found[name] = f"{name} and {name}_file", "one of the two"
            elif inline is None and file is None and name != "client_ca":
                found[""] = "no certificate or no key", "one of cert and cert_file, and one of key and key_file"
        if (self.client_ca or self.client_ca_file) and not self.verifies_clients:
            name = "client_ca_file" if self.client_ca_file else "client_ca"
            found[name] = f"a CA, but client_auth_type {self.client_auth_type}", f"client_auth_type {_or(VERIFYING)}"
        if self.client_allowed_sans and not self.verifies_clients:
            found["client_allowed_sans"] = (
                f"names, but client_auth_type {self.client_auth_type}, so that no certificate is looked at",
                f"client_auth_type {_or(VERIFYING)}",
            )
        if self.min_version > self.max_version:
            versions = f"{self.min_version}, but max_version {self.max_version}"
            found["min_version"] = versions, "a version up to max_version"
        if self.cipher_suites:
            found |= self._cipher_contradictions(http2=http2)
        return found

    def _cipher_contradictions(self, *, http2: bool) -> dict[str, tuple[str, str]]:
        if self.min_version == "TLS13":
            return {}
        if self.max_version < "TLS13" and not any(CIPHERS[name] for name in self.cipher_suites):
            return {"cipher_suites": (f"none that {self.max_version} has", "a suite whose name begins with TLS_ECDHE")}
        if http2 and not any(name in _HTTP2_CIPHERS for name in self.cipher_suites):
            # We never speak HTTP/2, but a file that all other exporters refuse must not be accepted here.
            return {
                "cipher_suites": (
                    "none of those that HTTP/2 requires",
                    f"{_or(_HTTP2_CIPHERS)} among them, or http2: false below http_server_config",
                )
            }
        return {}


class Headers(Keys):
    """``http_server_config.headers``; an empty value means no such header."""

    csp: HeaderText = Field("", alias="Content-Security-Policy")
    hsts: HeaderText = Field("", alias="Strict-Transport-Security")
    content_type_options: Literal["", "nosniff"] = Field("", alias="X-Content-Type-Options")
    frame_options: Literal["", "deny", "sameorigin"] = Field("", alias="X-Frame-Options")
    xss_protection: HeaderText = Field("", alias="X-XSS-Protection")

    def to_send(self) -> dict[str, str]:
        """The headers to send, by name."""
        return {name: text for name, text in self.model_dump(by_alias=True).items() if text}


class HttpServer(Keys):
    """``http_server_config``."""

    http2: Flag = True
    headers: Headers = Headers()


class RateLimit(Keys):
    """``rate_limit``: a request every ``interval`` seconds, ``burst`` at once; no limit if the interval is 0."""

    interval: Annotated[float, duration(0.0, 1e9, "or 0")] = 0.0
    burst: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0


class WebFile(Keys):
    """The keys of a web config file."""

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: Annotated[dict[str, Hash], Field(max_length=1000), AfterValidator(_users)] = Field(
        default_factory=dict, repr=False
    )
    rate_limit: RateLimit = RateLimit()


def _or(names: tuple[str, ...]) -> str:
    return " or ".join(names)
