"""
The recurring jobs, on APScheduler: checks of rooms files, the sweep of old readings, samples for the page, and the
maintenance of each source.

Two instances of a job may overlap, and a late run is made all the same. Calls to vendors are not jobs: ``budget`` times
them to the millisecond.

APScheduler uses the wall clock. If somebody sets that clock back by an hour, no job would run for an hour. So a
heartbeat on the event loop's own timer compares the wall clock with the monotonic clock once a second. If they have
moved apart by over 0.5 s, it makes every job run now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobEvent
from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from exporter.clock import Clock
from exporter.logs import Log
from exporter.metrics.telemetry import Telemetry

_STEP: Final = 0.5
_HEARTBEAT: Final = 1.0


class _NeverInThePast(IntervalTrigger):  # type: ignore[misc]  # APScheduler has no types
    """An interval whose next run is never in the past: after a jump of the wall clock, missed runs are not made up."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        following: datetime = super().get_next_fire_time(previous_fire_time, now)
        return max(following, now)


Body = Callable[[], Awaitable[None]]


class Scheduler:
    """Runs recurring jobs. Missed runs and exceptions are counted and logged, and stop no job."""

    def __init__(self, clock: Clock, telemetry: Telemetry, log: Log) -> None:
        self._clock = clock
        self._telemetry = telemetry
        self._log = log
        self._ahead = 0.0
        self._logged: set[tuple[str, str]] = set()
        self._beat: asyncio.TimerHandle | None = None
        self._jobs = AsyncIOScheduler(
            timezone=UTC,
            executors={"default": AsyncIOExecutor()},
            job_defaults={"max_instances": 2, "coalesce": True, "misfire_grace_time": None},
        )
        self._jobs.add_listener(self._missed, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)

    @property
    def running(self) -> bool:
        return bool(self._jobs.running)

    def start(self) -> None:
        self._jobs.start()
        self._ahead = self._clock.unix() - self._clock.monotonic()
        self._heartbeat()

    def every(self, seconds: float, name: str, body: Body, early: float = 0.0, jitter: float = 0.0) -> None:
        """
        Run a body now, and again after every interval. This replaces a job of the same name.

        Args:
            seconds: The interval.
            early: Seconds by which the second run is earlier, so that jobs that begin together do not stay together.
            jitter: Each run but the first is up to so many seconds earlier or later, at random.
        """

        async def run() -> None:
            try:
                await body()
            except asyncio.CancelledError:
                return  # only ``stop`` cancels a run, and APScheduler would log that as an error with its traceback
            except Exception as error:  # noqa: BLE001 the job must run again
                self.raised(name, error)

        self._jobs.add_job(
            run,
            _NeverInThePast(seconds=seconds, timezone=UTC, jitter=jitter or None),
            id=name,
            name=name,
            next_run_time=datetime.now(UTC) - timedelta(seconds=early),
            replace_existing=True,
        )

    def cancel(self, name: str) -> None:
        """Remove a job, if there is one of this name."""
        if self._jobs.get_job(name):
            self._jobs.remove_job(name)

    def pause(self) -> None:
        """Start no run from now on. Running ones go on."""
        if self._jobs.running:
            self._jobs.pause()

    def stop(self) -> None:
        """End the scheduler. Call this after the last body has returned."""
        if self._beat is not None:
            self._beat.cancel()
        if self._jobs.running:
            self._jobs.shutdown(wait=False)

    def _heartbeat(self) -> None:
        ahead = self._clock.unix() - self._clock.monotonic()
        if abs(ahead - self._ahead) > _STEP:
            self._log.warning("the wall clock was set: all jobs run now", step_seconds=round(ahead - self._ahead, 1))
            for job in self._jobs.get_jobs():
                job.modify(next_run_time=datetime.now(UTC))
        self._ahead = ahead
        self._beat = asyncio.get_running_loop().call_later(_HEARTBEAT, self._heartbeat)

    def _missed(self, event: JobEvent) -> None:
        self._telemetry.missed_runs += 1
        self._log.debug("a run was missed", job=event.job_id)

    def raised(self, name: str, error: Exception) -> None:
        """Count and log an exception that only a bug explains."""
        self._telemetry.unexpected_errors += 1
        # A job that always raises would log a traceback every second: log the first of each kind only.
        kind = (name, type(error).__name__)
        if kind not in self._logged:
            self._logged.add(kind)
            self._log.error("unexpected error in a job", job=name, exc_info=error)
