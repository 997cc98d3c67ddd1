"""
Real Redis and Valkey servers for tests: on a free port of this machine, without persistence, ended by process id.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from exporter.config.cluster import RedisConfig

_STARTS_WITHIN = 10.0


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Server:
    """
    One server.

    Args:
        program: Path of ``redis-server`` or ``valkey-server``.
        settings: More of the command line.
    """

    def __init__(self, program: Path, folder: Path, settings: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.socket = folder / f"{self.port}.sock"
        self._command = [
            str(program),
            *(
                "--bind",
                "127.0.0.1",
                "--port",
                str(self.port),
                "--dir",
                str(folder),
                "--save",
                "",
                "--appendonly",
                "no",
            ),
            *("--unixsocket", str(self.socket), *settings),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self.admin = Redis(port=self.port, socket_timeout=5)

    @property
    def config(self) -> RedisConfig:
        """How to reach it."""
        return RedisConfig(host="127.0.0.1", port=self.port)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, empty, on the same port as before."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + _STARTS_WITHIN
        while True:
            try:
                self.admin.ping()
            except RedisError:
                assert time.monotonic() < deadline, "the server does not start"
                time.sleep(0.01)
            else:
                return

    def wait_for(self, key: str) -> None:
        """Wait until it has a key, as a replica does a moment after its master. Blocks."""
        deadline = time.monotonic() + _STARTS_WITHIN
        while not self.admin.exists(key):
            assert time.monotonic() < deadline, f"there is no {key}"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running(program: Path, folder: Path, settings: Sequence[str] = ()) -> Iterator[Server]:
    """A server that runs."""
    server = Server(program, folder, settings)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        server.admin.close()


@contextmanager
def sentinel(program: Path, folder: Path, master: int) -> Iterator[int]:
    """One sentinel that decides alone, and quickly; its port."""
    port = free_port()
    file = folder / "sentinel.conf"
    file.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor mymaster 127.0.0.1 {master} 1\n"
        "sentinel down-after-milliseconds mymaster 300\nsentinel failover-timeout mymaster 2000\n"
    )
    process = subprocess.Popen([str(program), str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.kill()
        process.wait()
