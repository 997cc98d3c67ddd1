"""
Where alerts go, and which of them stay back.
"""

import re
import subprocess

import pytest

from tests.deploy.project import ROOT, document
from tests.rules.promql import rules

FILE = "deploy/alertmanager/alertmanager.yml"
ALERTS = {rule["alert"]: rule["labels"]["severity"] for rule in rules("alerts.yml") if "alert" in rule}
RECEIVERS = {"none": "watchdog", "info": "operators", "warning": "operators", "critical": "pager"}
MOST_SECONDS = 60


def seconds(duration):
    """
    A duration such as 10s or 1m in seconds.
    """
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


@pytest.mark.needs_program("amtool")
@pytest.mark.parametrize(
    ("alert", "severity"),
    [
        (alert, one)
        for alert, severity in ALERTS.items()
        for one in (["warning", "critical"] if "$labels" in severity else [severity])
    ],
)
def test_an_alert_has_one_receiver(alert, severity):
    """
    What is critical goes to the pager, the watchdog to whoever watches over it, the rest to the operators.
    """
    labels = [f"alertname={alert}", f"severity={severity}", "job=rtc-room-exporter", "source=live"]
    tested = subprocess.run(
        ["amtool", "config", "routes", "test", f"--config.file={ROOT / FILE}", *labels],
        check=True,
        capture_output=True,
        text=True,
    )

    assert RECEIVERS[severity] == tested.stdout.strip()


def test_a_critical_alert_is_paged_within_a_minute():
    """
    A scrape, a round of the rules and a group's wait take less, whether the group is new or has been told of before.
    """
    [route] = [route for route in document(FILE)["route"]["routes"] if "severity = critical" in route["matchers"]]
    scrape = seconds(document("deploy/prometheus/prometheus.yml")["global"]["scrape_interval"])
    rounds = [seconds(group["interval"]) for group in document("deploy/prometheus/rules/alerts.yml")["groups"]]

    assert MOST_SECONDS > scrape + max(rounds) + max(seconds(route["group_wait"]), seconds(route["group_interval"]))


def test_what_stays_back_is_an_alert_and_so_is_what_holds_it_back():
    """
    Every name in an inhibition is one of ours, and none holds itself back.
    """
    for rule in document(FILE)["inhibit_rules"]:
        named = [set(re.findall(r"Rtc\w+", " ".join(rule[side]))) for side in ("source_matchers", "target_matchers")]
        assert all(names and names <= ALERTS.keys() for names in named)
        assert not named[0] & named[1] or "severity = critical" in rule["source_matchers"]


def test_what_a_message_may_show_of_an_alert_is_there():
    """
    The commented pager uses annotations that every alert has.
    """
    text = (ROOT / FILE).read_text(encoding="utf-8")

    used = set(re.findall(r"Annotations\.(\w+)", text))

    assert {"summary", "page_url", "dashboard_url", "runbook_url"} == used
    assert all(used <= rule["annotations"].keys() for rule in rules("alerts.yml") if "alert" in rule)
