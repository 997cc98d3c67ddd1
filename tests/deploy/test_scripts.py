"""
`make`'s scripts say what is missing and what to do about it, on machines that lack things.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.project import ROOT

SHELL_TOOLS = ["bash", "cat", "cksum", "dirname", "mktemp", "rm", "sed"]
CHECKERS = ["ruff", "mypy", "lint-imports", "python", "hadolint", "kubernetes-validate"]
TEST_PROGRAMS = ["chromium", "kill"]
DEBIAN_CHECKERS = ["shellcheck", "docker-compose", "systemd-analyze", "promtool", "amtool"]


class Machine:
    """
    A checkout on a machine with few programs, each of them a stand-in.
    """

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "a checkout"
        self.programs = folder / "bin"
        self.programs.mkdir()
        for name in SHELL_TOOLS:
            (self.programs / name).symlink_to(shutil.which(name) or name)
        shutil.copytree(ROOT / ".ci", self.checkout / ".ci")
        shutil.copy(ROOT / "pyproject.toml", self.checkout)
        unit = self.checkout / "deploy/systemd/rtc-room-exporter.service"
        unit.parent.mkdir(parents=True)
        unit.touch()

    def has(self, name: str, script: str = "exit 0") -> None:
        """
        Put a stand-in on the PATH.
        """
        program = self.programs / name
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(0o755)

    def run(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """
        Run one of the scripts with nothing else on the PATH.
        """
        return subprocess.run(
            [self.checkout / ".ci" / script],
            env={"PATH": str(self.programs), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )


@pytest.fixture
def machine(tmp_path):
    """
    A machine with a shell and little else.
    """
    return Machine(tmp_path)


@pytest.fixture
def checkable(machine):
    """
    The same with every program that the checks use; each is content.
    """
    for name in CHECKERS + DEBIAN_CHECKERS:
        machine.has(name)
    return machine


def test_no_python_is_told(machine):
    """
    Without Python 3.11 the first command says what it wants and how to name one.
    """
    machine.has("python3", "exit 1")

    result = machine.run("venv")

    assert 1 == result.returncode
    assert "Python 3.11 or newer is needed" in result.stderr
    assert "PYTHON=" in result.stderr


def test_a_python_without_ensurepip_is_told(machine):
    """
    Debian's Python cannot make a virtual environment by itself: the package to install is named.
    """
    machine.has("python3", 'case "$2" in *ensurepip*) exit 1 ;; esac')

    result = machine.run("venv")

    assert 1 == result.returncode
    assert "apt-get install python3-venv" in result.stderr


@pytest.fixture
def installs(machine):
    """
    A machine whose .venv is there, not yet filled; tells how often pip installed something into it.
    """
    machine.has("logging-python", 'echo "$@" >>log')
    python = machine.checkout / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(machine.programs / "logging-python")
    (machine.checkout / ".venv/folder").write_text(str(machine.checkout), encoding="utf-8")
    return lambda: (machine.checkout / "log").read_text(encoding="utf-8").count("pip install")


def test_a_fresh_environment_is_left_alone(machine, installs):
    """
    The second `make` costs nothing: no pip runs while pyproject.toml and the folder stay as they were.
    """
    machine.run("venv")
    machine.run("venv")

    assert 1 == installs()


def test_a_changed_project_is_installed_again(machine, installs):
    """
    New dependencies in pyproject.toml reach an environment that is there already.
    """
    machine.run("venv")
    with (machine.checkout / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    machine.run("venv")

    assert 2 == installs()


def test_a_moved_checkout_gets_a_new_environment(machine, installs):
    """
    Scripts in .venv name their own folder, so an environment that came along from elsewhere is made anew.
    """
    machine.has("python3", 'test "$2" = venv && echo "$@" >>log; exit 0')
    machine.run("venv")
    machine.checkout = machine.checkout.rename(machine.checkout.with_name("moved"))
    machine.run("venv")

    assert "-m venv --clear .venv" in (machine.checkout / "log").read_text(encoding="utf-8")


def test_programs_that_are_there_are_not_installed_again(checkable):
    """
    With everything in place `make test-deps` touches nothing and needs neither root nor a network.
    """
    for name in TEST_PROGRAMS:
        checkable.has(name)
    checkable.has("apt-get", "echo it was run; exit 1")

    result = checkable.run("test-deps")

    assert (0, "Every program that the tests use is here.\n") == (result.returncode, result.stdout)


def test_elsewhere_than_on_debian_the_missing_programs_are_named(checkable):
    """
    Without apt-get nothing is installed, and the list tells what to look for.
    """
    (checkable.programs / "promtool").unlink()

    result = checkable.run("test-deps")

    assert 1 == result.returncode
    assert "chromium procps prometheus\n" in result.stderr


def test_all_checks_pass(checkable):
    """
    With every program there and content, the checks succeed and leave nothing out.
    """
    result = checkable.run("check", CI="true")

    assert 0 == result.returncode, result.stdout
    assert "Not checked" not in result.stdout


@pytest.mark.parametrize("name", DEBIAN_CHECKERS)
def test_what_could_not_be_checked_is_told(checkable, name):
    """
    On a newcomer's machine the rest is checked, and the output says what was not and what brings it.
    """
    (checkable.programs / name).unlink()

    result = checkable.run("check")

    assert 0 == result.returncode, result.stdout
    assert "Not checked" in result.stdout
    assert name in result.stdout.partition("Not checked")[2]
    assert "make test-deps" in result.stdout


@pytest.mark.parametrize("name", CHECKERS + DEBIAN_CHECKERS)
def test_in_ci_nothing_goes_unchecked(checkable, name):
    """
    With CI=true a missing program is a failure.
    """
    (checkable.programs / name).unlink()

    result = checkable.run("check", CI="true")

    assert 1 == result.returncode
    assert "Failed:" in result.stdout


@pytest.mark.parametrize("name", CHECKERS + DEBIAN_CHECKERS)
def test_one_complaint_fails_the_check(checkable, name):
    """
    What a program has to say is shown, and no complaint is lost among the others' success.
    """
    checkable.has(name, 'test "$1" = compose && exit 1; echo this is wrong; exit 1')

    result = checkable.run("check")

    assert 1 == result.returncode
    assert "this is wrong" in result.stdout


def test_a_unit_setting_that_systemd_does_not_know_fails_the_check(checkable):
    """
    systemd-analyze only prints such a setting and exits 0: printing is taken for a complaint.
    """
    checkable.has("systemd-analyze", 'test "$1" = security || echo "Unknown key"')

    result = checkable.run("check")

    assert 1 == result.returncode
    assert "Unknown key" in result.stdout
