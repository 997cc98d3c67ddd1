"""
A vendor that answers with the very request that it got, in every place where a reply can hold text.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.vendors import examples

_ROOM = re.compile(rb"echo-([a-z0-9_]+)")
_DERIVED = (
    re.compile(r"[?&]Signature=([^& ]+)"),
    re.compile(r"[?&]usersig=([^& ]+)"),
    re.compile(r"Signature=([0-9a-f]{64})"),
    re.compile(r"(?im)^authorization: (.*)$"),
    re.compile(r"(?im)^x-security-token: (.*)$"),
    re.compile(r'"admin_(?:secret|key)": ?"([^"]+)"'),
    re.compile(r"(?im)^proxy-authorization: Basic (.*)$"),
)


@dataclass
class Heard:
    """
    Everything secret that the vendor has heard.
    """

    derived: set[str] = field(default_factory=set)
    modes: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Asked:
    """
    One request.

    Attributes:
        text: The whole of it.
        derived: What was made from secrets in it, as the client wrote it.
    """

    api: str
    text: str
    derived: list[str]

    @property
    def secret(self) -> str:
        """One of the values; a line as such a value is none."""
        return self.derived[0] if self.derived else "none"


def _head(status: str, *headers: str) -> bytes:
    return ("\r\n".join([f"HTTP/1.1 {status}", *headers]) + "\r\n").encode("latin-1", "replace")


def _whole(body: bytes | str | dict[str, Any], status: str = "200 OK", *headers: str) -> bytes:
    raw = json.dumps(body).encode() if isinstance(body, dict) else body.encode() if isinstance(body, str) else body
    return _head(status, *headers, f"Content-Length: {len(raw)}", "Connection: close", "") + raw


def _code(asked: Asked, code: str) -> dict[str, Any]:
    return examples.failure(asked.api, code)


def _named(asked: Asked) -> dict[str, Any]:
    """
    A failure whose every text is the request.
    """
    return {**_code(asked, "Unheard"), "Message": asked.text, "ErrorInfo": asked.text, "RequestId": asked.secret}


MODES: dict[str, Callable[[Asked], bytes]] = {
    "code": lambda asked: _whole(_code(asked, asked.secret)),
    "code_of_all": lambda asked: _whole(_code(asked, asked.text)),
    "code_part": lambda asked: _whole(_code(asked, f"Bad.{asked.secret[:40]}")),
    "code_end": lambda asked: _whole(_code(asked, f"x-{asked.secret[-20:]}")),
    "code_upper": lambda asked: _whole(_code(asked, asked.secret.upper())),
    "code_401": lambda asked: _whole(_code(asked, asked.secret), "401 Unauthorized"),
    "code_403": lambda asked: _whole(_code(asked, asked.secret), "403 Forbidden"),
    "code_429": lambda asked: _whole(_code(asked, asked.secret), "429 Slow"),
    "message": lambda asked: _whole(_named(asked)),
    "message_known": lambda asked: _whole({**_code(asked, "70009"), "Code": 100000005, "Message": asked.text}),
    "keys": lambda asked: _whole({asked.secret: {asked.text: 1}}),
    "count": lambda asked: _whole(examples.success(asked.api, ["echo-count"], asked.secret, asked.text)),
    "room": lambda asked: _whole(examples.success(asked.api, [asked.secret, asked.text], 3, 1)),
    "html": lambda asked: _whole(f"<p>{asked.text}</p>", "500 Oops"),
    "html_ok": lambda asked: _whole(f"<p>{asked.text}</p>"),
    "redirect": lambda asked: _whole(b"", "302 Found", f"Location: http://127.0.0.1/?{asked.secret}"),
    "reason": lambda asked: _whole(b"", f"418 {asked.secret}"),
    "status": lambda asked: _head(f"{asked.secret} OK", ""),
    "no_status": lambda asked: asked.text.encode(),
    "headers": lambda asked: _whole(b"", "401 No", f"WWW-Authenticate: {asked.secret}", f"X-{asked.secret[:9]}: 1"),
    "bad_header": lambda asked: _head("200 OK", f"{asked.secret} {asked.secret}", ""),
    "long_header": lambda asked: _whole(b"{}", "200 OK", f"X-Trace: {asked.secret * 900}"),
    "length": lambda asked: _head("200 OK", f"Content-Length: {asked.secret}", ""),
    "chunk": lambda asked: (
        _head("200 OK", "Transfer-Encoding: chunked", "") + f"{asked.secret}\r\nabc\r\n0\r\n\r\n".encode()
    ),
    "coding": lambda asked: _head("200 OK", f"Transfer-Encoding: {asked.secret}", ""),
    "gzip": lambda asked: _whole(asked.text, "200 OK", "Content-Encoding: gzip"),
    "date": lambda asked: _whole(_named(asked), "503 No", f"Date: {asked.secret}", f"Retry-After: {asked.secret}"),
    "cookie": lambda asked: _whole(b"{}", "200 OK", f"Set-Cookie: {asked.secret}={asked.secret}; Path={asked.secret}"),
    "type": lambda asked: _whole(b"{}", "200 OK", f"Content-Type: {asked.secret}; charset={asked.secret}"),
    "half": lambda asked: _head("200 OK", "Content-Length: 99999", "") + asked.text.encode(),
    "nothing": lambda _: b"",
}
"""What is answered to a call for ``echo-{mode}``."""


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, heard: Heard) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard = heard


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        request: socket.socket = self.request
        request.settimeout(10)
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0 or len(data) < end + 4 + _length(data[:end]):
            try:
                received = request.recv(65536)
            except OSError:
                return
            if not received:
                return
            data += received
        found = _ROOM.search(data)
        mode = found[1].decode() if found else "html"
        asked = _asked(data)
        self.server.heard.derived.update(asked.derived)
        self.server.heard.modes.add(f"{asked.api} {mode}")
        try:
            request.sendall(MODES[mode](asked))
        except OSError:
            return


def _length(head: bytes) -> int:
    found = re.search(rb"(?i)content-length: (\d+)", head)
    return int(found[1]) if found else 0


def _asked(data: bytes) -> Asked:
    text = data.decode("latin-1")
    derived = [value.strip() for pattern in _DERIVED for value in pattern.findall(text)]
    proxied = [base64.b64decode(value).decode() for value in _DERIVED[-1].findall(text)]
    apis = {
        "DescribeUserNum": "zego_rtc",
        "QueryRoomUserList": "zego_zim",
        "get_online_member_num": "tencent_im",
        "get_member_list": "tencent_live",
        "message_plugin": "janus_videoroom",
    }
    api = next((api for call, api in apis.items() if call in text), "volcengine_rtc")
    return Asked(api, text, [*derived, *map(unquote, derived), *proxied])


@contextmanager
def echoing_vendor() -> Iterator[tuple[str, Heard]]:
    """
    Its address, and what it has heard so far.
    """
    heard = Heard()
    with _Server(heard) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", heard
        server.shutdown()
