"""
A real Janus: its rooms are created, joined, left and destroyed by its own API, and the metrics follow.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from exporter.clock import Clock
from exporter.model import Auth, Failure, FailureKind, Reading, Reply, Request, Stamp
from exporter.polling.client import Client, Response
from exporter.vendors import APIS
from tests.e2e.janus import ADMIN_KEY, ADMIN_SECRET, Janus
from tests.e2e.monitoring import settled
from tests.e2e.process import ExporterProcess
from tests.polling.house import parsed

pytestmark = [pytest.mark.needs_program("janus"), pytest.mark.timeout(180)]

PATIENCE = 20
CALLS = re.compile(r"^rtc_source_calls_total\{.*\} (\S+)", re.MULTILINE)
STATE = re.compile(r'^rtc_source_state\{.*state="(\w+)".*\} 1', re.MULTILINE)


@pytest_asyncio.fixture
async def janus(tmp_path: Path) -> AsyncIterator[Janus]:
    """
    A server without a room.
    """
    folder = tmp_path / "janus"
    folder.mkdir()
    async with Janus(folder) as server:
        yield server


def keys(janus: Janus, **more: Any) -> dict[str, Any]:
    """
    A source that reads this server.
    """
    return {
        "name": "video",
        "api": "janus_videoroom",
        "base_url": janus.admin_url,
        "admin_secret": ADMIN_SECRET,
        "admin_key": ADMIN_KEY,
        "interval": "200ms",
        **more,
    }


def exporter(folder: Path, *sources: dict[str, Any]) -> ExporterProcess:
    """
    The command with these sources.
    """
    file = folder / "exporter.yml"
    file.write_text(yaml.safe_dump({"sources": list(sources)}), encoding="utf-8")
    return ExporterProcess(file)


class Seen:
    """
    What the metrics say.
    """

    def __init__(self, running: ExporterProcess) -> None:
        self._running = running

    async def rooms(self) -> dict[str, tuple[float, float]]:
        """
        Users of each room, and whether it exists.
        """
        rooms = await self._running.rooms()
        return {
            room: (each.values["rtc_room_users"], each.values["rtc_room_exists"])
            for (_, room), each in rooms.items()
            if "rtc_room_users" in each.values
        }

    async def state(self) -> str:
        """
        The source's state.
        """
        (state,) = STATE.findall((await self._running.text("/metrics"))[1])
        return str(state)

    async def calls(self) -> float:
        """
        Calls made so far.
        """
        (calls,) = CALLS.findall((await self._running.text("/metrics"))[1])
        return float(calls)

    async def settle(self, expected: dict[str, tuple[float, float]]) -> None:
        """
        Wait until the rooms are these.
        """
        assert expected == await settled(expected, self.rooms, PATIENCE)


async def test_rooms_find_themselves(janus: Janus, tmp_path: Path) -> None:
    """
    Rooms appear when they are created, private ones as well; users are counted as they come and go; a destroyed room is
    told as missing, and then gone. One call an interval does all that.
    """
    found = keys(janus, rooms=["77"], discovery={"linger": "1500ms", "vendor_list": {}})
    async with exporter(tmp_path, found) as running:
        seen = Seen(running)
        await seen.settle({"77": (0, 0)})
        began, before = time.monotonic(), await seen.calls()

        await janus.create(4242, description='"room":9,"num_participants":9')
        await janus.create(4243, is_private=True)
        await seen.settle({"77": (0, 0), "4242": (0, 1), "4243": (0, 1)})
        one, other = await janus.session(), await janus.session()
        await one.join(4242)
        await other.join(4242)
        await seen.settle({"77": (0, 0), "4242": (2, 1), "4243": (0, 1)})
        await one.leave()
        await seen.settle({"77": (0, 0), "4242": (1, 1), "4243": (0, 1)})
        await other.vanish()
        await seen.settle({"77": (0, 0), "4242": (0, 1), "4243": (0, 1)})

        await janus.create(77)
        await janus.destroy(4242)
        await seen.settle({"77": (0, 1), "4242": (0, 0), "4243": (0, 1)})
        await seen.settle({"77": (0, 1), "4243": (0, 1)})
        await janus.create(4242)
        await seen.settle({"77": (0, 1), "4242": (0, 1), "4243": (0, 1)})

        polls = (time.monotonic() - began) / 0.2
        assert polls + 2 >= await seen.calls() - before
        assert "ok" == await seen.state()
        assert "num_participants" not in (await running.text("/metrics"))[1] + running.log


async def test_rooms_of_the_config_alone(janus: Janus, tmp_path: Path) -> None:
    """
    Without discovery the rooms of the config are read, all in one call, and no other is published. Without the
    plugin's key a private room is not seen.
    """
    for room in (1, 2, 3):
        await janus.create(room, is_private=room == 3)
    await (await janus.session()).join(2)
    source = keys(janus, rooms=["2", "3", "4"])
    del source["admin_key"]
    async with exporter(tmp_path, source) as running:
        seen = Seen(running)
        await seen.settle({"2": (1, 1), "3": (0, 0), "4": (0, 0)})
        began, before = time.monotonic(), await seen.calls()
        await asyncio.sleep(1)
        assert (time.monotonic() - began) / 0.2 + 2 >= await seen.calls() - before


async def test_ids_that_are_text(tmp_path: Path) -> None:
    """
    A server with string_ids has rooms with any name.
    """
    folder = tmp_path / "janus"
    folder.mkdir()
    names = ["lobby", "房间 1", 'it\'s "<b>"', "4242"]
    async with Janus(folder, string_ids=True) as janus:
        for name in names:
            await janus.create(name)
        await (await janus.session()).join("房间 1")
        async with exporter(tmp_path, keys(janus, discovery={"vendor_list": {}})) as running:
            await Seen(running).settle({name: (float(name == "房间 1"), 1) for name in names})


async def test_server_that_dies(janus: Janus, tmp_path: Path) -> None:
    """
    While Janus is down its rooms age and become unknown, and none is said to be gone. Once it is back, without its
    rooms, those of the config are missing and found ones go; new ones are found.
    """
    await janus.create(1)
    await janus.create(2)
    source = keys(
        janus,
        rooms=["1"],
        timeout="500ms",
        max_staleness="2s",
        discovery={"linger": "1s", "forget_after": "1m", "vendor_list": {}},
    )
    async with exporter(tmp_path, source) as running:
        seen = Seen(running)
        await seen.settle({"1": (0, 1), "2": (0, 1)})
        await janus.kill()
        await seen.settle({})
        metrics = (await running.text("/metrics"))[1]
        assert 'room="2"' in metrics
        assert re.search(r'^rtc_discovery_refreshes_total\{.*result="failed".*\} [1-9]', metrics, re.MULTILINE)

        await janus.start()
        await janus.create(3)
        await seen.settle({"1": (0, 0), "3": (0, 1)})
        assert "ok" == await seen.state()
        assert running.log.count("level=error") == 0


async def test_thousand_rooms(janus: Janus, tmp_path: Path) -> None:
    """
    A thousand rooms are found by the first call, and later ones by the next.
    """
    for room in range(1, 1001):
        await janus.create(room)
    await (await janus.session()).join(1000)
    async with exporter(tmp_path, keys(janus, interval="1s", discovery={"vendor_list": {}})) as running:
        seen = Seen(running)
        await seen.settle({str(room): (float(room == 1000), 1) for room in range(1, 1001)})
        for room in range(1001, 1051):
            await janus.create(room)
        await seen.settle({str(room): (float(room == 1000), 1) for room in range(1, 1051)})


async def test_wrong_secret(janus: Janus, tmp_path: Path) -> None:
    """
    With a wrong secret the source is unauthorized, no room is said to be missing, and the secret is nowhere to be seen;
    once its file is right, all is well by itself.
    """
    await janus.create(1)
    file = tmp_path / "secret"
    file.write_text("not the secret of it", encoding="utf-8")
    source = keys(janus, rooms=["1"], admin_secret_file=str(file), discovery={"vendor_list": {}})
    del source["admin_secret"]
    async with exporter(tmp_path, source) as running:
        seen = Seen(running)
        assert "unauthorized" == await settled("unauthorized", seen.state, PATIENCE)
        assert {} == await seen.rooms()
        file.write_text(ADMIN_SECRET, encoding="utf-8")
        await seen.settle({"1": (0, 1)})
        everything = running.log + (await running.text("/metrics"))[1]
        assert [] == [each for each in ("not the secret of it", ADMIN_SECRET, ADMIN_KEY) if each in everything]


@pytest.mark.parametrize(
    ("changes", "kind", "code"),
    [
        ({"admin_secret": "wrong"}, FailureKind.UNAUTHORIZED, "403"),
        ({"admin_key": "wrong"}, FailureKind.UNAUTHORIZED, "433"),
        ({"admin_path": "/other"}, FailureKind.MISCONFIGURED, "http_404"),
    ],
)
async def test_what_is_wrong_is_told(janus: Janus, changes: dict[str, Any], kind: FailureKind, code: str) -> None:
    """
    Secret, key and path: each mistake has its failure.
    """
    failure = await asked(keys(janus, rooms=["1"], **changes))

    assert isinstance(failure, Failure)
    assert (kind, code) == (failure.kind, failure.code)


async def test_the_other_port(janus: Janus) -> None:
    """
    Whoever asks at the port of clients is told so.
    """
    client = keys(janus, base_url=f"http://127.0.0.1:{janus.port}", rooms=["1"])

    elsewhere = await asked(client)
    by_path = await asked({**client, "admin_path": "/janus"})

    assert isinstance(elsewhere, Failure)
    assert isinstance(by_path, Failure)
    assert (FailureKind.MISCONFIGURED, "http_404") == (elsewhere.kind, elsewhere.code)
    assert (FailureKind.MISCONFIGURED, "457") == (by_path.kind, by_path.code)


async def test_plugin_that_is_not_loaded(tmp_path: Path) -> None:
    """
    A server without the plugin is misconfigured, and not one without rooms.
    """
    folder = tmp_path / "janus"
    folder.mkdir()
    async with Janus(folder, plugin=False) as janus:
        failure = await asked(keys(janus, rooms=["1"]))

    assert isinstance(failure, Failure)
    assert (FailureKind.MISCONFIGURED, "460") == (failure.kind, failure.code)


async def test_who_is_counted(janus: Janus) -> None:
    """
    Who joined as a publisher counts, with or without media; who only subscribes does not.
    """
    await janus.create(1)
    publisher = await janus.session()
    await publisher.join(1)
    await (await janus.session()).join(1, ptype="subscriber")

    async def answer() -> Reply | Failure:
        return await asked(keys(janus, rooms=["1"]))

    counted = Reply({"1": Reading(1, exists=True)})
    assert counted == await settled(counted, answer, within=5)
    await asyncio.sleep(0.2)
    assert counted == await answer()


async def asked(source: dict[str, Any]) -> Reply | Failure:
    """
    What one call of this source ends in.
    """
    (config,) = parsed(source)
    codec, clock = APIS["janus_videoroom"], Clock()
    stamp = Stamp(clock.unix(), clock.nonce())
    auth: Auth = codec.authorize(config.source, stamp.time)
    request: Request = codec.request(config.source, auth, ("1",), stamp)
    client = Client(config, None, clock)
    try:
        response = await client.call(request)
    finally:
        await client.aclose()
    assert isinstance(response, Response), response
    return codec.reply(("1",), response.status, response.headers, response.body)
