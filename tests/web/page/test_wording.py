"""
Figures in words.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import FailureKind
from exporter.states import RoomState, SourceState
from exporter.web.page import wording
from exporter.web.page.standing import Level, Trouble


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (0, "0 s"),
        (0.04, "0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3_599.9, "1 h"),
        (18_600, "5 h 10 min"),
        (86_400, "1 d"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    """
    Two units at most, and no more digits than one reads at a glance.
    """
    assert words == wording.duration(seconds)


@given(st.floats(0, 1e9))
def test_durations_say_no_odd_units(seconds: float) -> None:
    """
    Rounding never leads to 60 s or 60 min.
    """
    assert "60 s" not in wording.duration(seconds)
    assert "60 min" not in wording.duration(seconds)


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0"), (0.25, "0.2"), (9.5, "9.5"), (10.0, "10"), (99.94, "99.9"), (1234.5, "1,234")]
)
def test_decimals(number: float, words: str) -> None:
    """
    A digit after the point only where it tells something.
    """
    assert words == wording.decimal(number)


@pytest.mark.parametrize(
    ("skew", "shift", "words"),
    [
        (None, 0.0, None),
        (1.9, 0.0, None),
        (-1.9, 0.0, None),
        (903.0, 0.0, "Our clock is 15 min 3 s ahead of the vendor's."),
        (-70.0, 0.0, "Our clock is 1 min 10 s behind the vendor's."),
        (903.0, 900.0, "Our clock is 15 min 3 s ahead of the vendor's. Stamping calls with the vendor's time."),
        (0.0, 900.0, "Stamping calls with the vendor's time."),
    ],
)
def test_clocks(skew: float | None, shift: float, words: str | None) -> None:
    """
    A skew within what a Date header can tell is not worth a word; a shift is always told.
    """
    assert words == wording.clock(skew, shift)


def test_names_that_may_be_many() -> None:
    """
    The first three by name, the others counted.
    """
    assert ["", "a", "a, b, c", "a, b, c and 1 more"] == [wording.named("abcd"[:count]) for count in (0, 1, 3, 4)]


def test_counts() -> None:
    """
    Thousands are grouped, and one is singular.
    """
    assert ["0 rooms", "1 room", "2,000 rooms"] == [wording.counted(number, "room") for number in (0, 1, 2_000)]


def test_shares_of_a_threshold() -> None:
    """
    In percent below it, never 100 there, and as a multiple from it on.
    """
    shares = [0, 0.001, 0.126, 0.999, 1.0, 1.04, 6.3, 9.96, 12.4, 5_000]

    assert ["0 %", "< 1 %", "13 %", "99 %", "1.0 ×", "1.0 ×", "6.3 ×", "10 ×", "12 ×", "5,000 ×"] == [
        wording.share(share) for share in shares
    ]


def test_changes_have_a_sign() -> None:
    """
    More and less are told apart at a glance.
    """
    assert ["+1,200", "+0", "−7"] == [wording.signed(change) for change in (1_200, 0, -7)]


def test_moments_are_of_one_time_zone() -> None:
    """
    UTC, and said to be; the date only where it is another one.
    """
    noon = 1_700_049_600.0

    assert "11:59:50 UTC" == wording.since(noon - 10, noon)
    assert "2023-11-14 12:00 UTC" == wording.since(noon - 86_400, noon)


def test_there_are_words_for_everything() -> None:
    """
    Every trouble, level, state of a room and kind of failure has its words, and every state that is not ok its
    explanation.
    """
    assert {*Trouble} == {*wording.TROUBLES}
    assert {*Level} == {*wording.LEVELS}
    assert set(RoomState) == set(wording.ROOM_STATES)
    assert set(SourceState) - {SourceState.OK} == set(wording.EXPLANATIONS)
    assert set(FailureKind) == set(wording.KINDS)
