"""
Pages of lines: what a snapshot holds stays as it was, and is never more than a list.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics.pages import ABSENT, ROWS, Page, Pages

COLUMNS = 3


def lines(snapshot: list[Page]) -> list[list[bytes]]:
    """Every column's lines, page after page."""
    return [[line for page in snapshot for line in page.columns[column]] for column in range(COLUMNS)]


puts = st.tuples(st.integers(0, 2 * ROWS), st.integers(0, COLUMNS - 1), st.binary(max_size=5))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(puts, st.just("snapshot")), max_size=30))
def test_snapshot_stays_as_it_was(steps: list[tuple[int, int, bytes] | str]) -> None:
    """
    Later writes show in later snapshots alone, and lengths are always those of the lines.
    """
    pages = Pages(COLUMNS)
    assert list(range(2 * ROWS + 1)) == [pages.take() for _ in range(2 * ROWS + 1)]
    model = [[ABSENT] * (2 * ROWS + 1) for _ in range(COLUMNS)]
    taken = []
    for step in [*steps, "snapshot"]:
        if isinstance(step, str):
            taken.append((pages.snapshot(), [column.copy() for column in model]))
        else:
            row, column, line = step
            pages.put(row, column, line)
            model[column][row] = line
            assert line == pages.line(row, column)

    for snapshot, expected in taken:
        assert expected == lines(snapshot)
        for page in snapshot:
            assert [len(b"".join(column)) for column in page.columns] == [page.length(at) for at in range(COLUMNS)]


def test_snapshot_shares_the_pages_that_are_not_written_to() -> None:
    """
    A hundred snapshots of an unchanged table cost a hundred short lists; one write copies one page.
    """
    pages = Pages(COLUMNS)
    assert list(range(10 * ROWS)) == [pages.take() for _ in range(10 * ROWS)]
    before = pages.snapshot()
    pages.put(5 * ROWS, 0, b"x")
    after = pages.snapshot()

    assert [number == 5 for number in range(10)] == [old is not new for old, new in zip(before, after, strict=True)]


def test_released_row_is_taken_again_without_its_lines() -> None:
    """
    Rooms that come and go need no more rows than there were rooms at once.
    """
    pages = Pages(COLUMNS)
    rows = [pages.take() for _ in range(3)]
    for row in rows:
        pages.put(row, 1, b"x")
    pages.release(rows[1])

    assert rows[1] == pages.take()
    assert [[ABSENT] * 3, [b"x", ABSENT, b"x"], [ABSENT] * 3] == lines(pages.snapshot())
    assert 3 == pages.take()
