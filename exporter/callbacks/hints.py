"""
What callbacks have told, until it is worked through.

The vendor is answered first: it waits for some seconds at most, and sends again, or never, what is not answered. So
hints wait in a bounded queue for a worker, which lets the loop go on between them. A full queue drops the oldest hint
that somebody came or went, as a poll tells the same a little later, and only then one of a room's begin or end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from exporter.logs import Log
from exporter.vendors.callbacks import Change, Hint

MOST_HINTS: Final = 10_000

_AT_A_TIME: Final = 50


class Sink(Protocol):
    """Who acts on hints."""

    def hinted(self, source_name: str, hint: Hint) -> None:
        """A vendor says this of a room of a source. It proves nothing."""


class Hints:
    """
    The queue and its worker.

    Args:
        is_wanted: Whether the source is still there, which a reload may have changed.
    """

    def __init__(self, sink: Sink, log: Log, is_wanted: Callable[[str], bool], most: int = MOST_HINTS) -> None:
        self._sink = sink
        self._log = log
        self._is_wanted = is_wanted
        self._most = most
        self._number = 0
        self._members: deque[tuple[int, str, Hint]] = deque()
        self._others: deque[tuple[int, str, Hint]] = deque()
        self._filled = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._members) + len(self._others)

    def put(self, source_name: str, hint: Hint) -> None:
        """Take a hint, and drop another one if there are too many."""
        queue = self._members if hint.change is Change.MEMBERS else self._others
        queue.append((self._number, source_name, hint))
        self._number += 1
        if len(self) > self._most:
            (self._members or self._others).popleft()
        self._filled.set()

    def start(self) -> None:
        """Work through the hints from now on."""
        self._worker = asyncio.create_task(self._work(), name="callbacks")

    async def stop(self) -> None:
        """Hand over what waits, and work no more."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])
            self._worker = None
            while len(self):
                self._hand_over(*self._oldest())

    async def _work(self) -> None:
        while True:
            await self._filled.wait()
            for _ in range(min(_AT_A_TIME, len(self))):
                self._hand_over(*self._oldest())
            if not len(self):
                self._filled.clear()
            await asyncio.sleep(0)

    def _oldest(self) -> tuple[str, Hint]:
        queues = [queue for queue in (self._members, self._others) if queue]
        _, source_name, hint = min(queues, key=lambda queue: queue[0][0]).popleft()
        return source_name, hint

    def _hand_over(self, source_name: str, hint: Hint) -> None:
        if not self._is_wanted(source_name):
            return
        try:
            self._sink.hinted(source_name, hint)
        except Exception:  # noqa: BLE001 whoever acts on one hint badly may do better with the next
            self._log.exception("unexpected error in acting on a callback", source=source_name)
