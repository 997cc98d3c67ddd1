"""
Bytes of the files that a config names: secrets and certificates. Each is what it should be, or a problem in words that
does not show what the file holds.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config import ConfigError, parse
from tests.fuzz.editions import EDITIONS

PEM = trustme.CA().cert_pem.bytes()
MARK = "q8Zr2LwX"

secrets = st.binary(max_size=60) | st.lists(
    st.sampled_from(
        [b"\n", b"\r\n", b" ", b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"'", b"${A}", MARK.encode(), "密".encode()]
    ),
    max_size=8,
).map(b"".join)


@st.composite
def certificates(draw: st.DrawFn) -> bytes:
    """
    A bundle with mistakes in it.
    """
    pem = bytearray(PEM)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(pem)))
        pem[at : at + draw(st.integers(0, 90))] = draw(st.binary(max_size=9))
    return bytes(pem) + draw(st.sampled_from([b"", PEM, b"\xe4 comment\n", b"\x00"]))


@pytest.mark.parametrize("examples", EDITIONS)
def test_any_secret_file(tmp_path: Path, examples: int) -> None:
    """
    One line of text is a secret, whatever it looks like; everything else is refused, and nothing of it told.
    """
    path = tmp_path / "secret"
    text = f"sources: [{{name: a, api: zego_rtc, app_id: 1, server_secret_file: {path}, rooms: [a]}}]"

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(content=secrets)
    def holds(content: bytes) -> None:
        path.write_bytes(content)
        try:
            config = parse(text, tmp_path / "exporter.yml", {})
            told = "\n".join(config.warnings)
            (secret,) = config.sources[0].source.secrets()
            assert secret.encode() == content.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\n").removesuffix(b"\r")
        except ConfigError as error:
            told = str(error)
            assert told.count("\n") == 0
        assert MARK not in told

    holds()


@pytest.mark.parametrize("examples", EDITIONS)
def test_any_file_of_certificates(tmp_path: Path, examples: int) -> None:
    """
    What OpenSSL takes is used as it is, and what it does not is refused in one line.
    """
    path = tmp_path / "ca.pem"
    keys = f"app_id: 1, server_secret: {'0123456789abcdef' * 2}, ca_file: {path}, rooms: [a]"

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(content=certificates() | st.binary(max_size=200))
    def holds(content: bytes) -> None:
        path.write_bytes(content)
        try:
            config = parse(f"sources: [{{name: a, api: zego_rtc, {keys}}}]", tmp_path / "exporter.yml", {})
            assert config.sources[0].source.ca_file
        except ConfigError as error:
            assert str(error).count("\n") == 0  # noqa: PT017  # either end is right
            assert "accepted: a file of certificates in PEM form" in str(error)  # noqa: PT017

    holds()
