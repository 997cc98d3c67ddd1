"""The section "Needs attention": sources with a problem, then the rooms farthest above their thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exporter.metrics.room import Above, RoomView
from exporter.model import Severity
from exporter.web.page.curves import Curve, Curves, Trend
from exporter.web.page.drawing import Sparkline, curve
from exporter.web.page.source_view import SourceView
from exporter.web.page.standing import Level
from exporter.web.rooms import Found, Order, Query, Rooms

_SOURCES: Final = 4
_ROOMS: Final = 8
_DRAWN: Final = 900.0


@dataclass(frozen=True, slots=True)
class RoomItem:
    """
    A room above a threshold.

    Args:
        seconds: Seconds above the threshold of this severity.
        of: The threshold that the share refers to: severity and users.
        trend: ``None`` if there are too few recent readings.
        line: Its users over the last quarter of an hour.
    """

    source: str
    view: RoomView
    severity: Severity
    seconds: float
    of: tuple[Severity, int]
    trend: Trend | None
    line: Sparkline | None


@dataclass(frozen=True, slots=True)
class Attention:
    """The items to show, and the numbers of further ones that are not shown."""

    sources: tuple[SourceView, ...]
    more_sources: int
    rooms: tuple[RoomItem, ...]
    more_rooms: int

    def __bool__(self) -> bool:
        return bool(self.sources or self.rooms)


async def attend(sources: Sequence[SourceView], above: int, rooms: Rooms, curves: Curves, now: float) -> Attention:
    """
    Choose the items at this monotonic time.

    Args:
        above: Number of rooms above a threshold.
    """
    troubled = [source for source in sources if source.standing.trouble]
    troubled.sort(key=lambda source: (source.level is not Level.BAD, -source.rooms))
    worst = await _worst(rooms, now) if above else []
    items = tuple(_item(name, view, above, curves.get(name, view.room.id), now) for name, view, above in worst)
    return Attention(
        sources=tuple(troubled[:_SOURCES]),
        more_sources=max(0, len(troubled) - _SOURCES),
        rooms=items,
        more_rooms=max(0, above - len(items)),
    )


async def _worst(rooms: Rooms, now: float) -> list[tuple[str, RoomView, Above]]:
    """Rooms above critical first, then those above warning; each group by share of the threshold."""

    async def find(above: Severity) -> Found:
        return await rooms.find(Query(above=above, order=Order.SHARE, limit=_ROOMS), now)

    worst = list((await find(Severity.CRITICAL)).rooms)
    if len(worst) < _ROOMS:
        worst += [found for found in (await find(Severity.WARNING)).rooms if found not in worst]
    return [(name, view, view.above) for name, view in worst[:_ROOMS] if view.above]


def _item(name: str, view: RoomView, above: Above, kept: Curve | None, now: float) -> RoomItem:
    return RoomItem(
        source=name,
        view=view,
        severity=above.severity,
        seconds=now - above.since,
        of=view.room.thresholds.decisive or (above.severity, 0),
        trend=kept.trend() if kept and view.users is not None else None,
        line=_line(kept, now) if kept else None,
    )


def _line(kept: Curve, now: float) -> Sparkline | None:
    points = [point for point in kept if now - point.monotonic <= _DRAWN]
    if len(points) < 2:
        return None
    began, users = points[0].monotonic, [point.users for point in points]
    places = [(point.monotonic - began, float(point.users)) for point in points]
    margin = max(0.2 * (max(users) - min(users)), 0.05 * max(users), 1.0)
    return curve(places, max(1.0, places[-1][0]), max(users) + margin, min(users) - margin)
