"""
The real command as a subprocess, and what it publishes as seen from outside.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import aiohttp

ROOM_SAMPLE = re.compile(
    r'^(rtc_room_\w+)\{vendor="[^"]*",api="([^"]*)",source="([^"]*)",room="((?:[^"\\]|\\.)*)".*\} (\S+)$'
)
_UNESCAPE = {r"\\": "\\", r"\n": "\n", r"\"": '"'}


@dataclass(frozen=True, slots=True)
class RoomSamples:
    """
    The samples of one room in one scrape, by metric name; thresholds and info left out.
    """

    api: str
    source: str
    room: str
    values: dict[str, float] = field(default_factory=dict)

    @property
    def users(self) -> int:
        """Users in the room."""
        return int(self.values["rtc_room_users"])

    @property
    def read_at(self) -> float:
        """Unix time of the reading."""
        return self.values["rtc_room_reading_timestamp_seconds"]


class ExporterProcess:
    """
    `rtc-room-exporter run` with a config file, on a free port of 127.0.0.1.
    """

    def __init__(self, config_file: Path, *flags: str, env: Mapping[str, str] | None = None) -> None:
        self.config_file = config_file
        self.flags = flags
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = config_file.with_suffix(".log")
        self._env = {**os.environ, **(env or {})}
        self.program = [sys.executable, "-m", "exporter"]
        self._foreign = False
        self._process: asyncio.subprocess.Process | None = None
        self._client: aiohttp.ClientSession | None = None

    @classmethod
    def at(cls, config_file: Path, port: int) -> Self:
        """One that somebody else starts and stops, to look at."""
        found = cls(config_file)
        found.port, found.url, found._foreign = port, f"http://127.0.0.1:{port}", True
        return found

    async def __aenter__(self) -> Self:
        if self._foreign:
            self._client = aiohttp.ClientSession()
            await self._until_it_answers()
        else:
            await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._foreign:
            await self.stop()
        elif self._client:
            await self._client.close()

    @property
    def pid(self) -> int:
        """Of the exporter itself."""
        assert self._process
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything that it printed so far."""
        return self.log_file.read_text(encoding="utf-8")

    async def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.program,
                "run",
                f"--config.file={self.config_file}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                *self.flags,
                stdout=log,
                stderr=log,
                env=self._env,
            )
        self._client = self._client or aiohttp.ClientSession()
        await self._until_it_answers()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait for its end; returns its exit code."""
        assert self._process
        if self._process.returncode is None:
            self._process.send_signal(number)
        code = await asyncio.wait_for(self._process.wait(), 10)
        if self._client:
            await self._client.close()
            self._client = None
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal and do not wait."""
        assert self._process
        self._process.send_signal(number)

    async def text(
        self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Status and body of one of its pages."""
        assert self._client
        async with self._client.request(method, self.url + path, headers=headers) as response:
            return response.status, await response.text()

    async def rooms(self) -> dict[tuple[str, str], RoomSamples]:
        """Every room that has a value now, by source and room id."""
        return parse_rooms((await self.text("/metrics"))[1])

    async def _until_it_answers(self) -> None:
        for _ in range(200):
            if self._process and self._process.returncode is not None:
                raise AssertionError(f"it ended with {self._process.returncode}: {self.log}")
            try:
                await self.text("/-/healthy")
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
            else:
                return
        raise AssertionError(f"it does not answer: {self.log}")


def parse_rooms(text: str) -> dict[tuple[str, str], RoomSamples]:
    """The rooms of a scrape's text, by source and room id; a series that stands there twice fails."""
    rooms: dict[tuple[str, str], RoomSamples] = {}
    for line in text.splitlines():
        match = ROOM_SAMPLE.match(line)
        if match is None or match[1] in ("rtc_room_info", "rtc_room_users_threshold"):
            continue
        name, api, source, escaped, value = match.groups()
        room = _unescaped(escaped)
        samples = rooms.setdefault((source, room), RoomSamples(api, source, room))
        assert name not in samples.values, f"{name} twice for {room!r}"
        samples.values[name] = float(value)
    return rooms


def watched_rooms(text: str) -> set[tuple[str, str]]:
    """Source and id of every room that a scrape's text says is watched, with a value or without."""
    matches = (ROOM_SAMPLE.match(line) for line in text.splitlines() if line.startswith("rtc_room_info"))
    return {(match[3], _unescaped(match[4])) for match in matches if match}


def counted(text: str, source: str, metric: str) -> float:
    """The sum of a metric's samples of one source, those up to a bound left out."""
    lines = [line for line in text.splitlines() if line.startswith(f"{metric}{{") and f'source="{source}"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines if 'le="' not in line or 'le="+Inf"' in line)


def sources(text: str) -> set[str]:
    """Every source that a scrape's text says anything of."""
    return set(re.findall(r'\bsource="([^"]*)"', text))


def sample(text: str, series: str) -> float | None:
    """The value of a series in a scrape's text, written as it stands there; `None` if it is absent."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


def _unescaped(label: str) -> str:
    return re.sub(r"\\.", lambda found: _UNESCAPE[found[0]], label)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, below those that the system deals out to others meanwhile."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
