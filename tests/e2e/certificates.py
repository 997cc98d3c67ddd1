"""
A certificate authority in two files: what the vendors show, and what a source trusts.
"""

from __future__ import annotations

from pathlib import Path

import trustme


class Certificates:
    """
    Attributes:
        ca_file: The authority's certificate, for `ca_file`.
        server_file: The vendors' key and certificates, of that authority.
    """

    def __init__(self, folder: Path) -> None:
        self.ca_file = folder / "ca.pem"
        self.server_file = folder / "server.pem"
        self.renew()

    def renew(self) -> None:
        """Go over to a new authority, which has nothing in common with the old one but its file."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(self.server_file)
