"""
Certificates that a config names are part of it: what was read is used, and what changed is seen.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from exporter.config import ConfigError, SourceConfig, reread_files
from exporter.config.secrets import LARGEST_CA_FILE, read_certificates
from exporter.vendors.source import Certificates
from tests.config.configs import SECRET, config, source, text


@pytest.fixture(scope="module")
def pems() -> list[str]:
    """The certificates of two authorities."""
    return [trustme.CA().cert_pem.bytes().decode() for _ in range(2)]


def trusting(file: Path) -> SourceConfig:
    """A source with this ``ca_file``."""
    return source(f"ca_file: {file}")


def test_file_is_read_with_the_config(tmp_path, pems):
    """
    A file that is swapped or lost afterwards changes nothing for the config that was read.
    """
    (tmp_path / "ca.pem").write_text(pems[0])
    read = trusting(tmp_path / "ca.pem")
    (tmp_path / "ca.pem").unlink()

    trusted = read.source.ca_file

    assert trusted is not None
    assert (pems[0], str(tmp_path / "ca.pem")) == (trusted.pem, trusted.file)
    assert 1 == len(ssl.create_default_context(cadata=trusted.pem).get_ca_certs())


def test_rotated_file_makes_another_client(tmp_path, pems):
    """
    Certificates are compared by what they are, so that a reload sees new ones under the old name.
    """
    file = tmp_path / "ca.pem"
    file.write_text(pems[0])
    before = trusting(file)
    file.write_text(pems[1])
    after = trusting(file)

    assert before != after
    assert before.client_key != after.client_key


def test_moved_file_is_the_same_client(tmp_path, pems):
    """
    The same certificates under another name are the same.
    """
    for name in ("a.pem", "b.pem"):
        (tmp_path / name).write_text(pems[0])

    assert trusting(tmp_path / "a.pem").client_key == trusting(tmp_path / "b.pem").client_key


def test_reread(tmp_path, pems):
    """
    A file that was rotated is there after a second look.
    """
    file = tmp_path / "ca.pem"
    file.write_text(pems[0])
    before = trusting(file)
    file.write_text(pems[1])

    after = reread_files(before)

    assert Certificates(pems[1], str(file)) == after.source.ca_file
    assert trusting(file) == after != before


def test_reread_of_a_lost_file_and_a_lost_secret(tmp_path, pems):
    """
    Every file that cannot be read again is told by the source's name and its own.
    """
    (tmp_path / "key").write_text(SECRET)
    (tmp_path / "ca.pem").write_text(pems[0])
    inline, files = f"secret_key: {SECRET}", f"secret_key_file: {tmp_path}/key\n    ca_file: {tmp_path}/ca.pem"
    (read,) = config(text(api="tencent_im").replace(inline, files)).sources
    (tmp_path / "key").unlink()
    (tmp_path / "ca.pem").write_text("no certificate")

    with pytest.raises(ConfigError) as refused:
        reread_files(read)

    accepted = "a readable file that holds the secret alone"
    assert (
        f"source 'live': secret_key_file: found '{tmp_path}/key' (no such file or directory); accepted: {accepted}",
        f"source 'live': ca_file: found '{tmp_path}/ca.pem'; accepted: a file of certificates in PEM form",
    ) == refused.value.problems


def test_bundle_with_comments_in_any_language(tmp_path, pems):
    """
    Bundles name their authorities between the certificates, in UTF-8 or not.
    """
    bundle = f"# Főtanúsítvány\n{pems[0]}\n".encode() + b"# Caf\xe9\r\n" + pems[1].encode()
    (tmp_path / "ca.pem").write_bytes(bundle)

    trusted = read_certificates(tmp_path / "ca.pem")

    assert 2 == len(ssl.create_default_context(cadata=trusted.pem).get_ca_certs())


@pytest.mark.parametrize(
    ("edit", "accepted"),
    [
        (lambda pem: "", "a file of certificates in PEM form"),
        (lambda pem: "Főtanúsítvány", "a file of certificates in PEM form"),
        (lambda pem: pem.replace("A", "!"), "a file of certificates in PEM form"),
        (lambda pem: pem + pem[: len(pem) // 2], "a file of certificates in PEM form"),
        (lambda pem: pem.replace("CERTIFICATE", "PRIVATE KEY"), "a file of certificates in PEM form"),
        (
            lambda pem: pem + "#" * LARGEST_CA_FILE,
            "a readable file of certificates in PEM form",
        ),
    ],
    ids=["empty", "text", "damaged", "cut", "key", "endless"],
)
def test_file_that_will_not_do(tmp_path, pems, edit, accepted):
    """
    One bad certificate is as bad as none, and a file without an end is not read to it.
    """
    (tmp_path / "ca.pem").write_text(edit(pems[0]))

    with pytest.raises(ValueError, match="certificates") as refused:
        read_certificates(tmp_path / "ca.pem")

    assert accepted == str(refused.value)


def test_folder_is_no_file(tmp_path):
    """
    A folder of certificates is not read.
    """
    with pytest.raises(ValueError, match="a readable file of certificates in PEM form"):
        read_certificates(tmp_path)


def test_repr_shows_the_path_alone(tmp_path, pems):
    """
    A log line that shows a source is not filled with base64.
    """
    assert f"Certificates(file='{tmp_path}/ca.pem')" == repr(Certificates(pems[0], f"{tmp_path}/ca.pem"))
