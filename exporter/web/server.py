"""The HTTP server: routes, limits, start and stop."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Final, cast

from aiohttp import web

from exporter.address import Address
from exporter.blocking import in_thread
from exporter.errors import UserError
from exporter.logs import Log
from exporter.metrics.exposition import Exposition
from exporter.metrics.table import Table
from exporter.metrics.telemetry import Telemetry
from exporter.web.answers import add_security_headers, plain_errors
from exporter.web.api import Api
from exporter.web.connections import Connections, end_with_the_answer
from exporter.web.lifecycle import Lifecycle
from exporter.web.page.assets import asset_routes
from exporter.web.page.handbook import Handbook
from exporter.web.page.links import Grafana
from exporter.web.page.memory import Memory
from exporter.web.page.page import Page
from exporter.web.page.rendering import Renderer
from exporter.web.page.room_page import RoomPage
from exporter.web.process import Process
from exporter.web.reach import Reach, reach
from exporter.web.rooms import Rooms
from exporter.web.scrape import Scrape
from exporter.web.security.acceptor import Acceptor
from exporter.web.security.config import WebConfig
from exporter.web.security.guard import Guard
from exporter.web.target_groups import TargetGroups

_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+", re.ASCII)
_TAKEN: Final = ("/-", "/api", "/docs", "/rooms", "/sd", "/static")
_ANY: Final = ":.+"
"""Matches slashes too: a room id may contain one, and some proxies decode %2F."""

_LONGEST_LINE: Final = 8_190
_LONGEST_HEADER: Final = 32 * 1024
"""In bytes. A browser also sends the cookies of other applications on the same host."""
_IDLE: Final = 75.0
_LINGERING: Final = 1.0
_SHUTDOWN_GRACE: Final = 0.25


class WebServer:
    """
    Serves the telemetry path, health, the JSON API and the status page.

    Args:
        telemetry_path: The path of scrapes.
        lifecycle: Whether ``POST /-/reload`` is allowed.
        grafana_url: URL of the Grafana with the dashboards; empty for none.
        config_file: The web config; ``None`` for none.

    Raises:
        UserError: The telemetry path or the URL is not accepted.
    """

    def __init__(
        self,
        exposition: Exposition,
        table: Table,
        telemetry: Telemetry,
        process: Process,
        log: Log,
        telemetry_path: str = "/metrics",
        lifecycle: bool = False,  # noqa: FBT001, FBT002  # given by name, after the flag
        grafana_url: str = "",
        config_file: Path | None = None,
    ) -> None:
        _check_path(telemetry_path)
        self.url = ""
        self.port = 0
        self._host = ""
        self._lifecycle = lifecycle
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._acceptor: Acceptor | None = None
        self._monotonic, self._unix = process.monotonic, process.unix
        self._connections = Connections(process.monotonic, telemetry_path)
        self._guard = Guard(config_file, telemetry, log, process.monotonic)
        rooms = Rooms(table)
        self._memory = Memory(table, telemetry, rooms, process.cluster)
        renderer = Renderer(process, telemetry_path, Grafana.parse(grafana_url))
        page = Page(table, telemetry, process, self._memory, rooms, renderer)
        room = RoomPage(table, telemetry, process, self._memory, renderer)
        handbook = Handbook(renderer)
        scrape = Scrape(exposition)
        probes = Lifecycle(process, enabled=lifecycle)
        api = Api(table, telemetry, process, self._memory.history, rooms)
        routes = [
            web.get("/", page.get),
            web.get("/rooms", room.get_by_query),
            web.get(f"/rooms/{{source}}/{{room{_ANY}}}", room.get),
            web.get("/docs", handbook.front),
            web.get("/docs/{page}", handbook.get),
            web.get(telemetry_path, scrape.get),
            web.get("/-/healthy", probes.healthy),
            web.get("/-/ready", probes.ready),
            web.post("/-/reload", probes.reload),
            web.get("/api/v1/sources", api.sources),
            web.get("/api/v1/rooms", api.rooms),
            web.get("/api/v1/cluster", api.cluster),
            web.get("/api/v1/openapi.json", api.openapi),
            web.get("/sd/rooms", TargetGroups(table, telemetry, process).get),
        ]
        self._app = web.Application(
            middlewares=[
                self._connections.watch,
                plain_errors(tuple(route.path.replace(_ANY, "") for route in routes), telemetry, log),
                self._guard.watch,
            ],
        )
        self._app.on_response_prepare.extend([add_security_headers, self._guard.add_headers, end_with_the_answer])
        self._app.add_routes([*routes, *asset_routes()])

    @property
    def config(self) -> WebConfig:
        """The web config in force. Its ``guards`` say what protects the port."""
        return self._guard.config

    async def start(self, listen_address: str) -> None:
        """
        Listen on an address such as ``:9877``, ``127.0.0.1:0`` or ``[::1]:9877``; port 0 takes a free one.

        Raises:
            UserError: The text is not an address, nobody can listen there, or the web config is wrong.
        """
        address = Address.parse(listen_address)
        await self._guard.start()
        listening = await in_thread(address.listen)  # may look up a host name
        self._runner = web.AppRunner(
            self._app,
            access_log=None,
            auto_decompress=False,
            handler_cancellation=True,
            keepalive_timeout=_IDLE,
            lingering_time=_LINGERING,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_HEADER,
            shutdown_timeout=_SHUTDOWN_GRACE,
        )
        await self._runner.setup()
        factory = self._connections.guard(cast(web.Server, self._runner.server))
        self._host, self.port, *_ = listening.getsockname()
        self.url = address.url(self.port, self.config.scheme)
        if self.config.tls is None:
            self._server = await asyncio.get_running_loop().create_server(factory, sock=listening)
        else:
            self._acceptor = Acceptor(listening, self._guard, factory)
            self._acceptor.start()
        self._connections.start()

    def reach(self) -> Reach:
        """Who can reach the listening port, and what protects it."""
        return reach(self._host, self.port, self.config.guards, lifecycle=self._lifecycle)

    async def sample(self) -> None:
        """Take a sample of the figures that the status page shows over time. Call it every few seconds."""
        await self._memory.sample(self._monotonic(), self._unix())

    async def stop(self) -> None:
        """Stop listening, and close all connections."""
        if self._runner is None:
            return
        if self._server is not None:
            self._server.close()
        if self._acceptor is not None:
            await self._acceptor.stop()
        await self._guard.stop()
        await self._runner.cleanup()
        self._connections.stop()
        self._server = self._acceptor = self._runner = None


def _check_path(path: str) -> None:
    if path == "/":
        raise UserError("the telemetry path '/' is the status page's; choose another one, such as /metrics")
    if not _PATH.fullmatch(path) or f"{path}/".startswith(tuple(f"{taken}/" for taken in _TAKEN)):
        raise UserError(
            f"the telemetry path {path!r} cannot be served; accepted: a path such as /metrics, of letters, digits and"
            f" '.', '_', '~', '-', '/', not under {', '.join(_TAKEN)}"
        )
