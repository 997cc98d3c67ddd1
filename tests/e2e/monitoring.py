"""
Prometheus and Alertmanager as real processes, on free ports of 127.0.0.1 and with the very files of `deploy/`.

Alertmanager reads `deploy/alertmanager/alertmanager.yml` itself. Of Prometheus' files these are rewritten, and nothing
else: the addresses of its targets, `scrape_interval` (to `SCRAPE_INTERVAL`), and, each shortened `FASTER` times,
`evaluation_interval`, the groups' `interval` and the alerts' `for` and `keep_firing_for`. Expressions stay as they are.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
import yaml

from tests.e2e.process import free_port
from tests.programs import find_program

DEPLOY = Path(__file__).parents[2] / "deploy"
FASTER = 30
SCRAPE_INTERVAL = "2s"
"""Not shortened as much as the rest: a scrape may take no longer than this, and tests run on busy machines."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}

T = TypeVar("T")


class Daemon:
    """
    A program that serves HTTP until it is told to stop.
    """

    def __init__(self, url: str, log_file: Path, *command: str | Path) -> None:
        self.url, self.log_file = url, log_file
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._client: aiohttp.ClientSession | None = None

    @property
    def log(self) -> str:
        """Everything that it printed so far."""
        return self.log_file.read_text(encoding="utf-8")

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        with self.log_file.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(*self._command, stdout=log, stderr=log)
        self._client = aiohttp.ClientSession(self.url)
        try:
            ready = await settled(True, self._ready, within=60)
            assert ready, f"it is not ready: {self.log}"
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End it, with force if it takes more than 20 s."""
        if self._client:
            await self._client.close()
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), 20)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def get(self, path: str, **parameters: str) -> Any:
        """The JSON at a path."""
        assert self._client
        async with self._client.get(path, params=parameters) as response:
            assert response.status == 200, f"{path} {parameters}: {await response.text()}"
            return await response.json()

    async def _ready(self) -> bool:
        assert self._client
        assert self._process
        assert self._process.returncode is None, f"it ended with {self._process.returncode}: {self.log}"
        try:
            async with self._client.get("/-/ready") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False


class Alertmanager:
    """
    Alertmanager with the committed file, without peers.
    """

    def __init__(self, folder: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        program = find_program("alertmanager")
        assert program
        self.daemon = Daemon(
            f"http://{self.address}",
            folder / "alertmanager.log",
            program,
            f"--config.file={DEPLOY / 'alertmanager' / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        )

    async def __aenter__(self) -> Self:
        await self.daemon.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.daemon.stop()

    async def alerts(self, name: str) -> list[dict[str, Any]]:
        """Alerts of that name which are firing now, those that an inhibition suppresses included."""
        return list(await self.daemon.get("/api/v2/alerts", filter=f"alertname={name}"))


class Prometheus:
    """
    Prometheus with the committed configuration and rules, at debug level: it mentions a failed scrape nowhere else.
    """

    def __init__(self, folder: Path, exporter: str, alertmanager: str) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        configuration = folder / "prometheus.yml"
        addresses = {"localhost:9877": exporter, "localhost:9093": alertmanager, "localhost:9090": self.address}
        _rewrite(configuration, addresses)
        program = find_program("prometheus")
        assert program
        self.daemon = Daemon(
            f"http://{self.address}",
            folder / "prometheus.log",
            program,
            f"--config.file={configuration}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address={self.address}",
            "--log.level=debug",
        )

    async def __aenter__(self) -> Self:
        await self.daemon.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.daemon.stop()

    async def vector(self, promql: str) -> list[tuple[dict[str, str], float]]:
        """
        Labels and values of an expression now. What is not a number is left out.

        Raises:
            AssertionError: Prometheus does not take the expression.
        """
        data = (await self.daemon.get("/api/v1/query", query=promql))["data"]
        assert data["resultType"] == "vector", promql
        samples = [(series["metric"], float(series["value"][1])) for series in data["result"]]
        return [(labels, value) for labels, value in samples if not math.isnan(value)]

    async def has_range(self, promql: str) -> bool:
        """
        Whether an expression has a number anywhere in the last minute, asked for as a graph does.

        Raises:
            AssertionError: Prometheus does not take the expression.
        """
        now = time.time()
        answer = await self.daemon.get(
            "/api/v1/query_range", query=promql, start=f"{now - 60:.3f}", end=f"{now:.3f}", step="1"
        )
        values = (value for series in answer["data"]["result"] for _, value in series["values"])
        return any(not math.isnan(float(value)) for value in values)

    async def rules(self) -> list[dict[str, Any]]:
        """Every rule that is loaded, with its health and, for an alert, its state."""
        groups = (await self.daemon.get("/api/v1/rules"))["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def raised(self) -> set[str]:
        """Names of the alerts that are pending or firing now."""
        return {rule["name"] for rule in await self.rules() if rule.get("state", "inactive") != "inactive"}


async def settled(expected: object, look: Callable[[], Awaitable[T]], within: float) -> T:
    """
    Look again and again until what is expected is seen, and return what was seen last.

    Args:
        within: Seconds.
    """
    deadline = time.monotonic() + within
    while True:
        seen = await look()
        if seen == expected or time.monotonic() > deadline:
            return seen
        await asyncio.sleep(0.25)


def _rewrite(configuration: Path, addresses: Mapping[str, str]) -> None:
    """Write prometheus.yml and its rules to where a test's Prometheus reads them."""
    given = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    given["global"]["scrape_interval"] = SCRAPE_INTERVAL
    _shorten(given["global"], "evaluation_interval")
    for place in [*given["scrape_configs"], *given["alerting"]["alertmanagers"]]:
        for static in place["static_configs"]:
            static["targets"] = [addresses[target] for target in static["targets"]]
    configuration.write_text(yaml.safe_dump(given), encoding="utf-8")
    for path, rules in _rules(given["rule_files"]):
        file = configuration.parent / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(rules), encoding="utf-8")


def _rules(patterns: list[str]) -> Iterator[tuple[Path, dict[str, Any]]]:
    folder = DEPLOY / "prometheus"
    for file in (file for pattern in patterns for file in folder.glob(pattern)):
        rules = yaml.safe_load(file.read_text(encoding="utf-8"))
        for group in rules["groups"]:
            _shorten(group, "interval")
            for rule in group["rules"]:
                _shorten(rule, "for", "keep_firing_for")
        yield file.relative_to(folder), rules


def _shorten(settings: dict[str, Any], *names: str) -> None:
    for name in settings.keys() & set(names):
        duration = re.fullmatch(r"(\d+)([smh])", settings[name])
        assert duration, settings[name]
        settings[name] = f"{1000 * float(duration[1]) * _UNITS[duration[2]] / FASTER:.0f}ms"
