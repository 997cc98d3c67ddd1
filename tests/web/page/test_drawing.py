"""
Bars and sparklines.
"""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exporter.web.page.drawing import HEIGHT, WIDTH, curve, height_of, percent, round_numbers, sparkline, stacked


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


def test_doubtful_samples_are_drawn_apart() -> None:
    """
    What leads to a doubtful sample is doubtful, and the area lies under all of it.
    """
    line = sparkline([1, 1, 1, 1, 1], 0, 1, sure=[True, True, False, False, True])

    assert line
    assert ["M0 2L60 2", "M180 2L240 2"] == re.findall(r"M[^M]+", line.line)
    assert "M60 2L120 2L180 2" == line.doubtful
    assert 1 == line.area.count("M")


def test_a_curve_of_readings_that_are_not_evenly_spaced() -> None:
    """
    Each reading stands where its time is; ``None`` breaks the line.
    """
    line = curve([(0.0, 0), (10.0, 50), None, (30.0, 100), (40.0, 100)], 40.0, 100.0)

    assert line
    assert ["M0 30L60 16", "M180 2L240 2"] == re.findall(r"M[^M]+", line.line)
    assert [93.75, 50.0, 6.25] == [height_of(users, 100.0) for users in (0, 50, 100)]


@given(st.floats(1.0, 1e9))
def test_numbers_beside_a_curve_are_round(high: float) -> None:
    """
    One to four of them, whole, evenly spaced, none beyond the top.
    """
    numbers = round_numbers(high)

    assert 1 <= len(numbers) <= 4
    assert [numbers[0] * (index + 1) for index in range(len(numbers))] == numbers
    assert numbers[-1] <= high
    assert {"1", "2", "5"} >= {f"{number:.0e}"[0] for number in numbers[:1]}
