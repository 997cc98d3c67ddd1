"""The view of one room: users against thresholds, last readings, next call, and the place that lists the room."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from exporter.metrics import catalogue
from exporter.metrics.catalogue import Metric
from exporter.metrics.room import RoomView
from exporter.metrics.source_stats import SourceStats
from exporter.metrics.table import SourceTable, Table
from exporter.metrics.telemetry import Telemetry
from exporter.model import Severity
from exporter.states import RoomState
from exporter.web.page import drawing, wording
from exporter.web.page.curves import COLLECTED_EVERY, Curve, Trend
from exporter.web.page.drawing import Sparkline
from exporter.web.page.memory import Memory
from exporter.web.page.page import ThresholdBar, threshold_bar
from exporter.web.page.rendering import RUNBOOKS, Renderer
from exporter.web.page.source_view import SourceView, view_source
from exporter.web.page.standing import Level
from exporter.web.process import NextCall, Origin, OwnInterval, Process, Turn

_CALLS_SHOWN: Final = 10
_ROOM_FOR_THRESHOLDS: Final = 3.0
_LOWEST_TOP: Final = 4
_LABEL_HEIGHT: Final = 9.0
"""Height of a label in percent of the chart, which is 180 pixels high at least."""
_COUNTS: Final = {catalogue.ROOM_ADMIN_USERS: "Admin users", catalogue.ROOM_INVISIBLE_USERS: "Invisible users"}


@dataclass(frozen=True, slots=True)
class Mark:
    """
    A threshold in a chart.

    Args:
        at: Height of its line, in percent from the top.
        label_below: Whether its label stands below the line, since another line is too close above.
    """

    severity: Severity
    users: int
    at: float
    label_below: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """A round number of users on the axis of a chart. ``at`` is its height, in percent from the top."""

    users: int
    at: float


@dataclass(frozen=True, slots=True)
class Chart:
    """
    The chart of a room's last readings.

    Args:
        line: ``None`` while there are fewer than two readings.
        marks: The thresholds, except those that are far above all readings.
        seconds: Seconds from the first reading until now.
    """

    line: Sparkline | None
    marks: tuple[Mark, ...]
    ticks: tuple[Tick, ...]
    readings: int
    low: int
    high: int
    seconds: float

    @property
    def range(self) -> str:
        """The lowest and the highest number of users, in words."""
        high = wording.counted(self.high, "user")
        return high if self.low == self.high else f"{wording.count(self.low)} to {high}"


@dataclass(frozen=True, slots=True)
class CallView:
    """The result of one of the last calls for the room: users, or a failure in words."""

    unix: float
    age: float
    users: int | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class Headline:
    """The headline of a room; ``short`` is for the title of the browser tab."""

    level: Level
    words: str
    short: str


@dataclass(frozen=True, slots=True)
class RoomPicture:
    """
    Everything that the page of one room shows.

    Args:
        details: Further values of the reading, as pairs of name and text.
        next_call: In words; ``None`` if unknown.
        interval: How often it is wanted to be read, and why, in words.
    """

    source: SourceView
    view: RoomView
    headline: Headline
    bar: ThresholdBar | None
    trend: Trend | None
    above_for: float | None
    chart: Chart
    calls: tuple[CallView, ...]
    details: tuple[tuple[str, str], ...]
    next_call: str | None
    origin: Origin | None
    interval: str


class RoomPage:
    """The handlers of a room's page. From the first visit on, the room's readings are collected for its chart."""

    def __init__(
        self, table: Table, telemetry: Telemetry, process: Process, memory: Memory, renderer: Renderer
    ) -> None:
        self._table = table
        self._telemetry = telemetry
        self._process = process
        self._memory = memory
        self._renderer = renderer

    async def get(self, request: web.Request) -> web.Response:
        """The room named by the path."""
        return await self._answer(request.match_info["source"], request.match_info["room"], "../../")

    async def get_by_query(self, request: web.Request) -> web.Response:
        """The room named by the query string, for room ids that a path cannot hold (``.`` and ``..``)."""
        return await self._answer(request.query.get("source", ""), request.query.get("room", ""), "./")

    async def _answer(self, source: str, room: str, root: str) -> web.Response:
        now = self._process.monotonic()
        self._table.expire(now)
        stats = self._telemetry.sources.get(source)
        if stats is None or source not in self._table or room not in self._table[source]:
            known = source in self._telemetry.sources
            return await self._renderer.page(
                "no_room.html", root, status=404, source=source, room=room, source_known=known, owner=self._other(stats)
            )
        picture = self._picture(stats, self._table[source], room, now)
        return await self._renderer.page(
            "room.html", root, picture=picture, states=wording.ROOM_STATES, runbook=_runbook(picture)
        )

    def _other(self, stats: SourceStats | None) -> str | None:
        """The replica that polls a source, if it is another one."""
        status = self._process.cluster()
        if stats is None or status is None:
            return None
        owner = status.owner(stats.budget)
        return None if owner == status.replica else owner

    def _picture(self, stats: SourceStats, table: SourceTable, room: str, now: float) -> RoomPicture:
        unix, name = self._process.unix(), stats.source
        view, source = table.view(room, now), view_source(stats, self._memory.scene(now, unix))
        curve = self._memory.curves.look_at(name, view, now)
        next_call = self._process.next_call(name, room)
        return RoomPicture(
            source=source,
            view=view,
            headline=_headline(view, source),
            bar=threshold_bar(view),
            trend=curve.trend() if view.users is not None else None,
            above_for=now - view.above.since if view.above else None,
            chart=_chart(curve, view, max(table.max_staleness, 2 * COLLECTED_EVERY), now),
            calls=tuple(_calls(curve, stats, room, now, unix)),
            details=tuple(_details(table.values(room))),
            next_call=_next_call(next_call, now) if next_call else None,
            origin=self._process.origin(name, room),
            interval=_interval(self._process.own_interval(name, room) or OwnInterval(stats.interval)),
        )


def _runbook(picture: RoomPicture) -> str | None:
    """The runbook for this room, or for its source if the source is down."""
    trouble = picture.source.standing.trouble
    if picture.source.level is Level.BAD and trouble is not None:
        return RUNBOOKS[trouble]
    if picture.view.above:
        return "RtcRoomAboveThreshold"
    return "RtcRoomUnknown" if picture.view.users is None else None


def _details(values: Mapping[Metric, float]) -> Iterator[tuple[str, str]]:
    for metric, name in _COUNTS.items():
        if (count := values.get(metric)) is not None:
            yield name, wording.count(int(count))
    if (exists := values.get(catalogue.ROOM_EXISTS)) is not None:
        yield "Exists", "yes" if exists else "no, says the vendor"


def _headline(view: RoomView, source: SourceView) -> Headline:
    level = Level.OK
    if view.above:
        level = Level.BAD if view.above.severity is Severity.CRITICAL else Level.WARNING
    if view.users is None:
        return _headline_of_unknown(view, source, level)
    if view.state is RoomState.MISSING:
        return Headline(Level.WAITING, "The vendor says that there is no such room", "no such room")
    users = wording.counted(view.users, "user")
    compared = _compared(view)
    short = f"{wording.share(view.share)} of threshold" if view.share is not None else users
    return Headline(level, f"{users}{': ' if compared else ''}{compared}", short)


def _headline_of_unknown(view: RoomView, source: SourceView, level: Level) -> Headline:
    if view.above:
        last = f"last known {wording.counted(view.above.users, 'user')}, {_compared(view)}"
        return Headline(level, f"Unknown now; {last}", f"unknown, last {wording.count(view.above.users)}")
    if view.state is RoomState.REFUSED:
        return Headline(Level.WARNING, "The vendor refuses this room", "refused")
    if view.silence is None and source.level is not Level.BAD:
        return Headline(Level.WAITING, "Not read yet", "not read yet")
    heard = "nothing heard yet" if view.silence is None else f"nothing heard for {wording.duration(view.silence)}"
    return Headline(Level.BAD if source.level is Level.BAD else Level.WARNING, f"Unknown: {heard}", "unknown")


def _compared(view: RoomView) -> str:
    """The last known users compared with the decisive threshold."""
    decisive, share = view.room.thresholds.decisive, view.share
    if decisive is None or share is None:
        return ""
    severity, limit = decisive
    return f"{wording.share(share)}{'' if share >= 1 else ' of'} its {severity} threshold of {wording.count(limit)}"


def _chart(curve: Curve, view: RoomView, broken_after: float, now: float) -> Chart:
    points = list(curve)
    users = [point.users for point in points]
    top = max([_LOWEST_TOP, *users])
    limits = {Severity.WARNING: view.room.thresholds.warning, Severity.CRITICAL: view.room.thresholds.critical}
    drawn = {of: limit for of, limit in limits.items() if limit is not None and limit <= _ROOM_FOR_THRESHOLDS * top}
    high = 1.15 * max([top, *drawn.values()])
    began = points[0].monotonic if points else now
    places: list[tuple[float, float] | None] = []
    for index, point in enumerate(points):
        if index and point.monotonic - points[index - 1].monotonic > broken_after:
            places.append(None)
        places.append((point.monotonic - began, float(point.users)))
    return Chart(
        line=drawing.curve(places, max(1.0, now - began), high),
        marks=tuple(_marks(drawn, high)),
        ticks=tuple(Tick(round(users), drawing.height_of(users, high)) for users in drawing.round_numbers(high)),
        readings=len(points),
        low=min(users, default=0),
        high=max(users, default=0),
        seconds=now - began,
    )


def _marks(limits: Mapping[Severity, int], high: float) -> Iterator[Mark]:
    """The thresholds, the highest first. A label stands above its line unless another line is there."""
    above = -math.inf
    for severity, limit in sorted(limits.items(), key=lambda entry: -entry[1]):
        at = drawing.height_of(limit, high)
        yield Mark(severity, limit, at, label_below=at - above < _LABEL_HEIGHT <= 100 - at)
        above = at


def _calls(curve: Curve, stats: SourceStats, room: str, now: float, unix: float) -> list[CallView]:
    """The results of the last calls for a room, newest first."""

    def readings() -> Iterator[CallView]:
        for point in list(curve)[-_CALLS_SHOWN:]:
            yield CallView(point.unix, now - point.monotonic, point.users, None)

    def failures() -> Iterator[CallView]:
        for note in stats.failures:
            if room in note.rooms:
                words = f"{wording.KINDS[note.failure.kind]}: {note.failure.words} ({note.failure.code})"
                yield CallView(note.unix, max(0.0, unix - note.unix), None, words)

    calls = sorted([*readings(), *failures()], key=lambda call: call.age)
    return calls[:_CALLS_SHOWN]


def _interval(own: OwnInterval) -> str:
    every = f"wanted every {wording.duration(own.seconds)}"
    return f"{every}, {wording.WHYS[own.why]}" if own.why else every


def _next_call(call: NextCall, now: float) -> str:
    if call.due is None:
        return "a call is under way"
    wait = call.due - now
    if call.turn is Turn.TRIAL:
        when = f"in {wording.duration(wait)}" if wait > 0 else "now"
        return f"its source is in trouble: one trial call {when}, for this room or another"
    if wait <= 0:
        return f"due for {wording.duration(-wait)}, waiting for its turn"
    reason = {Turn.RETRY: ", since its last call failed", Turn.ALONE: ", alone, since the vendor refused it"}
    return f"in {wording.duration(wait)}{reason.get(call.turn, '')}"
