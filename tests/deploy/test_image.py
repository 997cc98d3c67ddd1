"""
What the Dockerfile promises to those who run the image.
"""

import json
import re

import pytest

from exporter.cli import healthy
from exporter.healthy import TIMEOUT
from tests.deploy.project import PORT, PYPROJECT, ROOT


@pytest.fixture(scope="module")
def stages():
    """
    The Dockerfile's stages, each a list of (instruction, arguments), continuation lines joined.
    """
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    stages: list[list[tuple[str, str]]] = []
    for line in text.replace("\\\n", "").splitlines():
        if line.strip():
            instruction, _, arguments = line.strip().partition(" ")
            if instruction == "FROM":
                stages.append([])
            stages[-1].append((instruction, arguments))
    return stages


def arguments(stage, instruction):
    """
    What an instruction is given, each time it comes.
    """
    return [given for name, given in stage if name == instruction]


def test_it_does_not_run_as_root(stages):
    """
    The user is a number, so that Kubernetes can see that it is not root's.
    """
    (user,) = arguments(stages[-1], "USER")

    uid, gid = map(int, user.split(":"))
    assert uid >= 10_000
    assert gid >= 10_000


def test_the_base_is_one_version_in_every_stage(stages):
    """
    What was built by one Python is run by the same, and not by whatever is newest today.
    """
    bases = {arguments(stage, "FROM")[0].split(" AS ")[0] for stage in stages}

    (base,) = bases
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", base)


def test_the_base_is_a_python_that_the_package_wants(stages):
    """
    The image's Python is among those that pyproject.toml names.
    """
    version = re.match(r"python:(3\.\d+)", arguments(stages[-1], "FROM")[0])

    assert version
    assert f"Programming Language :: Python :: {version[1]}" in PYPROJECT["project"]["classifiers"]


def test_everything_installed_has_a_hash_or_comes_from_this_tree(stages):
    """
    No `pip install` may fetch what the pins do not name.
    """
    commands = [command for stage in stages for run in arguments(stage, "RUN") for command in run.split("&&")]
    installs = [command for command in commands if re.search(r"pip (install|wheel)", command)]

    assert installs
    for command in installs:
        assert "--require-hashes" in command or "--no-deps" in command, command
        assert "--require-hashes" in command or "--no-index" in command or "--no-build-isolation" in command, command


def test_it_listens_and_asks_after_its_health_at_the_default_port(stages):
    """
    EXPOSE and HEALTHCHECK mean the port that `run` listens on by itself, and Docker waits longer than the question may
    take.
    """
    (exposed,) = arguments(stages[-1], "EXPOSE")
    (healthcheck,) = arguments(stages[-1], "HEALTHCHECK")
    options, _, command = healthcheck.partition(" CMD ")
    patience = re.search(r"--timeout=(\d+)s", options)

    assert PORT == int(exposed)
    assert ["rtc-room-exporter", "healthy"] == json.loads(command)
    assert [f"http://127.0.0.1:{PORT}"] == [each.default for each in healthy.params if each.name == "url"]
    assert patience
    assert int(patience[1]) > TIMEOUT


def test_it_writes_no_bytecode(stages):
    """
    The root file system may be read-only.
    """
    assert any("PYTHONDONTWRITEBYTECODE=1" in given for given in arguments(stages[-1], "ENV"))
