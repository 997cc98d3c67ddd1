"""
The world: believable, reproducible, and with a memory.
"""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.simulator import APIS, Settings, World, room_ids
from exporter.simulator.outlook import Outlook
from exporter.simulator.population import Curve
from tests.simulator.conftest import START, FakeClock

apis = st.sampled_from(APIS)
moments = st.floats(START - 86400, START + 86400)
rooms = st.text(min_size=1, max_size=20)


def world_of(clock, **rooms):
    """
    A world with that many rooms by API.
    """
    return World(seed=1, rooms=rooms, clock=clock.as_clock())


@settings(deadline=None)
@given(api=apis, room=rooms, start=moments, length=st.floats(0, 600), share=st.floats(0, 1))
def test_every_value_ever_held_is_in_its_window(api, room, start, length, share):
    """
    Whatever moment of a window is looked at, its value is among those of the window.
    """
    clock = FakeClock()
    world = World(seed=1, rooms={}, clock=clock.as_clock())
    world._curves[api][room] = None
    at = min(start + share * length, start + length)

    assert world.users(api, room, at) in world.values(api, room, start, start + length)
    assert world.state(api, room, at) in world.states(api, room, start, start + length)


@settings(deadline=None)
@given(data=st.data(), api=apis)
def test_scripts_are_remembered(data, api):
    """
    After any sequence of scripts, a window holds every value that was seen in it, and none that was not there.
    """
    clock = FakeClock()
    world = world_of(clock, **{api: 1})
    (room,) = world.room_ids(api)
    seen = []
    for _ in range(data.draw(st.integers(1, 12))):
        clock.advance(data.draw(st.sampled_from([0.0, 0.001, 1.0, 50.0])))
        step = data.draw(st.sampled_from(["set", "create", "destroy", "release", "look"]))
        if step == "set":
            world.set(api, room, data.draw(st.integers(0, 10**6)))
        elif step != "look":
            getattr(world, step)(api, room)
        seen.append((clock.unix, world.users(api, room)))

    start, end = sorted((data.draw(st.sampled_from(seen))[0], data.draw(st.sampled_from(seen))[0]))
    held = world.values(api, room, start, end)
    assert {users for at, users in seen if start <= at <= end} <= held
    assert held == {users for state in world.states(api, room, start, end) for users in [state.users]}


def test_scripts_hold_until_the_next():
    """
    The values before, between and after; a room that nobody knows of does not exist.
    """
    clock = FakeClock()
    world = world_of(clock)

    assert {0} == world.values("zego_rtc", "new", START - 100, START)
    clock.advance(10)
    world.create("zego_rtc", "new", 3)
    clock.advance(10)
    world.set("zego_rtc", "new", 7)
    clock.advance(10)
    world.destroy("zego_rtc", "new")
    clock.advance(10)

    assert {0, 3, 7} == world.values("zego_rtc", "new", START, clock.unix)
    assert {3} == world.values("zego_rtc", "new", START + 11, START + 19)
    assert {3, 7} == world.values("zego_rtc", "new", START + 11, START + 20)
    assert [False, True, True, False] == [
        world.exists("zego_rtc", "new", START + seconds) for seconds in (9, 10, 29, 30)
    ]
    assert ["new"] == world.known("zego_rtc")
    assert [] == world.room_ids("zego_rtc")


def test_a_wall_clock_that_is_set_back_does_not_unsort_the_history():
    """
    A script holds from its own time on or from the script before, whichever is later.
    """
    clock = FakeClock()
    world = world_of(clock)
    world.set("zego_rtc", "r", 5)
    clock.unix -= 3600
    world.set("zego_rtc", "r", 6)

    assert 6 == world.users("zego_rtc", "r", START)
    assert {0} == world.values("zego_rtc", "r", clock.unix, clock.unix)


@pytest.mark.parametrize("numbers", [{"users": -1}, {"users": 1, "admin": 2}, {"users": 1, "invisible": -1}])
def test_what_no_room_can_hold(numbers):
    """
    Negative numbers, and more admins or invisible users than users, are refused.
    """
    with pytest.raises(ValueError, match="not possible"):
        world_of(FakeClock()).set("zego_rtc", "r", **numbers)


def test_windows_that_cannot_be_answered():
    """
    A reversed one, and one that would take for ever.
    """
    world = world_of(FakeClock(), zego_rtc=1)
    (room,) = world.room_ids("zego_rtc")

    with pytest.raises(ValueError, match="before it starts"):
        world.states("zego_rtc", room, 1, 0)
    with pytest.raises(ValueError, match="more than 200000 changes"):
        world.states("zego_rtc", room, 0, START)


@settings(deadline=None)
@given(api=apis, room=rooms, at=moments)
def test_admins_and_invisible_users_are_users(api, room, at):
    """
    In every room at every moment; who does not exist has no users.
    """
    curve = Curve.of(1, api, room, churn=0.5)
    state = curve.state(curve.step_at(at))

    assert 0 <= max(state.admin, state.invisible) <= state.users
    assert state.exists or (0, 0, 0) == state[:3]
    assert 0 == state.admin or api == "zego_rtc"
    assert 0 == state.invisible or api == "volcengine_rtc"


def test_the_same_seed_is_the_same_world():
    """
    Ids and populations repeat; with another seed the populations are others.
    """
    first, same, other = (World(seed=seed, rooms={"zego_rtc": 50}, clock=FakeClock().as_clock()) for seed in (1, 1, 2))

    def look(world):
        return [world.state("zego_rtc", room, START) for room in first.room_ids("zego_rtc")]

    assert first.room_ids("zego_rtc") == same.room_ids("zego_rtc")
    assert look(first) == look(same)
    assert look(first) != look(other)


def test_rooms_are_believable():
    """
    Small and large ones, fuller in the evening than at night; most exist, some come and go within an hour.
    """
    clock = FakeClock()
    world = world_of(clock, zego_rtc=2000)
    midnight = START - START % 86400
    ids = world.room_ids("zego_rtc")

    def total(hour):
        return sum(world.users("zego_rtc", room, midnight + 3600 * hour) for room in ids)

    assert total(13.5) > 2 * total(1.5)
    sizes = sorted(world.users("zego_rtc", room, START) for room in ids)
    assert sizes[len(sizes) // 2] < 20
    assert sizes[-1] > 200
    exist = {room for room in ids if world.exists("zego_rtc", room, START)}
    exist_later = {room for room in ids if world.exists("zego_rtc", room, START + 3600)}
    assert 0.85 * len(ids) < len(exist) < len(ids)
    assert exist - exist_later
    assert exist_later - exist


@pytest.mark.parametrize("api", APIS)
def test_ids_are_different_valid_and_partly_odd(api):
    """
    A larger world begins with the smaller one; every id keeps to its API's alphabet; some need escaping.
    """
    ids = room_ids.sample(api, 3000, seed=1)

    assert 3000 == len(set(ids))
    assert room_ids.sample(api, 500, seed=1) == ids[:500]
    assert all(room_ids.well_formed(api, room, strict=True) for room in ids)
    odd = "".join(room for room in ids if not room.replace("-", "").isalnum())
    assert set("@._-" if api == "volcengine_rtc" else '+%~"@TGS#' if api == "tencent_im" else "+%~") <= set(odd)


def test_a_hundred_thousand_rooms_start_at_once():
    """
    Nothing is computed for a room until somebody asks for it.
    """
    begun = time.process_time()
    world_of(FakeClock(), **dict.fromkeys(APIS, 20_000))

    assert time.process_time() - begun < 2


@settings(deadline=None)
@given(api=apis, share=st.floats(0, 3600))
def test_what_a_vendor_knows_was_true_within_its_data_lag(api, share):
    """
    The answered number is one that the room held since the vendor's last look; existence is the present one.
    """
    clock = FakeClock()
    world = world_of(clock, **{api: 20})
    clock.advance(share)
    started_with = Settings()
    outlook = Outlook(world, started_with, clock.unix)
    for room in world.room_ids(api):
        state = outlook.state(api, room)
        lag = started_with.refresh_of(api)

        assert state.users in world.values(api, room, clock.unix - lag, clock.unix)
        assert state.exists is world.exists(api, room)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rooms": {"zego": 1}}, "rooms: unknown name 'zego'"),
        ({"rooms": {"zego_rtc": -1}}, "rooms: zego_rtc is -1, less than 0"),
        ({"refresh": {"agora": 1}}, "refresh: unknown name 'agora'"),
        ({"churn": 1.5}, "churn: 1.5 is not between 0 and 1"),
        ({"call_log": 0}, "call_log: 0 is not a positive number"),
    ],
)
def test_settings_that_cannot_be(wrong, message):
    """
    A simulator is not started with what it would not understand.
    """
    with pytest.raises(ValueError, match=message):
        Settings(**wrong)
