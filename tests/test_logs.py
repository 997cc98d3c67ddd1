"""
The log: nobody who writes a line waits for who reads it.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from exporter import logs
from exporter.logs import Format, Level, LineWriter, configure

F_SETPIPE_SZ = 1031


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """
    One that holds a page.
    """
    reading, writing = os.pipe()
    fcntl.fcntl(writing, F_SETPIPE_SZ, 4096)
    try:
        yield reading, writing
    finally:
        os.close(reading)
        time.sleep(0.05)  # a thread that was blocked has noticed
        os.close(writing)


def written(reading: int) -> str:
    """
    What has come through a pipe.
    """
    logs.flush()
    return os.read(reading, 65_536).decode()


@pytest.mark.parametrize("form", Format)
def test_line_is_written(form):
    """
    In each format, a library's warning as well.
    """
    with pipe() as (reading, writing):
        configure(Level.INFO, form, writing).info("started", rooms=5)
        logging.getLogger("library").warning("odd")
        lines = written(reading).splitlines()

    assert 2 == len(lines)
    assert "started" in lines[0]
    assert "odd" in lines[1]


@pytest.mark.parametrize("form", Format)
def test_text_from_outside_comes_through_the_door(form):
    """
    Neither half a character nor an escape sequence gets into a line, and no line break begins another line.
    """
    with pipe() as (reading, writing):
        configure(Level.INFO, form, writing).info("file", path="b\udcff\x1b[2J.txt")
        text = written(reading)
    if form is Format.JSON:
        assert r"b\udcff\x1b[2J.txt" == json.loads(text)["path"]
    assert r"\x1b[2J.txt".replace("\\", "\\\\" if form is Format.JSON else "\\") in text
    assert "\x1b[2J" not in text


def test_nobody_waits_for_a_reader_that_does_not_read():
    """
    Ten thousand lines into a full pipe take no time; those that do not fit are counted, and when somebody reads again
    the log says how many they were.
    """
    with pipe() as (reading, writing):
        log = configure(Level.INFO, Format.LOGFMT, writing)
        began = time.monotonic()
        for number in range(10_000):
            log.info("line", number=number, filler="x" * 100)
        took = time.monotonic() - began
        lost = logs.dropped()
        text = ""
        while "lost" not in text:
            text += os.read(reading, 65_536).decode()

    assert took < 5
    assert 10_000 - logs.MOST_LINES - 100 <= lost <= 10_000 - logs.MOST_LINES
    assert f"lines={lost}" in text


def test_end_waits_half_a_second_at_most():
    """
    Lines that were taken are written, unless nobody reads.
    """
    with pipe() as (reading, writing):
        writer = LineWriter(writing)
        writer.write("a\n")
        writer.flush_within(5)
        assert b"a\n" == os.read(reading, 100)
        for _ in range(10):
            writer.write("x" * 4096)
        began = time.monotonic()
        writer.flush_within(0.1)
        assert time.monotonic() - began < 2


def test_line_that_cannot_be_written_is_counted():
    """
    A full disk, and a pipe whose reader has gone.
    """
    full = os.open("/dev/full", os.O_WRONLY)
    reading, writing = os.pipe()
    os.close(reading)
    for descriptor in (full, writing):
        writer = LineWriter(descriptor)
        writer.write("a\n")
        writer.flush_within(5)
        os.close(descriptor)

        assert 1 == writer.dropped


def test_descriptor_that_does_not_block():
    """
    Whoever shares a terminal may have made it so: lines come whole all the same.
    """
    with pipe() as (reading, writing):
        os.set_blocking(writing, False)
        writer = LineWriter(writing)
        for _ in range(20):
            writer.write("x" * 999 + "\n")
        text = b""
        while len(text) < 20_000:
            text += os.read(reading, 65_536)

    assert [b"x" * 999] * 20 == text.splitlines()


def test_line_is_written_by_a_thread_of_its_own(monkeypatch):
    """
    Never by whoever logs.
    """
    writers = []

    def write(_: object) -> bool:
        writers.append(threading.current_thread().name)
        return True

    with pipe() as (_, writing):
        writer = LineWriter(writing)
        monkeypatch.setattr(writer, "_write", write)
        writer.write("a\n")
        writer.flush_within(5)

    assert ["log"] == writers
