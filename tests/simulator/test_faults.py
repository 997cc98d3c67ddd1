"""
Ordered trouble, as a client meets it: each kind but garbage.
"""

import asyncio
import email.utils

import aiohttp
import pytest

from exporter.simulator import APIS, Clock, Fault, Settings, Simulator
from exporter.simulator.codes import CODES
from tests.simulator import callers
from tests.simulator.callers import TENCENT, VOLCENGINE, ZEGO, tencent, zego
from tests.simulator.conftest import START, Client

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
    if api == "janus_videoroom":
        error, event = got.document.get("error", {}), got.document.get("response", {})
        assert isinstance(error.get("code", event.get("error_code")), int)
    elif api != "volcengine_rtc":
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
    The vendor's own codes for either; who asks for all rooms asks for none that could be refused.
    """
    number = order(client, "rate_limited", retry_after=3)
    got = await client.ask(api, room)
    assert (CODES[api].rate_limited, "3") == (got.code, got.headers["Retry-After"])
    client.simulator.faults.clear(number)

    order(client, "refused", rooms=frozenset({room}))
    expected = "0" if api == "janus_videoroom" else CODES[api].refused
    assert expected == (await client.ask(api, room)).code


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
