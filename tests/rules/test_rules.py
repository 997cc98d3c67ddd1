"""
The rules that operators load into Prometheus.
"""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

from exporter.states import RoomState, SourceState
from exporter.vendors import APIS
from grafana.recorded import RECORDED
from tests.rules.promql import RULES, UnknownNameError, published, published_and_recorded, rules, selectors

DEPLOY = RULES.parent
UNIT_TESTS = sorted((DEPLOY / "tests").glob("*.yml"))
RUNBOOKS = "https://github.com/rtc-room-exporter/rtc-room-exporter#runbook-"
ALERTS = {alert["alert"]: alert for alert in rules("alerts.yml")}
RULES_BY_NAME = ALERTS | {rule["record"]: rule for rule in rules("recording.yml")}


def promtool(*arguments: str | Path) -> tuple[int, str]:
    """
    Its exit code, and what it complains about.
    """
    ended = subprocess.run(["promtool", *arguments], check=False, capture_output=True, text=True)
    return ended.returncode, ended.stderr


@cache
def unit_tests() -> dict[str, list[dict[str, object]]]:
    """
    What promtool's unit tests expect of each alert, in their order.
    """
    expected: dict[str, list[dict[str, object]]] = {name: [] for name in ALERTS}
    for file in UNIT_TESTS:
        for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            for case in test.get("alert_rule_test", []):
                expected[case["alertname"]].append(case)
    return expected


@pytest.mark.needs_program("promtool")
def test_promtool_has_nothing_to_say_of_the_rules():
    """
    `promtool check rules` accepts both files, and its linter finds nothing.
    """
    files = [RULES / "alerts.yml", RULES / "recording.yml"]

    assert (0, "") == promtool("check", "rules", "--lint-fatal", *files)


@pytest.mark.needs_program("promtool")
@pytest.mark.parametrize("file", UNIT_TESTS, ids=lambda file: file.stem)
def test_rules_do_what_their_unit_tests_say(file: Path):
    """
    Alerts fire, hold back and resolve, and recorded series have their values, as promtool's unit tests expect.
    """
    assert (0, "") == promtool("test", "rules", file)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_unit_tested_from_end_to_end(name):
    """
    Each alert has a unit test in which it does not fire yet, then fires, then has resolved.
    """
    course = ["firing" if case["exp_alerts"] else "silent" for case in unit_tests()[name]]

    assert re.search("silent.*firing.*silent", " ".join(course))


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
def test_an_alert_tells_what_an_operator_needs(alert):
    """
    Each alert waits before it fires, has a severity, says what happened and where to read on.
    """
    assert re.fullmatch(r"\d+[smh]", alert["for"])
    assert alert["labels"]["severity"] in {"warning", "critical", "{{ $labels.severity }}"}
    assert {"summary", "description", "runbook_url"} == set(alert["annotations"])
    assert RUNBOOKS + alert["alert"].lower() == alert["annotations"]["runbook_url"]


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
def test_an_alert_names_only_what_is_published(alert):
    """
    Its expression asks for series and labels of the catalogue, and its texts name labels that its result has.
    """
    labels = published().labels(alert["expr"])

    texts = " ".join([*alert["annotations"].values(), *alert["labels"].values()])

    assert set(re.findall(r"\$labels\.(\w+)", texts)) <= labels


@pytest.mark.parametrize("rule", rules("recording.yml"), ids=lambda rule: rule["record"])
def test_a_recorded_series_names_only_what_is_published(rule):
    """
    Its expression asks for series and labels of the catalogue, and what it records is still known by its source.
    """
    assert {"job", "instance", "vendor", "api", "source"} <= published().labels(rule["expr"])


@pytest.mark.parametrize("rule", RULES_BY_NAME.values(), ids=RULES_BY_NAME)
def test_a_rule_looks_for_values_that_labels_have(rule):
    """
    States, severities and APIs in a rule's matchers are spelled as the exporter spells them.
    """
    known = {"state": {*RoomState, *SourceState}, "severity": {"warning", "critical"}, "api": set(APIS)}
    matchers = [matcher for node in selectors(rule["expr"]) for matcher in node.matchers.matchers]

    assert all(set(m.value.split("|")) <= known[m.name] for m in matchers if m.name in known)


def test_what_is_recorded_is_what_the_dashboards_know():
    """
    The dashboards have a name for every recorded series, and for no other.
    """
    assert set(RECORDED) == {rule["record"] for rule in rules("recording.yml")}


def test_prometheus_loads_the_rules_and_not_their_tests():
    """
    The patterns of prometheus.yml find both files of rules, and no unit test.
    """
    patterns = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))["rule_files"]

    loaded = {file.relative_to(DEPLOY).as_posix() for pattern in patterns for file in DEPLOY.glob(pattern)}

    assert {"rules/alerts.yml", "rules/recording.yml"} == loaded


def test_the_alert_for_a_dead_exporter_knows_its_job():
    """
    RtcExporterDown looks for the job under which prometheus.yml scrapes the exporter.
    """
    jobs = [job["job_name"] for job in yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]]
    [pattern] = re.findall('up{job=~"([^"]+)"}', ALERTS["RtcExporterDown"]["expr"])

    assert ["rtc-room-exporter"] == [job for job in jobs if re.fullmatch(pattern, job)]


@pytest.mark.parametrize(
    ("promql", "unknown"),
    [
        ("rtc_room_user", "series rtc_room_user"),
        ('rtc_room_users{service="a"}', "labels ['service']"),
        ("sum by (service) (rtc_room_users)", "labels ['service']"),
        ("sum without (severity) (rtc_room_users)", "labels ['severity']"),
        ("rtc_room_users > rtc_room_users_threshold", "labels ['severity'] on one side only"),
        ("rtc_room_info unless on (rooms) rtc_room_users", "labels ['rooms']"),
        ("histogram_quantile(0.9, rate(rtc_source_call_duration_seconds_sum[1m]))", "labels ['le']"),
        ("rate(source:rtc_rooms:none[1m])", "series source:rtc_rooms:none"),
    ],
)
def test_names_that_nobody_publishes_are_found(promql, unknown):
    """
    The check of names that these tests rely on does find a wrong one.
    """
    with pytest.raises(UnknownNameError, match=re.escape(unknown)):
        published_and_recorded().labels(promql)
