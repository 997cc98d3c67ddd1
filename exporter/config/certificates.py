"""
Certificates that a source trusts instead of the system's, read from its ``ca_file``.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from exporter.vendors.source import Certificates, Source

LARGEST_CA_FILE: Final = 2**20
"""Bytes; the bundle of a whole Linux distribution takes a quarter of it."""


def read_certificates(path: Path) -> Certificates:
    """
    The certificates that a file holds now.

    Raises:
        ValueError: What is accepted instead.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_CA_FILE + 1)
    except (OSError, ValueError):
        raise ValueError("a readable file of certificates in PEM form") from None
    if len(content) > LARGEST_CA_FILE:
        raise ValueError(f"a file of certificates in PEM form, of at most {LARGEST_CA_FILE:,} bytes")
    # PEM is ASCII, but the comments around it, such as the names of authorities, need not be.
    pem = content.decode("ascii", errors="ignore")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):
        raise ValueError("a file of certificates in PEM form") from None
    return Certificates(pem, str(path))


def reread(source: Source, problems: list[str]) -> Source:
    """The source with the certificates of its ``ca_file`` as they are now; what is wrong with them is noted."""
    if source.ca_file is None:
        return source
    file = source.ca_file.file
    try:
        return source.model_copy(update={"ca_file": read_certificates(Path(file))})
    except ValueError as error:
        problems.append(f"source {source.name!r}: ca_file: found {file!r}; accepted: {error}")
        return source
