"""
How scrapes are rendered: of one moment, shared, packed once, and in nobody's way.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from exporter.metrics.exposition import OPENMETRICS_TYPE, TEXT_TYPE, Wanted
from exporter.metrics.pages import ROWS
from exporter.metrics.room import Arrival
from exporter.metrics.source_stats import FailureNote
from exporter.model import Failure, FailureKind, Reading, Room
from tests.metrics.scraped import EPOCH, parsed, scraped, some_rooms
from tests.metrics.watching import remove_source, watch_exactly


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

        sources.table["live"].record({"room-7": Reading(99)}, Arrival(101.0, EPOCH + 1))
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
                table.record({f"room-{number}": Reading(number)}, Arrival(100.0, EPOCH))
            watch_exactly(table, [Room(f"room-{number}") for number in range(1, 3 * ROWS)])
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
        sources.table["live"].record({"room-7": Reading(12_345_678)}, Arrival(101.0, EPOCH))
        watch_exactly(sources.table["live"], [])

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
        assert ("+Inf", 3) == sources.telemetry.scrape_durations.figures().buckets[-1]


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
        remove_source(sources.table, "gone")
        del sources.telemetry.sources["gone"]

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
