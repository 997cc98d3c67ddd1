"""
Readings that another replica made: published with their own age, and never instead of a younger one.
"""

from __future__ import annotations

from exporter.metrics.table import SourceTable, Table
from exporter.model import Reading, Room
from exporter.states import RoomState
from tests.metrics.test_table import EPOCH, LABELS, STALENESS, arrival, samples, table_of
from tests.metrics.watching import add_source


def users(table: SourceTable) -> dict[str, float]:
    """The rooms of a scrape."""
    return {dict(labels)["room"]: value for name, labels, value in samples(table) if name == "rtc_room_users"}


def test_an_inherited_reading_is_published_until_it_is_too_old() -> None:
    """
    Its age goes on, and its time is that of its arrival.
    """
    table = table_of("a", "b")
    assert {"a": Reading(3)} == table.inherit({"a": Reading(3), "other": Reading(4)}, arrival(80.0))
    assert {"a": 3} == users(table)
    assert {EPOCH + 80.0} == {value for name, _, value in samples(table) if "timestamp" in name}

    table.expire(80.0 + STALENESS)
    assert {"a": 3} == users(table)
    table.expire(80.1 + STALENESS)
    assert {} == users(table)
    assert RoomState.UNKNOWN is table.state("a")


def test_a_younger_reading_stays() -> None:
    """
    Also one that is no longer published.
    """
    table = table_of("a", "b")
    table.record({"a": Reading(1)}, arrival(100.0))

    assert {"b": Reading(8)} == table.inherit({"a": Reading(7), "b": Reading(8)}, arrival(99.0))
    assert {"a": 1, "b": 8} == users(table)
    assert table.inherit({"a": Reading(9)}, arrival(101.0))


def test_readings_that_come_out_of_order_expire_in_order() -> None:
    """
    An old reply that is inherited after a young one was recorded goes in time, and is the oldest one meanwhile.
    """
    table = table_of("a", "b", "c")
    table.record({"a": Reading(1)}, arrival(100.0))
    table.inherit({"b": Reading(2)}, arrival(90.0))
    table.inherit({"c": Reading(3)}, arrival(80.0))
    assert EPOCH + 80.0 == table.oldest_reading()

    table.expire(80.1 + STALENESS)
    assert {"a": 1, "b": 2} == users(table)
    table.expire(90.1 + STALENESS)
    assert {"a": 1} == users(table)
    assert EPOCH + 100.0 == table.oldest_reading()


def test_changes_are_collected_only_where_somebody_wants_them() -> None:
    """
    What was read and what was removed here; what was inherited is known to the others.
    """
    table = table_of("a", "b", "c")
    table.record({"a": Reading(1)}, arrival(100.0))
    assert table.changed is None

    table.changed = {}
    table.record({"a": Reading(1), "b": Reading(2)}, arrival(101.0))
    table.inherit({"c": Reading(3)}, arrival(101.0))
    table.forget(["b"])
    assert {"a", "b"} == table.changed.keys()
    table.watch([Room("d")])
    table.refuse("c")
    table.forgive()
    assert {"a", "b", "c", "d"} == table.changed.keys()


def test_all_of_a_reading_is_there_to_hand_on() -> None:
    """
    Admin and invisible users, existence, and whether the vendor says that the room is missing.
    """
    table = table_of("a")
    reading = Reading(0, 1, 2, exists=False, missing=True)
    table.record({"a": reading}, arrival(100.0))

    row = table.row("a")
    assert row is not None
    assert row.batch is not None
    assert (reading, arrival(100.0)) == (row.reading, row.batch.arrival)
    table.expire(1_000.0)
    assert None is row.reading


def test_a_hidden_source_is_in_no_scrape_but_keeps_its_rooms() -> None:
    """
    Its readings expire all the same, and a version tells that the lines are others.
    """
    tables = Table()
    for name in ("a", "b"):
        add_source(tables, name, SourceTable({**LABELS, "source": name}, STALENESS))
        tables[name].watch([Room("r")])
        tables[name].record({"r": Reading(1)}, arrival(100.0))
    version = tables.version()
    tables.hide({"b"})

    assert ["a"] == [name for name, _ in tables]
    assert "b" not in tables
    assert 1 == len(tables.snapshot())
    assert version != tables.version()
    tables.expire(1_000.0)
    assert 0 == tables["b"].known

    tables.hide(())
    assert ["a", "b"] == [name for name, _ in tables]
