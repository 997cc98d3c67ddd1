"""
The vendors' lists of rooms: their pages, their limits, their age, and what can be wrong with them.
"""

from datetime import UTC, datetime

import pytest

from exporter.simulator import Fault, Settings
from tests.simulator.callers import tencent, volcengine, zego

GROUPS, LIVE = "group_open_http_svc/get_appid_group_list", "live_engine_http_srv/get_room_list"
PER_PAGE = {"zego_rtc": 200, "tencent_im": 5000, "tencent_live": 20, "volcengine_rtc": 100}


@pytest.fixture
def settings():
    """
    A world that tests fill, and Volcengine's list as old as documented.
    """
    return Settings(rooms={})


async def zego_list(client, size):
    """
    The rooms of all pages with their users, and the totals that they tell.
    """
    rooms, totals, page = [], set(), 1
    while True:
        wire = zego("DescribeRoomList", [], now=client.now, PageIndex=str(page), PageSize=str(size))
        data = (await client.send(wire)).document["Data"]
        rooms += [(room["RoomId"], room["UserCount"]) for room in data["RoomList"]]
        totals.add(data["TotalCount"])
        page += 1
        if not data["RoomList"] or page > data["TotalCount"] / size + 1:
            return rooms, totals


async def groups(client, clock, size, **document):
    """
    The groups of all pages, and the total.
    """
    found, following = [], 0
    while True:
        body = {"Limit": size, "Next": following, "GroupType": "AVChatRoom", **document}
        got = (await client.send(tencent(GROUPS, body, now=client.now))).document
        found += [group["GroupId"] for group in got["GroupIdList"]]
        following = got["Next"]
        clock.advance(1)
        if not following:
            return found, got["TotalCount"]


async def live_rooms(client, size=20):
    """
    The rooms of all pages with their views.
    """
    rooms, following = [], ""
    while True:
        wire = tencent(LIVE, {"Next": following, "Count": size}, now=client.now)
        got = (await client.send(wire)).document["Response"]
        rooms += [(room["RoomId"], room["ViewCount"]) for room in got["RoomList"]]
        following = got["Next"]
        if not following:
            return rooms


def span(client, start, end, **params):
    """
    A signed question for what began between two moments, in seconds from now.
    """
    times = (datetime.fromtimestamp(client.now + moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (start, end))
    given = dict(zip(("StartTime", "EndTime"), times, strict=True)) | params
    return volcengine(None, now=client.now, host=client.host, Action="ListRoomInfo", **given)


async def calls(client, start=-3600, end=0, **params):
    """
    What Volcengine says of the calls that began in that span.
    """
    return (await client.send(span(client, start, end, **params))).document["Result"]


def fill(client, clock, api, count):
    """
    Rooms with 1, 2, 3... users, and half a minute after that.
    """
    for number in range(count):
        client.simulator.world.set(api, f"room-{number}", number + 1)
    clock.advance(30)


async def test_zego_lists_rooms_with_users_the_fullest_first(client, clock):
    """
    With what is in them and how many there are; a room without users is not among them.
    """
    fill(client, clock, "zego_rtc", 25)
    client.simulator.world.set("zego_rtc", "empty", 0)

    assert ([(f"room-{number - 1}", number) for number in range(25, 0, -1)], {25}) == await zego_list(client, 10)


@pytest.mark.parametrize("wrong", [{"PageSize": "201"}, {"PageSize": "0"}, {"PageIndex": "0"}, {"PageIndex": "x"}])
async def test_zego_refuses_pages_that_cannot_be(client, wrong):
    """
    1 to 200 rooms a page, pages from 1 on.
    """
    assert "2" == await client.code(zego("DescribeRoomList", [], now=client.now, **wrong))


async def test_zego_takes_no_page_with_a_wrong_signature(client):
    """
    Signed like every other call.
    """
    wire = zego("DescribeRoomList", [], now=client.now, server_secret="0" * 32)

    assert "100000005" == await client.code(wire)


async def test_tencent_im_lists_groups_of_a_type(client, clock):
    """
    Page after page of live stream groups; groups of another type are a list of their own.
    """
    fill(client, clock, "tencent_im", 60)
    client.simulator.world.destroy("tencent_im", "room-0")
    client.simulator.world.set("tencent_im", "@TGS#_c", 5)
    clock.advance(1)

    assert ([f"room-{number}" for number in range(1, 60)], 59) == await groups(client, clock, 25)
    assert (["@TGS#_c"], 1) == await groups(client, clock, 25, GroupType="Community")
    assert ([], 0) == await groups(client, clock, 25, GroupType="Public")


@pytest.mark.parametrize("wrong", [{"Limit": 10_001}, {"Limit": 0}, {"Next": -1}, {"Next": "0"}])
async def test_tencent_im_refuses_pages_that_cannot_be(client, wrong):
    """
    10,000 groups at most.
    """
    assert "10004" == await client.code(tencent(GROUPS, wrong, now=client.now))


async def test_tencent_im_refuses_a_page_of_more_than_a_megabyte(client, clock):
    """
    10,000 long ids do not fit, half of them do.
    """
    for number in range(10_000):
        client.simulator.world.create("tencent_im", f"{'g' * 80}{number:06}")
    clock.advance(1)

    assert "10018" == await client.code(tencent(GROUPS, {"Limit": 10_000, "Next": 0}, now=client.now))
    clock.advance(1)
    assert "0" == await client.code(tencent(GROUPS, {"Limit": 5_000, "Next": 0}, now=client.now))


async def test_tencent_live_lists_rooms_the_most_entered_first(client, clock):
    """
    With everybody who ever entered, which is no number of users.
    """
    fill(client, clock, "tencent_live", 50)

    rooms = await live_rooms(client)

    assert {f"room-{number}" for number in range(50)} == {room for room, _ in rooms}
    assert sorted((views for _, views in rooms), reverse=True) == [views for _, views in rooms]
    assert 50 < rooms[0][1]
    assert "100002" == await client.code(tencent(LIVE, {"Next": "", "Count": 21}, now=client.now))
    assert "100002" == await client.code(tencent(LIVE, {"Next": ""}, now=client.now))


async def test_volcengine_lists_the_calls_that_began_in_a_span(client, clock):
    """
    A room has one for each of its lives; those that have ended are told of with their end.
    """
    world = client.simulator.world
    world.create("volcengine_rtc", "lobby", users=4)
    clock.advance(100)
    world.destroy("volcengine_rtc", "lobby")
    clock.advance(100)
    world.create("volcengine_rtc", "lobby", users=6)
    clock.advance(100)

    result = await calls(client)

    told = [(call["RoomId"], call["IsFinished"], call["ActiveUserNum"]) for call in result["RoomList"]]
    assert [("lobby", True, 0), ("lobby", False, 6)] == told
    assert [True, False] == [bool(call["DestroyTime"]) for call in result["RoomList"]]
    assert 2 == len({call["CallId"] for call in result["RoomList"]})
    assert (2, False) == (result["Total"], result["HasMore"])
    assert ["lobby"] == [call["RoomId"] for call in (await calls(client, -3600, -250))["RoomList"]]
    assert [] == (await calls(client, -90))["RoomList"]


async def test_volcengine_lists_rooms_twenty_seconds_late(client, clock):
    """
    A new room is not listed before that, and one that has ended is listed as live until then.
    """
    world = client.simulator.world
    world.create("volcengine_rtc", "lobby")
    clock.advance(19)
    assert [] == (await calls(client))["RoomList"]

    clock.advance(2)
    world.destroy("volcengine_rtc", "lobby")
    clock.advance(18)
    assert [False] == [call["IsFinished"] for call in (await calls(client))["RoomList"]]

    clock.advance(4)
    assert [True] == [call["IsFinished"] for call in (await calls(client))["RoomList"]]


async def test_volcengine_pages(client, clock):
    """
    `HasMore` is not "there is another page": 45 calls are three pages of 20, and it is false on all of them.
    """
    fill(client, clock, "volcengine_rtc", 45)

    pages = [await calls(client, PageNum=str(number)) for number in (1, 2, 3, 4)]

    assert [20, 20, 5, 0] == [len(page["RoomList"]) for page in pages]
    assert {(45, False, 20)} == {(page["Total"], page["HasMore"], page["PageSize"]) for page in pages}


@pytest.mark.parametrize(
    ("start", "end", "params", "code"),
    [
        (-86_401, 0, {}, "InvalidParameter"),
        (0, -1, {}, "InvalidParameter"),
        (-15 * 86_400, -14.5 * 86_400, {}, "InvalidParameter"),
        (-60, 0, {"PageSize": "101"}, "InvalidParameter"),
        (-60, 0, {"PageNum": "0"}, "InvalidParameter"),
        (-60, 0, {"StartTime": "today"}, "InvalidParameter"),
        (-60, 0, {"StartTime": "2023-02-30T00:00:00Z"}, "InvalidParameter"),
        (-60, 0, {"StartTime": "2023-11-14T22:00:00"}, "InvalidParameter"),
        (-60, 0, {"EndTime": None}, "MissingParameter"),
        (-86_400, 0, {}, "0"),
    ],
)
async def test_volcengine_refuses_spans_and_pages_that_cannot_be(client, start, end, params, code):
    """
    A day at most, two weeks back at most, 100 calls a page at most.
    """
    assert code == await client.code(span(client, start, end, **params))


@pytest.mark.parametrize(
    ("limit", "calls_a_second"),
    [
        ("zego_rtc/DescribeRoomList", 20),
        ("tencent_im/get_appid_group_list", 1),
        ("tencent_live/get_room_list", 10),
        ("volcengine_rtc/ListRoomInfo", 10),
    ],
)
async def test_each_list_has_a_limit_of_its_own(client, limit, calls_a_second):
    """
    Polls do not use it up, and it does not use up theirs.
    """
    api = limit.partition("/")[0]
    ask = {
        "zego_rtc": lambda: zego("DescribeRoomList", [], now=client.now),
        "tencent_im": lambda: tencent(GROUPS, {}, now=client.now),
        "tencent_live": lambda: tencent(LIVE, {"Next": "", "Count": 20}, now=client.now),
        "volcengine_rtc": lambda: span(client, -60, 0),
    }[api]
    for _ in range(5):
        await client.ask(api, "lobby")

    codes = [(await client.send(ask())).code for _ in range(calls_a_second + 1)]

    assert ["0"] * calls_a_second == codes[:-1]
    assert codes[-1] != "0"
    ((allowed, worst),) = [
        (report.limit, report.worst) for report in client.simulator.limits.report() if report.name == limit
    ]
    assert (calls_a_second, calls_a_second + 1) == (allowed, worst)


async def test_a_list_that_lags(client, clock):
    """
    It shows a room so many seconds late, and still shows it so many seconds after its end.
    """
    client.simulator.faults.order(Fault(kind="lag", seconds=60, apis=frozenset({"tencent_live"})))
    client.simulator.world.create("tencent_live", "lobby")
    clock.advance(58)
    assert [] == await live_rooms(client)

    clock.advance(4)
    client.simulator.world.destroy("tencent_live", "lobby")
    clock.advance(50)
    assert ["lobby"] == [room for room, _ in await live_rooms(client)]

    clock.advance(20)
    assert [] == await live_rooms(client)
    assert "0" != (await client.ask("tencent_live", "lobby")).code


@pytest.mark.parametrize(("kind", "entries"), [("repeats", 50), ("skips", 46)])
async def test_pages_that_repeat_and_skip_rooms(client, clock, kind, entries):
    """
    As where a list is sorted by a number that moves: at each of four page borders a room is missing, and perhaps
    another one is there twice.
    """
    fill(client, clock, "zego_rtc", 50)
    client.simulator.faults.order(Fault(kind=kind))

    rooms, totals = await zego_list(client, 10)

    assert {50} == totals
    assert (entries, 46) == (len(rooms), len(set(rooms)))


async def test_a_total_that_is_wrong(client, clock):
    """
    By so many rooms.
    """
    fill(client, clock, "tencent_im", 10)
    client.simulator.faults.order(Fault(kind="wrong_total", rows=3))

    assert 13 == (await groups(client, clock, 100))[1]


async def test_volcengine_asks_for_a_shorter_span(client, clock):
    """
    Of more calls than it lists it says `HasMore`, and shows the first of them; half of the span has fewer.
    """
    for number in range(30):
        client.simulator.world.create("volcengine_rtc", f"room-{number}")
        clock.advance(10)
    clock.advance(30)
    client.simulator.faults.order(Fault(kind="has_more", rows=20))

    whole = await calls(client, -400)

    assert (30, True) == (whole["Total"], whole["HasMore"])
    halves = [await calls(client, start, end) for start, end in ((-400, -180), (-179, 0))]
    assert [False, False] == [half["HasMore"] for half in halves]
    assert 30 == sum(half["Total"] for half in halves)


async def test_a_list_that_is_not_activated(client):
    """
    ZEGO lists rooms of no app that it has not activated for it; polls go on.
    """
    client.simulator.faults.order(Fault(kind="not_activated"))

    assert "9" == await client.code(zego("DescribeRoomList", [], now=client.now))
    assert "0" == (await client.ask("zego_rtc", "lobby")).code


async def test_trouble_for_polls_or_for_lists_alone(client):
    """
    `calls` says which.
    """
    client.simulator.faults.order(Fault(kind="code", code="7", calls="lists"))
    assert "7" == await client.code(zego("DescribeRoomList", [], now=client.now))
    assert "0" == (await client.ask("zego_rtc", "lobby")).code

    client.simulator.faults.clear()
    client.simulator.faults.order(Fault(kind="code", code="7", calls="polls"))
    assert "0" == await client.code(zego("DescribeRoomList", [], now=client.now))
    assert "7" == (await client.ask("zego_rtc", "lobby")).code


async def test_trouble_of_lists_is_no_trouble_of_polls():
    """
    A list that lags is ordered for lists, and for nothing else.
    """
    with pytest.raises(ValueError, match="lag hits lists only"):
        Fault(kind="lag", seconds=1, calls="polls")


async def test_rooms_that_rise_and_fall_are_listed_by_their_opening(client, clock):
    """
    Of rooms that open and close by the day's curve Volcengine's list tells the lives, and as live those that are.
    """
    simulator = client.simulator.__class__(Settings(rooms={"volcengine_rtc": 40}, churn=0.5), clock.as_clock())
    world, at = simulator.world, clock.unix

    lives = world.lives("volcengine_rtc", at - 86_400, at)

    live = {life.room for life in lives if life.closed is None}
    assert {room for room in world.room_ids("volcengine_rtc") if world.exists("volcengine_rtc", room)} == live
    for life in lives:
        assert world.exists("volcengine_rtc", life.room, life.opened + 0.01)
        if life.closed is not None and life.closed > life.opened:
            assert not world.exists("volcengine_rtc", life.room, life.closed + 0.01)
