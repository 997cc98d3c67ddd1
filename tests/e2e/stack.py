"""
Everything that an operator runs, on this machine: simulated vendors, exporter, Prometheus, Alertmanager.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from exporter.simulator.settings import APIS
from tests.e2e.monitoring import FASTER, Alertmanager, Pager, Prometheus, settled
from tests.e2e.process import ExporterProcess, free_port
from tests.e2e.vendors import LENIENT, Vendors

STAGE = "main.stage@7"
"""A room of every API, whose users the tests order; full of characters that mean something in a regular expression."""

WARNING, CRITICAL = 700, 1000
"""The stage's thresholds."""

LIST = "list"
"""A source all of whose rooms are in one file."""

FULL, LISTED = "full", "listed"
"""
Sources whose rooms find themselves by http_sd: one of `zego_zim` that may watch no more rooms than there are and takes
callbacks, and one of `volcengine_rtc`.
"""

SECRET, TOKEN = "callback-secret-of-the-stack", "path-token-of-the-stack-0123456789"


@dataclass(frozen=True, slots=True)
class Stack:
    """
    The running programs.

    Attributes:
        config_file: The exporter's: a source per API, named after it, read every second and unknown after three.
        rooms_file: Holds all rooms of the source `zego_zim` but the stage.
        list_file: Holds all rooms of the source `list`, which is one of `tencent_im`.
        callbacks: Where the source `full` takes callbacks, if there is one.
    """

    vendors: Vendors
    exporter: ExporterProcess
    prometheus: Prometheus
    alertmanager: Alertmanager
    pager: Pager
    config_file: Path
    rooms_file: Path
    list_file: Path
    callbacks: str

    def watched(self) -> set[tuple[str, str]]:
        """Every source and room."""
        of_apis = {(api, room) for api in APIS for room in [STAGE, *self.vendors.world.room_ids(api)]}
        return of_apis | {(LIST, room) for room in self.listed()}

    def listed(self) -> list[str]:
        """The rooms of the source `list`."""
        return self.vendors.world.room_ids("tencent_im")

    async def put_on_stage(self, users: int) -> None:
        """Bring so many users into the stage of every API, and wait until Prometheus holds that number for each."""
        orders = [{"api": api, "room": STAGE, "do": "set", "users": users} for api in APIS]
        await self.vendors.post("rooms", orders)
        expected = dict.fromkeys(APIS, users)
        assert expected == await settled(expected, self._users_on_stage, within=60)

    async def _users_on_stage(self) -> dict[str, int]:
        samples = await self.prometheus.vector(f'rtc_room_users{{room="{STAGE}"}}')
        return {labels["source"]: int(users) for labels, users in samples if labels["source"] in APIS}


@asynccontextmanager
async def running(
    folder: Path,
    rooms: Mapping[str, int],
    faster: float = FASTER,
    stages: Sequence[str] = (STAGE,),
    *,
    discovery: bool = False,
) -> AsyncIterator[Stack]:
    """
    Start everything, with so many rooms of each API beside the stages, and go on when Prometheus has read them; stop
    everything at the end.

    Args:
        faster: How many times faster than in the files alerts come and go.
        stages: Rooms of every API with the stage's thresholds; the stage is the first.
        discovery: Whether there are sources `full` and `listed`.
    """
    config_file, rooms_file, list_file = (folder / name for name in ("exporter.yml", "rooms.yml", "list.txt"))
    refresh = {"tencent_im": 0, "tencent_live": 0}
    async with Vendors(rooms=rooms, churn=0, refresh=refresh, limits=LENIENT) as vendors:
        listed = [{"targets": vendors.world.room_ids("zego_zim"), "labels": {"event": "launch"}}]
        rooms_file.write_text(yaml.safe_dump(listed), encoding="utf-8")
        list_file.write_text("\n".join(vendors.world.room_ids("tencent_im")), encoding="utf-8")
        port = free_port()
        callbacks = f"http://127.0.0.1:{port}/callback/{FULL}/{TOKEN}"
        config = _config(vendors, rooms_file, list_file, stages)
        config = _finding(vendors, config, rooms["zego_zim"] + 1, port) if discovery else config
        config_file.write_text(config, encoding="utf-8")
        files = config_file, rooms_file, list_file
        async with (
            ExporterProcess(config_file) as exporter,
            Pager() as pager,
            Alertmanager(folder, pager, faster) as alertmanager,
            Prometheus(folder, exporter.url.removeprefix("http://"), alertmanager.address, faster) as prometheus,
        ):
            stack = Stack(vendors, exporter, prometheus, alertmanager, pager, *files, callbacks)
            await stack.put_on_stage(users=60)
            yield stack


def _config(vendors: Vendors, rooms_file: Path, list_file: Path, stages: Sequence[str]) -> str:
    on_stage = [{"id": stage, "thresholds": {"warning": WARNING, "critical": CRITICAL}} for stage in stages]
    pace = {"interval": "1s", "timeout": "1s", "max_staleness": "3s"}
    sources: dict[str, dict[str, object]] = {
        api: {**pace, "rooms": [*on_stage, *vendors.world.room_ids(api)]} for api in APIS
    }
    sources["zego_zim"] |= {"rooms": on_stage, "rooms_files": [rooms_file.name]}
    sources[LIST] = {**pace, "api": "tencent_im", "rooms": [], "rooms_files": [list_file.name]}
    return vendors.config(**sources)


def _finding(vendors: Vendors, config: str, most: int, port: int) -> str:
    """The config with two sources more whose rooms find themselves."""
    document, wanted = yaml.safe_load(config), {FULL: "zego_zim", LISTED: "volcengine_rtc"}
    for name, api in wanted.items():
        (given,) = [source for source in document["sources"] if source["name"] == api]
        found = {"http_sd": [{"url": f"{vendors.url}/_sim/http_sd/{api}", "refresh_interval": "1s"}]}
        kept = {key: value for key, value in given.items() if key not in ("rooms", "rooms_files")}
        slow = {"interval": "5s", "max_staleness": "15s"}
        document["sources"].append({**kept, **slow, "name": name, "discovery": found})
    callbacks = {"secret": SECRET, "path_token": TOKEN}
    document["sources"][-2]["discovery"] |= {"max_rooms": most, "callbacks": callbacks}
    document["callbacks"] = {"listen_address": f"127.0.0.1:{port}"}
    return str(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))
