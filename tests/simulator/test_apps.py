"""
Several apps per vendor: each has rooms and limits of its own, whatever the rooms are called.
"""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from exporter.simulator import APIS, SEVERAL_APPS, Settings, Worlds
from exporter.simulator.settings import DOCUMENTED_LIMITS
from tests.simulator import callers
from tests.simulator.conftest import START, FakeClock

LOBBY = "lobby"
SAME_KEY, OTHER_KEY = 1, 2
"""Volcengine's apps beside the first one."""


@pytest.fixture
def settings():
    """
    Two apps of each vendor and a third of Volcengine's, in a world that shows its counts at once.
    """
    refresh = {"tencent_im": 0, "tencent_live": 0}
    return Settings(apps=SEVERAL_APPS, rooms=dict.fromkeys(APIS, 60), refresh=refresh)


@pytest.fixture
def ids():
    """
    The app ids of an API, first app first.
    """
    return lambda api: SEVERAL_APPS.ids()[api.partition("_")[0]]


def users(api, got):
    """
    The number of users of the lobby, the one room that was asked for.
    """
    found = callers.counts(api, got.document)
    return found[LOBBY] if isinstance(found, dict) else found


@pytest.mark.parametrize("api", APIS)
async def test_the_same_room_id_is_another_room_in_another_app(client, ids, api):
    """
    Each app answers with its own room's users, and a room that one app destroys goes on in the others.
    """
    for number, app in enumerate(ids(api)):
        client.simulator.worlds.of(api, app).set(api, LOBBY, 100 + number)

    for number, _ in enumerate(ids(api)):
        assert 100 + number == users(api, await client.ask(api, LOBBY, app=number))

    client.simulator.worlds.of(api, ids(api)[1]).destroy(api, LOBBY)
    assert 100 == users(api, await client.ask(api, LOBBY))


@pytest.mark.parametrize("api", APIS)
async def test_the_log_says_which_app_was_asked(client, ids, api):
    """
    The call log and the control API tell calls of one app from those of another.
    """
    for number, _ in enumerate(ids(api)):
        await client.ask(api, LOBBY, app=number)

    assert list(ids(api)) == [call["app"] for call in (await client.control("GET", "/calls"))["calls"]]


async def test_rooms_of_a_named_app_are_shown_and_changed(client, ids):
    """
    The control API means the first app unless it is told which one.
    """
    first, second = ids("tencent_live")
    order = {"api": "tencent_live", "room": LOBBY, "do": "set"}
    await client.control("POST", "/rooms", [order | {"users": 3}, order | {"app": second, "users": 4}])

    for app, expected in (("", 3), (f"&app={first}", 3), (f"&app={second}", 4)):
        (room,) = (await client.control("GET", f"/rooms?api=tencent_live&room={LOBBY}{app}"))["rooms"]
        assert expected == room["users"]


@hypothesis_settings(deadline=None)
@given(api=st.sampled_from(APIS), place=st.integers(0, 59), at=st.floats(START - 86400, START + 86400))
def test_no_two_apps_agree_on_a_rooms_users(api, place, at):
    """
    Apps begin with the same room ids; while a room exists in two of them, it has different numbers of users there.
    """
    worlds = Worlds(Settings(apps=SEVERAL_APPS, rooms={api: 60}, churn=0.5), FakeClock().as_clock())
    each = [worlds.of(api, app) for app in SEVERAL_APPS.ids()[api.partition("_")[0]]]
    room = each[0].room_ids(api)[place]

    assert {room} == {world.room_ids(api)[place] for world in each}
    counts = [world.users(api, room, at) for world in each if world.exists(api, room, at)]
    assert len(counts) == len(set(counts))


@pytest.mark.parametrize("api", ["zego_rtc", "zego_zim", "tencent_im", "tencent_live"])
async def test_each_app_has_a_limit_of_its_own(client, ids, api):
    """
    What one app's calls use up is not missing to the other.
    """
    for _ in range(DOCUMENTED_LIMITS[api]):
        await client.ask(api, LOBBY)

    await client.ask(api, LOBBY)
    await client.ask(api, LOBBY, app=1)

    first, second = ids(api)
    assert {first: 1, second: 0} == {budget.holder: budget.rejected for budget in client.simulator.limits.report()}


async def test_apps_on_one_access_key_share_a_limit_and_another_account_does_not(client):
    """
    Volcengine's 40 calls a second are the account's, whichever of its apps they are for.
    """
    for number in range(DOCUMENTED_LIMITS["volcengine_rtc"]):
        await client.ask("volcengine_rtc", LOBBY, app=(0, SAME_KEY)[number % 2])

    over = "FlowLimitExceeded.QPSOverLimit"
    assert [over, over, "0"] == [
        (await client.ask("volcengine_rtc", "lobby-0000", app=number)).code for number in (0, SAME_KEY, OTHER_KEY)
    ]


async def test_one_apps_secret_does_not_open_another(client, ids):
    """
    A call for the second app that is signed with the first one's credentials is refused.
    """
    second = ids("zego_rtc")[1]
    assert "100000005" == await client.code(callers.zego("DescribeUserNum", ["a"], now=client.now, app_id=int(second)))
    _, second = ids("tencent_im")
    wire = callers.tencent(
        "group_open_http_svc/get_online_member_num", {"GroupId": "a"}, now=client.now, sdkappid=second
    )
    assert "70014" == await client.code(wire)
    wire = callers.volcengine("a", now=client.now, host=client.host, AppId=ids("volcengine_rtc")[OTHER_KEY])
    assert "AccessDenied.NoPermissionForApp" == await client.code(wire)


async def test_rotating_one_apps_secret_leaves_the_others(client, ids):
    """
    After a rotation the app's old secret is refused, and the other app's still holds.
    """
    await client.control("POST", "/secrets", {"vendor": "tencent", "app": ids("tencent_im")[1], "secret": "new"})

    assert ["10010", "70009"] == [(await client.ask("tencent_im", "nowhere", app=number)).code for number in (0, 1)]


def test_an_app_that_no_vendor_knows_has_no_world():
    """
    Asking for its world is an error, not the first app's world.
    """
    worlds = Worlds(Settings(apps=SEVERAL_APPS, rooms={}), FakeClock().as_clock())

    with pytest.raises(KeyError):
        worlds.of("zego_rtc", SEVERAL_APPS.ids()["tencent"][0])
