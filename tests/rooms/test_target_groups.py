"""
The form of http_sd: what Prometheus accepted, what is refused, and in which words.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.rooms import NO_DEFAULTS, Defaults
from exporter.model import Room, Thresholds
from exporter.rooms import target_groups
from exporter.rooms.target_groups import TargetGroupsError, read_target_groups
from exporter.vendors import APIS
from tests.measuring import best

RULE = APIS["zego_zim"].room_ids
REPLIES: list[dict[str, Any]] = [
    reply
    for reply in json.loads((Path(__file__).parent / "http_sd.json").read_text())["replies"]
    if reply["status"] == 200
    and str(reply["content_type"]).lower().startswith("application/json")
    and "iso" not in reply["content_type"]
]
SECRET = "s3cr3t"


def read(body: str | bytes, defaults: Defaults = NO_DEFAULTS) -> dict[str, Room]:
    """
    The rooms of a body.
    """
    return read_target_groups(body.encode() if isinstance(body, str) else body, RULE, defaults)[0]


def refusal(body: str | bytes) -> str:
    """
    What is said of this body.
    """
    with pytest.raises(TargetGroupsError) as refused:
        read_target_groups(body.encode() if isinstance(body, str) else body, RULE, NO_DEFAULTS)
    return str(refused.value)


@pytest.mark.parametrize(
    ("body", "room"),
    [
        ('[{"targets":["a"],"targets":["b"]}]', Room("b")),
        ('[{"targets":["a"],"labels":{"x":"1"},"labels":null}]', Room("a")),
        ('[{"targets":["a"],"labels":{"__meta_x":"1","tier":"gold"}}]', Room("a", (("tier", "gold"),))),
        ('[{"targets":["a"],"labels":{"tier":null,"event":""}}]', Room("a")),
        (r'[{"targets":["\u623f\ud83d\ude00 \"x\""]}]', Room('房😀 "x"')),
        ('\r\n[\t{ "targets" : [ "a" ] } ]\n ', Room("a")),
        ('[{},{"targets":[]},{"targets":["a"]}]', Room("a")),
    ],
    ids=["last key", "last is null", "__", "no value", "escapes", "space", "empty groups"],
)
def test_what_go_accepts_is_accepted(body: str, room: Room) -> None:
    """
    What Go's decoder makes of repeated keys, nulls, escapes and space is what rooms come from; ``__`` labels go.
    """
    assert {room.id: room} == read(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "line 1: found an empty body; accepted: a list"),
        ("null", "line 1: found null; accepted: a list"),
        ("\ufeff[]", "found a byte order mark; accepted: a list"),
        ("[]]", "found something after the list; accepted: nothing more"),
        ("[\n{},]", "line 2: found the character ]; accepted: a group, which"),
        ("[{}", "found the end of the body; accepted: , or ]"),
        ('[{"targets":["a" "b"]}]', "found text; accepted: , or ]"),
        ("['a']", "found what is no JSON; accepted: a group"),
        ('["a"]', "found text; accepted: a group"),
        ('[{"targets":"a"}]', "found text; accepted: a list of room ids"),
        ('[{"targets":[["a"]]}]', "found a list; accepted: a room id as text"),
        ('[{"targets":[true]}]', "found a boolean; accepted: a room id as text"),
        ('[{"targets":["a],}]', "found text without an end"),
        ('[{"targets":["a\n"]}]', "or with something that JSON has not"),
        (r'[{"targets":["\x61"]}]', "or with something that JSON has not"),
        ('[{"labels":["a"]}]', "found a list; accepted: a mapping of labels"),
        ('[{"labels":{"a":{}}}]', "found a mapping; accepted: the value of a label as text"),
        ('[{"thresholds":{}}]', "found an unknown key in a group; accepted: targets, labels"),
        ('[{"labels":{"__a-b":"x"}}]', "found a label name with other characters"),
        (b'[\n{"targets":["\xff"]}]', "line 2: found the byte 0xff, which is not UTF-8; accepted: UTF-8"),
        (b'["' + b" " * 65_600 + b"\n\xc3\x28", "line 2: found the byte 0xc3, which is not UTF-8; accepted: UTF-8"),
        ('[{"targets":["' + 70_000 * "a" + '"]}]', "text that is too long"),
    ],
)
def test_what_is_refused_is_told_with_its_line(body: str | bytes, words: str) -> None:
    """
    The first thing that will not do, its line, and what is accepted there.
    """
    assert words in refusal(body)


@pytest.mark.parametrize(
    "body",
    [
        f'[{{"{SECRET}":1}}]',
        f'[{{"labels":{{"{SECRET}-":"x"}}}}]',
        f'[{{"targets":["a"]}}] {SECRET}',
        f'[{{"targets":["{SECRET}]}}]',
        SECRET,
    ],
)
def test_no_word_of_a_body_is_shown(body: str) -> None:
    """
    An error may go into a log, and a body may hold anything.
    """
    assert SECRET not in refusal(body)


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: str(reply["name"]))
def test_bodies_that_a_real_prometheus_was_given(reply: dict[str, Any]) -> None:
    """
    What Prometheus accepted is accepted with the same targets and labels, but for what would name other rooms.
    """
    body = bytes.fromhex(reply["body_hex"]) if "body_hex" in reply else reply["body"].encode()
    if not reply["accepted"] or "refused_here" in reply:
        refusal(body)
        return
    assert list(zip(reply["targets"], reply["labels"], strict=True)) == [
        (room.id, dict(room.labels)) for room in read(body).values()
    ]


def test_rooms_take_what_they_lack_from_the_source() -> None:
    """
    Labels and thresholds of the source hold where a group has none of its own, as in rooms files.
    """
    source = Defaults((("event", "none"), ("team", "live")), Thresholds(5, 9))
    assert {"a": Room("a", (("event", "launch"), ("team", "live")), Thresholds(5, 9))} == read(
        '[{"targets":["a"],"labels":{"event":"launch"}}]', source
    )


def test_a_room_that_stands_there_twice_is_one_room() -> None:
    """
    With the labels of its first group; it is told if the others differ.
    """
    body = b'[{"targets":["a","a","b"],"labels":{"t":"1"}},{"targets":["a"]},{"targets":["b"],"labels":{"t":"1"}}]'
    labels = (("t", "1"),)
    assert (
        {"a": Room("a", labels), "b": Room("b", labels)},
        "1 rooms are listed again with other labels, which are not used",
    ) == read_target_groups(body, RULE, NO_DEFAULTS)


def test_an_id_that_no_room_can_have_costs_the_others_nothing() -> None:
    """
    It is left out and told, and not shown.
    """
    body = json.dumps([{"targets": ["a", "x" * 300, "", "b\x07", "c"]}]).encode()
    rooms, warning = read_target_groups(body, RULE, NO_DEFAULTS)
    assert ["a", "c"] == list(rooms)
    said = f"3 room ids are left out, at first: found one of 300 bytes; accepted: at most {RULE.max_bytes} bytes"
    assert said == warning


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ('"job":"s3cr3t"', "found a name that they may not have; accepted: letters, digits and _"),
        (r'"title":"s3cr3t\n"', "found a value that they may not have; accepted: text without control characters"),
        (r'"title":"s3cr3t\ud800"', "found a value that they may not have; accepted: text without control characters"),
    ],
    ids=["reserved name", "line break", "half of a character"],
)
def test_a_label_that_no_room_may_have_costs_the_others_nothing(label: str, said: str) -> None:
    """
    Users name their rooms as they like. It is left out and told, and not shown; Prometheus takes such a list, too.
    """
    body = f'[{{"targets":["a"],"labels":{{"event":"launch",{label}}}}},{{"targets":["b"]}}]'.encode()
    rooms, warning = read_target_groups(body, RULE, NO_DEFAULTS)
    assert {"a": Room("a", (("event", "launch"),)), "b": Room("b")} == rooms
    assert warning.startswith(f"labels of rooms are left out, at first: {said}")
    assert "s3cr3t" not in warning


def test_undocumented_characters_are_counted() -> None:
    """
    As in a rooms file; ids are not named.
    """
    _, warning = read_target_groups('[{"targets":["房","a"]}]'.encode(), RULE, NO_DEFAULTS)
    assert warning.startswith("1 of 2 room ids hold undocumented characters; documented are ")


def test_there_is_a_largest_number_of_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A small body of gzip could otherwise fill the memory with rooms.
    """
    monkeypatch.setattr(target_groups, "MOST_ROOMS", 2)
    assert "found more room ids; accepted: at most 2 room ids" in refusal('[{"targets":["a","b","c"]}]')


GROUPS = st.lists(
    st.fixed_dictionaries(
        {"targets": st.lists(st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=9), max_size=5)},
        optional={"labels": st.dictionaries(st.from_regex("[a-d]{1,9}", fullmatch=True), st.just("x\\\"'é😀"))},
    )
)


@given(GROUPS, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_any_json_of_rooms_is_read_as_json_reads_it(groups: Any, ascii: bool, indent: Any) -> None:  # noqa: A002
    """
    Whatever the ids, escapes and space: the rooms are those that the standard library finds there.
    """
    expected: dict[str, Room] = {}
    for group in groups:
        for room_id in group["targets"]:
            expected.setdefault(room_id, Room(room_id, tuple(sorted(group.get("labels", {}).items()))))
    body = json.dumps(groups, ensure_ascii=ascii, indent=indent).encode()
    assert expected == read_target_groups(body, RULE, NO_DEFAULTS)[0]


@given(st.binary() | st.text(st.sampled_from('[]{}",:\\ \nnulltargets')).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """
    Nothing but the refusal ever comes out, and what is no JSON is never read.
    """
    try:
        read_target_groups(body, RULE, NO_DEFAULTS)
    except TargetGroupsError:
        return
    assert isinstance(json.loads(body), list)


@pytest.mark.timed
async def test_other_threads_run_while_a_hundred_thousand_rooms_are_read() -> None:
    """
    A thread that wakes up each millisecond is never held up for long, whatever the form of the list.
    """
    for groups in (
        [{"targets": [f"live_{number:09}" for number in range(100_000)]}],
        [{"targets": [f"live_{number:09}"], "labels": {"number": str(number)}} for number in range(20_000)],
    ):
        body = json.dumps(groups).encode()
        assert 0.03 > await best(partial(asyncio.to_thread, _longest_gap, body), 0.03)


def _longest_gap(body: bytes) -> float:
    """Seconds between two moments at which another thread ran, but for the longest one."""
    reading = threading.Thread(target=read_target_groups, args=(body, RULE, NO_DEFAULTS))
    gaps, before = [], time.perf_counter()
    reading.start()
    while reading.is_alive():
        time.sleep(0.001)
        now = time.perf_counter()
        gaps.append(now - before)
        before = now
    assert len(gaps) > 3
    return sorted(gaps)[-2]
