"""
What is kept over time.
"""

from __future__ import annotations

from exporter.web.history import KEPT, History, Series, SourceSample


def test_a_series_is_bounded() -> None:
    """
    Only the last samples are kept, oldest first.
    """
    series = Series()
    for value in range(KEPT + 10):
        series.add(value)

    assert KEPT == len(series)
    assert [float(value) for value in range(10, KEPT + 10)] == series.points(KEPT)


def test_fewer_points_still_end_with_the_last_sample() -> None:
    """
    A series is thinned evenly, and what is true now is always among the points; unknown stays unknown.
    """
    series = Series()
    for value in range(10):
        series.add(None if value == 6 else value)

    assert [0.0, 3.0, None, 9.0] == series.points(4)
    assert [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, None, 7.0, 8.0, 9.0] == series.points(10) == series.points(99)


def test_total_users_are_the_sum_of_what_is_known() -> None:
    """
    A source without readings adds nothing; without any reading the total is unknown, not 0.
    """
    history = History()
    history.add(0.0, {"a": SourceSample(None, None)}, {})
    history.add(5.0, {"a": SourceSample(None, None), "b": SourceSample(0, 10.0)}, {})
    history.add(10.0, {"a": SourceSample(3, 10.0), "b": SourceSample(4, 10.0)}, {})

    assert [None, 0.0, 7.0] == history.users.points(9)
    assert 10.0 == history.span()


def test_a_source_that_is_gone_leaves_nothing() -> None:
    """
    A source that comes back under the same name starts anew.
    """
    history = History()
    history.add(0.0, {"a": SourceSample(1, 10.0)}, {})
    history.add(5.0, {}, {})
    history.add(10.0, {"a": SourceSample(1, 20.0)}, {})

    assert [20.0] == history.achieved_intervals("a", 9)
    assert [] == history.achieved_intervals("b", 9)


def test_calls_per_second_of_the_last_half_minute() -> None:
    """
    The rate reaches back half a minute, and begins anew when a budget's counter does.
    """
    history = History()
    assert history.calls_per_second("b", 10, 0.0) is None

    for moment, calls in ((0.0, 0), (5.0, 1_000), (35.0, 1_060), (40.0, 1_070)):
        history.add(moment, {}, {"b": calls})

    assert 2.0 == history.calls_per_second("b", 1_080, 45.0)


def test_a_burst_is_no_rate() -> None:
    """
    Ten calls within a quarter of a second are not forty a second; until there is more to tell, nothing is told.
    """
    history = History()
    history.add(0.0, {}, {"b": 0})

    assert history.calls_per_second("b", 10, 0.25) is None
    assert 5.0 == history.calls_per_second("b", 10, 2.0)


def test_how_much_of_the_total_is_known() -> None:
    """
    Beside the users of all known rooms stands which share of the rooms that is.
    """
    history = History()
    history.add(0.0, {}, {})
    history.add(
        5.0, {"a": SourceSample(3, 10.0, known=1, rooms=1), "b": SourceSample(None, None, known=0, rooms=3)}, {}
    )

    assert [None, 0.25] == history.known.points(9)
    assert history.calls_per_second("b", 3, 45.0) is None
    assert history.calls_per_second("other", 3, 45.0) is None
