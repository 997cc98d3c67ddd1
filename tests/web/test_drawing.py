"""
Bars and sparklines.
"""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exporter.web.drawing import HEIGHT, WIDTH, percent, sparkline, stacked


def test_a_line_through_known_samples() -> None:
    """
    Samples are spread over the width, the largest value lies at the top, and the area closes at the bottom.
    """
    line = sparkline([0, 10, 5], 0, 10, reference=10)

    assert line
    assert f"M0 {HEIGHT - 2}L120 2L240 16" == line.line
    assert f"M0 {HEIGHT}L0 {HEIGHT - 2}L120 2L240 16L240 {HEIGHT}Z" == line.area
    assert 2 == line.reference


def test_a_gap_where_nothing_was_known() -> None:
    """
    An unknown sample breaks the line; it is not drawn as 0.
    """
    line = sparkline([1, 1, None, 1, 1], 0, 1)

    assert line
    assert ["M0 2L60 2", "M180 2L240 2"] == re.findall(r"M[^M]+", line.line)


def test_no_line_through_one_sample() -> None:
    """
    There is nothing to draw until two samples in a row are known.
    """
    assert sparkline([], 0, 1) is None
    assert sparkline([1], 0, 1) is None
    assert sparkline([1, None, 1], 0, 1) is None


NUMBERS = st.floats(-1e12, 1e12)


@given(st.lists(st.none() | NUMBERS, max_size=60), NUMBERS, st.floats(1e-3, 1e12), NUMBERS)
def test_lines_stay_in_their_box(values: list[float | None], low: float, span: float, reference: float) -> None:
    """
    Whatever the values, every coordinate is a plain number within the box.
    """
    line = sparkline(values, low, low + span, reference)

    if line is not None:
        numbers = [float(number) for number in re.findall(r"[^MLZ ]+", line.line + line.area)]
        assert all(0 <= number <= max(WIDTH, HEIGHT) for number in numbers)
        assert 0 <= (line.reference or 0) <= HEIGHT


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(0, 10**9)))
def test_parts_fill_the_bar(amounts: dict[str, int]) -> None:
    """
    The parts of a bar follow one another and fill it; empty ones are left out.
    """
    parts = stacked(amounts.items())

    assert [name for name, amount in amounts.items() if amount] == [part.name for part in parts]
    if parts:
        assert abs(100 - sum(part.length for part in parts)) < 0.05
        assert all(abs(a.start + a.length - b.start) < 0.02 for a, b in pairwise(parts))


def test_percent_is_bounded() -> None:
    """
    More than the whole fills a bar and does not leave it; a share of nothing is nothing.
    """
    assert [50.0, 100.0, 0.0, 0.0] == [percent(5, 10), percent(15, 10), percent(-1, 10), percent(5, 0)]
