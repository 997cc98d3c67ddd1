"""
A hundred thousand rooms are read beside a running loop, and it hardly notices.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from pathlib import Path

import pytest

from exporter.config import parse
from exporter.config.garbage import collection_paused
from exporter.rooms import read_rooms_file
from tests.config.configs import ENV, source, text

ROOMS = 100_000
LONGEST = 0.1
"""Seconds; some 20 ms when nothing else keeps the cores busy."""
FORMS = {
    "ids": "- room_{}",
    "mappings": "- {{id: room_{}, labels: {{event: launch}}, thresholds: {{critical: 5000}}}}",
}


async def beside(work, *arguments):
    """
    What the work returns in a thread; its seconds there; the most of them between two turns of the loop.

    All are CPU seconds of that thread, so that other programs on this machine do not count.
    """
    clock: int | None = None

    def timed():
        nonlocal clock
        clock = time.pthread_getcpuclockid(threading.get_ident())
        start = time.thread_time()
        result = work(*arguments)
        seconds = time.thread_time() - start
        clock = None
        return result, seconds

    task = asyncio.create_task(asyncio.to_thread(timed))
    longest, last = 0.0, 0.0
    while not task.done():
        await asyncio.sleep(0.001)
        if clock is not None:
            now = time.clock_gettime(clock)
            longest, last = max(longest, now - (last or now)), now
    return *(await task), longest


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_config_with_many_rooms(form):
    """
    Read within seconds, and other threads get their turn all along: not so if the parser, the collector, or freeing
    what is not needed any more went on in one piece.
    """
    rooms = "\n".join(form.format(number) for number in range(ROOMS))
    document = "sources:\n" + text(f"rooms:\n{rooms}", api="tencent_im")

    config, seconds, longest = await beside(parse, document, Path("exporter.yml"), ENV)

    assert ROOMS == len(config.sources[0].rooms)
    # Each mapping is fourteen YAML events, and a core that is shared with a busy neighbour runs at half its speed.
    assert seconds < (5 if form is FORMS["ids"] else 10)
    assert longest < LONGEST


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("rooms.txt", "room_{}\n"),
        ("rooms.yml", "  - room_{}\n"),
        ("rooms.json", '"room_{}",\n'),
        ("groups.yml", "- {{targets: [room_{}], labels: {{event: launch}}}}\n"),
    ],
)
async def test_file_with_many_rooms(tmp_path, name, line):
    """
    The same holds for rooms files.
    """
    body = "".join(line.format(number) for number in range(ROOMS))
    start, end = {"rooms.yml": ("- targets:\n", ""), "rooms.json": ('[{"targets": [', '"last"]}]')}.get(name, ("", ""))
    (tmp_path / name).write_text(start + body + end)

    rooms, seconds, longest = await beside(read_rooms_file, tmp_path / name, source(api="tencent_im"))

    assert ROOMS == len(rooms) - (name == "rooms.json")
    assert seconds < 5
    assert longest < LONGEST


def test_collection_goes_on_afterwards():
    """
    Pauses may overlap; the collector is back when the last of them ends, if it was there before.
    """
    assert gc.isenabled()
    with collection_paused():
        with collection_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()

    gc.disable()
    try:
        with collection_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize(("objects", "frozen"), [(100, False), (20_000, True)])
def test_collector_does_not_look_at_what_a_large_file_left(objects: int, frozen: bool):
    """
    It would look at all of it in one step, and at nothing of a small file.
    """
    before = gc.get_freeze_count()
    try:
        with collection_paused():
            kept = [[number] for number in range(objects)]

        assert frozen == (gc.get_freeze_count() >= before + len(kept))
    finally:
        gc.unfreeze()
