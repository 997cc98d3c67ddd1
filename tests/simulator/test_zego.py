"""
ZEGO's gateway: what it refuses and why, and what it answers.
"""

from dataclasses import replace

import pytest

from exporter.simulator import APIS, Apps, Settings, ZegoApp
from tests.simulator.callers import ZEGO, zego

PLENTY = {"zego_rtc": 1000, "zego_rtc/test": 1000, "zego_zim": 1000}
BARRED = ZegoApp(app_id=5, server_secret="s" * 32, production=False, services=frozenset({"zego_rtc"}))
FORGOTTEN = ZegoApp(app_id=6, server_secret="")


@pytest.fixture
def settings():
    """
    The demo app, one that is not in production, and one whose secret the vendor lost.
    """
    return Settings(rooms=dict.fromkeys(APIS, 60), limits=PLENTY, apps=Apps(zego=(ZEGO, BARRED, FORGOTTEN)))


@pytest.mark.parametrize(
    ("expected", "params"),
    [
        ("0", {}),
        ("0", {"IsTest": "true"}),
        ("0", {"IsTest": "false"}),
        ("2", {"IsTest": "yes"}),
        ("100000001", {"AppId": None}),
        ("100000001", {"AppId": "zego"}),
        ("100000001", {"AppId": str(2**32)}),
        ("100000002", {"Timestamp": None}),
        ("100000003", {"Timestamp": "now"}),
        ("100000003", {"Timestamp": "1700000000.5"}),
        ("100000004", {"Timestamp": "1699999399"}),
        ("100000004", {"Timestamp": "1700000601"}),
        ("100000005", {"Signature": "0" * 32}),
        ("100000005", {"Timestamp": "1700000001"}),
        ("100000006", {"Action": None}),
        ("100000007", {"Action": "DescribeEverything"}),
        ("100000008", {"SignatureNonce": None}),
        ("100000008", {"SignatureNonce": "f" * 15}),
        ("100000008", {"SignatureNonce": "g" * 16}),
        ("100000009", {"Signature": None}),
        ("100000011", {"AppId": "7"}),
        ("100000013", {"SignatureVersion": None}),
        ("100000014", {"SignatureVersion": "1.0"}),
    ],
)
async def test_public_parameters(client, expected, params):
    """
    Each public parameter is required, and checked with its own code.
    """
    wire = zego("DescribeUserNum", ["a"], now=client.now, **params)

    assert expected == await client.code(wire)


@pytest.mark.parametrize("skew", [-600, 600])
async def test_timestamps_within_ten_minutes_pass(client, skew):
    """
    The client's clock may be ten minutes off, either way.
    """
    assert "0" == await client.code(zego("DescribeUserNum", ["a"], now=client.now + skew))


async def test_the_signature_is_lowercase(client):
    """
    The digest in capitals is another string.
    """
    wire = zego("DescribeUserNum", ["a"], now=client.now, nonce="f" * 16)
    name, _, rest = wire.query.partition("Signature=")
    signature, _, tail = rest.partition("&")

    assert "100000005" == await client.code(replace(wire, query=f"{name}Signature={signature.upper()}&{tail}"))


async def test_a_nonce_is_good_for_one_call_of_either_product(client, clock):
    """
    The same request again is refused, and so is its nonce under another action; once both are forgotten it would be
    too old.
    """
    nonce = "0123456789abcdef"
    wire = zego("DescribeUserNum", ["a"], now=client.now, nonce=nonce)

    assert "0" == await client.code(wire)
    assert "100000005" == await client.code(wire)
    assert "100000005" == await client.code(zego("QueryRoomUserList", ["a"], now=client.now, nonce=nonce))
    clock.advance(601)
    assert "100000004" == await client.code(wire)


async def test_the_app_decides_what_is_allowed(client):
    """
    Not in production, service switched off, secret lost: each has its code.
    """
    barred = {"now": client.now, "app_id": BARRED.app_id, "server_secret": BARRED.server_secret}

    assert "100000016" == await client.code(zego("DescribeUserNum", ["a"], **barred))
    assert "0" == await client.code(zego("DescribeUserNum", ["a"], **barred, IsTest="true"))
    assert "100000017" == await client.code(zego("QueryRoomUserList", ["a"], **barred, IsTest="true"))
    assert "100000010" == await client.code(zego("DescribeUserNum", ["a"], now=client.now, app_id=6, server_secret=""))


@pytest.mark.parametrize(
    ("expected", "rooms"),
    [
        ("2", []),
        ("0", [f"room{number}" for number in range(10)]),
        ("2", [f"room{number}" for number in range(11)]),
        ("2", ["a", ""]),
        ("2", ["a", "b\nc"]),
        ("0", ["x" * 128]),
        ("3", ["x" * 129]),
        ("3", ["房" * 43]),
    ],
)
async def test_describe_user_num_parameters(client, expected, rooms):
    """
    One to ten rooms, each with an id that can be printed, of 128 bytes at most; one bad room fails the call.
    """
    assert expected == await client.code(zego("DescribeUserNum", rooms, now=client.now))


async def test_brackets_may_stand_literally(client):
    """
    `RoomId[]` is read percent-encoded or not, as both of the vendor's samples send it.
    """
    client.simulator.world.set("zego_rtc", "a", 3)
    wire = zego("DescribeUserNum", ["a"], now=client.now)
    literal = replace(wire, query=wire.query.replace("RoomId%5B%5D", "RoomId[]"))

    got = await client.send(literal)

    assert literal.query != wire.query
    assert [{"RoomId": "a", "UserCount": 3, "AdminUserCount": 0}] == got.document["Data"]["UserCountList"]


async def test_a_query_that_is_not_utf8_is_refused(client):
    """
    Bytes that are no text are an incorrect parameter.
    """
    assert "2" == await client.code(replace(zego("DescribeUserNum", ["a"], now=client.now), query="RoomId=%ff"))


async def test_only_get_is_supported(client):
    """
    The same query by POST is another action.
    """
    wire = replace(zego("DescribeUserNum", ["a"], now=client.now), method="POST")

    assert "100000007" == await client.code(wire)


async def test_describe_user_num_reply(client):
    """
    Counts in the order asked, admins among the users, 0 for a room that does not exist; the envelope of the document.
    """
    client.simulator.world.set("zego_rtc", "b", 5, admin=2)

    got = await client.ask("zego_rtc", "nowhere", "b")

    assert (200, "application/json") == (got.status, got.headers["Content-Type"])
    assert {"Code", "Message", "RequestId", "Data"} == set(got.document)
    assert [
        {"RoomId": "nowhere", "UserCount": 0, "AdminUserCount": 0},
        {"RoomId": "b", "UserCount": 5, "AdminUserCount": 2},
    ] == got.document["Data"]["UserCountList"]


@pytest.mark.parametrize(
    ("expected", "room", "params"),
    [
        ("0", "a" * 32, {}),
        ("660000002", "a" * 33, {}),
        ("660000002", "a b", {}),
        ("660000002", "a/b", {}),
        ("660000002", "房间", {}),
        ("660000002", "", {}),
        ("0", "!#$%&()+-:;<=.>?@[]^_{}|~", {}),
        ("0", "a", {"Mode": "1"}),
        ("660000002", "a", {"Mode": "2"}),
        ("660000002", "a", {"Limit": "-1"}),
        ("660000002", "a", {"Limit": "ten"}),
        ("660000002", "a", {"NextFlag": "x"}),
    ],
)
async def test_query_room_user_list_parameters(client, expected, room, params):
    """
    ZIM takes ids of its own alphabet up to 32 bytes, and whole numbers.
    """
    client.simulator.world.set("zego_zim", room or "x", 3)

    assert expected == await client.code(zego("QueryRoomUserList", [room], now=client.now, **params))


@pytest.mark.parametrize(
    ("params", "users", "following"),
    [
        ({}, 500, "1"),
        ({"Limit": ""}, 500, "1"),
        ({"Limit": "501"}, 500, "1"),
        ({"Limit": "1"}, 1, "1"),
        ({"Limit": "0"}, 0, "0"),
        ({"Limit": "500", "NextFlag": "1"}, 200, "0"),
        ({"Limit": "350", "NextFlag": "0"}, 350, "1"),
        ({"Limit": "350", "NextFlag": "1"}, 350, "0"),
        ({"Limit": "350", "NextFlag": "2"}, 0, "0"),
    ],
)
async def test_query_room_user_list_pages(client, params, users, following):
    """
    The page that was asked for, the flag of the next one, and always the room's whole count.
    """
    client.simulator.world.set("zego_zim", "a", 700)

    document = (await client.send(zego("QueryRoomUserList", ["a"], now=client.now, **params))).document

    assert (700, users, following) == (document["Count"], len(document["UserList"]), document["NextFlag"])


async def test_query_room_user_list_order(client):
    """
    Mode 1 lists the last user first; paging through names everyone once.
    """
    client.simulator.world.set("zego_zim", "a", 5)

    async def users(**params):
        got = await client.send(zego("QueryRoomUserList", ["a"], now=client.now, **params))
        return [user["UserId"] for user in got.document["UserList"]]

    forwards = await users()
    assert 5 == len(set(forwards))
    assert forwards[::-1] == await users(Mode="1")
    assert forwards == [user for page in range(3) for user in await users(Limit="2", NextFlag=str(page))]


async def test_query_room_user_list_of_no_room(client):
    """
    A room that does not exist and one that is being destroyed have their codes.
    """
    client.simulator.world.set("zego_zim", "closing", 0)

    assert "660300001" == (await client.ask("zego_zim", "nowhere")).code
    assert "660300008" == (await client.ask("zego_zim", "closing")).code


class TestLenientIds:
    """
    A simulator that is not strict about ids.
    """

    @pytest.fixture
    def settings(self):
        """
        The same apps.
        """
        return Settings(rooms={}, strict_ids=False)

    async def test_anything_printable_is_an_id(self, client):
        """
        ZIM takes what its documents forbid, but no control characters.
        """
        client.simulator.world.set("zego_zim", "a b/房间", 4)

        assert 4 == (await client.ask("zego_zim", "a b/房间")).document["Count"]
        assert "660000002" == (await client.ask("zego_zim", "a\tb")).code
