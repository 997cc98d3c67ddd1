"""
Passes over vendors' lists of rooms: what is asked for, what a pass names, and when it is complete.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model import Auth, Failure, FailureKind, Reading, Request, Stamp
from exporter.vendors import APIS
from exporter.vendors.lists import MOST_PAGES, ListPass
from exporter.vendors.source import Secret
from tests.vendors.examples import NOW, STAMP, auth, source, success
from tests.vendors.test_any_bytes import documents, headers, statuses

LISTED = [api for api, codec in APIS.items() if codec.lists]
DAY = 86_400.0
Answering = Callable[[Mapping[str, Any]], object]


def known(name: str) -> Any:
    """Known requests and replies of a vendor's list."""
    return json.loads(Path(__file__, "..", "lists", f"{name}.json").resolve().read_text(encoding="utf-8"))


ZEGO, TENCENT, VOLCENGINE = known("zego_room_list"), known("tencent_lists"), known("volcengine_list_room_info")


def begin(api: str, since: float | None = None, lookback: float = DAY, **changes: object) -> ListPass:
    """A pass over the list of a source."""
    lists = APIS[api].lists
    assert lists
    return lists.begin(source(api, **changes), NOW, since, lookback)


def asked(api: str, listing: ListPass) -> dict[str, Any] | None:
    """What the next request asks for; ``None`` if the pass has ended."""
    request = listing.request(auth(api), STAMP)
    if request is None:
        return None
    return json.loads(request.body) if request.body else dict(parse_qsl(request.target.partition("?")[2]))


def given_reply(listing: ListPass, document: object, status: int = 200) -> Failure | None:
    """What a pass makes of a reply."""
    return listing.reply(status, {}, document if isinstance(document, bytes) else json.dumps(document).encode())


def run(api: str, answer: Answering, **how: Any) -> ListPass:
    """A whole pass over a list that answers so."""
    listing = begin(api, **how)
    for _ in range(MOST_PAGES + 1):
        page = asked(api, listing)
        if page is None:
            return listing
        assert given_reply(listing, answer(page)) is None
    raise AssertionError("the pass does not end")


def zego(rooms: object, total: object) -> dict[str, Any]:
    """A page of ZEGO's."""
    entries = (
        [{"RoomId": room, "UserCount": users} for room, users in rooms.items()] if isinstance(rooms, dict) else rooms
    )
    return {"Code": 0, "Message": "success", "RequestId": "1", "Data": {"TotalCount": total, "RoomList": entries}}


def groups(ids: list[object], total: object, cursor: object = 0) -> dict[str, Any]:
    """A page of Tencent Chat's."""
    listed = [{"GroupId": each} for each in ids]
    return {
        "ActionStatus": "OK",
        "ErrorInfo": "",
        "ErrorCode": 0,
        "TotalCount": total,
        "GroupIdList": listed,
        "Next": cursor,
    }


def live(ids: list[object], cursor: object = "") -> dict[str, Any]:
    """A page of Tencent Live's."""
    listed = [{"RoomName": "secret name", "RoomId": each, "Owner_Account": "tandy", "ViewCount": 500} for each in ids]
    response = {"Next": cursor, "RoomList": listed}
    return {"ErrorCode": 0, "ErrorInfo": "", "ActionStatus": "OK", "RequestId": "Id", "Response": response}


def calls(entries: list[tuple[object, object]], total: object = None, *, has_more: object = False) -> dict[str, Any]:
    """A page of Volcengine's: room ids, and whether the call has ended."""
    listed = [
        {"CallId": f"c{number}", "RoomId": room, "IsFinished": finished, "ActiveUserNum": 7}
        for number, (room, finished) in enumerate(entries)
    ]
    number = len(entries) if total is None else total
    result = {"Total": number, "HasMore": has_more, "PageNum": 1, "PageSize": 100, "RoomList": listed}
    return {"ResponseMetadata": {"RequestId": "1"}, "Result": result}


PAGES: dict[str, Callable[[list[Any]], dict[str, Any]]] = {
    "zego_rtc": lambda ids: zego([{"RoomId": each, "UserCount": 1} for each in ids], len(ids)),
    "tencent_im": lambda ids: groups(ids, len(ids)),
    "tencent_live": live,
    "volcengine_rtc": lambda ids: calls([(each, False) for each in ids]),
    "janus_videoroom": lambda ids: success("janus_videoroom", ids),
}


def test_every_api_but_zim_lists_its_rooms() -> None:
    """
    ZIM has no list; the others are asked for it under limits and names of their own, but for Janus, whose polls are it.
    """
    assert ["zego_rtc", "tencent_im", "tencent_live", "volcengine_rtc", "janus_videoroom"] == LISTED
    limits = {
        lists.budget_key(source(api)): lists.limit(source(api))
        for api, codec in APIS.items()
        if (lists := codec.lists) and not lists.answers_all
    }
    assert {
        "zego_rtc.list:1234567890": 20,
        "tencent_im.list:1400000000": 1,
        "tencent_live.list:1400000000": 10,
        "volcengine_rtc.list": 10,
    } == limits
    assert not {APIS[api].budget_key(source(api)) for api in LISTED} & set(limits)
    polled = [api for api, codec in APIS.items() if codec.lists is not None and codec.lists.answers_all]
    assert ["janus_videoroom"] == polled


class TestZego:
    @pytest.mark.parametrize("row", ZEGO["requests"], ids=lambda row: f"page {row['page']}")
    def test_request(self, row: dict[str, Any]) -> None:
        """
        The known signed URL of each page, which follows the page before it.
        """
        secret = Secret("9193cc662a4c0ec135ec71fb57194b38")
        query = parse_qs(urlsplit(row["url"]).query)
        stamp = Stamp(float(query["Timestamp"][0]), query["SignatureNonce"][0])
        listing = begin("zego_rtc", app_id="12345", server_secret=secret)
        for _ in range(row["page"] - 1):
            given_reply(listing, zego({f"room-{n}": 1 for n in range(200)}, 1000))

        request = listing.request(Auth(secret.reveal()), stamp)

        assert request
        assert row["url"] == request.url

    @pytest.mark.parametrize("row", ZEGO["replies"], ids=lambda row: row["name"])
    def test_reply(self, row: dict[str, Any]) -> None:
        """
        The known replies: rooms with their users, or a list that is not activated for the app.
        """
        listing, expected = begin("zego_rtc"), row["expect"]

        failure = given_reply(listing, row["body"])

        assert expected.get("class") == (failure.kind if failure else None)
        assert ("unsupported" == expected.get("discovery")) is listing.unsupported
        assert expected.get("complete", False) is listing.complete
        assert expected.get("rooms", {}) == {
            room: reading.users for room, reading in listing.rooms.items() if reading is not None
        }

    @pytest.mark.parametrize("code", [9, 100000007, 100000017])
    def test_not_activated(self, code: int) -> None:
        """
        A list that ZEGO has not activated is told apart from an app that is set up wrongly, and says whom to ask.
        """
        listing = begin("zego_rtc")

        failure = given_reply(listing, {"Code": code, "Message": "no"})

        assert failure
        assert FailureKind.MISCONFIGURED is failure.kind
        assert "ask its support" in failure.words
        assert listing.unsupported

        given_reply(listing, {"Code": 100000011})
        assert not listing.unsupported

    def test_pages_that_shift(self) -> None:
        """
        Rooms that repeat at a page border while one is missed: the pass is not complete, as 300 were said to be there.
        """
        rooms = [f"room-{n}" for n in range(300)]
        pages = {"1": rooms[:200], "2": rooms[199:299]}

        listing = run("zego_rtc", lambda page: zego(dict.fromkeys(pages[page["PageIndex"]], 1), 300))

        assert set(rooms[:299]) == set(listing.rooms)
        assert not listing.complete
        assert "the vendor has 300 rooms, and its pages named 299" == listing.error

    def test_smaller_total_counts(self) -> None:
        """
        Rooms that end while pages are read are not missing: the smaller of the first and the last total counts.
        """
        pages = {"1": range(200), "2": range(200, 290)}
        totals = {"1": 300, "2": 290}

        listing = run(
            "zego_rtc",
            lambda page: zego({f"room-{n}": 1 for n in pages[page["PageIndex"]]}, totals[page["PageIndex"]]),
        )

        assert listing.complete
        assert 290 == len(listing.rooms)

    def test_smaller_pages_than_asked_for(self) -> None:
        """
        Where ZEGO gives 100 rooms a page though it is asked for 200, pages go on until the total is reached.
        """

        def answer(page: Mapping[str, Any]) -> object:
            end = 100 * int(page["PageIndex"])
            return zego({f"room-{n}": 1 for n in range(end - 100, min(end, 250))}, 250)

        listing = run("zego_rtc", answer)

        assert (True, 250) == (listing.complete, len(listing.rooms))

    def test_empty_page_is_not_the_end(self) -> None:
        """
        Pages after it are asked for as well, up to the total; the pass is not complete.
        """
        pages = {"1": range(200), "2": range(0), "3": range(400, 500)}

        listing = run("zego_rtc", lambda page: zego({f"room-{n}": 1 for n in pages[page["PageIndex"]]}, 500))

        assert (False, 300) == (listing.complete, len(listing.rooms))

    def test_test_environment(self) -> None:
        """
        A source of the test environment lists the rooms of that.
        """
        assert "true" == (asked("zego_rtc", begin("zego_rtc", is_test="true")) or {}).get("IsTest")
        assert "IsTest" not in (asked("zego_rtc", begin("zego_rtc")) or {})

    @pytest.mark.parametrize(
        ("document", "rooms", "error"),
        [
            (zego({"a": 1}, None), {"a"}, "the reply does not say how many rooms there are"),
            (zego({"a": 1}, True), {"a"}, "the reply does not say how many rooms there are"),
            (zego({"a": 1}, -1), {"a"}, "the reply does not say how many rooms there are"),
            (zego({"a": 1, "b": 1}, 1), {"a", "b"}, "a page names 2 rooms and says that there are 1"),
            (zego({"": 1, "a": 1}, 1), {"a"}, "a room of the list has no id"),
            (zego([], 3), set(), "the vendor has 3 rooms, and its pages named 0"),
            (zego(None, 3), set(), "the vendor has 3 rooms, and its pages named 0"),
        ],
    )
    def test_wrong_totals_and_names(self, document: object, rooms: set[str], error: str) -> None:
        """
        A page with a total that cannot be right, or a room without an id, makes a pass incomplete.
        """
        listing = run("zego_rtc", lambda _: document)

        assert (False, error, rooms) == (listing.complete, listing.error, set(listing.rooms))

    @pytest.mark.parametrize("data", [None, {}, {"TotalCount": 0}, {"RoomList": None}])
    def test_no_rooms(self, data: object) -> None:
        """
        Data, total and list may be left out where there are no rooms.
        """
        listing = run("zego_rtc", lambda _: {"Code": 0, "Data": data})

        assert (True, {}) == (listing.complete, listing.rooms)

    def test_no_count_is_no_reading(self) -> None:
        """
        A room with a count that is none, or with two of them on a page, is named without a reading; the total of
        another page is newer.
        """
        entries = [
            {"RoomId": "a", "UserCount": 1},
            {"RoomId": "a", "UserCount": 2},
            {"RoomId": "b", "UserCount": "many"},
            {"RoomId": "c"},
            {"RoomId": "d", "UserCount": 5},
        ]

        listing = run("zego_rtc", lambda _: zego(entries, 4))

        assert {"a": None, "b": None, "c": None, "d": Reading(5)} == listing.rooms


class TestTencentIm:
    def test_known_pages(self) -> None:
        """
        The known pages: the list moved while it was read, so one of five groups was missed.
        """
        listing, rows = begin("tencent_im"), TENCENT["get_appid_group_list"]
        for page in rows["pages"]:
            request = listing.request(auth("tencent_im"), STAMP)
            assert request
            assert rows["path"] == urlsplit(request.target).path
            assert {**page["request"], "Limit": 5000} == json.loads(request.body)
            assert given_reply(listing, page["reply"]) is None

        assert asked("tencent_im", listing) is None
        assert rows["expect"]["rooms"] == [*listing.rooms]
        assert rows["expect"]["complete"] is listing.complete
        assert "the vendor has 5 rooms, and its pages named 4" == listing.error

    def test_reply_too_large(self) -> None:
        """
        When Tencent refuses a reply of over 1 MB, the same page is asked for with half as many groups.
        """
        listing = begin("tencent_im")
        limits = []
        for _ in range(15):
            limits.append((asked("tencent_im", listing) or {})["Limit"])
            failure = given_reply(listing, {"ActionStatus": "FAIL", "ErrorCode": 10018, "ErrorInfo": "too large"})
            assert failure
            assert FailureKind.TRANSIENT is failure.kind

        assert [5000, 2500, 1250, 625] == limits[:4]
        assert 1 == limits[-1]

    def test_large_cursor(self) -> None:
        """
        A cursor of 64 bits comes back as it was, written as a number or as text.
        """
        for cursor in (2**64 - 1, str(2**63 - 1)[:18]):
            listing = begin("tencent_im")
            given_reply(listing, groups(["a"], 2, cursor))

            assert int(cursor) == (asked("tencent_im", listing) or {})["Next"]

    @pytest.mark.parametrize("cursor", [-1, 2**64, 1.5, True, "x", [], {}])
    def test_cursor_that_is_none(self, cursor: object) -> None:
        """
        A page whose cursor cannot be read is not taken.
        """
        failure = given_reply(begin("tencent_im"), groups(["a"], 2, cursor))

        assert failure
        assert FailureKind.MALFORMED is failure.kind

    def test_cursor_repeats(self) -> None:
        """
        A cursor that leads back ends the pass, which is not complete.
        """
        listing = run("tencent_im", lambda page: groups([f"g{page['Next']}"], 9, {0: 7, 7: 8, 8: 7}[page["Next"]]))

        assert {"g0", "g7", "g8"} == set(listing.rooms)
        assert "the list leads back to a page that was read already" == listing.error

    @pytest.mark.parametrize(
        ("ids", "total", "error"),
        [
            (["a"], None, "the reply does not say how many groups there are"),
            (["a", "b"], 1, "a page names 2 groups and says that there are 1"),
            (["a", ""], 1, "a group of the list has no id"),
        ],
    )
    def test_wrong_totals_and_names(self, ids: list[object], total: object, error: str) -> None:
        """
        A total that cannot be right, or a group without an id, makes a pass incomplete.
        """
        listing = run("tencent_im", lambda _: groups(ids, total))

        assert (False, error) == (listing.complete, listing.error)

    def test_group_named_like_a_key(self) -> None:
        """
        A page of 300 KB in which groups are called as the reply's keys are is taken.
        """
        ids = [*(f"@TGS#{n:040}" for n in range(4_998)), "GroupId", "Next"]

        assert run("tencent_im", lambda _: groups([*ids], len(ids))).complete


class TestTencentLive:
    def test_known_pages(self) -> None:
        """
        The known pages: rooms without a reading, as how often a room was entered is not who is there.
        """
        listing, rows = begin("tencent_live"), TENCENT["get_room_list"]
        for page in rows["pages"]:
            request = listing.request(auth("tencent_live"), STAMP)
            assert request
            assert rows["path"] == urlsplit(request.target).path
            assert page["request"] == json.loads(request.body)
            assert given_reply(listing, page["reply"]) is None

        assert asked("tencent_live", listing) is None
        assert dict.fromkeys(rows["expect"]["rooms"]) == listing.rooms
        assert rows["expect"]["complete"] is listing.complete

    def test_cursor_repeats(self) -> None:
        """
        A cursor that leads back ends the pass, which is not complete.
        """
        listing = run(
            "tencent_live", lambda page: live([f"r{page['Next']}"], {"": "7", "7": "8", "8": "7"}[page["Next"]])
        )

        assert {"r", "r7", "r8"} == set(listing.rooms)
        assert "the list leads back to a page that was read already" == listing.error

    @pytest.mark.parametrize("cursor", [None, 0, 7, [], False])
    def test_cursor_that_is_none(self, cursor: object) -> None:
        """
        A page whose cursor cannot be read is not taken: nothing says that it is the last one.
        """
        failure = given_reply(begin("tencent_live"), live(["a"], cursor))

        assert failure
        assert FailureKind.MALFORMED is failure.kind

    def test_names_stay_inside(self) -> None:
        """
        What users wrote, such as a room's name and its owner, is nowhere in a pass.
        """
        listing = run("tencent_live", lambda _: live(["a"]))

        assert "secret name" not in repr(vars(listing))
        assert "tandy" not in repr(vars(listing))


class TestVolcengine:
    @pytest.mark.parametrize("row", VOLCENGINE["requests"][:1], ids=lambda row: row["name"])
    def test_request(self, row: dict[str, Any]) -> None:
        """
        The known signed request, with times in UTC, which hold no plus sign.
        """
        now = 1704164645.0  # 2024-01-02T03:04:05Z
        secrets = {key: row[key] for key in ("access_key_id", "region")}
        asked_source = source(
            "volcengine_rtc",
            app_id=row["query"]["AppId"],
            secret_access_key=Secret(row["secret_access_key"]),
            **secrets,
        )
        codec = APIS["volcengine_rtc"]
        assert codec.lists

        request = codec.lists.begin(asked_source, now, None, DAY).request(
            codec.authorize(asked_source, now), Stamp(now, "")
        )

        assert request
        assert row["canonical_query"] == request.target.removeprefix("/?")
        assert row["headers"]["Authorization"] == request.headers["Authorization"]

    def test_times_with_an_offset(self) -> None:
        """
        The known signature of a query that holds plus signs and colons.
        """
        from exporter.vendors import volcengine  # noqa: PLC0415  # the signer alone is meant

        row = VOLCENGINE["requests"][1]
        asked_source = source(
            "volcengine_rtc",
            access_key_id=row["access_key_id"],
            secret_access_key=Secret(row["secret_access_key"]),
            region=row["region"],
        )
        now = 1704164645.0
        signed: Request = volcengine.get(
            asked_source,  # type: ignore[arg-type]  # one of that model
            f"https://{row['host']}",
            APIS["volcengine_rtc"].authorize(asked_source, now),
            row["query"],
            Stamp(now, ""),
        )

        assert row["canonical_query"] == signed.target.removeprefix("/?")
        assert row["headers"]["Authorization"] == signed.headers["Authorization"]

    @pytest.mark.parametrize("row", VOLCENGINE["replies"], ids=lambda row: row["name"])
    def test_reply(self, row: dict[str, Any]) -> None:
        """
        The known replies: a room is live if one of its calls has not ended, and too many calls are not all.
        """
        listing = begin("volcengine_rtc")

        assert given_reply(listing, row["body"]) is None
        assert row["expect"]["complete"] is listing.complete
        assert dict.fromkeys(row["expect"]["live"]) == listing.rooms

    def test_overseas(self) -> None:
        """
        Overseas regions have no list, and say so without a call.
        """
        lists = APIS["volcengine_rtc"].lists
        assert lists
        assert lists.unavailable(source("volcengine_rtc")) is None
        assert "mainland China only" in (lists.unavailable(source("volcengine_rtc", region="ap-singapore-1")) or "")

    def test_looks_back_in_spans_of_a_day(self) -> None:
        """
        A full pass looks back as long as configured, a day in each query, the newest first, and 14 days in all.
        """
        spans: list[tuple[str, str]] = []

        def answer(page: Mapping[str, Any]) -> object:
            spans.append((page["StartTime"], page["EndTime"]))
            return calls([("a", False)])

        assert run("volcengine_rtc", answer, lookback=2.5 * DAY).complete
        assert [
            ("2023-11-13T22:13:20Z", "2023-11-14T22:13:20Z"),
            ("2023-11-12T22:13:20Z", "2023-11-13T22:13:20Z"),
            ("2023-11-12T10:13:20Z", "2023-11-12T22:13:20Z"),
        ] == spans
        spans.clear()
        assert run("volcengine_rtc", answer, lookback=100 * DAY).complete
        assert (14, "2023-10-31T22:14:20Z") == (len(spans), spans[-1][0])

    def test_increment(self) -> None:
        """
        Between full passes only calls are asked for that were created since the last one, and 60 s before.
        """
        page = asked("volcengine_rtc", begin("volcengine_rtc", since=NOW - 30))

        assert page
        assert ("2023-11-14T22:11:50Z", "2023-11-14T22:13:20Z") == (page["StartTime"], page["EndTime"])

    def test_pages_of_a_span(self) -> None:
        """
        Pages go on until the total is reached.
        """
        rooms = [f"room-{n}" for n in range(250)]
        numbers = []

        def answer(page: Mapping[str, Any]) -> object:
            numbers.append(at := int(page["PageNum"]))
            document = calls([(room, False) for room in rooms[100 * at - 100 : 100 * at]], 250)
            for entry in document["Result"]["RoomList"]:
                entry["CallId"] = entry["RoomId"]
            return document

        listing = run("volcengine_rtc", answer)

        assert [1, 2, 3] == numbers
        assert (True, set(rooms)) == (listing.complete, set(listing.rooms))

    @pytest.mark.parametrize(("empty", "found"), [(0, 250), (2, 200)])
    def test_smaller_pages_and_empty_ones(self, empty: int, found: int) -> None:
        """
        Where Volcengine says that its pages have 50 calls though it is asked for 100, pages go on until the total is
        reached; and behind an empty page as well.
        """
        rooms = [f"room-{n}" for n in range(250)]

        def answer(page: Mapping[str, Any]) -> object:
            number = int(page["PageNum"])
            document = calls([] if number == empty else [(room, False) for room in rooms[50 * number - 50 :][:50]], 250)
            document["Result"]["PageSize"] = 50
            for entry in document["Result"]["RoomList"]:
                entry["CallId"] = entry["RoomId"]
            return document

        listing = run("volcengine_rtc", answer)

        assert (not empty, found) == (listing.complete, len(listing.rooms))

    def test_too_many_calls_halve_the_span(self) -> None:
        """
        Where too many calls match, halves of the span are asked for until fewer do, and then the pass is complete.
        """
        spans = []

        def answer(page: Mapping[str, Any]) -> object:
            start, end = page["StartTime"], page["EndTime"]
            spans.append((start, end))
            seconds = int(DAY) if start[:10] != end[:10] else 0
            return calls([(f"room {start}", False)], has_more=seconds > 0 and end > "2023-11-14T10:14:00Z")

        listing = run("volcengine_rtc", answer)

        assert ("2023-11-13T22:13:20Z", "2023-11-14T22:13:20Z") == spans[0]
        assert ("2023-11-14T10:13:20Z", "2023-11-14T22:13:20Z") == spans[1]
        assert ("2023-11-13T22:13:20Z", "2023-11-14T10:13:20Z") == spans[2]
        assert listing.complete

    def test_halved_span_begins_with_its_first_page(self) -> None:
        """
        Where only a later page says that too many calls match, the halves are read from their first page on.
        """
        listing = begin("volcengine_rtc")
        given_reply(listing, calls([("a", False)], 250))
        assert "2" == (asked("volcengine_rtc", listing) or {})["PageNum"]

        given_reply(listing, calls([("b", False)], 250, has_more=True))

        page = asked("volcengine_rtc", listing)
        assert page
        assert ("1", "2023-11-14T10:13:20Z") == (page["PageNum"], page["StartTime"])

    def test_calls_without_an_end(self) -> None:
        """
        A vendor whose calls never run out, all of them over, is asked for a number of pages.
        """
        pages = 0

        def answer(_: Mapping[str, Any]) -> object:
            nonlocal pages
            pages += 1
            document = calls([("a", True)], 10**12)
            document["Result"]["RoomList"][0]["CallId"] = f"c{pages}"
            return document

        assert f"the list has more than {MOST_PAGES} pages" == run("volcengine_rtc", answer).error
        assert MOST_PAGES == pages

    def test_too_many_calls_in_any_span(self) -> None:
        """
        A vendor that always has more is not asked for ever.
        """
        pages = 0

        def answer(_: Mapping[str, Any]) -> object:
            nonlocal pages
            pages += 1
            return calls([("a", False)], has_more=True)

        listing = run("volcengine_rtc", answer)

        assert not listing.complete
        assert "more calls match than Volcengine lists, however short the span of time" == listing.error
        assert pages < 600

    def test_total_without_an_end(self) -> None:
        """
        A page that brings no further call ends its span, whatever the total says.
        """
        listing = run("volcengine_rtc", lambda _: calls([("a", False)], 10**12))

        assert "Volcengine has 1000000000000 calls, and its pages named 1" == listing.error

    def test_address_without_the_list(self) -> None:
        """
        Where the action is unknown, the list is unsupported there.
        """
        listing = begin("volcengine_rtc")
        error = {"ResponseMetadata": {"Error": {"Code": "InvalidActionOrVersion.NotFound", "Message": "no"}}}

        failure = given_reply(listing, error, status=404)

        assert failure
        assert FailureKind.MISCONFIGURED is failure.kind
        assert listing.unsupported

    @pytest.mark.parametrize("finished", [None, "false", 0, []])
    def test_neither_live_nor_ended(self, finished: object) -> None:
        """
        A page with a call of which nobody knows whether it has ended is not taken.
        """
        failure = given_reply(begin("volcengine_rtc"), calls([("a", finished)]))

        assert failure
        assert FailureKind.MALFORMED is failure.kind


@pytest.mark.parametrize("api", LISTED)
@pytest.mark.parametrize("room", [1.5, None, True, ["a"], {"a": 1}])
def test_ids_that_are_no_text(api: str, room: object) -> None:
    """
    A page with a room id that is no text is not taken, and may be asked for again.
    """
    listing = begin(api)

    failure = given_reply(listing, PAGES[api](["a", room]))

    assert failure
    assert FailureKind.MALFORMED is failure.kind
    assert {} == listing.rooms
    assert asked(api, listing) == asked(api, begin(api))


@pytest.mark.parametrize("api", LISTED)
def test_keys_that_stand_twice(api: str) -> None:
    """
    A page in which an object has a key twice is not taken: a decoder hears only the last.
    """
    body = json.dumps(PAGES[api](["a"]))
    key = {"tencent_im": "GroupId", "janus_videoroom": "room"}.get(api, "RoomId")

    failure = given_reply(begin(api), body.replace(f'"{key}": "a"', f'"{key}": "b", "{key}": "a"').encode())

    assert failure
    assert FailureKind.MALFORMED is failure.kind


@pytest.mark.parametrize("document", [groups(["a"], 1), live(["a"])])
def test_failure_without_a_code(document: dict[str, Any]) -> None:
    """
    A reply of Tencent's that calls itself a failure is none to be taken, though its code is 0.
    """
    listing = begin("tencent_live" if "Response" in document else "tencent_im")

    failure = given_reply(listing, {**document, "ActionStatus": "FAIL"})

    assert failure
    assert FailureKind.MALFORMED is failure.kind


@pytest.mark.parametrize("api", LISTED)
def test_list_of_nobody(api: str) -> None:
    """
    An empty list is complete.
    """
    listing = run(api, lambda _: PAGES[api]([]))

    assert (True, {}) == (listing.complete, listing.rooms)


@pytest.mark.parametrize("api", ["zego_rtc", "tencent_im", "tencent_live"])
def test_pages_without_news_end_a_pass(api: str) -> None:
    """
    A vendor that sends the same rooms for ever, and says there are more, is asked four times.
    """
    pages = 0

    def answer(_: Mapping[str, Any]) -> object:
        nonlocal pages
        pages += 1
        if api == "zego_rtc":
            return zego({"a": 1}, 10**15)
        return groups(["a"], 10**15, pages) if api == "tencent_im" else live(["a"], str(pages))

    listing = run(api, answer)

    assert 4 == pages
    assert "3 pages in a row named no room that earlier ones had not" == listing.error


@pytest.mark.parametrize("api", ["zego_rtc", "tencent_im", "tencent_live"])
def test_passes_are_bounded(api: str) -> None:
    """
    A vendor that never runs out of rooms fills no memory.
    """
    pages = 0

    def answer(_: Mapping[str, Any]) -> object:
        nonlocal pages
        pages += 1
        ids: list[object] = [f"room-{pages}-{n}" for n in range(20 if api == "tencent_live" else 200)]
        if api == "zego_rtc":
            return zego(dict.fromkeys(ids, 1), 10**15)
        return groups(ids, 10**15, pages) if api == "tencent_im" else live(ids, str(pages))

    listing = run(api, answer)

    assert not listing.complete
    assert 100_000 == len(listing.rooms)


@settings(max_examples=60, deadline=None)
@given(status=statuses, headers=headers, body=st.binary() | documents.map(lambda each: json.dumps(each).encode()))
def test_any_reply_ends_in_a_page_or_a_failure(status: int, headers: dict[str, str], body: bytes) -> None:
    """
    Whatever a vendor sends, nothing is raised, and what is said of it can be printed.
    """
    for api in LISTED:
        listing = begin(api)

        failure = listing.reply(status, headers, body)

        words = f"{failure}" if failure else listing.error or ""
        assert words.isprintable()
        assert failure is None or not listing.rooms


@pytest.mark.parametrize("api", LISTED)
@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(st.text(max_size=5) | documents, max_size=5),
    edits=st.lists(st.tuples(st.integers(0, 30), documents), max_size=3),
)
def test_mutated_pages_end_in_a_page_or_a_failure(api: str, ids: list[Any], edits: list[tuple[int, Any]]) -> None:
    """
    A true page with mistakes in it does as well; every room of it is text.
    """
    document: Any = PAGES[api](ids)
    for place, value in edits:
        holder = document
        keys = [*document]
        for name in ("Data", "Response", "Result"):
            if place % 2 and isinstance(document.get(name), dict):
                holder, keys = document[name], [*document[name]]
        if keys:
            holder[keys[place % len(keys)]] = value
    listing = begin(api)

    given_reply(listing, json.dumps(document).encode(errors="surrogatepass"))

    assert "" not in listing.rooms
    assert not listing.complete or listing.error is None
