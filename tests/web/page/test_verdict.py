"""
The verdict on any numbers.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.page.standing import Level
from exporter.web.page.verdict import Alarm, Tally, judge

WELL = Tally(
    rooms=10,
    known=10,
    unknown=0,
    lost=0,
    limited=10,
    above=0,
    critical=0,
    sources=2,
    elsewhere=0,
    down=0,
    ailing=0,
    waiting=0,
)
"""Numbers of an exporter that nothing is wrong with."""


@pytest.mark.parametrize(
    ("changes", "level", "headline", "title"),
    [
        ({}, Level.OK, ["All is well"], "All well"),
        ({"critical": 1, "above": 1}, Level.BAD, ["1 room above critical"], "1 critical"),
        ({"above": 3}, Level.WARNING, ["3 rooms above warning"], "3 above warning"),
        ({"down": 1}, Level.BAD, ["1 of 2 sources down"], "1 source down"),
        ({"ailing": 2}, Level.WARNING, ["2 of 2 sources with a problem"], "2 sources with a problem"),
        ({"rooms": 0, "sources": 0, "elsewhere": 2}, Level.OK, ["All is well"], "All well"),
        ({"unknown": 4, "lost": 1}, Level.WARNING, ["4 of 10 rooms unknown"], "4 unknown"),
        ({"unknown": 4}, Level.WAITING, ["4 of 10 rooms not read yet"], "reading rooms"),
        ({"waiting": 1}, Level.WAITING, ["1 of 2 sources not heard of yet"], "waiting"),
        ({"rooms": 0, "known": 0, "limited": 0}, Level.WARNING, ["no room is watched"], "no room is watched"),
        (
            {"critical": 14, "above": 57, "down": 2, "unknown": 3, "lost": 3},
            Level.BAD,
            ["14 rooms above critical", "2 of 2 sources down"],
            "14 critical, 2 sources down",
        ),
    ],
)
def test_the_worst_makes_the_headline(changes: dict[str, int], level: Level, headline: list[str], title: str) -> None:
    """
    The verdict is as bad as its worst finding, and title and headline say the same.
    """
    verdict = judge(replace(WELL, **changes), ())

    assert (level, headline, title) == (verdict.level, [finding.words for finding in verdict.headline], verdict.title)


def test_what_is_less_bad_is_not_lost() -> None:
    """
    Whatever does not make the headline stands below it.
    """
    counts = replace(WELL, critical=14, above=57, ailing=1, unknown=2, waiting=1)
    alarm = Alarm(Level.WARNING, "an old config is in use", ())

    more = [finding.words for finding in judge(counts, [alarm]).more]

    assert [
        "57 rooms above a threshold in all",
        "2 of 10 rooms not read yet",
        "1 of 2 sources with a problem",
        "1 of 2 sources not heard of yet",
        "an old config is in use",
    ] == more


@pytest.mark.parametrize(
    ("limited", "words"),
    [(10, "none above its threshold"), (4, "none above its threshold, 4 have one"), (0, "no room has a threshold")],
)
def test_nothing_above_a_threshold_may_mean_that_there_is_none(limited: int, words: str) -> None:
    """
    All is well with rooms that have no thresholds, too; but then the page says so.
    """
    assert words in [finding.words for finding in judge(replace(WELL, limited=limited), ()).more]


few = st.integers(0, 3)


@given(few, few, few, few, few, few, st.booleans())
def test_all_is_well_only_if_it_is(
    critical: int, warning: int, unknown: int, down: int, ailing: int, waiting: int, alarmed: bool
) -> None:
    """
    There are no numbers with anything wrong in them that are called well.
    """
    counts = replace(
        WELL,
        above=critical + warning,
        critical=critical,
        unknown=unknown,
        sources=9,
        down=down,
        ailing=ailing,
        waiting=waiting,
    )
    alarms = [Alarm(Level.WARNING, "an old config is in use", ())] if alarmed else []

    level = judge(counts, alarms).level

    assert (level is Level.OK) == (not any([critical, warning, unknown, down, ailing, waiting, alarmed]))
    assert (level is Level.BAD) == bool(critical or down)
