"""
A simulator under a fake clock, and a client that calls it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from yarl import URL

from exporter.simulator import APIS, Clock, Settings, Simulator
from tests.simulator import callers
from tests.simulator.callers import Wire

START = 1_700_000_000.0


class FakeClock:
    """
    Time that passes when a test, or something that sleeps, says so.
    """

    def __init__(self) -> None:
        self.unix = START
        self.steady = 1000.0
        self.slept: list[float] = []

    def advance(self, seconds: float) -> None:
        """
        Let both clocks go on.
        """
        self.unix += seconds
        self.steady += seconds

    def as_clock(self) -> Clock:
        """
        In the form that the simulator takes.
        """
        return Clock(time=lambda: self.unix, monotonic=lambda: self.steady, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Got:
    """
    A response, read to its end.
    """

    status: int
    headers: Any
    body: bytes

    @property
    def document(self) -> Any:
        """
        The body's JSON.
        """
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """
        The vendor's code in it; a page of HTML has none but its status.
        """
        if self.status == 429 and self.headers["Content-Type"] == "text/html":
            return "http_429"
        return callers.code(self.document)


class Client:
    """
    Calls one simulator.
    """

    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession) -> None:
        self.simulator, self._session = simulator, session

    @property
    def host(self) -> str:
        """
        What to write in the Host header.
        """
        return self.simulator.url.removeprefix("http://")

    @property
    def now(self) -> float:
        """
        The simulator's wall clock.
        """
        return self.simulator.clock.time()

    async def send(self, wire: Wire) -> Got:
        """
        Send a request as it stands, its query untouched.
        """
        url = URL(f"{self.simulator.url}{wire.path}?{wire.query}", encoded=True)
        async with self._session.request(wire.method, url, headers=wire.headers, data=wire.body or None) as response:
            return Got(response.status, response.headers, await response.read())

    async def ask(self, api: str, *rooms: str, app: int = 0) -> Got:
        """
        Make an honest call, in the name of one of `SEVERAL_APPS`.
        """
        return await self.send(callers.ask(api, rooms, now=self.now, host=self.host, app=app))

    async def code(self, wire: Wire) -> str:
        """
        The vendor's code for a request.
        """
        return (await self.send(wire)).code

    async def control(self, method: str, path: str, document: object = None) -> Any:
        """
        What the control API answers, which must be well.
        """
        got = await self.control_raw(method, path, None if document is None else json.dumps(document).encode())
        assert 200 == got.status, got.body
        return got.document

    async def control_raw(self, method: str, path: str, body: bytes | None = None) -> Got:
        """
        What the control API answers.
        """
        async with self._session.request(method, f"{self.simulator.url}/_sim{path}", data=body) as response:
            return Got(response.status, response.headers, await response.read())


@pytest.fixture
def clock() -> FakeClock:
    """
    The clock of the simulators below.
    """
    return FakeClock()


@pytest.fixture
def settings() -> Settings:
    """
    A small world of every API; tests that need another override this.
    """
    return Settings(rooms=dict.fromkeys(APIS, 60), refresh={"tencent_im": 0, "tencent_live": 0})


@pytest.fixture
async def client(settings: Settings, clock: FakeClock) -> AsyncIterator[Client]:
    """
    A running simulator and its client.
    """
    simulator = Simulator(settings, clock.as_clock())
    await simulator.start()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield Client(simulator, session)
    await simulator.stop()


@pytest.fixture
def room(client: Client) -> str:
    """
    A room of every API, with five users.
    """
    for api in APIS:
        client.simulator.world.set(api, "Room1", 5)
    return "Room1"


def batches(api: str, rooms: Sequence[str]) -> list[tuple[str, ...]]:
    """
    The rooms in calls of the largest size.
    """
    size = {"zego_rtc": 10, "janus_videoroom": max(1, len(rooms))}.get(api, 1)
    return [tuple(rooms[at : at + size]) for at in range(0, len(rooms), size)]
