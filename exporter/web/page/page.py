"""The status page with its list of rooms. Rendered on the server, so it shows the same without JavaScript."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from exporter.metrics.room import RoomView
from exporter.metrics.table import Table
from exporter.metrics.telemetry import Telemetry
from exporter.model import NO_THRESHOLDS, Severity
from exporter.web.page import drawing
from exporter.web.page.memory import Memory
from exporter.web.page.movers_view import view_movers
from exporter.web.page.overview import survey
from exporter.web.page.rendering import Renderer
from exporter.web.page.source_view import SHOWN_STATES
from exporter.web.parameters import ParameterError, encode_cursor, rooms_query
from exporter.web.process import Process
from exporter.web.rooms import Found, Key, Order, Query, Rooms

_PARAMETERS: Final = ("source", "state", "above", "q", "order", "after", "before")
_ROOMS_ON_A_PAGE: Final = 50
_NOTHING: Final = Found(rooms=[], matching=0, skipped=0, previous=None, next=None)
_CHOICES: Final = {
    "SOURCES_SHOWN": 12,
    "room_states": SHOWN_STATES,
    "severities": {Severity.WARNING: "above warning", Severity.CRITICAL: "above critical"},
    "orders": {Order.SHARE: "share of threshold", Order.USERS: "fullest first", Order.ROOM: "source and name"},
}


@dataclass(frozen=True, slots=True)
class ThresholdBar:
    """
    A bar of a room's users, with marks at its thresholds. All figures are percent of the bar's length.

    Args:
        level: ``ok``, ``warning`` or ``critical``.
    """

    level: str
    filled: float
    warning: float | None
    critical: float | None


@dataclass(frozen=True, slots=True)
class RoomRow:
    """One row of the list. ``bar`` is ``None`` if the room has no threshold or is unknown."""

    source: str
    view: RoomView
    bar: ThresholdBar | None

    @property
    def limited(self) -> bool:
        return self.view.room.thresholds != NO_THRESHOLDS


class Page:
    """The handler of ``/``."""

    def __init__(
        self,
        table: Table,
        telemetry: Telemetry,
        process: Process,
        memory: Memory,
        rooms: Rooms,
        renderer: Renderer,
    ) -> None:
        self._table = table
        self._telemetry = telemetry
        self._process = process
        self._memory = memory
        self._rooms = rooms
        self._renderer = renderer

    async def get(self, request: web.Request) -> web.Response:
        monotonic, unix = self._process.monotonic(), self._process.unix()
        self._table.expire(monotonic)
        names = [name for name, _ in self._table]
        parameters = [(name, value) for name, value in request.query.items() if name in _PARAMETERS]
        error, query, found = None, Query(order=Order.SHARE), _NOTHING
        try:
            query = rooms_query(parameters, names, _PARAMETERS, Order.SHARE, _ROOMS_ON_A_PAGE)
            found = await self._rooms.find(query, monotonic)
        except ParameterError as problem:
            error = str(problem)
        scene = self._memory.scene(monotonic, unix)
        unhealthy = self._process.healthy()
        return await self._renderer.page(
            "page.html",
            "",
            status=400 if error else 200,
            overview=await survey(self._telemetry, scene, self._rooms, self._memory.curves, unhealthy),
            movers=await view_movers(self._table, monotonic),
            source_names=names,
            query=query,
            error=error,
            found=found,
            rows=[RoomRow(name, view, threshold_bar(view)) for name, view in found.rooms],
            pages=_pages(found, parameters),
            **_CHOICES,
        )


def threshold_bar(view: RoomView) -> ThresholdBar | None:
    """The bar of a room's last known users."""
    thresholds, users = view.room.thresholds, view.last_known
    limits = [limit for limit in (thresholds.warning, thresholds.critical) if limit is not None]
    if users is None or not limits:
        return None
    whole = max(1.25 * max(limits), users)
    return ThresholdBar(
        level=thresholds.exceeded(users) or "ok",
        filled=drawing.percent(users, whole),
        warning=None if thresholds.warning is None else drawing.percent(thresholds.warning, whole),
        critical=None if thresholds.critical is None else drawing.percent(thresholds.critical, whole),
    )


def _pages(found: Found, parameters: list[tuple[str, str]]) -> dict[str, str | None]:
    """The links to the first, the previous and the next page of the list."""
    kept = [(name, value) for name, value in parameters if value and name not in ("after", "before")]

    def link(name: str, key: Key | None) -> str | None:
        return f"?{urlencode([*kept, (name, encode_cursor(key))])}#rooms" if key else None

    first = f"?{urlencode(kept)}#rooms" if found.previous else None
    return {"first": first, "previous": link("before", found.previous), "next": link("after", found.next)}
