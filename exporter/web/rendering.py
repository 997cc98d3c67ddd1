"""Turns templates into pages, letting the event loop go on in between."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from exporter import __version__
from exporter.blocking import Turn
from exporter.web import drawing, links, wording
from exporter.web.links import Grafana
from exporter.web.process import Process
from exporter.web.standing import Trouble

RUNBOOKS: Final = {
    Trouble.UNAUTHORIZED: "RtcSourceUnauthorized",
    Trouble.MISCONFIGURED: "RtcSourceMisconfigured",
    Trouble.CIRCUIT_OPEN: "RtcSourceDown",
    Trouble.SILENT: "RtcSourceDown",
    Trouble.UNKNOWN: "RtcManyRoomsUnknown",
    Trouble.SLOWED: "RtcBudgetRateLimited",
    Trouble.LATE: "RtcSourceSlow",
    Trouble.REFUSED: "RtcRoomUnknown",
    Trouble.CLOCK: "RtcSourceClockSkew",
}
"""Which alert's runbook helps with what is wrong with a source."""


class Renderer:
    """
    Renders every page of the exporter.

    Args:
        telemetry_path: For the link to the metrics.
        grafana: For links to its dashboards.
    """

    def __init__(self, process: Process, telemetry_path: str, grafana: Grafana | None) -> None:
        self._process = process
        self._templates = _compiled()
        self._fixed = {
            "version": __version__,
            "telemetry_path": telemetry_path.removeprefix("/"),
            "config_path": process.config_path,
            "started": process.started,
            "grafana": grafana,
        }

    async def page(self, template: str, root: str, status: int = 200, **context: Any) -> web.Response:
        """
        A page.

        Args:
            root: The way from the page's address to the status page's, in front of every link.
        """
        pieces = []
        turn = Turn()
        names = {"root": root, "now": self._process.unix(), **self._fixed, **context}
        for piece in self._templates[template].generate(**names):
            pieces.append(piece)
            await turn.let_others_run()
        # Whatever one value holds, the page goes out.
        body = "".join(pieces).encode("utf-8", errors="backslashreplace")
        return web.Response(status=status, body=body, content_type="text/html", charset="utf-8")


@cache
def _compiled() -> dict[str, Template]:
    """Every template, compiled before the first visitor comes, whom the compiler would keep waiting."""
    templates = Environment(
        loader=PackageLoader("exporter.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals.update(words=wording, drawing=drawing, links=links, anchor=links.anchor, runbooks=RUNBOOKS)
    templates.filters.update(capitalized=_capitalized)
    return {name: templates.get_template(name) for name in templates.list_templates()}


def _capitalized(words: str) -> str:
    """With a capital letter in front, and all others as they are: names stay names."""
    return words[:1].upper() + words[1:]
