"""
What honest clients are answered is the truth.
"""

import random

import pytest

from exporter.simulator import APIS, Fault, Settings
from tests.simulator import callers
from tests.simulator.conftest import batches


@pytest.mark.parametrize("api", APIS)
async def test_every_room_is_answered(client, clock, api):
    """
    Every room of the world, odd ids included, is answered with the number of users that it holds.
    """
    for batch in batches(api, client.simulator.world.room_ids(api)):
        clock.advance(1)
        for room in batch:
            client.simulator.world.create(api, room, users=1 + len(room))
        got = await client.ask(api, *batch)
        assert "0" == got.code
        expected = {room: 1 + len(room) for room in batch}
        assert (
            expected if isinstance(counted := callers.counts(api, got.document), dict) else expected[batch[0]]
        ) == counted


class TestOverTime:
    """
    A world that moves, vendors that look at it now and then, replies that take their time or are spoilt.
    """

    @pytest.fixture
    def settings(self):
        """
        Many rooms that come and go, and the vendors' own data lag.
        """
        return Settings(rooms=dict.fromkeys(APIS, 40), churn=0.8)

    @pytest.mark.parametrize("api", APIS)
    async def test_what_the_log_vouches_for_was_true(self, client, clock, api):
        """
        Every count that a reply told truthfully was held between the call's receipt, less the data lag, and its answer.
        """
        world, dice = client.simulator.world, random.Random(api)
        client.simulator.faults.order(Fault(kind="latency", seconds=2, jitter=2, probability=0.3))
        client.simulator.faults.order(Fault(kind="garbage", probability=0.2))
        rooms = [*world.room_ids(api), "nowhere"]
        for _ in range(150):
            clock.advance(dice.choice([0.2, 3, 47, 600]))
            room = dice.choice(rooms)
            change = dice.choice([world.destroy, world.release, world.create, None, None])
            if change is not None:
                change(api, room)
            await client.ask(api, room, *([dice.choice(rooms)] if api == "zego_rtc" else []))

        lag = client.simulator.settings.refresh_of(api)
        vouched = [(call, count) for call in client.simulator.calls for count in call.counts]
        assert len(vouched) > 100
        for call, count in vouched:
            states = world.states(api, count.room, call.received - lag, call.answered)
            assert count.users in {state.users for state in states}
            assert count.exists is None or count.exists in {state.exists for state in states}
            assert count.admin is None or count.admin in {state.admin for state in states}
            assert count.invisible is None or count.invisible in {state.invisible for state in states}
