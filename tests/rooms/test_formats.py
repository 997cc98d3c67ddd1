"""
What a rooms file may look like, and what is said of the others.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model import Room, Thresholds
from exporter.rooms import RoomsFileError, read_rooms_file
from exporter.rooms.formats import read_listing
from tests.config.configs import source

EDITIONS = [200, pytest.param(20_000, marks=pytest.mark.soak)]
ZIM = source("thresholds: {warning: 5}", api="zego_zim")
THRESHOLDS = Thresholds(warning=5)


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Writes a file and gives its name, which is what messages begin with."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, content: str | bytes) -> str:
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    return write


def refusal(name: str) -> str:
    """What is said of this file."""
    with pytest.raises(RoomsFileError) as refused:
        read_rooms_file(name, ZIM)
    return str(refused.value)


def test_groups_of_targets(file):
    """
    Prometheus' own form: the labels of a group are those of its rooms, the thresholds those of the source by default.
    """
    name = file("a.yml", "- targets: [lobby, '0123']\n  labels: {zone: a, event: launch}\n- targets: [stage]\n")
    labels = (("event", "launch"), ("zone", "a"))

    assert (
        Room("lobby", labels, THRESHOLDS),
        Room("0123", labels, THRESHOLDS),
        Room("stage", (), THRESHOLDS),
    ) == read_rooms_file(name, ZIM)


def test_thresholds_of_a_group(file):
    """
    They hold for its rooms; where the group has none of that severity, the source's does.
    """
    name = file(
        "a.yml",
        "- {targets: [a], thresholds: {critical: 9}}\n- {targets: [b], thresholds: {warning: 6, critical: 7}}\n",
    )

    assert [Thresholds(5, 9), Thresholds(6, 7)] == [room.thresholds for room in read_rooms_file(name, ZIM)]


def test_labels_of_the_source(file):
    """
    Rooms of its files have them too, and what the file says wins, key by key.
    """
    name = file("a.yml", "- {targets: [a], labels: {zone: b, event: launch}}\n- targets: [b]\n")
    team = source("labels: {team: x, zone: a}", api="zego_zim")

    assert [
        (("event", "launch"), ("team", "x"), ("zone", "b")),
        (("team", "x"), ("zone", "a")),
    ] == [room.labels for room in read_rooms_file(name, team)]
    assert ((("team", "x"), ("zone", "a")),) == tuple(room.labels for room in read_rooms_file(file("a.txt", "c"), team))


def test_labels_that_others_set_are_a_warning(file):
    """
    Of the group's own: those of the source are warned of where they stand.
    """
    listing = read_listing(file("a.yml", "- {targets: [a], labels: {pod: x, namespace: y}}"), ZIM)

    assert "Prometheus' operator or an alert sets these labels, too, and its own win: namespace, pod" == listing.warning


@pytest.mark.parametrize("indent", [None, 2, "\t"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_as_programs_write_it(file, indent, ascii_only):
    """
    Tabs, escapes and characters in two halves are JSON, though not YAML.
    """
    ids = ["lobby", "大厅", "😀", 'a"b', "a\\b", "a/b", "\\ud83d", "a: b", "#"]
    text = json.dumps([{"targets": ids, "labels": {"event": "😀\\"}}], ensure_ascii=ascii_only, indent=indent)

    rooms = read_rooms_file(file("a.json", text), ZIM)

    assert ids == [room.id for room in rooms]
    assert (("event", "😀\\"),) == rooms[0].labels


def test_json_without_a_space(file):
    """
    And so is JSON without a single space.
    """
    text = json.dumps([{"targets": ["lobby"], "labels": {"event": "launch"}}], separators=(",", ":"))

    assert (Room("lobby", (("event", "launch"),), THRESHOLDS),) == read_rooms_file(file("a.json", text), ZIM)


def test_one_room_a_line(file):
    """
    Comments begin a line: ids may well hold a number sign.
    """
    name = file("a.txt", "# the main rooms\r\nlobby\r\n\r\n  @TGS#a6  \n#stage\na b\nlast")

    assert ["lobby", "@TGS#a6", "a b", "last"] == [room.id for room in read_rooms_file(name, ZIM)]


@pytest.mark.parametrize(
    ("name", "content"), [("a.yml", "[]"), ("a.json", "[ ]"), ("a.txt", "# none\n"), ("b.txt", "\n")]
)
def test_no_rooms_on_purpose(file, name, content):
    """
    A file can say that there are none.
    """
    assert () == read_rooms_file(file(name, content), ZIM)


GROUPS = "a list such as [{targets: [lobby, stage], labels: {event: launch}}]"
LABELS = (
    "letters, digits and _, not beginning with a digit or __; "
    "reserved are api, instance, job, le, quantile, room, severity, source, vendor"
)
WHOLE_NUMBER = "a whole number of users, 0 or more"
TARGETS = "a list of room ids, such as [lobby, stage]"
AS_TEXT = "a room id as text, in quotes if need be"
PRINTABLE = "text without control characters"
UNCLOSED = "neither a comma nor a ] in the list that begins in line 1"


@pytest.mark.parametrize(
    ("suffix", "content", "where", "found", "accepted"),
    [
        ("yml", "", "1", "nothing", GROUPS),
        ("json", " \n", "1", "nothing", GROUPS),
        ("txt", "", "1", "nothing", "room ids, one a line"),
        ("yml", "targets: [a]", "1", "a mapping", GROUPS),
        ("yml", "- lobby", "1: [0]", "text", "a mapping with targets, labels, thresholds"),
        ("yml", "- {labels: {a: b}}", "1: [0].targets", "nothing", TARGETS),
        ("yml", "- targets: lobby", "1: [0].targets", "text", TARGETS),
        ("yml", "- targets:\n  - a\n  - b\n  - ''", "4: [0].targets[2]", "''", "a room id"),
        ("json", '[{"targets": [null]}]', "1: [0].targets[0]", "null", AS_TEXT),
        ("json", '[{"targets": ["a", true]}]', "1: [0].targets[1]", "the boolean true", AS_TEXT),
        ("json", '[{"targets": [1e5]}]', "1: [0].targets[0]", "a number", AS_TEXT),
        ("json", '[{"targets": [-0.5]}]', "1: [0].targets[0]", "a number", AS_TEXT),
        (
            "json",
            '[{"targets": ["a"], "labels": {"team": null}}]',
            "1: [0].labels.team",
            "null",
            "text, or no such label",
        ),
        ("json", '[{"targets": ["a"], "labels": {"team": "a\\u0000"}}]', "1: [0].labels.team", r"'a\x00'", PRINTABLE),
        ("yml", "- targets: [~]", "1: [0].targets[0]", "null", AS_TEXT),
        ("yml", "- targets:\n  - a\n  -", "3: [0].targets[1]", "null", AS_TEXT),
        ("yml", "- targets: [False]", "1: [0].targets[0]", "the boolean false", AS_TEXT),
        ("yml", "- targets: [0123]", "1: [0].targets[0]", "a number", AS_TEXT),
        ("yml", "- targets: [0x1F]", "1: [0].targets[0]", "a number", AS_TEXT),
        ("yml", "- targets: [&a .inf]", "1: [0].targets[0]", "a number", AS_TEXT),
        (
            "yml",
            "- targets: [{id: a}]",
            "1: [0].targets[0]",
            "a mapping",
            "a room id; labels and thresholds stand beside targets",
        ),
        ("yml", "- targets: [a]\n- targets: [a]", "2: [1].targets[0]", "'a' again, first in line 1", "each room once"),
        ("txt", "a\nb\n a\n", "3", "'a' again, first in line 1", "each room once"),
        ("txt", f"a\n{'b' * 33}", "2", f"'{'b' * 33}' of 33 bytes", "at most 32 bytes"),
        ("txt", "a\x07b", "1", "'a\\x07b'", "a room id without control characters"),
        ("txt", b"ok\n\xff", "2", "the byte 0xff, which is not UTF-8", "UTF-8 text"),
        (
            "yml",
            "- {targets: [a], label: {}}",
            "1: [0].label",
            "an unknown key (did you mean labels?)",
            "labels, targets, thresholds",
        ),
        ("yml", "- {targets: [a], labels: {job: x}}", "1: [0].labels.job", "the label name 'job'", LABELS),
        ("yml", "- targets: [a\n", "2", UNCLOSED, "commas between, and ] at the end"),
        ("yml", "- targets:\n\t- a", "2", "a tab", "spaces for indentation"),
        ("yml", "- {targets: [a], thresholds: {warning: x}}", "1: [0].thresholds.warning", "'x'", WHOLE_NUMBER),
        (
            "yml",
            "- {targets: [a], thresholds: {critical: 4}}",
            "1: [0].thresholds",
            "warning 5 and critical 4",
            "warning below critical",
        ),
        ("txt", "\x01\n\x02\n\x03", "1", "'\\x01'", "a room id without control characters (and 2 more)"),
    ],
)
def test_bad_file(file, suffix, content, where, found, accepted):
    """
    One line tells the first problem, and how many others there are.
    """
    name = file(f"a.{suffix}", content)

    assert f"{name}:{where}: found {found}; accepted: {accepted}" == refusal(name)


@pytest.mark.parametrize(
    ("name", "start", "line"),
    [("a.yml", "- targets:\n", "  - {}\n"), ("b.yml", "", "- targets: [{}]\n"), ("c.txt", "", "{}\n")],
    ids=["one group", "many groups", "lines"],
)
def test_every_one_of_many_bad_rooms_is_counted(file, name, start, line):
    """
    Only a thousand problems are put into words, and still nobody takes the file for one without rooms.
    """
    name = file(name, start + "".join(line.format(f"r{number:032}") for number in range(2_500)))

    assert refusal(name).endswith("of 33 bytes; accepted: at most 32 bytes (and 2499 more)")


@pytest.mark.parametrize("name", ["a.yml", "a.json"])
def test_text_that_looks_like_something_else(file, name):
    """
    In quotes everything is text; what is text to YAML 1.2 without them is a room id as well, and so is what a list of
    lines holds.
    """
    quoted = file(name, """[{"targets": ["null", "true", "1e5", "0123", """ + '"~"]}]')
    bare = file("b.yml", "- targets: [yes, 12:30, 1_000, nullable, 0xyz, 1.2.3]\n  labels: {floor: 3, open: true}\n")
    lines = file("c.txt", "null\n0123\n")

    assert ["null", "true", "1e5", "0123", "~"] == [room.id for room in read_rooms_file(quoted, ZIM)]
    assert ["yes", "12:30", "1_000", "nullable", "0xyz", "1.2.3"] == [room.id for room in read_rooms_file(bare, ZIM)]
    assert {(("floor", "3"), ("open", "true"))} == {room.labels for room in read_rooms_file(bare, ZIM)}
    assert ["null", "0123"] == [room.id for room in read_rooms_file(lines, ZIM)]


def test_missing_file():
    """
    A file that cannot be read is told by its name.
    """
    assert "absent.yml: found no such file or directory; accepted: a readable file" == refusal("absent.yml")


def test_undocumented_characters_are_a_warning(file):
    """
    The vendor may take them all the same.
    """
    listing = read_listing(file("a.txt", "lobby\na b\n大厅\n"), ZIM)

    assert 3 == len(listing.rooms)
    assert listing.warning is not None
    assert listing.warning.startswith(
        "2 of 3 room ids hold undocumented characters ('a b', '大厅'); documented are digits"
    )


@pytest.mark.parametrize("examples", EDITIONS)
@pytest.mark.parametrize("suffix", [".yml", ".json", ".txt"])
def test_any_file_is_rooms_or_one_line(tmp_path, suffix, examples):
    """
    Whatever stands in it: never another exception, and never more than a line.
    """
    path = tmp_path / f"a{suffix}"
    pieces = st.sampled_from(
        [
            "- ",
            "targets: ",
            "[",
            "]",
            "{",
            "}",
            ",",
            '"',
            "\n",
            "  ",
            "labels: ",
            "a",
            "b: c",
            "\\ud83d",
            "\\ude00",
            "#",
            "\t",
            "&a ",
            "*a ",
        ]
    )
    message = re.compile(re.escape(str(path)) + r":[1-9]\d*: [^\n]*; accepted: [^\n]+")

    @settings(max_examples=examples, deadline=None)
    @given(st.lists(pieces, max_size=30).map(lambda parts: "".join(parts).encode()) | st.binary(max_size=30))
    def holds(content: bytes) -> None:
        path.write_bytes(content)
        try:
            read_rooms_file(path, ZIM)
        except RoomsFileError as error:
            assert message.fullmatch(str(error))  # noqa: PT017

    holds()
