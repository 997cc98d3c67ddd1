"""
Callbacks: what each vendor writes, how it signs, how often it tries, and what can go wrong on the way.
"""

import asyncio
import json
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from urllib.parse import parse_qs, unquote

import pytest
from aiohttp import web

from exporter.simulator import CallbackOrder, Settings
from exporter.simulator.callbacks import RETRIES, Letterhead, write
from exporter.simulator.events import Event
from tests.simulator.conftest import START

SECRET = "secret"
APPS = Settings().apps.ids()


@pytest.fixture
def settings():
    """
    A world that tests fill.
    """
    return Settings(rooms={})


@dataclass
class Receiver:
    """
    Takes callbacks and keeps them.

    Attributes:
        answers: What it says to the next ones; 200 to all after them.
        got: Query, type and body of each.
    """

    url: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[tuple[str, str, bytes]] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request):
        """
        An answer.
        """
        self.got.append((request.query_string, request.content_type, await request.read()))
        self.came.set()
        return web.Response(status=self.answers.pop(0) if self.answers else 200)

    def documents(self):
        """
        The bodies, as JSON.
        """
        return [json.loads(body) for _, _, body in self.got]

    async def until(self, count):
        """
        Wait until so many have come.
        """
        async with asyncio.timeout(10):
            while len(self.got) < count:
                self.came.clear()
                await self.came.wait()
        await asyncio.sleep(0.02)
        return self.documents()


@pytest.fixture
async def receiver():
    """
    An address for callbacks.
    """
    found = Receiver()
    app = web.Application()
    app.add_routes([web.post("/callback", found.take)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/callback"
    yield found
    await runner.cleanup()


def subscribe(client, receiver, api, **order):
    """
    Let the first app's callbacks be sent there.
    """
    simulator = client.simulator
    told = CallbackOrder(**{"api": api, "url": receiver.url, "secret": SECRET} | order)
    simulator.courier.subscribe(told, simulator.worlds.app(api))


def figures(client):
    """
    What became of the callbacks of the only app that has some.
    """
    (report,) = client.simulator.courier.report()
    return report


def message(api, what="open", *, number=123_412, now=1_470_820_198.0, form="json", app=None):
    """
    A callback that is written now of something that happens now.
    """
    event = Event(1, now, api, app or APPS[api.partition("_")[0]][0], "lobby+%", what, 3, now - 50.5)
    return write(event, Letterhead(SECRET, now, number, form))


def test_zego_signs_secret_time_and_nonce():
    """
    As in the vendor's published example.
    """
    document = json.loads(message("zego_rtc").body)

    assert ("123412", 1_470_820_198) == (document["nonce"], document["timestamp"])
    assert "5bd59fd62953a8059fb7eaba95720f66d19e4517" == document["signature"]


def test_tencent_signs_token_and_time():
    """
    As in the vendor's published example, in the query.
    """
    event = Event(1, 0.0, "tencent_im", "1400000000", "lobby", "open", 1, 0.0)
    query = parse_qs(write(event, Letterhead("xxxxyyyy", 1_669_872_112.9, 1)).query)

    assert ["17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061"] == query["Sign"]
    assert (["1669872112"], ["1400000000"]) == (query["RequestTime"], query["SdkAppid"])


def test_volcengine_signs_all_that_it_says():
    """
    Seven values and the secret, sorted.
    """
    document = json.loads(message("volcengine_rtc").body)
    signature = document.pop("Signature")

    assert sha256("".join(sorted([*document.values(), SECRET])).encode()).hexdigest() == signature
    assert "lobby+%" == json.loads(document["EventData"])["RoomId"]
    assert "2016-08-10T09:09:58.000000000Z" == document["EventTime"]


@pytest.mark.parametrize(
    ("api", "names"),
    [
        ("zego_rtc", ["room_create", "room_login", "room_logout", "room_close"]),
        ("zego_zim", ["room_create", "room_enter", "room_exit", "room_destroy"]),
    ],
)
def test_zego_s_events(api, names):
    """
    Their names; of RTC's logins every value is text, and a session is a number that no float can hold.
    """
    documents = [json.loads(message(api, what).body) for what in ("open", "join", "leave", "close")]

    assert names == [document["event"] for document in documents]
    assert {"lobby+%"} == {document["room_id"] for document in documents}
    if api == "zego_rtc":
        opened, joined, left, closed = documents
        assert str(opened["room_session_id"]) == joined["room_seq"] == left["room_seq"]
        assert opened["room_session_id"] == closed["room_session_id"] > 2**53
        assert {str} == {type(value) for value in joined.values()}
        assert {int} == {type(document["appid"]) for document in (opened, closed)}


@pytest.mark.parametrize(
    ("api", "names"),
    [
        (
            "tencent_im",
            [
                "Group.CallbackAfterCreateGroup",
                "Group.CallbackOnMemberStateChange",
                "Group.CallbackOnMemberStateChange",
                "Group.CallbackAfterGroupDestroyed",
            ],
        ),
        (
            "tencent_live",
            [
                "Live.CallbackAfterCreateRoom",
                "Live.CallbackAfterMemberStateChanged",
                "Live.CallbackAfterMemberStateChanged",
                "Live.CallbackAfterDestroyRoom",
            ],
        ),
    ],
)
def test_tencent_s_events(api, names):
    """
    The command stands in query and body; the id of a new live room stands in `RoomInfo`.
    """
    messages = [message(api, what) for what in ("open", "join", "leave", "close")]
    documents = [json.loads(each.body) for each in messages]

    assert names == [document["CallbackCommand"] for document in documents]
    assert names == [parse_qs(each.query)["CallbackCommand"][0] for each in messages]
    rooms = [document.get("GroupId") or document.get("RoomId") for document in documents]
    assert ["lobby+%"] * 3 == rooms[1:]
    assert "lobby+%" == (rooms[0] or documents[0]["RoomInfo"]["RoomId"])


def test_volcengine_s_events():
    """
    None tells of a creation: the first user joins.
    """
    types = [json.loads(message("volcengine_rtc", what).body)["EventType"] for what in ("open", "leave", "close")]

    assert ["UserJoinRoom", "UserLeaveRoom", "RoomDestroy"] == types


@pytest.mark.parametrize("form", ["json", "urlencoded", "form"])
def test_zego_s_forms_say_the_same(form):
    """
    JSON, JSON that is URL-encoded, or a form.
    """
    sent = message("zego_rtc", form=form)
    text = sent.body.decode()
    if form == "form":
        document = {name: values[0] for name, values in parse_qs(text, strict_parsing=True).items()}
    else:
        document = json.loads(unquote(text) if form == "urlencoded" else text)

    assert ("lobby+%", "room_create") == (document["room_id"], document["event"])
    assert ("application/x-www-form-urlencoded" if form == "form" else "application/json") == sent.content_type


@pytest.mark.parametrize("api", RETRIES)
async def test_what_happens_to_rooms_is_told(client, receiver, clock, api):
    """
    A room opens, somebody comes and goes, it closes: four callbacks, and none of another API's rooms.
    """
    subscribe(client, receiver, api)
    world = client.simulator.world
    world.set("zego_zim" if api != "zego_zim" else "zego_rtc", "other", 1)
    for users in (2, 3, 1):
        world.set(api, "lobby", users)
        await receiver.until(1)
        clock.advance(1)
    world.set(api, "lobby", 1)  # no change
    world.destroy(api, "lobby")

    await receiver.until(4)

    assert (4, 4, 4, {}) == tuple(figures(client)[name] for name in ("events", "attempts", "taken", "refused"))
    assert 4 == len(receiver.got)
    assert all(b"lobby" in body for _, _, body in receiver.got)


@pytest.mark.parametrize(
    ("api", "pauses"),
    [
        ("zego_rtc", [2, 4, 8, 16, 32]),
        ("zego_zim", [2, 4, 8, 16, 32]),
        ("tencent_im", []),
        ("tencent_live", []),
        ("volcengine_rtc", [1, 2]),
    ],
)
async def test_each_vendor_tries_as_often_as_it_documents(client, receiver, clock, api, pauses):
    """
    The same bytes each time, then no more.
    """
    receiver.answers = [500] * 10
    subscribe(client, receiver, api)
    client.simulator.world.create(api, "lobby")

    await receiver.until(len(pauses) + 1)

    assert pauses == clock.slept
    assert 1 == len({body for _, _, body in receiver.got})
    assert (1, 0) == (figures(client)["given_up"], figures(client)["taken"])
    assert {"500": len(pauses) + 1} == figures(client)["refused"]


async def test_a_receiver_that_comes_back_gets_it(client, receiver, clock):
    """
    With the third attempt, and there is no fourth.
    """
    receiver.answers = [503, 503]
    subscribe(client, receiver, "zego_rtc")
    client.simulator.world.create("zego_rtc", "lobby")

    await receiver.until(3)

    assert ([2, 4], 1) == (clock.slept, figures(client)["taken"])


async def test_callbacks_are_lost(client, receiver):
    """
    Nobody is told, and it is counted.
    """
    subscribe(client, receiver, "zego_rtc", lost=1)
    client.simulator.world.create("zego_rtc", "lobby")
    await asyncio.sleep(0.05)

    assert ([], 1) == (receiver.got, figures(client)["lost"])


async def test_callbacks_are_late(client, receiver, clock):
    """
    Sent so many seconds later, signed then, and of the moment that they are of.
    """
    subscribe(client, receiver, "zego_rtc", late=1, late_by=45)
    client.simulator.world.create("zego_rtc", "lobby")

    (document,) = await receiver.until(1)

    assert [45] == clock.slept
    assert (int(START) + 45, f"{int(START)}000") == (document["timestamp"], document["room_create_time"])


async def test_callbacks_come_twice(client, receiver):
    """
    Byte for byte.
    """
    subscribe(client, receiver, "zego_rtc", twice=1)
    client.simulator.world.create("zego_rtc", "lobby")

    first, second = await receiver.until(2)

    assert first == second


async def test_callbacks_are_overtaken(client, receiver):
    """
    One waits for the next, and comes after it.
    """
    subscribe(client, receiver, "zego_rtc", reordered=1)
    client.simulator.world.create("zego_rtc", "lobby")
    await asyncio.sleep(0.05)
    assert [] == receiver.got

    dice = client.simulator.courier._dice
    dice.random = lambda: 0.99  # the next one does not wait
    subscription = next(iter(client.simulator.courier._subscriptions.values()))
    subscription.order = CallbackOrder(api="zego_rtc", url=receiver.url, secret=SECRET)
    client.simulator.world.destroy("zego_rtc", "lobby")

    assert {"room_close", "room_create"} == {document["event"] for document in await receiver.until(2)}


async def test_callbacks_are_forged(client, receiver):
    """
    Beside the true one comes one of a room that never was, with a signature that is not right.
    """
    subscribe(client, receiver, "zego_rtc", forged=1)
    client.simulator.world.create("zego_rtc", "lobby")

    documents = {document["room_id"].partition("-")[0]: document for document in await receiver.until(2)}

    def right(document):
        signed = "".join(sorted([SECRET, str(document["timestamp"]), document["nonce"]]))
        return sha1(signed.encode()).hexdigest() == document["signature"]  # noqa: S324 as ZEGO does

    assert {"lobby", "forged"} == set(documents)
    assert (True, False) == (right(documents["lobby"]), right(documents["forged"]))
    assert 1 == figures(client)["forged"]


async def test_orders_by_http(client, receiver):
    """
    Who is to be told, a callback of what has not happened, and the end of it.
    """
    order = {"api": "tencent_im", "url": receiver.url, "secret": SECRET}
    await client.control("POST", "/callbacks", order)
    await client.control("POST", "/callbacks/send", {"api": "tencent_im", "room": "ghost", "what": "close"})
    await receiver.until(1)
    await client.control("POST", "/callbacks/send", {"api": "tencent_im", "room": "x", "what": "open", "forged": True})

    _, forged = await receiver.until(2)

    assert forged["GroupId"].startswith("forged-")
    (report,) = (await client.control("GET", "/callbacks"))["callbacks"]
    assert (2, 1, "1400000000") == (report["taken"], report["forged"], report["app"])
    assert SECRET not in json.dumps(report)
    await client.control("DELETE", "/callbacks")
    client.simulator.world.create("tencent_im", "lobby")
    await asyncio.sleep(0.02)
    assert 2 == len(receiver.got)


@pytest.mark.parametrize(
    ("path", "wrong", "reason"),
    [
        ("", {"api": "zoom"}, "api: 'zoom'"),
        ("", {"url": "ftp://x"}, "url: not an http or https URL"),
        ("", {"secret": ""}, "secret: empty"),
        ("", {"lost": 1.5}, "lost: 1.5"),
        ("", {"app": "7"}, "zego_rtc has no app '7'"),
        ("/send", {"room": "", "what": "open", "url": None, "secret": None}, "room: empty"),
        ("/send", {"room": "x", "what": "open", "url": None, "secret": None}, "nobody is to be told of zego_rtc"),
    ],
)
async def test_orders_that_cannot_be_are_refused(client, path, wrong, reason):
    """
    With the reason.
    """
    order = {"api": "zego_rtc", "url": "http://127.0.0.1:1/", "secret": "s"} | wrong
    body = json.dumps({key: value for key, value in order.items() if value is not None}).encode()

    got = await client.control_raw("POST", f"/callbacks{path}", body)

    assert 400 == got.status
    assert reason in got.document["error"]
