"""
Tencent's gateway: what it refuses and why, and what it answers.
"""

import json
from dataclasses import replace

import pytest

from tests.simulator.callers import TENCENT, pack, tencent, usersig

IM = "group_open_http_svc/get_online_member_num"
COMMUNITY = "million_group_open_http_svc/get_online_member_num"
LIVE = "live_engine_http_srv/get_member_list"


@pytest.mark.parametrize(
    ("expected", "params"),
    [
        ("0", {}),
        ("60012", {"sdkappid": None}),
        ("60006", {"sdkappid": "app"}),
        ("70020", {"sdkappid": "1400000001"}),
        ("60005", {"identifier": None}),
        ("70013", {"identifier": "somebody"}),
        ("70002", {"usersig": None}),
        ("60002", {"random": None}),
        ("60002", {"random": "-1"}),
        ("60002", {"random": str(2**32)}),
        ("60002", {"contenttype": None}),
        ("60002", {"contenttype": "xml"}),
    ],
)
async def test_url_parameters(client, expected, params):
    """
    Each parameter of the URL is required, and checked with its own code; HTTP is 200 all the same.
    """
    client.simulator.world.set("tencent_im", "g", 3)

    got = await client.send(tencent(IM, {"GroupId": "g"}, now=client.now, **params))

    assert (200, expected) == (got.status, got.code)
    assert ("OK" if expected == "0" else "FAIL") == got.document["ActionStatus"]


@pytest.mark.parametrize(
    ("expected", "made_of"),
    [
        ("70001", {"expire": 0}),
        ("70001", {"expire": -1}),
        ("70014", {"sdk_app_id": 1400000001}),
        ("70009", {"secret_key": TENCENT.secret_key.upper()}),
        ("70013", {"identifier": "somebody"}),
        ("70003", {"TLS.ver": "1.0"}),
        ("70003", {"TLS.expire": "86400"}),
        ("70003", {"TLS.time": True}),
        ("70009", {"TLS.expire": 86401}),
        ("70009", {"TLS.sig": "é"}),
    ],
)
async def test_usersigs(client, expected, made_of):
    """
    A UserSig is unpacked, and every field of it is checked.
    """
    sig = usersig(now=client.now, **made_of)

    assert expected == await client.code(tencent(IM, {"GroupId": "g"}, now=client.now, sig=sig))


@pytest.mark.parametrize(
    "sig",
    [
        "!",
        "AAAA",
        pack(b"[]"),
        pack(b"{"),
        pack(b"{}"),
        pack(b"\xff"),
        pack(b" " * 10_000),
        pack(b"{}")[:-8],
        pack(b"{}").replace("_", "="),
        "é",
    ],
)
async def test_what_is_no_usersig(client, sig):
    """
    What cannot be unpacked cannot be verified.
    """
    assert "70003" == await client.code(tencent(IM, {"GroupId": "g"}, now=client.now, sig=sig))


async def test_a_usersig_expires(client, clock):
    """
    It is good until its last second is over, by the vendor's clock.
    """
    client.simulator.world.set("tencent_im", "g", 3)
    sig = usersig(now=client.now, expire=100)

    clock.advance(99)
    assert "0" == await client.code(tencent(IM, {"GroupId": "g"}, now=client.now, sig=sig))
    clock.advance(1)
    assert "70001" == await client.code(tencent(IM, {"GroupId": "g"}, now=client.now, sig=sig))


async def test_another_account_is_no_admin(client):
    """
    A well-signed UserSig of an account that is not the app's admin opens nothing.
    """
    sig = usersig(now=client.now, identifier="somebody")

    assert "60010" == await client.code(tencent(IM, {"GroupId": "g"}, now=client.now, sig=sig, identifier="somebody"))


async def test_too_many_bad_usersigs_earn_a_cool_down(client, clock):
    """
    After 30 failures within a minute the app is refused for another, good UserSig or not.
    """
    client.simulator.world.set("tencent_im", "g", 3)
    for _ in range(30):
        clock.advance(0.1)
        assert "70009" == await client.code(
            tencent(IM, {"GroupId": "g"}, now=client.now, sig=usersig(now=client.now, secret_key="wrong"))
        )

    assert "70050" == (await client.ask("tencent_im", "g")).code
    clock.advance(59)
    assert "70050" == (await client.ask("tencent_live", "g")).code
    clock.advance(1)
    assert "0" == (await client.ask("tencent_im", "g")).code


@pytest.mark.parametrize(
    ("expected", "path", "document"),
    [
        ("10004", IM, {}),
        ("10004", IM, {"GroupId": 5}),
        ("10004", IM, {"GroupId": None}),
        ("10015", IM, {"GroupId": ""}),
        ("10015", IM, {"GroupId": "g" * 49}),
        ("10015", IM, {"GroupId": "房间"}),
        ("10015", IM, {"GroupId": "a\nb"}),
        ("10010", IM, {"GroupId": "nowhere"}),
        ("10007", IM, {"GroupId": "@TGS#_community"}),
        ("10007", COMMUNITY, {"GroupId": "g"}),
        ("10010", COMMUNITY, {"GroupId": "@TGS#_nowhere"}),
        ("60015", IM, ["g"]),
        ("100002", LIVE, {"Next": ""}),
        ("100002", LIVE, {"RoomId": "r"}),
        ("100002", LIVE, {"RoomId": "r", "Next": 0}),
        ("100002", LIVE, {"RoomId": "r", "Next": "x"}),
        ("100002", LIVE, {"RoomId": "", "Next": ""}),
        ("100002", LIVE, {"RoomId": "r" * 129, "Next": ""}),
        ("100004", LIVE, {"RoomId": "nowhere", "Next": ""}),
        ("60009", "group_open_http_svc/get_everything", {}),
        ("60009", "live_engine_http_srv/get_everything", {}),
    ],
)
async def test_bodies(client, expected, path, document):
    """
    The body's fields are required and typed; each API has its own codes.
    """
    client.simulator.world.set("tencent_live", "r", 3)

    assert expected == await client.code(tencent(path, document, now=client.now))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"])
async def test_a_body_that_is_no_json(client, body):
    """
    The public code for it.
    """
    assert "60003" == await client.code(tencent(IM, None, now=client.now, body=body))


async def test_only_post_is_taken(client):
    """
    The same URL by GET is refused.
    """
    wire = replace(tencent(IM, {"GroupId": "g"}, now=client.now), method="GET", body=b"")

    assert "60002" == await client.code(wire)


async def test_online_member_num_reply(client):
    """
    The envelope of the document; a group may be empty and still exist.
    """
    client.simulator.world.set("tencent_im", "g", 0)

    got = await client.ask("tencent_im", "g")

    assert {"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0, "OnlineMemberNum": 0} == got.document


async def test_member_list_pages(client):
    """
    Every page tells the whole count; the pages end at a thousand members.
    """
    client.simulator.world.set("tencent_live", "r", 1234)
    members, following, totals = [], "", set()
    while True:
        got = await client.send(tencent(LIVE, {"RoomId": "r", "Next": following}, now=client.now))
        response = got.document["Response"]
        members += [member["Member_Account"] for member in response["MemberList"]]
        totals.add(response["MemberCount"])
        if not (following := response["Next"]):
            break

    assert {1234} == totals
    assert 1000 == len(set(members))


async def test_counts_are_as_old_as_the_vendors_last_look(client, clock):
    """
    Live rooms are looked at every 40 s and groups every 10 s; that a room is gone they know at once.
    """
    world, simulator = client.simulator.world, client.simulator
    object.__setattr__(simulator.settings, "refresh", {})
    clock.advance(40 - clock.unix % 40)
    for api in ("tencent_live", "tencent_im"):
        world.set(api, "r", 5)
    clock.advance(1)
    for api in ("tencent_live", "tencent_im"):
        world.set(api, "r", 6)

    async def counts():
        live = (await client.ask("tencent_live", "r")).document["Response"]["MemberCount"]
        return live, (await client.ask("tencent_im", "r")).document["OnlineMemberNum"]

    assert (5, 5) == await counts()
    clock.advance(9)
    assert (5, 6) == await counts()
    clock.advance(30)
    assert (6, 6) == await counts()
    world.destroy("tencent_live", "r")
    assert "100004" == (await client.ask("tencent_live", "r")).code


async def test_json_that_is_escaped_or_not_is_the_same(client):
    """
    A room id reaches the vendor however the client's JSON library writes it.
    """
    client.simulator.world.set("tencent_live", '直播 "1"/', 7)
    document = {"RoomId": '直播 "1"/', "Next": ""}
    for body in (json.dumps(document), json.dumps(document, ensure_ascii=False)):
        got = await client.send(tencent(LIVE, None, now=client.now, body=body.encode()))
        assert 7 == got.document["Response"]["MemberCount"]
