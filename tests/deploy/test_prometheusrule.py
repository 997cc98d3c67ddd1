"""
The rules for the Prometheus operator are those of the files that Prometheus reads by itself.
"""

import subprocess

import pytest
import yaml

from deploy.generator import prometheusrule
from tests.deploy.project import ROOT, document

MANIFESTS = {
    manifest["metadata"]["name"]: manifest
    for manifest in yaml.safe_load_all((ROOT / "deploy/kubernetes/prometheusrule.yaml").read_text(encoding="utf-8"))
}
GROUP = {"name", "interval", "rules"}
RULE = {"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"}


@pytest.mark.generated
def test_the_committed_manifests_are_those_of_the_rules():
    """
    `make generate` would change nothing: every rule is there, and no other.
    """
    assert prometheusrule.rendered() == prometheusrule.FILE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["alerts", "recording"])
def test_a_file_of_rules_is_a_manifest(name):
    """
    What the operator hands to Prometheus is what stands in the file of that name.
    """
    assert document(f"deploy/prometheus/rules/{name}.yml") == MANIFESTS[f"rtc-room-exporter-{name}"]["spec"]


@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_has_the_shape_of_its_kind(manifest):
    """
    No schema comes with Kubernetes for the operator's kinds: version, kind and every key are held here.
    """
    groups = manifest["spec"]["groups"]

    assert ("monitoring.coreos.com/v1", "PrometheusRule") == (manifest["apiVersion"], manifest["kind"])
    assert {"apiVersion", "kind", "metadata", "spec"} == set(manifest)
    assert {"app.kubernetes.io/name": "rtc-room-exporter"} == manifest["metadata"]["labels"]
    assert {"groups"} == set(manifest["spec"])
    assert len(groups) == len({group["name"] for group in groups})
    assert {key for group in groups for key in group} <= GROUP
    assert {key for group in groups for rule in group["rules"] for key in rule} <= RULE


@pytest.mark.needs_program("promtool")
@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS)
def test_prometheus_takes_what_the_operator_hands_over(manifest, tmp_path):
    """
    The operator writes each manifest's groups into one file; promtool accepts that file.
    """
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(manifest["spec"]), encoding="utf-8")

    checked = subprocess.run(["promtool", "check", "rules", file], check=False, capture_output=True, text=True)

    assert (0, "") == (checked.returncode, checked.stderr)
