"""
Readings on their way from one replica to another.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import encode

from exporter.cluster.protocols import NO_MORE, More, Record
from exporter.cluster.readings import ServerTime, pack, unpack
from exporter.model import Reading, Room, Thresholds

ROOM = Room("lobby", (("event", "launch"),), Thresholds(5, 9))
counts = st.integers(0, 2**40)
readings = st.builds(
    Reading,
    counts,
    st.none() | counts,
    st.none() | counts,
    st.none() | st.booleans(),
    st.booleans(),
)


def at(distance: float, now: float = 1000.0) -> ServerTime:
    """An engine whose clock is ahead of ours by so much."""
    time = ServerTime()
    time.note(int((now + distance) * 1000), now, now)
    return time


@given(readings, st.floats(0, 3600), st.floats(0, 4e9))
def test_a_record_survives(reading, age, unix):
    """
    Every reading comes out as it went in; its age is not younger, and hardly older.
    """
    time = at(5e8)

    packed = pack(Record("lobby", reading, age, unix), time.stamp(1000.0 - age))
    record = unpack("lobby", packed, time, 1000.0)

    assert record is not None
    assert (reading, unix) == (record.reading, record.unix)
    assert -1e-6 <= record.age - age < 0.01


MORE = More(180.0, True, 3, False, (1e9 + 0.5, 1e9), (0.125, 12.5, 2), {"http_sd": ROOM})


@pytest.mark.parametrize("reading", [Reading(7, exists=True), None])
@pytest.mark.parametrize("more", [NO_MORE, MORE, More(candidate=True)])
def test_what_else_is_known_survives(reading, more):
    """
    How long a reading counts, refusals, user-seconds, importance, labels and thresholds; also without a reading.
    """
    time = at(0.0)
    packed = pack(Record("lobby", reading, 0.0, 5.0, more=more), time.stamp(1000.0))
    record = unpack("lobby", packed, time, 1000.0)

    assert record is not None
    assert (reading, more, True) == (record.reading, record.more, record.watched)
    assert 150 > len(packed)


def test_a_record_is_small():
    """
    A hundred thousand rooms take few megabytes.
    """
    assert 35 >= len(pack(Record("lobby", Reading(120, exists=True), 1.0, 1.8e9), 1_800_000_000_000))


def test_bytes_of_another_version_are_no_record():
    """
    A later exporter may write in another way; what it wrote is unknown, not wrong.
    """
    packed = pack(Record("lobby", Reading(1), 0.0, 0.0), 0)

    assert unpack("lobby", packed.replace(b"\x01", b"\x02", 1), at(0.0), 1000.0) is None
    assert unpack("lobby", b"?", at(0.0), 1000.0) is None


@pytest.mark.parametrize(
    "packed",
    [
        encode((1, -1, None, None, None, False, 0, 0.0)),
        encode((1, 1, None, None, None, False, 0, 0.0, (None, False, 0, False, None, None, {"url": {}}))).replace(
            b"url", b"\xff\xff\xff"
        ),
    ],
    ids=["fewer than no users", "no text"],
)
def test_what_no_exporter_writes_is_no_record(packed):
    """
    Another program's values are never published.
    """
    assert unpack("lobby", packed, at(0.0), 1000.0) is None


@given(st.floats(-100, 100))
def test_a_step_of_the_engines_clock_makes_nothing_younger(step):
    """
    Whichever way the clock is set, an earlier reading is at least as old as it is.
    """
    time = at(5e8)
    packed = pack(Record("lobby", Reading(1), 0.0, 0.0), time.stamp(1000.0))
    time.note(int((1010.0 + 5e8 + step) * 1000), 1010.0, 1010.0)

    record = unpack("lobby", packed, time, 1010.0)

    assert record is not None
    assert 10 - 0.01 <= record.age


def test_a_step_is_forgotten():
    """
    Ten minutes later ages are exact again.
    """
    time = at(5e8)
    time.note(int((1010.0 + 5e8 - 60) * 1000), 1010.0, 1010.0)
    time.note(int((1700.0 + 5e8 - 60) * 1000), 1700.0, 1700.0)

    assert 1 > time.age(time.stamp(1700.0), 1700.0)


def test_the_time_on_the_way_counts_as_age():
    """
    A slow answer makes readings older, never younger.
    """
    time = ServerTime()
    time.note(1_000_400, 1000.0, 1000.5)

    assert 0.5 == time.age(time.stamp(1000.0), 1000.0)
