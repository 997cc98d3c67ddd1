"""
Where the documents lead, there is something; and what leads to them finds it.
"""

import json
import re
import struct
from pathlib import PurePosixPath

import pytest

from tests.deploy.project import ROOT, VERSION
from tests.docs.pages import ALERTING, PAGES, README, RUNBOOKS, SERVED, Page
from tests.rules.promql import rules

pytestmark = pytest.mark.docs

ALERTS = [rule for rule in rules("alerts.yml") if "alert" in rule]
RUNBOOKS_OF = RUNBOOKS.headings()[1:]
PICTURE = "docs/page.png"
LARGEST_PICTURE = 300_000
KNOWN = (
    "http://127.0.0.1:",
    "https://console.trtc.io",
    "https://console.volcengine.com/",
    "https://console.zegocloud.com",
    "https://github.com/prometheus/",
    "https://prometheus.io/",
)


def target(page: Page, link: str) -> tuple[str, str]:
    """
    The file that a link of a page leads to, relative to the top of the tree, and the place in it.
    """
    path, _, anchor = link.partition("#")
    parts: list[str] = []
    for part in (PurePosixPath(page.path).parent / path).parts if path else PurePosixPath(page.path).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts), anchor


@pytest.mark.parametrize(
    ("page", "link"),
    sorted(
        {(page, link) for page in PAGES.values() for link in page.links() if "://" not in link},
        key=str,
    ),
    ids=str,
)
def test_a_link_leads_somewhere(page, link):
    """
    Files are in the tree, and places on a page are headings.
    """
    path, anchor = target(page, link)

    assert (ROOT / path).exists()
    assert not anchor or anchor in PAGES[path].anchors()


@pytest.mark.parametrize("page", PAGES.values(), ids=str)
def test_no_address_is_invented(page):
    """
    What is not published is not linked: other sites are vendors' consoles and projects that exist.
    """
    addresses = [*page.links(), *re.findall(r"<(https?://[^>]+)>", page.prose)]

    assert [] == [address for address in addresses if "://" in address and not address.startswith(KNOWN)]


@pytest.mark.parametrize(
    ("page", "path"),
    [
        (page, path)
        for page in PAGES.values()
        for path in sorted(
            set(re.findall(r"(?<![\w/.-])(?:deploy|docs|exporter|grafana|tests|\.ci)/[\w/.-]*\w", page.text))
        )
    ],
    ids=str,
)
def test_a_path_that_is_named_exists(page, path):
    """
    Whether linked or not, in text or in a command: no file is named that was moved or renamed.
    """
    assert (ROOT / path).exists()


def test_the_image_has_the_version_of_the_package():
    """
    What is built, what is run and what is packaged is one version.
    """
    named = {version for page in PAGES.values() for version in re.findall(r"rtc-room-exporter:(\d[\d.]*\d)", page.text)}

    assert {VERSION} == named


def test_every_dashboard_is_named():
    """
    Whoever looks for a dashboard in Grafana knows its title.
    """
    files = (ROOT / "grafana/dashboards").glob("*.json")
    (named,) = re.findall(r"dashboards in \[.*?\]\(.*?\) \((.*?)\)", ALERTING.text)

    assert {json.loads(file.read_text(encoding="utf-8"))["title"].removeprefix("Live rooms / ") for file in files} == {
        *named.split(", ")
    }


@pytest.mark.parametrize("page", PAGES.values(), ids=str)
def test_headings_are_not_ambiguous(page):
    """
    No two headings of a page have one anchor, so every link leads where it means to.
    """
    assert len(page.headings()) == len(page.anchors())


def test_the_readme_is_read_in_ten_minutes():
    """
    It is short, and leads to every other page.
    """
    assert len(README.text.splitlines()) <= 150
    assert {*PAGES} - {"README.md"} <= {target(README, link)[0] for link in README.links()}


@pytest.mark.parametrize("page", [page for page in PAGES.values() if page is not README], ids=str)
def test_a_page_says_for_whom_it_is(page):
    """
    One title, then a paragraph after which a reader knows whether to go on.
    """
    title, first, *_ = page.text.split("\n\n")

    assert title.startswith("# ")
    assert 1 == len(re.findall(r"^# ", page.prose, re.MULTILINE))
    assert first.startswith("For whoever ")


def test_every_alert_has_a_runbook_and_every_runbook_an_alert():
    """
    Under the alert's name.
    """
    assert {rule["alert"] for rule in ALERTS} == {*RUNBOOKS_OF}
    assert len(RUNBOOKS_OF) == len(ALERTS)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_a_runbook_knows_its_alert(rule):
    """
    How urgent it is and how long it waits stand in the runbook as in the rule.
    """
    less_than_the_thresholds = "{{ if" in rule["labels"]["severity"]
    both = "info` or `warning" if less_than_the_thresholds else "warning` or `critical"
    severity = re.sub(r".*\$labels\.severity.*", both, rule["labels"]["severity"])

    assert f"Severity `{severity}`, after `{rule['for']}`." in RUNBOOKS.section(rule["alert"])


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_leads_to_its_runbook(rule):
    """
    The address in the alert is a heading of a page that the exporter serves, and what stands there says what the alert
    means and what to do.
    """
    path, _, anchor = rule["annotations"]["runbook_url"].partition("{{ end }}/")[2].partition("#")
    runbook = RUNBOOKS.section(rule["alert"])

    assert anchor in SERVED[f"{path}.md"].anchors()
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
    assert re.search(rf"!\[[^\]]{{40,}}\]\({re.escape(PICTURE)}\)", README.text)
