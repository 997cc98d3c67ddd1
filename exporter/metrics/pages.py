"""
The sample lines of one source, a column per family, in pages that snapshots share.

A snapshot is a list of pages and copies no line. It keeps its pages as they are: the first write to a page after a
snapshot goes to a copy of that page. So the event loop never copies more than one page at a time, however many rooms
there are.
"""

from __future__ import annotations

from typing import Final

ROWS: Final = 2_000
"""Rows of a page."""

ABSENT: Final = b""
"""What stands in a column where a room has no line."""


class Page:
    """Some rows of every column."""

    __slots__ = ("_lengths", "columns")

    def __init__(self, columns: tuple[list[bytes], ...]) -> None:
        self.columns = columns
        self._lengths: dict[int, int] = {}

    def length(self, column: int) -> int:
        """Bytes of a column's lines together; only a snapshot may ask, since nobody writes to its pages any more."""
        length = self._lengths.get(column)
        if length is None:
            length = self._lengths[column] = sum(map(len, self.columns[column]))
        return length

    def copy(self) -> Page:
        return Page(tuple([lines.copy() for lines in self.columns]))


class Pages:
    """The rows of one source, in so many columns."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._rows = 0
        self._free: list[int] = []
        self._pages: list[Page] = []
        self._unshared: set[int] = set()

    def take(self) -> int:
        """A row that nobody uses, without a line in any column."""
        if self._free:
            return self._free.pop()
        row = self._rows
        self._rows += 1
        if row % ROWS == 0:
            self._unshared.add(len(self._pages))
            self._pages.append(Page(tuple([] for _ in range(self._columns))))
        for lines in self.page(row).columns:
            lines.append(ABSENT)
        return row

    def release(self, row: int) -> None:
        """Take away a row's lines, and let it be taken again."""
        for column in range(self._columns):
            self.put(row, column, ABSENT)
        self._free.append(row)

    def line(self, row: int, column: int) -> bytes:
        return self._pages[row // ROWS].columns[column][row % ROWS]

    def put(self, row: int, column: int, line: bytes) -> None:
        self.page(row).columns[column][row % ROWS] = line

    def page(self, row: int) -> Page:
        """The page of a row, to be written to at ``row % ROWS``; no snapshot sees it."""
        number = row // ROWS
        if number not in self._unshared:
            self._pages[number] = self._pages[number].copy()
            self._unshared.add(number)
        return self._pages[number]

    def snapshot(self) -> list[Page]:
        """All lines as they are now; later writes do not change it."""
        self._unshared.clear()
        return self._pages.copy()
