"""
Missing programs are told, never passed over.
"""

import pytest

pytest_plugins = ["pytester"]

ONE_TEST = """
import pytest

@pytest.mark.needs_program({program!r})
def test_it():
    pass
"""


@pytest.fixture
def project(pytester, monkeypatch):
    """
    A project of one test that needs one program.
    """
    monkeypatch.setenv("CI", "")
    pytester.makeini("[pytest]\nmarkers = needs_program(name)\n")
    pytester.makeconftest("pytest_plugins = ['tests.programs']")
    return pytester


def test_a_program_that_is_there_lets_the_test_run(project):
    """
    A marker for a program on the PATH changes nothing.
    """
    project.makepyfile(ONE_TEST.format(program="sh"))

    result = project.runpytest_inprocess("-p", "no:asyncio")

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*did not run*")


@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["alone", "in a worker"])
def test_a_missing_program_skips_and_says_so(project, workers):
    """
    On a newcomer's machine the test is skipped, and the summary names the program and the command that brings it.
    """
    project.makepyfile(ONE_TEST.format(program="no-such-program"))

    result = project.runpytest_inprocess("-p", "no:asyncio", *workers)

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["1 test did not run, because no-such-program is not installed here. `make *"])


def test_a_missing_program_fails_in_ci(project, monkeypatch):
    """
    With CI=true nothing is skipped for want of a program.
    """
    monkeypatch.setenv("CI", "true")
    project.makepyfile(ONE_TEST.format(program="no-such-program"))

    result = project.runpytest_inprocess("-p", "no:asyncio")

    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.fnmatch_lines(["*not installed: no-such-program; in CI every test runs*"])


def test_the_fixture_gives_the_path(needs_program):
    """
    A test may ask for a program by name while it runs, and gets its path.
    """
    assert "sh" == needs_program("sh").name
