"""
Every row of the exporter-toolkit's TestYAMLFiles, TestServerBehaviour and TestUsers, and what happens here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

DATA = Path(__file__).parents[2] / "testdata" / "exporter-toolkit"

ANSWERED = "answered"
UNAUTHORIZED = "401 Unauthorized"
TOO_MANY = "429 Too Many Requests"


@dataclass(frozen=True)
class Client:
    """
    Who asks.

    Args:
        tls: Whether it speaks TLS, trusting `server.crt`.
        version: The newest version of TLS that it speaks.
        ciphers: OpenSSL's names, for TLS 1.2 alone.
        certificate: Of a file beside the web configs.
        requests: How many it sends before the last one.
        cipher: The one that must be spoken.
    """

    tls: bool = False
    version: str = ""
    ciphers: str = ""
    curve: str = ""
    certificate: str = ""
    user: str = ""
    password: str = ""
    requests: int = 0
    cipher: str = ""


@dataclass(frozen=True)
class Row:
    """
    One row.

    Args:
        name: The toolkit's.
        file: The web config; empty for none.
        toolkit: What happens there: an answer, or an error of the start or of the client.
        here: What happens here, in the words of `outcomes`; the same unless `why` is given.
        message: What the error of a start says here.
        why: Why Python's ssl cannot do the same.
    """

    name: str
    file: str
    toolkit: str
    here: str
    message: str = ""
    why: str = ""
    client: Client = field(default_factory=Client)


START = "refused at the start"


def _bad(name: str, file: str, toolkit: str, message: str) -> Row:
    return Row(name, file, toolkit, START, message)


YAML_FILES = (
    _bad("path to config yml invalid", "somefile", "no such file", r"somefile: found no such file or directory"),
    Row("empty config yml", "web_config_empty.yml", "valid", ANSWERED),
    _bad(
        "invalid config yml (invalid structure)",
        "web_config_junk.yml",
        "YAML error",
        r":1: found .* accepted: a mapping",
    ),
    _bad(
        "invalid config yml (invalid key)",
        "web_config_junk_key.yml",
        "YAML error",
        r":2: tls_server_config\.cert_filse: found an unknown key \(did you mean cert_file\?\)",
    ),
    _bad(
        "invalid config yml (cert path empty)",
        "web_config_noAuth_certPath_empty.bad.yml",
        "missing one of cert or cert_file",
        r":2: tls_server_config\.cert_file: found nothing",
    ),
    _bad(
        "invalid config yml (cert empty)",
        "web_config_noAuth_cert_empty.bad.yml",
        "missing one of cert or cert_file",
        r":2: tls_server_config\.cert: found nothing",
    ),
    _bad(
        "invalid config yml (key path empty)",
        "web_config_noAuth_keyPath_empty.bad.yml",
        "missing one of key or key_file",
        r":3: tls_server_config\.key_file: found nothing",
    ),
    _bad(
        "invalid config yml (key empty)",
        "web_config_noAuth_key_empty.bad.yml",
        "missing one of key or key_file",
        r":3: tls_server_config\.key: found nothing",
    ),
    _bad(
        "invalid config yml (cert path and key path empty)",
        "web_config_noAuth_certPath_keyPath_empty.bad.yml",
        "missing one of cert or cert_file",
        r":2: tls_server_config\.cert_file: found nothing",
    ),
    _bad(
        "invalid config yml (cert path invalid)",
        "web_config_noAuth_certPath_invalid.bad.yml",
        "no such file",
        r":2: tls_server_config\.cert_file: found 'somefile': no such file or directory",
    ),
    _bad(
        "invalid config yml (key path invalid)",
        "web_config_noAuth_keyPath_invalid.bad.yml",
        "no such file",
        r":3: tls_server_config\.key_file: found 'somefile': no such file or directory",
    ),
    _bad(
        "invalid config yml (cert path and key path invalid)",
        "web_config_noAuth_certPath_keyPath_invalid.bad.yml",
        "no such file",
        r":2: tls_server_config\.cert_file: found 'somefile': no such file or directory",
    ),
    _bad(
        "invalid config yml (invalid ClientAuth)",
        "web_config_noAuth.bad.yml",
        "client CA without a client auth policy",
        r":4: tls_server_config\.client_ca_file: found a CA, but client_auth_type NoClientCert",
    ),
    _bad(
        "invalid config yml (invalid ClientCAs filepath)",
        "web_config_auth_clientCAs_invalid.bad.yml",
        "no such file",
        r":4: tls_server_config\.client_ca_file: found 'somefile': no such file or directory",
    ),
    _bad(
        "invalid config yml (invalid user list)",
        "web_config_auth_user_list_invalid.bad.yml",
        "bad password",
        r":5: basic_auth_users\.john: found a value that is not shown, .* accepted: a bcrypt hash",
    ),
    _bad(
        "invalid config yml (bad cipher)",
        "web_config_noAuth_inventedCiphers.bad.yml",
        "unknown cipher",
        r":6: tls_server_config\.cipher_suites\[0\]: found 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA2048'",
    ),
    _bad(
        "invalid config yml (bad curves)",
        "web_config_noAuth_inventedCurves.bad.yml",
        "unknown curve",
        r":6: tls_server_config\.curve_preferences\[0\]: found 'CurveP257'",
    ),
    _bad(
        "invalid config yml (bad TLS version)",
        "web_config_noAuth_wrongTLSVersion.bad.yml",
        "unknown TLS version",
        r":5: tls_server_config\.min_version: found 'TLS111'; accepted: TLS10, TLS11, TLS12, TLS13",
    ),
)

_TLS = Client(tls=True)
_TWO_CIPHERS = Client(
    tls=True,
    ciphers="ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384",
    cipher="ECDHE-RSA-AES128-GCM-SHA256",
)
_ANY_CERTIFICATE = (
    "`RequireAnyClientCert` asks for a certificate and does not verify it; Python's ssl verifies what it asks for"
)

SERVER_BEHAVIOUR = (
    Row("empty string YAMLConfigPath and default client", "", ANSWERED, ANSWERED),
    Row(
        "empty string YAMLConfigPath and TLS client", "", "HTTP answer to an HTTPS client", "no TLS spoken", client=_TLS
    ),
    Row(
        "valid tls config yml and default client",
        "web_config_noAuth.good.yml",
        "HTTP request to an HTTPS server",
        "400 Bad Request",
    ),
    Row("valid tls config yml and tls client", "web_config_noAuth.good.yml", ANSWERED, ANSWERED, client=_TLS),
    Row(
        "valid tls config yml (cert and key inline) and tls client",
        "web_config_noAuth_tlsInline.good.yml",
        ANSWERED,
        ANSWERED,
        client=_TLS,
    ),
    Row(
        "valid tls config yml with TLS 1.1 client",
        "web_config_noAuth.good.yml",
        "alert: protocol version",
        "alert: protocol version",
        client=Client(tls=True, version="TLSv1_1"),
    ),
    Row(
        "valid tls config yml with all ciphers",
        "web_config_noAuth_allCiphers.good.yml",
        ANSWERED,
        ANSWERED,
        client=_TLS,
    ),
    Row(
        "valid tls config yml with some ciphers",
        "web_config_noAuth_someCiphers.good.yml",
        ANSWERED,
        ANSWERED,
        client=Client(tls=True, ciphers="ECDHE-RSA-AES128-GCM-SHA256"),
    ),
    Row(
        "valid tls config yml with no common cipher",
        "web_config_noAuth_someCiphers.good.yml",
        "alert: handshake failure",
        "alert: handshake failure",
        client=Client(tls=True, ciphers="ECDHE-RSA-AES256-SHA"),
    ),
    Row(
        "valid tls config yml with multiple client ciphers",
        "web_config_noAuth_someCiphers.good.yml",
        ANSWERED,
        ANSWERED,
        client=_TWO_CIPHERS,
    ),
    Row(
        "valid tls config yml with multiple client ciphers, client chooses cipher",
        "web_config_noAuth_someCiphers_noOrder.good.yml",
        ANSWERED,
        ANSWERED,
        client=_TWO_CIPHERS,
    ),
    Row(
        "valid tls config yml with all curves",
        "web_config_noAuth_allCurves.good.yml",
        ANSWERED,
        START,
        r":5: tls_server_config\.curve_preferences: found a list; accepted: one curve",
        "Python's ssl can be told one curve (`set_ecdh_curve`), not a list",
        client=_TLS,
    ),
    Row(
        "valid tls config yml with some curves",
        "web_config_noAuth_someCurves.good.yml",
        ANSWERED,
        ANSWERED,
        client=Client(tls=True, curve="secp521r1"),
    ),
    Row(
        "valid tls config yml with no common curves",
        "web_config_noAuth_someCurves.good.yml",
        "alert: handshake failure",
        "alert: handshake failure",
        client=Client(tls=True, curve="secp384r1"),
    ),
    Row(
        "valid tls config yml with non-http2 ciphers",
        "web_config_noAuth_noHTTP2.good.yml",
        ANSWERED,
        ANSWERED,
        client=_TLS,
    ),
    Row(
        "valid tls config yml with non-http2 ciphers but http2 enabled",
        "web_config_noAuth_noHTTP2Cipher.bad.yml",
        "no cipher that HTTP/2 requires",
        START,
        r":5: tls_server_config\.cipher_suites: found none of those that HTTP/2 requires",
        client=_TLS,
    ),
    Row("valid headers config", "web_config_headers.good.yml", ANSWERED, ANSWERED),
    Row(
        "invalid X-Content-Type-Options headers config",
        "web_config_headers_content_type_options.bad.yml",
        "invalid value",
        START,
        r":3: http_server_config\.headers\.X-Content-Type-Options: found 'sniff'; accepted: nosniff",
    ),
    Row(
        "invalid X-Frame-Options headers config",
        "web_config_headers_frame_options.bad.yml",
        "invalid value",
        START,
        r":3: http_server_config\.headers\.X-Frame-Options: found 'foo'; accepted: deny, sameorigin",
    ),
    Row(
        "HTTP header that can not be overridden",
        "web_config_headers_extra_header.bad.yml",
        "invalid header",
        START,
        r":3: http_server_config\.headers\.Content-Type: found an unknown key",
    ),
    Row(
        "valid tls config yml and tls client with RequireAnyClientCert (present certificate)",
        "tls_config_noAuth.requireanyclientcert.good.yml",
        ANSWERED,
        START,
        r":4: tls_server_config\.client_auth_type: found 'RequireAnyClientCert'; accepted: NoClientCert, ",
        _ANY_CERTIFICATE,
        client=Client(tls=True, certificate="client_selfsigned"),
    ),
    Row(
        "valid tls config yml (cert from file, key inline) and tls client with RequireAnyClientCert"
        " (present certificate)",
        "tls_config_noAuth.requireanyclientcert.good.yml",
        ANSWERED,
        START,
        r":4: tls_server_config\.client_auth_type: found 'RequireAnyClientCert'; accepted: NoClientCert, ",
        _ANY_CERTIFICATE,
        client=Client(tls=True, certificate="client_selfsigned"),
    ),
    Row(
        "valid tls config yml and tls client with RequireAndVerifyClientCert (present certificate)",
        "tls_config_noAuth.requireandverifyclientcert.good.yml",
        ANSWERED,
        ANSWERED,
        client=Client(tls=True, certificate="client_selfsigned"),
    ),
    Row(
        "valid tls config yml and tls client with VerifyPeerCertificate (present good SAN DNS entry)",
        "web_config_auth_client_san.good.yaml",
        ANSWERED,
        ANSWERED,
        client=Client(tls=True, certificate="client2_selfsigned"),
    ),
    Row(
        "valid tls config yml and tls client with VerifyPeerCertificate (present invalid SAN DNS entries)",
        "web_config_auth_client_san.bad.yaml",
        "alert: bad certificate",
        "connection closed",
        why="refused as well, but Python's ssl cannot be told to send an alert: the connection is closed without one",
        client=Client(tls=True, certificate="client2_selfsigned"),
    ),
    Row(
        "valid rate limiter (no rate limiter set up) that doesn't block",
        "web_config_rate_limiter_nonblocking.yaml",
        ANSWERED,
        ANSWERED,
        client=Client(requests=10),
    ),
    Row(
        "valid rate limiter with an interval of one second",
        "web_config_rate_limiter_one_second.yaml",
        TOO_MANY,
        TOO_MANY,
        client=Client(requests=10),
    ),
)

_PLAIN_USERS = "web_config_users_noTLS.good.yml"
_USERS = "web_config_users.good.yml"

USERS = (
    Row("without basic auth", _PLAIN_USERS, UNAUTHORIZED, UNAUTHORIZED),
    Row("with correct basic auth", _PLAIN_USERS, ANSWERED, ANSWERED, client=Client(user="dave", password="dave123")),
    Row("without basic auth and TLS", _USERS, UNAUTHORIZED, UNAUTHORIZED, client=_TLS),
    Row(
        "with correct basic auth and TLS",
        _USERS,
        ANSWERED,
        ANSWERED,
        client=Client(tls=True, user="dave", password="dave123"),
    ),
    Row(
        "with another correct basic auth and TLS",
        _USERS,
        ANSWERED,
        ANSWERED,
        client=Client(tls=True, user="carol", password="carol123"),
    ),
    Row(
        "with bad password and TLS",
        _USERS,
        UNAUTHORIZED,
        UNAUTHORIZED,
        client=Client(tls=True, user="dave", password="bad"),
    ),
    Row(
        "with bad username and TLS",
        _USERS,
        UNAUTHORIZED,
        UNAUTHORIZED,
        client=Client(tls=True, user="nonexistent", password="nonexistent"),
    ),
)

TABLES = {"TestYAMLFiles": YAML_FILES, "TestServerBehaviour": SERVER_BEHAVIOUR, "TestUsers": USERS}
