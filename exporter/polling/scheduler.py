"""
The recurring jobs, on APScheduler: looks at rooms files, the sweep of old readings, samples for the page, and for each
source what must be looked at every few seconds.

Two instances of a job may overlap, and nothing is dropped for being late. When a single call leaves is no job's matter:
``budget`` knows to the millisecond.

APScheduler runs on the wall clock. When that steps back, every job would stand still until the old time has come again;
a heartbeat on the event loop's own timer notices the step and sets the next runs to now.
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


class _NoMatterHowLate(IntervalTrigger):  # type: ignore[misc]  # APScheduler has no types
    """An interval that never counts through the runs of hours that the wall clock jumped over."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        following: datetime = super().get_next_fire_time(previous_fire_time, now)
        return max(following, now)


Body = Callable[[], Awaitable[None]]


class Scheduler:
    """Runs recurring jobs; missed runs and exceptions in a job are counted, logged, and stop no job."""

    def __init__(self, clock: Clock, telemetry: Telemetry, log: Log) -> None:
        self._clock = clock
        self._telemetry = telemetry
        self._log = log
        self._ahead = 0.0
        self._told: set[tuple[str, str]] = set()
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

    def every(self, seconds: float, name: str, body: Body, early: float = 0.0) -> None:
        """
        Run a body every so many seconds from now on, the first time at once; a job of the same name is replaced.

        Args:
            early: Seconds by which the second run comes sooner, so that jobs begun together do not run together.
        """

        async def run() -> None:
            try:
                await body()
            except Exception as error:  # noqa: BLE001 whatever it is, the job runs again
                self.raised(name, error)

        self._jobs.add_job(
            run,
            _NoMatterHowLate(seconds=seconds, timezone=UTC),
            id=name,
            name=name,
            next_run_time=datetime.now(UTC) - timedelta(seconds=early),
            replace_existing=True,
        )

    def cancel(self, name: str) -> None:
        """Run this body no more; it need not be there."""
        if self._jobs.get_job(name):
            self._jobs.remove_job(name)

    def pause(self) -> None:
        """Begin no run from now on; those under way go on."""
        if self._jobs.running:
            self._jobs.pause()

    def stop(self) -> None:
        """End the scheduler; call it when the last body has returned."""
        if self._beat is not None:
            self._beat.cancel()
        if self._jobs.running:
            self._jobs.shutdown(wait=False)

    def _heartbeat(self) -> None:
        ahead = self._clock.unix() - self._clock.monotonic()
        if abs(ahead - self._ahead) > _STEP:
            self._log.warning("the wall clock was set: scheduling anew", step_seconds=round(ahead - self._ahead, 1))
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
        # A job that always raises does so every second, and one traceback tells as much as a thousand.
        kind = (name, type(error).__name__)
        if kind not in self._told:
            self._told.add(kind)
            self._log.error("unexpected error in a job", job=name, exc_info=error)
