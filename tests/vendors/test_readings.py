"""
What replies say of rooms.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter.model import Failure, FailureKind, Reading, Reply
from exporter.vendors import APIS
from exporter.vendors.replies import CONTRADICTION, IMPOSSIBLE_COUNT, NO_COUNT, OMITTED, UNDOCUMENTED
from tests.vendors.examples import outcome, reply, success

NO_COUNTS: tuple[object, ...] = (
    None,
    True,
    False,
    -1,
    -1.0,
    1.5,
    1e-3,
    1e16,
    2**53 + 1,
    10**30,
    "-1",
    "1.0",
    "1e3",
    "",
    " 1",
    "١",
    "9" * 17,
    [1],
    {},
)


@pytest.mark.parametrize("users", [3, "3", "003"])
@pytest.mark.parametrize(
    ("api", "expected"),
    [
        ("zego_rtc", Reading(3, admin_users=1)),
        ("zego_zim", Reading(3, exists=True)),
        ("tencent_im", Reading(3, exists=True)),
        ("tencent_live", Reading(3, exists=True)),
        ("volcengine_rtc", Reading(3, invisible_users=1, exists=True)),
        ("janus_videoroom", Reading(3, exists=True)),
    ],
)
def test_success(api: str, users: object, expected: Reading) -> None:
    """
    A count is a whole number, in quotes or not; what the API does not tell stays unknown.
    """
    assert expected == outcome(api, success(api, users=users))


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("written", ["7.0", "7e0", "70E-1", "0.7e1", "7.000"])
def test_whole_number_in_any_notation_of_json(api: str, written: str) -> None:
    """
    JSON has one kind of number: a vendor whose library writes counts with a point or an exponent has counted all the
    same.
    """
    body = json.dumps(success(api, users=424242, part=None)).replace("424242", written).encode()

    known = outcome(api, body)

    assert isinstance(known, Reading)
    assert (7, int) == (known.users, type(known.users))


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("users", [0, 2**53])
def test_counts_from_nobody_to_very_many(api: str, users: int) -> None:
    """
    Nobody is a count as good as any.
    """
    known = outcome(api, success(api, users=users, part=0))

    assert isinstance(known, Reading)
    assert (users, False) == (known.users, known.missing)


@pytest.mark.parametrize("users", NO_COUNTS)
@pytest.mark.parametrize("api", APIS)
def test_what_is_no_count_is_never_published(api: str, users: object) -> None:
    """
    Booleans, fractions, negative and absurd numbers are malformed, not rounded.
    """
    assert NO_COUNT == outcome(api, success(api, users=users, part=None))


@pytest.mark.parametrize("api", ["zego_rtc", "volcengine_rtc"])
def test_part_of_the_users_may_be_unknown(api: str) -> None:
    """
    Without a number of admin or invisible users the room's users are known all the same.
    """
    known = outcome(api, success(api, part=None))

    assert isinstance(known, Reading)
    assert (3, None, None) == (known.users, known.admin_users, known.invisible_users)


@pytest.mark.parametrize("api", ["zego_rtc", "volcengine_rtc"])
@pytest.mark.parametrize("part", [4, -1, True, "one", 0.5])
def test_part_of_the_users_cannot_be_more_than_all(api: str, part: object) -> None:
    """
    A room with more admin or invisible users than users is not believed at all.
    """
    assert IMPOSSIBLE_COUNT == outcome(api, success(api, part=part))


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("status", [404, 503])
def test_success_under_an_error_status_is_no_success(api: str, status: int) -> None:
    """
    Counts are published only when status and code agree.
    """
    failed = outcome(api, success(api), status=status)

    assert isinstance(failed, Failure)
    assert f"http_{status}" == failed.code


@pytest.mark.parametrize(
    ("api", "document"),
    [
        ("zego_rtc", {}),
        ("zego_rtc", {"Code": 0}),
        ("zego_rtc", {"Code": 0, "Data": None}),
        ("zego_rtc", {"Code": 0, "Data": {}}),
        ("zego_rtc", {"Code": 0, "Data": {"UserCountList": None}}),
        ("zego_rtc", {"Code": 0, "Data": [{"UserCount": 1}]}),
        ("zego_rtc", {"Code": False, "Data": []}),
        ("zego_rtc", {"Data": {"UserCountList": [{"RoomId": "lobby", "UserCount": 1}]}}),
        ("zego_zim", {"Count": 3}),
        ("zego_zim", {"Code": None, "Count": 3}),
        ("zego_zim", {"Code": 0.0, "Count": 3}),
        ("tencent_im", {"OnlineMemberNum": 3}),
        ("tencent_im", {"ErrorCode": 0, "ActionStatus": "FAIL", "OnlineMemberNum": 3}),
        ("tencent_live", {"ErrorCode": 0, "ActionStatus": "OK"}),
        ("tencent_live", {"ErrorCode": 0, "ActionStatus": "OK", "Response": []}),
        ("tencent_live", {"ErrorCode": 0, "ActionStatus": "FAIL", "Response": {"MemberCount": 3}}),
        ("volcengine_rtc", {"Result": {"RoomExists": True, "TotalUser": 3}}),
        ("volcengine_rtc", {"ResponseMetadata": {}}),
        ("volcengine_rtc", {"ResponseMetadata": {}, "Result": None}),
        ("volcengine_rtc", {"ResponseMetadata": {}, "Result": {"TotalUser": 3}}),
        ("volcengine_rtc", {"ResponseMetadata": {}, "Result": {"RoomExists": "true", "TotalUser": 3}}),
        ("volcengine_rtc", {"ResponseMetadata": {}, "Result": {"RoomExists": 0}}),
        ("volcengine_rtc", {"ResponseMetadata": {"Error": {}}}),
        *(
            (api, document)
            for api in APIS
            for document in (b"", b"{", b"<html>", b"null", b"[]", b"\xff", b'{"a":' * 9999)
        ),
    ],
)
def test_replies_that_no_vendor_documents(api: str, document: object) -> None:
    """
    A 200 that is not the documented JSON is malformed.
    """
    assert UNDOCUMENTED == outcome(api, document)


def test_zego_rooms_are_told_apart_by_name() -> None:
    """
    The order of a batch's reply means nothing.
    """
    batch = {"Code": 0, "Data": {"UserCountList": [_counted("b", 2), _counted("a", 1)]}}

    assert Reply({"a": Reading(1), "b": Reading(2)}) == reply("zego_rtc", batch, "a", "b")


def test_zego_data_may_be_the_list_itself() -> None:
    """
    The vendor's own documents disagree on Data, so both forms are read.
    """
    assert Reply({"a": Reading(1)}) == reply("zego_rtc", {"Code": 0, "Data": [_counted("a", 1)]}, "a")


def test_zego_bad_room_does_not_darken_its_batch() -> None:
    """
    Of a batch, each room stands for itself: omitted, without a count, contradictory, or fine.
    """
    counts = [
        _counted("fine", 1),
        _counted("negative", -1),
        _counted("twice", 1),
        _counted("twice", 2),
        _counted("twice", 1),
        _counted("same twice", 5),
        _counted("same twice", 5),
        {"RoomId": "empty"},
        _counted("nobody asked", 3),
        _counted("for these", 3),
    ]
    rooms = ["fine", "negative", "twice", "same twice", "empty", "omitted"]

    answer = reply("zego_rtc", {"Code": 0, "Data": {"UserCountList": counts}}, *rooms)

    assert (
        Reply(
            {
                "fine": Reading(1),
                "negative": NO_COUNT,
                "twice": CONTRADICTION,
                "same twice": Reading(5),
                "empty": NO_COUNT,
                "omitted": OMITTED,
            },
            unrequested=2,
        )
        == answer
    )


def _counted(room: str, users: int) -> dict[str, Any]:
    return {"RoomId": room, "UserCount": users}


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"RoomExists": False}, Reading(users=0, exists=False, missing=True)),
        ({"RoomExists": False, "TotalUser": 0}, Reading(users=0, exists=False, missing=True)),
        ({"RoomExists": False, "TotalUser": 2}, CONTRADICTION),
        ({"RoomExists": True}, NO_COUNT),
        ({"RoomExists": True, "TotalUser": 0}, Reading(users=0, exists=True)),
        ({"RoomExists": True, "TotalUser": 6, "TotalInvisibleUser": 6}, Reading(6, invisible_users=6, exists=True)),
    ],
)
def test_volcengine_rooms_exist_or_not(result: dict[str, Any], expected: Reading | Failure) -> None:
    """
    A room that does not exist is missing; one that exists must have a count.
    """
    assert expected == outcome("volcengine_rtc", {"ResponseMetadata": {}, "Result": result})


def test_volcengine_error_wins_over_a_result() -> None:
    """
    HTTP 200 with an error and a count is an error.
    """
    document = success("volcengine_rtc")
    document["ResponseMetadata"]["Error"] = {"Code": "InternalError", "CodeN": 100014}

    failed = outcome("volcengine_rtc", document)

    assert isinstance(failed, Failure)
    assert FailureKind.TRANSIENT is failed.kind


@pytest.mark.parametrize(
    ("api", "document"),
    [
        ("zego_rtc", {"Code": 100000005, "Data": ""}),
        ("tencent_live", {"ErrorCode": 70003, "ActionStatus": "FAIL", "Response": []}),
        ("volcengine_rtc", {"ResponseMetadata": {"Error": {"Code": "SignatureDoesNotMatch"}}, "Result": ""}),
    ],
)
def test_code_is_heard_though_the_rest_is_odd(api: str, document: object) -> None:
    """
    What a failing vendor sends in place of data does not hide why it failed.
    """
    failed = outcome(api, document)

    assert isinstance(failed, Failure)
    assert FailureKind.UNAUTHORIZED is failed.kind
