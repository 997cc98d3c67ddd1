"""An HTTP client on a bare socket: it must not be what is measured."""

from __future__ import annotations

import base64
import gzip
import socket
import ssl
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

_BUFFER: Final = 4 * 1024 * 1024
_LAST_CHUNK: Final = b"0\r\n\r\n"
_PATIENCE: Final = 120.0

LOGIN: Final = "prometheus:benchmark"
"""User and password of a guarded server."""


@dataclass(frozen=True, slots=True)
class Scraped:
    """
    One answered scrape.

    Args:
        seconds: From the first byte of the request to the last one of the answer.
        length: Bytes that came, head included.
    """

    seconds: float
    length: int


class Scraper:
    """
    One kept-alive connection that scrapes and throws away what comes.

    Args:
        guarded: Whether to speak TLS, with any certificate, and to log in.
    """

    def __init__(self, port: int, *, compressed: bool, path: str = "/metrics", guarded: bool = False) -> None:
        encoding = "gzip" if compressed else "identity"
        login = f"Authorization: Basic {base64.b64encode(LOGIN.encode()).decode()}\r\n" if guarded else ""
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{login}Accept-Encoding: {encoding}\r\n\r\n"
        self._request = head.encode()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if guarded:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self._socket = context.wrap_socket(self._socket)
        self._buffer = memoryview(bytearray(_BUFFER))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def scrape(self) -> Scraped:
        """
        Ask once and wait for the last byte.

        Raises:
            ConnectionError: The server closed the connection, or did not answer 200.
        """
        started = time.perf_counter()
        self._socket.sendall(self._request)
        length = self._receive()
        head, _, begun = bytes(self._buffer[:length]).partition(b"\r\n\r\n")
        while not begun and b"\r\n\r\n" not in bytes(self._buffer[:length]):
            length += self._receive(length)
            head, _, begun = bytes(self._buffer[:length]).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(head.partition(b"\r\n")[0].decode())
        expected = _content_length(head)
        if expected is not None:
            length = self._read_to(len(head) + 4 + expected, length)
        else:
            length = self._read_to_last_chunk(length)
        return Scraped(time.perf_counter() - started, length)

    def _read_to(self, end: int, length: int) -> int:
        while length < end:
            length += self._receive()
        return length

    def _read_to_last_chunk(self, length: int) -> int:
        tail = bytes(self._buffer[max(0, length - len(_LAST_CHUNK)) : length])
        while not tail.endswith(_LAST_CHUNK):
            came = self._receive()
            length += came
            tail = (tail + bytes(self._buffer[max(0, came - len(_LAST_CHUNK)) : came]))[-len(_LAST_CHUNK) :]
        return length

    def _receive(self, offset: int = 0) -> int:
        came = self._socket.recv_into(self._buffer[offset:])
        if not came:
            raise ConnectionError("the server closed the connection")
        return came


def fetch(port: int, *, compressed: bool, path: str = "/metrics") -> bytes:
    """The whole body, unpacked."""
    encoding = "gzip" if compressed else "identity"
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE) as connection:
        head = f"GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept-Encoding: {encoding}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        answer = bytearray()
        while part := connection.recv(_BUFFER):
            answer += part
    headers, _, body = bytes(answer).partition(b"\r\n\r\n")
    if b"content-encoding: gzip" in headers.lower():
        return gzip.decompress(body)
    return body


def _content_length(head: bytes) -> int | None:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return None
