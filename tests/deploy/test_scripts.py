"""
`make`'s scripts say what is missing and what to do about it, on machines that lack things.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.deploy.project import ROOT

SHELL_TOOLS = ["bash", "cat", "cksum", "dirname", "grep", "ln", "mkdir", "mktemp", "rm", "sed", "sort"]
CHECKERS = ["ruff", "mypy", "lint-imports", "bandit", "pip-licenses", "python", "hadolint", "kubernetes-validate"]
TEST_PROGRAMS = ["chromium", "faketime", "ip", "janus", "kill", "lintian", "redis-sentinel", "redis-server", "vmagent"]
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
        for pins in (ROOT / "deploy").glob("*requirements.txt"):
            shutil.copy(pins, self.checkout / "deploy")

    def has(self, name: str, script: str = "exit 0") -> None:
        """
        Put a stand-in on the PATH.
        """
        program = self.programs / name
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(0o755)

    def has_python(self, name: str, version: str) -> None:
        """
        Put a stand-in for a Python on the PATH, which writes down what pip shall install and makes environments of
        itself.
        """
        minor = version.rpartition(".")[2]
        script = f"""
            case "$*" in
                *"version_info >= (3, 11)"*) test {minor} -ge 11 ;;
                *"version_info[:2] == (3, "*) case "$2" in *"(3, {minor})"*) ;; *) exit 1 ;; esac ;;
                *"version_info[:2]"*) echo {version} ;;
                *base_prefix*) echo {name} ;;
                --version) echo Python {version}.0 ;;
                "-m pip install"*) echo "$@" >>log ;;
                "-m venv --clear"*)
                    echo "$@" >>log
                    rm -rf "$4"; mkdir -p "$4/bin"; ln -s "{self.programs / name}" "$4/bin/python" ;;
            esac"""
        self.has(name, script)

    def logged(self) -> list[str]:
        """
        What the Pythons wrote down since it was asked for last.
        """
        log = self.checkout / "log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def run(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """
        Run one of the scripts with nothing else on the PATH.
        """
        return subprocess.run(
            [self.checkout / ".ci" / script, *arguments],
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
def made(machine):
    """
    A machine with a Python 3.11; tells the environments that were made, in order, and empties the list.
    """
    machine.has_python("python3", "3.11")
    return lambda: [line.split()[-1] for line in machine.logged() if line.startswith("-m venv")]


@pytest.fixture
def installed(machine, made):
    """
    The same; tells what pip was to install, in order, and empties the list.
    """
    return lambda: [line for line in machine.logged() if line.startswith("-m pip install")]


@pytest.mark.parametrize(
    ("purpose", "files"),
    [
        ("run", ["deploy/requirements.txt", "deploy/build-requirements.txt"]),
        ("dev", ["deploy/dev-requirements.txt"]),
    ],
)
def test_a_clone_installs_nothing_but_what_is_pinned(machine, installed, purpose, files):
    """
    Versions and hashes are those of the clone, the checkout's own build included: whatever is released meanwhile.
    """
    machine.run("venv", purpose)

    pinned, checkout = installed()
    assert "--require-hashes" in pinned
    assert "--only-binary :all:" in pinned
    assert files == re.findall(r"-r (\S+)", pinned)
    assert "-m pip install --quiet --no-deps --no-build-isolation --editable ." == checkout


def test_a_fresh_environment_is_left_alone(machine, installed):
    """
    The second `make` costs nothing: no pip runs while pyproject.toml, the pins and the folder stay as they were.
    """
    machine.run("venv", "dev")
    installed()

    machine.run("venv", "dev")
    machine.run("venv")

    assert [] == installed()


@pytest.mark.parametrize("name", ["pyproject.toml", "deploy/requirements.txt", "deploy/dev-requirements.txt"])
def test_a_changed_project_is_installed_again(machine, installed, name):
    """
    New dependencies and new pins reach an environment that is there already.
    """
    machine.run("venv", "dev")
    before = installed()
    with (machine.checkout / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")

    machine.run("venv", "dev")

    assert before == installed()


def test_a_moved_checkout_gets_a_new_environment(machine, made):
    """
    Scripts in .venv name their own folder, so an environment that came along from elsewhere is made anew.
    """
    machine.run("venv")
    made()

    machine.checkout = machine.checkout.rename(machine.checkout.with_name("moved"))
    machine.run("venv")

    assert [".venv"] == made()


def test_another_python_gets_an_environment_of_its_own(machine, made):
    """
    PYTHON names the interpreter; what `make` made without it stays as it is.
    """
    machine.has_python("python3.13", "3.13")
    machine.run("venv")
    machine.run("venv", PYTHON="python3.13")
    machine.run("venv")

    assert [".venv", ".venv-3.13"] == made()
    assert ".venv-3.13\n" == machine.run("venv", "name", PYTHON="python3.13").stdout
    assert ".venv\n" == machine.run("venv", "name").stdout


def test_two_pythons_of_one_version_are_not_mixed(machine, made):
    """
    An environment of one Python 3.13 is made anew for the other one.
    """
    for name in ("python3.13", "another-python3.13"):
        machine.has_python(name, "3.13")
        for _ in range(2):
            machine.run("venv", PYTHON=name)

    assert [".venv-3.13", ".venv-3.13"] == made()


def test_a_python_of_pyenv_is_found_by_name(machine, made):
    """
    On the PATH stands pyenv's stand-in, which fails for a version that is not switched on; the version itself is there.
    """
    machine.has("python3.13", "exit 127")
    machine.has_python("real-python3.13", "3.13")
    real = machine.checkout.parent / "pyenv/versions/3.13.0/bin/python3.13"
    real.parent.mkdir(parents=True)
    real.symlink_to(machine.programs / "real-python3.13")

    result = machine.run("find-python", PYTHON="python3.13", PYENV_ROOT=str(machine.checkout.parent / "pyenv"))

    assert f"{real}\n" == result.stdout


def test_the_newest_versions_are_looked_for_each_time(machine, installed):
    """
    `make test-latest` asks anew which versions there are, and installs them as pyproject.toml allows.
    """
    for _ in range(2):
        machine.run("venv", "latest", VENV=".venv-latest")

    assert ["-m pip install --quiet --upgrade --upgrade-strategy eager --editable .[dev]"] * 2 == installed()


@pytest.mark.parametrize(
    ("versions", "newest"),
    [
        (["3.11"], ""),
        (["3.11", "3.12"], "python3.12"),
        (["3.12", "3.13"], "python3.13"),
        (["3.12", "3.99"], "python3.12"),
    ],
)
def test_the_newest_python_is_one_that_the_package_names(machine, versions, newest):
    """
    From 3.12 on; a version that pyproject.toml does not name, and nobody has tried, is left alone.
    """
    for version in versions:
        machine.has_python(f"python{version}", version)

    result = machine.run("find-python", "newest")

    assert (0, newest) == (result.returncode, Path(result.stdout.strip()).name)


MOMENTS = re.findall(r'(?m)^under "(.+?) UTC"', (ROOT / ".ci/test-dates").read_text(encoding="utf-8"))


def test_the_matrix_has_the_days_on_which_tests_break():
    """
    All days of the week, 29 February, the last seconds of a year, and those before the clocks change in Berlin.
    """
    moments = [datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in MOMENTS]
    berlin = ZoneInfo("Europe/Berlin")
    before_a_change = [
        moment.hour
        for moment in moments
        if moment.astimezone(berlin).utcoffset() != (moment + timedelta(seconds=30)).astimezone(berlin).utcoffset()
    ]

    assert {*range(7)} == {moment.weekday() for moment in moments}
    assert (2, 29) in {(moment.month, moment.day) for moment in moments}
    assert (12, 31, 23, 59) in {(moment.month, moment.day, moment.hour, moment.minute) for moment in moments}
    assert 2 == len(before_a_change)


def test_the_matrix_sets_the_clock_of_every_process():
    """
    Also of those that a test starts; what measures durations stays as it is.
    """
    program = "import sys, time; print(time.time(), time.monotonic()); sys.stdout.flush()"
    child = "import subprocess; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    result = subprocess.run(
        [sys.executable, "-c", f"{program}; {child}", program],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests/clock"), "TEST_CLOCK_OFFSET": "1e8"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    # The clock of this test may be set too.
    now = time.time() - float(os.environ.get("TEST_CLOCK_OFFSET", "0"))
    clocks = [tuple(map(float, line.split())) for line in result.stdout.splitlines()]

    assert 2 == len(clocks)
    for wall, monotonic in clocks:
        assert 1e8 == pytest.approx(wall - now, abs=60)
        assert time.monotonic() == pytest.approx(monotonic, abs=60)


@pytest.mark.parametrize(("code", "failures"), [(0, 0), (1, len(MOMENTS))])
def test_the_matrix_tells_which_circumstances_failed(machine, code, failures):
    """
    All of them are tried, and those that failed are listed at the end.
    """
    for tool in ("cp", "date", "env", "xargs"):
        (machine.programs / tool).symlink_to(shutil.which(tool) or tool)
    machine.has("git")
    machine.has("pytest-python", f"exit {code}")
    python = machine.checkout / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(machine.programs / "pytest-python")

    result = machine.run("test-dates")

    assert min(failures, 1) == result.returncode, result.stderr
    assert failures == result.stdout.partition("Failed:")[2].count("\n  - ")


@pytest.fixture
def newest(machine):
    """
    Runs .ci/test-newest on a machine whose `make` only writes down its targets; returns these and what was printed.
    """
    machine.has("make", 'echo "$@" >>log')
    machine.has_python("python3", "3.11")
    machine.run("venv")
    machine.logged()

    def run():
        result = machine.run("test-newest")
        assert 0 == result.returncode, result.stderr
        return machine.logged(), result.stdout

    return run


def test_ci_leaves_nothing_out(machine):
    """
    It asks for the programs, the checks and the tests, with `CI=true`, and for nothing else.
    """
    machine.has("make", 'test "$CI" = true && echo "$@" >>log')

    assert 0 == machine.run("run").returncode
    assert ["test-deps check test"] == machine.logged()


def test_the_quick_tests_run_on_the_newest_python(machine, newest):
    """
    Without those that ask other programs.
    """
    machine.has_python("python3.12", "3.12")
    machine.has_python("python3.13", "3.13")

    (made,), printed = newest()

    assert made.startswith(f"test-quick PYTHON={machine.programs}/python3.13 ARGS=")
    assert "The tests of the program itself once more, with Python 3.13.0:\n" in printed


def test_it_is_said_where_there_is_no_newer_python(newest):
    """
    One Python is enough to pass, but nobody believes that two were tested.
    """
    made, printed = newest()

    assert [] == made
    assert "Python 3.11.0 is the only Python that was tested" in printed


def test_the_same_python_is_not_tested_twice(machine, newest):
    """
    Where the usual Python is the newest, everything has run on it already.
    """
    machine.has_python("python3", "3.13")
    machine.has_python("python3.13", "3.13")

    made, printed = newest()

    assert [] == made
    assert "Python 3.13.0 is the newest Python that this machine has" in printed


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
    missing = "chromium faketime iproute2 janus lintian procps prometheus redis-sentinel redis-server victoria-metrics"
    assert f"{missing}\n" in result.stderr


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


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", 1),
        ("ERROR: No matching distribution found for aiohttp==3.14.5", 1),
        ("WARNING: Retrying ... [Errno 101] Network is unreachable", 0),
        ("Max retries exceeded with url: /simple/aiohttp/", 0),
    ],
)
def test_hashes_that_differ_fail_and_no_index_is_told(checkable, said, code):
    """
    Away from any network the rest is checked, and the output says what was not.
    """
    checkable.has("python", f'case "$*" in *"pip download"*) echo "{said}" >&2; exit 1 ;; esac')

    result = checkable.run("check")

    assert code == result.returncode, result.stdout
    assert (said in result.stdout, "Not checked" in result.stdout) == (code == 1, code == 0)


def test_a_unit_setting_that_systemd_does_not_know_fails_the_check(checkable):
    """
    systemd-analyze only prints such a setting and exits 0: printing is taken for a complaint.
    """
    checkable.has("systemd-analyze", 'test "$1" = security || echo "Unknown key"')

    result = checkable.run("check")

    assert 1 == result.returncode
    assert "Unknown key" in result.stdout
