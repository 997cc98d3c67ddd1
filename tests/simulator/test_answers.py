"""
What honest clients are answered.
"""

import pytest

from exporter.simulator import APIS
from tests.simulator import callers
from tests.simulator.conftest import batches


@pytest.mark.parametrize("api", APIS)
async def test_every_room_is_answered_with_the_worlds_truth(client, clock, api):
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
        assert (expected if api == "zego_rtc" else expected[batch[0]]) == callers.counts(api, got.document)
