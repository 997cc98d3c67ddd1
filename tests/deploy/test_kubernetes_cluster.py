"""
What `kubectl apply -k deploy/kubernetes-cluster` applies.
"""

import subprocess

import kubernetes_validate
import pytest
import yaml

from tests.deploy.project import ROOT, document


def built(folder, needs_program):
    """
    What kustomize makes of a folder.
    """
    command = [needs_program("kubectl"), "kustomize", ROOT / "deploy" / folder]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "" == done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture
def cluster(needs_program):
    """
    The objects of a cluster, by kind.
    """
    return {one["kind"]: one for one in built("kubernetes-cluster", needs_program)}


def test_every_object_of_a_cluster_is_valid(cluster):
    """
    By the schemas of Kubernetes; those of the Prometheus operator have none.
    """
    for kind, manifest in cluster.items():
        if kind not in {"ServiceMonitor", "PrometheusRule"}:
            kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_a_cluster_is_what_stands_alone_and_a_replica_more(cluster):
    """
    Two pods, one after the other at a rollout, each named after its pod, with the config that stands alone beside the
    cluster's.
    """
    spec = cluster["Deployment"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    config = yaml.safe_load(cluster["ConfigMap"]["data"]["exporter.yml"])
    alone = yaml.safe_load(document("deploy/kubernetes/configmap.yaml")["data"]["exporter.yml"])

    assert (2, {"maxSurge": 1, "maxUnavailable": 0}) == (spec["replicas"], spec["strategy"]["rollingUpdate"])
    assert {"RTC_EXPORTER_CLUSTER_REPLICA": "metadata.name"} == {
        each["name"]: each["valueFrom"]["fieldRef"]["fieldPath"] for each in container["env"]
    }
    assert alone == {key: value for key, value in config.items() if key != "cluster"}
    assert "/run/secrets/rtc-room-exporter/redis-url" == config["cluster"]["redis"]["url_file"]


def test_a_cluster_reaches_its_redis_and_keeps_a_replica(cluster):
    """
    The policy lets it out to Redis beside DNS and HTTPS; a drained node takes one pod at a time.
    """
    ports = [port["port"] for rule in cluster["NetworkPolicy"]["spec"]["egress"] for port in rule["ports"]]
    labels = cluster["Deployment"]["spec"]["template"]["metadata"]["labels"]
    budget = cluster["PodDisruptionBudget"]["spec"]

    assert [53, 53, 443, 6379] == ports
    assert 1 == budget["maxUnavailable"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()
