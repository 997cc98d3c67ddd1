"""
What Grafana reads when it starts: the data source and where the dashboards are.
"""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PROVISIONING = ROOT / "grafana" / "provisioning"


def read(path):
    """
    A YAML file of the project.
    """
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_data_source_is_the_one_that_dashboards_fall_back_to():
    """
    There is one data source, a Prometheus, and it is the default, so the dashboards find it without being told.
    """
    [source] = read(PROVISIONING / "datasources" / "prometheus.yml")["datasources"]

    assert ("prometheus", True) == (source["type"], source["isDefault"])


def test_grafana_knows_how_often_prometheus_scrapes():
    """
    Grafana takes rates over four scrapes; it has the interval from here, and Prometheus from its own file.
    """
    [source] = read(PROVISIONING / "datasources" / "prometheus.yml")["datasources"]
    prometheus = read(ROOT / "deploy" / "prometheus" / "prometheus.yml")

    assert prometheus["global"]["scrape_interval"] == source["jsonData"]["timeInterval"]


def test_dashboards_are_read_from_files():
    """
    Grafana loads the dashboards from a folder and does not let anybody's click drift away from what is committed.
    """
    [provider] = read(PROVISIONING / "dashboards" / "live-rooms.yml")["providers"]

    assert ("file", False) == (provider["type"], provider["allowUiUpdates"])
    assert "/var/lib/grafana/dashboards" == provider["options"]["path"]
