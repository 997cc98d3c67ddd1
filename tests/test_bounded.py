"""
Files that somebody else has chosen: whatever they are, an answer comes within seconds.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter import bounded
from exporter.bounded import read_file, within


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody waits seconds in a test; and no thread of it is left when it ends."""
    assert bounded.WITHIN <= 5
    monkeypatch.setattr(bounded, "WITHIN", 0.2)
    monkeypatch.setattr(bounded, "_GRACE", 0.1)
    yield
    for thread in threading.enumerate():
        if thread.name == "blocking":
            thread.join(5)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """One that nobody writes to."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def test_bytes_of_a_file(tmp_path):
    """
    All of them, or as many as are wanted.
    """
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    assert (b"0123456789", b"0123") == (read_file(path, 11), read_file(str(path), 4))


def test_fifo_that_nobody_writes_to(fifo):
    """
    Whoever reads it is told so, and the thread that waited for it ends as well.
    """
    with pytest.raises(OSError, match="FIFO") as refused:
        read_file(fifo, 10)
    assert errno.ETIMEDOUT == refused.value.errno


@pytest.mark.parametrize("pieces", [[b"a"], [b"a" * 70_000, b"b"], []], ids=["short", "long", "nothing"])
def test_fifo_with_a_writer(fifo, pieces):
    """
    What the writer gives until it is done.
    """

    def write() -> None:
        with fifo.open("wb", buffering=0) as file:
            for piece in pieces:
                file.write(piece)
                time.sleep(0.02)

    writing = threading.Thread(target=write)
    writing.start()

    assert b"".join(pieces) == read_file(fifo, 100_000)
    writing.join()


def test_fifo_whose_writer_does_not_end(fifo):
    """
    A byte now and then prolongs nothing.
    """
    holding = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    os.write(holding, b"a")
    began = time.monotonic()

    with pytest.raises(OSError, match="FIFO"):
        read_file(fifo, 10)
    assert time.monotonic() - began < 5
    os.close(holding)


def test_process_substitution():
    """
    The shell's ``<(…)`` is read to its end, whether its program still writes or has ended before.
    """
    code = "import sys; from exporter.bounded import read_file; print(len(read_file(sys.argv[1], 10**6)))"
    script = 'for delay in 0 1; do "$1" -c "$2" <(sleep $delay; head -c 200000 /dev/zero); done'
    told = subprocess.run(
        ["bash", "-c", script, "bash", sys.executable, code], capture_output=True, text=True, check=False
    )

    assert ["200000", "200000"] == told.stdout.split(), told.stderr


def test_input_that_ended_before_it_was_read():
    """
    A pipe with bytes and without a writer is a whole file.
    """
    reading, writing = os.pipe()
    os.write(writing, b"all of it")
    os.close(writing)

    assert b"all of it" == read_file(f"/proc/self/fd/{reading}", 100)
    os.close(reading)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/tty", "/dev/random"])
def test_device(path, monkeypatch):
    """
    It is not even opened.
    """
    monkeypatch.setattr(os, "open", None)

    with pytest.raises(OSError, match="device") as refused:
        read_file(path, 10)
    assert errno.EINVAL == refused.value.errno


def test_device_in_the_place_of_a_file(tmp_path, monkeypatch):
    """
    A file that became a device between two steps is none.
    """
    path = tmp_path / "file"
    path.write_bytes(b"")
    looked = path.stat()
    path.unlink()
    path.symlink_to("/dev/zero")
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", lambda _: looked)

        with pytest.raises(OSError, match="device"):
            read_file(path, 10)


def test_mount_that_hangs(tmp_path, monkeypatch):
    """
    One thread is left behind, however often the file is wanted; when it has come back, the file is read as before.
    """
    path = tmp_path / "file"
    path.write_bytes(b"text")
    let_go = threading.Event()
    read = bounded._read
    monkeypatch.setattr(bounded, "_read", lambda *args: let_go.wait(10) and read(*args))
    words = []
    for _ in range(5):
        with pytest.raises(OSError, match="file") as refused:
            read_file(path, 10)
        words.append(refused.value.strerror)
    hanging = [thread for thread in threading.enumerate() if thread.name == "blocking"]
    let_go.set()
    for thread in hanging:
        thread.join(5)

    assert ["a file that does not answer within 0.2 s", *["a file that has not answered for a while"] * 4] == words
    assert 1 == len(hanging)
    assert b"text" == read_file(path, 10)


def test_mount_that_hangs_is_tried_again(tmp_path, monkeypatch):
    """
    Another file may stand there by now: half a minute later one more thread looks, then a minute later.
    """
    path = tmp_path / "file"
    path.write_bytes(b"text")
    let_go = threading.Event()
    read, clock = bounded._read, time.monotonic
    monkeypatch.setattr(bounded, "_read", lambda *args: let_go.wait(10) and read(*args))
    attempts = []
    for second in range(0, 300, 7):
        monkeypatch.setattr(time, "monotonic", lambda second=second: clock() + second)
        before = threading.active_count()
        with pytest.raises(OSError, match="file"):
            read_file(path, 10)
        if threading.active_count() > before:
            attempts.append(second)
    monkeypatch.setattr(bounded, "_read", read)
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 1_000)
    there_again = read_file(path, 10)
    let_go.set()

    assert b"text" == there_again
    assert [0, 35, 98, 224] == attempts


def test_mount_that_hangs_for_days(tmp_path, monkeypatch):
    """
    It blocks at most eight threads, however often the file is read. When they return, the file is read again.
    """
    path = tmp_path / "file"
    path.write_bytes(b"text")
    let_go = threading.Event()
    read, clock = bounded._read, time.monotonic
    monkeypatch.setattr(bounded, "_read", lambda *args: let_go.wait(10) and read(*args))
    for hour in range(30):
        monkeypatch.setattr(time, "monotonic", lambda hour=hour: clock() + 3_700 * hour)
        with pytest.raises(OSError, match="file"):
            read_file(path, 10)
    hanging = [thread for thread in threading.enumerate() if thread.name == "blocking"]
    let_go.set()
    for thread in hanging:
        thread.join(5)

    assert 8 == len(hanging)
    assert b"text" == read_file(path, 10)


def test_work_without_a_loop():
    """
    It has its result, its exception, or its time.
    """
    assert 5 == within(5, sum, (2, 3))
    with pytest.raises(ZeroDivisionError):
        within(5, divmod, 1, 0)
    with pytest.raises(TimeoutError):
        within(0.01, time.sleep, 0.3)
