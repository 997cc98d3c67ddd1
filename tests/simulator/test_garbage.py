"""
True replies, spoilt as ordered.
"""

import json

import pytest

from exporter.simulator import APIS, Fault, Settings
from exporter.simulator.garbage import BOMB, OVERSIZE


def order(client, form):
    """
    Order a form of garbage for every call.
    """
    return client.simulator.faults.order(Fault(kind="garbage", form=form))


@pytest.fixture
def settings():
    """
    No room but those of a test where all come in one reply.
    """
    return Settings(
        rooms=dict.fromkeys(APIS, 60) | {"janus_videoroom": 0}, refresh={"tencent_im": 0, "tencent_live": 0}
    )


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "form", ["wrong_type", "negative", "boolean", "fraction", "null", "missing", "huge", "string", "list"]
)
async def test_spoilt_counts(client, room, api, form):
    """
    The reply is JSON still, but its count is none; only a number as text still tells the truth.
    """
    order(client, form)

    got = await client.ask(api, room)

    if form == "list":
        assert isinstance(got.document, list)
    elif form == "missing":
        with pytest.raises(KeyError):
            _count(api, got.document)
    else:
        expected = {
            "wrong_type": "many",
            "negative": -6,
            "boolean": True,
            "fraction": 2.5,
            "null": None,
            "huge": 10**30,
            "string": "5",
        }[form]
        assert (expected, type(expected)) == (_count(api, got.document), type(_count(api, got.document)))
    (call,) = client.simulator.calls
    assert f"garbage:{form}" == call.outcome
    assert ((5,) if form == "string" else ()) == tuple(count.users for count in call.counts)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("form", ["truncated", "html", "empty", "not_utf8"])
async def test_spoilt_bodies(client, room, api, form):
    """
    What comes is no JSON at all.
    """
    order(client, form)

    got = await client.ask(api, room)

    assert 200 == got.status
    with pytest.raises(ValueError, match=r"."):
        json.loads(got.body)


@pytest.mark.parametrize(("form", "size"), [("oversize", OVERSIZE), ("bomb", BOMB)])
async def test_bodies_that_are_too_long(client, room, form, size):
    """
    Longer than anybody should read, plain or after decompression.
    """
    order(client, form)

    assert size == len((await client.ask("tencent_im", room)).body)


async def test_swapped_rooms(client):
    """
    Every room is there, in another order.
    """
    order(client, "swapped")

    got = await client.ask("zego_rtc", "a", "b", "c")

    assert ["c", "b", "a"] == [entry["RoomId"] for entry in got.document["Data"]["UserCountList"]]
    assert ["a", "b", "c"] == [count.room for count in next(iter(client.simulator.calls)).counts]


async def test_omitted_rooms(client):
    """
    One of them is missing, and the log knows which.
    """
    order(client, "omitted")

    got = await client.ask("zego_rtc", "a", "b", "c")

    rooms = [entry["RoomId"] for entry in got.document["Data"]["UserCountList"]]
    assert 2 == len(rooms)
    assert rooms == [count.room for count in next(iter(client.simulator.calls)).counts]


async def test_duplicated_rooms(client):
    """
    One stands there twice with different counts; the log does not vouch for it.
    """
    order(client, "duplicated")

    got = await client.ask("zego_rtc", "a", "b", "c")

    rooms = [entry["RoomId"] for entry in got.document["Data"]["UserCountList"]]
    (twice,) = {room for room in rooms if rooms.count(room) == 2}
    counts = {entry["UserCount"] for entry in got.document["Data"]["UserCountList"] if entry["RoomId"] == twice}
    assert {0, 1} == counts
    assert {"a", "b", "c"} - {twice} == {count.room for count in next(iter(client.simulator.calls)).counts}


async def test_foreign_rooms_and_bare_lists(client):
    """
    A room that nobody asked for; and Data as the list that the vendor's table shows.
    """
    number = order(client, "foreign")
    got = await client.ask("zego_rtc", "a", "b")
    assert {"a", "b"} < {entry["RoomId"] for entry in got.document["Data"]["UserCountList"]}
    client.simulator.faults.clear(number)

    order(client, "bare_list")
    got = await client.ask("zego_rtc", "a", "b")
    assert ["a", "b"] == [entry["RoomId"] for entry in got.document["Data"]]


@pytest.mark.parametrize("api", APIS)
async def test_garbage_for_missing_rooms_and_at_random(client, clock, api):
    """
    A reply without a count is cut instead; without a form, forms vary, and none of them harms a machine.
    """
    number = order(client, "negative")
    got = await client.ask(api, "nowhere")
    if api != "zego_rtc":
        with pytest.raises(ValueError, match=r"."):
            json.loads(got.body)
    client.simulator.faults.clear(number)

    client.simulator.world.set(api, "Room1", 5)
    order(client, None)
    for _ in range(60):
        clock.advance(1)
        assert len((await client.ask(api, "Room1")).body) < 10_000
    assert len({call.outcome for call in client.simulator.calls}) > 8


def _count(api, document):
    if api == "zego_rtc":
        return document["Data"]["UserCountList"][0]["UserCount"]
    if api == "janus_videoroom":
        return document["response"]["list"][0]["num_participants"]
    path = {
        "zego_zim": ("Count",),
        "tencent_im": ("OnlineMemberNum",),
        "tencent_live": ("Response", "MemberCount"),
        "volcengine_rtc": ("Result", "TotalUser"),
    }[api]
    for step in path:
        document = document[step]
    return document
