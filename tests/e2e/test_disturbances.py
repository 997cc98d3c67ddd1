"""
What is left out of a measurement, and when too much is.
"""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.disturbances import BACKLOG, Disturbances, Span, TooBusyError, note_disturbances, stolen_seconds


class Machine:
    """
    A machine on which each tick takes as long as a test says, and whose host steals as much as a test says.
    """

    def __init__(self, *late: float, stolen: float = 0.0) -> None:
        self.now = 100.0
        self._late = iter(late)
        self._stolen_per_second = stolen

    async def sleep(self, seconds: float) -> None:
        """
        Sleep, and as much longer as the next tick shall be late; the last one never comes.
        """
        late = next(self._late, None)
        if late is None:
            raise asyncio.CancelledError
        self.now += seconds + late

    async def noted(self) -> list[Span]:
        """
        Every disturbance until the last tick.
        """
        spans: list[Span] = []
        with suppress(asyncio.CancelledError):
            await note_disturbances(
                spans.append,
                monotonic=lambda: self.now,
                sleep=self.sleep,
                stolen=lambda: self.now * self._stolen_per_second,
            )
        return spans


async def test_a_late_tick_is_a_disturbance():
    """
    From when the tick was set until it came; ticks that are less than 20 ms late are none.
    """
    (span,) = await Machine(0.0, 0.015, 0.3, 0.0).noted()

    assert (100.025, 100.33) == pytest.approx(span)


async def test_stolen_time_is_a_disturbance():
    """
    When the host takes more than 20 ms within a tenth of a second, that tenth is disturbed; less is not noted.
    """
    often = [0.0] * 100
    assert [] == await Machine(*often, stolen=0.15).noted()

    spans = await Machine(*often, stolen=0.3).noted()

    assert 4 <= len(spans) <= 5
    assert all(0.1 <= span.end - span.start < 0.11 for span in spans)


def test_windows_that_a_disturbance_touches_are_left_out():
    """
    Those that overlap it and those that begin before its backlog is worked off; the others are judged.
    """
    disturbances = Disturbances([Span(10.0, 10.5), Span(10.1, 10.2)])
    before, over, within, soon, after = (
        Span(8.9, 9.9),
        Span(9.2, 10.2),
        Span(10.3, 10.4),
        Span(10.5 + BACKLOG / 2, 11.6),
        Span(10.6, 11.6),
    )

    assert [before, after] == disturbances.judge([before, over, within, soon, after], Span(0.0, 60.0))


@given(
    spans=st.lists(st.tuples(st.floats(0, 100), st.floats(0, 10))),
    start=st.floats(0, 100),
    length=st.floats(0, 3),
)
def test_touch_looks_at_every_disturbance(spans, start, length):
    """
    However disturbances overlap, a window is left out just when one of them reaches into it.
    """
    disturbances = [Span(begin, begin + lasts) for begin, lasts in spans]

    expected = any(span.start <= start + length and span.end + BACKLOG >= start for span in disturbances)
    assert expected is Disturbances(disturbances).touch(Span(start, start + length))


def test_what_is_left_out_is_counted():
    """
    In seconds of the measurement, each once however often it was disturbed.
    """
    disturbances = Disturbances([Span(3.1, 3.2), Span(3.4, 3.5), Span(7.8, 8.1)])

    assert (3, 20) == disturbances.left_out(Span(0.0, 20.0))


def test_a_measurement_that_was_disturbed_too_often_fails():
    """
    With more than a third of its seconds left out it says that too little was measured, even if nothing was wrong.
    """
    six, seven = ([Span(2.0 * second, 2.0 * second + 0.1) for second in range(number)] for number in (6, 7))
    measurement = Span(-0.5, 17.5)

    assert [] == Disturbances(six).judge([], measurement)
    with pytest.raises(TooBusyError, match="too busy in 7 of 18 seconds"):
        Disturbances(seven).judge([], measurement)


def test_two_seconds_may_always_be_left_out():
    """
    So that one disturbance is not the end of a short measurement.
    """
    assert [] == Disturbances([Span(0.9, 1.1)]).judge([], Span(0.0, 3.0))


def test_stolen_time_is_what_the_kernel_says(tmp_path: Path):
    """
    The eighth number of the first line, in hundredths of a second; 0 where there is no such number.
    """
    stat = tmp_path / "stat"
    stat.write_text("cpu  1 2 3 4 5 6 7 250 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
    old = tmp_path / "old"
    old.write_text("cpu  1 2 3 4\n")

    assert (2.5, 0.0, 0.0) == (stolen_seconds(stat), stolen_seconds(old), stolen_seconds(tmp_path / "none"))
