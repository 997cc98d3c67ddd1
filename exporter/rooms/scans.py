"""
Looks at the rooms files of many sources, one after the other in one thread.

A file on a dead mount blocks its thread, maybe for ever. After ten seconds with one source's files the others go on in
another thread, and that source's files are not looked at again until the first thread has come back. That holds across
a reload, whose new ``RoomsFiles`` of the source goes on with the lists that are known.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from exporter.blocking import in_thread
from exporter.rooms.files import RoomsFiles

_HANGS_AFTER: Final = 10.0
_LOOK: Final = 1.0


class Scans:
    """
    The looks at rooms files, of all sources.

    Args:
        monotonic: Monotonic seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._hanging: dict[RoomsFiles, asyncio.Future[None]] = {}
        self._looking = False

    @property
    def hanging(self) -> frozenset[RoomsFiles]:
        """Sources whose files do not answer at present: what is known of them may be old."""
        return frozenset(self._hanging)

    async def scan(self, sources: Iterable[RoomsFiles]) -> list[tuple[RoomsFiles, Exception]]:
        """
        Look at every file of these sources once, unless that is being done already; what they list is then in
        ``RoomsFiles.rooms``.

        Returns:
            Sources whose look failed, and why. ``TimeoutError``: it has begun to hang.
        """
        errors: list[tuple[RoomsFiles, Exception]] = []
        if self._looking:
            return errors
        self._looking = True
        try:
            return await self.look(sources)
        finally:
            self._looking = False

    async def look(self, sources: Iterable[RoomsFiles]) -> list[tuple[RoomsFiles, Exception]]:
        """The same beside another look: for sources that nobody else looks at, such as those of a reload."""
        errors: list[tuple[RoomsFiles, Exception]] = []
        waiting = deque(files for files in sources if files not in self._hanging)
        while waiting:
            worker = _Worker(waiting, errors, self._monotonic)
            working = asyncio.ensure_future(in_thread(worker.run))
            while not working.done() and not worker.hangs():
                await asyncio.wait({working}, timeout=_LOOK)
            if working.done():
                working.result()
            elif files := worker.abandon():
                self._hang(files, working)
                errors.append((files, TimeoutError(f"a file does not answer for {_HANGS_AFTER:g} s")))
        return errors

    def replace(self, before: RoomsFiles, files: RoomsFiles) -> None:
        """These files stand for others, which may hang: then these do as well, until those answer."""
        if working := self._hanging.get(before):
            self._hang(files, working)

    def _hang(self, files: RoomsFiles, working: asyncio.Future[None]) -> None:
        self._hanging[files] = working
        working.add_done_callback(lambda _: self._hanging.pop(files, None))


class _Worker:
    """One thread's work: the sources that wait, until it is abandoned."""

    def __init__(
        self,
        waiting: deque[RoomsFiles],
        errors: list[tuple[RoomsFiles, Exception]],
        monotonic: Callable[[], float],
    ) -> None:
        self._waiting = waiting
        self._errors = errors
        self._monotonic = monotonic
        self._current: tuple[RoomsFiles, float] | None = None
        self._abandoned = False

    def run(self) -> None:
        while self._waiting and not self._abandoned:
            files = self._waiting.popleft()
            self._current = files, self._monotonic()
            try:
                files.scan()
            except Exception as error:  # noqa: BLE001 whatever it is, the other sources' files are looked at
                self._errors.append((files, error))
        self._current = None

    def hangs(self) -> bool:
        current = self._current
        return current is not None and self._monotonic() - current[1] > _HANGS_AFTER

    def abandon(self) -> RoomsFiles | None:
        self._abandoned = True
        return self._current[0] if self._current else None
