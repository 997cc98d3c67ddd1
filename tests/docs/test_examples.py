"""
The documents' examples work, and what they show as output is what comes out.
"""

import json
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from exporter.cli import app
from exporter.config import parse
from exporter.metrics.catalogue import CATALOGUE
from exporter.model import FailureKind
from exporter.rooms import read_rooms_file
from exporter.simulator import DEFAULT_APPS
from exporter.states import SourceState
from exporter.web import answered
from tests.deploy.project import document
from tests.docs.pages import ALERTING, CONFIGURATION, HTTP, OPERATIONS, PAGES, README, TROUBLESHOOTING, Block
from tests.rules.promql import Vocabulary, published

pytestmark = pytest.mark.docs

ENV = {
    "ZEGO_SERVER_SECRET": DEFAULT_APPS.zego[0].server_secret,
    "JANUS_ADMIN_SECRET": DEFAULT_APPS.janus[0].admin_secret,
    "JANUS_ADMIN_KEY": DEFAULT_APPS.janus[0].admin_key,
    "TENCENT_SECRET_KEY": DEFAULT_APPS.tencent[0].secret_key,
    "VOLCENGINE_SECRET_ACCESS_KEY": DEFAULT_APPS.volcengine[0].secret_access_key,
}
CONFIGS = [
    pytest.param(block.text, id=f"{page} {number}")
    for page in PAGES.values()
    for number, block in enumerate(page.blocks("yaml"))
    if block.text.startswith("sources:")
]
EXPRESSIONS = [line for page in PAGES.values() for block in page.blocks("promql") for line in block.text.splitlines()]


def sessions(name: str) -> list[tuple[Block, str]]:
    """
    What the page on operations shows of a command: the block, and what was printed.
    """
    found = []
    for block in OPERATIONS.blocks("console"):
        before, prompt, printed = block.text.rpartition(f"$ rtc-room-exporter {name}")
        if prompt:
            found.append((Block(block.language, before, block.config), printed.partition("\n")[2]))
    return found


def masked(text: str) -> str:
    """
    The text without what differs from one run to the next: numbers, the date, the versions of libraries.
    """
    text = re.sub(r"(?m)^< (Date|Server): .*", r"< \1: X", text)
    return re.sub(r"\b[0-9a-f]{16}\b|\d+(\.\d+)?(e[+-]\d+)?", "N", text)


def source_of(config: str):
    """
    The only source of a config.
    """
    (source,) = parse(config, Path("exporter.yml"), ENV).sources
    return source


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """
    An empty folder to work in, as a reader would.
    """
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("config", CONFIGS)
def test_a_config_is_accepted(config):
    """
    Whoever copies it gets no complaint.
    """
    read = parse(config, Path("exporter.yml"), ENV)

    assert read.sources
    assert () == read.warnings


def test_the_first_sources_are_those_of_the_simulator():
    """
    One of each vendor, and the simulator knows their apps.
    """
    config = next(block.text for block in CONFIGURATION.blocks("yaml") if block.text.startswith("sources:"))
    apps = DEFAULT_APPS
    known = [
        apps.zego[0].app_id,
        apps.tencent[0].sdk_app_id,
        apps.volcengine[0].app_id,
        apps.volcengine[0].access_key_id,
    ]

    assert ["zego", "tencent", "volcengine"] == [
        source.vendor for source in parse(config, Path("exporter.yml"), ENV).sources
    ]
    assert [*map(str, known)] == re.findall(r"(?:app_id|access_key_id): (\S+)", config)


@pytest.mark.parametrize(("shown", "printed"), sessions("check"), ids=["sizing"])
def test_check_prints_what_is_shown(folder, shown, printed):
    """
    The figures under a config are those that `check` prints of it.
    """
    (folder / "exporter.yml").write_text(shown.config, encoding="utf-8")
    for rooms, path in re.findall(r"^(\d+) (\S+\.txt)$", shown.text, re.MULTILINE):
        (folder / path).parent.mkdir()
        (folder / path).write_text("".join(f"room-{i}\n" for i in range(int(rooms))), encoding="utf-8")

    result = CliRunner().invoke(app, ["check", "--config.file=exporter.yml"], env=ENV)

    assert printed == result.stdout + result.stderr


def test_the_way_out_that_sizing_names_is_one(folder):
    """
    With the interval that the text proposes, the rooms that did not fit do.
    """
    interval = re.search(r"With `(interval: \w+)` the same rooms fit", OPERATIONS.text)
    assert interval
    shown, _ = sessions("check")[-1]
    (folder / "exporter.yml").write_text(f"{shown.config}    {interval[1]}\n", encoding="utf-8")
    (folder / "rooms").mkdir()
    (folder / "rooms/live.txt").write_text("".join(f"room-{i}\n" for i in range(1500)), encoding="utf-8")

    assert 0 == CliRunner().invoke(app, ["check", "--config.file=exporter.yml"], env=ENV).exit_code


def test_rooms_files_are_read(folder):
    """
    Both forms that are described list what they seem to list.
    """
    (example,) = [block.text for block in CONFIGURATION.blocks("yaml") if block.text.startswith("- targets:")]
    source = source_of(README.blocks("yaml")[0].text)
    (folder / "rooms.yml").write_text(example, encoding="utf-8")
    (folder / "rooms.txt").write_text("# two\nlobby\nstage\n", encoding="utf-8")

    first, second = (read_rooms_file(folder / name, source) for name in ("rooms.yml", "rooms.txt"))

    assert ["lobby", "stage"] == [room.id for room in first] == [room.id for room in second]
    assert {(("event", "launch"),)} == {room.labels for room in first}


def test_the_scrape_config_is_the_one_in_deploy():
    """
    The target and the job that the alerts look for.
    """
    (example,) = [
        yaml.safe_load(block.text) for block in ALERTING.blocks("yaml") if block.text.startswith("scrape_configs:")
    ]
    deployed = document("deploy/prometheus/prometheus.yml")
    ((job,), theirs) = example["scrape_configs"], deployed["scrape_configs"]

    assert deployed["global"]["scrape_interval"] == job.pop("scrape_interval")
    assert job in theirs


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_asks_for_what_is_published(expression):
    """
    Every PromQL line parses, and names series and labels of the catalogue (and `event`, the label of the example).
    """
    info = {"rtc_room_info": published().series["rtc_room_info"] | {"event"}}

    assert Vocabulary({**published().series, **info}).labels(expression) is not None


def test_the_policy_is_json():
    """
    It can be pasted into a console.
    """
    (policy,) = OPERATIONS.blocks("json")

    assert ["Statement"] == list(json.loads(policy.text))


def test_the_metrics_on_the_first_screen_are_ours():
    """
    The lines are in the text format, with names and labels of the catalogue.
    """
    labels = {metric.name: set(metric.labels) for metric in CATALOGUE}
    (example,) = README.blocks("text")
    samples = [sample for family in text_string_to_metric_families(example.text) for sample in family.samples]

    assert len(samples) == len(example.text.splitlines())
    assert [] == [sample for sample in samples if labels.get(sample.name) != set(sample.labels)]


def test_the_rooms_shown_as_json_have_the_keys_of_today():
    """
    A script written after the example finds what it looks for.
    """
    (shown,) = [block.text for block in HTTP.blocks("console") if "/api/v1/rooms" in block.text]
    answer = json.loads(shown.partition("\n")[2])

    assert {*answered.Rooms.__struct_fields__} == answer.keys()
    assert answer["rooms"][0].keys() <= {*answered.Room.__struct_fields__}


def test_log_lines_are_those_that_the_code_writes():
    """
    Each line is logfmt with an event of the table, and names reasons and states that there are.
    """
    lines = [
        line for block in TROUBLESHOOTING.blocks("text") for line in block.text.splitlines() if line.startswith("ts=")
    ]
    known = {row[0].strip("`"): row[1] for row in TROUBLESHOOTING.tables("What the log says")[0]}

    assert lines
    for line in lines:
        pairs = {key: value.strip('"') for key, value in re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', line)}
        assert known[pairs["event"]] == pairs["level"]
        assert pairs.get("reason", "transient") in {*FailureKind}
        assert pairs.get("state", "ok") in {*SourceState}
