"""
The command as a process of its own, for tests that wait for what it prints.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

_ROOT = Path(__file__).parents[1]
_HERE = (sys.executable, "-m", "exporter")
_PATIENCE = 60.0
"""Seconds; a slow machine is no failure."""


class Command:
    """
    A running `rtc-room-exporter`, in a process group of its own as a shell makes one.

    Attributes:
        printed: What it has printed so far, both streams in one.

    Args:
        program: How it is called; the one of this tree if left out.
        folder: Where it is called.
    """

    def __init__(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        program: Sequence[str | Path] = _HERE,
        folder: Path = _ROOT,
    ) -> None:
        self.printed = ""
        self._process = subprocess.Popen(
            [*program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(env or {})},
            start_new_session=True,
            cwd=folder,
        )

    def until(self, pattern: str) -> re.Match[str]:
        """
        Wait for a line that holds the pattern.
        """
        assert self._process.stdout
        for line in self._process.stdout:
            self.printed += line
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"it ended without {pattern!r}: {self.printed}")

    def wait(self) -> int:
        """
        Wait for its end; returns its exit code.
        """
        self.printed += self._process.communicate(timeout=_PATIENCE)[0]
        return self._process.returncode

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """
        Signal it and wait for its end; returns its exit code.
        """
        self._process.send_signal(number)
        return self.wait()

    def interrupt(self) -> int:
        """
        What Ctrl+C does in a terminal: SIGINT for every process of the group; returns its exit code.
        """
        os.killpg(self._process.pid, signal.SIGINT)
        return self.wait()

    def kill(self) -> None:
        """
        End it without asking, and whatever it started, if any of them still runs.
        """
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


@contextmanager
def command(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    program: Sequence[str | Path] = _HERE,
    folder: Path = _ROOT,
) -> Iterator[Command]:
    """
    The command with these arguments, gone at the end whatever happens.
    """
    running = Command(*arguments, env=env, program=program, folder=folder)
    try:
        yield running
    finally:
        running.kill()


def ask(url: str, method: str = "GET", body: str | None = None) -> tuple[int, str]:
    """
    Status and text of what an address answers.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=_PATIENCE)
    try:
        connection.request(method, f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", body)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()
