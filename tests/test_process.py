"""
What is set once for the process, and by nobody else.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from exporter import limits, process


def in_a_process(code: str) -> str:
    """What Python prints of this code, in a process whose limits nobody else has."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_garbage_is_collected_and_what_is_many_is_frozen() -> None:
    """
    Few objects that survived two looks of the collector are looked at again; many are not, for it would take too long.
    """
    code = """
import gc, weakref
from exporter import process
class Knot:
    def __init__(self, size):
        self.itself = self, [[] for _ in range(size)]
process.prepare()
gc.freeze()
frozen = gc.get_freeze_count()
for size in (9_000, 11_000):
    knot = Knot(size)
    gc.collect(0)
    gc.collect(1)
    of_knot = weakref.ref(knot)
    del knot
    process.collect_garbage()
    print(of_knot() is None, gc.get_freeze_count() > frozen + size)
"""

    assert "True False\nFalse True" == in_a_process(code)


def test_as_many_files_may_be_open_as_the_system_allows() -> None:
    """
    The soft limit is raised to the hard one, or to 65,536; the hard one stays.
    """
    code = """
import resource
from exporter import limits, process
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
process.prepare()
print(resource.getrlimit(resource.RLIMIT_NOFILE), limits.descriptors())
"""

    assert "(200, 200) 200" == in_a_process(code)


@pytest.mark.parametrize(
    ("limit", "mistake"), [(12, "limit of open files"), (31, "limit of open files"), (32, "/nowhere")]
)
def test_too_few_files_are_told_in_one_line(limit: int, mistake: str) -> None:
    """
    With a dozen, not even the event loop begins. With enough, the config that does not exist is the mistake.
    """
    command = f"ulimit -n {limit}; exec {sys.executable} -m exporter run --config.file=/nowhere"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)

    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"{mistake}: found ")
    assert 1 == ended.returncode


@pytest.mark.parametrize("error", [PermissionError, ValueError])
def test_a_limit_that_may_not_be_raised_stays(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    """
    A sandbox forbids it, or the system knows no such number: the process goes on with what it has.
    """

    def refuse(*_: object) -> None:
        raise error

    before = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    monkeypatch.setattr(resource, "setrlimit", refuse)

    process.raise_open_files()

    assert before == limits.descriptors()


def test_nothing_is_switched_by_an_import_or_a_constructor() -> None:
    """
    The collector, the switch interval, prometheus_client's series and logging are as Python has them until a command
    sets them.
    """
    code = """
import gc, logging, sys
before = gc.get_threshold(), sys.getswitchinterval(), logging.getLogger("apscheduler").level, logging.raiseExceptions
import asyncio
from pathlib import Path
from prometheus_client import metrics
created = metrics._use_created
from exporter import cli, logs
from exporter.app import Exporter, WebOptions
from exporter.config import Config
import structlog
async def main():
    exporter = Exporter(lambda: Config(Path("x"), ()), "x", WebOptions("127.0.0.1:0"), structlog.get_logger())
    filters = len(logging.getLogger("aiohttp.server").filters)
    await exporter.start()
    await exporter.stop()
    return filters == len(logging.getLogger("aiohttp.server").filters)
same_filters = asyncio.run(main())
after = gc.get_threshold(), sys.getswitchinterval(), logging.getLogger("apscheduler").level, logging.raiseExceptions
print(before == after and created == metrics._use_created and same_filters)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert told.stdout.endswith("\nTrue\n"), told.stderr


async def test_signals_are_as_before_afterwards() -> None:
    """
    While it lasts, SIGTERM asks for the end and SIGHUP for a reload.
    """
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    reloads: list[int] = []
    with process.until_signal(lambda: reloads.append(1)) as stopping:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            await stopping.wait()

    assert [1] == reloads
    assert before == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "gbk"])
def test_every_encoding_of_a_terminal_will_do(tmp_path: Path, encoding: str) -> None:
    """
    What the terminal cannot show is escaped: no command fails because of a character.
    """
    config = tmp_path / "exporter.yml"
    keys = f"api: zego_rtc, app_id: 1, server_secret: {'0123456789abcdef' * 2}, rooms: [a]"
    config.write_text(f"sources:\n- {{name: 直播é😀, {keys}}}\n", encoding="utf-8")
    env = {**os.environ, "PYTHONIOENCODING": encoding}

    checked = subprocess.run(
        [sys.executable, "-m", "exporter", "check", f"--config.file={config}"],
        capture_output=True,
        env=env,
        check=False,
    )
    printed = subprocess.run([sys.executable, "-m", "exporter", "metrics"], capture_output=True, env=env, check=False)

    assert (0, b"") == (checked.returncode, checked.stderr)
    # ASCII is taken for a machine that was not set up, whose terminal is UTF-8 all the same.
    assert ("😀".encode() if encoding == "ascii" else rb"\U0001f600") in checked.stdout
    assert (0, b"") == (printed.returncode, printed.stderr)


@pytest.mark.parametrize("path", ["/nonexistent/keys", "/"])
def test_key_log_that_cannot_be_written_is_one_line(path: str) -> None:
    """
    Python's TLS would end every command with a traceback.
    """
    ended = subprocess.run(
        [sys.executable, "-m", "exporter", "--version"],
        capture_output=True,
        env={**os.environ, "SSLKEYLOGFILE": path},
        check=False,
        text=True,
    )

    reason = {"/": "is a directory"}.get(path, "no such file or directory")
    said = f"SSLKEYLOGFILE: found '{path}' ({reason}); accepted: a file that can be written, or nothing\n"
    assert (1, "", said) == (ended.returncode, ended.stdout, ended.stderr)


def run(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """
    Python code in a process of its own.
    """
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **options)


def test_process_ends_whatever_holds_it_up() -> None:
    """
    A loop that stands still after SIGTERM, in a process that was prepared for it, is ended by the kernel.
    """
    code = """
import asyncio, os, signal, time
from exporter import limits, process
process.prepare()
assert process._ends_within <= 5
process._ends_within = 0.3
async def main():
    with process.until_signal() as stopping:
        os.kill(os.getpid(), signal.SIGTERM)
        await stopping.wait()
        time.sleep(60)
asyncio.run(main())
"""
    assert -signal.SIGALRM == run(code, timeout=30).returncode


def test_limit_of_descriptors_is_raised() -> None:
    """
    To what the process may have, and not beyond what it will ever need.
    """
    code = "from exporter import limits, process; process.prepare(); print(limits.descriptors())"
    low = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 900)); {code}"
    high = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(7)[1])); {code}"
    may_have = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    assert ["900", str(min(may_have, 65_536))] == [run(text).stdout.strip() for text in (low, high)]
