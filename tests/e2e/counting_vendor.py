"""
A vendor that only counts: it answers `DescribeUserNum` for any rooms and remembers when each call arrived.

Run as a program (`python -m tests.e2e.counting_vendor HOST`) it prints its port; for each line on its standard input it
prints, as a JSON object, when the calls since the last line arrived, by app id. It ends when its standard input does.

A call arrives when the kernel has its last byte, in Unix seconds: however busy the machine is, no call is counted late.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import socket
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, urlsplit

MOST_ROOMS = 10
_SO_TIMESTAMPNS = 35
"""Linux: each read comes with the time at which its bytes arrived. Python's `socket` has no name for it."""

_TIMESPEC = struct.Struct("@qq")
_LONGEST_REQUEST = 16 * 1024
_LONGEST_REPORT = 2**26


class CountingVendor:
    """
    The running program, as a test sees it.

    Attributes:
        port: Where it listens.
        arrivals: Every call that it has reported so far.
        by_app: The same by app id.
    """

    def __init__(self, host: str, runs_in: Sequence[str] = ()) -> None:
        self.port = 0
        self.arrivals: list[float] = []
        self.by_app: dict[str, list[float]] = defaultdict(list)
        self._command = [*runs_in, sys.executable, "-m", "tests.e2e.counting_vendor", host]
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=pipe, stdout=pipe, limit=_LONGEST_REPORT
        )
        assert self._process.stdout
        self.port = int(await self._process.stdout.readline())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()

    async def report(self) -> list[float]:
        """Ask for the calls since the last time."""
        assert self._process
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"\n")
        report: dict[str, list[float]] = json.loads(await self._process.stdout.readline())
        for app, moments in report.items():
            self.by_app[app] += moments
        arrived = [moment for moments in report.values() for moment in moments]
        self.arrivals += arrived
        return arrived


@dataclass(slots=True)
class _Client:
    """A connection of one client, and what it has sent of its next request."""

    socket: socket.socket
    received: bytes = b""


@dataclass(slots=True)
class _Counter:
    """
    Attributes:
        arrivals: Of the calls that were not reported yet, by app id.
    """

    listener: socket.socket
    arrivals: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _selector: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)

    def serve(self) -> None:
        """Answer calls and report until standard input ends."""
        self._selector.register(self.listener, selectors.EVENT_READ)
        self._selector.register(sys.stdin.buffer, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if isinstance(key.data, _Client):
                    self._read(key.data)
                elif key.fileobj is self.listener:
                    self._accept()
                elif not self._report():
                    return

    def _accept(self) -> None:
        connection, _ = self.listener.accept()
        connection.setblocking(False)
        self._selector.register(connection, selectors.EVENT_READ, _Client(connection))

    def _read(self, client: _Client) -> None:
        try:
            received, ancillary, _, _ = client.socket.recvmsg(_LONGEST_REQUEST, socket.CMSG_SPACE(_TIMESPEC.size))
            client.received += received
            if client.received.endswith(b"\r\n\r\n"):
                parameters = parse_qsl(urlsplit(client.received.split(b" ")[1].decode("latin-1")).query)
                self.arrivals[dict(parameters).get("AppId", "")].append(_arrived(ancillary))
                client.socket.sendall(_answer(client.received, parameters))
                client.received = b""
        except OSError:
            received = b""
        if not received or len(client.received) > _LONGEST_REQUEST:
            self._selector.unregister(client.socket)
            client.socket.close()

    def _report(self) -> bool:
        if not sys.stdin.buffer.readline():
            return False
        sys.stdout.write(json.dumps(self.arrivals) + "\n")
        sys.stdout.flush()
        self.arrivals.clear()
        return True


def _arrived(ancillary: list[tuple[int, int, bytes]]) -> float:
    """The kernel begins to stamp packets a moment after it is asked to; until then, now."""
    for _, _, stamp in ancillary:
        seconds, nanoseconds = _TIMESPEC.unpack(stamp)
        return float(seconds + nanoseconds / 1e9)
    return time.time()


def _answer(request: bytes, parameters: Sequence[tuple[str, str]]) -> bytes:
    """One user in each room that is asked for."""
    rooms = [value for name, value in parameters if name == "RoomId[]"]
    if (
        not request.startswith(b"GET ")
        or ("Action", "DescribeUserNum") not in parameters
        or not 1 <= len(rooms) <= MOST_ROOMS
    ):
        return b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    counts = [{"RoomId": room, "UserCount": 1, "AdminUserCount": 0} for room in rooms]
    document = {"Code": 0, "Message": "success", "RequestId": "1", "Data": {"UserCountList": counts}}
    body = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


if __name__ == "__main__":
    server = socket.create_server((sys.argv[1], 0), backlog=4096)
    server.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)  # its connections inherit it
    sys.stdout.write(f"{server.getsockname()[1]}\n")
    sys.stdout.flush()
    _Counter(server).serve()
