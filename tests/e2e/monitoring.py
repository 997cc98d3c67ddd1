"""
Prometheus and Alertmanager as real processes, on free ports of 127.0.0.1 and with the very files of `deploy/`.

What is rewritten in these files, and nothing else: the addresses of targets and receivers, `scrape_interval` (to
`SCRAPE_INTERVAL`), and all other durations, which are shortened `FASTER` times: how often rules are evaluated, how long
alerts wait and go on, how far expressions look back, how long Alertmanager gathers alerts. Where a test is told to take
its time, Prometheus and Alertmanager run at the speed that the files say, as they do for operators.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
import yaml
from aiohttp import web

from tests.e2e.process import free_port
from tests.programs import find_program

DEPLOY = Path(__file__).parents[2] / "deploy"
FASTER = 30
SCRAPE_INTERVAL = "2s"
"""Not shortened as much as the rest: a scrape may take no longer than this, and tests run on busy machines."""

SHORTEST_LOOK_BACK = 10.0
"""Seconds that an expression looks back at least, so that it sees some scrapes."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_LOOK_BACK = re.compile(r"(\[|offset )(\d+[smh])(\]|\b)")

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


@dataclass(frozen=True, slots=True)
class Notified:
    """
    One alert in a message to a receiver. ``at`` is monotonic.
    """

    at: float
    receiver: str
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def alert(self) -> str:
        """Its name."""
        return self.labels["alertname"]


class Pager:
    """
    What Alertmanager sends to each of its receivers.
    """

    def __init__(self) -> None:
        self.notified: list[Notified] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{receiver}", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        port = free_port()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner
        await self._runner.cleanup()

    def of(self, alert: str, status: str = "firing", receiver: str = "pager") -> list[Notified]:
        """What a receiver was told of one alert."""
        return [one for one in self.notified if (one.alert, one.status, one.receiver) == (alert, status, receiver)]

    async def _take(self, request: web.Request) -> web.Response:
        now = time.monotonic()
        for alert in (await request.json())["alerts"]:
            self.notified.append(
                Notified(now, request.match_info["receiver"], alert["status"], alert["labels"], alert["annotations"])
            )
        return web.Response()


class Alertmanager:
    """
    Alertmanager with the committed file, without peers.

    Args:
        pager: Gets what goes to any receiver.
    """

    def __init__(self, folder: Path, pager: Pager, faster: float) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._configuration = folder / "alertmanager.yml"
        self._pager, self._faster = pager, faster
        program = find_program("alertmanager")
        assert program
        self.daemon = Daemon(
            f"http://{self.address}",
            folder / "alertmanager.log",
            program,
            f"--config.file={self._configuration}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        )

    async def __aenter__(self) -> Self:
        given = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8"))
        for receiver in given["receivers"]:
            receiver["webhook_configs"] = [{"url": f"{self._pager.url}/{receiver['name']}"}]
        for route in [given["route"], *given["route"]["routes"]]:
            _shorten(route, self._faster, "group_wait", "group_interval", "repeat_interval")
        self._configuration.write_text(yaml.safe_dump(given), encoding="utf-8")
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

    Args:
        exporter: Its address; of several, all of them with commas.
    """

    def __init__(self, folder: Path, exporter: str, alertmanager: str, faster: float) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        configuration = folder / "prometheus.yml"
        addresses = {"localhost:9877": exporter, "localhost:9093": alertmanager, "localhost:9090": self.address}
        _rewrite(configuration, addresses, faster)
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
        series = await self.graph(promql, time.time() - 60, step=1)
        return any(moments for _, moments in series)

    async def graph(self, promql: str, since: float, step: float) -> list[tuple[dict[str, str], list[float]]]:
        """
        The series of an expression from a Unix time until now: labels, and the moments at which it has a number.

        Raises:
            AssertionError: Prometheus does not take the expression.
        """
        answer = await self.daemon.get(
            "/api/v1/query_range", query=promql, start=f"{since:.3f}", end=f"{time.time():.3f}", step=f"{step:g}"
        )
        return [
            (series["metric"], [at for at, value in series["values"] if not math.isnan(float(value))])
            for series in answer["data"]["result"]
        ]

    async def rules(self) -> list[dict[str, Any]]:
        """Every rule that is loaded, with its health and, for an alert, its state."""
        groups = (await self.daemon.get("/api/v1/rules"))["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def summaries(self, alert: str) -> list[str]:
        """What the alerts of that name say now; Alertmanager is told within a minute."""
        rules = [rule for rule in await self.rules() if rule["name"] == alert]
        return [active["annotations"]["summary"] for rule in rules for active in rule["alerts"]]

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


def _rewrite(configuration: Path, addresses: Mapping[str, str], faster: float) -> None:
    """Write prometheus.yml and its rules to where a test's Prometheus reads them."""
    given = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    if faster > 1:
        given["global"]["scrape_interval"] = SCRAPE_INTERVAL
    _shorten(given["global"], faster, "evaluation_interval")
    for place in [*given["scrape_configs"], *given["alerting"]["alertmanagers"]]:
        for static in place["static_configs"]:
            static["targets"] = ",".join(addresses[target] for target in static["targets"]).split(",")
    configuration.write_text(yaml.safe_dump(given), encoding="utf-8")
    for path, rules in _rules(given["rule_files"], faster):
        file = configuration.parent / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(rules), encoding="utf-8")


def _rules(patterns: list[str], faster: float) -> Iterator[tuple[Path, dict[str, Any]]]:
    folder = DEPLOY / "prometheus"
    for file in (file for pattern in patterns for file in folder.glob(pattern)):
        rules = yaml.safe_load(file.read_text(encoding="utf-8"))
        for group in rules["groups"]:
            _shorten(group, faster, "interval")
            for rule in group["rules"]:
                _shorten(rule, faster, "for", "keep_firing_for")
                rule["expr"] = _LOOK_BACK.sub(lambda found: _sooner(found, faster), rule["expr"])
        yield file.relative_to(folder), rules


def _shorten(settings: dict[str, Any], faster: float, *names: str) -> None:
    for name in settings.keys() & set(names):
        settings[name] = f"{1000 * _seconds(settings[name]) / faster:.0f}ms"


def _sooner(look_back: re.Match[str], faster: float) -> str:
    given = _seconds(look_back[2])
    return f"{look_back[1]}{1000 * max(given / faster, min(given, SHORTEST_LOOK_BACK)):.0f}ms{look_back[3]}"


def _seconds(duration: str) -> float:
    found = re.fullmatch(r"(\d+)([smh])", duration)
    assert found, duration
    return float(found[1]) * _UNITS[found[2]]
