"""The exporter as its users run it: the command, a config, rooms in a file."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.benchmarks.program import cpu_seconds, resident_bytes
from tests.benchmarks.setting import ROOT

_STARTING: Final = 60.0
_STOPPING: Final = 15.0


def source(
    name: str, api: str, base_url: str, credentials: Mapping[str, object], rooms: Iterable[str], **more: object
) -> dict[str, object]:
    """One source of a config; its rooms go to a file."""
    return {"name": name, "api": api, "base_url": base_url, **credentials, "rooms_files": list(rooms), **more}


class Exporter:
    """
    A running exporter.

    Args:
        sources: As in the config, with room ids in the place of ``rooms_files``.
        cluster: As in the config.
    """

    def __init__(self, sources: Sequence[Mapping[str, object]], cluster: Mapping[str, object] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        config = folder / "exporter.yml"
        # Every JSON document is a YAML document.
        document: dict[str, object] = {"sources": [_with_file(source, folder) for source in sources]}
        config.write_text(json.dumps(document | ({"cluster": cluster} if cluster else {})))
        self._port = free_port()
        command = ["-m", "exporter", "run", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{self._port}"]
        self._log = folder / "log"
        self.started = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *command], cwd=ROOT, env={**os.environ, "NO_COLOR": "1"}, stdout=log, stderr=log
            )
        self.pid = self._process.pid

    @property
    def port(self) -> int:
        """Where its HTTP server listens."""
        return self._port

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOPPING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def get(self, path: str) -> bytes:
        """
        One answer, whole.

        Raises:
            OSError: It does not listen.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def wait_until_listening(self) -> None:
        """
        Wait for its HTTP server.

        Raises:
            ChildProcessError: It ended instead, or took a minute.
        """
        while self._process.poll() is None and time.monotonic() - self.started < _STARTING:
            try:
                self.get("/-/healthy")
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise ChildProcessError(f"the exporter does not listen: {self._log.read_text()[-2000:]}")

    def sample(self, name: str, *labels: str) -> float:
        """The sum of one metric's samples whose labels hold these texts."""
        lines = self.get(f"/metrics?name[]={name}").decode().splitlines()
        found = [line for line in lines if line.startswith(name) and all(label in line for label in labels)]
        return sum(float(line.rpartition(" ")[2]) for line in found)

    @contextmanager
    def at_rest(self, resting: bool) -> Iterator[None]:
        """Stopped where it stands, so that it takes nothing from who is measured meanwhile."""
        if resting:
            self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def cpu(self) -> float:
        """Seconds of processor time that it has used."""
        return cpu_seconds(self.pid)

    def resident(self) -> int:
        """Bytes of memory that it really holds."""
        return resident_bytes(self.pid)


def _with_file(source: Mapping[str, object], folder: Path) -> dict[str, object]:
    file = folder / f"{source['name']}.yml"
    file.write_text(json.dumps([{"targets": source["rooms_files"]}]))
    return {**source, "rooms_files": [str(file)]}


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
