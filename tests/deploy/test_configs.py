"""
Every config that comes with the exporter is one that it accepts.
"""

import re
from pathlib import Path

import pytest

from exporter.config import parse
from exporter.vendors import APIS
from tests.deploy.project import ROOT, document

ENVIRONMENT = {
    "ZEGO_SERVER_SECRET": "0123456789abcdef0123456789abcdef",
    "VOLC_SECRET_ACCESS_KEY": "made-up",
    "JANUS_ADMIN_SECRET": "made-up",
    "JANUS_ADMIN_KEY": "made-up",
}


def text(path):
    """
    The exporter's config in a file, or inside a ConfigMap.
    """
    if path.startswith("deploy/kubernetes"):
        return document(path)["data"]["exporter.yml"]
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.fixture
def secrets_folder(tmp_path):
    """
    A folder that holds a secret for every name.
    """

    def folder(text):
        for name in re.findall(r"_file: /run/secrets/(\S+)", text):
            file = tmp_path / name
            file.parent.mkdir(exist_ok=True)
            secret = "redis://redis:6379/0" if file.name == "redis-url" else "0123456789abcdef0123456789abcdef"
            file.write_text(f"{secret}\n", encoding="utf-8")
        return tmp_path

    return folder


@pytest.mark.parametrize(
    "path",
    [
        "deploy/exporter.example.yml",
        "deploy/compose/exporter.yml",
        "deploy/compose/exporter-cluster.yml",
        "deploy/kubernetes/configmap.yaml",
        "deploy/kubernetes-cluster/configmap.yaml",
    ],
)
def test_it_is_accepted(path, secrets_folder):
    """
    With its secrets in place the file is read without a complaint.
    """
    config = text(path)
    mounted = config.replace("/run/secrets", str(secrets_folder(config)))

    assert parse(mounted, Path(path), ENVIRONMENT).sources


def test_the_example_shows_every_api():
    """
    Whatever an operator watches, there is a source to start from.
    """
    assert set(APIS) == {source["api"] for source in document("deploy/exporter.example.yml")["sources"]}


def test_what_the_example_has_commented_out_is_accepted_too(secrets_folder):
    """
    Optional keys shown as comments are real ones: taken in, the file is valid. (A CA file would have to be there.)
    """
    config = re.sub(
        r"^( *)# ( *(?:(?!ca_file)\w+:|- ))", r"\1\2", text("deploy/exporter.example.yml"), flags=re.MULTILINE
    )
    mounted = config.replace("/run/secrets", str(secrets_folder(config)))

    source = parse(mounted, Path("/etc/exporter.yml"), ENVIRONMENT).sources[0]

    assert "zego-main" == source.budget
    assert ("/etc/rooms/*.yml", "/etc/rooms/*.txt") == source.rooms_files
    assert "https://rtc-api.zego.im" == source.base_url
    assert "http://proxy.example:3128" == source.source.proxy
    assert source.discovery
    assert ["https://backend.internal/rooms/live"] == [each.url for each in source.discovery.http_sd]
    assert source.discovery.callbacks
