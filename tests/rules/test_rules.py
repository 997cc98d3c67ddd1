"""
The rules that operators load into Prometheus.
"""

import json
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

from exporter.states import RoomState, SourceState
from exporter.vendors import APIS
from grafana.generator import frame
from grafana.generator.dashboards import FOLDER as DASHBOARDS
from grafana.generator.recorded import RECORDED
from tests.rules.promql import RULES, UnknownNameError, published_and_recorded, rules, selectors

DEPLOY = RULES.parent
UNIT_TESTS = sorted((DEPLOY / "tests").glob("*.yml"))
ALERTS = {rule["alert"]: rule for rule in rules("alerts.yml") if "alert" in rule}
RECORDS = {rule["record"]: rule for file in ("alerts.yml", "recording.yml") for rule in rules(file) if "record" in rule}
RULES_BY_NAME = ALERTS | RECORDS
QUERY = re.compile(r"(?:printf|query) `([^`]+)`")
LINKS = "{{{{ with query `rtc:links:info` }}}}{{{{ . | first | label `{}` }}}}{{{{ end }}}}"
RUNBOOKS = f"{LINKS.format('page')}/docs/runbooks#"
TEMPLATE = re.compile(r"{{.*?}}", re.DOTALL)


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
    Each alert has a unit test in which it does not fire yet, then fires, then has resolved; the watchdog only fires.
    """
    if name == "RtcWatchdog":
        assert unit_tests()[name][0]["exp_alerts"]
        return
    course = ["firing" if case["exp_alerts"] else "silent" for case in unit_tests()[name]]

    assert re.search("silent.*firing.*silent", " ".join(course))


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
def test_an_alert_tells_what_an_operator_needs(alert):
    """
    Each alert says how long it waits, has a severity, says what happened and leads to page, dashboard and runbook.
    """
    assert re.fullmatch(r"\d+[smh]", alert["for"])
    severity = alert["labels"]["severity"]
    assert severity in {"none", "info", "warning", "critical", "{{ $labels.severity }}"} or severity.startswith("{{ if")
    assert {"summary", "description", "page_url", "dashboard_url", "runbook_url"} == set(alert["annotations"])
    assert RUNBOOKS + alert["alert"].lower() == alert["annotations"]["runbook_url"]


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
def test_an_alert_names_only_what_is_published(alert):
    """
    Its expression asks for series and labels of the catalogue, and its texts name labels that its result has.
    """
    labels = published_and_recorded().labels(alert["expr"])

    texts = " ".join([*alert["annotations"].values(), *alert["labels"].values()])

    assert set(re.findall(r"\$labels\.(\w+)", texts)) <= labels


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
def test_an_alert_is_not_of_one_exporter(alert):
    """
    Whichever exporter tells of a room or a source, and however many do, it is one alert.
    """
    assert not {"instance", "pod"} & published_and_recorded().labels(alert["expr"])


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
def test_the_texts_of_an_alert_ask_for_what_is_published(alert):
    """
    Queries inside texts are PromQL and name series and labels that are there.
    """
    texts = " ".join(alert["annotations"].values())
    asked = [query for query in QUERY.findall(texts) if not query.startswith(("{", "job=", "%"))]

    for query in asked:
        filled = query.replace("{%s", '{job="x"').replace("%s", '{job="x"}').replace("%q", '"x"')
        assert published_and_recorded().labels(filled) is not None


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
def test_the_links_of_an_alert_lead_somewhere(alert):
    """
    The dashboard is there and has the variables that the link sets; the page knows the state that it is asked for.
    """
    page, dashboard = (
        TEMPLATE.sub("…", alert["annotations"][name].removeprefix(LINKS.format(label)))
        for name, label in (("page_url", "page"), ("dashboard_url", "dashboards"))
    )
    uid, _, query = dashboard.removeprefix("/d/").partition("?")
    built = {known["uid"]: known for path in DASHBOARDS.glob("*.json") if (known := json.loads(path.read_text()))}

    assert uid in {frame.OCCUPANCY, frame.ROOM, frame.POLLING_HEALTH}
    variables = {variable["name"] for variable in built[uid]["templating"]["list"]}
    assert {name.removeprefix("var-") for name in re.findall(r"var-\w+", query)} <= variables
    assert re.fullmatch(r"/|/\?source=…(&state=(unknown|missing))?|/rooms/…/…", page)


@pytest.mark.parametrize("rule", RECORDS.values(), ids=RECORDS)
def test_a_recorded_series_names_only_what_is_published(rule):
    """
    Its expression asks for series and labels that are there.
    """
    assert published_and_recorded().labels(rule["expr"]) is not None


@pytest.mark.parametrize("rule", rules("recording.yml"), ids=lambda rule: rule["record"])
def test_what_dashboards_show_is_known_by_its_source(rule):
    """
    Whatever is recorded for the dashboards can be narrowed down to a vendor, an API or a source, and does not tell
    which exporter published it.
    """
    labels = published_and_recorded().labels(rule["expr"])

    assert {"job", "vendor", "api", "source"} <= labels
    assert not labels & {"instance", "pod"}


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
    [pattern] = re.findall(r'up{job=~"([^"]+)"} == 0', ALERTS["RtcExporterDown"]["expr"])

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
