"""
What each vendor's callbacks say, and which of them are believed.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import pytest

from exporter.vendors.callbacks import Change, Event, Hint, Refusal
from tests.callbacks.vendor import NOW, SECRET, Callback, edited, examples, of, tencent, volcengine, zego

APIS = ["zego_rtc", "zego_zim", "tencent_im", "tencent_live", "volcengine_rtc"]
OTHER_SECRET = "callback-secret-9876543210"


def hints(callback: Callback, *secrets: str) -> Any:
    """
    What it says of rooms, or why it is not taken.
    """
    read = callback.read(*secrets)
    return read.hints if isinstance(read, Event) else read


@pytest.mark.parametrize("example", examples(), ids=str)
def test_an_example(example):
    """
    Documented requests, and traps in the signature, are read as documented: what the example tells of the room is what
    the hint tells.
    """
    read = hints(example)

    if example.refusal:
        assert example.refusal == read
    elif example.hint is None:
        assert () == read
    else:
        assert not isinstance(read, Refusal)
        (hint,) = read
        assert (example.hint.room_id, example.hint.change) == (hint.room_id, hint.change)
        assert example.hint.session in {None, hint.session}
        assert example.hint.at in {None, hint.at}


@pytest.mark.parametrize("api", APIS)
def test_each_of_two_secrets_is_accepted_and_no_third(api):
    """
    During a rotation callbacks are signed with the old secret or the new one.
    """
    for number, secret in enumerate((SECRET, OTHER_SECRET)):
        assert not isinstance(of(api, number, secret).read(SECRET, OTHER_SECRET), Refusal)
    assert Refusal.BAD_SIGNATURE == of(api, 3, "another").read(SECRET, OTHER_SECRET)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("secrets", [("",), ("", "other")])
def test_nothing_is_signed_with_an_empty_secret(api, secrets):
    """
    A secret that is missing accepts nothing, not what is signed with nothing.
    """
    assert Refusal.BAD_SIGNATURE == of(api, secret="").read(*secrets)


@pytest.mark.parametrize(
    ("callback", "longest"),
    [
        (zego(), 600),
        (zego("zego_zim", timestamp=f"{NOW}"), 600),
        (zego("zego_zim", timestamp=NOW * 1000), 600),
        (tencent(), 60),
        (tencent("Group.CallbackAfterCreateGroup"), 60),
        (volcengine(), 600),
    ],
    ids=str,
)
def test_a_callback_is_believed_for_a_while(callback, longest):
    """
    Its time may be so many seconds behind ours or ahead of it, and no more.
    """
    assert 1 == len(hints(edited(callback, now=NOW + longest)))
    assert 1 == len(hints(edited(callback, now=NOW - longest)))
    assert Refusal.TOO_OLD == hints(edited(callback, now=NOW + longest + 1))
    assert Refusal.TOO_OLD == hints(edited(callback, now=NOW - longest - 1))


@pytest.mark.parametrize("api", APIS)
def test_another_app_is_refused(api):
    """
    A secret that several apps share does not let one speak for another.
    """
    app = "661e000000000000000543c0" if api == "volcengine_rtc" else 77

    assert Refusal.WRONG_APP == edited(of(api), app=app).read()


@pytest.mark.parametrize("callback", [zego(appid=None), zego(appid="01"), tencent(query={"SdkAppid": None})], ids=str)
def test_a_callback_must_name_its_app(callback):
    """
    Without the app, or with another spelling of it, it might be anybody's.
    """
    assert Refusal.WRONG_APP == callback.read()


def test_the_signature_is_checked_before_all_that_it_protects():
    """
    Who has no secret learns nothing of time, app or content.
    """
    signature = {"signature": "0" * 40}

    assert Refusal.BAD_SIGNATURE == zego(**signature, timestamp=1, appid=2, room_id=[]).read()
    assert Refusal.TOO_OLD == zego(timestamp=1, appid=2, room_id=[]).read()
    assert Refusal.WRONG_APP == zego(appid=2, room_id=[]).read()
    assert Refusal.MALFORMED == zego(room_id=[]).read()


@pytest.mark.parametrize(
    "callback",
    [
        zego(signature=None),
        zego(signature="5BD59FD62953A8059FB7EABA95720F66D19E4517"),
        zego(signature="é" * 20),
        zego(signature=["a"]),
        zego(nonce=""),
        zego(timestamp=""),
        zego(nonce=True),
        zego(nonce="a", signature="\ud800"),
        tencent(query={"Sign": ""}),
        tencent(query={"RequestTime": ""}),
        volcengine(Nonce=""),
        volcengine(Nonce=None),
        volcengine(EventId=""),
        volcengine(Signature="0" * 64),
    ],
    ids=lambda callback: callback.body.decode()[-60:],
)
def test_what_is_no_signature(callback):
    """
    Whatever stands where the signature belongs, or what it is made of is missing: nothing is believed.
    """
    assert Refusal.BAD_SIGNATURE == callback.read()


NESTED = '{"a":' * 16
DEEP = zego().body[:-1].decode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"a"',
        b"\xff",
        b"\xef\xbb\xbf{}",
        b"event=room_create&event=room_close",
        b"event=%ff",
        b"event=" + b"&a=" * 300,
        b"%7B%ff",
        f'{DEEP}, "room_id": "b"}}'.encode(),
        f'{DEEP}, "x": {{"a": 1, "a": 1}}}}'.encode(),
        f'{DEEP}, "x": NaN}}'.encode(),
        f'{DEEP}, "x": -Infinity}}'.encode(),
        f'{DEEP}, "x": "\xff"}}'.encode("latin-1"),
        f'{DEEP}, "x": {NESTED}1{"}" * 17}'.encode(),
        f'{DEEP}, "x": {"[" * 60_000}}}'.encode(),
        f'{DEEP}, "x": [{"[]," * 5_000}[]]}}'.encode(),
        f"{DEEP}}} {{}}".encode(),
        quote(f'{DEEP}, "room_id": "b"}}').encode(),
    ],
    ids=lambda body: body[-30:],
)
def test_a_body_that_can_be_read_in_two_ways_or_none_is_malformed(body):
    """
    Keys that stand twice, ``NaN``, more than 16 levels, thousands of lists, bytes that are not UTF-8, more than one
    object.
    """
    assert Refusal.MALFORMED == edited(zego(), body=body).read()


def test_sixteen_levels_are_read():
    """
    The object is the first of them; brackets in text are none.
    """
    body = f'{DEEP}, "x": {"[" * 15}"]{{[\\"[["{"]" * 15}}}'.encode()

    assert 1 == len(hints(edited(zego(), body=body)))


def test_a_thousand_members_are_read():
    """
    A callback of a large group names them, each in an object of its own.
    """
    members = [{"Member_Account": f"user-{number}"} for number in range(1_500)]

    assert 1 == len(hints(tencent("Group.CallbackOnMemberStateChange", MemberList=members)))


def test_numbers_of_any_size_do_no_harm():
    """
    Numbers stay text: a session is exact, and ten thousand digits or an infinite exponent cost nothing.
    """
    session = "18446744073709551615"
    body = f'{DEEP}, "room_session_id": {session}, "room_create_time": {"9" * 10_000}, "x": 1e999999}}'.encode()

    assert (Hint("lobby", Change.CREATED, session, None),) == hints(edited(zego(), body=body))


@pytest.mark.parametrize("room_id", ["a+b", "100%", "%41", "a&b=c", "房间 1", "🎥", "\\", '"', "a\u2028b"])
@pytest.mark.parametrize("form", ["json", "ascii json", "encoded json", "form"])
def test_a_room_id_is_the_same_in_every_form_of_the_body(room_id, form):
    """
    JSON is not URL-decoded, so that ``+`` and ``%`` stay what they are.
    """
    document = json.loads(zego(room_id=room_id).body)
    bodies = {
        "json": json.dumps(document, ensure_ascii=False),
        "ascii json": f" \n{json.dumps(document)}",
        "encoded json": quote_plus(json.dumps(document, ensure_ascii=False)),
        "form": urlencode(document),
    }

    (hint,) = hints(edited(zego(), body=bodies[form].encode()))

    assert room_id == hint.room_id


@pytest.mark.parametrize("room_id", ["", None, 7, True, ["a"], {"a": 1}, "a\nb", "a\x00", "\x85", "x" * 513, "\ud800"])
def test_what_no_room_is_called(room_id):
    """
    An id that is none is malformed, and goes no further.
    """
    data = json.dumps({"RoomId": room_id})

    assert Refusal.MALFORMED == zego(room_id=room_id).read()
    assert Refusal.MALFORMED == tencent(RoomId=room_id).read()
    assert Refusal.MALFORMED == volcengine(EventData=data).read()


@pytest.mark.parametrize(
    ("api", "event", "change"),
    [
        ("zego_rtc", "room_create", Change.CREATED),
        ("zego_rtc", "room_close", Change.DESTROYED),
        ("zego_rtc", "room_login", Change.MEMBERS),
        ("zego_rtc", "room_logout", Change.MEMBERS),
        ("zego_zim", "room_create", Change.CREATED),
        ("zego_zim", "room_destroy", Change.DESTROYED),
        ("zego_zim", "room_enter", Change.MEMBERS),
        ("zego_zim", "room_exit", Change.MEMBERS),
        ("zego_zim", "room_close", None),
        ("zego_rtc", "room_destroy", None),
        ("zego_rtc", "stream_create", None),
    ],
)
def test_events_of_zego(api, event, change):
    """
    Each product has its own four; others, of which there are many, say nothing of a room.
    """
    read = zego(api, event=event).read()

    assert isinstance(read, Event)
    assert ("other" if change is None else event) == read.name
    assert ([] if change is None else [change]) == [hint.change for hint in read.hints]


def test_a_login_tells_the_session_and_the_time():
    """
    Everything in it is text, and the session is called by another name.
    """
    login = zego(
        event="room_login",
        appid="1",
        timestamp=f"{NOW}",
        room_seq="6085791336856668982",
        login_time="1663740623660",
    )

    assert (Hint("lobby", Change.MEMBERS, "6085791336856668982", 1663740623.66),) == hints(login)


@pytest.mark.parametrize("kind", ["Public", "ChatRoom", "Community", None, 7])
@pytest.mark.parametrize("command", ["Group.CallbackAfterCreateGroup", "Group.CallbackAfterGroupDestroyed"])
def test_a_group_of_another_type_is_no_room(command, kind):
    """
    An app's chats are groups as well; only its AVChatRooms are watched.
    """
    assert () == hints(tencent(command, Type=kind))
    assert 1 == len(hints(tencent(command)))


def test_commands_of_the_other_product_say_nothing():
    """
    One address may get the callbacks of both; each source hears of its own rooms.
    """
    live, im = tencent(RoomId="a", GroupId="a"), tencent("Group.CallbackAfterCreateGroup", RoomId="a")

    assert () == hints(edited(live, api="tencent_im"))
    assert () == hints(edited(im, api="tencent_live"))
    assert () == hints(tencent("Live.CallbackAfterSomethingNew", RoomId=None))


def test_times_of_tencent():
    """
    In milliseconds, as number or text; a created room's own time in seconds is the second choice.
    """
    info: dict[str, Any] = {"RoomInfo": {"RoomId": "lobby", "CreateTime": 1693271355}, "RoomId": None}
    create = "Live.CallbackAfterCreateRoom"

    assert [1693271356.5] == [hint.at for hint in hints(tencent(create, **info, EventTime="1693271356500"))]
    assert [1693271355.0] == [hint.at for hint in hints(tencent(create, **info))]
    assert [None] == [hint.at for hint in hints(tencent(EventTime="soon"))]


@pytest.mark.parametrize(
    "query",
    [
        {"CallbackCommand": None},
        {"CallbackCommand": "Live.CallbackAfterCreateRoom"},
        {"SdkAppId": 1_400_000_000},
    ],
)
def test_a_query_that_contradicts_is_malformed(query):
    """
    The command in query and body is one; the app is named once, whatever its spelling.
    """
    assert Refusal.MALFORMED == tencent(query=query).read()


@pytest.mark.parametrize("more", ["&Sign=a", "&ClientIP=1&ClientIP=2", "&a=%ff"])
def test_a_parameter_stands_once(more):
    """
    Which of two would count is not for a guess.
    """
    callback = tencent()

    assert Refusal.MALFORMED == edited(callback, query=callback.query + more).read()


@pytest.mark.parametrize("nonce", ["Nonce", "Noce"])
def test_both_spellings_of_the_nonce(nonce):
    """
    The vendor's pages disagree on it.
    """
    assert (Hint("lobby", Change.MEMBERS, at=1_700_000_000.0),) == hints(volcengine(nonce=nonce))
    assert Refusal.MALFORMED == volcengine(Nonce="1", Noce="1").read()


@pytest.mark.parametrize(
    ("event", "change"),
    [
        ("UserLeaveRoom", Change.MEMBERS),
        ("InvisibleUserJoinRoom", Change.MEMBERS),
        ("InvisibleUserLeaveRoom", Change.MEMBERS),
        ("RoomDestroy", Change.DESTROYED),
    ],
)
def test_events_of_volcengine(event, change):
    """
    A room becomes known by whoever joins it: there is no event of its creation.
    """
    assert [change] == [hint.change for hint in hints(volcengine(EventType=event))]


@pytest.mark.parametrize("data", ["{", "[]", '{"RoomId":"a","RoomId":"b"}', '{"RoomId":NaN}'])
def test_data_of_an_event_is_read_as_strictly(data):
    """
    It is JSON within JSON.
    """
    assert Refusal.MALFORMED == volcengine(EventData=data).read()


@pytest.mark.parametrize(
    ("time", "at"),
    [
        ("2023-11-14T22:13:20.123456789Z", 1700000000.1234567),
        ("2023-11-15T06:13:20+08:00", 1700000000.0),
        ("2023-11-14t22:13:20z", 1700000000.0),
    ],
)
def test_times_of_volcengine(time, at):
    """
    As RFC 3339 has them, to the nanosecond and in any zone.
    """
    assert [pytest.approx(at)] == [hint.at for hint in hints(volcengine(EventTime=time))]


@pytest.mark.parametrize(
    "time", ["1700000000", "2023-11-14T22:13:20", "2023-02-30T00:00:00Z", "0001-01-01T00:00:00+14:00"]
)
def test_a_time_that_is_none_is_not_ours(time):
    """
    Without a time it might be of any day.
    """
    assert Refusal.TOO_OLD == volcengine(EventTime=time).read()


@pytest.mark.parametrize("api", APIS)
def test_the_same_request_has_the_same_key(api):
    """
    And another one has another, also if only the room differs.
    """
    first, again, other = (of(api, number).read() for number in (1, 1, 2))

    assert isinstance(first, Event)
    assert isinstance(again, Event)
    assert isinstance(other, Event)
    assert first.replay_key == again.replay_key
    assert first.replay_key != other.replay_key
    assert len(first.replay_key or "") == 32


def test_an_event_of_volcengine_that_is_sent_again_is_the_same():
    """
    Its nonce may be another one by then.
    """
    keys = {event.replay_key for nonce in "12" if isinstance(event := volcengine(Nonce=nonce).read(), Event)}

    assert 1 == len(keys)


@pytest.mark.parametrize("api", APIS)
def test_an_event_holds_nothing_of_users(api):
    """
    Who came, went or created is read by nobody.
    """
    assert "user-of" not in repr(of(api).read())
