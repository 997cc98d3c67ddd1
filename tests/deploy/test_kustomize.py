"""
`kubectl apply -k deploy/kubernetes` has something to apply, and so has `deploy/kubernetes-shards`.
"""

import subprocess
from collections.abc import Callable
from typing import Any

import kubernetes_validate
import pytest
import yaml

from exporter.cluster.shards import shard_of
from exporter.model import Shard
from tests.deploy.project import ROOT

Objects = list[dict[str, Any]]


@pytest.fixture
def build(needs_program: Callable[[str], str]) -> Callable[[str], Objects]:
    """
    What kustomize makes of a folder.
    """

    def build(folder: str) -> Objects:
        command = [needs_program("kubectl"), "kustomize", str(ROOT / "deploy" / folder)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert "" == done.stderr
        return list(yaml.safe_load_all(done.stdout))

    return build


def test_every_object_of_every_manifest_is_built(build: Callable[[str], Objects]) -> None:
    """
    Kustomize reads the folder without a warning and leaves nothing out.
    """
    built = build("kubernetes")
    files = (ROOT / "deploy/kubernetes").glob("*.yaml")
    written = [
        (manifest["kind"], manifest["metadata"]["name"])
        for path in files
        for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8"))
        if manifest["kind"] != "Kustomization"
    ]

    assert sorted(written) == sorted((one["kind"], one["metadata"]["name"]) for one in built)


def test_shards_are_the_same_pod_in_a_stateful_set(build: Callable[[str], Objects]) -> None:
    """
    Apart from the StatefulSet, which Kubernetes takes, all objects are those of the one exporter. Its pod has two more
    variables, and nothing else is different.
    """
    one, shards = ({manifest["kind"]: manifest for manifest in build(f)} for f in ("kubernetes", "kubernetes-shards"))
    deployment, stateful_set = one.pop("Deployment"), shards.pop("StatefulSet")
    kubernetes_validate.validate(stateful_set, kubernetes_validate.latest_version(), strict=True)
    pod = stateful_set["spec"]["template"]
    variables = pod["spec"]["containers"][0].pop("env")

    assert one == shards
    assert deployment["spec"]["template"] == pod
    assert deployment["metadata"] == stateful_set["metadata"]
    assert one["Service"]["metadata"]["name"] == stateful_set["spec"]["serviceName"]
    assert ["RTC_EXPORTER_SHARD", "RTC_EXPORTER_TOTAL_SHARDS"] == [variable["name"] for variable in variables]


def test_each_pod_is_a_shard_of_the_right_number(build: Callable[[str], Objects]) -> None:
    """
    As many pods as there are said to be shards, and each pod's name is that of a shard.
    """
    (found,) = [manifest for manifest in build("kubernetes-shards") if manifest["kind"] == "StatefulSet"]
    name, replicas = found["metadata"]["name"], found["spec"]["replicas"]
    shard, total = found["spec"]["template"]["spec"]["containers"][0]["env"]

    assert "metadata.name" == shard["valueFrom"]["fieldRef"]["fieldPath"]
    assert str(replicas) == total["value"]
    assert [Shard(n, replicas) for n in range(replicas)] == [shard_of(f"{name}-{n}", replicas) for n in range(replicas)]
