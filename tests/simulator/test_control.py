"""
The control API: the truth and the levers, over HTTP.
"""

import asyncio

import aiohttp
import pytest

from exporter.simulator import APIS, Settings, Simulator
from exporter.simulator.server import _url
from tests.simulator.callers import TENCENT, VOLCENGINE, ZEGO


async def test_index(client):
    """
    The demo credentials and every endpoint there is.
    """
    index = await client.control("GET", "")

    assert [ZEGO.server_secret] == [app["server_secret"] for app in index["credentials"]["zego"]]
    assert [TENCENT.secret_key] == [app["secret_key"] for app in index["credentials"]["tencent"]]
    assert [VOLCENGINE.app_id] == [app["app_id"] for app in index["credentials"]["volcengine"]]
    assert {"GET /_sim/rooms", "POST /_sim/faults"} <= set(index["endpoints"])
    assert {api: {"rooms": 60} for api in APIS} == index["apis"]


async def test_rooms_now(client):
    """
    The truth of every room, a page at a time, or of those that are named or begin alike.
    """
    world = client.simulator.world
    got = await client.control("GET", "/rooms?api=zego_rtc&limit=40")
    rest = await client.control("GET", "/rooms?api=zego_rtc&offset=40")

    assert 60 == got["total"] == rest["total"]
    assert world.room_ids("zego_rtc") == [room["room"] for room in [*got["rooms"], *rest["rooms"]]]
    for room in got["rooms"]:
        state = world.state("zego_rtc", room["room"])
        assert {"room": room["room"], **state._asdict()} == room
    lobbies = await client.control("GET", "/rooms?api=zego_rtc&prefix=lobby")
    assert 0 < lobbies["total"] < 60
    (one,) = (await client.control("GET", "/rooms?api=zego_rtc&room=nowhere"))["rooms"]
    assert {"room": "nowhere", "users": 0, "admin": 0, "invisible": 0, "exists": False} == one


async def test_rooms_over_time(client, clock):
    """
    Every value that was held in a window, of one room or many.
    """
    await client.control("POST", "/rooms", {"api": "volcengine_rtc", "room": "r", "do": "set", "users": 5})
    clock.advance(10)
    order = {"api": "volcengine_rtc", "room": "r", "do": "set", "users": 9, "invisible": 4}
    await client.control("POST", "/rooms", order)
    clock.advance(10)

    window = f"from={clock.unix - 30}&to={clock.unix}"
    (room,) = (await client.control("GET", f"/rooms?api=volcengine_rtc&room=r&{window}"))["rooms"]

    assert {
        "room": "r",
        "users": [0, 5, 9],
        "admin": [0],
        "invisible": [0, 4],
        "exists": [False, True],
    } == room
    for number in range(200):
        client.simulator.world.create("volcengine_rtc", f"more-{number}")
    everyone = await client.control("GET", f"/rooms?api=volcengine_rtc&{window}")
    assert 261 == len(everyone["rooms"])


async def test_rooms_are_changed_all_or_none(client):
    """
    One order or a list; a list with a bad one changes nothing.
    """
    world = client.simulator.world
    orders = [
        {"api": "tencent_im", "room": "a", "do": "create"},
        {"api": "tencent_im", "room": "b", "do": "create", "users": 3},
    ]
    await client.control("POST", "/rooms", orders)
    assert [1, 3] == [world.users("tencent_im", room) for room in "ab"]

    bad = b'[{"api":"tencent_im","room":"a","do":"destroy"},{"api":"tencent_im","room":"","do":"create"}]'
    got = await client.control_raw("POST", "/rooms", bad)
    assert 400 == got.status
    assert world.exists("tencent_im", "a")
    await client.control("POST", "/rooms", {"api": "tencent_im", "room": "a", "do": "destroy"})
    await client.control("POST", "/rooms", {"api": "tencent_im", "room": "b", "do": "release"})
    assert not world.exists("tencent_im", "a")
    assert not world.exists("tencent_im", "b")


async def test_calls(client, clock):
    """
    What was asked, answered and counted, from a number on.
    """
    client.simulator.world.set("zego_rtc", "a", 5, admin=1)
    await client.ask("zego_rtc", "a", "b")
    clock.advance(1)
    await client.ask("tencent_im", "nowhere")

    got = await client.control("GET", "/calls")

    assert (50_000, 1, 2, 0, 2) == tuple(got[name] for name in ("capacity", "oldest", "last", "lost", "next"))
    first, second = got["calls"]
    assert (["a", "b"], "answer", "0", 200, str(ZEGO.app_id)) == tuple(
        first[name] for name in ("rooms", "outcome", "code", "status", "holder")
    )
    assert {"room": "a", "users": 5, "admin": 1, "invisible": None, "exists": None} == first["counts"][0]
    assert clock.unix - 1 == first["received"] == first["answered"]
    assert clock.steady == second["received_monotonic"]
    assert ("10010", False) == (second["code"], second["counts"][0]["exists"])
    assert [second] == (await client.control("GET", "/calls?since=1"))["calls"]
    assert [second] == (await client.control("GET", "/calls?api=tencent_im"))["calls"]
    paged = await client.control("GET", "/calls?limit=1")
    assert ([first], 1) == (paged["calls"], paged["next"])


class TestSmallLogs:
    """
    A log that forgets.
    """

    @pytest.fixture
    def settings(self):
        """
        Room for two calls.
        """
        return Settings(rooms={}, call_log=2)

    async def test_forgotten_calls_are_counted(self, client):
        """
        A reader who comes too late is told how many it lost.
        """
        for _ in range(5):
            await client.ask("zego_rtc", "a")

        got = await client.control("GET", "/calls?since=1")

        assert (2, 4, 5, 2) == tuple(got[name] for name in ("capacity", "oldest", "last", "lost"))


async def test_limits(client):
    """
    What every budget saw; limits change while it runs, and records start anew.
    """
    await client.ask("zego_rtc", "a")
    (report,) = (await client.control("GET", "/limits"))["limits"]
    assert {
        "name": "zego_rtc",
        "holder": str(ZEGO.app_id),
        "limit": 10,
        "calls": 1,
        "rejected": 0,
        "worst": 1,
    } == report

    await client.control("POST", "/limits", {"limit": "zego_rtc", "calls": 1})
    assert "206" == (await client.ask("zego_rtc", "a")).code
    assert [(2, 1)] == [
        (report["calls"], report["rejected"]) for report in (await client.control("GET", "/limits"))["limits"]
    ]
    (report,) = (await client.control("DELETE", "/limits"))["limits"]
    assert (0, 0, 0) == (report["calls"], report["rejected"], report["worst"])


async def test_faults(client, clock):
    """
    Ordered, listed with what is left of them, cleared one by one or all.
    """
    first = await client.control("POST", "/faults", {"kind": "rate_limited", "apis": ["zego_rtc"], "duration": 10})
    second = await client.control("POST", "/faults", {"kind": "garbage", "form": "html", "probability": 0.5})
    clock.advance(4)

    assert "206" == (await client.ask("zego_rtc", "a")).code
    listed = (await client.control("GET", "/faults"))["faults"]
    assert [(first["number"], 6.0), (second["number"], None)] == [
        (fault["number"], fault["seconds_left"]) for fault in listed
    ]
    assert {"kind": "garbage", "form": "html", "probability": 0.5} == listed[1]["fault"]
    assert {"faults": 1} == await client.control("DELETE", f"/faults?number={second['number']}")
    assert {"faults": 0} == await client.control("DELETE", "/faults")
    assert "0" == (await client.ask("zego_rtc", "a")).code


async def test_secrets(client):
    """
    Rotated while it runs.
    """
    await client.control("POST", "/secrets", {"vendor": "zego", "app": str(ZEGO.app_id), "secret": "new"})

    assert "100000005" == (await client.ask("zego_rtc", "a")).code


@pytest.mark.parametrize(
    ("method", "path", "body", "reason"),
    [
        ("GET", "/rooms", None, "api: missing; known are zego_rtc, zego_zim"),
        ("GET", "/rooms?api=agora", None, "api: 'agora'; known are"),
        ("GET", "/rooms?api=zego_rtc&rooms=a", None, "unknown parameter rooms; known are api, room"),
        ("GET", "/rooms?api=zego_rtc&app=5", None, "app: zego_rtc has no app '5'"),
        ("GET", "/rooms?api=zego_rtc&limit=0", None, "limit: '0' is not a whole number from 1 to 10000"),
        ("GET", "/rooms?api=zego_rtc&from=1", None, "to: missing; Unix seconds are wanted"),
        ("GET", "/rooms?api=zego_rtc&from=nan&to=1", None, "from: 'nan'; Unix seconds are wanted"),
        ("GET", "/rooms?api=zego_rtc&from=2&to=1", None, "the window ends (1.0) before it starts (2.0)"),
        ("GET", "/calls?since=-1", None, "since: '-1' is not a whole number"),
        ("GET", "/limits?all=1", None, "unknown parameter all; known are none"),
        ("POST", "/limits", b'{"limit":"zego","calls":1}', "limit: 'zego'; known are zego_rtc"),
        ("POST", "/limits", b'{"limit":"zego_rtc","calls":-1}', "a negative number"),
        ("POST", "/faults", b"{", "Input data was truncated"),
        ("POST", "/faults", b'{"kind":"sabotage"}', "Invalid enum value 'sabotage' - at `$.kind`"),
        ("POST", "/faults", b'{"kind":"reset","often":1}', "Object contains unknown field `often`"),
        ("POST", "/faults", b'{"kind":"reset","duration":"1"}', "Expected `float | null`, got `str` - at `$.duration`"),
        ("POST", "/faults", b'{"kind":"latency"}', "latency needs seconds"),
        ("DELETE", "/faults?number=5", None, "number: no fault 5 is in force"),
        ("POST", "/rooms", b'{"api":"zego_rtc","room":"a"}', "Object missing required field `do`"),
        ("POST", "/rooms", b'{"api":"zego","room":"a","do":"destroy"}', "api: 'zego'; known are"),
        ("POST", "/rooms", b'{"api":"zego_rtc","room":"a","do":"set"}', "set needs users"),
        ("POST", "/rooms", b'{"api":"zego_rtc","room":"a","do":"destroy","users":1}', "destroy has no use for users"),
        ("POST", "/rooms", b'{"api":"zego_rtc","room":"a","do":"set","users":1,"admin":2}', "not possible"),
        ("POST", "/rooms", b'{"api":"zego_rtc","room":"a","do":"set","users":1,"admin":-2}', "not possible"),
        ("POST", "/rooms", b'{"api":"zego_rtc","app":"5","room":"a","do":"destroy"}', "app: zego_rtc has no app '5'"),
        ("POST", "/secrets", b'{"vendor":"zego","app":"1","secret":"x"}', "app: zego has no app '1'"),
        ("POST", "/secrets", b'{"vendor":"agora","app":"1","secret":"x"}', "Invalid enum value 'agora'"),
        ("POST", "/darkness", b'{"seconds":0}', "Expected `float` > 0.0 - at `$.seconds`"),
    ],
)
async def test_what_is_not_understood_is_refused(client, method, path, body, reason):
    """
    With 400 and the reason.
    """
    got = await client.control_raw(method, path, body)

    assert 400 == got.status
    assert reason in got.document["error"]


async def test_what_does_not_exist(client):
    """
    Other paths are nobody's, and are not logged.
    """
    assert 404 == (await client.control_raw("GET", "/everything")).status
    assert 0 == len(client.simulator.calls)


async def test_darkness():
    """
    Connections are refused, those that were open are reset, and later all is well again on the same address.
    """
    simulator = Simulator(Settings(rooms={}))
    await simulator.start()
    async with aiohttp.ClientSession() as session:

        async def index():
            async with session.get(f"{simulator.url}/_sim") as response:
                return response.status

        assert 200 == await index()
        await simulator.go_dark()
        with pytest.raises(aiohttp.ClientConnectorError):
            await index()
        await simulator.wake()
        assert 200 == await index()

        async with session.post(f"{simulator.url}/_sim/darkness", json={"seconds": 0.01}) as response:
            assert 200 == response.status
        await asyncio.gather(*simulator._dark_periods)
        assert 200 == await index()
    await simulator.stop()
    await simulator.stop()
    assert "" == simulator.url


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104 - nothing is bound here
        ("localhost", "http://localhost:80"),
        ("::", "http://[::1]:80"),
        ("fe80::1", "http://[fe80::1]:80"),
    ],
)
def test_the_url_is_one_that_can_be_called(host, url):
    """
    Whatever address it listens on, the URL names one that a client on this machine reaches.
    """
    assert url == _url(host, 80)


async def test_an_address_that_is_taken(client):
    """
    The second simulator says so, and leaves nothing behind.
    """
    second = Simulator(Settings(rooms={}))

    with pytest.raises(OSError, match="in use"):
        await second.start(port=int(client.simulator.url.rpartition(":")[2]))

    assert "" == second.url


async def test_stopping_in_the_dark(clock):
    """
    A simulator that is asked to stop while it is dark stops.
    """
    simulator = Simulator(Settings(rooms={}))
    await simulator.start()
    simulator.go_dark_for(3600)

    await simulator.stop()
    await simulator.wake()

    assert "" == simulator.url
