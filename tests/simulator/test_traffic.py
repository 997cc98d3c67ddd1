"""
Rooms that open and close by themselves, what is told of them, and the backend that names the open ones.
"""

import asyncio
import json

import aiohttp
import pytest

from exporter.simulator import APIS, Fault, Settings, Simulator, TrafficOrder
from tests.simulator.conftest import FakeClock


@pytest.fixture
def settings():
    """
    A world that the traffic fills.
    """
    return Settings(rooms={})


def simulated(seed=1):
    """
    A simulator without a port, and its clock.
    """
    clock = FakeClock()
    return Simulator(Settings(rooms={}, seed=seed), clock.as_clock()), clock


def run(simulator, clock, seconds):
    """
    Let so many seconds pass.
    """
    for _ in range(int(seconds * 10)):
        clock.advance(0.1)
        simulator.traffic.step()


def events(simulator):
    """
    All that happened: what, and to which room.
    """
    return [(event.what, event.room) for event in simulator.worlds.events.since(0, limit=10**6)]


def test_so_many_rooms_open_and_close_a_minute():
    """
    Fifty at once, then thirty a minute more and twenty a minute fewer.
    """
    simulator, clock = simulated()
    simulator.traffic.order(TrafficOrder(api="tencent_im", rooms=50, opens=30, closes=20, changes=60))
    assert 50 == len(events(simulator))

    run(simulator, clock, 600)

    happened = [what for what, _ in events(simulator)]
    assert happened.count("open") - 50 == pytest.approx(300, abs=15)
    assert happened.count("close") == pytest.approx(200, abs=15)
    assert happened.count("join") + happened.count("leave") == pytest.approx(590, abs=40)
    (report,) = simulator.traffic.report()
    world = simulator.world
    alive = [room for room in world.known("tencent_im") if world.exists("tencent_im", room)]
    assert report.open == len(alive) == 50 + 300 - 200 + (report.opened - 350) - (report.closed - 200)


def test_the_same_seed_brings_the_same_rooms():
    """
    At the same moments, with the same users; another seed brings others.
    """
    runs = []
    for seed in (1, 1, 2):
        simulator, clock = simulated(seed)
        simulator.traffic.order(TrafficOrder(api="zego_rtc", rooms=10, opens=60, closes=60))
        run(simulator, clock, 60)
        runs.append(simulator.worlds.events.since(0, limit=1000))

    assert runs[0] == runs[1] != runs[2]


def test_closed_rooms_open_again_with_another_session():
    """
    An id names one room after the other.
    """
    simulator, clock = simulated()
    simulator.traffic.order(TrafficOrder(api="zego_rtc", rooms=5, opens=60, closes=60, again=1))
    run(simulator, clock, 120)

    sessions: dict[str, set[int]] = {}
    for event in simulator.worlds.events.since(0, limit=1000):
        sessions.setdefault(event.room, set()).add(event.session)
    assert max(len(each) for each in sessions.values()) > 1
    assert len(sessions) < 20


def test_a_session_lasts_from_opening_to_end():
    """
    Whatever comes and goes in between.
    """
    simulator, clock = simulated()
    for users in (1, 5, 2):
        simulator.world.set("zego_rtc", "lobby", users)
        clock.advance(10)
    simulator.world.destroy("zego_rtc", "lobby")
    clock.advance(10)
    simulator.world.create("zego_rtc", "lobby")

    happened = simulator.worlds.events.since(0, limit=10)

    assert ["open", "join", "leave", "close", "open"] == [event.what for event in happened]
    assert [1, 1, 1, 1, 2] == [1 if event.session == happened[0].session else 2 for event in happened]


def test_rooms_that_are_gone_for_long_are_forgotten():
    """
    A million rooms that come and go take no more memory than those of the last while.
    """
    simulator, clock = simulated()
    simulator.traffic.order(TrafficOrder(api="zego_rtc", rooms=10, opens=600, closes=600, remember=30))
    run(simulator, clock, 300)

    assert len(simulator.world.known("zego_rtc")) < 10 + 400
    assert simulator.traffic.report()[0].closed > 2_900


@pytest.mark.parametrize("api", APIS)
async def test_traffic_and_events_by_http(client, api):
    """
    Ordered, told, and ended.
    """
    await client.control("POST", "/traffic", {"api": api, "rooms": 3})
    told = await client.control("GET", "/events?since=1")

    assert ["open", "open"] == [event["what"] for event in told["events"]]
    assert (3, 0, 3) == (told["last"], told["lost"], told["next"])
    assert 3 == (await client.control("GET", "/traffic"))["traffic"][0]["open"]
    assert [] == (await client.control("DELETE", "/traffic"))["traffic"]


async def test_ordered_traffic_goes_on_by_itself():
    """
    Without anybody's steps, by the real clock.
    """
    simulator = Simulator(Settings(rooms={}))
    await simulator.start()
    try:
        async with aiohttp.ClientSession(simulator.url) as session:
            body = json.dumps({"api": "zego_rtc", "opens": 60_000})
            async with session.post("/_sim/traffic", data=body) as response:
                assert 200 == response.status
            for _ in range(100):
                async with session.get("/_sim/events") as response:
                    if (await response.json())["last"] > 10:
                        break
                await asyncio.sleep(0.05)
            else:
                raise AssertionError("nothing happened")
    finally:
        await simulator.stop()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"api": "zoom"}, "api: 'zoom'"),
        ({"app": "7"}, "zego_rtc has no app '7'"),
        ({"opens": -1}, "opens: -1"),
        ({"rooms": 10**9}, "rooms: "),
        ({"again": 2}, "again: 2"),
        ({"remember": -1}, "remember: -1"),
    ],
)
async def test_traffic_that_cannot_be_is_refused(client, wrong, reason):
    """
    With the reason.
    """
    got = await client.control_raw("POST", "/traffic", json.dumps({"api": "zego_rtc"} | wrong).encode())

    assert 400 == got.status
    assert reason in got.document["error"]


async def test_a_backend_names_the_open_rooms(client, clock):
    """
    In the form that Prometheus reads; a room that has closed is not there any more.
    """
    world = client.simulator.world
    for room in ("a-1", "a-2", "b-1"):
        world.create("zego_zim", room)
    world.destroy("zego_zim", "a-2")

    got = await client.control_raw("GET", "/http_sd/zego_zim")

    assert [{"targets": ["a-1", "b-1"], "labels": {"app": "1234567890"}}] == got.document
    assert "application/json" == got.headers["Content-Type"]
    clock.advance(1)
    assert ["a-1"] == (await client.control("GET", "/http_sd/zego_zim?prefix=a-"))[0]["targets"]


@pytest.mark.parametrize(
    ("fault", "status", "content_type", "body"),
    [
        ({"kind": "status", "status": 500}, 500, "text/plain; charset=utf-8", b"out of order\n"),
        ({"kind": "content_type"}, 200, "text/html", b"["),
        ({"kind": "garbage", "form": "empty"}, 200, "application/json", b""),
        ({"kind": "garbage", "form": "truncated"}, 200, "application/json", b'[{"tar'),
        ({"kind": "latency", "seconds": 30}, 200, "application/json", b"["),
        ({"kind": "drip", "seconds": 5}, 200, "application/json", b"["),
    ],
)
async def test_a_backend_fails(client, clock, fault, status, content_type, body):
    """
    Refused, of another type, empty, cut short, late or slow, as ordered; vendors' calls are not struck.
    """
    client.simulator.world.create("zego_rtc", "lobby")
    client.simulator.faults.order(Fault(**fault, calls="http_sd"))

    got = await client.control_raw("GET", "/http_sd/zego_rtc")

    assert (status, content_type) == (got.status, got.headers["Content-Type"])
    assert got.body.startswith(body)
    if not body:
        assert b"" == got.body
    assert fault.get("seconds", 0) == pytest.approx(sum(clock.slept))
    assert "0" == (await client.ask("zego_rtc", "lobby")).code


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "cut"}, {"kind": "hang", "seconds": 3}])
async def test_a_backend_breaks_off(client, fault):
    """
    Before the answer or in the middle of it.
    """
    client.simulator.faults.order(Fault(**fault, calls="http_sd"))

    with pytest.raises((aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)):
        await client.control_raw("GET", "/http_sd/zego_rtc")
