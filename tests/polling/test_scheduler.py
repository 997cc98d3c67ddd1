"""
Jobs run every second, whatever their bodies do and however the wall clock jumps.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, tzinfo
from itertools import pairwise
from typing import Any

import pytest

from exporter.clock import Clock
from exporter.metrics.telemetry import Telemetry
from exporter.polling.scheduler import Scheduler
from tests.polling.house import EPOCH, LogLines
from tests.polling.virtual_time import in_virtual_time


class Wall:
    """A wall clock that goes with the loop's, and can be set."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.ahead = EPOCH

    def unix(self) -> float:
        """Unix seconds."""
        return self.loop.time() + self.ahead


class Jobs:
    """A scheduler at work, and what it did."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wall = self.wall = Wall()

        class WallDatetime(datetime):
            """What the scheduler and its library ask for the time."""

            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Any:
                """The wall clock's time."""
                return datetime.fromtimestamp(wall.unix(), tz or UTC)

        for module in ("apscheduler.schedulers.base", "exporter.polling.scheduler"):
            monkeypatch.setattr(f"{module}.datetime", WallDatetime)
        self.log = LogLines()
        self.telemetry = Telemetry()
        self.scheduler = Scheduler(Clock(wall.loop.time, wall.unix), self.telemetry, self.log)
        self.runs: list[float] = []

    async def __aenter__(self) -> Jobs:  # noqa: PYI034 nothing derives from it
        self.scheduler.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.scheduler.stop()
        await asyncio.sleep(0)

    async def run(self) -> None:
        """A body that notes its run."""
        self.runs.append(self.wall.loop.time())

    def missed(self) -> float:
        """Missed runs as they are counted."""
        return self.telemetry.missed_runs

    def errors(self) -> float:
        """Unexpected errors as they are counted."""
        return self.telemetry.unexpected_errors


@in_virtual_time
async def test_jobs_begun_together_do_not_go_on_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    All run at once for the first time, and from then on each at its own moment of the second.
    """
    async with Jobs(monkeypatch) as jobs:
        for number in range(4):
            jobs.scheduler.every(1, f"job {number}", jobs.run, early=number / 4)
        began = jobs.wall.loop.time()
        await asyncio.sleep(2.6)

    expected = [0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.25, 2.5]
    assert expected == pytest.approx([at - began for at in sorted(jobs.runs)], abs=0.01)


@in_virtual_time
async def test_first_run_is_at_once_and_the_next_ones_on_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A job's runs are one second apart from its beginning on.
    """
    async with Jobs(monkeypatch) as jobs:
        begin = jobs.wall.loop.time()
        jobs.scheduler.every(1.0, "job", jobs.run)
        await asyncio.sleep(59.5)

        assert 60 == len(jobs.runs)
        assert begin == pytest.approx(jobs.runs[0], abs=0.01)
        assert all(later - earlier == pytest.approx(1, abs=0.01) for earlier, later in pairwise(jobs.runs))


@pytest.mark.parametrize("step", [-5 * 3600, -90, -2, 2, 90, 5 * 3600, 400 * 86_400])
@in_virtual_time
async def test_wall_clock_may_jump(step: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Set back or forth by hours, and a minute later right again: runs go on a second apart, two at most for the steps'
    sake, none of the skipped hours is run through, and nothing counts as missed.
    """
    async with Jobs(monkeypatch) as jobs:
        jobs.scheduler.every(1.0, "job", jobs.run)
        await asyncio.sleep(10.3)
        jobs.wall.ahead += step
        await asyncio.sleep(60)
        jobs.wall.ahead -= step
        await asyncio.sleep(60)

        assert 130 <= len(jobs.runs) <= 134
        assert 2.1 >= max(later - earlier for earlier, later in pairwise(jobs.runs))
        assert 0 == jobs.missed()
        assert 2 == len([line for line in jobs.log.lines if "wall clock was set" in line.event])


@in_virtual_time
async def test_body_that_lasts_its_whole_interval_loses_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A window lasts until the next one begins, and a little longer.
    """
    async with Jobs(monkeypatch) as jobs:

        async def window() -> None:
            await jobs.run()
            await asyncio.sleep(1.05)

        jobs.scheduler.every(1.0, "job", window)
        await asyncio.sleep(60.5)

        assert 61 == len(jobs.runs)
        assert 0 == jobs.missed()


@in_virtual_time
async def test_runs_that_find_no_place_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A body that hangs leaves its later runs out, which are counted; the other jobs run on.
    """
    async with Jobs(monkeypatch) as jobs:

        async def hang() -> None:
            await asyncio.sleep(1000)

        jobs.scheduler.every(1.0, "hanging", hang)
        jobs.scheduler.every(1.0, "job", jobs.run)
        await asyncio.sleep(10.5)

        assert 11 == len(jobs.runs)
        assert 9 == jobs.missed()


@in_virtual_time
async def test_loop_that_stood_still_is_not_caught_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    After ten seconds without a turn of the loop a job runs once, not ten times.
    """
    async with Jobs(monkeypatch) as jobs:
        jobs.scheduler.every(1.0, "job", jobs.run)
        await asyncio.sleep(5.5)
        jobs.wall.loop.stall(10.0)  # type: ignore[attr-defined]  # it is the virtual loop
        await asyncio.sleep(5)

        assert 11 <= len(jobs.runs) <= 12


@in_virtual_time
async def test_exception_in_a_job_stops_no_job(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    It is counted each time and logged once, and the job runs again.
    """
    async with Jobs(monkeypatch) as jobs:

        async def fail() -> None:
            await jobs.run()
            raise ZeroDivisionError

        jobs.scheduler.every(1.0, "job", fail)
        await asyncio.sleep(20.5)

        assert 21 == len(jobs.runs) == jobs.errors()
        (line,) = jobs.log.lines
        assert ("error", "job") == (line.level, line.values["job"])
        assert isinstance(line.values["exc_info"], ZeroDivisionError)
        assert [] == caplog.messages


@in_virtual_time
async def test_run_that_the_end_interrupts_is_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    An orderly end during a long run, such as a look at a folder that hangs, leaves no traceback in the log.
    """

    async def long() -> None:
        await asyncio.sleep(3600)

    async with Jobs(monkeypatch) as jobs:
        jobs.scheduler.every(1.0, "long", long)
        await asyncio.sleep(0.5)
    await asyncio.sleep(0.5)

    assert ([], []) == (caplog.records, jobs.log.lines)


@in_virtual_time
async def test_cancelled_and_replaced_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A job runs until it is cancelled, and a job of the same name takes its place.
    """
    async with Jobs(monkeypatch) as jobs:
        others = Jobs(monkeypatch)
        jobs.scheduler.every(1.0, "job", jobs.run)
        jobs.scheduler.every(1.0, "job", others.run)
        await asyncio.sleep(3.5)
        jobs.scheduler.cancel("job")
        await asyncio.sleep(5)

        assert (0, 4) == (len(jobs.runs), len(others.runs))


@in_virtual_time
async def test_paused_scheduler_begins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    At shutdown no further window begins, and those under way end.
    """
    async with Jobs(monkeypatch) as jobs:
        ended = []

        async def window() -> None:
            await jobs.run()
            await asyncio.sleep(0.9)
            ended.append(True)

        jobs.scheduler.every(1.0, "job", window)
        await asyncio.sleep(3.5)
        jobs.scheduler.pause()
        await asyncio.sleep(5)

        assert 4 == len(jobs.runs) == len(ended)
