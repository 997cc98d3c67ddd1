"""
The bytes of a scrape, held to what prometheus_client writes of the same samples.
"""

from __future__ import annotations

import asyncio
import gzip
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from exporter.metrics.catalogue import ROOM, ROOM_METRICS
from exporter.metrics.exposition import Wanted
from exporter.metrics.pages import ROWS
from exporter.metrics.room import Arrival
from exporter.metrics.selection import Arrangement
from exporter.model import Family, Reading, Room, Thresholds
from tests.metrics.scraped import EPOCH, Rooms, parsed, scraped, some_rooms

LE_OF_A_GAUGE = b'rtc_source_room_sizes non-histogram metrics should not have "le" label\n'


class Oracle(Collector):
    """The room metrics as anybody would write them with prometheus_client."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Families of all rooms."""
        for metric in ROOM_METRICS:
            family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for source, watched in self._rooms.items():
                for room, reading in watched:
                    labels = dict(zip(ROOM, ("zego", "zego_rtc", source, room.id), strict=True))
                    for more, value in self._values(metric.name, room, reading):
                        family.add_sample(metric.name, labels | more, value)
            if family.samples:
                yield family

    def _values(self, name: str, room: Room, reading: Reading | None) -> list[tuple[dict[str, str], float]]:
        if name == "rtc_room_user_seconds_total":
            return []
        if name == "rtc_room_info":
            return [(dict(room.labels), 1)]
        if name == "rtc_room_users_threshold":
            thresholds = {"warning": room.thresholds.warning, "critical": room.thresholds.critical}
            return [({"severity": severity}, value) for severity, value in thresholds.items() if value is not None]
        if reading is None:
            return []
        value = {
            "rtc_room_users": reading.users,
            "rtc_room_admin_users": reading.admin_users,
            "rtc_room_invisible_users": reading.invisible_users,
            "rtc_room_exists": reading.exists,
            "rtc_room_reading_timestamp_seconds": EPOCH,
        }[name]
        return [] if value is None else [({}, float(value))]


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
counts = st.none() | st.integers(0, 2**53)
own_names = st.from_regex(r"own_[a-z0-9_]{1,8}", fullmatch=True)
own_labels = st.dictionaries(own_names, text, max_size=3).map(lambda own: tuple(sorted(own.items())))
some_room = st.builds(Room, text.filter(len), own_labels, st.builds(Thresholds, counts, counts))
some_reading = st.none() | st.builds(Reading, st.integers(0, 2**53), counts, counts, st.none() | st.booleans())
some_sources = st.dictionaries(
    text.filter(len),
    st.lists(st.tuples(some_room, some_reading), max_size=5, unique_by=lambda watched: watched[0].id),
    max_size=3,
)


@settings(max_examples=40, deadline=None)
@given(rooms=some_sources, openmetrics=st.booleans(), zipped=st.booleans())
def test_same_samples_as_prometheus_client_writes(rooms: Rooms, openmetrics: bool, zipped: bool) -> None:
    """
    For any rooms, labels and values, in both formats, packed or not.
    """

    async def scrape() -> bytes:
        async with scraped(rooms) as sources:
            return await sources.scrape(openmetrics=openmetrics, gzip=zipped)

    registry = CollectorRegistry()
    registry.register(Oracle(rooms))
    generate, parse = (generate_openmetrics, parse_openmetrics) if openmetrics else (generate_latest, parse_text)

    ours = {sample for sample in parsed(asyncio.run(scrape()), parse) if sample[0].startswith("rtc_room_")}
    assert parsed(generate(registry), parse) == ours


@pytest.mark.parametrize(
    ("openmetrics", "family"), [(False, b"rtc_room_user_seconds_total"), (True, b"rtc_room_user_seconds")]
)
async def test_user_seconds_are_a_counter(openmetrics: bool, family: bytes) -> None:
    """
    In OpenMetrics a counter's family has no `_total`, and either name asks for it.
    """
    async with scraped(some_rooms(2)) as sources:
        table = sources.table["live"]
        for _ in table.arrange(Arrangement(families=tuple(Family))):
            pass
        table.record({"room-0": Reading(3)}, Arrival(sources.now + 10, EPOCH))
        bodies = [
            await sources.scrape(openmetrics=openmetrics, names=frozenset([name]))
            for name in ("rtc_room_user_seconds_total", family.decode())
        ]

    head, zeroth, first = bodies[0].splitlines()[1:4]
    assert b"# TYPE " + family + b" counter" == head
    assert [b"30.000", b"0.000"] == [zeroth.rpartition(b" ")[2], first.rpartition(b" ")[2]]
    assert bodies[0] == bodies[1]


async def test_everything_is_one_valid_document() -> None:
    """
    Each family once, with help and type before its samples; OpenMetrics passes the strict parser and ends in EOF.
    """
    async with scraped(some_rooms(10) | {"empty": []}) as sources:
        await sources.scrape()  # the first one cannot tell the size of the one before
        plain = await sources.scrape()
        strict = await sources.scrape(openmetrics=True)

    heads = [line.split()[2] for line in plain.splitlines() if line.startswith(b"# TYPE")]
    assert len(heads) == len(set(heads))
    assert strict.endswith(b"# EOF\n")
    assert 1 == strict.count(b"# EOF")
    names = {name for name, _, _ in parsed(plain)}
    assert names == {name for name, _, _ in parsed(strict, parse_openmetrics)}
    assert not [name for name in names if name.endswith("_created")]
    assert b" # " not in strict, "an exemplar"
    assert all(2 == len(line.split()) for line in plain.splitlines() if not line.startswith(b"#")), "a timestamp"


def linted(promtool: Path, metrics: bytes) -> tuple[int, bytes]:
    """Exit code and output of promtool."""
    done = subprocess.run([promtool, "check", "metrics"], input=metrics, capture_output=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.needs_program("promtool")
async def test_promtool_has_nothing_to_say(needs_program: Callable[[str], Path]) -> None:
    """
    Names, types and help texts are as Prometheus' own linter wants them, but for one: it cannot know that the sizes of
    rooms are no histogram, since they fall as well as rise.
    """
    room = Room('q"\\\n', (("event", "x"),), Thresholds(1, 2))
    async with scraped({"live": [(room, Reading(3, 1, 1, exists=True))]}) as sources:
        sources.telemetry.rooms_files["rooms/a.yml"] = True
        plain = await sources.scrape()

    _, said = await asyncio.to_thread(linted, needs_program("promtool"), plain)
    assert {LE_OF_A_GAUGE} == {*said.splitlines(keepends=True)}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"rtc_room_users"}, {"rtc_room_users"}),
        ({"rtc_room_info", "rtc_source_up"}, {"rtc_room_info", "rtc_source_up"}),
        ({"rtc_source_calls_total"}, {"rtc_source_calls_total"}),
        ({"rtc_source_call_duration_seconds_count"}, {"rtc_source_call_duration_seconds_count"}),
        (
            {"rtc_source_call_duration_seconds"},
            {f"rtc_source_call_duration_seconds_{part}" for part in ("bucket", "count", "sum")},
        ),
        ({"rtc_source_calls"}, {"rtc_source_calls_total"}),
        ({"rtc_room_invisible_users"}, set()),
        ({"no_such_metric"}, set()),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("openmetrics", [False, True])
async def test_names_are_filtered(names: set[str], expected: set[str], zipped: bool, openmetrics: bool) -> None:
    """
    ``name[]`` asks for samples or families by name, from the rooms and from the exporter's own metrics alike.
    """
    async with scraped(some_rooms(3)) as sources:
        body = await sources.scrape(names=frozenset(names), gzip=zipped, openmetrics=openmetrics)
        whole = await sources.scrape(gzip=zipped, openmetrics=openmetrics)

    # A part of a histogram is no histogram, so OpenMetrics' strict parser has nothing to do here.
    assert expected == {name for name, _, _ in parsed(body.removesuffix(b"# EOF\n"))}
    assert len(whole) > 5 * len(body)


@pytest.mark.parametrize("count", [0, 1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS + 7])
@pytest.mark.parametrize("openmetrics", [False, True])
async def test_packed_and_plain_are_the_same(count: int, openmetrics: bool) -> None:
    """
    However many pages there are: gzip unpacks to the very room lines of the plain body.
    """

    def room_lines(text: bytes) -> list[bytes]:
        return [line for line in text.splitlines() if b"rtc_room" in line]

    async with scraped(some_rooms(count)) as sources:
        plain = await sources.scrape(openmetrics=openmetrics)
        packed = await sources.scrape(openmetrics=openmetrics, gzip=True)
        again = await sources.scrape(openmetrics=openmetrics, gzip=True)

    assert room_lines(plain) == room_lines(packed) == room_lines(again)
    assert 4 * count == sum(line.startswith(b"rtc_room") for line in room_lines(plain)) - count


async def test_gunzip_and_curl_unpack_it() -> None:
    """
    One member of two deflate parts is ordinary gzip.
    """
    async with scraped(some_rooms(5)) as sources:
        for _ in range(2):
            body = await sources.exposition.body(Wanted(gzip=True))
            assert gzip.decompress(b"".join(body.parts)).startswith(b"# HELP rtc_room_users ")


@pytest.mark.parametrize("zipped", [False, True])
async def test_the_size_of_a_scrape_is_told_by_the_next(zipped: bool) -> None:
    """
    Its bytes before compression; a scrape of some metrics alone says nothing of the size of a whole one.
    """

    def told(text: bytes) -> list[float]:
        return [value for name, _, value in parsed(text) if name == "rtc_exporter_scrape_size_bytes"]

    async with scraped(some_rooms(5)) as sources:
        first = await sources.scrape(gzip=zipped)
        await sources.scrape(gzip=zipped, names=frozenset({"rtc_room_users"}))
        second = await sources.scrape(gzip=zipped)

    assert [] == told(first)
    assert [len(first)] == told(second)
