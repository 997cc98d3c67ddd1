"""
What is wrong with a web config, in words, and what is only odd; no secret is among them.
"""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config import ConfigError
from exporter.web.security.config import load_web_config
from tests.web.security.house import CLIENTS, HASH, TLS, USERS, House

INLINE_KEY = (
    "tls_server_config:\n  cert_file: server.crt\n  key: |\n    -----BEGIN PRIVATE KEY-----\n    MARKEDSECRET12345678\n"
)


@pytest.mark.parametrize(
    ("config", "line", "said"),
    [
        ("tls: {}\n", 1, "tls: found an unknown key; accepted: basic_auth_users, http_server_config, rate_limit"),
        ("basic_auth_user: {}\n", 1, "found an unknown key (did you mean basic_auth_users?)"),
        ("tls_server_config:\n", 1, "tls_server_config: found nothing; accepted: a mapping"),
        ("basic_auth_users:\n", 1, "basic_auth_users: found nothing; accepted: a mapping"),
        (
            "tls_server_config: {}\n",
            1,
            "found no certificate or no key; accepted: one of cert and cert_file, and one of",
        ),
        (TLS + "  cert: x\n", 4, "cert: found cert and cert_file; accepted: one of the two"),
        (TLS + "  min_version: TLS13\n  max_version: TLS12\n", 4, "found TLS13, but max_version TLS12"),
        (TLS + "  min_version: SSL3\n", 4, "found 'SSL3'; accepted: TLS10, TLS11, TLS12, TLS13"),
        (TLS + "  client_auth_type: RequestClientCert\n", 4, "Python cannot ask for a certificate without verifying"),
        (TLS + "  client_auth_type: RequireClientCert\n", 4, "Python cannot ask for a certificate without verifying"),
        (
            TLS + "  client_allowed_sans: [a]\n",
            4,
            "found names, but client_auth_type NoClientCert, so that no certificate",
        ),
        (TLS + CLIENTS + "  client_allowed_sans: []\n", 6, "found an empty list; accepted: at least 1 of them"),
        (
            TLS + CLIENTS + "  client_ca: x\n",
            6,
            "client_ca: found client_ca and client_ca_file; accepted: one of the two",
        ),
        (TLS + CLIENTS.replace("clients.pem", "web.yml"), 5, "client_ca_file: found a file with no certificate"),
        (TLS + "  prefer_server_cipher_suites: yes\n", 4, "found 'yes'; accepted: true, false"),
        (TLS + "  cipher_suites: TLS_AES_128_GCM_SHA256\n", 4, "accepted: a list"),
        (
            TLS + "  max_version: TLS12\n  cipher_suites: [TLS_AES_128_GCM_SHA256]\n",
            5,
            "found none that TLS12 has; accepted: a suite whose name begins with TLS_ECDHE",
        ),
        (TLS.replace("server.key", "clients.pem"), 3, "key_file: found a file with no private key; accepted: the cert"),
        (TLS.replace("server.key", "other.key"), 3, "key_file: found a file with the key of another certificate"),
        (TLS.replace("server.crt", "server.key"), 2, "cert_file: found a file with no certificate; accepted: certif"),
        (TLS.replace("server.crt", "."), 2, "cert_file: found '.': is a directory; accepted: a readable file"),
        (TLS.replace("server.crt", "server.crt\\0"), 2, "cert_file: found"),
        ("http_server_config: {http2: maybe}\n", 1, "http2: found 'maybe'; accepted: true, false"),
        ('http_server_config: {headers: {X-XSS-Protection: "a\\nb: c"}}\n', 1, "accepted: printable ASCII in one line"),
        (
            "rate_limit: {interval: 5}\n",
            1,
            "interval: found '5'; accepted: a duration such as 500ms, 10s or 1m30s, or 0",
        ),
        ("rate_limit: {interval: -1s}\n", 1, "interval: found '-1s'; accepted: a duration"),
        ("rate_limit: {interval: 1s, burst: -1}\n", 1, "burst: found '-1'; accepted: 0 or more"),
        ("rate_limit: {interval: 1s, burst: many}\n", 1, "burst: found 'many'; accepted: a whole number"),
        ("basic_auth_users: {a: b, a: c}\n", 1, "again, first in line 1; accepted: each key once"),
        (
            "basic_auth_users: {'a:b': " + HASH + "}\n",
            1,
            "found a name with a colon; accepted: names of users without a colon",
        ),
        ("basic_auth_users: [" + HASH + "]\n", 1, "basic_auth_users: found a list; accepted: a mapping"),
        ("[]\n", 1, "found an empty list; accepted: a mapping with tls_server_config, http_server_config, "),
        ("a: b: c\n", 1, "found a value with a colon and a space in it"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, config, line, said):
    """
    File, line, key, what was found and what is accepted.
    """
    house = House(tmp_path, config)
    (tmp_path / "other.key").write_bytes(house.authority.issue_cert("other").private_key_pem.bytes())

    with pytest.raises(ConfigError) as raised:
        load_web_config(house.file)

    (problem,) = [problem for problem in str(raised.value).splitlines() if said in problem]
    assert problem.startswith(f"{house.file}:{line}: ")


def test_all_problems_are_told_at_once(tmp_path):
    """
    In the order of the file.
    """
    house = House(tmp_path, f"rate_limit: {{interval: x}}\nhttp_server_config: {{http3: true}}\n{USERS}  bob: x\n")

    with pytest.raises(ConfigError) as raised:
        load_web_config(house.file)

    assert [1, 2, 5] == [int(found) for found in re.findall(r"web\.yml:(\d+):", str(raised.value))]


@pytest.mark.parametrize(
    "config",
    [
        USERS + "  bob: MARKEDSECRET12345678\n",
        USERS + "  bob: [MARKEDSECRET12345678]\n",
        USERS + "  MARKEDSECRET12345678:\n",
        USERS.replace(HASH, HASH[:-1]),
        f"basic_auth_users: {{a: {HASH}, {HASH[10:]}}}\n",
        f"rate_limit: {{interval: {HASH}}}\n",
        f"basic_auth_users: {HASH}\n",
        f"{HASH}: a\n",
        f"basic_auth_users:\n  prometheus {HASH}\n",
        f"basic_auth_users:\n  prometheus: '{HASH}\n",
        INLINE_KEY,
        INLINE_KEY.replace("  key: |", "  key_file: |"),
        INLINE_KEY.replace("  key: |", "  min_version: |"),
        INLINE_KEY.replace("  key: |", "  keys: |"),
        INLINE_KEY.replace("key: |", "key: >-"),
        TLS.replace("server.key", r'"-----BEGIN PRIVATE KEY-----\nMARKEDSECRET\nMARKEDSECRET"'),
    ],
)
def test_no_secret_is_shown(tmp_path, config):
    """
    Wherever a hash, a password or a key has landed by mistake.
    """
    house = House(tmp_path, config)

    with pytest.raises(ConfigError) as raised:
        load_web_config(house.file)

    told = str(raised.value) + repr(raised.value)
    assert "MARKEDSECRET" not in told
    for start in range(0, len(HASH) - 10, 5):
        assert HASH[start : start + 10] not in told


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (USERS, "web.yml:1: basic_auth_users: passwords without tls_server_config cross the network in the clear"),
        (TLS + USERS.replace("$04$", "$15$"), "web.yml:5: basic_auth_users.prometheus: a hash of cost 15: about 2 s"),
        ("rate_limit: {interval: 1s}\n", "web.yml:1: rate_limit.burst: a burst of 0 refuses every request"),
        ("http_server_config: {http2: true}\n", "web.yml:1: http_server_config.http2: this exporter speaks HTTP/1.1"),
    ],
)
def test_what_is_only_odd_is_a_warning(tmp_path, config, said):
    """
    It is accepted, as every other exporter accepts it.
    """
    (warning,) = load_web_config(House(tmp_path, config).file).warnings

    assert said in warning


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [("0", 0), ("1s", 1), ("1m30s", 90), ("1.5h", 5400), ("250ms", 0.25), ("10us", 1e-5), ("10µs", 1e-5), (".5s", 0.5)],
)
def test_durations_are_go_s(tmp_path, interval, seconds):
    """
    As the toolkit reads them.
    """
    config = load_web_config(House(tmp_path, f"rate_limit: {{interval: {interval}, burst: 1}}\n").file)

    assert seconds == pytest.approx(config.rate_limit.interval)


def test_a_file_that_repeats_itself_takes_no_memory(tmp_path):
    """
    Aliases of aliases stand for a billion values.
    """
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 9)]

    with pytest.raises(ConfigError):
        load_web_config(House(tmp_path, "\n".join(lines)).file)


def test_a_large_file_is_not_read_to_its_end(tmp_path):
    """
    One MiB is more than anybody needs.
    """
    with pytest.raises(ConfigError, match="found more than 1,048,576 bytes, too many to read"):
        load_web_config(House(tmp_path, "#" * 2**20 + "\n").file)


_WORDS = st.sampled_from(
    ["tls_server_config", "basic_auth_users", "http_server_config", "headers", "rate_limit", "cert", "key", "interval"]
)
_VALUES = st.recursive(
    st.text(max_size=20) | _WORDS | st.integers().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS | st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    """
    A file that is written anew for each example.
    """
    return tmp_path_factory.mktemp("fuzz") / "web.yml"


@settings(deadline=None)
@given(content=st.binary(max_size=200) | _VALUES.map(lambda value: repr(value).encode()))
def test_any_bytes_are_a_web_config_or_have_a_problem(fuzzed, content):
    """
    No other exception, whatever the file holds.
    """
    fuzzed.write_bytes(content)
    with suppress(ConfigError):
        assert load_web_config(fuzzed).context is None


@pytest.mark.soak
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=400) | _VALUES.map(lambda value: repr(value).encode()))
def test_very_many_bytes_are_a_web_config_or_have_a_problem(fuzzed, content):
    """
    As above, ten thousand times.
    """
    fuzzed.write_bytes(content)
    with suppress(ConfigError):
        load_web_config(fuzzed)
