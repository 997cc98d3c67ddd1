"""
A thousand sources at the same moment: replies and connections take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
from itertools import pairwise

from exporter.polling.crowd import Crowd
from tests.polling.virtual_time import in_virtual_time


async def turns_of(waiting: list[asyncio.Task[None]]) -> list[int]:
    """How many had ended after each iteration of the loop."""
    ended = []
    while not all(task.done() for task in waiting):
        await asyncio.sleep(0)
        ended.append(sum(task.done() for task in waiting))
    return ended


async def test_replies_take_turns() -> None:
    """
    Of a hundred in one iteration of the loop, at most twenty are processed in each one; a reply that nobody waits for
    any more keeps none from its turn.
    """
    crowd = Crowd()
    tasks = [asyncio.create_task(crowd.reply()) for _ in range(110)]
    await asyncio.sleep(0)
    for task in tasks[30:40]:
        task.cancel()
    ended = await turns_of(tasks)

    assert 10 + 20 >= ended[0]
    assert 20 >= max(later - earlier for earlier, later in pairwise(ended))
    assert 110 == ended[-1]


async def test_few_replies_do_not_wait() -> None:
    """
    Twenty at once are processed at once.
    """
    crowd = Crowd()
    tasks = [asyncio.create_task(crowd.reply()) for _ in range(20)]
    await asyncio.sleep(0)

    assert 20 == sum(task.done() for task in tasks)


@in_virtual_time
async def test_connections_open_five_at_a_time() -> None:
    """
    The next one begins when one is open, or has tried for 20 ms: fifty that hang for 5 s hold up others for 0.2 s.
    Those that were given up in the queue take no place.
    """
    crowd, loop = Crowd(), asyncio.get_running_loop()
    began = loop.time()
    begins: list[float] = []

    async def connect(takes: float) -> None:
        async with crowd.opening():
            begins.append(loop.time() - began)
            await asyncio.sleep(takes)

    hanging = [asyncio.create_task(connect(5)) for _ in range(50)]
    given_up = [asyncio.create_task(connect(5)) for _ in range(50)]
    quick = [asyncio.create_task(connect(0.001)) for _ in range(30)]
    await asyncio.sleep(0)
    for task in given_up:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*quick)

    assert [20 * (number // 5) for number in range(50)] == [round(1000 * begin) for begin in begins[:50]]
    assert [200 + number // 5 for number in range(30)] == [round(1000 * begin) for begin in begins[50:]]
    for task in hanging:
        task.cancel()
    await asyncio.wait([*hanging, *given_up])
