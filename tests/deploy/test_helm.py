"""
The Helm chart: whatever its values, what it renders is valid and what was meant.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate
import pytest
import yaml

from exporter.config import parse
from exporter.healthy import TIMEOUT
from exporter.rooms import RoomsFiles
from tests.deploy.project import PORT, PYPROJECT, ROOT, VERSION, document
from tests.deploy.test_kubernetes import NAME
from tests.deploy.test_kubernetes_cluster import built

CHART = ROOT / "deploy/helm/rtc-room-exporter"
VALUES = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}
OF_THE_OPERATOR = {"ServiceMonitor", "PrometheusRule"}
SECRETS = "/run/secrets/rtc-room-exporter"


def values(name: str) -> dict[str, Any]:
    """
    The values of a file in the chart's folder `ci`.
    """
    return dict(yaml.safe_load(VALUES[name].read_text(encoding="utf-8")))


def rendered(given: dict[str, Any], release: str = "live") -> dict[tuple[str, str], dict[str, Any]]:
    """
    The objects that the chart makes of these values, by kind and by what follows the exporter's name in theirs.
    """
    with helm.Chart.load(CHART) as chart:
        texts = chart.render(given, name=release, namespace="rooms")
    objects: dict[tuple[str, str], dict[str, Any]] = {}
    for path, text in texts.items():
        for manifest in yaml.safe_load_all(text) if path.endswith(".yaml") else []:
            if manifest:
                objects[manifest["kind"], manifest["metadata"]["name"].partition("rtc-room-exporter")[2]] = manifest
    return objects


@pytest.fixture(params=VALUES)
def given(request):
    """
    The least values that work, and then every value that there is.
    """
    return values(request.param)


@pytest.fixture
def objects(given):
    """
    What is rendered of them.
    """
    return rendered(given)


def container(objects: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    """
    The exporter's own.
    """
    (one,) = objects["Deployment", ""]["spec"]["template"]["spec"]["containers"]
    return dict(one)


def test_helm_has_no_complaint(given):
    """
    `helm lint --strict` says at most that a chart may have an icon.
    """
    report = helm.lint(CHART, given, strict=True)

    assert [] == report["errors"]
    assert ["icon is recommended"] == [message["error"] for message in report["messages"]]


def test_kubernetes_takes_every_object(objects):
    """
    Each is valid by the schema of its kind, strictly. For the operator's kinds no schema comes along.
    """
    kinds = {kind for kind, _ in objects}
    for (kind, _), manifest in objects.items():
        if kind not in OF_THE_OPERATOR:
            kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)

    assert {"ConfigMap", "Deployment", "NetworkPolicy", "Service"} <= kinds


def test_every_template_is_rendered_by_one_of_the_files():
    """
    What the other tests hold is all that the chart has.
    """
    with helm.Chart.load(CHART) as chart:
        templates = {Path(each["name"]).name for each in chart.templates if each["name"].endswith(".yaml")}
        texts = chart.render(values("everything"), name="live", namespace="rooms")

    assert templates == {Path(path).name for path, text in texts.items() if path.endswith(".yaml") and text.strip()}


def test_the_chart_is_this_version():
    """
    Chart and program are released together.
    """
    chart = document("deploy/helm/rtc-room-exporter/Chart.yaml")

    assert (VERSION, VERSION) == (chart["version"], chart["appVersion"])
    assert PYPROJECT["project"]["name"] == chart["name"]


def test_the_pod_is_the_one_of_the_plain_manifests():
    """
    With the least values, the Deployment differs in names and labels alone from the one of deploy/kubernetes.
    """
    plain = document("deploy/kubernetes/deployment.yaml")["spec"]
    ours = rendered(values("least"))["Deployment", ""]["spec"]
    for pod in (plain["template"]["spec"], ours["template"]["spec"]):
        pod["volumes"] = [volume["name"] for volume in pod["volumes"]]
        for key in ("args", "imagePullPolicy"):
            pod["containers"][0].pop(key, None)

    assert plain["template"]["spec"] == ours["template"]["spec"]
    assert {key: plain[key] for key in ("replicas", "strategy")} == {key: ours[key] for key in ("replicas", "strategy")}


def test_a_cluster_is_the_one_of_the_plain_manifests(needs_program):
    """
    Strategy, spread, name of the replica, disruption budget and way to Redis of deploy/kubernetes-cluster.
    """
    plain = {one["kind"]: one["spec"] for one in built("kubernetes-cluster", needs_program) if "spec" in one}
    ours = rendered(values("cluster"))
    deployments = plain["Deployment"], ours["Deployment", ""]["spec"]
    for deployment in deployments:
        pod = deployment["template"]["spec"]
        for constraint in pod["topologySpreadConstraints"]:
            del constraint["labelSelector"]
        pod["volumes"] = [volume["name"] for volume in pod["volumes"]]
        for key in ("args", "imagePullPolicy"):
            pod["containers"][0].pop(key, None)

    assert deployments[0]["template"]["spec"] == deployments[1]["template"]["spec"]
    for key in ("replicas", "strategy"):
        assert deployments[0][key] == deployments[1][key]
    assert plain["NetworkPolicy"]["egress"] == ours["NetworkPolicy", ""]["spec"]["egress"]
    assert plain["PodDisruptionBudget"]["maxUnavailable"] == ours["PodDisruptionBudget", ""]["spec"]["maxUnavailable"]


def test_replicas_without_a_cluster_are_refused():
    """
    Two pods that know nothing of each other would break the vendors' limits: nothing is rendered.
    """
    with helm.Chart.load(CHART) as chart, pytest.raises(helm.HelmRenderError, match=r"takes the key `cluster`"):
        chart.render(values("least") | {"replicas": 2}, name="live")


def test_the_config_arrives_as_it_was_written(given, objects, tmp_path):
    """
    Letter by letter, so that a room `0123` is that room, and with its rooms files where the config looks for them.
    """
    (config_volume, *_) = objects["Deployment", ""]["spec"]["template"]["spec"]["volumes"]
    for source in config_volume["projected"]["sources"]:
        (data,) = [
            each["data"]
            for each in objects.values()
            if each["metadata"]["name"] == source["configMap"]["name"] and each["kind"] == "ConfigMap"
        ]
        items = source["configMap"].get("items") or [{"key": key, "path": key} for key in data]
        for item in items:
            file = tmp_path / item["path"]
            file.parent.mkdir(exist_ok=True)
            file.write_text(data[item["key"]], encoding="utf-8")
    for name in re.findall(rf"{SECRETS}/(\S+)", given["config"]):
        secret = "redis://redis:6379/0" if name == "redis-url" else "0123456789abcdef0123456789abcdef"
        (tmp_path / name).write_text(f"{secret}\n", encoding="utf-8")
    text = (tmp_path / "exporter.yml").read_text(encoding="utf-8")

    assert given["config"] == text
    (source,) = parse(text.replace(SECRETS, str(tmp_path)), tmp_path / "exporter.yml", {}).sources
    files = RoomsFiles(source)
    files.scan()
    expected = {"lobby", "stage"} | ({"0123", "12:30", "yes", "@TGS#a7", "arena"} if given.get("roomsFiles") else set())
    assert expected == {room.id for room in files.rooms}


def test_every_flag_is_one_of_run(objects):
    """
    A flag that was renamed does not come to light as a pod that crashes.
    """
    asked = subprocess.run(
        [sys.executable, "-m", "exporter", "run", "--help"], check=True, capture_output=True, text=True
    )

    used = {word.partition("=")[0] for word in container(objects)["args"] if word.startswith("--")}
    assert used
    assert set() == used - set(re.findall(r"--[\w.-]+", asked.stdout))


def test_health_is_asked_by_the_program_s_own_client(objects):
    """
    Which can do what the port may ask for; the probe waits longer than the client.
    """
    probe = container(objects)["livenessProbe"]

    assert ["rtc-room-exporter", "healthy"] == probe["exec"]["command"]
    assert probe["timeoutSeconds"] > TIMEOUT


def test_a_guarded_port_is_not_asked_by_the_kubelet():
    """
    With a web config, the probes and `run` are told where it is mounted.
    """
    objects = rendered(values("least") | {"webConfig": {"existingSecret": "web"}})
    pod = objects["Deployment", ""]["spec"]["template"]["spec"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container(objects)["volumeMounts"]}
    secrets = {volume["name"]: volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}

    env = {each["name"]: each["value"] for each in container(objects)["env"]}
    assert "https://127.0.0.1:9877" == env["RTC_EXPORTER_URL"]
    assert f"{mounts['web-config']}/probe.yml" == env["RTC_EXPORTER_HTTP_CONFIG_FILE"]
    assert {"secrets": "rtc-room-exporter", "web-config": "web"} == secrets
    assert f"--web.config.file={mounts['web-config']}/web.yml" in container(objects)["args"]


def test_secrets_are_the_user_s_own(objects, given):
    """
    The chart makes no Secret, and mounts the one that it is told of.
    """
    volumes = objects["Deployment", ""]["spec"]["template"]["spec"]["volumes"]
    (secret,) = [volume["secret"] for volume in volumes if volume["name"] == "secrets"]

    assert "Secret" not in {kind for kind, _ in objects}
    assert given["existingSecret"] == secret["secretName"]
    assert {"secrets": SECRETS}.items() <= {
        mount["name"]: mount["mountPath"] for mount in container(objects)["volumeMounts"]
    }.items()


def test_no_secret_and_no_config_of_the_chart_s_where_there_are_others():
    """
    A ConfigMap of the user's own takes the place of the text; without a Secret none is mounted.
    """
    objects = rendered({"existingConfigMap": "mine"})
    (volume,) = objects["Deployment", ""]["spec"]["template"]["spec"]["volumes"]

    assert "ConfigMap" not in {kind for kind, _ in objects}
    assert [{"configMap": {"name": "mine"}}] == volume["projected"]["sources"]


def test_prometheus_alone_may_ask_unless_told_otherwise():
    """
    The default is the policy of deploy/kubernetes; an empty list lets everybody in; it can be left out.
    """
    plain = document("deploy/kubernetes/networkpolicy.yaml")["spec"]
    policy = rendered(values("least"))["NetworkPolicy", ""]["spec"]
    opened = rendered(values("everything"))["NetworkPolicy", ""]["spec"]
    without = rendered(values("least") | {"networkPolicy": {"enabled": False}})

    assert {key: plain[key] for key in ("policyTypes", "ingress", "egress")} == {
        key: policy[key] for key in ("policyTypes", "ingress", "egress")
    }
    assert [["ports"], [53, 53, 443, 3128]] == [
        [*opened["ingress"][0]],
        [port["port"] for rule in opened["egress"] for port in rule["ports"]],
    ]
    assert "NetworkPolicy" not in {kind for kind, _ in without}


def test_callbacks_have_a_port_and_a_service_of_their_own():
    """
    Off by default. The Service leads to that port of the same pods, no ServiceMonitor finds it, and the policy lets in
    whom it is told of.
    """
    objects, least = rendered(values("everything")), rendered(values("least"))
    service = objects["Service", "-callbacks"]
    rules = objects["NetworkPolicy", ""]["spec"]["ingress"]
    monitored = objects["ServiceMonitor", ""]["spec"]["selector"]["matchLabels"]

    assert {"name": "callbacks", "containerPort": 9880} == container(objects)["ports"][1]
    assert [{"name": "callbacks", "port": 9880, "targetPort": "callbacks"}] == service["spec"]["ports"]
    assert objects["Service", ""]["spec"]["selector"] == service["spec"]["selector"]
    assert not monitored.items() <= service["metadata"]["labels"].items()
    assert ["http", "callbacks"] == [rule["ports"][0]["port"] for rule in rules]
    assert "ingress" in str(rules[1]["from"])
    assert [{"name": "http", "containerPort": PORT}] == container(least)["ports"]
    assert ["http"] == [rule["ports"][0]["port"] for rule in least["NetworkPolicy", ""]["spec"]["ingress"]]
    assert ("Service", "-callbacks") not in least


def test_everything_finds_everything():
    """
    Service → pods, policy → pods, budget → pods, ServiceMonitor → Service: by labels that each carries.
    """
    objects = rendered(values("everything"))
    pod = objects["Deployment", ""]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        objects["Service", ""]["spec"]["selector"],
        objects["NetworkPolicy", ""]["spec"]["podSelector"]["matchLabels"],
        objects["PodDisruptionBudget", ""]["spec"]["selector"]["matchLabels"],
        objects["Deployment", ""]["spec"]["selector"]["matchLabels"],
    ]
    monitor = objects["ServiceMonitor", ""]["spec"]

    assert all(NAME.items() <= selector.items() <= pod.items() for selector in selectors)
    assert monitor["selector"]["matchLabels"].items() <= objects["Service", ""]["metadata"]["labels"].items()
    assert {"name": "http", "containerPort": PORT} == container(objects)["ports"][0]
    assert ["http"] == [endpoint["port"] for endpoint in monitor["endpoints"]]


def test_the_service_monitor_asks_as_it_is_told():
    """
    Path, interval and whatever a guarded port takes; the keys are those of the operator's kind.
    """
    monitor = rendered(values("everything"))["ServiceMonitor", ""]
    (endpoint,) = monitor["spec"]["endpoints"]

    assert "monitoring.coreos.com/v1" == monitor["apiVersion"]
    assert ("/numbers", "15s", "5s", "https") == tuple(
        endpoint[key] for key in ("path", "interval", "scrapeTimeout", "scheme")
    )
    assert {"port", "path", "interval", "scrapeTimeout", "scheme", "tlsConfig", "basicAuth"} == set(endpoint)


@pytest.mark.parametrize("name", ["alerts", "recording"])
def test_the_rules_are_those_of_the_files(name):
    """
    Word for word; only the links lead where the values say.
    """
    text = (ROOT / f"deploy/prometheus/rules/{name}.yml").read_text(encoding="utf-8")
    links = {"http://localhost:9877": "https://rooms.example", "http://localhost:3000": "https://grafana.example"}
    for before, after in links.items():
        assert name != "alerts" or 1 == text.count(before)
        text = text.replace(before, after)
    manifest = rendered(values("everything"))["PrometheusRule", f"-{name}"]

    assert "monitoring.coreos.com/v1" == manifest["apiVersion"]
    assert yaml.safe_load(text) == manifest["spec"]


@pytest.mark.needs_program("promtool")
@pytest.mark.parametrize("name", ["alerts", "recording"])
def test_prometheus_takes_the_rendered_rules(name, tmp_path):
    """
    As the operator hands them over.
    """
    file = tmp_path / "rules.yml"
    manifest = rendered(values("everything"))["PrometheusRule", f"-{name}"]
    file.write_text(yaml.safe_dump(manifest["spec"]), encoding="utf-8")

    checked = subprocess.run(["promtool", "check", "rules", file], check=False, capture_output=True, text=True)

    assert (0, "") == (checked.returncode, checked.stderr)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"confg": "sources: []"}, "confg"),
        ({"config": {"sources": []}}, "config"),
        ({"roomsFiles": {"rooms.csv": "lobby"}}, "rooms.csv"),
        ({"roomsFiles": {"../exporter.yml": "lobby"}}, "exporter.yml"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"service": {"port": 0}}, "port"),
        ({"log": {"level": "loud"}}, "level"),
        ({"replicas": 0}, "replicas"),
        ({"fullnameOverride": "rooms"}, "fullnameOverride"),
        ({"podDisruptionBudget": {"maxUnavailable": 2}}, "maxUnavailable"),
        ({"prometheusRule": {"pageUrl": "rooms.example"}}, "pageUrl"),
        ({"web": {"telemetryPath": "metrics"}}, "telemetryPath"),
    ],
)
def test_a_mistake_in_the_values_is_refused(wrong, said):
    """
    A misspelt key, a config that is not text, no replica at all: the message names the key.
    """
    with helm.Chart.load(CHART) as chart, pytest.raises(helm.HelmValuesError, match=re.escape(said)):
        chart.validate_schema(values("least") | wrong)


def test_the_schema_knows_every_value():
    """
    The defaults are valid, and each key of theirs is one of the schema.
    """
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    defaults = document("deploy/helm/rtc-room-exporter/values.yaml")

    assert defaults.keys() | {"global"} == schema["properties"].keys()
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema({})


def test_every_value_is_tried():
    """
    The file with everything leaves no key of the chart out, but the one that stands for others in it.
    """
    defaults = document("deploy/helm/rtc-room-exporter/values.yaml")

    assert defaults.keys() == values("everything").keys() | {"existingConfigMap"}


def test_without_a_config_nothing_is_installed():
    """
    And the message says which values are meant.
    """
    with helm.Chart.load(CHART) as chart, pytest.raises(helm.HelmRenderError, match=r"`config`.*`existingConfigMap`"):
        chart.render({}, name="live")


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("live", "live-rtc-room-exporter"),
        ("rtc-room-exporter", "rtc-room-exporter"),
        ("cn-rtc-room-exporter", "cn-rtc-room-exporter"),
        ("l" * 53, f"{'l' * 45}-rtc-room-exporter"),
    ],
)
def test_the_job_is_one_that_alerts_look_for(release, name):
    """
    Prometheus names the job after the Service, whose name always holds the exporter's.
    """
    with helm.Chart.load(CHART) as chart:
        text = chart.render(values("least"), name=release)["rtc-room-exporter/templates/service.yaml"]

    assert name == yaml.safe_load(text)["metadata"]["name"]
    assert 'up{job=~".*rtc-room-exporter.*"}' in (ROOT / "deploy/prometheus/rules/alerts.yml").read_text(
        encoding="utf-8"
    )


def test_the_packed_chart_is_whole(tmp_path):
    """
    The rules, which stand elsewhere in this tree, come along; files for tests do not.
    """
    packed = helm.package(CHART, destination=tmp_path)
    with tarfile.open(packed) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    with helm.Chart.load(packed) as chart:
        from_the_archive = chart.render(values("everything"), name="live", namespace="rooms")
    with helm.Chart.load(CHART) as chart:
        from_the_tree = chart.render(values("everything"), name="live", namespace="rooms")

    assert f"rtc-room-exporter-{VERSION}.tgz" == Path(packed).name
    assert {"rules/alerts.yml", "rules/recording.yml", "values.schema.json"} <= names
    assert not [name for name in names if name.startswith("ci/")]
    assert from_the_tree == from_the_archive


def test_the_notes_tell_who_reaches_the_port():
    """
    Whoever installs it reads whether anything guards the port.
    """

    def notes(**more: Any) -> str:
        with helm.Chart.load(CHART) as chart:
            texts = chart.render(values("least") | more, name="live", namespace="rooms")
        return texts["rtc-room-exporter/templates/NOTES.txt"]

    assert "neither TLS nor a password" in notes()
    assert "kubernetes.io/metadata.name: monitoring" in notes()
    assert "every pod of the cluster reaches it" in notes(networkPolicy={"enabled": False})
    assert "guarded by the web config in Secret web" in notes(webConfig={"existingSecret": "web"})
