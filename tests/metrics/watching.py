"""
Tables whose rooms and sources are set as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.metrics.table import SourceTable, Table
from exporter.model import Room


def watch_exactly(table: SourceTable, rooms: Iterable[Room]) -> None:
    """Let these rooms come and all others go, as a roster does."""
    wanted = {room.id: room for room in rooms}
    table.watch(wanted.values())
    table.forget([room_id for room_id in table if room_id not in wanted])


def add_source(table: Table, name: str, source: SourceTable) -> None:
    """Publish one more source."""
    table.replace({**dict(table), name: source})


def remove_source(table: Table, name: str) -> None:
    """Publish a source no longer."""
    table.replace({other: source for other, source in table if other != name})
