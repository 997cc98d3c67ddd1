"""
What the page asks about one room, answered by the whole exporter at work.
"""

from __future__ import annotations

from pathlib import Path

from exporter.inquiry import Inquiry
from exporter.web.process import Origin, Turn
from tests.polling.answers import HANGS, UNAUTHORIZED, always, fails, refuses
from tests.polling.house import House, source
from tests.polling.virtual_time import in_virtual_time


def asked(house: House, room: str = "a", name: str = "zego_rtc") -> tuple[Turn, float | None] | None:
    """Why this room is asked for next, and in how many seconds."""
    call = Inquiry(house.exporter.sources, "exporter.yml").next_call(name, room)
    if call is None:
        return None
    return call.turn, None if call.due is None else round(call.due - house.loop.time(), 1)


@in_virtual_time
async def test_a_room_that_is_read_regularly():
    """
    It is due one interval after its last reading.
    """
    async with House(source("zego_rtc", ["a"])) as house:
        await house.passes(5)
        first = house.arrivals["zego_rtc", "a"][0] - house.loop.time()
        turn, seconds = asked(house) or (None, None)

        assert Turn.REGULAR is turn
        assert abs((seconds or 0) - (first + 10)) < 0.5


@in_virtual_time
async def test_a_room_whose_call_is_under_way():
    """
    There is no moment to name: the answer is awaited.
    """
    async with House(source("zego_rtc", ["a"])) as house:
        house.vendor.answer = always(HANGS)
        await house.passes(3)

        assert (Turn.REGULAR, None) == asked(house)


@in_virtual_time
async def test_a_room_that_is_refused():
    """
    It is asked alone, and seldom.
    """
    async with House(source("zego_rtc", ["a", "b"])) as house:
        house.vendor.answer = refuses({"a"})
        await house.passes(20)
        turn, seconds = asked(house) or (None, None)

        assert Turn.ALONE is turn
        assert 60 < (seconds or 0) <= 200
        assert (Turn.REGULAR, True) == ((other := asked(house, "b") or (None, 99))[0], (other[1] or 0) <= 10)


@in_virtual_time
async def test_a_room_of_a_source_in_trouble():
    """
    One trial call a minute is made, whatever the room's own interval is.
    """
    async with House(source("zego_rtc", ["a"])) as house:
        house.vendor.answer = always(fails("zego_rtc", UNAUTHORIZED["zego_rtc"]))
        await house.passes(30)
        turn, seconds = asked(house) or (None, None)

        assert Turn.TRIAL is turn
        assert 10 < (seconds or 0) < 60


@in_virtual_time
async def test_what_is_not_watched_is_not_known():
    """
    No room, no source: no answer, and no error.
    """
    async with House(source("zego_rtc", ["a"])) as house:
        inquiry = Inquiry(house.exporter.sources, "exporter.yml")

        assert asked(house, "b") is asked(house, "a", "gone") is None
        assert inquiry.origin("zego_rtc", "b") is inquiry.origin("gone", "a") is None


@in_virtual_time
async def test_why_a_room_is_watched(tmp_path: Path):
    """
    The config lists it, or the line of a rooms file does.
    """
    rooms = tmp_path / "live.txt"
    rooms.write_text("# tonight\nb\nc\n")
    config = source("zego_rtc", ["a"], rooms_files=["*.txt"])
    async with House(config, folder=tmp_path) as house:
        await house.passes(3)
        inquiry = Inquiry(house.exporter.sources, "exporter.yml")

        assert Origin("exporter.yml") == inquiry.origin("zego_rtc", "a")
        assert Origin(str(rooms), 3) == inquiry.origin("zego_rtc", "c")
        assert f"{rooms}:3" == str(inquiry.origin("zego_rtc", "c"))


@in_virtual_time
async def test_a_rooms_file_that_was_broken_since(tmp_path: Path):
    """
    Its old list is in use, so the file is named without a line.
    """
    rooms = tmp_path / "live.txt"
    rooms.write_text("b\n")
    async with House(source("zego_rtc", ["a"], rooms_files=["*.txt"]), folder=tmp_path) as house:
        await house.passes(3)
        rooms.write_text("x\nb\na\n")
        await house.passes(5)

        assert Origin(str(rooms)) == Inquiry(house.exporter.sources, "exporter.yml").origin("zego_rtc", "b")
