"""
The Kubernetes manifests agree with each other, with the image and with the exporter.
"""

import re

import pytest
import yaml

from exporter.healthy import TIMEOUT
from tests.deploy.project import PORT, ROOT, VERSION, document
from tests.docs.pages import PAGES

NAME = {"app.kubernetes.io/name": "rtc-room-exporter"}


@pytest.fixture
def deployment():
    """
    The Deployment's spec.
    """
    return document("deploy/kubernetes/deployment.yaml")["spec"]


@pytest.fixture
def pod(deployment):
    """
    The spec of its pods.
    """
    return deployment["template"]["spec"]


@pytest.fixture
def container(pod):
    """
    The one container.
    """
    (container,) = pod["containers"]
    return container


def test_there_are_never_two_pollers(deployment):
    """
    Two pollers double the calls, so there is one replica, stopped before its successor starts.
    """
    assert 1 == deployment["replicas"]
    assert {"type": "Recreate"} == deployment["strategy"]


def test_the_image_is_this_version(deployment, container):
    """
    The tag and the version label name the packaged version.
    """
    assert f"rtc-room-exporter:{VERSION}" == container["image"]
    assert VERSION == deployment["template"]["metadata"]["labels"]["app.kubernetes.io/version"]


def test_the_pod_meets_the_restricted_standard(pod, container):
    """
    The strictest of the Pod Security Standards admits it, on a read-only root file system.
    """
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert "RuntimeDefault" == pod["securityContext"]["seccompProfile"]["type"]
    assert {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    } == container["securityContext"]


def test_the_pod_runs_as_the_image_s_user(pod):
    """
    The user and group are those that the Dockerfile names.
    """
    user = f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}\n"

    assert user in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_port_is_the_exporter_s_own(container):
    """
    Container and Service use the port that `run` listens on by itself.
    """
    service = document("deploy/kubernetes/service.yaml")["spec"]

    assert [{"name": "http", "containerPort": PORT}] == container["ports"]
    assert [{"name": "http", "port": PORT, "targetPort": "http"}] == service["ports"]


def test_the_probes_ask_for_what_they_mean(container):
    """
    Liveness never depends on the vendors; readiness waits for the first answers. Both by the command, which may speak
    TLS and have a password, and has time to be loaded.
    """
    for probe, command in (("livenessProbe", ["healthy"]), ("readinessProbe", ["healthy", "--ready"])):
        assert ["rtc-room-exporter", *command] == container[probe]["exec"]["command"]
        assert container[probe]["timeoutSeconds"] > TIMEOUT


@pytest.mark.parametrize(
    "path",
    [
        "deploy/compose/compose.yml",
        "deploy/kubernetes/deployment.yaml",
        "deploy/kubernetes/servicemonitor.yaml",
        "deploy/prometheus/prometheus.yml",
        "deploy/compose/prometheus.yml",
    ],
)
def test_the_guarded_form_is_one_comment_away(path):
    """
    The lines for a guarded port are valid as soon as the number signs before them are taken away.
    """
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    begun = next(number for number, line in enumerate(lines) if "docs/web-config.md" in line)
    guarded = []
    for number, line in enumerate(lines):
        stripped = line.lstrip()
        is_key = number > begun and re.match(r"# +(- )?[\w-]+:( |$)", stripped)
        guarded.append(line.replace("# ", "", 1) if is_key else line)
    document = yaml.safe_load("\n".join(guarded))

    assert "https" in str(document)
    assert "https" not in str(yaml.safe_load("\n".join(lines)))


def test_prometheus_alone_may_ask_and_the_vendors_alone_are_asked():
    """
    The policy is the pods' own; in comes what is Prometheus, at the exporter's port; out goes DNS and HTTPS.
    """
    policy = document("deploy/kubernetes/networkpolicy.yaml")["spec"]
    ((entry,), (dns, vendors)) = policy["ingress"], policy["egress"]
    (client,) = entry["from"]

    assert NAME == policy["podSelector"]["matchLabels"]
    assert ["Ingress", "Egress"] == policy["policyTypes"]
    assert {"namespaceSelector", "podSelector"} == set(client)
    assert [{"protocol": "TCP", "port": "http"}] == entry["ports"]
    assert [("UDP", 53), ("TCP", 53)] == [(port["protocol"], port["port"]) for port in dns["ports"]]
    assert [("TCP", 443)] == [(port["protocol"], port["port"]) for port in vendors["ports"]]


def test_memory_is_limited(container):
    """
    What grows beyond all that was measured takes down nothing else on the node.
    """
    assert "512Mi" == container["resources"]["limits"]["memory"]


def test_selectors_find_their_objects(deployment):
    """
    Deployment → pods, Service → pods, ServiceMonitor → Service: each by the label that the other carries.
    """
    service = document("deploy/kubernetes/service.yaml")
    monitor = document("deploy/kubernetes/servicemonitor.yaml")["spec"]

    assert NAME == deployment["selector"]["matchLabels"]
    assert NAME.items() <= deployment["template"]["metadata"]["labels"].items()
    assert NAME == service["spec"]["selector"]
    assert NAME.items() <= service["metadata"]["labels"].items()
    assert {"matchLabels": NAME} == monitor["selector"]
    assert ["http"] == [endpoint["port"] for endpoint in monitor["endpoints"]]


def test_the_service_monitor_has_the_shape_of_its_kind():
    """
    No schema comes with Kubernetes for the operator's kinds: name, version and every key are held here.
    """
    monitor = document("deploy/kubernetes/servicemonitor.yaml")

    assert ("monitoring.coreos.com/v1", "ServiceMonitor") == (monitor["apiVersion"], monitor["kind"])
    assert {"apiVersion", "kind", "metadata", "spec"} == set(monitor)
    assert {"selector", "endpoints"} == set(monitor["spec"])
    assert [{"port", "path", "interval"}] == [set(endpoint) for endpoint in monitor["spec"]["endpoints"]]


def test_the_config_and_its_secrets_are_where_the_exporter_looks(pod, container):
    """
    Each secret file that the config names is a file of which the page on installing makes the Secret, mounted under
    that path; the config likewise.
    """
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    config_map = document("deploy/kubernetes/configmap.yaml")
    (command,) = re.findall(r"^kubectl create secret generic .+$", PAGES["docs/install.md"].text, re.MULTILINE)
    secret, *keys = re.findall(r"(?<=generic )\S+|(?<=--from-file=)\S+", command)
    (source,) = yaml.safe_load(config_map["data"]["exporter.yml"])["sources"]

    assert config_map["metadata"]["name"] == volumes["config"]["configMap"]["name"]
    assert secret == volumes["secrets"]["secret"]["secretName"]
    assert f"--config.file={mounts['config']}/exporter.yml" in container["args"]
    assert source["server_secret_file"] in {f"{mounts['secrets']}/{key}" for key in keys}
    assert f"# {command}\n" in (ROOT / "deploy/kubernetes/kustomization.yaml").read_text(encoding="utf-8")


def test_kustomize_applies_every_manifest():
    """
    `kubectl apply -k` brings all files of the folder, and no Secret: a placeholder would overwrite the real one.
    """
    folder = ROOT / "deploy/kubernetes"
    manifests = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}

    assert manifests == set(document("deploy/kubernetes/kustomization.yaml")["resources"])
    assert [] == [name for name in manifests if "kind: Secret" in (folder / name).read_text(encoding="utf-8")]
