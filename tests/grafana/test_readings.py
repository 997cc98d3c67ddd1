"""
Every panel of every dashboard, read on a real Prometheus in every situation: `readings.yml` says what stands there.

`python -m tests.grafana.test_readings` writes that file anew; read the difference before you commit it.
"""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from grafana.generator.dashboards import FOLDER
from tests.e2e.process import free_port
from tests.grafana import situations
from tests.grafana.fleet import STEADY
from tests.grafana.reader import Vector, read
from tests.grafana.remote_write import push
from tests.programs import find_program
from tests.rules.promql import RULES

READINGS = Path(__file__).with_name("readings.yml")
HEAD = """\
# What every panel shows in every situation of `situations.py`: names, values in their units, and colours where they
# mean something. Of a graph it is what stands at its right edge, of a table the first rows. Where several exporters
# publish what one publishes in `healthy`, panels show the same unless it is said otherwise here.
"""
SITUATIONS = list(situations.exporters())
PANELS = {
    (path.stem, panel["title"]): panel
    for path in sorted(FOLDER.glob("*.json"))
    for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]
    if panel["type"] != "row"
}
EXPECTED: dict[str, dict[str, dict[str, list[str]]]] = yaml.safe_load(READINGS.read_text(encoding="utf-8"))


class Prometheus:
    """
    One that has recorded what the rules make of all situations.

    Args:
        moment: At which everything is read, in Unix seconds.
    """

    def __init__(self, url: str, moment: float) -> None:
        self.url = url
        self.moment = moment

    def is_ready(self) -> bool:
        """Whether it answers yet."""
        try:
            return self._get("/-/ready") is not None
        except OSError:
            return False

    def evaluated(self) -> float:
        """When the group of rules was evaluated that waits for the longest."""
        groups = json.loads(self._get("/api/v1/rules"))["data"]["groups"]
        return min(datetime.fromisoformat(group["lastEvaluation"][:19] + "+00:00").timestamp() for group in groups)

    def ask(self, promql: str) -> Vector:
        """
        The labels and values of an expression.

        Raises:
            urllib.error.HTTPError: It does not take the expression.
        """
        query = urllib.parse.urlencode({"query": promql, "time": self.moment})
        result = json.loads(self._get(f"/api/v1/query?{query}"))["data"]["result"]
        return [(sample["metric"], float(sample["value"][1])) for sample in result]

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=30) as response:  # noqa: S310 - the test's own
            return bytes(response.read())


@contextmanager
def prometheus(folder: Path) -> Iterator[Prometheus]:
    """
    Start one with all that our rules record, twice a second, and fill it up to a moment that is about to come:
    what is recorded until then is seen at that moment.
    """
    program = find_program("prometheus")
    assert program
    often = {"groups": [group | {"interval": "500ms"} for file in RULES.glob("*.yml") for group in _records(file)]}
    (folder / "rules.yml").write_text(yaml.safe_dump(often), encoding="utf-8")
    (folder / "prometheus.yml").write_text("rule_files: [rules.yml]", encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    command: list[str] = [
        str(program),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--web.enable-remote-write-receiver",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        found = Prometheus(f"http://{address}", moment=10 * ((time.time() - STEADY) // 10))
        _wait_until(found.is_ready)
        push(found.url, situations.series(found.moment))
        pushed = time.time()
        # Twice, since some rules build on what others recorded in the round before.
        _wait_until(lambda: found.evaluated() > pushed + 1)
        assert found.evaluated() < found.moment, (
            "this machine is too slow: what was recorded is younger than the moment"
        )
        yield found
    finally:
        process.terminate()
        process.wait(timeout=20)


def _records(file: Path) -> list[dict[str, Any]]:
    """The groups of a file without their alerts: which of these fire is part of a situation."""
    groups = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    return [group | {"rules": [rule for rule in group["rules"] if "record" in rule]} for group in groups]


def _wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def readings(found: Prometheus, situation: str) -> Iterator[tuple[tuple[str, str], list[str]]]:
    """
    What each panel reads in a situation, by its dashboard and title.
    """
    values = {"job": situation, "room": situations.ROOM.get(situation, "main")}
    for place, panel in PANELS.items():
        yield place, read(panel, values, found.moment, found.ask)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """
    One Prometheus for all situations.
    """
    with prometheus(tmp_path_factory.mktemp("readings")) as found:
        yield found


@pytest.mark.needs_program("prometheus")
@pytest.mark.parametrize("situation", SITUATIONS)
def test_panels_read_what_is_true(filled: Prometheus, situation: str):
    """
    Each panel shows what `readings.yml` says of the situation.
    """
    expected = {place: _expected(place, situation) for place in PANELS}

    assert expected == dict(readings(filled, situation))


def _expected(place: tuple[str, str], situation: str) -> list[str] | None:
    dashboard, title = place
    of_panel = EXPECTED[dashboard].get(title, {})
    return of_panel.get(situation) or (of_panel.get("healthy") if situation in situations.AS_HEALTHY else None)


def test_every_panel_has_its_readings():
    """
    `readings.yml` has every panel of today, and none of yesterday.
    """
    assert set(PANELS) == {(dashboard, title) for dashboard, panels in EXPECTED.items() for title in panels}


def main() -> None:
    """
    Write down what the panels read now.
    """
    found: dict[str, dict[str, dict[str, list[str]]]] = {}
    with TemporaryDirectory() as folder, prometheus(Path(folder)) as one:
        for situation in SITUATIONS:
            for (dashboard, title), reading in readings(one, situation):
                of_panel = found.setdefault(dashboard, {}).setdefault(title, {})
                if situation not in situations.AS_HEALTHY or of_panel["healthy"] != reading:
                    of_panel[situation] = reading
    text = yaml.safe_dump(found, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    READINGS.write_text(HEAD + text, encoding="utf-8")


if __name__ == "__main__":
    main()
