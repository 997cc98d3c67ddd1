"""
What `docs/install.md` shows is taken by what it is for.
"""

from __future__ import annotations

import json
import re

import _gojsonnet
import helm_python as helm
import pytest
import yaml

from tests.deploy.project import ROOT, VERSION
from tests.deploy.test_helm import CHART

pytestmark = pytest.mark.docs

PAGE = (ROOT / "docs/install.md").read_text(encoding="utf-8")
UNIT = (ROOT / "deploy/systemd/rtc-room-exporter.service").read_text(encoding="utf-8")


def block(language: str, holding: str) -> str:
    """
    The one block of code in that language that holds a text.
    """
    text: str
    (text,) = [
        found
        for found in re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        if holding in found
    ]
    return text


def test_it_is_of_this_version():
    """
    Names of files and images are those that are built today.
    """
    named = re.findall(r"rtc[_-]room[_-]exporter[-_:](\d+\.\d+\.\d+)", PAGE)

    assert {VERSION} == set(named)


def test_helm_takes_the_values_that_are_shown():
    """
    And each of them has an effect on what is rendered.
    """
    with helm.Chart.load(CHART) as chart:
        values = yaml.safe_load(block("yaml", "existingSecret"))
        chart.validate_schema(values)
        rendered = "".join(chart.render(values, name="live").values())

    for word in ("lobby, stage", "registry.example/rtc-room-exporter:", "ServiceMonitor", "https://rooms.example"):
        assert word in rendered


def test_jsonnet_takes_what_is_shown():
    """
    With the tree where the example has vendored it.
    """
    snippet = block("jsonnet", "mixin").replace("'rtc-room-exporter/", f"'{ROOT}/")

    found = json.loads(_gojsonnet.evaluate_snippet("install.md", snippet))

    assert {"alerts", "rules", "dashboards"} == set(found)
    assert "without (instance, pod, replica)" in json.dumps(found["rules"])


def test_the_limits_that_are_told_are_those_of_the_unit_and_of_the_command():
    """
    Open files, memory and threads, in the same numbers everywhere.
    """
    limits = dict(re.findall(r"^(LimitNOFILE|MemoryMax|TasksMax)=(\d+)", UNIT, re.MULTILINE))
    command = block("sh", "docker run")

    assert (
        f"{int(limits['LimitNOFILE']):,} open\nfiles, {limits['MemoryMax']} MiB of memory, {limits['TasksMax']} threads"
        in PAGE
    )
    assert (
        f"--memory={limits['MemoryMax']}m --pids-limit={limits['TasksMax']} --ulimit=nofile={limits['LimitNOFILE']}"
        in command
    )


def test_the_unit_s_first_lines_and_the_page_agree():
    """
    Whoever reads the unit alone is told the same steps.
    """
    for line in block("sh", "daemon-reload").splitlines():
        assert f"#   {line}" in UNIT
