"""
Where the README leads, there is something; and what leads to the README finds it.
"""

import json
import re
import struct

import pytest

from tests.deploy.project import ROOT, VERSION
from tests.docs.readme import README, anchors, links, prose, section
from tests.rules.promql import rules

pytestmark = pytest.mark.docs

ALERTS = [rule for rule in rules("alerts.yml") if "alert" in rule]
RUNBOOKS = re.findall(r"^### Runbook: (\w+)$", README, re.MULTILINE)
PICTURE = "docs/page.png"
LARGEST_PICTURE = 300_000


@pytest.mark.parametrize("link", sorted({link for link in links() if not link.startswith("http")}))
def test_a_link_leads_somewhere(link):
    """
    Files are in the tree, and places on the page are headings.
    """
    path, _, anchor = link.partition("#")

    assert (ROOT / path).exists()
    assert not anchor or anchor in anchors()


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"(?<![\w/.-])(?:deploy|docs|exporter|grafana|tests|\.ci)/[\w/.-]*\w", README)))
)
def test_a_path_that_is_named_exists(path):
    """
    Whether linked or not, in text or in a command: no file is named that was moved or renamed.
    """
    assert (ROOT / path).exists()


def test_the_image_has_the_version_of_the_package():
    """
    What is built, what is run and what is packaged is one version.
    """
    assert {VERSION} == set(re.findall(r"rtc-room-exporter:(\d[\d.]*\d)", README))


def test_every_dashboard_is_named():
    """
    Whoever looks for a dashboard in Grafana knows its title.
    """
    files = (ROOT / "grafana/dashboards").glob("*.json")
    (named,) = re.findall(r"dashboards in \[.*?\]\(.*?\) \((.*?)\)", README)

    assert {json.loads(file.read_text(encoding="utf-8"))["title"].removeprefix("Live rooms / ") for file in files} == {
        *named.split(", ")
    }


def test_headings_are_not_ambiguous():
    """
    No two headings have one anchor, so every link leads where it means to.
    """
    headings = re.findall(r"^#+ (.+)$", prose(), re.MULTILINE)

    assert len(headings) == len(anchors())


def test_every_alert_has_a_runbook_and_every_runbook_an_alert():
    """
    In the order of the rules.
    """
    assert {rule["alert"] for rule in ALERTS} == {*RUNBOOKS}
    assert len(RUNBOOKS) == len(ALERTS)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_a_runbook_knows_its_alert(rule):
    """
    How urgent it is and how long it waits stand in the runbook as in the rule.
    """
    severity = re.sub(r".*\$labels\.severity.*", "warning` or `critical", rule["labels"]["severity"])

    assert f"Severity `{severity}`, after `{rule['for']}`." in section(f"Runbook: {rule['alert']}")


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_leads_to_its_runbook(rule):
    """
    The address in the alert is a heading here, and what stands there says what it means and what to do.
    """
    _, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    runbook = section(f"Runbook: {rule['alert']}")

    assert anchor in anchors()
    assert all(word in runbook for word in ("**Means:**", "**Look:**", "**Do:**"))


def test_the_picture_is_light_and_as_wide_as_a_screen():
    """
    A PNG of 1280 pixels that does not make a clone heavy, with words for those who cannot see it.
    """
    content = (ROOT / PICTURE).read_bytes()
    width, _ = struct.unpack(">II", content[16:24])

    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert 1280 == width
    assert len(content) < LARGEST_PICTURE
    assert re.search(rf"!\[[^\]]{{40,}}\]\({re.escape(PICTURE)}\)", README)
