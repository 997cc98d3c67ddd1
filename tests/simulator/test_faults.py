"""
Ordered trouble: each kind, and for whom, how often and how long it strikes.
"""

import asyncio
import email.utils
import json
import random

import aiohttp
import pytest

from exporter.simulator import APIS, Clock, Fault, Settings, Simulator
from exporter.simulator.codes import CODES
from exporter.simulator.faults import Faults
from exporter.simulator.garbage import BOMB, OVERSIZE
from tests.simulator import callers
from tests.simulator.callers import TENCENT, VOLCENGINE, ZEGO, tencent, zego
from tests.simulator.conftest import START, Client, FakeClock

BROKEN = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)


def order(client, kind, **options):
    """
    Order a fault that strikes every call it is meant for.
    """
    return client.simulator.faults.order(Fault(kind=kind, **options))


def outcomes(client):
    """
    What the log says became of the calls.
    """
    return [call.outcome for call in client.simulator.calls]


@pytest.fixture
def room(client):
    """
    A room of every API, with five users.
    """
    for api in APIS:
        client.simulator.world.set(api, "Room1", 5)
    return "Room1"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("kind", ["outage", "reset", "cut"])
async def test_broken_connections(client, room, api, kind):
    """
    The client gets no answer, or half of one; the log knows the call all the same.
    """
    order(client, kind)

    with pytest.raises(BROKEN):
        await client.ask(api, room)

    # The library may have sent a GET again by itself, as it does when a kept connection breaks.
    assert {kind} <= set(outcomes(client))


async def test_an_outage_never_looks_at_the_request(client):
    """
    A nonce that went down with an outage is still good; one that went down with a reset is not.
    """
    wire = zego("DescribeUserNum", ["a"], now=client.now)
    number = order(client, "outage")
    with pytest.raises(BROKEN):
        await client.send(wire)
    client.simulator.faults.clear(number)
    assert "0" == await client.code(wire)

    wire = zego("DescribeUserNum", ["a"], now=client.now)
    number = order(client, "reset")
    with pytest.raises(BROKEN):
        await client.send(wire)
    client.simulator.faults.clear(number)
    assert "100000005" == await client.code(wire)


async def test_latency_delays_the_answer(client, clock, room):
    """
    By so many seconds, give or take the jitter; the answer is as of its end.
    """
    order(client, "latency", seconds=2.0)
    await client.ask("zego_rtc", room)
    assert [2.0] == clock.slept

    order(client, "latency", seconds=3.0, jitter=1.0)
    await client.ask("zego_rtc", room)
    assert 4.0 <= clock.slept[1] <= 6.0
    for call in client.simulator.calls:
        assert call.answered - call.received == pytest.approx(clock.slept[call.number - 1])


async def test_a_client_that_does_not_wait(clock):
    """
    Its call is logged as abandoned, with no answer.
    """
    asleep = Clock(time=lambda: clock.unix, monotonic=lambda: clock.steady, sleep=lambda _: asyncio.sleep(3600))
    simulator = Simulator(Settings(rooms={}), asleep)
    await simulator.start()
    simulator.faults.order(Fault(kind="latency", seconds=3600))
    async with aiohttp.ClientSession() as session:
        client = Client(simulator, session)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.ask("zego_rtc", "a"), 0.05)
    await simulator.stop()

    assert [("abandoned", 0, "")] == [(call.outcome, call.status, call.code) for call in simulator.calls]


async def test_hanging_ends_in_a_reset(client, clock, room):
    """
    No answer for that long, then a broken connection.
    """
    order(client, "hang", seconds=7.0)

    with pytest.raises(BROKEN):
        await client.ask("tencent_im", room)

    assert 7.0 in clock.slept
    assert "hang" == outcomes(client)[0]


async def test_hanging_for_ever(client, room):
    """
    Without a length, nothing ever comes; the client's own time-out ends it, and the simulator stops all the same.
    """
    order(client, "hang")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.ask("tencent_im", room), 0.05)

    assert ["hang"] == outcomes(client)


async def test_dripping(client, clock, room):
    """
    The true answer, spread over so many seconds.
    """
    order(client, "drip", seconds=10.0)

    assert 5 == callers.counts("tencent_im", (await client.ask("tencent_im", room)).document)
    assert 10.0 == pytest.approx(sum(clock.slept))


@pytest.mark.parametrize("api", APIS)
async def test_http_statuses(client, room, api):
    """
    The status that was ordered, with a page of HTML instead of the vendor's envelope.
    """
    order(client, "status", status=503, retry_after=7)

    got = await client.ask(api, room)

    assert (503, "7", "text/html") == (got.status, got.headers["Retry-After"], got.headers["Content-Type"])
    assert b"<h1>503</h1>" in got.body


async def test_redirects(client, room):
    """
    3xx come with a Location that leads back here.
    """
    order(client, "status", status=302)

    with pytest.raises(aiohttp.TooManyRedirects):
        await client.ask("zego_rtc", room)


@pytest.mark.parametrize(("api", "code"), [(api, code) for api in APIS for code in CODES[api].messages])
async def test_every_documented_code_can_be_ordered(client, room, api, code):
    """
    In its vendor's envelope, with its HTTP status; numbers are numbers.
    """
    order(client, "code", apis=frozenset({api}), code=code)

    got = await client.ask(api, room)

    assert code == got.code
    assert (200 if api != "volcengine_rtc" else got.status) == got.status
    if api != "volcengine_rtc":
        assert isinstance(got.document.get("Code", got.document.get("ErrorCode")), int)
    assert ["code"] == outcomes(client)


async def test_http_status_of_an_ordered_code(client, room):
    """
    A code may be given another HTTP status than the documented one.
    """
    order(client, "code", apis=frozenset({"volcengine_rtc"}), code="InternalError", status=200, message="oops")

    got = await client.ask("volcengine_rtc", room)

    assert (200, "InternalError") == (got.status, got.code)
    assert "oops" == got.document["ResponseMetadata"]["Error"]["Message"]


@pytest.mark.parametrize("api", APIS)
async def test_rate_limit_bursts_and_refused_rooms(client, room, api):
    """
    The vendor's own codes for either.
    """
    number = order(client, "rate_limited", retry_after=3)
    got = await client.ask(api, room)
    assert (CODES[api].rate_limited, "3") == (got.code, got.headers["Retry-After"])
    client.simulator.faults.clear(number)

    order(client, "refused", rooms=frozenset({room}))
    assert CODES[api].refused == (await client.ask(api, room)).code


async def test_one_refused_room_spoils_its_batch(client, room):
    """
    ZEGO refuses the whole batch for one bad room; batches without it are answered.
    """
    order(client, "refused", rooms=frozenset({"bad"}))

    assert "2" == (await client.ask("zego_rtc", room, "bad")).code
    assert "0" == (await client.ask("zego_rtc", room, "good")).code


@pytest.mark.parametrize(("api", "code"), [("zego_rtc", "100000004"), ("volcengine_rtc", "InvalidTimestamp")])
async def test_clock_skew(client, room, api, code):
    """
    A vendor whose clock is far ahead refuses honest timestamps; its Date header shows the skew.
    """
    order(client, "clock_skew", seconds=901.0)

    got = await client.ask(api, room)

    assert code == got.code
    assert START + 901 == email.utils.parsedate_to_datetime(got.headers["Date"]).timestamp()


@pytest.mark.parametrize("api", APIS)
async def test_dates_are_the_vendors(client, room, api):
    """
    Every reply carries the vendor's time, to the second.
    """
    got = await client.ask(api, room)

    assert START == email.utils.parsedate_to_datetime(got.headers["Date"]).timestamp()


@pytest.mark.parametrize("api", APIS)
async def test_a_revoked_secret(client, room, api):
    """
    Calls are refused as if signed with another secret, for one app or all.
    """
    order(client, "revoked", apis=frozenset({api}))

    assert CODES[api].revoked == (await client.ask(api, room)).code
    assert ["refusal"] == outcomes(client)


@pytest.mark.parametrize(
    ("api", "vendor", "app"),
    [
        ("zego_rtc", "zego", str(ZEGO.app_id)),
        ("tencent_live", "tencent", str(TENCENT.sdk_app_id)),
        ("volcengine_rtc", "volcengine", VOLCENGINE.app_id),
    ],
)
async def test_a_rotated_secret(client, room, api, vendor, app):
    """
    The old secret does not match any more; the new one does.
    """
    client.simulator.credentials.rotate(vendor, app, "new")

    assert CODES[api].revoked == (await client.ask(api, room)).code
    wire = {
        "zego": lambda: zego("DescribeUserNum", [room], now=client.now, server_secret="new"),
        "tencent": lambda: tencent(
            "live_engine_http_srv/get_member_list",
            {"RoomId": room, "Next": ""},
            now=client.now,
            sig=callers.usersig(now=client.now, secret_key="new"),
        ),
        "volcengine": lambda: callers.volcengine(room, now=client.now, host=client.host, secret_key="new"),
    }[vendor]()
    assert "0" == await client.code(wire)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("fault", [{"kind": "rate_limited"}, {"kind": "status", "status": 500}, {"kind": "revoked"}])
async def test_errors_that_quote_the_request(client, room, api, fault):
    """
    An echoing vendor repeats signatures in its error messages, whatever the error.
    """
    order(client, "echo")
    client.simulator.faults.order(Fault(**fault))
    wire = callers.ask(api, [room], now=client.now, host=client.host)

    got = await client.send(wire)

    if api == "volcengine_rtc":
        secret = wire.headers["Authorization"].rpartition("=")[2]
    else:
        name = "usersig=" if api.startswith("tencent") else "&Signature="
        secret = wire.query.partition(name)[2].partition("&")[0]
    assert secret.encode() in got.body


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "form", ["wrong_type", "negative", "boolean", "fraction", "null", "missing", "huge", "string", "list"]
)
async def test_spoilt_counts(client, room, api, form):
    """
    The reply is JSON still, but its count is none; only a number as text still tells the truth.
    """
    order(client, "garbage", form=form)

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
    order(client, "garbage", form=form)

    got = await client.ask(api, room)

    assert 200 == got.status
    with pytest.raises(ValueError, match=r"."):
        json.loads(got.body)


@pytest.mark.parametrize(("form", "size"), [("oversize", OVERSIZE), ("bomb", BOMB)])
async def test_bodies_that_are_too_long(client, room, form, size):
    """
    Longer than anybody should read, plain or after decompression.
    """
    order(client, "garbage", form=form)

    assert size == len((await client.ask("tencent_im", room)).body)


async def test_swapped_rooms(client):
    """
    Every room is there, in another order.
    """
    order(client, "garbage", form="swapped")

    got = await client.ask("zego_rtc", "a", "b", "c")

    assert ["c", "b", "a"] == [entry["RoomId"] for entry in got.document["Data"]["UserCountList"]]
    assert ["a", "b", "c"] == [count.room for count in next(iter(client.simulator.calls)).counts]


async def test_omitted_rooms(client):
    """
    One of them is missing, and the log knows which.
    """
    order(client, "garbage", form="omitted")

    got = await client.ask("zego_rtc", "a", "b", "c")

    rooms = [entry["RoomId"] for entry in got.document["Data"]["UserCountList"]]
    assert 2 == len(rooms)
    assert rooms == [count.room for count in next(iter(client.simulator.calls)).counts]


async def test_duplicated_rooms(client):
    """
    One stands there twice with different counts; the log does not vouch for it.
    """
    order(client, "garbage", form="duplicated")

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
    number = order(client, "garbage", form="foreign")
    got = await client.ask("zego_rtc", "a", "b")
    assert {"a", "b"} < {entry["RoomId"] for entry in got.document["Data"]["UserCountList"]}
    client.simulator.faults.clear(number)

    order(client, "garbage", form="bare_list")
    got = await client.ask("zego_rtc", "a", "b")
    assert ["a", "b"] == [entry["RoomId"] for entry in got.document["Data"]]


@pytest.mark.parametrize("api", APIS)
async def test_garbage_for_missing_rooms_and_at_random(client, clock, api):
    """
    A reply without a count is cut instead; without a form, forms vary, and none of them harms a machine.
    """
    number = order(client, "garbage", form="negative")
    got = await client.ask(api, "nowhere")
    if api != "zego_rtc":
        with pytest.raises(ValueError, match=r"."):
            json.loads(got.body)
    client.simulator.faults.clear(number)

    client.simulator.world.set(api, "Room1", 5)
    order(client, "garbage")
    for _ in range(60):
        clock.advance(1)
        assert len((await client.ask(api, "Room1")).body) < 10_000
    assert len(set(outcomes(client))) > 8


def test_faults_end():
    """
    After their duration, or when they are cleared.
    """
    clock = FakeClock()
    faults = Faults(clock.as_clock(), seed=1)
    first = faults.order(Fault(kind="reset", duration=10))
    second = faults.order(Fault(kind="latency", seconds=1))

    assert [first, second] == [order.number for order in faults.orders()]
    clock.advance(9.9)
    assert faults.effects("zego_rtc", "", ()).decisive is not None
    clock.advance(0.1)
    effects = faults.effects("zego_rtc", "", ())
    assert (None, 1.0) == (effects.decisive, effects.delay)
    faults.clear(second)
    assert [] == faults.orders()
    with pytest.raises(KeyError):
        faults.clear(second)


def test_faults_strike_whom_they_are_meant_for():
    """
    By API, by app, by room; those that decide a call, the oldest first.
    """
    faults = Faults(FakeClock().as_clock(), seed=1)
    faults.order(Fault(kind="reset", apis=frozenset({"zego_rtc"}), rooms=frozenset({"a"})))
    faults.order(Fault(kind="hang", app="1"))

    def struck(api, app, *rooms):
        decisive = faults.effects(api, app, rooms).decisive
        return decisive.kind if decisive else None

    assert "reset" == struck("zego_rtc", "1", "b", "a")
    assert "hang" == struck("zego_rtc", "1", "b")
    assert "hang" == struck("zego_zim", "1", "a")
    assert struck("zego_rtc", "2", "b") is None


def test_faults_strike_as_often_as_ordered():
    """
    A tenth of the calls, and the same ones for the same seed.
    """

    def strikes(seed):
        faults = Faults(FakeClock().as_clock(), seed)
        faults.order(Fault(kind="reset", probability=0.1))
        return [faults.effects("zego_rtc", "", ()).decisive is not None for _ in range(5000)]

    assert 400 < sum(strikes(1)) < 600
    assert strikes(1) == strikes(1)
    assert strikes(1) != strikes(2)


def test_modifiers_add_up():
    """
    Skews and delays are summed; they do not stand in the way of what decides the call.
    """
    faults = Faults(FakeClock().as_clock(), seed=random.randrange(100))
    for fault in (
        Fault(kind="clock_skew", seconds=-5),
        Fault(kind="clock_skew", seconds=2),
        Fault(kind="latency", seconds=1),
        Fault(kind="latency", seconds=2),
        Fault(kind="echo"),
        Fault(kind="revoked"),
        Fault(kind="cut"),
    ):
        faults.order(fault)

    effects = faults.effects("zego_rtc", "", ())

    assert (-3, 3, True, True) == (effects.skew, effects.delay, effects.echo, effects.revoked)
    assert effects.decisive is not None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "latency"}, "latency needs seconds"),
        ({"kind": "latency", "seconds": -1}, "seconds: -1 is negative"),
        ({"kind": "status"}, "status needs status"),
        ({"kind": "status", "status": 42}, "status: 42 is not between 200 and 599"),
        ({"kind": "code"}, "code needs code"),
        ({"kind": "code", "code": "InternalError"}, "'InternalError' is no number; only volcengine_rtc has"),
        ({"kind": "refused"}, "refused needs rooms"),
        ({"kind": "reset", "seconds": 1}, "reset has no use for seconds"),
        ({"kind": "echo", "form": "html"}, "echo has no use for form"),
        ({"kind": "reset", "apis": frozenset({"agora"})}, "apis: agora: unknown; known are zego_rtc"),
        ({"kind": "reset", "apis": frozenset()}, "apis: none named"),
        ({"kind": "reset", "probability": 0}, "probability: 0 is not above 0 and at most 1"),
        ({"kind": "reset", "probability": 1.1}, "probability: 1.1 is not"),
        ({"kind": "reset", "duration": -1}, "duration: -1 is negative"),
    ],
)
def test_orders_that_make_no_sense(wrong, message):
    """
    Each is refused with what is wrong with it.
    """
    with pytest.raises(ValueError, match=message):
        Fault(**wrong)


def _count(api, document):
    if api == "zego_rtc":
        return document["Data"]["UserCountList"][0]["UserCount"]
    path = {
        "zego_zim": ("Count",),
        "tencent_im": ("OnlineMemberNum",),
        "tencent_live": ("Response", "MemberCount"),
        "volcengine_rtc": ("Result", "TotalUser"),
    }[api]
    for step in path:
        document = document[step]
    return document
