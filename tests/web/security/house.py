"""
A folder with a web config, certificates of a made-up authority and passwords, which a test changes as it likes.
"""

from __future__ import annotations

from pathlib import Path

import trustme

PASSWORD = "correct horse"
HASH = "$2b$04$HzQNqmefdOIV7xXOtXOF6u9r625QjLZ3fD3yTJT4rcpPZ2fm4cpw."
"""Of that password, at the lowest cost."""

TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
CLIENTS = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n"
USERS = f"basic_auth_users:\n  prometheus: {HASH}\n"


class House:
    """
    The folder.

    Attributes:
        file: The web config.
        ca_file: What clients trust.
    """

    def __init__(self, folder: Path, config: str = TLS) -> None:
        self.folder = folder
        self.file = folder / "web.yml"
        self.ca_file = folder / "ca.pem"
        self.authority = trustme.CA()
        self.authority.cert_pem.write_to_path(self.ca_file)
        self.client_authority = trustme.CA()
        self.client_authority.cert_pem.write_to_path(folder / "clients.pem")
        self.renew()
        self.write(config)

    def write(self, config: str) -> None:
        """
        Replace the web config in one step.
        """
        self.replace("web.yml", config.encode())

    def replace(self, name: str, content: bytes) -> None:
        """
        Replace a file in one step.
        """
        new = self.folder / f"{name}.new"
        new.write_bytes(content)
        new.rename(self.folder / name)

    def renew(self) -> None:
        """
        A new certificate of the same authority, key first, and nobody waits between the two.
        """
        leaf = self.authority.issue_cert("localhost", "127.0.0.1")
        self.replace("server.key", leaf.private_key_pem.bytes())
        self.replace("server.crt", b"".join(pem.bytes() for pem in leaf.cert_chain_pems))

    def client(self, *names: str, authority: trustme.CA | None = None) -> tuple[Path, Path]:
        """
        Certificate and key of a client with these names.
        """
        leaf = (authority or self.client_authority).issue_cert(*names)
        cert, key = self.folder / f"{names[0]}.crt", self.folder / f"{names[0]}.key"
        cert.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        key.write_bytes(leaf.private_key_pem.bytes())
        return cert, key
