"""
How far apart readings were lately: true to the window, and never more than a handful of numbers.
"""

from __future__ import annotations

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.gaps import BUCKETS, GAPS_OF_A_BUCKET, RecentGaps


def told(every: float, until: float, start: float = 0.0, *, gaps: RecentGaps | None = None) -> RecentGaps:
    """One room, read every so many seconds."""
    gaps = gaps or RecentGaps(interval=10.0)
    for number in range(1, int((until - start) / every) + 1):
        gaps.add([every], start + number * every)
    return gaps


@pytest.mark.parametrize(("interval", "window"), [(0.5, 120.0), (10.0, 120.0), (40.0, 120.0), (60.0, 180.0)])
def test_window(interval: float, window: float) -> None:
    """
    A gap counts for two minutes, or for three intervals if they are longer.
    """
    gaps = RecentGaps(interval)
    gaps.add([7.0], 1000.0)

    assert (7.0,) == gaps.within(1000.0 + window - 0.001)
    assert () == gaps.within(1000.0 + window)


@pytest.mark.parametrize(("before", "after"), [(10.0, 1.0), (1.0, 50.0)])
def test_room_moves_to_a_new_pace_within_the_window(before: float, after: float) -> None:
    """
    When the window is over, the old pace is gone from it, however many gaps of it there were.
    """
    gaps = told(before, until=600.0)
    assert before == median(gaps.within(600.0))

    told(after, start=600.0, until=720.0, gaps=gaps)

    assert {after} == set(gaps.within(720.0))


def test_longer_interval_lengthens_the_window() -> None:
    """
    A source that is reloaded with another interval keeps the gaps that count now.
    """
    gaps = told(10.0, until=100.0)
    gaps.interval = 100.0

    assert 10 == len(gaps.within(300.0))
    assert () == gaps.within(400.0)


@pytest.mark.parametrize("seconds", [100, 1_000])
def test_many_gaps_cost_as_much_as_few(seconds: int) -> None:
    """
    A thousand gaps a second leave a few hundred numbers, and the median is that of all of them.
    """
    gaps = RecentGaps(interval=10.0)
    for second in range(seconds):
        gaps.add([float(number) for number in range(1000)], second)

    kept = gaps.within(seconds - 1)

    assert min(seconds // 10, BUCKETS) * GAPS_OF_A_BUCKET == len(kept)
    assert 500 == pytest.approx(median(kept), abs=80)


def test_each_part_of_the_window_counts_alike() -> None:
    """
    When a busy pace changes, the median does when half of the window has seen the new one.
    """
    gaps = RecentGaps(interval=10.0)
    medians = []
    for second in range(240):
        gaps.add([30.0 if second < 120 else 60.0] * 100, second)
        medians.append(median(gaps.within(second)))

    assert 180 == pytest.approx(medians.index(60.0), abs=15)


@pytest.mark.parametrize("period", [2, 10, 32, 64, 1000])
def test_pattern_in_the_gaps_does_not_mislead(period: int) -> None:
    """
    Rooms are read in the same order again and again; one room that differs does not stand for all others.
    """
    gaps = RecentGaps(interval=10.0)
    for second in range(120):
        gaps.add([60.0 if number % period == 0 else 10.0 for number in range(1000)], second)

    kept = gaps.within(120.0)

    assert kept.count(60.0) / len(kept) == pytest.approx(1 / period, abs=0.08)


@given(st.lists(st.integers(0, 400), max_size=12), st.floats(1, 100))
def test_bucket_keeps_some_of_its_gaps(sizes: list[int], interval: float) -> None:
    """
    However many gaps come in, and in whatever portions, all of the few or some of the many are kept, each once.
    """
    gaps = RecentGaps(interval)
    number = 0
    for size in sizes:
        gaps.add([float(n) for n in range(number, number + size)], 1000.0)
        number += size

    kept = gaps.within(1000.0)

    assert min(number, GAPS_OF_A_BUCKET) == len(kept) == len(set(kept))
    assert set(kept) <= set(range(number))
