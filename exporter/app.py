"""
Builds the parts of the exporter from a config, runs them and stops them.

::

    Exporter ── Table, Telemetry, Exposition, WebServer, Scheduler, Reloads    one of each
             ├─ Cluster, if one is configured                                between them: SharedSources
             └─ Sources (``reload``)
                ├─ Budget by name, App by key                                  shared by sources
                └─ Running by source name: Poller, Watchlist, RoomsFiles
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from exporter import process
from exporter.blocking import in_thread
from exporter.callbacks.listener import Listener
from exporter.callbacks.receiver import Result, Subscription
from exporter.clock import Clock
from exporter.cluster.protocols import Cluster, MakeCluster
from exporter.cluster.shards import part_of
from exporter.config import Config, ConfigError
from exporter.discovery import MakeHttpSd
from exporter.errors import UserError
from exporter.inquiry import Inquiry
from exporter.logs import Log
from exporter.metrics.discovery_stats import CallbackFigures
from exporter.metrics.exposition import Exposition
from exporter.metrics.table import Table
from exporter.metrics.telemetry import Telemetry
from exporter.model import Shard
from exporter.polling.budget import Timer
from exporter.polling.client import Client, MakeClient
from exporter.polling.crowd import Crowd
from exporter.polling.scheduler import Scheduler
from exporter.reload import Plan, Reloads, Sources
from exporter.rooms import Scans
from exporter.rooms.http_sd import HttpSd
from exporter.shared import SharedSources
from exporter.web.page.curves import COLLECTED_EVERY
from exporter.web.process import Process
from exporter.web.server import WebServer

_SWEEP: Final = 1.0
_SCAN: Final = 2.0
_SWEPT_WITHIN: Final = 10.0
_READY_AFTER: Final = 10.0
_PLANNED_WITHIN: Final = 60.0
_LEFT_WITHIN: Final = 1.5
_CALLS_END_WITHIN: Final = 3.5


@dataclass(frozen=True, slots=True)
class WebOptions:
    """
    How ``/metrics`` and the pages are served.

    Args:
        listen_address: ``[host]:port``.
        lifecycle: Whether ``POST /-/reload`` is allowed.
        grafana_url: For links to the dashboards; empty: no links.
        config_file: A web config with TLS and users.
    """

    listen_address: str = ":9877"
    telemetry_path: str = "/metrics"
    lifecycle: bool = False
    grafana_url: str = ""
    config_file: Path | None = None


class Exporter:
    """
    The whole exporter.

    Args:
        load: Reads the config. Called in a thread, at the start and at every reload.
        config_path: Printable path of the config.
        make_client: Makes a source's client; default: ``Client``.
        make_scheduler: Makes the scheduler of the recurring jobs.
        process_started: Monotonic time at which this process began. An earlier process may have called vendors until
            then. Default: now.
        every_second: Called once a second.
        make_http_sd: Makes what asks an http_sd endpoint.
        cluster: What makes the cluster of a config; ``None`` for a config without one.
        shard: Of the config's sources, those of this shard are polled; ``None``: all.
    """

    def __init__(
        self,
        load: Callable[[], Config],
        config_path: str,
        options: WebOptions,
        log: Log,
        clock: Clock | None = None,
        make_client: MakeClient | None = None,
        make_scheduler: Callable[[Clock, Telemetry, Log], Scheduler] = Scheduler,
        process_started: float | None = None,
        every_second: Callable[[], None] = lambda: None,
        make_http_sd: MakeHttpSd = HttpSd,
        cluster: Callable[[Config], MakeCluster | None] = lambda _config: None,
        shard: Shard | None = None,
    ) -> None:
        self.clock = clock = clock or Clock()
        self.table = Table()
        self.telemetry = Telemetry()
        self.telemetry.shard = self._shard = shard
        self._load = load
        self._every_second = every_second
        self._log = log
        self._listen_address = options.listen_address
        self._exposition = Exposition(self.table, self.telemetry, clock.monotonic)
        self._scheduler = make_scheduler(clock, self.telemetry, log)
        self._timer = Timer(clock, lambda error: self._scheduler.raised("slots", error))
        self.sources = Sources(
            self.table,
            self.telemetry,
            self._scheduler,
            self._timer,
            clock,
            make_client or partial(Client, crowd=Crowd()),
            log,
            process_started,
            make_http_sd,
        )
        self.callbacks = Listener(self.sources, clock, log)
        self.telemetry.callbacks = self._callback_figures
        self._scans = Scans(clock.monotonic)
        self._make_cluster = cluster
        self._cluster: Cluster | None = None
        self._loaded = False
        self.reloads = Reloads(self._reload)
        inquiry = Inquiry(self.sources, config_path)
        self._swept = self._started = clock.monotonic()
        self.web = WebServer(
            self._exposition,
            self.table,
            self.telemetry,
            Process(
                healthy=self._why_unhealthy,
                ready=self._why_unready,
                reload=self.reloads.ask,
                monotonic=clock.monotonic,
                unix=clock.unix,
                started=clock.unix(),
                config_path=config_path,
                next_call=inquiry.next_call,
                origin=inquiry.origin,
                incomplete=inquiry.incomplete,
                own_interval=inquiry.own_interval,
                shard=shard,
                cluster=lambda: self._cluster.status() if self._cluster else None,
            ),
            log,
            options.telemetry_path,
            options.lifecycle,
            options.grafana_url,
            options.config_file,
        )

    async def start(self) -> None:
        """
        Load the config, listen and poll.

        Raises:
            ConfigError: The config is not valid; nothing was started.
            UserError: The address cannot be used.
        """
        async with self.reloads.lock:
            config, plan = await self._read()
            self._join_cluster(config)
            await self.web.start(self._listen_address)
            self._log_reach()
            self._warn(config, plan)
            change = await self.sources.build(plan)
            await self.callbacks.reconfigure(config.callbacks, _subscriptions(config))
            self._scheduler.start()
            await self.sources.change_over(change)
            self.sources.report_hanging(self._scans.hanging)
            self._scheduler.every(_SCAN, "rooms files", self._scan)
            self._scheduler.every(_SWEEP, "discovery", self.sources.tend_discovery)
            self._scheduler.every(_SWEEP, "sweep", self._sweep)
            self._scheduler.every(COLLECTED_EVERY, "sample", self.web.sample)
            self._note_reload(successful=True)
            if self._cluster is not None:
                await self._cluster.start()

    async def stop(self) -> None:
        """Let go of the cluster's budgets, stop the jobs, give calls in flight 3.5 s to end, and close everything."""
        began = self.clock.monotonic()
        await self.reloads.stop()
        await self.callbacks.stop()  # what it has answered is handed over with the budgets
        await self._leave_cluster()
        self._scheduler.pause()
        await self.sources.stop(max(0.5, _CALLS_END_WITHIN - (self.clock.monotonic() - began)))
        self._scheduler.stop()
        await self.web.stop()
        await self._exposition.aclose()

    def raised(self, name: str, error: Exception) -> None:
        """Count and log an exception that only a bug explains."""
        self._scheduler.raised(name, error)

    def _check_cluster(self, config: Config) -> None:
        """Refuse what needs a restart, and what contradicts the command line."""
        if self._cluster is not None:
            self._cluster.check(config)
        elif config.cluster is not None and self._loaded:
            raise ConfigError([f"{config.path}: cluster: begins with a restart only"])
        if config.cluster is not None and self._shard is not None:
            raise ConfigError([f"{config.path}: cluster: found with --shard; accepted: one of them"])

    def _join_cluster(self, config: Config) -> None:
        self._loaded = True
        make = self._make_cluster(config)
        if make is not None:
            shared = SharedSources(self.sources, self.table, self._timer, self.clock)
            self._cluster = make(shared, shared)
            self.telemetry.cluster = self._cluster.figures
            self.telemetry.holds = shared.holds

    async def _leave_cluster(self) -> None:
        """First of all, as others wait for the budgets."""
        if self._cluster is not None:
            try:
                async with asyncio.timeout(_LEFT_WITHIN):
                    await self._cluster.stop()
            except Exception as error:  # noqa: BLE001 whatever it is, the process ends
                self._scheduler.raised("cluster", error)

    def reload_soon(self) -> None:
        """Begin a reload without waiting for it."""
        self.reloads.begin()

    async def _reload(self) -> str | None:
        """Load the config and use it from now on; or change nothing and return why."""
        try:
            config, plan = await self._read()
            self._warn(config, plan)
            change = await self.sources.build(plan)
            prepared = await self.callbacks.prepare(config.callbacks)
        except UserError as error:
            self._note_reload(successful=False)
            self._log.warning("config not reloaded, the old one is kept", error=str(error))
            return str(error)
        except Exception as error:  # noqa: BLE001 the old config must stay in use
            self._note_reload(successful=False)
            self._scheduler.raised("reload", error)
            return "an error of the exporter itself, the old config is kept; its traceback is in the log"
        self.callbacks.swap(prepared, _subscriptions(config))
        turnover = await self.sources.change_over(change)
        if self._cluster is not None:
            self._cluster.use(config)
        self.sources.report_hanging(self._scans.hanging)
        self._note_reload(successful=True)
        sources = self.sources
        self._log.info("config reloaded", sources=len(sources.running), rooms=sources.rooms, **turnover.values())
        return None

    async def _read(self) -> tuple[Config, Plan]:
        try:
            async with asyncio.timeout(_PLANNED_WITHIN):
                config, plan = await in_thread(self._read_config)
        except TimeoutError:
            reason = f"the config, or a file that it names, cannot be read within {_PLANNED_WITHIN:g} s"
            raise ConfigError([reason]) from None
        self._check_cluster(config)
        for _, error in await self._scans.look(files for source, files in plan if source.rooms_files):
            if not isinstance(error, TimeoutError):
                raise error
        return config, plan

    def _log_reach(self) -> None:
        found = self.web.reach()
        if found.is_open:
            self._log.warning("the port is open to everybody", **found.values)
        else:
            self._log.info("listening", **found.values)

    def _warn(self, config: Config, plan: Plan) -> None:
        """Log what is accepted but looks like a mistake."""
        for warning in config.warnings:
            self._log.warning("config", warning=warning)
        if self._shard is not None and not config.sources:
            self._log.warning("shard has no source", shard=self._shard.ordinal, total_shards=self._shard.total)
        for source, files in plan:
            for pattern in files.unmatched():
                self._log.warning("config", warning=f"source {source.name}: no file matches {pattern}")

    def _read_config(self) -> tuple[Config, Plan]:
        config = self._load()
        if self._shard is not None:
            config = part_of(config, self._shard)
        return config, self.sources.plan(config.sources, self._scans)

    async def _scan(self) -> None:
        """Scan all rooms files and apply their changes."""
        of_file = {running.files: running for running in self.sources.running.values() if running.config.rooms_files}
        for files, error in await self._scans.scan(of_file):
            if not isinstance(error, TimeoutError):
                error.add_note(f"source: {of_file[files].config.name}")
                self._scheduler.raised("rooms files", error)
        self.sources.report_hanging(self._scans.hanging)
        await self.sources.follow_files()

    async def _sweep(self) -> None:
        now = self._swept = self.clock.monotonic()
        self.table.expire(now)
        self._every_second()

    def _callback_figures(self) -> dict[str, CallbackFigures]:
        return {
            name: CallbackFigures(
                {result.value: stats.results[result] for result in Result}, stats.last_event_at, stats.delay.figures()
            )
            for name, stats in self.callbacks.stats.items()
        }

    def _note_reload(self, *, successful: bool) -> None:
        if successful:
            self.telemetry.config_loaded(self.clock.unix())
        else:
            self.telemetry.config_refused()

    def _why_unhealthy(self) -> str | None:
        age = self.clock.monotonic() - self._swept
        return f"the sweep last ran {age:.0f} s ago" if age > _SWEPT_WITHIN else None

    def _why_unready(self) -> str | None:
        if not self._scheduler.running:
            return "the scheduler is not running"
        if self._cluster is not None and not self._cluster.answered:
            return "the cluster's engine has not answered"
        if self.clock.monotonic() - self._started >= _READY_AFTER:
            return None
        waiting = [
            name
            for name, running in self.sources.running.items()
            if running.poller.budget.held and not running.poller.first_call_ended
        ]
        return f"waiting for the first call of {', '.join(waiting)}" if waiting else None


def _subscriptions(config: Config) -> list[Subscription]:
    """The sources that take callbacks."""
    return [
        Subscription(each.name, each.source, each.codec.callbacks, each.discovery.callbacks)
        for each in config.sources
        if each.discovery and each.discovery.callbacks and each.codec.callbacks
    ]


async def run(exporter: Exporter, started: Callable[[], None] = lambda: None) -> None:
    """
    Run until SIGTERM or SIGINT; reload at SIGHUP.

    Args:
        started: Called when the exporter listens and polls.
    """
    with process.until_signal(exporter.reload_soon) as stopping:
        starting = asyncio.create_task(exporter.start())
        ended = asyncio.create_task(stopping.wait())
        await asyncio.wait({starting, ended}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if starting.done():
                starting.result()
                started()
                await ended
        finally:
            for task in (starting, ended):
                task.cancel()
            await asyncio.wait({starting, ended})
        await exporter.stop()
