"""
The rooms of a source while its files come, change, break and go.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from exporter import bounded
from exporter.config import SourceConfig
from exporter.model import Room, Thresholds
from exporter.rooms import FileState, RoomsFiles, folders
from exporter.rooms import files as files_module
from exporter.rooms.formats import read_listing
from tests.config.configs import source


@pytest.fixture
def folder(tmp_path):
    """Where the rooms files lie."""
    (tmp_path / "rooms").mkdir()
    return tmp_path / "rooms"


@pytest.fixture(autouse=True)
def _looks_in_no_time(monkeypatch):
    """These tests scan several times in less than a second."""
    assert files_module._MISSING_FOR > 0
    monkeypatch.setattr(files_module, "_MISSING_FOR", 0.0)


@pytest.fixture
def config(folder):
    """A source with one room of its own, and every file in the folder."""
    return configured(folder, "rooms: [lobby]\nrooms_files: [rooms/*.yml, rooms/*.txt]")


def configured(folder: Path, extra: str) -> SourceConfig:
    """A source whose config lies beside the folder."""
    return source(extra, api="zego_zim", path=folder.parent / "exporter.yml")


def ids(rooms: RoomsFiles) -> list[str]:
    """Of the rooms that are watched now."""
    return [room.id for room in rooms.rooms]


def write(path: Path, content: str) -> Path:
    """Replace a file in one step, as it should be done."""
    new = path.with_name(path.name + ".new")
    new.write_text(content)
    return new.replace(path)


def test_rooms_of_the_config_come_first(folder, config):
    """
    Then those of the files, in the files' order.
    """
    write(folder / "b.txt", "stage\n")
    write(folder / "a.yml", "- targets: [hall, bar]\n")
    rooms = RoomsFiles(config)
    assert ["lobby"] == ids(rooms)

    assert rooms.scan()

    assert ["lobby", "hall", "bar", "stage"] == ids(rooms)
    assert [(True, 2), (True, 1)] == [(state.ok, state.rooms) for state in rooms.files.values()]


def test_nothing_new_is_not_read_again(folder, config, monkeypatch):
    """
    A scan without a change reads no file and reports no change.
    """
    write(folder / "a.txt", "stage\n")
    rooms = RoomsFiles(config)
    rooms.scan()
    monkeypatch.setattr(files_module, "read_listing", None)

    assert not rooms.scan()

    assert ["lobby", "stage"] == ids(rooms)


def test_changed_file_is_read_again(folder, config):
    """
    Whether it was replaced or written in place, even with the same size and time.
    """
    path = write(folder / "a.txt", "stage\n")
    rooms = RoomsFiles(config)
    rooms.scan()
    before = path.stat()
    path.write_text("arena\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert rooms.scan()

    assert ["lobby", "arena"] == ids(rooms)


def test_touched_file_changes_nothing(folder, config):
    """
    A file that was written anew with the same rooms is no change.
    """
    write(folder / "a.txt", "stage\n")
    rooms = RoomsFiles(config)
    rooms.scan()
    write(folder / "a.txt", "stage\n")

    assert not rooms.scan()


def test_bad_file_keeps_its_rooms(folder, config):
    """
    All or nothing: a file with one bad room changes none of them, and says why until it is good again.
    """
    seconds = iter((1000.0, 2000.0, 3000.0))
    path = write(folder / "a.yml", "- targets: [hall, bar]\n")
    rooms = RoomsFiles(config, now=lambda: next(seconds))
    rooms.scan()
    write(path, "- targets: [hall, '', arena]\n")

    assert rooms.scan()

    error = f"{path}:1: [0].targets[1]: found ''; accepted: a room id"
    assert ["lobby", "hall", "bar"] == ids(rooms)
    assert {str(path): FileState(ok=False, error=error, rooms=2, since=2000.0)} == rooms.files

    write(path, "- targets: [arena]\n")

    assert rooms.scan()
    assert ["lobby", "arena"] == ids(rooms)
    assert {str(path): FileState(ok=True, error=None, rooms=1, since=3000.0)} == rooms.files


def test_a_bad_file_is_bad_alone(folder, config):
    """
    The others are read all the same.
    """
    write(folder / "a.yml", "- targets: [")
    write(folder / "b.txt", "stage\n")
    rooms = RoomsFiles(config)

    rooms.scan()

    assert ["lobby", "stage"] == ids(rooms)
    assert [False, True] == [state.ok for state in rooms.files.values()]


@pytest.mark.parametrize(("content", "origin"), [("lobby", "the config"), ("stage", "a.txt")])
def test_room_that_is_listed_elsewhere(folder, config, content, origin):
    """
    The later of two files that list a room is refused, as is any that repeats a room of the config.
    """
    write(folder / "a.txt", "stage\n")
    path = write(folder / "b.txt", f"hall\n{content}\n")
    rooms = RoomsFiles(config)

    rooms.scan()

    listed = origin if origin == "the config" else str(folder / origin)
    assert ["lobby", "stage"] == ids(rooms)
    assert (
        f"{path}:2: found '{content}', which {listed} lists already; accepted: each room once in a source"
        == rooms.files[str(path)].error
    )


def test_room_that_moves_between_files(folder, config):
    """
    It is watched all the time, whichever file is written first, and both are good in the end.
    """
    write(folder / "a.txt", "stage\nhall\n")
    write(folder / "b.txt", "bar\n")
    rooms = RoomsFiles(config)
    rooms.scan()

    write(folder / "b.txt", "bar\nhall\n")
    rooms.scan()
    assert ["lobby", "stage", "hall", "bar"] == ids(rooms)

    write(folder / "a.txt", "stage\n")
    rooms.scan()
    assert ["lobby", "stage", "bar", "hall"] == ids(rooms)
    assert all(state.ok for state in rooms.files.values())


def test_room_that_an_earlier_file_takes(folder, config):
    """
    The other way round: the file that has it already is the one that repeats it, and nobody is watched twice.
    """
    write(folder / "a.txt", "stage\n")
    write(folder / "b.txt", "bar\nhall\n")
    rooms = RoomsFiles(config)
    rooms.scan()

    write(folder / "a.txt", "stage\nhall\n")
    rooms.scan()
    assert ["lobby", "stage", "hall", "bar"] == ids(rooms)
    assert [True, False] == [state.ok for state in rooms.files.values()]

    write(folder / "b.txt", "bar\n")
    rooms.scan()
    assert ["lobby", "stage", "hall", "bar"] == ids(rooms)
    assert all(state.ok for state in rooms.files.values())


def test_files_that_swap_rooms(folder, config):
    """
    Two files that exchange their rooms between two scans are both good.
    """
    write(folder / "a.txt", "stage\n")
    write(folder / "b.txt", "hall\n")
    rooms = RoomsFiles(config)
    rooms.scan()

    write(folder / "a.txt", "hall\n")
    write(folder / "b.txt", "stage\n")
    rooms.scan()

    assert ["lobby", "hall", "stage"] == ids(rooms)
    assert all(state.ok for state in rooms.files.values())


def test_deleted_file_loses_its_rooms_at_the_second_look(folder, config):
    """
    Some editors delete a file before they write it anew, and rooms should not blink for that.
    """
    path = write(folder / "a.txt", "stage\n")
    rooms = RoomsFiles(config)
    rooms.scan()
    path.unlink()

    assert rooms.scan()
    assert ["lobby", "stage"] == ids(rooms)
    assert f"{path}: gone; its rooms go as well if the next look does not find it" == rooms.files[str(path)].error

    assert rooms.scan()
    assert ["lobby"] == ids(rooms)
    assert not rooms.scan()


@pytest.mark.parametrize("missed", [True, False], ids=["reload after a look", "reload before a look"])
def test_file_that_is_missing_at_the_moment_of_a_reload(folder, config, monkeypatch, missed):
    """
    A reload may scan at any time, also right before or after the regular scan. If both fall into the moment in which
    an editor replaces the file, its rooms are kept.
    """
    monkeypatch.setattr(files_module, "_MISSING_FOR", 1.0)
    time = Time()
    path = write(folder / "a.txt", "stage\n")
    before = RoomsFiles(config, now=time)
    before.scan()
    path.unlink()
    if missed:
        before.scan()
    after = RoomsFiles(config, before, now=time)
    after.scan()
    time.unix += 0.9
    after.scan()
    kept = ids(after)
    time.unix += 0.2
    after.scan()

    assert ["lobby", "stage"] == kept
    assert ["lobby"] == ids(after)


class Time:
    """A clock that stands still unless told."""

    unix = 1_700_000_000.0

    def __call__(self) -> float:
        """Now."""
        return self.unix


def test_deleted_file_is_told_of_for_five_minutes(folder, config):
    """
    An alert that waits for a minute can fire; then nothing is left of the file.
    """
    time = Time()
    path = write(folder / "a.txt", "stage\nhall\n")
    rooms = RoomsFiles(config, now=time)
    rooms.scan()
    path.unlink()
    rooms.scan()
    rooms.scan()

    error = f"{path}: gone; 2 rooms of it no longer watched"
    assert {str(path): FileState(False, error, 0, time.unix, gone_with=2)} == rooms.files
    time.unix += 299
    assert not rooms.scan()
    assert [str(path)] == list(rooms.files)
    time.unix += 1
    assert rooms.scan()
    assert {} == rooms.files


def test_deleted_file_that_had_no_rooms_left_is_not_told_of(folder, config):
    """
    Whoever empties a file before deleting it does so on purpose.
    """
    path = write(folder / "a.txt", "# none\n")
    rooms = RoomsFiles(config)
    rooms.scan()
    path.unlink()
    rooms.scan()

    assert rooms.scan()
    assert {} == rooms.files


def test_renamed_file_is_not_told_of(folder, config):
    """
    Its rooms did not go.
    """
    path = write(folder / "a.txt", "stage\n")
    rooms = RoomsFiles(config)
    rooms.scan()
    path.rename(folder / "b.txt")
    rooms.scan()
    rooms.scan()

    assert ["lobby", "stage"] == ids(rooms)
    assert {str(folder / "b.txt"): True} == {path: state.ok for path, state in rooms.files.items()}


def test_deleted_file_that_returns_later(folder, config):
    """
    It is read like a new one, and no longer told of as gone.
    """
    path = write(folder / "a.txt", "stage\n")
    rooms = RoomsFiles(config)
    for step in (lambda: None, path.unlink, lambda: None, lambda: write(path, "stage\n")):
        step()
        rooms.scan()

    assert ["lobby", "stage"] == ids(rooms)
    assert rooms.files[str(path)].ok


@pytest.mark.parametrize(("patterns", "told"), [("rooms/*.txt", True), ("rooms/*.yml", False)])
def test_reload_tells_of_deleted_files_that_the_config_still_names(folder, config, patterns, told):
    """
    A file that the new config does not name is no longer missed.
    """
    path = write(folder / "a.txt", "stage\n")
    before = RoomsFiles(config)
    before.scan()
    path.unlink()
    before.scan()
    before.scan()

    after = RoomsFiles(configured(folder, f"rooms_files: [{patterns}]"), before)
    after.scan()

    assert told == (str(path) in after.files)


def test_patterns_that_no_file_matches(folder, config, monkeypatch):
    """
    A typo in a pattern finds nothing, and so does one whose files are all gone; a folder that hangs may hold some.
    """
    path = write(folder / "a.txt", "stage\n")
    rooms = RoomsFiles(config)
    assert [str(folder / "*.yml"), str(folder / "*.txt")] == rooms.unmatched()
    rooms.scan()
    assert [str(folder / "*.yml")] == rooms.unmatched()

    path.unlink()
    rooms.scan()
    rooms.scan()
    assert [str(folder / "*.yml"), str(folder / "*.txt")] == rooms.unmatched()

    monkeypatch.setattr(os, "scandir", lambda path: (_ for _ in ()).throw(OSError(116, "Stale file handle")))
    rooms.scan()
    assert [] == rooms.unmatched()


def test_file_that_returns(folder, config):
    """
    A file that was only replaced keeps its rooms.
    """
    path = write(folder / "a.txt", "stage\n")
    rooms = RoomsFiles(config)
    rooms.scan()
    hidden = path.rename(folder / "hidden")
    rooms.scan()

    hidden.rename(path)

    assert rooms.scan()
    assert ["lobby", "stage"] == ids(rooms)
    assert rooms.files[str(path)].ok


def test_folder_that_cannot_be_listed(folder, config, monkeypatch):
    """
    Unlike one that is not there, it tells nothing about its files: they keep their rooms.
    """
    write(folder / "a.txt", "stage\n")
    rooms = RoomsFiles(config)
    rooms.scan()

    def stale(path):
        raise OSError(116, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", stale)
        assert rooms.scan()
        assert not rooms.scan()

    pattern = str(folder / "*.txt")
    assert ["lobby", "stage"] == ids(rooms)
    assert f"{pattern}: stale file handle" == rooms.files[pattern].error

    assert rooms.scan()
    assert [str(folder / "a.txt")] == list(rooms.files)


def test_something_else_than_a_file(folder, config):
    """
    A folder or a pipe by such a name is an error, and nobody waits for what a pipe may say.
    """
    (folder / "a.yml").mkdir()
    os.mkfifo(folder / "b.txt")
    rooms = RoomsFiles(config)

    rooms.scan()

    assert [f"{folder / name}: not a file" for name in ("a.yml", "b.txt")] == [
        state.error for _, state in sorted(rooms.files.items())
    ]


def test_file_that_changes_while_it_is_read(folder, config, monkeypatch):
    """
    Half a list is not taken for the whole; the next scan reads it again.
    """
    path = write(folder / "a.txt", "stage\n")
    rooms = RoomsFiles(config)
    rooms.scan()
    path.write_text("hall\n")

    def growing(path, config):
        listing = read_listing(path, config)
        with Path(path).open("a") as file:
            file.write("bar\n")
        return listing

    with monkeypatch.context() as patch:
        patch.setattr(files_module, "read_listing", growing)
        assert not rooms.scan()
    assert ["lobby", "stage"] == ids(rooms)

    assert rooms.scan()
    assert ["lobby", "hall", "bar"] == ids(rooms)


def test_symlink_swap(folder, config, tmp_path):
    """
    How a Kubernetes ConfigMap changes: no file in the folder does, only what its links lead to.
    """
    for version, room in (("v1", "stage"), ("v2", "arena")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "a.txt").write_text(room)
    (folder / "..data").symlink_to(tmp_path / "v1")
    (folder / "a.txt").symlink_to("..data/a.txt")
    rooms = RoomsFiles(config)
    rooms.scan()
    assert ["lobby", "stage"] == ids(rooms)

    (folder / "..new").symlink_to(tmp_path / "v2")
    (folder / "..new").replace(folder / "..data")

    assert rooms.scan()
    assert ["lobby", "arena"] == ids(rooms)


def test_names_that_cannot_be_printed(folder, config):
    """
    Names of files are bytes. One that is no text, or cannot be seen, has a stand-in wherever people and encoders read
    it; its rooms are watched, and it can be mended, as any other's.
    """
    path = Path(os.fsdecode(os.fsencode(folder) + b"/chambre-\xe9\x1b\xe2\x80\xae.txt"))
    shown = rf"{folder}/chambre-\xe9\x1b\u202e.txt"
    write(path, "stage\n")
    rooms = RoomsFiles(config)
    rooms.scan()
    good = rooms.files
    write(path, "stage\nlobby\n")
    rooms.scan()

    assert ["lobby", "stage"] == ids(rooms)
    assert [(shown, True, 1)] == [(name, state.ok, state.rooms) for name, state in good.items()]
    assert f"{shown}:2: found 'lobby', which the config lists already; accepted: each room once in a source" == (
        rooms.files[shown].error
    )
    assert (shown, None) == rooms.origin("stage")
    assert [f"{folder}/*.yml"] == rooms.unmatched()


def test_hidden_files_are_no_rooms_files(folder, config):
    """
    Editors keep their copies under such names.
    """
    write(folder / ".a.txt", "stage\n")
    rooms = RoomsFiles(config)

    assert not rooms.scan()


def test_wildcards_of_the_folder_mean_themselves(tmp_path):
    """
    A folder may be called ``[x]``.
    """
    folder = tmp_path / "[x]" / "rooms"
    folder.mkdir(parents=True)
    write(folder / "a.txt", "stage\n")
    rooms = RoomsFiles(configured(folder, "rooms_files: [rooms/*.txt, rooms/b.txt]"))

    rooms.scan()

    assert ["stage"] == ids(rooms)


def test_reload_forgets_no_rooms(folder, config):
    """
    A file that is bad at that moment keeps its rooms across a reload as well, with the thresholds of the new config.
    """
    path = write(folder / "a.txt", "stage\n")
    before = RoomsFiles(config)
    before.scan()
    write(path, "stage\n\x07\n")
    before.scan()
    reloaded = configured(folder, "rooms: [hall]\nthresholds: {warning: 7}\nrooms_files: [rooms/*.txt]")

    after = RoomsFiles(reloaded, before)

    assert ["hall", "stage"] == ids(after)
    assert Thresholds(warning=7) == after.rooms[1].thresholds
    assert before.files[str(path)] == after.files[str(path)]
    assert not after.scan()
    assert ["lobby", "stage"] == ids(before)


def test_reload_with_other_labels_and_thresholds(folder, config):
    """
    Of the source; the file's own win over the new ones as over the old ones, key by key.
    """
    path = write(folder / "a.yml", "- {targets: [stage], labels: {event: launch}, thresholds: {critical: 9}}\n")
    before = RoomsFiles(config)
    before.scan()
    reloaded = configured(
        folder, "labels: {event: all, team: x}\nthresholds: {warning: 7, critical: 8}\nrooms_files: [rooms/*.yml]"
    )

    after = RoomsFiles(reloaded, before)

    assert [Room("stage", (("event", "launch"), ("team", "x")), Thresholds(7, 9))] == [*after.rooms]
    assert not after.scan()
    assert after.files[str(path)].ok


def test_reload_with_thresholds_that_do_not_go_with_a_file_s(folder, config):
    """
    The file is judged anew: as at a start, except that its rooms are kept.
    """
    path = write(folder / "a.yml", "- {targets: [stage], thresholds: {critical: 9}}\n")
    before = RoomsFiles(config)
    before.scan()

    after = RoomsFiles(configured(folder, "thresholds: {warning: 10}\nrooms_files: [rooms/*.yml]"), before)
    after.scan()

    assert ["stage"] == ids(after)
    assert (
        f"{path}:1: [0].thresholds: found warning 10 and critical 9; accepted: warning below critical"
        == after.files[str(path)].error
    )


def test_reload_drops_files_that_are_no_longer_listed(folder, config):
    """
    At once: that they are not there any more is no accident.
    """
    write(folder / "a.txt", "stage\n")
    before = RoomsFiles(config)
    before.scan()

    after = RoomsFiles(configured(folder, "rooms_files: [rooms/*.yml]"), before)

    assert [] == ids(after)
    assert {} == after.files


def test_reload_with_another_api_reads_anew(folder, config):
    """
    What one API takes for a room id another one may not.
    """
    write(folder / "a.txt", "x" * 30)
    before = RoomsFiles(config)
    before.scan()
    other = source("rooms_files: [rooms/*.txt]", api="tencent_im", path=folder.parent / "exporter.yml")

    after = RoomsFiles(other, before)

    assert [] == ids(after)
    assert after.scan()
    assert ["x" * 30] == ids(after)


def test_reload_with_other_thresholds_reaches_a_file_that_did_not_count(folder):
    """
    Its list was kept aside, as it repeats a room of the config; when it counts, it does so with the new thresholds.
    """
    write(folder / "a.txt", "lobby\nstage\n")
    before = configured(folder, "rooms: [lobby]\nrooms_files: [rooms/*.txt]\nthresholds: {warning: 1}")
    after = configured(folder, "rooms_files: [rooms/*.txt]\nthresholds: {warning: 100}")
    old = RoomsFiles(before)
    old.scan()

    rooms = RoomsFiles(after, old)
    rooms.scan()

    assert {Thresholds(100)} == {room.thresholds for room in rooms.rooms}
    assert ["lobby", "stage"] == ids(rooms)


def test_file_that_cannot_be_opened_for_a_moment(folder, config, monkeypatch):
    """
    The process ran out of descriptors: the file is read when there are some again, though it has not changed.
    """
    write(folder / "a.txt", "stage\n")
    rooms = RoomsFiles(config)
    with monkeypatch.context() as patched:
        patched.setattr(bounded, "_read", lambda *_: (_ for _ in ()).throw(OSError(24, "Too many open files")))
        rooms.scan()
    assert [False] == [state.ok for state in rooms.files.values()]

    rooms.scan()

    assert ["lobby", "stage"] == ids(rooms)


def test_reload_with_thousands_of_files_that_are_named_one_by_one(folder, monkeypatch):
    """
    No path is compared with every other.
    """
    names = [f"rooms/{number}.txt" for number in range(1_000)]
    for name in names:
        write(folder.parent / name, f"{name}\n")
    config = configured(folder, f"rooms_files: {json.dumps(names)}")
    rooms = RoomsFiles(config)
    rooms.scan()
    monkeypatch.setattr(folders, "_name_matches", None)

    assert 1_000 == len(RoomsFiles(config, rooms).rooms)
