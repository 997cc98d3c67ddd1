"""Our web server over a table that a benchmark fills."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from exporter.metrics.exposition import Exposition
from exporter.metrics.table import Table
from exporter.metrics.telemetry import Telemetry
from exporter.web.process import Process
from exporter.web.server import WebServer


@asynccontextmanager
async def serving(table: Table, telemetry: Telemetry, config_file: Path | None = None) -> AsyncIterator[WebServer]:
    """The web server, started on a free port; stopped at the end of the block."""
    exposition = Exposition(table, telemetry, time.monotonic)
    log = structlog.get_logger()
    web = WebServer(exposition, table, telemetry, _process(), log, config_file=config_file)
    await web.start("127.0.0.1:0")
    try:
        yield web
    finally:
        await web.stop()
        await exposition.aclose()


def _process() -> Process:
    async def reload() -> str | None:
        return None

    return Process(
        healthy=lambda: None,
        ready=lambda: None,
        reload=reload,
        monotonic=time.monotonic,
        unix=time.time,
        started=time.time(),
        config_path="",
    )
