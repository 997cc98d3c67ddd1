"""
Pins of the image and of a clone follow pyproject.toml and can be trusted.
"""

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.benchmarks import setting
from tests.deploy.project import PYPROJECT, ROOT

RUN = PYPROJECT["project"]["dependencies"]
# hatchling asks for editables when the checkout itself is installed.
BUILD = [*PYPROJECT["build-system"]["requires"], "editables"]
DEV = PYPROJECT["project"]["optional-dependencies"]["dev"]
PEERS = ROOT / "tests/benchmarks/peers/requirements.in"
DECLARED = {
    "deploy/requirements.txt": RUN,
    "deploy/build-requirements.txt": BUILD,
    "deploy/dev-requirements.txt": [*RUN, *BUILD, *DEV],
    "tests/benchmarks/peers/requirements.txt": re.findall(r"(?m)^[^#\n]+", PEERS.read_text(encoding="utf-8")),
}


@pytest.fixture(params=DECLARED)
def name(request):
    """
    Each file of pins in turn.
    """
    return request.param


@pytest.fixture
def text(name):
    """
    What the file says, one requirement a line.
    """
    return read(name)


def read(name):
    """
    A file's text, continuation lines joined.
    """
    return (ROOT / name).read_text(encoding="utf-8").replace("\\\n", "")


def pins(text):
    """
    Version by package.
    """
    return {
        canonicalize_name(package): Version(version)
        for package, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)
    }


def test_every_declared_dependency_is_pinned_within_its_range(name, text):
    """
    Whatever is asked for is pinned, at a version that is allowed.
    """
    pinned = pins(text)

    assert DECLARED[name]
    for requirement in map(Requirement, DECLARED[name]):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_nothing_is_installed_without_a_hash(text):
    """
    Each line is one exact version with the hashes of its files: no URL, no option, no index of packages.
    """
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]

    assert lines
    for line in lines:
        assert re.fullmatch(r"[\w.-]+==[\w.!+-]+( ; .+?)?( +--hash=sha256:[0-9a-f]{64})+ *", line), line


def test_peers_of_the_benchmarks_are_installed_as_they_are_pinned(monkeypatch, tmp_path):
    """
    Once for a set of pins, and by their hashes.
    """
    commands: list[list[str]] = []
    monkeypatch.setattr(setting, "PYTHON_PEERS", tmp_path / "python")
    monkeypatch.setattr(setting, "_INSTALLED", tmp_path / "python/requirements.txt")
    monkeypatch.setattr(setting, "_run", commands.append)

    setting.python_peers()
    setting.python_peers()

    (command,) = commands
    assert "--require-hashes" in command
    assert ["-r", str(PEERS.with_suffix(".txt"))] == command[-2:]


def test_files_agree():
    """
    Files that are installed together, such as those to run and to build, name no package at two versions.
    """
    versions: dict[str, set[Version]] = {}
    for name in DECLARED:
        for package, version in pins(read(name)).items():
            versions.setdefault(package, set()).add(version)

    assert [] == [package for package, found in versions.items() if len(found) > 1]


def test_no_registry_is_named(text):
    """
    Where packages come from is the installing machine's own setting.
    """
    assert not re.search(r"https?://|--(index|extra-index|find-links|trusted-host)", text)
