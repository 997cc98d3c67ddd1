"""
A reply that says a number twice says none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from exporter.model import Failure, Reading
from exporter.vendors import APIS
from exporter.vendors.replies import CONTRADICTION, MOST_OBJECTS, UNDOCUMENTED, repeats
from tests.vendors.examples import outcome, success

COUNTS = {
    "zego_rtc": '"UserCount"',
    "zego_zim": '"Count"',
    "tencent_im": '"OnlineMemberNum"',
    "tencent_live": '"MemberCount"',
    "volcengine_rtc": '"TotalUser"',
    "janus_videoroom": '"num_participants"',
}
OUTER = {"zego_rtc": '"UserCountList"', "tencent_live": '"Response"', "volcengine_rtc": '"Result"'}


def written(document: Any) -> str:
    """JSON as vendors write it."""
    return json.dumps(document, separators=(",", ":"))


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("again", [str, lambda key: f'"\\u00{ord(key[1]):02x}{key[2:]}'], ids=["plain", "escaped"])
def test_number_that_is_said_twice(api: str, again: Callable[[str], str]) -> None:
    """
    Two counts in one object, even if the key is written in another way: neither is published.
    """
    key = COUNTS[api]
    body = written(success(api, users=3)).replace(f"{key}:3", f"{key}:3,{again(key)}:4")

    assert 1 == written(success(api, users=3)).count(f"{key}:3")
    assert CONTRADICTION == outcome(api, body.encode())


@pytest.mark.parametrize("api", OUTER)
def test_list_that_is_there_twice(api: str) -> None:
    """
    The objects around the numbers count as well.
    """
    key = OUTER[api]
    one = written(success(api, users=3))
    value = one[one.index(key) : -2 if api == "zego_rtc" else -1]

    assert CONTRADICTION == outcome(api, one.replace(key, f"{value.replace('3', '4')},{key}").encode())


def test_two_rooms_in_one_object() -> None:
    """
    ZEGO's entries for two rooms, written into one: neither of them is read.
    """
    entry = '{"RoomId":"a","UserCount":1,"AdminUserCount":0,"RoomId":"b","UserCount":2,"AdminUserCount":0}'
    body = f'{{"Code":0,"Data":{{"UserCountList":[{entry}]}}}}'

    assert CONTRADICTION == APIS["zego_rtc"].reply(("a", "b"), 200, {}, body.encode())


@pytest.mark.parametrize("api", APIS)
def test_ordinary_reply_is_read(api: str) -> None:
    """
    The same words in texts and user names contradict nothing, nor do characters that are written as escapes.
    """
    document = {**success(api, users=3), "Note": f"{COUNTS[api]} twice: {COUNTS[api]}", "Name": "\x07 é"}
    answer = outcome(api, written(document).encode())

    assert isinstance(answer, Reading)
    assert 3 == answer.users


def test_large_reply_is_not_looked_through() -> None:
    """
    What seems to repeat itself a quarter of a million times is not worth the time to find out.
    """
    assert repeats(b'"Count"' * 40_000, (b'"Count"',), 1)
    assert not repeats(b'"Count"' + b" " * 400_000, (b'"Count"',), 1)


@pytest.mark.parametrize("api", APIS)
def test_reply_of_too_many_objects(api: str) -> None:
    """
    It is not made into as many objects of ours: nothing that can be asked for needs them.
    """
    filler = ",".join(['{"RoomId":"a","UserCount":1}'] * (MOST_OBJECTS + 1))
    answer = outcome(api, f'{{"Data":{{"UserCountList":[{filler}]}}}}'.encode())

    assert isinstance(answer, Failure)
    assert UNDOCUMENTED == answer
