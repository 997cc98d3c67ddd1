"""What our rules cost a real Prometheus: the files of `deploy/`, evaluated as often as they say."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from tests.benchmarks.exporter import free_port
from tests.benchmarks.program import Program, cpu_seconds, resident_bytes
from tests.benchmarks.report import Row, at_most, information
from tests.benchmarks.scale import Scale
from tests.benchmarks.setting import ROOT, PeerMissingError
from tests.benchmarks.statistics import p50
from tests.programs import find_program

_DEPLOY: Final = ROOT / "deploy" / "prometheus"
_INTERVAL: Final = 10.0
"""Seconds in which every room is read once."""

_WARM_UP: Final = 200.0
"""Until every look-back is full: rules look three minutes back."""

_LONGEST_ROUND: Final = 3.0
_NOTABLE: Final = 0.1
_STARTING: Final = 30.0
_ENDING: Final = 20.0


def bench(scale: Scale) -> Sequence[Row]:
    """Rounds of every group of rules while Prometheus scrapes, and what Prometheus takes meanwhile."""
    with Program.python("servers.fleet", scale.rooms) as fleet, _prometheus(fleet.port) as prometheus:
        _read_rooms(fleet, scale, _WARM_UP)
        cpu, began = cpu_seconds(prometheus.pid), time.monotonic()
        rounds: dict[str, dict[str, float]] = {}
        for _ in range(int(3 * scale.seconds / _INTERVAL)):
            _read_rooms(fleet, scale, _INTERVAL)
            for group in prometheus.groups():
                rounds.setdefault(group["name"], {})[group["lastEvaluation"]] = group["evaluationTime"]
        share = 100 * (cpu_seconds(prometheus.pid) - cpu) / (time.monotonic() - began)
        memory = resident_bytes(prometheus.pid)
        firing = prometheus.firing()
    seconds = {name: list(by_time.values()) for name, by_time in rounds.items()}
    what = f"{scale.rooms:,} rooms, {firing:,} alerts"
    return [
        *(
            at_most("rules", f"{what}: a round of {name}, median", p50(took), "s", _LONGEST_ROUND)
            for name, took in seconds.items()
            if p50(took) > _NOTABLE
        ),
        information("rules", f"{what}: share of one core that Prometheus takes, scrapes included", share, "%"),
        information("rules", f"{what}: resident memory of Prometheus", memory, "B"),
    ]


def _read_rooms(fleet: Program, scale: Scale, seconds: float) -> None:
    """As an exporter does: a tenth of the rooms each second."""
    began = time.monotonic()
    for second in range(int(seconds)):
        fleet.order("read", scale.rooms / _INTERVAL)
        time.sleep(max(0.0, began + second + 1 - time.monotonic()))


class Prometheus:
    """A running one."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self._port = port

    def groups(self) -> list[dict[str, Any]]:
        """
        Every group of rules with the time and the seconds of its last round.

        Raises:
            ValueError: A rule could not be evaluated.
        """
        groups: list[dict[str, Any]] = self.get("/api/v1/rules")["groups"]
        if broken := [rule["name"] for group in groups for rule in group["rules"] if rule["health"] == "err"]:
            raise ValueError(f"rules that fail: {broken}")
        return groups

    def firing(self) -> int:
        """How many alerts fire."""
        return len(self.get("/api/v1/alerts")["alerts"])

    def get(self, path: str) -> dict[str, Any]:
        """
        The data of one answer.

        Raises:
            OSError: It does not listen.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("GET", path)
            answer: dict[str, Any] = json.loads(connection.getresponse().read())["data"]
            return answer
        finally:
            connection.close()


@contextmanager
def _prometheus(target: int) -> Iterator[Prometheus]:
    program = find_program("prometheus")
    if program is None:
        raise PeerMissingError("prometheus is not installed: make test-deps")
    folder = Path(tempfile.mkdtemp())
    port = free_port()
    config = yaml.safe_load((_DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))
    config["rule_files"] = [str(_DEPLOY / "rules" / "*.yml")]
    config["scrape_configs"] = config["scrape_configs"][:1]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{target}"]}]
    del config["alerting"]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                str(program),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        prometheus = Prometheus(process.pid, port)
        _wait_for(prometheus, process, folder / "log")
        yield prometheus
    finally:
        process.terminate()
        try:
            process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder)


def _wait_for(prometheus: Prometheus, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _STARTING
    while process.poll() is None and time.monotonic() < deadline:
        try:
            prometheus.get("/api/v1/status/runtimeinfo")
        except (OSError, ValueError):
            time.sleep(0.1)
        else:
            return
    raise ChildProcessError(f"prometheus does not answer: {log.read_text()[-2000:]}")
