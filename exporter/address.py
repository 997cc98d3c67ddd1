"""The listen address: parses the text of the flag, and opens the listening socket."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from exporter.errors import UserError

_ACCEPTED: Final = "HOST:PORT, :PORT or [IPV6]:PORT with a port from 0 to 65535, such as :9877 or 127.0.0.1:9877"
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^\[\]:/\s]*):(?P<port>\d{1,5})", re.ASCII)
_BACKLOG: Final = 128
_FLAG: Final = "--web.listen-address"


@dataclass(frozen=True, slots=True)
class Address:
    """
    An address to listen on.

    Args:
        host: A name or an IP address; empty for every address of this machine.
        port: 0 for any free port.
        key: The flag or key that it stands under, for messages.
    """

    host: str
    port: int
    key: str = field(default=_FLAG, compare=False)

    @classmethod
    def parse(cls, text: str, key: str = _FLAG) -> Address:
        """
        Parse the text of a flag or a key.

        Raises:
            UserError: The text is not an address.
        """
        match = _ADDRESS.fullmatch(text)
        if match is None or int(match["port"]) > 65_535:
            raise UserError(f"the listen address {text!r} is not valid; accepted: {_ACCEPTED}")
        return cls(match["host"].strip("[]"), int(match["port"]), key)

    def listen(self) -> socket.socket:
        """
        Open a listening socket; without a host, for IPv4 and IPv6.

        Raises:
            UserError: The socket cannot be opened; says where and why.
        """
        with self.raising_user_error():
            return self._listen()

    @contextmanager
    def raising_user_error(self) -> Iterator[None]:
        """
        Turn an operating system error into a message for the user.

        Raises:
            UserError: The socket cannot be opened; says where and why.
        """
        try:
            yield
        except UnicodeError as error:
            # A label of the host is empty or longer than 63 letters.
            raise UserError(f"cannot listen on {self}: this is not a host name") from error
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or error
            taken = error.errno == errno.EADDRINUSE
            remedy = f"; end what listens there, or choose another address with {self.key}" if taken else ""
            raise UserError(f"cannot listen on {self}: {reason}{remedy}") from error

    def __str__(self) -> str:
        return f"{_in_brackets(self.host) or '*'}:{self.port}"

    def _listen(self) -> socket.socket:
        if not self.host:
            if socket.has_dualstack_ipv6():
                return socket.create_server(
                    ("", self.port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True
                )
            return socket.create_server(("", self.port), backlog=_BACKLOG)
        family, _, _, _, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)

    def url(self, port: int, scheme: str = "http") -> str:
        """The URL under which a browser on this machine reaches this address at this port."""
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  # compared, not bound
        return f"{scheme}://{_in_brackets(host)}:{port}"


def _in_brackets(host: str) -> str:
    """The host as written before a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
