"""
Scans the rooms files of many sources, one source after the other in one thread.

A file on a dead mount blocks its thread, perhaps for ever. If the files of one source take longer than ten seconds, the
scan goes on in another thread with the next source, and leaves the first thread behind. That source is not scanned
again until its thread returns. This also holds across a reload: the new ``RoomsFiles`` of the source keeps the lists
that are known.
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
    Scans the rooms files of all sources.

    Args:
        monotonic: The clock, in monotonic seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._hanging: dict[RoomsFiles, asyncio.Future[None]] = {}
        self._looking = False

    @property
    def hanging(self) -> frozenset[RoomsFiles]:
        """Rooms files that do not answer now. Their lists may be old."""
        return frozenset(self._hanging)

    async def scan(self, sources: Iterable[RoomsFiles]) -> list[tuple[RoomsFiles, Exception]]:
        """
        Scan every file of these sources once, which updates ``RoomsFiles.rooms``. Does nothing during another scan.

        Returns:
            The sources whose scan failed, with the error. ``TimeoutError``: a file has begun to hang.
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
        """The same, also during another scan: for sources that no other scan has, such as those of a reload."""
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
        """Replace rooms files at a reload. If the old ones hang, the new ones count as hanging until they answer."""
        if working := self._hanging.get(before):
            self._hang(files, working)

    def _hang(self, files: RoomsFiles, working: asyncio.Future[None]) -> None:
        self._hanging[files] = working
        working.add_done_callback(lambda _: self._hanging.pop(files, None))


class _Worker:
    """The work of one thread: it scans the waiting sources until it is abandoned."""

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
            except Exception as error:  # noqa: BLE001 the other sources must be scanned
                self._errors.append((files, error))
        self._current = None

    def hangs(self) -> bool:
        current = self._current
        return current is not None and self._monotonic() - current[1] > _HANGS_AFTER

    def abandon(self) -> RoomsFiles | None:
        self._abandoned = True
        return self._current[0] if self._current else None
