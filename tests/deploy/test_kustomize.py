"""
`kubectl apply -k deploy/kubernetes` has something to apply.
"""

import subprocess

import pytest
import yaml

from tests.deploy.project import ROOT


@pytest.fixture
def built(needs_program):
    """
    What kustomize makes of the folder.
    """
    command = [needs_program("kubectl"), "kustomize", ROOT / "deploy/kubernetes"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "" == done.stderr
    return list(yaml.safe_load_all(done.stdout))


def test_every_object_of_every_manifest_is_built(built):
    """
    Kustomize reads the folder without a warning and leaves nothing out.
    """
    files = (ROOT / "deploy/kubernetes").glob("*.yaml")
    written = [
        (manifest["kind"], manifest["metadata"]["name"])
        for path in files
        for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8"))
        if manifest["kind"] != "Kustomization"
    ]

    assert sorted(written) == sorted((one["kind"], one["metadata"]["name"]) for one in built)
