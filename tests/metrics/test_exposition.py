"""
The bytes of a scrape, held to what prometheus_client writes of the same samples.
"""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

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
from exporter.metrics.exposition import OPENMETRICS_TYPE, TEXT_TYPE, Exposition, Wanted
from exporter.metrics.pages import ROWS
from exporter.metrics.table import Arrival, SourceTable, Table
from exporter.metrics.telemetry import FailureNote, SourceTelemetry, Telemetry
from exporter.model import Failure, FailureKind, Reading, Room, Thresholds

EPOCH = 1_700_000_000.0
Sample = tuple[str, frozenset[tuple[str, str]], float]
Rooms = dict[str, list[tuple[Room, Reading | None]]]


class Scraped:
    """Sources with rooms, and their exposition."""

    def __init__(self, rooms: Rooms) -> None:
        self.now = 100.0
        self.table = Table()
        self.telemetry = Telemetry()
        self.exposition = Exposition(self.table, self.telemetry, lambda: self.now)
        for name, watched in rooms.items():
            table = SourceTable({"vendor": "zego", "api": "zego_rtc", "source": name}, 30.0)
            self.table.add(name, table)
            self.telemetry.add_source(SourceTelemetry("zego", "zego_rtc", name, "budget", 10.0, table))
            table.watch([room for room, _ in watched])
            for room, reading in watched:
                if reading is not None:
                    table.record(room.id, reading, Arrival(self.now, EPOCH))

    async def scrape(self, **wanted: Any) -> bytes:
        """The body, unpacked."""
        body = await self.exposition.body(Wanted(**wanted))
        data = b"".join(body.parts)
        assert len(data) == body.length
        if wanted.get("gzip"):
            unpacker = zlib.decompressobj(31)
            unpacked = unpacker.decompress(data)
            assert unpacker.eof
            assert not unpacker.unused_data, "curl stops at a second member"
            return unpacked
        return data


@asynccontextmanager
async def scraped(rooms: Rooms) -> AsyncIterator[Scraped]:
    """The same, closed in the end."""
    sources = Scraped(rooms)
    yield sources
    await sources.exposition.aclose()


def some_rooms(count: int, users: int = 3) -> Rooms:
    """One source with so many rooms, all of them read."""
    return {"live": [(Room(f"room-{number}"), Reading(users, 1, None, exists=True)) for number in range(count)]}


def parsed(text: bytes, parse: Callable[[str], Iterable[Any]] = parse_text) -> set[Sample]:
    """The samples; a series that is there twice is an error."""
    found = [
        (sample.name, frozenset(sample.labels.items()), sample.value)
        for family in parse(text.decode())
        for sample in family.samples
    ]
    assert len(found) == len({sample[:2] for sample in found})
    return set(found)


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


async def test_everything_is_one_valid_document() -> None:
    """
    Each family once, with help and type before its samples; OpenMetrics passes the strict parser and ends in EOF.
    """
    async with scraped(some_rooms(10) | {"empty": []}) as sources:
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
    Names, types and help texts are as Prometheus' own linter wants them.
    """
    room = Room('q"\\\n', (("event", "x"),), Thresholds(1, 2))
    async with scraped({"live": [(room, Reading(3, 1, 1, exists=True))]}) as sources:
        sources.telemetry.rooms_files["rooms/a.yml"] = True
        plain = await sources.scrape()

    assert (0, b"") == await asyncio.to_thread(linted, needs_program("promtool"), plain)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"rtc_room_users"}, {"rtc_room_users"}),
        ({"rtc_room_info", "rtc_source_up"}, {"rtc_room_info", "rtc_source_up"}),
        ({"rtc_source_calls_total"}, {"rtc_source_calls_total"}),
        ({"rtc_source_call_duration_seconds_count"}, {"rtc_source_call_duration_seconds_count"}),
        ({"rtc_room_invisible_users"}, set()),
        ({"no_such_metric"}, set()),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("openmetrics", [False, True])
async def test_names_are_filtered(names: set[str], expected: set[str], zipped: bool, openmetrics: bool) -> None:
    """
    ``name[]`` asks for samples by name, from the rooms and from the exporter's own metrics alike.
    """
    async with scraped(some_rooms(3)) as sources:
        body = await sources.scrape(names=frozenset(names), gzip=zipped, openmetrics=openmetrics)
        whole = await sources.scrape(gzip=zipped, openmetrics=openmetrics)

    # A part of a histogram is no histogram, so OpenMetrics' strict parser has nothing to do here.
    assert expected == {name for name, _, _ in parsed(body.removesuffix(b"# EOF\n"))}
    assert len(whole) > 10 * len(body)


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


async def test_unchanged_rooms_are_packed_once() -> None:
    """
    The room part is packed anew when a line has changed, and only then; the exporter's own metrics always are.
    """
    async with scraped(some_rooms(2_000)) as sources:

        async def part() -> object:
            await sources.scrape(gzip=True)
            return sources.exposition._deflated[False].data

        first = await part()
        assert first is await part()
        await sources.scrape(gzip=True, names=frozenset({"rtc_room_info"}))
        await sources.scrape(gzip=True, openmetrics=True)
        await sources.scrape()
        assert first is await part()

        sources.table["live"].record("room-7", Reading(99), Arrival(101.0, EPOCH + 1))
        changed = await part()
        assert first is not changed
        sources.now = 130.5
        expired = await part()
        assert changed is not expired
        assert expired is await part()


async def test_expired_reading_is_in_no_scrape() -> None:
    """
    Ages are checked when a scrape is rendered, not when something sweeps.
    """
    async with scraped(some_rooms(1)) as sources:
        for zipped in (True, False):
            sources.now = 130.0
            assert b"rtc_room_users{" in await sources.scrape(gzip=zipped)
        for zipped in (True, False):
            sources.now = 130.001
            late = await sources.scrape(gzip=zipped)
            assert b"rtc_room_users{" not in late
            assert b"rtc_room_info{" in late
            assert b"rtc_source_users{" not in late


async def test_snapshot_is_of_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    While a scrape is rendered readings go on: the sum of the rooms is the source's users in every body.
    """
    async with scraped(some_rooms(3 * ROWS)) as sources:
        table = sources.table["live"]
        held, rendering = threading.Event(), threading.Event()
        render = sources.exposition._render

        def slow(*arguments: Any) -> Any:
            rendering.set()
            held.wait(5)
            return render(*arguments)

        monkeypatch.setattr(sources.exposition, "_render", slow)
        for zipped in (False, True):
            held.clear()
            rendering.clear()
            before = table.users
            body = asyncio.create_task(sources.scrape(gzip=zipped))
            await asyncio.to_thread(rendering.wait, 5)
            for number in range(0, 3 * ROWS, 3):
                table.record(f"room-{number}", Reading(number), Arrival(100.0, EPOCH))
            table.watch([Room(f"room-{number}") for number in range(1, 3 * ROWS)])
            held.set()
            said = parsed(await body)

            users = [value for name, _, value in said if name == "rtc_room_users"]
            assert [before] == [value for name, _, value in said if name == "rtc_source_users"]
            assert before == sum(users)


async def test_plain_body_may_be_sent_late() -> None:
    """
    A slow scraper still gets what was known when it asked, and as many bytes as it was promised.
    """
    async with scraped(some_rooms(ROWS + 1)) as sources:
        body = await sources.exposition.body(Wanted())
        first = b"".join(body.parts)
        sources.table["live"].record("room-7", Reading(12_345_678), Arrival(101.0, EPOCH))
        sources.table["live"].watch([])

        assert first == b"".join(body.parts)
        assert len(first) == body.length


async def test_scrapes_at_one_moment_share_a_rendering() -> None:
    """
    Forty scrapers of the same format cost one rendering, and get the same bytes.
    """
    async with scraped(some_rooms(100)) as sources:
        bodies = await asyncio.gather(*(sources.exposition.body(Wanted(gzip=True)) for _ in range(40)))
        others = await asyncio.gather(*(sources.exposition.body(Wanted(openmetrics=True)) for _ in range(40)))

        assert 1 == len(set(map(id, bodies)))
        assert 1 == len(set(map(id, others)))
        assert bodies[0] is not await sources.exposition.body(Wanted(gzip=True))
        assert 3 == sources.telemetry.registry.get_sample_value("rtc_exporter_scrape_duration_seconds_count")


async def test_scraper_that_goes_away_takes_nobody_along() -> None:
    """
    The others that share its rendering get their bytes.
    """
    async with scraped(some_rooms(100)) as sources:
        gone, kept = [asyncio.create_task(sources.exposition.body(Wanted())) for _ in range(2)]
        await asyncio.sleep(0)
        gone.cancel()

        assert (await kept).length > 1_000
        assert gone.cancelled()


async def test_failed_rendering_is_told_and_the_next_one_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An error in one scrape is that scrape's.
    """
    async with scraped(some_rooms(1)) as sources:
        with monkeypatch.context() as broken:
            broken.setattr(sources.exposition, "_own_metrics", lambda wanted: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                await sources.scrape()

        assert b"rtc_room_users{" in await sources.scrape()


async def test_source_that_is_taken_away_is_gone() -> None:
    """
    At the next scrape nothing speaks of it any more, its histogram included.
    """
    async with scraped({"live": [(Room("a"), Reading(1))], "gone": [(Room("b"), Reading(1))]}) as sources:
        assert b'source="gone"' in await sources.scrape(gzip=True)
        sources.table.remove("gone")
        sources.telemetry.remove_source("gone")

        for zipped in (True, False):
            assert b'source="gone"' not in await sources.scrape(gzip=zipped)


@pytest.mark.parametrize(("wanted", "kind"), [(Wanted(), TEXT_TYPE), (Wanted(openmetrics=True), OPENMETRICS_TYPE)])
def test_content_type(wanted: Wanted, kind: str) -> None:
    """
    As Prometheus expects it of each format.
    """
    assert kind == wanted.content_type


async def test_failure_counters_begin_at_zero() -> None:
    """
    A counter whose label values are known is there from the beginning, so that rate() sees its first increase.
    """
    async with scraped({"live": []}) as sources:
        said = {sample for sample in parsed(await sources.scrape()) if sample[0] == "rtc_source_failed_calls_total"}
        assert {str(kind) for kind in FailureKind} == {dict(labels)["reason"] for _, labels, _ in said}
        assert {0.0} == {value for _, _, value in said}

        note = FailureNote(EPOCH, Failure(FailureKind.TRANSIENT, "timeout", "x"), ("a",))
        sources.telemetry.sources["live"].failed(note)
        said = {sample for sample in parsed(await sources.scrape()) if sample[0] == "rtc_source_failed_calls_total"}
        assert [("transient", 1.0)] == [(dict(labels)["reason"], value) for _, labels, value in said if value]
