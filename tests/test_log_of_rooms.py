"""
What the log tells of rooms: how many are watched, how many come and go, and that there are none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exporter.rooms import files as files_module
from exporter.states import SourceState
from tests.polling.answers import MISCONFIGURED, always, fails
from tests.polling.house import House, Line, named, source
from tests.polling.virtual_time import in_virtual_time


def told(house: House, *events: str) -> list[dict[str, object]]:
    """The lines of these events, and forget all lines."""
    lines: list[Line] = [line for line in house.log.lines if line.event in events]
    house.log.lines.clear()
    return [{"event": line.event, "level": line.level, **line.values} for line in lines]


def line(event: str, level: str = "info", **values: object) -> dict[str, object]:
    """A line as `told` gives it."""
    return {"event": event, "level": level, **values}


@in_virtual_time
async def test_reload_tells_of_rooms_that_came_and_went() -> None:
    """
    Of all sources together: those of a removed source went, those of a new one came.
    """
    async with House(source("zego_rtc", 10), source("zego_zim", 5)) as house:
        told(house)
        await house.load(source("zego_rtc", 13), source("tencent_im", 7))

        assert [line("config reloaded", sources=2, rooms=20, added=10, removed=5)] == told(house, "config reloaded")
        await house.load(source("zego_rtc", 13), source("tencent_im", 7))
        assert [line("config reloaded", sources=2, rooms=20, added=0, removed=0)] == told(house, "config reloaded")


@in_virtual_time
async def test_reload_names_a_single_room() -> None:
    """
    Whoever adds one room finds it in the log.
    """
    async with House(source("zego_rtc", ["lobby"])) as house:
        told(house)
        await house.load(source("zego_rtc", ["lobby", "stage"]))

        assert [line("config reloaded", sources=1, rooms=2, added=1, removed=0, room="stage")] == told(
            house, "config reloaded"
        )


@in_virtual_time
async def test_rooms_that_start_anew_went_and_came() -> None:
    """
    Rooms of the same names in another app are other rooms.
    """
    async with House(source("zego_rtc", 10)) as house:
        told(house)
        await house.load(source("zego_rtc", 10, app_id=42))

        assert [line("config reloaded", sources=1, rooms=10, added=10, removed=10)] == told(house, "config reloaded")


@in_virtual_time
async def test_change_of_a_rooms_file_is_one_line(tmp_path: Path) -> None:
    """
    With counts, and the room's id if there is only one; a file whose labels change alone is none.
    """
    config = source("tencent_im", ["lobby"], rooms_files=["*.yml"])
    file = tmp_path / "a.yml"
    file.write_text(f"- targets: {named(30)}")
    async with House(config, folder=tmp_path) as house:
        told(house)
        for content in (
            f"- targets: {named(1_000, prefix='new')}",
            f"- targets: {named(1_001, prefix='new')}",
            f"- targets: {named(1_001, prefix='new')}\n  labels: {{event: launch}}",
        ):
            file.write_text(content)
            await house.exporter._scan()
        of = "tencent_im"

        assert [
            line("rooms changed", source=of, added=1_000, removed=30, rooms=1_001),
            line("rooms changed", source=of, added=1, removed=0, room="new-01000", rooms=1_002),
        ] == told(house, "rooms changed", "rooms file", "config reloaded")


@in_virtual_time
async def test_rooms_that_go_with_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The only file of a source is deleted: how many rooms went stands in the log, and that nothing is watched any more.
    What the file's reload shows stays 0 meanwhile, and states of rooms are all 0.
    """
    monkeypatch.setattr(files_module, "_MISSING_FOR", 0.0)
    config = source("tencent_im", [], rooms_files=["*.txt"])
    file = tmp_path / "a.txt"
    file.write_text("\n".join(named(49)))
    async with House(config, folder=tmp_path) as house:
        told(house)
        file.unlink()
        await house.exporter._scan()
        await house.exporter._scan()
        of = "tencent_im"

        assert [
            line("rooms removed: their file is gone", "warning", source=of, file=str(file), rooms=49),
            line("rooms changed", source=of, added=0, removed=49, rooms=0),
            line("source watches no rooms", "warning", source=of),
        ] == told(house, "rooms removed: their file is gone", "rooms changed", "source watches no rooms")
        assert {str(file): False} == house.telemetry.rooms_files
        assert {0} == {*house.tables[of].states.values()}
        await house.exporter._scan()
        assert [] == told(house, "rooms removed: their file is gone", "rooms changed", "source watches no rooms")


@in_virtual_time
async def test_many_files_that_go_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A folder that is emptied does not fill the log.
    """
    monkeypatch.setattr(files_module, "_MISSING_FOR", 0.0)
    config = source("tencent_im", ["lobby"], rooms_files=["*.txt"])
    files = [tmp_path / f"{number}.txt" for number in range(3)]
    for number, file in enumerate(files):
        file.write_text(f"room-{number}\n")
    async with House(config, folder=tmp_path) as house:
        told(house)
        for file in files:
            file.unlink()
        await house.exporter._scan()
        await house.exporter._scan()

        assert [line("rooms removed: their file is gone", "warning", source="tencent_im", files=3, rooms=3)] == told(
            house, "rooms removed: their file is gone"
        )


@in_virtual_time
async def test_source_that_watches_nothing_says_so(tmp_path: Path) -> None:
    """
    A pattern with a typo, at the start and at a reload: in the words of `check`, and that it leaves no rooms. It is
    ready all the same.
    """
    config = source("tencent_im", [], rooms_files=["roms/*.txt"])
    said = [
        line("config", "warning", warning=f"source tencent_im: no file matches {tmp_path}/roms/*.txt"),
        line("source watches no rooms", "warning", source="tencent_im"),
    ]
    async with House(config, folder=tmp_path) as house:
        assert said == told(house, "config", "source watches no rooms")
        await house.load(config)
        assert said == told(house, "config", "source watches no rooms")
        await house.passes(11)
        assert house.exporter._why_unready() is None


@in_virtual_time
async def test_rooms_that_do_not_fit_are_told_once(tmp_path: Path) -> None:
    """
    As `check` would say, at the start or when a rooms file grows, and again only after they did fit.
    """
    config = source("zego_zim", 200, rooms_files=["*.txt"])
    file = tmp_path / "a.txt"
    async with House(config, folder=tmp_path) as house:
        assert [] == told(house, "rooms do not fit")
        for rooms in (100, 101, 0, 100):
            file.write_text("\n".join(["#", *named(rooms, prefix="more")]))
            await house.exporter._scan()
        more = {"level": "warning", "budget": "zego_zim:1234567890", "needed": "30.00", "allowed": "20"}

        assert [{"event": "rooms do not fit", **more}] * 2 == told(house, "rooms do not fit")


@in_virtual_time
async def test_recovery_by_a_reload_to_another_app_is_told() -> None:
    """
    The source that takes the place of one in trouble reads its rooms: the log says that the trouble is over.
    """
    async with House(source("zego_rtc", 10)) as house:
        house.vendor.answer = always(fails("zego_rtc", MISCONFIGURED["zego_rtc"]))
        await house.passes(10)
        assert SourceState.MISCONFIGURED == house.state("zego_rtc")
        told(house)
        house.vendor.answer = lambda call: None
        await house.load(source("zego_rtc", 10, app_id=42))
        await house.passes(20)

        (recovered,) = told(house, "calls recovered", "call failed")
        assert ("calls recovered", "misconfigured") == (recovered["event"], recovered["reason"])


@in_virtual_time
async def test_trouble_that_another_app_has_as_well_is_news() -> None:
    """
    The new source fails as the old one did: that is told anew, with its own code.
    """
    async with House(source("zego_rtc", 10)) as house:
        house.vendor.answer = always(fails("zego_rtc", MISCONFIGURED["zego_rtc"]))
        await house.passes(10)
        told(house)
        await house.load(source("zego_rtc", 10, app_id=42))
        await house.passes(20)

        assert ["call failed", "source is in trouble"] == [
            each["event"] for each in told(house, "calls recovered", "call failed", "source is in trouble")
        ]


@pytest.mark.parametrize("keys", [{"name": "other"}, {}])
@in_virtual_time
async def test_source_that_goes_leaves_no_recovery_behind(keys: dict[str, Any]) -> None:
    """
    Nobody recovered who is not there any more.
    """
    async with House(source("zego_rtc", 10), source("zego_zim", 1)) as house:
        house.vendor.answer = always(fails("zego_rtc", MISCONFIGURED["zego_rtc"]))
        await house.passes(10)
        told(house)
        house.vendor.answer = lambda call: None
        await house.load(*([source("zego_rtc", 10, **keys)] if keys else []), source("zego_zim", 1, app_id=7))
        await house.passes(30)

        assert [] == [each for each in told(house, "calls recovered") if each["source"] == keys.get("name", "zego_rtc")]
