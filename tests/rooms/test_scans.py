"""
Looks at the rooms files of many sources: one that hangs holds up nobody else.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import cast

import pytest

from exporter.rooms import RoomsFiles, Scans, scans


class Files:
    """A source's rooms files, which are slow or broken if they are told so."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.error: Exception | None = None
        self.go_on = threading.Event()
        self.go_on.set()
        self.looks = 0

    def scan(self) -> bool:
        """Look at them."""
        self.go_on.wait(20)
        self.looks += 1
        if self.error:
            raise self.error
        return False


@pytest.fixture
def sources() -> list[Files]:
    """Four of them."""
    return [Files(name) for name in "abcd"]


def typed(sources: list[Files]) -> list[RoomsFiles]:
    """They stand in for the real ones."""
    return cast(list[RoomsFiles], sources)


async def test_error_of_one_source_is_its_own_matter(sources: list[Files]) -> None:
    """
    All are looked at, and the error is told.
    """
    sources[1].error = KeyError("bug")
    errors = await Scans(lambda: 0.0).scan(typed(sources))

    assert [(typed(sources)[1], sources[1].error)] == errors
    assert [1, 1, 1, 1] == [source.looks for source in sources]


async def test_file_that_hangs_holds_up_nobody_else(sources: list[Files], monkeypatch: pytest.MonkeyPatch) -> None:
    """
    After ten seconds the others are looked at, again and again; the one that hangs is told once, left alone, and looked
    at as before when it has answered.
    """
    monkeypatch.setattr(scans, "_LOOK", 0.01)
    moments = iter(range(0, 10_000, 4))
    told: Counter[str] = Counter()
    looks = Scans(lambda: next(moments))
    sources[1].go_on.clear()
    for turn in range(1, 4):
        for files, error in await looks.scan(typed(sources)):
            assert isinstance(error, TimeoutError)
            told[cast(Files, files).name] += 1
        assert [turn, 0, turn, turn] == [source.looks for source in sources]

    assert Counter("b") == told
    sources[1].go_on.set()
    async with asyncio.timeout(5):
        while sources[1].looks < 2:
            await looks.scan(typed(sources))
