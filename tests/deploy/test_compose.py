"""
`docker compose up` brings everything up, wired together, with data at once.
"""

import re
from pathlib import Path

import pytest

from exporter.healthy import TIMEOUT
from exporter.simulator.apps import DEFAULT_APPS
from exporter.simulator.room_ids import sample
from exporter.simulator.settings import Settings
from tests.deploy.project import PORT, ROOT, VERSION, document

FOLDER = ROOT / "deploy/compose"


@pytest.fixture
def services():
    """
    The services of the Compose file.
    """
    return document("deploy/compose/compose.yml")["services"]


@pytest.fixture
def sources():
    """
    What the exporter watches there.
    """
    return document("deploy/compose/exporter.yml")["sources"]


def secret(path):
    """
    What stands in the file that a container sees under /run/secrets.
    """
    file = document("deploy/compose/compose.yml")["secrets"][Path(path).name]["file"]
    return (FOLDER / file).read_text(encoding="utf-8").strip()


def test_the_image_is_this_version(services):
    """
    The tag names the packaged version.
    """
    assert f"rtc-room-exporter:{VERSION}" == services["exporter"]["image"]


def test_other_images_are_pinned(services):
    """
    Nothing runs as whatever is newest today.
    """
    tags = {service["image"].partition(":")[2] for service in services.values() if "image" in service}

    assert not tags & {"", "latest", "main"}


def test_nothing_listens_beyond_this_machine(services):
    """
    Published ports are bound to loopback: the stack has no passwords.
    """
    ports = [port for service in services.values() for port in service.get("ports", [])]

    assert f"127.0.0.1:{PORT}:{PORT}" in ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", ["exporter", "simulator"])
def test_our_containers_are_held_within_limits(services, name):
    """
    Open files, memory and processes are as under systemd; nothing is written, and no privilege is gained.
    """
    unit = (ROOT / "deploy/systemd/rtc-room-exporter.service").read_text(encoding="utf-8")
    limits = dict(re.findall(r"^(LimitNOFILE|MemoryMax|TasksMax)=(\w+)$", unit, re.MULTILINE))
    service = services[name]

    assert {
        "LimitNOFILE": str(service["ulimits"]["nofile"]),
        "MemoryMax": service["mem_limit"].upper(),
        "TasksMax": str(service["pids_limit"]),
    } == limits
    assert (True, ["ALL"], ["no-new-privileges:true"]) == (
        service["read_only"],
        service["cap_drop"],
        service["security_opt"],
    )


def test_every_other_container_has_a_limit_of_memory(services):
    """
    None of them takes the machine along.
    """
    assert [] == [name for name, service in services.items() if "mem_limit" not in service]


def test_the_exporter_s_health_is_asked_of_it(services):
    """
    By the command that the image has for it, with more patience than the command.
    """
    check = services["exporter"]["healthcheck"]

    assert ["CMD", "rtc-room-exporter", "healthy"] == check["test"]
    assert int(check["timeout"].removesuffix("s")) > TIMEOUT


def test_every_mounted_file_is_there(services):
    """
    Compose makes an empty folder of a missing file, and the program behind it then fails in odd ways.
    """
    files = [mount.split(":")[0] for service in services.values() for mount in service.get("volumes", [])]
    files += [secret["file"] for secret in document("deploy/compose/compose.yml")["secrets"].values()]

    missing = [file for file in files if file.startswith(".") and not (FOLDER / file).exists()]
    assert [] == missing


def test_prometheus_finds_the_exporter_and_alertmanager(services):
    """
    The scrape and alerting targets are services of this file, at the ports they listen on.
    """
    config = document("deploy/compose/prometheus.yml")
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    (alertmanager,) = config["alerting"]["alertmanagers"]

    assert [f"exporter:{PORT}"] == targets["rtc-room-exporter"]
    assert [{"targets": ["alertmanager:9093"]}] == alertmanager["static_configs"]
    assert {"exporter", "alertmanager"} <= set(services)


def test_grafana_finds_prometheus_and_the_dashboards(services):
    """
    What Grafana is provisioned with names this file's Prometheus and the folder that is mounted.
    """
    (source,) = document("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    (provider,) = document("grafana/provisioning/dashboards/live-rooms.yml")["providers"]

    assert "http://prometheus:9090" == source["url"]
    assert f"../../grafana/dashboards:{provider['options']['path']}:ro" in services["grafana"]["volumes"]


def test_both_prometheus_configs_differ_in_host_names_alone():
    """
    What holds on one machine holds in containers.
    """
    alone = (ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8")
    composed = (FOLDER / "prometheus.yml").read_text(encoding="utf-8")
    composed = composed.replace("alertmanager:9093", "localhost:9093").replace(f"exporter:{PORT}", f"localhost:{PORT}")

    assert [line for line in alone.splitlines() if "#" not in line] == [
        line for line in composed.splitlines() if "#" not in line
    ]


def test_all_apis_are_watched(sources):
    """
    The first look shows everything that the exporter can do.
    """
    assert set(Settings().rooms) == {source["api"] for source in sources}


def test_the_simulator_knows_every_room(sources):
    """
    Each watched room is one that the simulator has from its start.
    """
    for source in sources:
        watched = {room["id"] if isinstance(room, dict) else room for room in source["rooms"]}
        assert watched <= set(sample(source["api"], Settings().rooms[source["api"]], Settings().seed))


def test_the_simulator_knows_the_credentials(sources):
    """
    Apps and secret files are the simulator's own.
    """
    by_api = {source["api"]: source for source in sources}

    for api in ("zego_rtc", "zego_zim"):
        assert DEFAULT_APPS.zego[0].app_id == by_api[api]["app_id"]
        assert DEFAULT_APPS.zego[0].server_secret == secret(by_api[api]["server_secret_file"])
    for api in ("tencent_im", "tencent_live"):
        assert DEFAULT_APPS.tencent[0].sdk_app_id == by_api[api]["sdk_app_id"]
        assert DEFAULT_APPS.tencent[0].identifier == by_api[api]["identifier"]
        assert DEFAULT_APPS.tencent[0].secret_key == secret(by_api[api]["secret_key_file"])
    assert DEFAULT_APPS.volcengine[0].app_id == by_api["volcengine_rtc"]["app_id"]
    assert DEFAULT_APPS.volcengine[0].access_key_id == by_api["volcengine_rtc"]["access_key_id"]
    assert DEFAULT_APPS.volcengine[0].secret_access_key == secret(by_api["volcengine_rtc"]["secret_access_key_file"])
    assert DEFAULT_APPS.janus[0].admin_secret == secret(by_api["janus_videoroom"]["admin_secret_file"])


def test_the_simulator_listens_where_the_sources_call(services, sources):
    """
    One address on both sides.
    """
    (flag,) = [word for word in services["simulator"]["command"] if word.startswith("--web.listen-address=")]

    assert {f"http://simulator:{flag.rpartition(':')[2]}"} == {source["base_url"] for source in sources}


def test_a_cluster_has_two_replicas_with_one_config():
    """
    Both have names of their own, the same file, and the same limits; the file is that of the one that stands alone,
    and the cluster's key; each is scraped.
    """
    alone, services = (
        document("deploy/compose/compose.yml")["services"],
        document("deploy/compose/cluster.yml")["services"],
    )
    first, second = alone["exporter"] | services["exporter"], services["exporter-2"]
    config = document("deploy/compose/exporter-cluster.yml")
    both = document("deploy/compose/prometheus-cluster.yml")
    one = document("deploy/compose/prometheus.yml")

    assert {"redis": {"url": "redis://valkey:6379/0"}} == config.pop("cluster")
    assert document("deploy/compose/exporter.yml") == config
    differ = {"build", "environment", "ports", "depends_on"}
    assert {key: value for key, value in first.items() if key not in differ} == {
        key: value for key, value in second.items() if key not in differ
    }
    names = [each["environment"]["RTC_EXPORTER_CLUSTER_REPLICA"] for each in (first, second)]
    assert ["exporter-1", "exporter-2"] == names
    targets = both["scrape_configs"][0]["static_configs"][0]["targets"]
    assert [f"exporter:{PORT}", f"exporter-2:{PORT}"] == targets
    one["scrape_configs"][0]["static_configs"][0]["targets"] = targets
    assert one == both


def test_the_cluster_s_valkey_is_pinned_and_guarded():
    """
    As the other images are; it evicts nothing, and nobody beyond this stack reaches it.
    """
    valkey = document("deploy/compose/cluster.yml")["services"]["valkey"]

    assert re.fullmatch(r"valkey/valkey:\d+\.\d+\.\d+(-alpine)?", valkey["image"])
    assert "noeviction" in valkey["command"]
    assert "ports" not in valkey
    assert {"read_only", "cap_drop", "security_opt", "mem_limit"} <= valkey.keys()
