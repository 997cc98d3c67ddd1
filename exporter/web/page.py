"""The status page: server-rendered, so that it reads the same without JavaScript."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from exporter import __version__
from exporter.metrics.room import RoomView
from exporter.metrics.table import Table
from exporter.metrics.telemetry import Telemetry
from exporter.model import NO_THRESHOLDS
from exporter.web import drawing, wording
from exporter.web.history import History
from exporter.web.overview import survey
from exporter.web.parameters import ParameterError, encode_cursor, rooms_query
from exporter.web.process import Process
from exporter.web.rooms import Found, Key, Order, Query, Rooms
from exporter.web.source_view import SHOWN_STATES

_PARAMETERS: Final = ("source", "state", "q", "sort", "after", "before")
_ROOMS_ON_A_PAGE: Final = 50
_LONGEST_HOLD: Final = 0.002
_NOTHING: Final = Found(rooms=[], matching=0, skipped=0, previous=None, next=None)


@dataclass(frozen=True, slots=True)
class ThresholdBar:
    """
    Users against a room's thresholds; every figure is percent of the bar.

    Args:
        level: ``ok``, ``warning`` or ``critical``.
    """

    level: str
    filled: float
    warning: float | None
    critical: float | None


@dataclass(frozen=True, slots=True)
class RoomRow:
    """One room, ready to be shown; ``bar`` is ``None`` where it has no thresholds or nothing is known of it."""

    source: str
    view: RoomView
    bar: ThresholdBar | None

    @property
    def limited(self) -> bool:
        return self.view.room.thresholds != NO_THRESHOLDS


class Page:
    """
    Renders the status page.

    Args:
        telemetry_path: For the link to the metrics.
    """

    def __init__(
        self,
        table: Table,
        telemetry: Telemetry,
        process: Process,
        history: History,
        rooms: Rooms,
        telemetry_path: str,
    ) -> None:
        self._table = table
        self._telemetry = telemetry
        self._process = process
        self._history = history
        self._rooms = rooms
        self._template = _compiled()["page.html"]
        self._fixed = {
            "version": __version__,
            "telemetry_path": telemetry_path.removeprefix("/"),
            "config_path": process.config_path,
            "started": process.started,
            "room_states": SHOWN_STATES,
            "orders": {Order.USERS: "fullest first", Order.ROOM: "by source and name"},
        }

    async def get(self, request: web.Request) -> web.Response:
        monotonic, unix = self._process.monotonic(), self._process.unix()
        self._table.expire(monotonic)
        names = [name for name, _ in self._table]
        parameters = [(name, value) for name, value in request.query.items() if name in _PARAMETERS]
        error, query, found = None, Query(order=Order.USERS), _NOTHING
        try:
            query = rooms_query(parameters, names, _PARAMETERS, Order.USERS, _ROOMS_ON_A_PAGE)
            found = await self._rooms.find(query, monotonic)
        except ParameterError as problem:
            error = str(problem)
        html = await self._render(
            now=unix,
            overview=await survey(self._telemetry, self._history, monotonic, unix),
            source_names=names,
            query=query,
            error=error,
            found=found,
            rows=[RoomRow(name, view, _bar(view)) for name, view in found.rooms],
            links=_links(found, parameters),
        )
        return web.Response(status=400 if error else 200, text=html, content_type="text/html")

    async def _render(self, **context: Any) -> str:
        """The page, letting the loop go on in between."""
        pieces = []
        resumed = time.perf_counter()
        for piece in self._template.generate(**self._fixed, **context):
            pieces.append(piece)
            if time.perf_counter() - resumed > _LONGEST_HOLD:
                await asyncio.sleep(0)
                resumed = time.perf_counter()
        return "".join(pieces)


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
    templates.globals.update(words=wording, drawing=drawing)
    templates.filters["moment"] = _moment
    return {name: templates.get_template(name) for name in templates.list_templates()}


def _bar(view: RoomView) -> ThresholdBar | None:
    warning, critical = view.room.thresholds.warning, view.room.thresholds.critical
    limits = [limit for limit in (warning, critical) if limit is not None]
    if view.users is None or not limits:
        return None
    whole = max(1.25 * max(limits), view.users)
    level = "ok"
    if warning is not None and view.users > warning:
        level = "warning"
    if critical is not None and view.users > critical:
        level = "critical"
    return ThresholdBar(
        level=level,
        filled=drawing.percent(view.users, whole),
        warning=None if warning is None else drawing.percent(warning, whole),
        critical=None if critical is None else drawing.percent(critical, whole),
    )


def _links(found: Found, parameters: list[tuple[str, str]]) -> dict[str, str | None]:
    kept = [(name, value) for name, value in parameters if value and name not in ("after", "before")]

    def link(name: str, key: Key | None) -> str | None:
        return f"?{urlencode([*kept, (name, encode_cursor(key))])}#rooms" if key else None

    first = f"?{urlencode(kept)}#rooms" if found.previous else None
    return {"first": first, "previous": link("before", found.previous), "next": link("after", found.next)}


def _moment(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, UTC).replace(microsecond=0)
