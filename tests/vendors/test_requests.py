"""
What goes on the wire.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from exporter.model import REDACTED, Request, Stamp
from exporter.vendors import APIS
from exporter.vendors.source import Certificates, Secret
from tests.vendors.examples import CREDENTIALS, NOW, ODD_ROOM_IDS, STAMP, request, source

room_ids = st.sampled_from(ODD_ROOM_IDS) | st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


def asked_rooms(api: str, sent: Request) -> list[str]:
    """The rooms that a vendor finds in a request; what asks for all of them names none."""
    if sent.body:
        document = json.loads(sent.body)
        if api == "janus_videoroom":
            return []
        return [document["GroupId"] if api == "tencent_im" else document["RoomId"]]
    query = parse_qs(sent.target.partition("?")[2], strict_parsing=True)
    return query["RoomId[]" if api == "zego_rtc" else "RoomId"]


@pytest.mark.parametrize("api", APIS)
@given(rooms=st.lists(room_ids, min_size=1, max_size=10, unique=True))
def test_room_ids_reach_the_vendor_intact(api: str, rooms: list[str]) -> None:
    """
    Whatever characters a room id has, the vendor reads the very same id.
    """
    lists = APIS[api].lists
    batch = rooms[: 0 if lists and lists.answers_all else APIS[api].batch_size]

    assert batch == asked_rooms(api, request(api, *batch))


@pytest.mark.parametrize("api", APIS)
@given(room=room_ids)
def test_targets_need_no_further_encoding(api: str, room: str) -> None:
    """
    Names and values are encoded as RFC 3986 has it, so that no library on the way has a reason to encode them anew.
    """
    changes: dict[str, Any] = {"identifier": "one + two"} if "tencent" in api else {}

    path, _, query = request(api, room, **changes).target.partition("?")

    assert path.startswith("/")
    for pair in query.split("&") if query else ():
        name, value = pair.split("=")
        assert name == quote(unquote(name), safe="")
        assert value == quote(unquote(value), safe="")


@pytest.mark.parametrize("api", APIS)
def test_batches_of_the_wrong_size_are_a_mistake(api: str) -> None:
    """
    A call for no room, or for more than the API takes, is never made.
    """
    codec, asked = APIS[api], source(api)
    token = codec.authorize(asked, NOW)

    for rooms in ([], [f"room{n}" for n in range(codec.batch_size + 1)]):
        with pytest.raises(ValueError, match=f"not {len(rooms)}"):
            codec.request(asked, token, rooms, STAMP)


@pytest.mark.parametrize("api", APIS)
def test_base_url_replaces_the_vendors_address(api: str) -> None:
    """
    A configured address takes the request as it is, whether it ends in a slash or not.
    """
    assert "http://127.0.0.1:8080" == request(api, base_url="http://127.0.0.1:8080").base_url
    assert request(api).target.startswith("/")
    assert "http://127.0.0.1:8080" == request(api, base_url="http://127.0.0.1:8080/").base_url


@pytest.mark.parametrize("configured", [{}, {"base_url": "http://127.0.0.1:8080/"}])
@pytest.mark.parametrize("api", APIS)
def test_requests_go_where_the_codec_says(api: str, configured: dict[str, Any]) -> None:
    """
    The address that a codec tells of a source is the one that its requests have.
    """
    assert APIS[api].base_url(source(api, **configured)) == request(api, **configured).base_url


@pytest.mark.parametrize(
    ("base_url", "host"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://127.0.0.1:80", "127.0.0.1"),
        ("https://rtc.example:443", "rtc.example"),
        ("https://rtc.example:8443", "rtc.example:8443"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("http://[::80]", "[::80]"),
    ],
)
def test_volcengine_sends_the_host_that_it_signs(base_url: str, host: str) -> None:
    """
    The signed host is the one of base_url, without the ports that the vendor strips as well.
    """
    assert host == request("volcengine_rtc", base_url=base_url).headers["Host"]


@pytest.mark.parametrize(
    ("api", "region", "host"),
    [
        ("zego_rtc", None, "rtc-api.zego.im"),
        ("zego_rtc", "unified", "rtc-api.zego.im"),
        ("zego_rtc", "fra", "rtc-api-fra.zego.im"),
        ("zego_zim", None, "zim-api.zego.im"),
        ("zego_zim", "sgp", "zim-api-sgp.zego.im"),
        ("tencent_im", None, "console.tim.qq.com"),
        ("tencent_im", "china", "console.tim.qq.com"),
        ("tencent_im", "singapore", "adminapisgp.im.qcloud.com"),
        ("tencent_im", "seoul", "adminapikr.im.qcloud.com"),
        ("tencent_im", "tokyo", "adminapijpn.im.qcloud.com"),
        ("tencent_im", "frankfurt", "adminapiger.im.qcloud.com"),
        ("tencent_im", "mumbai", "adminapiind.im.qcloud.com"),
        ("tencent_im", "india", "adminapiind.im.qcloud.com"),
        ("tencent_im", "silicon_valley", "adminapiusa.im.qcloud.com"),
        ("tencent_im", "jakarta", "adminapiidn.im.qcloud.com"),
        ("tencent_live", None, "console.tim.qq.com"),
        ("tencent_live", "jakarta", "adminapiidn.im.qcloud.com"),
        ("volcengine_rtc", None, "rtc.volcengineapi.com"),
        ("volcengine_rtc", "cn-north-1", "rtc.volcengineapi.com"),
        ("volcengine_rtc", "ap-southeast-1", "open-ap-singapore-1.volcengineapi.com"),
        ("volcengine_rtc", "ap-singapore-1", "open-ap-singapore-1.volcengineapi.com"),
    ],
)
def test_region_selects_the_vendors_host(api: str, region: str | None, host: str) -> None:
    """
    Every region has its documented host, by HTTPS.
    """
    changes: dict[str, Any] = {} if region is None else {"region": region}

    assert f"https://{host}" == request(api, **changes).base_url


@pytest.mark.parametrize(
    ("api", "changes", "limit", "budget", "app"),
    [
        ("zego_rtc", {}, 10, "zego_rtc:1234567890", "zego:1234567890"),
        ("zego_rtc", {"is_test": "true"}, 1, "zego_rtc:1234567890:test", "zego:1234567890"),
        ("zego_zim", {}, 20, "zego_zim:1234567890", "zego:1234567890"),
        ("tencent_im", {}, 200, "tencent_im:1400000000", "tencent:1400000000"),
        ("tencent_live", {}, 200, "tencent_live:1400000000", "tencent:1400000000"),
        ("volcengine_rtc", {}, 40, "volcengine_rtc", "volcengine:AKLTEXAMPLEaccesskeyid0000000000"),
        ("janus_videoroom", {}, 10, "janus_videoroom:http://127.0.0.1:7088/admin", "janus:http://127.0.0.1:7088/admin"),
        ("volcengine_rtc", {"app_id": "other"}, 40, "volcengine_rtc", "volcengine:AKLTEXAMPLEaccesskeyid0000000000"),
    ],
)
def test_limits_and_who_shares_them(api: str, changes: dict[str, str], limit: float, budget: str, app: str) -> None:
    """
    Each API has its documented limit, per app or, for Volcengine, per account.
    """
    codec, asked = APIS[api], source(api, **changes)

    assert (limit, budget, app) == (codec.default_limit(asked), codec.budget_key(asked), codec.app_key(asked))


OTHER_SECRET = Secret("another secret")
HOST = {"base_url": "https://vendor.example"}


@pytest.mark.parametrize(
    ("api", "changes"),
    [
        ("zego_rtc", {"app_id": "1234567891"}),
        ("zego_rtc", {"is_test": "true"}),
        ("zego_rtc", {"region": "fra"}),
        ("zego_zim", {"app_id": "1234567891"}),
        ("zego_zim", {"region": "fra"}),
        ("tencent_im", {"sdk_app_id": "1400000001"}),
        ("tencent_im", {"region": "singapore"}),
        ("tencent_live", {"sdk_app_id": "1400000001"}),
        ("tencent_live", {"region": "singapore"}),
        ("volcengine_rtc", {"app_id": "other"}),
        ("volcengine_rtc", {"region": "ap-singapore-1"}),
        ("volcengine_rtc", {"region": "cn-north-2"}),
        ("janus_videoroom", {"admin_path": "/other"}),
        *((api, HOST) for api in APIS),
        *((api, {"base_url": "http://127.0.0.1:8080"}) for api in APIS),
    ],
)
def test_change_that_makes_a_room_id_name_another_room(api: str, changes: dict[str, Any]) -> None:
    """
    Another app, environment or address has rooms of its own under the same ids.
    """
    codec = APIS[api]

    assert codec.rooms_key(source(api)) != codec.rooms_key(source(api, **changes))


@pytest.mark.parametrize(
    ("api", "before", "changes"),
    [
        ("zego_rtc", {}, {"server_secret": OTHER_SECRET}),
        ("zego_rtc", HOST, {"region": "fra"}),
        ("zego_zim", {}, {"server_secret": OTHER_SECRET}),
        ("zego_zim", HOST, {"region": "fra"}),
        ("tencent_im", {}, {"identifier": "another", "secret_key": OTHER_SECRET}),
        ("tencent_im", {"region": "mumbai"}, {"region": "india"}),
        ("tencent_im", HOST, {"region": "singapore"}),
        ("tencent_live", {}, {"identifier": "another", "secret_key": OTHER_SECRET}),
        ("volcengine_rtc", {}, {"access_key_id": "AKLTother", "secret_access_key": OTHER_SECRET}),
        ("volcengine_rtc", {}, {"session_token": OTHER_SECRET}),
        ("janus_videoroom", {}, {"admin_secret": OTHER_SECRET, "admin_key": OTHER_SECRET}),
        *((api, HOST, {"base_url": "https://vendor.example/"}) for api in APIS),
        *(
            (api, {}, {"interval": "1m", "rate_limit": "1", "budget": "mine", "timeout": "1s", "max_staleness": "5m"})
            for api in APIS
        ),
        *(
            (api, {}, {"name": "renamed", "proxy": "http://proxy:3128", "ca_file": Certificates("pem", "ca.pem")})
            for api in APIS
        ),
    ],
)
def test_change_that_leaves_rooms_the_same(api: str, before: dict[str, Any], changes: dict[str, Any]) -> None:
    """
    Who asks, how often and by which way does not change whose room an id names.
    """
    codec = APIS[api]

    assert codec.rooms_key(source(api, **before)) == codec.rooms_key(source(api, **{**before, **changes}))


def test_rooms_of_different_apis_are_different() -> None:
    """
    Two products of one vendor, under the same app id and address, have rooms of their own.
    """
    assert len(APIS) == len({codec.rooms_key(source(api, **HOST)) for api, codec in APIS.items()})


@pytest.mark.parametrize("api", APIS)
def test_rooms_key_holds_no_secret(api: str) -> None:
    """
    A key may be logged and compared, so no secret is part of it.
    """
    asked = source(api)

    assert not [secret for secret in asked.secrets() if secret in APIS[api].rooms_key(asked)]


@pytest.mark.parametrize(("is_test", "sent"), [("true", ["true"]), ("false", None)])
def test_zego_test_environment_is_named_only_when_it_is_meant(is_test: str, sent: list[str] | None) -> None:
    """
    Projects without a test environment refuse IsTest, so it is left out unless it is true.
    """
    assert sent == parse_qs(request("zego_rtc", is_test=is_test).target).get("IsTest")


def test_zim_asks_for_one_user() -> None:
    """
    The total comes with every page, so the smallest documented page is asked for.
    """
    query = dict(parse_qsl(urlsplit(request("zego_zim", "lobby").url).query))

    assert {"Action": "QueryRoomUserList", "RoomId": "lobby", "Mode": "0", "Limit": "1"}.items() <= query.items()


def test_tencent_im_request() -> None:
    """
    A group is asked for by POST, under the administrator's name and with a random number.
    """
    sent = request("tencent_im", "@TGS#房间", identifier="admin one", stamp=Stamp(NOW, "ffffffff00000000"))

    query = dict(parse_qsl(urlsplit(sent.url).query, strict_parsing=True))
    assert ("POST", "/v4/group_open_http_svc/get_online_member_num") == (sent.method, urlsplit(sent.url).path)
    assert {"Content-Type": "application/json"} == sent.headers
    assert {
        "sdkappid": "1400000000",
        "identifier": "admin one",
        "random": "4294967295",
        "contenttype": "json",
    }.items() <= query.items()
    assert '{"GroupId":"@TGS#房间"}'.encode() == sent.body


def test_tencent_im_asks_another_service_for_communities() -> None:
    """
    Community groups, known by the beginning of their ids, have a service of their own.
    """
    target = request("tencent_im", "@TGS#_@TGS#cQVLVHIM62CJ").target

    assert target.startswith("/v4/million_group_open_http_svc/get_online_member_num?")


def test_tencent_live_names_room_and_page() -> None:
    """
    The live API wants both RoomId and Next, though the first page's Next is empty.
    """
    sent = request("tencent_live", "live_1")

    assert sent.target.startswith("/v4/live_engine_http_srv/get_member_list?")
    assert b'{"RoomId":"live_1","Next":""}' == sent.body


def test_volcengine_request_is_a_bare_get() -> None:
    """
    No body, no Content-Type, and no Property, which would lower the limit to one call a second.
    """
    sent = request("volcengine_rtc", "Room1")

    assert ("GET", b"") == (sent.method, sent.body)
    assert "Content-Type" not in sent.headers
    assert {"Action", "Version", "AppId", "RoomId"} == set(parse_qs(urlsplit(sent.url).query))


@pytest.mark.parametrize("api", APIS)
def test_nothing_secret_is_left_after_redaction(api: str) -> None:
    """
    An echo of the whole request shows neither a secret nor anything derived from one.
    """
    changes: dict[str, Any] = {"session_token": Secret("STS/token+==")} if api == "volcengine_rtc" else {}
    sent = request(api, "lobby", **changes)
    echo = " ".join([sent.url, json.dumps(dict(sent.headers)), sent.body.decode(), *source(api, **changes).secrets()])

    shown = sent.redact(echo)

    assert REDACTED in shown
    for secret in [*sent.secrets, *source(api, **changes).secrets()]:
        assert secret not in shown
        assert quote(secret, safe="") not in shown
    for parameter in ("Signature", "usersig"):
        assert {REDACTED} >= set(parse_qs(shown).get(parameter, []))
    assert "Signature=" not in shown.replace(f"Signature={REDACTED}", "")


@pytest.mark.parametrize("api", APIS)
def test_secrets_are_not_in_any_repr(api: str) -> None:
    """
    Neither a request, nor what signs it, nor the source it was made for shows a secret.
    """
    asked = source(api)
    token = APIS[api].authorize(asked, NOW)
    sent = APIS[api].request(asked, token, ["lobby"], STAMP)

    shown = f"{asked!r} {asked!s} {token!r} {sent!r} {asked.model_dump()}"

    for secret in (*sent.secrets, *asked.secrets(), str(token.token)):
        assert secret not in shown


@pytest.mark.parametrize(
    ("api", "changes"),
    [
        ("zego_rtc", {"app_id": "0"}),
        ("zego_rtc", {"app_id": "4294967296"}),
        ("zego_rtc", {"app_id": "abc"}),
        ("zego_rtc", {"app_id": "12.0"}),
        ("zego_rtc", {"app_id": " 12"}),
        ("zego_rtc", {"app_id": "1_000"}),
        ("zego_rtc", {"app_id": True}),
        ("zego_rtc", {"is_test": "perhaps"}),
        ("zego_rtc", {"region": "mars"}),
        ("zego_zim", {"is_test": "true"}),
        ("tencent_im", {"sdk_app_id": "-1"}),
        ("tencent_im", {"identifier": ""}),
        ("tencent_im", {"identifier": "two\nlines"}),
        ("tencent_im", {"region": "mars"}),
        ("tencent_live", {"region": "seoul"}),
        ("tencent_live", {"region": "india"}),
        ("volcengine_rtc", {"app_id": ""}),
        ("volcengine_rtc", {"access_key_id": "two\r\nlines"}),
        ("volcengine_rtc", {"region": "cn north"}),
    ],
)
def test_what_no_vendor_accepts_is_refused_in_the_config(api: str, changes: dict[str, object]) -> None:
    """
    A value that could never work is an error before the first call.
    """
    with pytest.raises(ValidationError):
        source(api, **changes)


@pytest.mark.parametrize("api", APIS)
def test_credentials_are_required(api: str) -> None:
    """
    No credential has a default.
    """
    for name in CREDENTIALS[api]:
        given_ones = {key: value for key, value in CREDENTIALS[api].items() if key != name}
        with pytest.raises(ValidationError, match=name):
            APIS[api].source_model.model_validate({"name": "test", "api": api, **given_ones})


@pytest.mark.parametrize(
    ("api", "documented", "odd"),
    [
        ("zego_rtc", "room~!@#$%^&*()_+=-`;',.<>/\\1", "room 1"),
        ("zego_zim", "room!#$%&()+-:;<=.>?@[]^_{}|~1", "room,1"),
        ("tencent_im", "@TGS#a6I4ZUUGO and ~", "房间"),
        ("tencent_live", "live_1", "live\u00a01"),
        ("volcengine_rtc", "Room@1._-", "room+1"),
        ("janus_videoroom", "1234 or 房间", "\x7f"),
    ],
)
def test_documented_alphabets_of_room_ids(api: str, documented: str, odd: str) -> None:
    """
    Each API knows which ids its vendor documents.
    """
    alphabet = APIS[api].room_ids.alphabet

    assert alphabet.fullmatch(documented)
    assert not alphabet.fullmatch(odd)
