"""
The jsonnet mixin hands out the rules and dashboards of this tree, with a few words of one's own.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import _gojsonnet
import pytest
import yaml

from tests.deploy.project import ROOT, document

DASHBOARDS = {path.name: json.loads(path.read_text("utf-8")) for path in (ROOT / "grafana/dashboards").glob("*.json")}


def evaluated(config: str = "{}") -> dict[str, Any]:
    """
    What the mixin gives with this configuration.
    """
    mixin = ROOT / "deploy/mixin/mixin.libsonnet"
    snippet = f"""
        local mixin = (import '{mixin}') + {{ _config+:: {config} }};
        {{
          alerts: mixin.prometheusAlerts,
          rules: mixin.prometheusRules,
          dashboards: mixin.grafanaDashboards,
        }}"""
    return dict(json.loads(_gojsonnet.evaluate_snippet("test", snippet)))


def test_without_a_configuration_it_is_what_stands_in_the_files():
    """
    Nothing is lost on the way, and no dashboard is left out.
    """
    found = evaluated()

    assert document("deploy/prometheus/rules/alerts.yml") == found["alerts"]
    assert document("deploy/prometheus/rules/recording.yml") == found["rules"]
    assert DASHBOARDS == found["dashboards"]


def test_other_labels_are_aggregated_away():
    """
    Where replicas are told apart by another label, no expression names ours any more.
    """
    before, after = (json.dumps(evaluated(config)) for config in ("{}", "{ replicaLabels: ['mimir_replica'] }"))

    assert "without (instance, pod" in before
    assert before.count("instance, pod") == after.count("mimir_replica")
    assert "pod)" not in after


def test_links_lead_where_they_are_told_to():
    """
    The page and the dashboards of one's own.
    """
    found = evaluated("{ pageUrl: 'https://rooms.example', dashboardsUrl: 'https://grafana.example' }")
    (links,) = [
        rule for group in found["alerts"]["groups"] for rule in group["rules"] if "links" in rule.get("record", "")
    ]

    assert {"page": "https://rooms.example", "dashboards": "https://grafana.example"} == links["labels"]


@pytest.mark.needs_program("promtool")
@pytest.mark.parametrize("name", ["alerts", "rules"])
def test_prometheus_takes_the_rules(name, tmp_path):
    """
    Also with other labels.
    """
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(evaluated("{ replicaLabels: ['replica'] }")[name]), encoding="utf-8")

    checked = subprocess.run(["promtool", "check", "rules", file], check=False, capture_output=True, text=True)

    assert (0, "") == (checked.returncode, checked.stderr)
