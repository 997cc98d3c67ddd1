"""The status page."""

from __future__ import annotations

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter.metrics.table import Table
from exporter.metrics.telemetry import Telemetry
from exporter.web.process import Process
from exporter.web.rooms import Order, Query, find


class Page:
    """Renders the status page."""

    def __init__(self, table: Table, telemetry: Telemetry, process: Process) -> None:
        self._table = table
        self._telemetry = telemetry
        self._process = process
        templates = Environment(loader=PackageLoader("exporter.web"), autoescape=True, undefined=StrictUndefined)
        self._template = templates.get_template("page.html")

    def sample(self) -> None:
        """Note the figures that the page shows over time."""

    async def get(self, _request: web.Request) -> web.Response:
        now = self._process.monotonic()
        self._table.expire(now)
        found = await find(self._table, Query(order=Order.USERS), now)
        sources = [source.figures(now) for source in self._telemetry.sources.values()]
        return web.Response(text=self._template.render(sources=sources, found=found), content_type="text/html")
