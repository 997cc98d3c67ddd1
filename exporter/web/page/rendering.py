"""Renders templates, piece by piece: other tasks of the event loop run in between."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from exporter import __version__
from exporter.blocking import Turn
from exporter.web.page import drawing, links, wording
from exporter.web.page.links import Grafana
from exporter.web.page.standing import Trouble
from exporter.web.process import Process

RUNBOOKS: Final = {
    Trouble.UNAUTHORIZED: "RtcSourceUnauthorized",
    Trouble.MISCONFIGURED: "RtcSourceMisconfigured",
    Trouble.CIRCUIT_OPEN: "RtcSourceDown",
    Trouble.SILENT: "RtcSourceDown",
    Trouble.ORPHANED: "RtcBudgetOrphaned",
    Trouble.NOTHING_FOUND: "RtcDiscoveryFindsNothing",
    Trouble.LIST_OLD: "RtcDiscoveryOutdated",
    Trouble.FULL: "RtcDiscoveryRoomsRejected",
    Trouble.UNKNOWN: "RtcManyRoomsUnknown",
    Trouble.SLOWED: "RtcBudgetRateLimited",
    Trouble.LATE: "RtcSourceSlow",
    Trouble.REFUSED: "RtcRoomUnknown",
    Trouble.CLOCK: "RtcSourceClockSkew",
}
"""The alert whose runbook helps, for each trouble of a source."""


class Renderer:
    """
    Renders all pages.

    Args:
        telemetry_path: Target of the link to the metrics.
        grafana: Target of links to dashboards; ``None`` for no such links.
    """

    def __init__(self, process: Process, telemetry_path: str, grafana: Grafana | None) -> None:
        self._process = process
        self._templates = _compiled()
        self._fixed = {
            "version": __version__,
            "telemetry_path": telemetry_path.removeprefix("/"),
            "config_path": process.config_path,
            "shard": process.shard,
            "started": process.started,
            "grafana": grafana,
        }

    async def page(self, template: str, root: str, status: int = 200, **context: Any) -> web.Response:
        """
        Render one page.

        Args:
            root: Relative path from the page's address to the status page. Every link begins with it.
        """
        pieces = []
        turn = Turn()
        clustered = self._process.cluster() is not None
        names = {"root": root, "clustered": clustered, "now": self._process.unix(), **self._fixed, **context}
        for piece in self._templates[template].generate(**names):
            pieces.append(piece)
            await turn.let_others_run()
        # A value with characters that UTF-8 cannot hold must not spoil the page.
        body = "".join(pieces).encode("utf-8", errors="backslashreplace")
        return web.Response(status=status, body=body, content_type="text/html", charset="utf-8")


@cache
def _compiled() -> dict[str, Template]:
    """All templates, compiled at the start, so that the first visitor need not wait for the compiler."""
    templates = Environment(
        loader=PackageLoader("exporter.web.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals.update(words=wording, drawing=drawing, links=links, anchor=links.anchor, runbooks=RUNBOOKS)
    templates.filters.update(capitalized=_capitalized)
    return {name: templates.get_template(name) for name in templates.list_templates()}


def _capitalized(words: str) -> str:
    """The words with a capital first letter. All other letters stay: names must not change."""
    return words[:1].upper() + words[1:]
