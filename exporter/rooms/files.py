"""
The rooms files of one source: which files there are, which rooms each last listed, and whether that list is still
valid.

Files are checked every two seconds with ``stat``, which costs little. File events (inotify) would miss changes on
network file systems, in bind mounts, and by the symlink swaps of a Kubernetes ConfigMap.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from exporter.config import SourceConfig
from exporter.config.files import LARGEST_FILE
from exporter.config.rooms import Defaults
from exporter.model import Room
from exporter.rooms.folders import Signature, look, matcher, matches, signature
from exporter.rooms.formats import NOTHING, Listing, RoomsFileError, read_listing
from exporter.text import printable

_MISSING: Final = "gone; its rooms go as well if the next look does not find it"
_MISSING_FOR: Final = 1.0
"""Seconds that a file must be missing before its rooms go, since a reload may scan right before or after a scan."""
_REPORTED_FOR: Final = 300.0
"""Seconds for which a deleted file is still reported if rooms went with it: long enough for an alert to fire."""


@dataclass(frozen=True, slots=True)
class FileState:
    """
    The state of a rooms file.

    Args:
        ok: Whether the watched rooms are the ones that the file lists now.
        error: If not, the reason in one line.
        rooms: Number of watched rooms from this file.
        since: Unix seconds at which ``ok`` or ``error`` last changed.
        warning: What is accepted but looks like a mistake.
        gone_with: Number of rooms that are no longer watched because the file is gone; ``None`` unless it is gone.
    """

    ok: bool
    error: str | None
    rooms: int
    since: float
    warning: str | None = None
    gone_with: int | None = None


@dataclass(frozen=True, slots=True)
class _File:
    """
    What is known of a file. Frozen, since a reload may read it in one thread while another thread scans.

    Args:
        signature: Of the contents of ``listing`` or ``error``; ``None``: read the file at the next scan.
        listing: The last contents without an error.
        error: Why the present contents cannot be used.
        watched: The rooms in use: an older listing if the present one repeats rooms of another file.
        missing: Unix seconds of the first scan that did not find the file; ``None`` if the last scan found it.
    """

    signature: Signature | None = None
    listing: Listing | None = None
    error: str | None = None
    watched: Listing = NOTHING
    missing: float | None = None


class RoomsFiles:
    """
    The rooms of one source: those of its config and those of its files.

    A file is used as a whole or not at all. If a file cannot be read, or repeats a room of the config or of an earlier
    file in alphabetical order, its old list stays in use. If a file is gone, its list stays in use until another scan,
    a second later or more, does not find it either: some editors delete a file before they write the new one. If rooms
    went with it, the file stays in ``files`` for five more minutes, with ``ok`` false and no rooms.

    Args:
        previous: The rooms files of the same source before a reload, whose lists are kept.
        now: The clock, in Unix seconds.

    Attributes:
        rooms: The rooms of the config, then those of each file, in the order of ``files``.
        files: States by printable path; deleted files last. A folder that cannot be listed has its pattern as path.

    A scan replaces both attributes as a whole, and only if something changed, so other threads may read them.
    """

    def __init__(
        self, config: SourceConfig, previous: RoomsFiles | None = None, *, now: Callable[[], float] = time.time
    ) -> None:
        self._config = config
        self._now = now
        self._known: dict[str, _File] = {}
        self._failed: dict[str, str] = {}
        self._gone: dict[str, FileState] = {}
        self.rooms: tuple[Room, ...] = config.rooms
        self.files: Mapping[str, FileState] = MappingProxyType({})
        if previous is not None:
            self._inherit(previous)

    def scan(self) -> bool:
        """
        Check every file, and read those that have changed. Blocks. Only one thread at a time may call this.

        Returns:
            Whether ``rooms`` or ``files`` changed.
        """
        found = look(self._config.rooms_files)
        known = dict(self._known)
        gone = self._still_reported(found.files)
        departed: dict[str, Listing] = {}
        changed = found.failed != self._failed or gone.keys() != self._gone.keys()
        for path, seen in found.files.items():
            changed |= self._update(known, path, seen)
        failed = matcher(found.failed)
        for path in self._known.keys() - found.files.keys():
            if not failed(path):
                changed |= self._mark_missing(known, departed, path)
        return changed and self._publish(known, found.failed, gone, departed)

    def unmatched(self) -> list[str]:
        """The patterns that no file matches."""
        there = {*self._known, *self._failed}
        return [
            printable(pattern)
            for pattern in self._config.rooms_files
            if pattern not in there and not any(matches(path, pattern) for path in there)
        ]

    def _still_reported(self, found: Mapping[str, Signature]) -> dict[str, FileState]:
        return {
            path: state
            for path, state in self._gone.items()
            if path not in found and 0 <= self._now() - state.since < _REPORTED_FOR
        }

    def origin(self, room_id: str) -> tuple[str, int | None] | None:
        """
        The path of the rooms file that lists a room, with its line if that is still valid; ``None`` if no file does.
        """
        for path, file in self._known.items():
            for room, line in zip(file.watched.rooms, file.watched.lines, strict=True):
                if room.id == room_id:
                    return printable(path), line if file.watched is file.listing else None
        return None

    def _update(self, known: dict[str, _File], path: str, seen: Signature) -> bool:
        """Read a file if it has changed. Returns whether its state changed."""
        file = known.get(path, _NOTHING_KNOWN)
        returned = file.missing is not None
        if returned:
            known[path] = replace(file, missing=None)
        if seen == file.signature:
            return returned
        listing, error = None, None
        read: Signature | None = seen
        try:
            listing = read_listing(path, self._config)
        except RoomsFileError as problem:
            error = str(problem)
            read = None if problem.passing and seen[-1] <= LARGEST_FILE else seen
        if not _is_still(path, seen):
            # The file changed while it was read: the contents may be half a list.
            return returned
        known[path] = _File(read, listing or file.listing, error, file.watched)
        return True

    def _mark_missing(self, known: dict[str, _File], departed: dict[str, Listing], path: str) -> bool:
        """A scan did not find a file. Its rooms are kept for a second. Returns whether its state changed."""
        file, now = known[path], self._now()
        if file.missing is None:
            known[path] = replace(file, missing=now)
        elif 0 <= now - file.missing < _MISSING_FOR:
            return False
        else:
            departed[path] = known.pop(path).watched
        return True

    def _publish(
        self,
        known: dict[str, _File],
        failed: dict[str, str],
        gone: dict[str, FileState],
        departed: Mapping[str, Listing] = MappingProxyType({}),
    ) -> bool:
        before = self.rooms, self.files
        rooms = {room.id: room for room in self._config.rooms}
        origins = dict.fromkeys(rooms, "the config")
        files = {}
        for path, file in sorted(known.items()):
            shown = printable(path)
            error = file.error or (f"{shown}: {_MISSING}" if file.missing is not None else None) or failed.get(path)
            watched = file.watched
            if error is None and file.listing:
                error = _repetition(path, file.listing, origins)
                if error is None:
                    watched = file.listing
                    known[path] = replace(file, watched=watched)
            for room in watched.rooms:
                if origins.setdefault(room.id, path) == path:
                    rooms[room.id] = room
            files[shown] = self._state(shown, error, len(watched.rooms), file.listing.warning if file.listing else None)
        for name, error in failed.items():
            files.setdefault(printable(name), self._state(printable(name), error, 0, None))
        for path, listing in departed.items():
            # Do not count rooms that another file lists now: the file may have been renamed.
            if count := sum(room.id not in rooms for room in listing.rooms):
                error = f"{printable(path)}: gone; {count} room{'s' if count > 1 else ''} of it no longer watched"
                gone[path] = FileState(ok=False, error=error, rooms=0, since=self._now(), gone_with=count)
        files.update((printable(path), state) for path, state in gone.items())
        self._known, self._failed, self._gone = known, failed, gone
        after = tuple(rooms.values()), MappingProxyType(files)
        if after != before:
            self.rooms, self.files = after
        return after != before

    def _state(self, path: str, error: str | None, rooms: int, warning: str | None) -> FileState:
        old = self.files.get(path)
        since = old.since if old and old.error == error else self._now()
        return FileState(error is None, error, rooms, since, warning)

    def _inherit(self, previous: RoomsFiles) -> None:
        if previous._config.api != self._config.api:
            return
        self.files = previous.files
        listed = matcher(self._config.rooms_files)
        before = previous._config.defaults
        kept = {path: self._adopt(file, before) for path, file in previous._known.items() if listed(path)}
        self._publish(kept, {}, {path: state for path, state in previous._gone.items() if listed(path)})

    def _adopt(self, file: _File, before: Defaults) -> _File:
        defaults = self._config.defaults
        if defaults == before:
            return file
        listing = file.listing.under(defaults) if file.listing else None
        # The file's own thresholds may contradict the new defaults: read the file again, to validate it.
        signature = None if listing and listing.has_thresholds else file.signature
        watched = listing if listing and file.watched is file.listing else file.watched.under(defaults)
        return replace(file, signature=signature, listing=listing, watched=watched)


_NOTHING_KNOWN: Final = _File()


def _is_still(path: str, seen: Signature) -> bool:
    try:
        return signature(path) == seen
    except OSError:
        return False


def _repetition(path: str, listing: Listing, origins: Mapping[str, str]) -> str | None:
    """The error if a room of the file is already listed elsewhere."""
    for index, room in enumerate(listing.rooms):
        if origin := origins.get(room.id):
            where = f"{printable(path)}:{listing.lines[index]}"
            found = f"{room.id!r}, which {printable(origin)} lists already"
            return f"{where}: found {found}; accepted: each room once in a source"
    return None
