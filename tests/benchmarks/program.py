"""A measured process: started by the runner, ordered about over its stdin, watched from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.benchmarks.setting import BUILT, PYTHON_PEERS, ROOT

_GRACE: Final = 10.0
_COMPLAINTS: Final = BUILT / "stderr.log"
_TAIL: Final = 2_000


class Program:
    """
    A process that prints a line when it is ready and answers each order with a line.

    It ends when its stdin does.
    """

    def __init__(self, command: Sequence[str]) -> None:
        path = os.pathsep.join([str(ROOT), str(PYTHON_PEERS)])
        with _COMPLAINTS.open("wb") as complaints:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
            )
        self.pid = self._process.pid
        self.first_line = self._line()

    @classmethod
    def python(cls, module: str, *arguments: object) -> Self:
        """A module of `tests.benchmarks`."""
        return cls([sys.executable, "-m", f"tests.benchmarks.{module}", *map(str, arguments)])

    @property
    def port(self) -> int:
        """What it printed first: the port that it listens on."""
        return int(self.first_line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def order(self, name: str, argument: float = 0) -> str:
        """Give an order and wait for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name} {argument}\n".encode())
        self._process.stdin.flush()
        return self._line()

    def cpu(self) -> float:
        """Seconds of processor time that it has used, all threads, to the microsecond."""
        return cpu_seconds(self.pid)

    def resident(self) -> int:
        """Bytes of memory that it really holds."""
        return resident_bytes(self.pid)

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait(_GRACE)
            raise ChildProcessError(f"{self._process.args!r} ended with {code}: {_COMPLAINTS.read_text()[-_TAIL:]}")
        return line.decode().strip()


def stolen_seconds() -> float:
    """Seconds of processor time, of all cores together, that this machine's host has given to others so far."""
    return int(Path("/proc/stat").read_text().split()[8]) / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Processor time of a process: Linux keeps a clock for each, see clock_getcpuclockid(3)."""
    return time.clock_gettime((~pid << 3) | 2)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process, counted page by page."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    line = next(line for line in rollup.splitlines() if line.startswith("Rss:"))
    return int(line.split()[1]) * 1024
