"""
Volcengine's gateway: what it refuses and why, and what it answers.
"""

from dataclasses import replace

import pytest

from exporter.simulator import APIS, Apps, Settings, VolcengineApp
from tests.simulator.callers import VOLCENGINE, volcengine, without_signature

STRANGER = VolcengineApp(app_id="app-of-another-account", access_key_id="AKOTHER", secret_access_key="other")


@pytest.fixture
def settings():
    """
    Two accounts with an app each.
    """
    return Settings(rooms=dict.fromkeys(APIS, 60), apps=Apps(volcengine=(VOLCENGINE, STRANGER)))


@pytest.fixture
def sign(client):
    """
    Signs a call for this simulator's room "Room1".
    """

    def sign(room="Room1", **changes):
        return volcengine(room, **{"now": client.now, "host": client.host} | changes)

    return sign


@pytest.mark.parametrize(
    ("code", "number", "status", "changes"),
    [
        ("InvalidTimestamp", 100006, 400, {"x_date": "20231114"}),
        ("InvalidTimestamp", 100006, 400, {"x_date": "20231399T000000Z"}),
        ("InvalidAccessKey", 100009, 401, {"access_key": "AKnobody"}),
        ("SignatureDoesNotMatch", 100010, 401, {"secret_key": "wrong"}),
        ("SignatureDoesNotMatch", 100010, 401, {"service": "vod"}),
        ("SignatureDoesNotMatch", 100010, 401, {"region": "mars-1"}),
        ("SignatureDoesNotMatch", 100010, 401, {"scope_date": "20231113"}),
        ("SignatureDoesNotMatch", 100010, 401, {"signed_headers": ("host", "x-date")}),
        ("SignatureDoesNotMatch", 100010, 401, {"signed_headers": ("x-date", "host", "x-content-sha256")}),
        ("SignatureDoesNotMatch", 100010, 401, {"extra_headers": {"x-security-token": "sts"}}),
        ("SignatureDoesNotMatch", 100010, 401, {"wire_query": "Version=2023-11-01&RoomId=%ff"}),
        ("InvalidActionOrVersion", 100008, 404, {"Action": "GetEverything"}),
        ("InvalidActionOrVersion", 100008, 404, {"Version": "2020-12-01"}),
        ("MissingParameter", 100002, 400, {"AppId": None}),
        ("MissingParameter", 100002, 400, {"room": None}),
        ("MissingParameter", 100002, 400, {"room": ""}),
        ("InvalidParameter.NotExistAppId", 0, 200, {"AppId": "nothing"}),
        ("AccessDenied.NoPermissionForApp", 100013, 200, {"AppId": STRANGER.app_id}),
        ("InvalidParameter.IllegalRoomID", 0, 200, {"room": "房间"}),
        ("InvalidParameter.IllegalRoomID", 0, 200, {"room": "a b"}),
        ("InvalidParameter.IllegalRoomID", 0, 200, {"room": "r" * 129}),
    ],
)
async def test_refusals(client, sign, code, number, status, changes):
    """
    Each check has its code, number and HTTP status.
    """
    got = await client.send(sign(**changes))

    error = got.document["ResponseMetadata"]["Error"]
    assert (code, number, status) == (error["Code"], error["CodeN"], got.status)
    assert "Result" not in got.document


@pytest.mark.parametrize("skew", [-900, 0, 900])
async def test_clocks_within_fifteen_minutes_pass(client, sign, skew):
    """
    X-Date may be 900 s off, and no more.
    """
    assert "0" == await client.code(sign(now=client.now + skew))
    if skew:
        assert "InvalidTimestamp" == await client.code(sign(now=client.now + skew + skew / 900))


@pytest.mark.parametrize("region", ["cn-north-1", "ap-singapore-1", "ap-southeast-1"])
async def test_either_spelling_of_a_region(client, sign, region):
    """
    The vendor's pages disagree on Singapore's region: both are taken.
    """
    assert "0" == await client.code(sign(region=region))


async def test_broken_authorizations(client, sign):
    """
    No header, no date and half a header are three things.
    """
    wire = sign()
    undated = {name: value for name, value in wire.headers.items() if name != "X-Date"}
    half = wire.headers["Authorization"].rpartition(",")[0]

    assert "MissingAuthenticationToken" == await client.code(without_signature(wire))
    assert "MissingRequestInfo" == await client.code(replace(wire, headers=undated))
    assert "MissingSignature" == await client.code(replace(wire, headers={**wire.headers, "Authorization": half}))


async def test_the_signature_covers_what_is_on_the_wire(client, sign):
    """
    Another room, another host or another hash of the body under the same signature does not match; a space may be
    written as `+`, a `+` may not be left bare.
    """
    wire = sign()
    other_hash = {**wire.headers, "X-Content-Sha256": "0" * 64}
    other_host = {**wire.headers, "Host": "rtc.volcengineapi.com"}

    assert "SignatureDoesNotMatch" == await client.code(replace(wire, query=wire.query.replace("Room1", "Room2")))
    assert "SignatureDoesNotMatch" == await client.code(replace(wire, headers=other_host))
    assert "SignatureDoesNotMatch" == await client.code(replace(wire, headers=other_hash))
    spaced, plus = sign(room="a b"), sign(room="a+b")
    as_plus = replace(spaced, query=spaced.query.replace("a%20b", "a+b"))
    assert "InvalidParameter.IllegalRoomID" == await client.code(as_plus)
    assert "SignatureDoesNotMatch" == await client.code(replace(plus, query=plus.query.replace("a%2Bb", "a+b")))


async def test_order_and_escapes_of_the_query_do_not_matter(client, sign):
    """
    The vendor sorts and escapes the query itself before it compares.
    """
    wire = sign(room="Room@1")
    shuffled = "&".join(reversed(wire.query.replace("%40", "@").split("&")))

    assert "0" == await client.code(replace(wire, query=shuffled))


async def test_a_security_token_must_be_signed(client, sign):
    """
    With temporary credentials the token is among the signed headers.
    """
    wire = sign(
        extra_headers={"x-security-token": "sts"},
        signed_headers=("host", "x-content-sha256", "x-date", "x-security-token"),
    )

    assert "0" == await client.code(wire)


async def test_online_users_reply(client, sign):
    """
    Visible and invisible users are told apart and listed; the total counts both.
    """
    client.simulator.world.set("volcengine_rtc", "Room1", 6, invisible=2)

    got = (await client.send(sign())).document

    assert {"RequestId", "Action", "Version", "Service", "Region"} == set(got["ResponseMetadata"])
    assert (6, 2, True) == tuple(got["Result"][name] for name in ("TotalUser", "TotalInvisibleUser", "RoomExists"))
    visible, invisible = got["Result"]["VisibleUserList"], got["Result"]["InvisibleUserList"]
    assert (4, 2, 6) == (len(visible), len(invisible), len({*visible, *invisible}))


@pytest.mark.parametrize(("users", "invisible"), [(0, 0), (3, 3), (3, 0)])
async def test_lists_of_nobody(client, sign, users, invisible):
    """
    An empty list is an empty list.
    """
    client.simulator.world.set("volcengine_rtc", "Room1", users, invisible=invisible)

    result = (await client.send(sign())).document["Result"]

    assert users - invisible == len(result["VisibleUserList"])
    assert invisible == len(result["InvisibleUserList"])


async def test_the_list_of_invisible_users_stops(client, sign):
    """
    At 10,000 names; the total goes on.
    """
    client.simulator.world.set("volcengine_rtc", "Room1", 12_000, invisible=11_000)

    result = (await client.send(sign())).document["Result"]

    assert (11_000, 10_000) == (result["TotalInvisibleUser"], len(result["InvisibleUserList"]))


async def test_a_room_that_does_not_exist(client, sign):
    """
    Nothing but that is said.
    """
    assert {"RoomExists": False} == (await client.send(sign(room="nowhere"))).document["Result"]


async def test_property_is_answered_at_a_lower_limit(client, sign):
    """
    The newer parameter works once a second, where the call without it works 40 times.
    """
    assert "0" == await client.code(sign(Property="Basic"))
    assert "FlowLimitExceeded.QPSOverLimit" == await client.code(sign(Property="Basic"))
    assert "0" == await client.code(sign())
