"""
What the page on operations says a room costs Prometheus is what a scrape shows of it.
"""

from __future__ import annotations

import re

import pytest

from exporter.metrics.room import Arrival
from exporter.metrics.table import SourceTable
from exporter.model import Reading, Room, Thresholds
from exporter.vendors import APIS
from tests.docs.pages import OPERATIONS

pytestmark = pytest.mark.docs

FIGURES = {row[0].strip("`"): row[1:] for row in OPERATIONS.tables("What Prometheus needs")[0]}
VMAGENT = 16 * 2**20


def lines(api, thresholds):
    """
    What a scrape has of one room, whose id has ten characters.
    """
    codec = APIS[api]
    table = SourceTable({"vendor": codec.vendor, "api": api, "source": "live"}, max_staleness=30.0)
    table.watch([Room("room-00042", (), thresholds)])
    reading = Reading(
        users=123,
        admin_users=1 if codec.tells_admin_users else None,
        invisible_users=45 if codec.tells_invisible_users else None,
        exists=True if codec.tells_existence else None,
    )
    table.record({"room-00042": reading}, Arrival(monotonic=1.0, unix=1_795_307_126.059))
    return b"".join(b"".join(column) for page in table.snapshot() for column in page.columns).splitlines(keepends=True)


@pytest.mark.parametrize("api", APIS)
def test_series_and_bytes_of_a_room(api):
    """
    Within ten bytes, without thresholds and with both; and how many rooms vmagent takes as it comes.
    """
    series, alone, guarded, rooms = (int(re.sub(r"\D", "", cell)) for cell in FIGURES[api])
    bare, both = lines(api, Thresholds()), lines(api, Thresholds(800, 950))

    assert series == len(both)
    assert abs(alone - sum(map(len, bare))) <= 10
    assert abs(guarded - sum(map(len, both))) <= 10
    assert abs(rooms - VMAGENT / sum(map(len, both))) <= 0.03 * rooms
