"""
The pins of the image follow pyproject.toml and can be trusted.
"""

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.deploy.project import PYPROJECT, ROOT

DECLARED = {
    "deploy/requirements.txt": PYPROJECT["project"]["dependencies"],
    "deploy/build-requirements.txt": PYPROJECT["build-system"]["requires"],
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
    What pyproject.toml asks for is pinned, at a version that it allows.
    """
    pinned = pins(text)

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


def test_no_registry_is_named(text):
    """
    Where packages come from is the installing machine's own setting.
    """
    assert not re.search(r"https?://|--(index|extra-index|find-links|trusted-host)", text)
