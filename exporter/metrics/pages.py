"""
The sample lines of one source, one column for each metric family, in pages that snapshots share (copy-on-write).

Problem: a scrape needs all lines of one moment, and a thread joins them while the event loop goes on writing readings.
A full copy for 100,000 rooms, 700,000 references, would stop the loop for 10 ms or more.

Idea: rows stand in pages of 2,000. A snapshot is a list of the pages and copies no line. After a snapshot all pages are
shared; the first write to a shared page copies that page, and the copy replaces it.

Example: 100,000 rooms are 50 pages. A scrape takes a snapshot, a list of 50 references. Then a reply with ten rooms of
one page arrives: one page is copied, 2,000 references in each of seven columns, in some 0.1 ms. The next
reply for the same page copies nothing.

When this is wrong: if every page is written between two scrapes, all of them are copied once, so the cost of a copy is
not saved, only cut into steps. While a slow client reads a snapshot, the old pages stay in memory beside the new ones.
"""

from __future__ import annotations

from typing import Final

ROWS: Final = 2_000
"""Number of rows in a page."""

ABSENT: Final = b""
"""Stands in a column for a room that has no line there."""


class Page:
    """A number of rows, in every column."""

    __slots__ = ("_lengths", "columns")

    def __init__(self, columns: tuple[list[bytes], ...]) -> None:
        self.columns = columns
        self._lengths: dict[int, int] = {}

    def length(self, column: int) -> int:
        """Bytes of all lines of a column. Only for pages of a snapshot: they never change, so the result is kept."""
        length = self._lengths.get(column)
        if length is None:
            length = self._lengths[column] = sum(map(len, self.columns[column]))
        return length

    def copy(self) -> Page:
        return Page(tuple([lines.copy() for lines in self.columns]))


class Pages:
    """All rows of one source."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._rows = 0
        self._free: list[int] = []
        self._pages: list[Page] = []
        self._unshared: set[int] = set()

    def take(self) -> int:
        """Reserve a row that is not in use; it has no lines."""
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
        """Remove the lines of a row, and free it."""
        for column in range(self._columns):
            self.put(row, column, ABSENT)
        self._free.append(row)

    def line(self, row: int, column: int) -> bytes:
        return self._pages[row // ROWS].columns[column][row % ROWS]

    def put(self, row: int, column: int, line: bytes) -> None:
        self.page(row).columns[column][row % ROWS] = line

    def page(self, row: int) -> Page:
        """The page of a row, to write to place ``row % ROWS``. A page that a snapshot shares is copied first."""
        number = row // ROWS
        if number not in self._unshared:
            self._pages[number] = self._pages[number].copy()
            self._unshared.add(number)
        return self._pages[number]

    def snapshot(self) -> list[Page]:
        """All lines as they are now. Later writes do not change it."""
        self._unshared.clear()
        return self._pages.copy()
